//! `/metrics`: what was counted, and how things stand.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::AppState;
use crate::delivery::line::Mode;
use crate::domain::event::EventState;
use crate::metrics::{Breaker, Scrape, StoreLevels};
use crate::operator;
use crate::store::Levels;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Read the metrics
///
/// For Prometheus and its kind, in the `OpenMetrics` format. Without a token. Reads a handful of rows,
/// however long the history is.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "health",
    responses((status = 200, content((String = "application/openmetrics-text")))),
    security(())
)]
pub(super) async fn get(State(state): State<AppState>) -> Response {
    let (_, page) = page(&state).await;
    ([(CONTENT_TYPE, OPENMETRICS)], page).into_response()
}

/// The page, and the moment that it speaks of.
pub(crate) async fn page(state: &AppState) -> (Timestamp, String) {
    let now = state.clock.now();
    let levels = state.store.levels(now).await;
    let is_ready = operator::problems(&state.store, &state.monitor, &levels, now)
        .await
        .is_empty();
    let mode = state.monitor.mode();
    let files = state.store.file_sizes();
    let scrape = Scrape {
        is_ready,
        breaker: match mode {
            Mode::Flowing | Mode::Held(_) => Breaker::Closed,
            Mode::Suspect(_) => Breaker::Suspect,
            Mode::Open(_) => Breaker::Open,
        },
        is_held: matches!(mode, Mode::Held(_)),
        is_paused: state.monitor.is_paused(),
        requests_in_flight: vec![state.webhook_places.taken(), state.admin_places.taken()],
        calls_in_flight: state.monitor.in_flight(),
        token_refreshes: state.monitor.token_refreshes(),
        is_store_failing: state.store.is_failing(),
        queue_depth: state.store.queue_depth(),
        database_bytes: files.database,
        wal_bytes: files.wal,
        store: levels.ok().map(|levels| store(state, levels, now)),
    };
    (now, state.metrics.render(&scrape))
}

fn store(state: &AppState, levels: Levels, now: Timestamp) -> StoreLevels {
    let age =
        |at: Option<Timestamp>| at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
    // Every state of every source is a number from the start, so that an alert sees it grow.
    let zeroes = state
        .sources
        .keys()
        .flat_map(|name| EventState::ALL.map(|state| (name.to_string(), state.as_str(), 0)));
    let counts = levels.counts.into_iter();
    let counted = counts.map(|(source, state, n)| (source, state.as_str(), n));
    StoreLevels {
        events: zeroes.chain(counted).collect(),
        oldest_due_seconds: age(levels.oldest_due),
        oldest_parked_seconds: age(levels.oldest_parked),
        overdue_claims: levels.overdue_claims,
    }
}
