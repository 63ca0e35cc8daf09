//! Prints one event: its facts, then its states and calls in order of time.

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::event::EventState;
use crate::terminal::output;

/// Prints an event of the API.
pub(super) fn account(event: &Value) {
    let member = |name| output::member(event, name);
    output::line(format_args!(
        "{}  {}  {}",
        output::cell(event, "id"),
        output::cell(event, "source"),
        output::cell(event, "event_type"),
    ));
    let about = member("external_id").map(|id| match member("subtype") {
        Some(subtype) => format!("{id} ({subtype})"),
        None => id,
    });
    let attempts = event["attempts"].as_array().map_or(0, Vec::len);
    // One member of the API has two meanings, by the state.
    let due = match event["state"].as_str() {
        Some("parked") => "expires",
        _ => "next try",
    };
    output::facts([
        ("state", Some(standing(event))),
        ("about", about),
        ("ticket", member("ticket_id")),
        ("received", output::time(event, "received_at")),
        ("changed", output::time(event, "updated_at")),
        (due, output::time(event, "due_at")),
        ("attempts", Some(attempts.to_string())),
        ("last error", member("last_error")),
        ("body", Some(kept(event))),
    ]);
    output::line("");
    for line in time_line(event) {
        output::line(line);
    }
    if let Some(advice) = advice(event) {
        output::line("");
        output::line(advice);
    }
}

/// Advice about an event that needs a person.
fn advice(event: &Value) -> Option<String> {
    let member = |name| output::member(event, name);
    // A newer daemon may know more states. Then there is no advice, and no error either.
    match EventState::parse(event["state"].as_str()?)? {
        EventState::Dead | EventState::Expired => Some(format!(
            "once the cause is fixed: serval-connect events replay {}",
            member("id")?
        )),
        EventState::Parked => Some(format!(
            "to release it: serval-connect map set {} {} TICKET_ID",
            member("source")?,
            member("external_id")?
        )),
        EventState::Queued | EventState::Connected | EventState::Skipped | EventState::Ignored => {
            None
        }
    }
}

/// Prints the raw body.
pub(super) fn body(event: &Value) {
    output::line("");
    match event["body"].as_str() {
        Some(body) => output::line(body),
        None => output::note("the body was not kept"),
    }
}

fn kept(event: &Value) -> String {
    event["body"].as_str().map_or_else(
        || "not kept".to_owned(),
        |body| format!("{} bytes, shown with --body", body.len()),
    )
}

/// The state with its reason: `dead (not_found)`.
fn standing(entry: &Value) -> String {
    let state = output::cell(entry, "state");
    match output::member(entry, "reason") {
        Some(reason) => format!("{state} ({reason})"),
        None => state,
    }
}

/// States and calls in order of time.
fn time_line(event: &Value) -> Vec<String> {
    let list = |name: &str| event[name].as_array().cloned().unwrap_or_default();
    let at = |entry: &Value, name: &str| {
        let at = entry[name].as_str()?;
        at.parse::<Timestamp>().ok()
    };
    // Times have milliseconds. Entries of the same millisecond are sorted as they can only happen: an
    // event waits (0), a call is made (1), the event ends (2).
    let mut entries: Vec<(Option<Timestamp>, u8, Vec<String>)> = Vec::new();
    for change in list("history") {
        let state = change["state"].as_str().and_then(EventState::parse);
        let order = if state.is_some_and(EventState::is_terminal) {
            2
        } else {
            0
        };
        let time = output::time_to(&change, "at", 3).unwrap_or_default();
        let line = format!("{time}  {}", standing(&change));
        entries.push((at(&change, "at"), order, vec![line]));
    }
    for attempt in list("attempts") {
        entries.push((at(&attempt, "started_at"), 1, call(&attempt)));
    }
    entries.sort_by_key(|(at, order, _)| (*at, *order));
    entries.into_iter().flat_map(|(.., lines)| lines).collect()
}

