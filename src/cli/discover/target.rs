//! The shape of a `channelTarget`: what Serval would refuse whatever the integration.

use serde_json::{Map, Value};

use crate::sources::{Kinds, SourceKind};

/// The target without an integration.
const EMAIL: &str = "email";

/// Verdict on the shape of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A target with this integration.
    Names(String),
    /// A target that needs no integration, or one that this program does not know.
    Unknown(String),
    /// Every connect with it would fail.
    Wrong(String),
}

/// Judges a target of a source of this kind.
pub(super) fn shape(kinds: Kinds, kind: SourceKind, target: &Value) -> Shape {
    // The configuration was loaded, so it is a table with one table in it.
    let Some((name, fields)) = target.as_object().and_then(|target| target.iter().next()) else {
        return Shape::Wrong("it is not a table with one kind of target".to_owned());
    };
    let Some(fields) = fields.as_object() else {
        return Shape::Wrong(format!("{name} is not a table"));
    };
    if name == EMAIL {
        return Shape::Unknown("names no integrationId, not checked".to_owned());
    }
    let of_this = variants(kind);
    if let Some((_, expected)) = of_this.iter().find(|(known, _)| known == name) {
        return fields_of(name, fields, expected);
    }
    let names: Vec<&str> = of_this.iter().map(|(known, _)| known.as_str()).collect();
    let all = kinds.iter().flat_map(|kind| {
        let variants = variants(*kind).into_iter();
        variants.map(move |(known, _)| (kind.name(), known))
    });
    for (other, known) in all {
        if known == *name {
            return Shape::Wrong(format!(
                "{name} is a target of {other}, and the source is of kind {}: write {}",
                kind.name(),
                names.join(" or ")
            ));
        }
        if is_respelled(name, &known) {
            return Shape::Wrong(format!("Serval knows no {name}: write {known}"));
        }
    }
    Shape::Unknown(format!(
        "{name} is no target that this program knows ({}), not checked",
        names.join(", ")
    ))
}

/// The names of the targets of a kind, each with its fields.
fn variants(kind: SourceKind) -> Vec<(String, Map<String, Value>)> {
    let targets = kind.targets("").into_iter();
    let tables = targets.filter_map(|(_, target)| match target {
        Value::Object(table) => table.into_iter().next(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    });
    tables
        .filter_map(|(name, fields)| Some((name, fields.as_object()?.clone())))
        .collect()
}

fn fields_of(name: &str, fields: &Map<String, Value>, expected: &Map<String, Value>) -> Shape {
    for known in expected.keys() {
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
        if fields.get(known).is_some_and(is_text) {
            continue;
        }
        let respelled = fields.keys().find(|field| is_respelled(field, known));
        return Shape::Wrong(match respelled {
            Some(field) => format!("{name} has {field}: write {known}"),
            None => format!("{name} has no {known}, a text that is not empty"),
        });
    }
    let id = fields["integrationId"].as_str().unwrap_or_default();
    Shape::Names(id.to_owned())
}

/// True if both are the same name, written as `snake_case` and as `camelCase`, or in another case.
fn is_respelled(written: &str, known: &str) -> bool {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    written != known && plain(written) == plain(known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::{BUILT_IN, servicenow, slack};

    #[test]
    fn what_serval_would_refuse_is_told_with_what_to_write() {
        let direct = json!({"slackDm": {"integrationId": "i", "targetUserType": "T"}});
        for (kind, target, expected) in [
            (
                servicenow::KIND,
                json!({"ticketSource": {"integrationId": "i"}}),
                Ok("i"),
            ),
            (
                slack::KIND,
                json!({"slackChannel": {"integrationId": "i"}}),
                Ok("i"),
            ),
            (slack::KIND, direct.clone(), Ok("i")),
            (slack::KIND, json!({"email": {}}), Ok("")),
            (
                slack::KIND,
                json!({"tomorrow": {"integrationId": "i"}}),
                Ok(""),
            ),
            (
                servicenow::KIND,
                json!({"ticket_source": {"integrationId": "i"}}),
                Err("write ticketSource"),
            ),
            (
                servicenow::KIND,
                json!({"TicketSource": {"integrationId": "i"}}),
                Err("write ticketSource"),
            ),
            (
                servicenow::KIND,
                json!({"ticketSource": {"integration_id": "i"}}),
                Err("write integrationId"),
            ),
            (
                servicenow::KIND,
                json!({"ticketSource": {"integrationId": " "}}),
                Err("has no integrationId"),
            ),
            (
                servicenow::KIND,
                json!({"ticketSource": {"integrationId": 1}}),
                Err("has no integrationId"),
            ),
            (
                servicenow::KIND,
                json!({"ticketSource": {}}),
                Err("has no integrationId"),
            ),
            (
                slack::KIND,
                json!({"slackDm": {"integrationId": "i"}}),
                Err("has no targetUserType"),
            ),
            (
                slack::KIND,
                json!({"ticketSource": {"integrationId": "i"}}),
                Err("write slackChannel"),
            ),
            (servicenow::KIND, direct, Err("a target of slack")),
            (servicenow::KIND, json!("x"), Err("not a table")),
        ] {
            match (shape(BUILT_IN, kind, &target), expected) {
                (Shape::Names(id), Ok(expected)) => assert_eq!(id, expected, "{target}"),
                (Shape::Unknown(_), Ok("")) => {}
                (Shape::Wrong(what), Err(part)) => assert!(what.contains(part), "{what}: {target}"),
                (found, expected) => panic!("{target}: {found:?} {expected:?}"),
            }
        }
    }
}
