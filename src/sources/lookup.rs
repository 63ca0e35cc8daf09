//! Single values looked up in a JSON text, without reading what stands around them.
//!
//! Invariant: nothing is built of the rest of the text, and its depth costs no stack. A key that
//! stands twice where it is looked up is an error: two readers could see two different values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// A JSON Pointer (RFC 6901), with its escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer; `None` for a text that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_escape = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
        if !text.split('~').skip(1).all(is_escape) {
            return None;
        }
        let mut parts = text.split('/');
        // Before the first slash stands nothing.
        if parts.next() != Some("") {
            return None;
        }
        let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Some(Self(parts.map(unescape).collect()))
    }

    /// The keys on the way, outermost first.
    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }

    /// Whether `other` points at the same place or at one inside of it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// What stands at the place in the JSON text `json`, if anything does.
    pub(super) fn find<'a>(
        &self,
        json: &'a str,
    ) -> Result<Option<&'a RawValue>, serde_json::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            return serde_json::from_str(json).map(Some);
        };
        let mut place = inside(json, first)?;
        for part in rest {
            let Some(raw) = place else { break };
            place = inside(raw.get(), part)?;
        }
        Ok(place)
    }
}

/// The member or the element of `json` that `part` names.
fn inside<'a>(json: &'a str, part: &str) -> Result<Option<&'a RawValue>, serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') => member(json, part),
        Some(b'[') => element(json, part),
        _ => Ok(None),
    }
}

/// The value of `key` in the object `json`.
pub(super) fn member<'a>(
    json: &'a str,
    key: &str,
) -> Result<Option<&'a RawValue>, serde_json::Error> {
    serde_json::Deserializer::from_str(json).deserialize_map(Member(key))
}

/// The element of the array `json` at `index`, in decimal without leading zeros.
fn element<'a>(json: &'a str, index: &str) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let is_index =
        index == "0" || (!index.starts_with('0') && index.bytes().all(|b| b.is_ascii_digit()));
    match index.parse() {
        Ok(index) if is_index => {
            serde_json::Deserializer::from_str(json).deserialize_seq(Element(index))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The text of a JSON string; `None` for everything else, and for a string that is no text (half
/// of a surrogate pair).
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let json = raw.get();
    let text: Text<'_> = json
        .starts_with('"')
        .then(|| serde_json::from_str(json).ok())??;
    Some(text.0)
}

/// Finds the value of a key.
struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<&RawValue>()?).is_some() {
                return Err(A::Error::custom("a key that stands twice"));
            }
        }
        Ok(found)
    }
}

/// Whether a key is this one. Compared as bytes, so that a key beside it may be no text.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

/// Finds an element by its place.
struct Element(usize);

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::prop_assert_eq;
    use serde_json::value::Value;

    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn find<'a>(pointer: &str, json: &'a str) -> Option<&'a str> {
        let pointer = Pointer::parse(pointer).unwrap();
        pointer.find(raw(json).get()).unwrap().map(RawValue::get)
    }

    #[test]
    fn a_pointer_leads_through_objects_and_arrays() {
        let json = r#"{"a":{"b/c":[10,{"d~e":"x"}]},"":1,"01":2,"k":null,"ä":3}"#;
        for (pointer, expected) in [
            ("", Some(json)),
            ("/", Some("1")),
            ("/a/b~1c/0", Some("10")),
            ("/a/b~1c/1/d~0e", Some("\"x\"")),
            ("/k", Some("null")),
            ("/\u{e4}", Some("3")),
            ("/01", Some("2")),
            ("/a/b~1c/2", None),
            ("/a/b~1c/00", None),
            ("/a/b~1c/+1", None),
            ("/a/b~1c/-", None),
            ("/a/b~1c/", None),
            ("/a/b~1c/99999999999999999999999", None),
            ("/a/b~1c/0/x", None),
            ("/a/b", None),
            ("/k/x", None),
            ("/A", None),
        ] {
            assert_eq!(find(pointer, json), expected, "{pointer}");
        }
        assert_eq!(find("/~01", r#"{"~1":1,"/":2}"#), Some("1"));
        assert_eq!(find("/a", r#"{"\u0061":1}"#), Some("1"));
        for no_pointer in ["a", "a/b", "/a~", "/a~2", "~1a", " /a"] {
            assert_eq!(Pointer::parse(no_pointer), None, "{no_pointer}");
        }
    }

    #[test]
    fn a_pointer_contains_the_places_below_it() {
        let contains = |outer: &str, inner: &str| {
            Pointer::parse(outer)
                .unwrap()
                .contains(&Pointer::parse(inner).unwrap())
        };
        assert!(contains("/a", "/a"));
        assert!(contains("/a", "/a/value"));
        assert!(contains("", "/a"));
        assert!(!contains("/a", "/ab"));
        assert!(!contains("/a/b", "/a"));
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_where_it_is_looked_up() {
        assert!(member(r#"{"a":1,"\u0061":2}"#, "a").is_err());
        assert!(member(r#"{"a":1,"b":2,"b":3}"#, "a").is_ok());
    }

    #[test]
    fn what_stands_around_may_be_anything() {
        let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
        let wide = format!("{}2{}", "{\"k\":".repeat(50_000), "}".repeat(50_000));
        let json = format!(
            r#"{{"deep":{deep},"wide":{wide},"\udead":"\udead","n":1e999,"a":[{deep},"here"]}}"#
        );
        assert_eq!(find("/a/1", &json), Some("\"here\""));
        let down = Pointer::parse(&"/0".repeat(40)).unwrap();
        assert!(down.find(&deep).unwrap().is_some());
    }

    #[test]
    fn only_strings_are_texts() {
        for (json, expected) in [
            (r#""a""#, Some("a")),
            (r#""\u0061\n""#, Some("a\n")),
            (r#""""#, Some("")),
            (r#""\ud800""#, None),
            ("1", None),
            ("true", None),
            ("null", None),
            ("[\"a\"]", None),
            ("{}", None),
        ] {
            assert_eq!(string(raw(json)).as_deref(), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn pointers_find_what_they_find_in_a_value(
            pointer in "(/[a-c0-2~/]{0,2}){0,4}",
            json in r#"[\[\]{}a-c0-2":, ]{0,40}"#,
            key in any::<String>(),
        ) {
            for json in [json, format!("[{{\"a\":[0,{{\"b\":1}}],{key:?}:2}},{{\"1\":{{}}}}]")] {
                let (Ok(raw), Ok(value)) = (
                    serde_json::from_str::<&RawValue>(&json),
                    serde_json::from_str::<Value>(&json),
                ) else { continue };
                let Some(parsed) = Pointer::parse(&pointer) else { continue };
                let Ok(found) = parsed.find(raw.get()) else { continue };
                let found = found.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
                prop_assert_eq!(found.as_ref(), value.pointer(&pointer));
            }
        }
    }
}
