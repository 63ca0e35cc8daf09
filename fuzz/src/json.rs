//! JSON as it was written: what stands where, and twice where it stands twice.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order. `None`: no object, or a key that is no text.
pub(crate) fn members(json: &str) -> Option<Vec<(String, &RawValue)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_str(json)
        .deserialize_map(Members)
        .ok()
}

/// Whether `part`, a piece of `document`, is one of the values that it is made of.
///
/// Goes down without a stack: bodies may be nested deeper than one is.
pub(crate) fn is_value_of(part: &str, document: &str) -> bool {
    let start = |text: &str| text.as_ptr().addr();
    let holds = |value: &&RawValue| {
        let (outer, inner) = (start(value.get()), start(part));
        outer <= inner && inner + part.len() <= outer + value.get().len()
    };
    let mut around: Option<&RawValue> = serde_json::from_str(document).ok();
    while let Some(value) = around.filter(holds) {
        if value.get().len() == part.len() {
            return true;
        }
        let elements = serde_json::from_str::<Vec<&RawValue>>(value.get()).ok();
        around = match elements {
            Some(elements) => elements.into_iter().find(holds),
            None => members(value.get())
                .unwrap_or_default()
                .into_iter()
                .map(|(_, value)| value)
                .find(holds),
        };
    }
    false
}

/// What an object is without the members that `pointers` name, each as its parts: member by member,
/// the values as they were written. `None` where a key is no text.
pub(crate) fn without(json: &str, pointers: &[&[&str]]) -> Option<String> {
    let Some(members) = members(json) else {
        return (!json.starts_with('{')).then(|| json.to_owned());
    };
    let mut kept = Vec::new();
    for (key, value) in members {
        let below: Vec<&[&str]> = pointers
            .iter()
            .filter_map(|pointer| pointer.split_first())
            .filter(|(first, _)| **first == key)
            .map(|(_, rest)| rest)
            .collect();
        if below.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        let value = if below.is_empty() {
            value.get().to_owned()
        } else {
            without(value.get(), &below)?
        };
        kept.push(format!("{}:{value}", serde_json::Value::from(key)));
    }
    Some(format!("{{{}}}", kept.join(",")))
}

/// Whether an object has a member that `pointer` names.
pub(crate) fn has(json: &str, pointer: &[&str]) -> bool {
    let Some((first, rest)) = pointer.split_first() else {
        return true;
    };
    let members = members(json).unwrap_or_default();
    let mut named = members.iter().filter(|(key, _)| key == first);
    named.any(|(_, value)| has(value.get(), rest))
}
