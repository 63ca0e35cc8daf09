//! The shape of Serval's `channelTarget`, checked when a source is built.
//!
//! Only the shape: which kinds of target exist is Serval's business and may change without us.

use serde_json::value::Value;

/// Checks that `value` is an object with exactly one key (the kind of target) whose value is an
/// object. The text names the problem and what to write instead, never the value.
pub(super) fn check(value: Option<&Value>) -> Result<(), String> {
    let problem = match value {
        None | Some(Value::Null) => "is missing",
        Some(Value::Object(target)) => {
            let mut kinds = target.values();
            match (kinds.next(), kinds.next()) {
                (Some(Value::Object(_)), None) => return Ok(()),
                (Some(_), None) => "holds no table below its key",
                (None, _) => "is empty",
                (Some(_), Some(_)) => "has more than one key",
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            "is not a table"
        }
    };
    Err(format!(
        "{problem}; write one kind of target with its fields, such as {{ ticketSource = {{ integrationId = \"…\" }} }}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;

    #[test]
    fn a_target_is_one_key_with_an_object() {
        for good in [
            json!({"ticketSource": {"integrationId": "i"}}),
            json!({"email": {}}),
        ] {
            assert_eq!(check(Some(&good)), Ok(()), "{good}");
        }
        assert!(check(None).unwrap_err().starts_with("is missing"));
        for (bad, problem) in [
            (json!(null), "is missing"),
            (json!({}), "is empty"),
            (json!({"a": {}, "b": {}}), "has more than one key"),
            (json!({"a": "x"}), "holds no table"),
            (json!({"a": null}), "holds no table"),
            (json!([{"a": {}}]), "is not a table"),
            (json!("s3cret"), "is not a table"),
        ] {
            let text = check(Some(&bad)).unwrap_err();
            assert!(text.starts_with(problem), "{bad}: {text}");
            assert!(!text.contains("s3cret"));
        }
    }
}
