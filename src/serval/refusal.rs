//! Reads answers that are not 2xx: Connect bodies (string codes), `google.rpc.Status` bodies
//! (numeric codes), `OAuth` errors, and a proxy's text or HTML.
//!
//! Invariant: any bytes give an error value; nothing of a credential gets into it.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use serde_json::Value;

use super::code::Code;
use super::error::ServalError;

/// Characters of Serval's message that are kept.
const MAX_MESSAGE: usize = 500;

/// Characters of a request id.
const MAX_REQUEST_ID: usize = 128;

/// The longest wait that is taken over from an answer.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Where services put the name of an exchange.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "request-id", "x-correlation-id"];

/// The answer as a [`ServalError::Refused`]. `secrets` are blotted out, should the answer echo them.
pub(super) fn read(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    secrets: &[&str],
) -> ServalError {
    let said = said(body);
    let blot = |text: String| {
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text, |text, secret| text.replace(secret, "[redacted]"))
    };
    let message = blot(said.message);
    ServalError::Refused {
        status,
        code: said.code.or_else(|| Code::from_http_status(status)),
        message: one_line(&message, MAX_MESSAGE),
        request_id: request_id(headers).map(blot),
        retry_after: headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, now))
            .or(said.retry_after),
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date, which is taken relative to `now`.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let date = Timestamp::try_from(date).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The name that the answering side gave the exchange. What is too long or has other characters than
/// names have is none: it is stored and shown, and nobody could look it up.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let is_name = |text: &&str| {
        (1..=MAX_REQUEST_ID).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@|".contains(&byte))
    };
    REQUEST_ID_HEADERS
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .map(str::trim)
        .find(is_name)
        .map(str::to_owned)
}

/// `text` on one line, without control characters, of at most `max` characters.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // A character is a byte at least, so this is enough to cut from.
        if line.len() > max.saturating_mul(4) {
            break;
        }
    }
    match line.char_indices().nth(max) {
        Some((end, _)) => line[..end].to_owned(),
        None => line,
    }
}

/// What a body says, as far as it does.
#[derive(Default)]
struct Statement {
    code: Option<Code>,
    message: String,
    retry_after: Option<Duration>,
}

fn said(body: &[u8]) -> Statement {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value.is_object() => said_in_json(&value),
        _ => Statement {
            message: said_in_text(&String::from_utf8_lossy(body)),
            ..Statement::default()
        },
    }
}

fn said_in_json(value: &Value) -> Statement {
    // Some gateways wrap the status once more.
    let inner = value.get("error").filter(|error| error.is_object());
    let status = inner.unwrap_or(value);
    let text = |key: &str| status.get(key).and_then(Value::as_str);
    Statement {
        code: ["code", "status"]
            .iter()
            .find_map(|key| read_code(status.get(key)?)),
        message: ["message", "error_description", "error", "detail", "title"]
            .iter()
            .find_map(|key| text(key))
            .unwrap_or_default()
            .to_owned(),
        retry_after: ["details", "detail"]
            .iter()
            .find_map(|key| read_retry_info(status.get(key)?)),
    }
}

fn read_code(value: &Value) -> Option<Code> {
    match value {
        Value::String(word) => Code::parse(word),
        Value::Number(number) => Code::from_number(number.as_u64()?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Finds a `google.rpc.RetryInfo` with a readable delay (`"1.5s"`), in one detail or a list.
fn read_retry_info(details: &Value) -> Option<Duration> {
    if let Value::Array(list) = details {
        return list.iter().find_map(read_retry_info);
    }
    let kind = details.get("@type").or_else(|| details.get("type"))?;
    if !kind.as_str()?.ends_with("google.rpc.RetryInfo") {
        return None;
    }
    [Some(details), details.get("debug")]
        .into_iter()
        .flatten()
        .find_map(|holder| holder.get("retryDelay")?.as_str())
        .and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|delay| delay.min(MAX_RETRY_AFTER))
}

/// A text as it is; of a web page its title.
fn said_in_text(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    // Lower-casing ASCII only keeps the byte offsets.
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower.get(start..)?.find("</title>")?;
        text.get(start..end)
    });
    title.unwrap_or("a web page").to_owned()
}
