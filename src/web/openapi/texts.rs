//! The form of the texts of the API: one table by the name of a member or parameter, for the whole
//! document.

use std::sync::LazyLock;

use serde_json::json;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, SchemaType, Type};
use utoipa::openapi::{Object, RefOr, Schema};

use crate::operators::MAX_MESSAGE_IDS;
use crate::sources::BUILT_IN;

/// The form of a text.
struct Text {
    /// Names of the members and parameters that hold it.
    names: &'static [&'static str],
    pattern: String,
    example: &'static str,
}

static TEXTS: LazyLock<[Text; 5]> = LazyLock::new(|| {
    let patterns = BUILT_IN.iter().map(|kind| kind.external_id_pattern());
    let external_ids = patterns.collect::<Vec<_>>().join("|");
    [
        Text {
            names: &["source"],
            pattern: "^[a-z0-9_-]{1,64}$".to_owned(),
            example: BUILT_IN.first().map_or("", |kind| kind.name()),
        },
        Text {
            names: &["external_id"],
            pattern: format!("^({external_ids})$"),
            example: "6f1d0c93db2a6410c7e3f4a2ce9619aa",
        },
        Text {
            names: &["ticket_id", "mapped_to", "learned"],
            pattern: r#"^[!"$&-.0->@-\[\]-~]{1,128}$"#.to_owned(),
            example: "9d385017-c611-4b52-9c37-3f9b2d6a1e55",
        },
        Text {
            names: &["accounted_for_message_ids", "accountedForMessageIds"],
            pattern: r"^[^\s;\u0000-\u001f\u007f-\u009f]{1,256}$".to_owned(),
            example: "msg-1",
        },
        Text {
            names: &["event", "taught_by"],
            pattern: EVENT.to_owned(),
            example: "evt_42",
        },
    ]
});

/// The form of an event's id. Ids have at most 19 digits.
const EVENT: &str = "^evt_[0-9]{1,18}$";

/// Describes the texts of the members of a schema.
pub(super) fn of_schema(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => of_object(object),
        Schema::AllOf(parts) => parts.items.iter_mut().filter_map(owned).for_each(of_schema),
        Schema::OneOf(parts) => parts.items.iter_mut().filter_map(owned).for_each(of_schema),
        Schema::AnyOf(parts) => parts.items.iter_mut().filter_map(owned).for_each(of_schema),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items
                && let RefOr::T(items) = &mut **items
            {
                of_schema(items);
            }
        }
        _ => {}
    }
}

fn owned(schema: &mut RefOr<Schema>) -> Option<&mut Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}

fn of_object(object: &mut Object) {
    // A filter takes any external id, and finds nothing for one that cannot be.
    let is_filter = object.properties.contains_key("dry_run");
    for (name, member) in &mut object.properties {
        if let Some(member) = owned(member) {
            if !is_filter || name == "source" {
                describe(name, member);
            }
            of_schema(member);
        }
    }
}

/// Describes the texts in the path and the query of an operation. A filter takes any external id and
/// any Serval ticket, and finds nothing for one that cannot be.
pub(super) fn of_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        let is_filter = matches!(parameter.parameter_in, ParameterIn::Query);
        let name = parameter.name.as_str();
        let Some(schema) = parameter.schema.as_mut().and_then(owned) else {
            continue;
        };
        if name == "cursor" {
            cursor(operation.operation_id.as_deref(), schema);
        } else if !is_filter || name == "source" {
            describe(name, schema);
        }
        // An example of a source beside any id would be an example of a refusal.
        if let Schema::Object(object) = schema
            && name == "source"
        {
            object.examples.clear();
        }
    }
}

/// A cursor is the key of a row.
fn cursor(list: Option<&str>, schema: &mut Schema) {
    let pattern = match list {
        Some("list_events" | "list_parked") => EVENT,
        Some("list_mappings") => "^[a-z0-9_-]{1,64}/.+$",
        _ => "^[0-9]{1,18}$",
    };
    if let Schema::Object(object) = schema {
        object.pattern = Some(pattern.to_owned());
    }
}

fn describe(name: &str, schema: &mut Schema) {
    let mut texts = TEXTS.iter();
    let Some(text) = texts.find(|text| text.names.contains(&name)) else {
        return;
    };
    if let Schema::Array(array) = schema {
        array.max_items = Some(MAX_MESSAGE_IDS);
        if let ArrayItems::RefOrSchema(items) = &mut array.items
            && let RefOr::T(items) = &mut **items
        {
            describe(name, items);
        }
    } else if let Schema::Object(object) = schema
        && is_text(&object.schema_type)
    {
        object.pattern = Some(text.pattern.clone());
        object.examples = vec![json!(text.example)];
    }
}

fn is_text(kind: &SchemaType) -> bool {
    match kind {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}
