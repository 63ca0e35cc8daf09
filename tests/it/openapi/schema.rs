//! Enough of JSON Schema to hold an answer against its description.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Holds a value against its schema: types, what is required, and that nothing is left undescribed.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let mut properties = serde_json::Map::new();
    let mut required = BTreeSet::new();
    let schema = gather(document, schema, &mut properties, &mut required);
    let is_choice = schema.get("oneOf").and_then(Value::as_array);
    if let Some(choices) = is_choice {
        if !value.is_null() {
            let other = choices.iter().find(|choice| choice["type"] != "null");
            check(document, other.unwrap(), value, place);
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => vec![json!("object")],
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![schema["type"].clone()]
        }
    };
    let fits = types
        .iter()
        .any(|t| t == kind || (t == "number" && kind == "integer"));
    assert!(fits, "{place} is {kind}, not {types:?}");
    if let Some(elements) = value.as_array() {
        for (n, element) in elements.iter().enumerate() {
            check(document, &schema["items"], element, &format!("{place}/{n}"));
        }
    }
    if let Some(object) = value.as_object() {
        for name in &required {
            assert!(object.contains_key(name), "{place} has no {name}");
        }
        let is_open = schema.get("additionalProperties");
        for (name, value) in object {
            let place = format!("{place}/{name}");
            match properties.get(name).or(is_open) {
                Some(schema) => check(document, schema, value, &place),
                None => assert!(properties.is_empty(), "{place} is not described"),
            }
        }
    }
}

/// Follows references, and puts the parts of `allOf` together.
fn gather(
    document: &Value,
    schema: &Value,
    properties: &mut serde_json::Map<String, Value>,
    required: &mut BTreeSet<String>,
) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).unwrap();
        return gather(document, target, properties, required);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(document, part, properties, required);
    }
    properties.extend(
        schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default(),
    );
    let names = schema["required"].as_array().into_iter().flatten();
    required.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    schema.clone()
}
