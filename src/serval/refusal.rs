//! Decides whose word an answer is. Serval's errors are Connect bodies (codes as words) or
//! `google.rpc.Status` bodies (codes as numbers), at the token endpoint also `OAuth` errors. All else is
//! the word of a gateway, a proxy or a wrong server.
//!
//! Invariant: any bytes give a verdict, and no error holds a part of a credential. Pure.

use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;

use super::code::Code;
use super::error::{Foreign, Refusal, ServalError};
use crate::edge::blot::Blot;

/// Longest message of Serval that is kept, in characters.
const MAX_MESSAGE: usize = 500;

/// Longest request id, in characters.
const MAX_REQUEST_ID: usize = 128;

/// Upper bound for the wait that an answer asks for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Headers in which services put the id of a request.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "request-id", "x-correlation-id"];

/// A complete answer, of any status.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The call: its method and its URL, with names instead of ids.
    pub call: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// True for the token endpoint, which may use the errors of `OAuth`.
    pub is_token: bool,
    /// Time of the answer: dates in it count from here.
    pub now: Timestamp,
}

/// Reads an answer to a call. Only Serval speaks for Serval: a 2xx is a success if its body is empty or
/// a JSON object that is no error (see `is_error`), and a refusal is JSON with a known `code`. Any other answer is
/// [`ServalError::Foreign`]. The secrets of `blot` are replaced, in case the answer repeats them.
pub fn verdict(received: &Received<'_>, blot: &Blot) -> Result<(), ServalError> {
    let Received { status, body, .. } = *received;
    let is_success = (200..300).contains(&status);
    let is_json = |value: &Value| value.is_object();
    let value = serde_json::from_slice(body).ok().filter(is_json);
    let code = value
        .as_ref()
        .and_then(|value| code_of(value, received.is_token));
    // The order of the cases is the rule: a code in a refusal is Serval's word; a code in a 2xx
    // contradicts its status, so the call is in doubt; after that come the successes, and whatever
    // is left was not said by Serval. `what` names it for the operator.
    let what = match (code, &value) {
        (Some(code), Some(value)) if !is_success => {
            return Err(refused(received, code, value, blot));
        }
        (Some(code), _) => format!("an error, {code}"),
        (None, Some(value)) if is_success => match code_within(value) {
            Some(code) => format!("an error, {code}"),
            None if is_error(value, received.headers) => "an error".to_owned(),
            None => return Ok(()),
        },
        (None, None) if is_success && body.trim_ascii().is_empty() => return Ok(()),
        (None, Some(_)) => "JSON that has no known code".to_owned(),
        (None, None) if body.trim_ascii().is_empty() => "an empty body".to_owned(),
        (None, None) if body.trim_ascii_start().starts_with(b"<") => "a web page".to_owned(),
        (None, None) => "a text".to_owned(),
    };
    let text = match &value {
        Some(value) => message_of(value),
        None => message_of_text(&String::from_utf8_lossy(body)),
    };
    Err(foreign(received, &what, &text, blot))
}

fn refused(received: &Received<'_>, code: Code, value: &Value, blot: &Blot) -> ServalError {
    // Serval puts a wait either into the header or into a detail of the error. The header wins,
    // since a gateway that limits the rate writes only that.
    let wait_in_body = || {
        let details = ["details", "detail"];
        details
            .iter()
            .find_map(|key| read_retry_info(value.get(key)?))
    };
    ServalError::Refused(Refusal {
        call: received.call.to_owned(),
        status: received.status,
        code,
        message: one_line(&blot.apply(&message_of(value)), MAX_MESSAGE),
        request_id: request_id(received.headers).map(|id| blot.apply(&id)),
        retry_after: wait_in_header(received).or_else(wait_in_body),
    })
}