/// One call to Serval: its result, then details of the answer.
fn call(attempt: &Value) -> Vec<String> {
    let member = |name| output::member(attempt, name);
    let what = if attempt["probe"] == true {
        "probe"
    } else {
        "call"
    };
    let status = member("status").map_or_else(|| "no answer".to_owned(), |s| format!("HTTP {s}"));
    let code = member("code").map(|code| format!(" {code}"));
    let mut lines = vec![format!(
        "{}  {what} about ticket {}: {status}{} after {} ms: {}",
        output::time_to(attempt, "started_at", 3).unwrap_or_default(),
        output::cell(attempt, "ticket_id"),
        code.unwrap_or_default(),
        output::cell(attempt, "duration_ms"),
        outcome(attempt),
    )];
    let said = [
        member("answer"),
        member("request_id").map(|id| format!("Serval's request id: {id}")),
        member("retry_after_ms").map(|ms| format!("Serval asked to wait: {ms} ms")),
    ];
    let indented = |text| format!("{:26}{text}", "");
    lines.extend(said.into_iter().flatten().map(indented));
    lines
}

/// Result of a call in words.
fn outcome(attempt: &Value) -> String {
    match attempt["outcome"].as_str() {
        Some("connected") => "connected".to_owned(),
        Some("already_linked") => "Serval had the pair already".to_owned(),
        Some("retry") => "to be tried again".to_owned(),
        Some("held") => "held, it costs the event nothing".to_owned(),
        Some("dead") => "given up".to_owned(),
        _ => output::cell(attempt, "outcome"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_and_calls_stand_in_the_order_of_time() {
        let event = json!({
            "history": [
                { "at": "2026-03-01T02:00:00.000Z", "state": "parked", "reason": "no_mapping" },
                { "at": "2026-03-01T02:00:05.000Z", "state": "queued", "reason": "mapped" },
                { "at": "2026-03-01T02:00:07.000Z", "state": "dead", "reason": "not_found" },
            ],
            "attempts": [
                { "started_at": "2026-03-01T02:00:05.000Z", "duration_ms": 12, "ticket_id": "T1",
                  "outcome": "retry", "status": 503, "code": "unavailable", "answer": "later",
                  "request_id": null, "retry_after_ms": 2000, "probe": false },
                { "started_at": "2026-03-01T02:00:07.000Z", "duration_ms": 9, "ticket_id": "T1",
                  "outcome": "dead", "status": null, "code": null, "answer": null,
                  "request_id": "r-1", "retry_after_ms": null, "probe": true },
            ],
        });
        assert_eq!(
            time_line(&event),
            [
                "2026-03-01T02:00:00.000Z  parked (no_mapping)",
                "2026-03-01T02:00:05.000Z  queued (mapped)",
                "2026-03-01T02:00:05.000Z  call about ticket T1: HTTP 503 unavailable after 12 ms: to be tried again",
                "                          later",
                "                          Serval asked to wait: 2000 ms",
                "2026-03-01T02:00:07.000Z  probe about ticket T1: no answer after 9 ms: given up",
                "                          Serval's request id: r-1",
                "2026-03-01T02:00:07.000Z  dead (not_found)",
            ]
        );
    }

    #[test]
    fn an_event_that_does_not_move_says_what_would_move_it() {
        for (state, expected) in [
            ("dead", Some("events replay evt_1")),
            ("expired", Some("events replay evt_1")),
            ("parked", Some("map set slack C111:1.2 TICKET_ID")),
            ("queued", None),
            ("connected", None),
        ] {
            let event = json!({
                "id": "evt_1", "source": "slack", "external_id": "C111:1.2", "state": state,
            });
            let advice = advice(&event);
            let ends = |text: &str| expected.is_some_and(|expected| text.ends_with(expected));
            assert_eq!(
                advice.as_deref().is_some_and(ends),
                expected.is_some(),
                "{advice:?}"
            );
        }
    }

    #[test]
    fn an_empty_account_has_no_time_line() {
        assert_eq!(time_line(&json!({})), Vec::<String>::new());
    }
}
