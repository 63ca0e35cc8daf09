//! `/api/v1/stats`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::delivery::gate::breaker::{Hold, Mode};
use crate::delivery::gate::pace::AskedToWait;
use crate::domain::event::EventState;
use crate::domain::feed::{Feed, Trouble};
use crate::domain::ids::SourceName;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Events by state.
type Counts = BTreeMap<&'static str, i64>;

/// Counts and ages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsView {
    /// Events by state.
    #[schema(value_type = BTreeMap<String, i64>)]
    totals: Counts,
    /// Events by source and state.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, i64>>)]
    sources: BTreeMap<String, Counts>,
    /// Feed of each configured source.
    #[schema(value_type = BTreeMap<String, FeedView>)]
    feeds: BTreeMap<SourceName, FeedView>,
    /// Arrival of the oldest queued event.
    oldest_queued_at: Option<Timestamp>,
    /// Age of that event, in seconds.
    oldest_queued_age_s: Option<i64>,
    /// Time at which the oldest due event became due.
    oldest_due_at: Option<Timestamp>,
    /// Seconds since then.
    oldest_due_age_s: Option<i64>,
    /// Arrival of the oldest parked event.
    oldest_parked_at: Option<Timestamp>,
    /// Age of that event, in seconds.
    oldest_parked_age_s: Option<i64>,
    /// Claims that ran out without a result.
    overdue_claims: i64,
    /// Number of pairs connected in the last minute.
    connects_per_minute: i64,
    /// Calls to Serval in flight.
    calls_in_flight: usize,
    /// Current pace in calls per second; null: no limit.
    calls_per_second_allowed: Option<f64>,
    /// True while an operator has paused the calls to Serval.
    paused: bool,
    /// Circuit breaker.
    breaker: Breaker,
    /// Set while Serval refuses the credentials. No calls are made then.
    hold: Option<Hold>,
    /// Set while calls wait because an answer of Serval asked for it. After a 429 no call is made then; while
    /// the breaker is not closed, none for the events that were tried.
    asked_to_wait: Option<AskedToWait>,
}

fn trouble_words() -> Object {
    let words = Trouble::ALL.map(|trouble| Value::from(trouble.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "Why webhooks do not come, or not all of them; null: nothing is known to be wrong.",
        ))
        .enum_values(Some(words.into_iter().chain([Value::Null])))
        .build()
}

/// Feed of a source: the arrivals and refusals of its webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Feed)]
pub(crate) struct FeedView {
    /// Arrival of the last accepted webhook.
    last_webhook_at: Option<Timestamp>,
    /// Time of the last refused webhook since the start of the daemon.
    last_refused_at: Option<Timestamp>,
    /// Number of webhooks that were refused in the last hour.
    refused_last_hour: u64,
    /// Cause of the last refusal, as in the log.
    refused_cause: Option<&'static str>,
    /// Why webhooks do not come, or not all of them.
    #[schema(schema_with = trouble_words, required)]
    trouble: Option<&'static str>,
}

impl From<Feed> for FeedView {
    fn from(feed: Feed) -> Self {
        Self {
            last_webhook_at: feed.last_webhook_at,
            last_refused_at: feed.last_refused_at,
            refused_last_hour: feed.refused_last_hour,
            refused_cause: feed.refused_cause,
            trouble: feed.trouble.map(|(trouble, _)| trouble.as_str()),
        }
    }
}

/// Circuit breaker: it stops the calls while Serval fails.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Breaker {
    /// `closed`: calls are made; `suspect`: some failed; `open`: only probes are made.
    state: &'static str,
    /// Time since which it is not closed.
    since: Option<Timestamp>,
    /// Time of the next probe.
    next_probe_at: Option<Timestamp>,
}

/// Read the statistics
///
/// Counts by source and state, ages, and the state of the calls to Serval.
#[utoipa::path(
    get,
    path = "/stats",
    operation_id = "get_stats",
    tag = "stats",
    responses((status = 200, body = StatsView))
)]
pub(super) async fn get(State(state): State<AppState>) -> Result<Json<StatsView>, Problem> {
    let now = state.clock.now();
    let numbers = state.store.levels(now).await?;
    let feeds = state.operators.feeds(now).await?.into_iter();
    let connects_per_minute = state.store.connects_last_minute(now).await?;
    // Every state of every source is listed, also with 0, so that programs find each key.
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
    // A clock that was set back must not make a negative age.
    let age = |at: Option<Timestamp>| at.map(|at| now.duration_since(at).as_secs().max(0));
    let calls = state.operators.calls();
    Ok(Json(StatsView {
        totals,
        sources,
        feeds: feeds.map(|(name, feed)| (name, feed.into())).collect(),
        oldest_queued_at: numbers.oldest_queued,
        oldest_queued_age_s: age(numbers.oldest_queued),
        oldest_due_at: numbers.oldest_due,
        oldest_due_age_s: age(numbers.oldest_due),
        oldest_parked_at: numbers.oldest_parked,
        oldest_parked_age_s: age(numbers.oldest_parked),
        overdue_claims: numbers.overdue_claims,
        connects_per_minute,
        calls_in_flight: calls.in_flight,
        calls_per_second_allowed: calls.rate,
        paused: calls.is_paused,
        breaker: breaker(&calls.mode),
        asked_to_wait: calls.asked_to_wait,
        hold: match calls.mode {
            Mode::Held(hold) => Some(hold),
            Mode::Closed | Mode::Suspect(_) | Mode::Open(_) => None,
        },
    }))
}

fn breaker(mode: &Mode) -> Breaker {
    let probing = match mode {
        Mode::Closed | Mode::Held(_) => None,
        Mode::Suspect(probing) | Mode::Open(probing) => Some(probing),
    };
    Breaker {
        state: mode.breaker().as_str(),
        since: probing.map(|probing| probing.since),
        next_probe_at: probing.map(|probing| probing.next_at),
    }
}
