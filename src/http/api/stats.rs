//! `/api/v1/stats`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::delivery::line::Mode;
use crate::domain::event::EventState;
use crate::http::{AppState, Problem};

/// Events by state.
type Counts = BTreeMap<&'static str, i64>;

/// Numbers about the whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsView {
    /// Events by state.
    #[schema(value_type = BTreeMap<String, i64>)]
    totals: Counts,
    /// Events by source and state.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, i64>>)]
    sources: BTreeMap<String, Counts>,
    /// The arrival of the oldest queued event.
    oldest_queued_at: Option<Timestamp>,
    /// Its age in seconds.
    oldest_queued_age_s: Option<i64>,
    /// Since when the event that is due for the longest is due.
    oldest_due_at: Option<Timestamp>,
    /// For how many seconds.
    oldest_due_age_s: Option<i64>,
    /// The arrival of the oldest parked event.
    oldest_parked_at: Option<Timestamp>,
    /// Its age in seconds.
    oldest_parked_age_s: Option<i64>,
    /// Calls whose time is over without a result.
    overdue_claims: i64,
    /// Pairs connected in the last minute.
    connects_per_minute: i64,
    /// Calls to Serval in hand.
    calls_in_flight: usize,
    /// Calls per second that the pace allows now; null: no limit.
    calls_per_second_allowed: Option<f64>,
    /// Whether an operator stopped the calls to Serval.
    paused: bool,
    /// Whether calls are held back because Serval fails.
    breaker: Breaker,
    /// Why no calls are made although Serval works: it refuses the credentials.
    hold: Option<HoldView>,
}

/// Whether calls are held back because Serval fails.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Breaker {
    /// `closed`: calls are made; `suspect`: some failed; `open`: only probes are made.
    state: &'static str,
    /// Since when it is not closed.
    since: Option<Timestamp>,
    /// When Serval is tried next.
    next_probe_at: Option<Timestamp>,
}

/// Refused credentials.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldView {
    /// What Serval said.
    reason: String,
    /// Since when.
    since: Timestamp,
    /// When the credentials are tried next.
    next_check_at: Timestamp,
}

/// Read the numbers
///
/// Counts per source and state, ages, and how the calls to Serval go.
#[utoipa::path(
    get,
    path = "/stats",
    operation_id = "get_stats",
    tag = "stats",
    responses((status = 200, body = StatsView))
)]
pub(super) async fn get(State(state): State<AppState>) -> Result<Json<StatsView>, Problem> {
    let now = state.clock.now();
    let numbers = state.store.stats(now).await?;
    let zeroes = || -> Counts {
        let states = EventState::ALL.iter();
        states.map(|state| (state.as_str(), 0)).collect()
    };
    let mut totals = zeroes();
    let mut sources: BTreeMap<String, Counts> = state
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
    let mode = state.monitor.mode();
    Ok(Json(StatsView {
        totals,
        sources,
        oldest_queued_at: numbers.oldest_queued,
        oldest_queued_age_s: age(numbers.oldest_queued),
        oldest_due_at: numbers.oldest_due,
        oldest_due_age_s: age(numbers.oldest_due),
        oldest_parked_at: numbers.oldest_parked,
        oldest_parked_age_s: age(numbers.oldest_parked),
        overdue_claims: numbers.overdue_claims,
        connects_per_minute: numbers.connects_last_minute,
        calls_in_flight: state.monitor.in_flight(),
        calls_per_second_allowed: state.monitor.rate(),
        paused: state.monitor.is_paused(),
        breaker: breaker(&mode),
        hold: hold(mode),
    }))
}

fn breaker(mode: &Mode) -> Breaker {
    let probing = match mode {
        Mode::Flowing | Mode::Held(_) => None,
        Mode::Suspect(probing) | Mode::Open(probing) => Some(probing),
    };
    Breaker {
        state: mode.breaker(),
        since: probing.map(|probing| probing.since),
        next_probe_at: probing.map(|probing| probing.next_at),
    }
}

fn hold(mode: Mode) -> Option<HoldView> {
    match mode {
        Mode::Held(hold) => Some(HoldView {
            reason: hold.reason,
            since: hold.since,
            next_check_at: hold.check_at,
        }),
        Mode::Flowing | Mode::Suspect(_) | Mode::Open(_) => None,
    }
}