/// The error for an answer that is `what`, with a text from its body.
pub(super) fn foreign(received: &Received<'_>, what: &str, text: &str, blot: &Blot) -> ServalError {
    let headers = received.headers;
    let mut what = what.to_owned();
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // Without parameters, and only what is a type: anybody may read this.
    let essence = header(CONTENT_TYPE).and_then(|text| text.split(';').next());
    if let Some(essence) = essence.map(str::trim).filter(|text| is_word(text, 100)) {
        what = format!("{what} ({essence})");
    }
    // Only the host: the rest of the address may hold a secret.
    let target = header(LOCATION).filter(|_| (300..400).contains(&received.status));
    if let Some(host) = target.and_then(|to| Url::parse(to).ok()?.host_str().map(str::to_owned)) {
        what = format!("{what} that leads to {host}");
    }
    ServalError::Foreign(Foreign {
        call: received.call.to_owned(),
        status: received.status,
        what: blot.apply(&what),
        excerpt: one_line(&blot.apply(text), MAX_MESSAGE),
        request_id: request_id(headers).map(|id| blot.apply(&id)),
        retry_after: wait_in_header(received),
    })
}

fn wait_in_header(received: &Received<'_>) -> Option<Duration> {
    let value = received.headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, received.now)
}

/// Reads a `Retry-After` header: seconds, or an HTTP date, which counts from `now`.
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

/// The id that the server gave the request. A text that is too long, or has characters that ids do not
/// have, is ignored: nobody could look it up.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    REQUEST_ID_HEADERS
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .map(str::trim)
        .find(|text| is_word(text, MAX_REQUEST_ID))
        .map(str::to_owned)
}

/// True for a short text of characters that ids and types have.
fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@|".contains(&byte))
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
        // A character has at most four bytes, so this is enough to cut from.
        if line.len() > max.saturating_mul(4) {
            break;
        }
    }
    match line.char_indices().nth(max) {
        Some((end, _)) => line[..end].to_owned(),
        None => line,
    }
}

/// The code of an error in Serval's form: a word or a number.
fn code_of(value: &Value, is_token: bool) -> Option<Code> {
    let code = match value.get("code") {
        Some(Value::String(word)) => Code::parse(word),
        Some(Value::Number(number)) => number.as_u64().and_then(Code::from_number),
        _ => None,
    };
    let oauth = || Code::of_oauth(value.get("error")?.as_str()?);
    code.or_else(|| oauth().filter(|_| is_token))
}

/// True for an object that a server or a gateway means as an error, whatever the status of its answer: a
/// problem document, an object with an error in it, or one with a status of 400 or more.
fn is_error(value: &Value, headers: &HeaderMap) -> bool {
    const PROBLEM: &str = "application/problem+json";
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_problem = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(PROBLEM));
    // Many services send `"error": null` or an empty list with a success, so only a member with
    // content counts.
    let has_error = ["error", "errors"].iter().any(|key| match value.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::Object(_)) => true,
    });
    // Numbers below 400 and words such as "ok" say nothing about an error.
    let has_status = ["code", "status"].iter().any(|key| {
        let number = match value.get(key) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        number.is_some_and(|number| number >= 400)
    });
    is_problem || has_error || has_status
}

/// The code of an error that stands in another object.
fn code_within(value: &Value) -> Option<Code> {
    code_of(value.get("error")?, false)
}

/// The text of an error. `OAuth` has it in `error_description`, problem documents have it in `detail` or
/// `title`.
fn message_of(value: &Value) -> String {
    ["message", "error_description", "error", "detail", "title"]
        .iter()
        .find_map(|key| value.get(key)?.as_str())
        .unwrap_or_default()
        .to_owned()
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
    // The Connect protocol has the readable form of a detail under `debug`.
    [Some(details), details.get("debug")]
        .into_iter()
        .flatten()
        .find_map(|holder| holder.get("retryDelay")?.as_str())
        .and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|delay| delay.min(MAX_RETRY_AFTER))
}

/// Plain text as it is; the title of a web page.
fn message_of_text(text: &str) -> String {
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
