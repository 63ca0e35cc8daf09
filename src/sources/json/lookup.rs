//! Single values looked up in a JSON text, without reading what stands around them.
//!
//! Invariant: the rest of the text is skipped, and its depth costs no stack. A key that stands twice
//! in the object is an error: two readers could see two different values.

use serde::de::Error as _;

use super::field::Field;
use super::members::{each_member, is_key};

/// A JSON Pointer (RFC 6901), with its escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer; `None` for a text that is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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
    pub(crate) fn parts(&self) -> &[String] {
        &self.0
    }

    /// True if `other` points at the same place or at one inside of it.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The value at the place in the JSON text `json`.
    pub(crate) fn find<'a>(&self, json: &'a str) -> Result<Field<'a>, serde_json::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            return serde_json::from_str(json);
        };
        let mut place = inside(json, first)?;
        for part in rest {
            let Some(json) = place.json() else { break };
            place = inside(json, part)?;
        }
        Ok(place)
    }
}

/// The member or the element of `json` that `part` names.
fn inside<'a>(json: &'a str, part: &str) -> Result<Field<'a>, serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') => member(json, part),
        Some(b'[') => element(json, part),
        _ => Ok(Field::default()),
    }
}

/// The value of `key` in the object `json`.
pub(crate) fn member<'a>(json: &'a str, key: &str) -> Result<Field<'a>, serde_json::Error> {
    let (mut found, mut times) = (Field::default(), 0);
    each_member(json, |written, value| {
        if is_key(written, key) {
            found = value.into();
            times += 1;
        }
    })?;
    if times > 1 {
        return Err(serde_json::Error::custom("a key that stands twice"));
    }
    Ok(found)
}

/// The element of the array `json` at `index`, in decimal without leading zeros.
fn element<'a>(json: &'a str, index: &str) -> Result<Field<'a>, serde_json::Error> {
    let is_index =
        index == "0" || (!index.starts_with('0') && index.bytes().all(|b| b.is_ascii_digit()));
    let Some(index) = index.parse::<usize>().ok().filter(|_| is_index) else {
        return Ok(Field::default());
    };
    let elements: Vec<Field<'_>> = serde_json::from_str(json)?;
    Ok(elements.get(index).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::prop_assert_eq;
    use serde_json::value::{RawValue, Value};

    use super::*;

    fn find<'a>(pointer: &str, json: &'a str) -> Option<&'a str> {
        let pointer = Pointer::parse(pointer).unwrap();
        pointer.find(json).unwrap().json()
    }

    #[test]
    fn a_pointer_leads_through_objects_and_arrays() {
        let json = r#"{"a":{"b/c":[10,{"d~e":"x"}]},"":1,"01":2,"k":null,"ä":3}"#;
        for (pointer, expected) in [
            ("", Some(json)),
            ("/", Some("1")),
            ("/a/b~1c/0", Some("10")),
            ("/a/b~1c/1/d~0e", Some("\"x\"")),
            // `null` is the same as absent.
            ("/k", None),
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
        assert!(down.find(&deep).unwrap().json().is_some());
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
                let found = found.json().map(|json| serde_json::from_str::<Value>(json).unwrap());
                // A `null` reads as absent.
                let expected = value.pointer(&pointer).filter(|value| !value.is_null());
                prop_assert_eq!(found.as_ref(), expected);
            }
        }
    }
}
