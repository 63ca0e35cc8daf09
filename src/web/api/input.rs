//! Reads the parts of a request, with errors that name the field.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, IgnoredAny, Unexpected};

use crate::domain::ids::SourceName;
use crate::web::plain::plain;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Refuses a query, a path or a header.
pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// Reads a JSON object. A body that is not JSON is a 400, a wrong member a 422.
pub(super) fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    // serde would read a list as an object, element by element.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body is a list, expected an object",
            ),
            Err(error) => not_json(&error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // serde_json takes a wrong word for a fault of the JSON.
        let is_json = inner.is_data() || serde_json::from_slice::<serde_json::Value>(body).is_ok();
        if !is_json {
            return not_json(&inner);
        }
        let place = if path == "." {
            String::new()
        } else {
            format!("{path}: ")
        };
        let detail = format!("{place}{}", plain(&inner.to_string()));
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    // Refuses text after the object: the caller would believe that it was read.
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Reads an optional JSON object: without a body, or with `null`, it is the default.
pub(super) fn json_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Problem> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        _ => json(body),
    }
}

/// Reads an optional member of a body: `null` is like a member that is missing.
pub(super) fn or_default<'de, D, T>(member: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(member).map(Option::unwrap_or_default)
}

/// Reads an optional whole number. JSON has one kind of number, so `5.0` is `5`.
pub(super) fn whole<'de, D: Deserializer<'de>>(member: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(member)? else {
        return Ok(None);
    };
    let whole = number.to_string().parse();
    let wrong = |_| D::Error::invalid_value(Unexpected::Float(number), &"u32");
    whole.map(Some).map_err(wrong)
}

fn not_json(error: &serde_json::Error) -> Problem {
    bad_request(format!("the body is not JSON: {error}"))
}

/// Checks that a source is configured, if one is named.
pub(super) fn source(
    state: &AppState,
    name: Option<String>,
) -> Result<Option<SourceName>, Problem> {
    let found = name.map(|name| state.operators.source(&name));
    Ok(found.transpose()?)
}

/// Finds the Serval ticket of a filter, if one is named.
pub(super) async fn serval_ticket(
    state: &AppState,
    source: Option<&SourceName>,
    typed: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    let id = state.operators.serval_filter(source, typed).await?;
    Ok(Some(id.to_string()))
}
