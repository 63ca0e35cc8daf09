//! JSON as it was written: what stands where, and twice where it stands twice.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A key of an object, as it is written, and its value.
type Member<'de> = (&'de RawValue, &'de RawValue);

/// The members of an object in their order. `None`: no object.
pub(crate) fn members(json: &str) -> Option<Vec<Member<'_>>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;

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

/// The text of a key. `None`: half of a surrogate pair is escaped in it, so it is no text.
pub(crate) fn text(key: &RawValue) -> Option<String> {
    serde_json::from_str(key.get()).ok()
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
/// the values as they were written.
pub(crate) fn without(json: &str, pointers: &[&[&str]]) -> String {
    let Some(members) = members(json) else {
        return json.to_owned();
    };
    let mut kept = Vec::new();
    for (key, value) in members {
        let name = text(key);
        let below: Vec<&[&str]> = pointers
            .iter()
            .filter_map(|pointer| pointer.split_first())
            .filter(|(first, _)| name.as_deref() == Some(**first))
            .map(|(_, rest)| rest)
            .collect();
        if below.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        let value = if below.is_empty() {
            value.get().to_owned()
        } else {
            without(value.get(), &below)
        };
        let name = name.map_or_else(
            || key.get().to_owned(),
            |name| serde_json::Value::from(name).to_string(),
        );
        kept.push(format!("{name}:{value}"));
    }
    format!("{{{}}}", kept.join(","))
}

/// Whether an object has a member that `pointer` names.
pub(crate) fn has(json: &str, pointer: &[&str]) -> bool {
    let Some((first, rest)) = pointer.split_first() else {
        return true;
    };
    let members = members(json).unwrap_or_default();
    let mut named = members
        .iter()
        .filter(|(key, _)| text(key).as_deref() == Some(*first));
    named.any(|(_, value)| has(value.get(), rest))
}
