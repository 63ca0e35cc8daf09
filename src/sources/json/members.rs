//! The members of a JSON object, one after the other, without building anything of them.
//!
//! Invariant: depth costs no stack, and a key may be no text (half of a surrogate pair).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::Field;

/// Calls `each` for every member of the object `json`, with the key as it is written.
pub(super) fn each_member<'a>(
    json: &'a str,
    each: impl FnMut(&'a str, &'a RawValue),
) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(json).deserialize_map(Members(each))
}

/// Reads the object `json` as `T`. A member whose key is no text cannot be one of `T`, and is skipped.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    match serde_json::from_str(json) {
        Err(error) if !error.is_data() => {}
        read => return read,
    }
    let mut members: Vec<(Cow<'a, str>, &'a RawValue)> = Vec::new();
    each_member(json, |written, value| {
        let key = serde_json::from_str::<&RawValue>(written).map(Field::from);
        if let Some(key) = key.ok().and_then(Field::string) {
            members.push((key, value));
        }
    })?;
    T::deserialize(MapDeserializer::new(members.into_iter()))
}

/// True if the JSON string `written` stands for `key`, with or without escapes.
pub(super) fn is_key(written: &str, key: &str) -> bool {
    if written.contains('\\') {
        return serde_json::from_str::<String>(written).is_ok_and(|text| text == key);
    }
    written.get(1..written.len().saturating_sub(1)) == Some(key)
}

struct Members<F>(F);

impl<'de, F: FnMut(&'de str, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            (self.0)(key.get(), map.next_value()?);
        }
        Ok(())
    }
}
