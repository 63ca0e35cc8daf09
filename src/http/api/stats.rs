//! `/api/v1/stats`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::delivery::line::Mode;
use crate::domain::event::EventState;
use crate::http::{AppState, Problem};

/// `GET /stats`
pub(super) async fn get(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    let now = state.clock.now();
    let numbers = state.store.stats(now).await?;
    let zeroes = || -> BTreeMap<&str, i64> {
        EventState::ALL
            .iter()
            .map(|state| (state.as_str(), 0))
            .collect()
    };
    let mut totals = zeroes();
    let mut sources: BTreeMap<String, BTreeMap<&str, i64>> = state
        .sources
        .keys()
        .map(|name| (name.to_string(), zeroes()))
        .collect();
    for (source, state, n) in numbers.counts {
        *totals.entry(state.as_str()).or_default() += n;
        *sources
            .entry(source)
            .or_insert_with(zeroes)
            .entry(state.as_str())
            .or_default() += n;
    }
    let age = |at: Option<Timestamp>| at.map(|at| now.duration_since(at).as_secs().max(0));
    Ok(Json(json!({
        "totals": totals,
        "sources": sources,
        "oldest_queued_at": numbers.oldest_queued,
        "oldest_queued_age_s": age(numbers.oldest_queued),
        "oldest_due_at": numbers.oldest_due,
        "oldest_due_age_s": age(numbers.oldest_due),
        "oldest_parked_at": numbers.oldest_parked,
        "oldest_parked_age_s": age(numbers.oldest_parked),
        "overdue_claims": numbers.overdue_claims,
        "connects_per_minute": numbers.connects_last_minute,
        "calls_in_flight": state.monitor.in_flight(),
        "calls_per_second_allowed": state.monitor.rate(),
        "paused": state.monitor.is_paused(),
        "breaker": breaker(&state.monitor.mode()),
        "hold": hold(&state.monitor.mode()),
    })))
}

fn breaker(mode: &Mode) -> Value {
    let (word, probing) = match mode {
        Mode::Flowing | Mode::Held(_) => ("closed", None),
        Mode::Suspect(probing) => ("suspect", Some(probing)),
        Mode::Open(probing) => ("open", Some(probing)),
    };
    json!({
        "state": word,
        "since": probing.map(|probing| probing.since),
        "next_probe_at": probing.map(|probing| probing.next_at),
    })
}

fn hold(mode: &Mode) -> Value {
    match mode {
        Mode::Held(hold) => json!({
            "reason": hold.reason,
            "since": hold.since,
            "next_check_at": hold.check_at,
        }),
        Mode::Flowing | Mode::Suspect(_) | Mode::Open(_) => Value::Null,
    }
}
