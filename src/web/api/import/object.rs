//! Reads a line of NDJSON: an object with our members, and perhaps others, which are passed over.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::columns::{COLUMNS, REQUIRED, SHOWN, column, short};
use super::row::RawRow;
use crate::web::plain::plain;

/// A line as it was written.
pub(super) struct Object {
    pub(super) row: RawRow,
    /// Names of the other members.
    pub(super) others: Vec<String>,
}

impl Object {
    /// Reads a line.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        // serde counts lines from the start of this row, so only its column is of use.
        let explain = |error: serde_json::Error, path: &str| {
            if error.is_eof() {
                return "this object does not end on its line; one object a line is expected, such as `jq -c .` \
                        writes"
                    .to_owned();
            }
            if !error.is_data() {
                let column = error.column();
                return format!("this is not a JSON object: the error is at column {column}");
            }
            let text = plain(&error.to_string());
            let text: String = text.chars().take(4 * SHOWN).collect();
            match path {
                "." => text,
                member => format!("{member}: {text}"),
            }
        };
        let mut reader = serde_json::Deserializer::from_slice(line);
        let object = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            explain(error.into_inner(), &path)
        })?;
        reader.end().map_err(|error| explain(error, "."))?;
        Ok(object)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let mut texts: [Option<String>; REQUIRED] = Default::default();
        let mut ids: Option<Option<Vec<String>>> = None;
        let mut others = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            let is_twice = match column(&name) {
                Some(column) if column < REQUIRED => {
                    texts[column].replace(members.next_value()?).is_some()
                }
                Some(_) => ids.replace(members.next_value()?).is_some(),
                None => {
                    members.next_value::<IgnoredAny>()?;
                    others.push(short(&name));
                    false
                }
            };
            if is_twice {
                return Err(A::Error::custom("this member is there twice"));
            }
        }
        let missing = texts.iter().position(Option::is_none);
        if let Some(missing) = missing {
            return Err(A::Error::custom(missing_field(COLUMNS[missing], &others)));
        }
        let [source, external_id, ticket_id] = texts.map(Option::unwrap_or_default);
        Ok(Object {
            row: RawRow {
                source,
                external_id,
                ticket_id,
                accounted_for_message_ids: ids.flatten().unwrap_or_default(),
            },
            others,
        })
    }
}

fn missing_field(name: &str, others: &[String]) -> String {
    let others: Vec<_> = others.iter().map(|other| format!("`{other}`")).collect();
    if others.is_empty() {
        format!("missing field `{name}`")
    } else {
        format!("missing field `{name}`; there is {}", others.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_in_any_spelling_and_others_are_named() {
        for (line, expected) in [
            (
                r#"{"source":"s","external_id":"e","ticket_id":"t","accounted_for_message_ids":["m"]}"#,
                "s e t m; ",
            ),
            (
                r#"{"Ticket ID":"t","x":[1,{"y":null}],"External-Id":"e","SOURCE":"s","comment":null}"#,
                "s e t ; x comment",
            ),
            (
                r#"{"source":"s","external_id":"e","ticket_id":"t","accounted_for_message_ids":null}"#,
                "s e t ; ",
            ),
        ] {
            let Object { row, others } = Object::read(line.as_bytes()).unwrap();
            let ids = row.accounted_for_message_ids.join(" ");
            let shown = format!(
                "{} {} {} {ids}; {}",
                row.source,
                row.external_id,
                row.ticket_id,
                others.join(" ")
            );
            assert_eq!(shown, expected, "{line}");
        }
    }

    #[test]
    fn a_fault_names_the_member() {
        for (line, expected) in [
            (
                r#"{"source":"s","ticket":"t"}"#,
                "missing field `external_id`; there is `ticket`",
            ),
            (r"{}", "missing field `source`"),
            (r#"{"source":null}"#, "source: this is null, expected text"),
            (
                r#"{"Ticket ID":1}"#,
                "Ticket ID: this is a number, expected text",
            ),
            (
                r#"{"accounted_for_message_ids":"m"}"#,
                "accounted_for_message_ids: this is text, expected a list",
            ),
            (
                r#"{"source":"s","Source":"t"}"#,
                "this member is there twice",
            ),
            (r"[]", "this is a list, expected an object"),
            (r"null", "this is null, expected an object"),
            (r"{", "this object does not end on its line"),
            (r#"{"source":"#, "this object does not end on its line"),
            (r"{]", "this is not a JSON object: the error is at column 2"),
            (r"{}}", "missing field `source`"),
            (
                r#"{"source":"s","external_id":"e","ticket_id":"t"} x"#,
                "this is not a JSON object",
            ),
        ] {
            let refused = Object::read(line.as_bytes()).err().expect("it is faulty");
            assert!(refused.starts_with(expected), "{line}: {refused}");
        }
    }
}
