//! Bodies as the senders write them.

use serde_json::{Value, json};

/// A `sys_id`.
pub(crate) fn sys_id(n: u32) -> String {
    format!("a1b2{n:028x}")
}

/// A record of `table`, saved `mod_count` times.
pub(crate) fn record(table: &str, n: u32, mod_count: u32) -> String {
    let id = sys_id(n);
    format!(
        r#"{{"sys_id":"{id}","sys_class_name":"{table}","short_description":"Save {mod_count}","sys_updated_on":"2026-03-17 13:05:44","sys_mod_count":"{mod_count}"}}"#
    )
}

/// An incident.
pub(crate) fn incident(n: u32) -> String {
    record("incident", n, 1)
}

/// An incident, saved `mod_count` times, with further columns.
pub(crate) fn incident_with(n: u32, mod_count: u32, columns: &Value) -> String {
    let mut incident: Value = serde_json::from_str(&record("incident", n, mod_count)).unwrap();
    for (name, value) in columns.as_object().unwrap() {
        incident[name] = value.clone();
    }
    incident.to_string()
}

/// An incident whose `correlation_id` is Serval's, and names a ticket.
pub(crate) fn naming(n: u32, mod_count: u32, ticket_id: &str) -> String {
    let columns = json!({"correlation_id": ticket_id, "correlation_display": "Serval"});
    incident_with(n, mod_count, &columns)
}

/// A message in the channel C9DDYQ1B4, with `changes` in its inner event; `null` removes a key.
pub(crate) fn slack_message(event_id: &str, ts: &str, changes: &Value) -> String {
    let mut event = json!({
        "type": "message", "channel": "C9DDYQ1B4", "channel_type": "channel",
        "user": "U061F7AUR", "text": "The printer smokes", "ts": ts, "event_ts": ts,
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    event.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    callback(event_id, &event)
}

/// An inner event in Slack's envelope.
pub(crate) fn callback(event_id: &str, event: &Value) -> String {
    json!({
        "type": "event_callback", "token": "legacy", "team_id": "T0BRIDGE1",
        "api_app_id": "A0BRIDGE1", "event_id": event_id, "event_time": 1_779_146_752,
        "authorizations": [{"team_id": "T0BRIDGE1", "user_id": "U0BRIDGE1", "is_bot": true}],
        "event": event,
    })
    .to_string()
}
