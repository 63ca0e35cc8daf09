//! One JSON value that stays text until it is asked for.
//!
//! Invariant: a value of an unexpected type reads as absent. There is no `Debug`, so that no body
//! reaches a log.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sources::source::Unreadable;

/// The value of one key, not parsed yet. Absent and `null` are the same.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Field<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> From<&'a RawValue> for Field<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self((raw.get() != "null").then_some(raw))
    }
}

impl<'a> Field<'a> {
    /// The value as it was written.
    pub(crate) fn json(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    /// A string; `None` also for one that is no text (half of a surrogate pair).
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        let text: Text<'a> = serde_json::from_str(self.starting_with('"')?).ok()?;
        Some(text.0)
    }

    /// A string that is not empty.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        self.string().filter(|text| !text.is_empty())
    }

    /// The digits of an integer that is not negative.
    pub(crate) fn digits(self) -> Option<&'a str> {
        let is_short = |json: &&str| json.len() <= 20 && json.bytes().all(|b| b.is_ascii_digit());
        self.json().filter(is_short)
    }

    /// True if it is `true`.
    pub(crate) fn is_true(self) -> bool {
        self.json() == Some("true")
    }

    /// True if it is anything but absent, `null`, `false` and `""`.
    pub(crate) fn is_given(self) -> bool {
        self.json()
            .is_some_and(|json| !matches!(json, "false" | "\"\""))
    }

    /// This value if it is a string that is not empty, else another one.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.text().is_some() { self } else { other }
    }

    /// The JSON of an object.
    pub(crate) fn object_json(self) -> Option<&'a str> {
        self.starting_with('{')
    }

    /// The JSON of an array.
    pub(crate) fn array_json(self) -> Option<&'a str> {
        self.starting_with('[')
    }

    /// An object, read as `T`. The only error is a key of `T` that stands twice.
    pub(crate) fn object<T: Deserialize<'a>>(self) -> Result<Option<T>, Unreadable> {
        let Some(json) = self.object_json() else {
            return Ok(None);
        };
        match serde_json::from_str(json) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_data() => Err(repeated_key()),
            // The value is JSON, so a key of it must be no text: half of a surrogate pair.
            Err(_) => Ok(None),
        }
    }

    /// The elements of an array; empty for anything else.
    pub(crate) fn elements(self) -> Vec<Field<'a>> {
        self.array_json()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    fn starting_with(self, first: char) -> Option<&'a str> {
        self.json().filter(|json| json.starts_with(first))
    }
}

/// The bytes of `whole` that `part`, a slice of it, takes.
pub fn place_of(part: &str, whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Two readers could see two different values, so the body is refused.
pub(crate) fn repeated_key() -> Unreadable {
    Unreadable::Body("a key that decides what the event is stands twice in one object".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let field: Field<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(field.string().as_deref(), expected, "{json}");
        }
    }
}
