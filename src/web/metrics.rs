//! `/metrics`: counters, and the current state.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::state::AppState;
use crate::delivery::gate::breaker::Mode;
use crate::domain::event::EventState;
use crate::domain::feed::Trouble;
use crate::edge::metrics::{FeedLevels, Format, Scrape, StoreLevels};
use crate::store::Levels;

const OPENMETRICS: &str = "application/openmetrics-text";

/// Read the metrics
///
/// In the text format of Prometheus, or in that of `OpenMetrics` if `Accept` asks for it. Needs no token. The
/// cost does not grow with the history.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "health",
    params(("Accept" = Option<String>, Header, description = "The formats that the client reads", example = "application/openmetrics-text;version=1.0.0")),
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text")))),
    security(())
)]
pub(super) async fn get(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let format = format(
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|v| v.to_str().ok()),
    );
    let kind = match format {
        Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    let page = page(&state, format).await;
    ([(CONTENT_TYPE, kind)], page).into_response()
}

/// Chooses by `Accept`: `OpenMetrics` if it is named in our version, and is wanted no less than plain text.
fn format<'a>(fields: impl Iterator<Item = &'a str>) -> Format {
    let (mut open_metrics, mut plain) = (0.0, 0.0);
    for range in fields.flat_map(|field| field.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let (mut version, mut weight) = ("1.0.0", 1.0);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => version = value.trim_matches('"'),
                name if name.eq_ignore_ascii_case("q") => weight = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        if kind.eq_ignore_ascii_case(OPENMETRICS) && version == "1.0.0" {
            open_metrics = f32::max(open_metrics, weight);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            plain = f32::max(plain, weight);
        }
    }
    if open_metrics > 0.0 && open_metrics >= plain {
        Format::OpenMetrics
    } else {
        Format::Classic
    }
}

/// Renders the page.
async fn page(state: &AppState, format: Format) -> String {
    let now = state.clock.now();
    let levels = state.store.levels(now).await;
    let is_ready = state.operators.problems(&levels, now).await.is_empty();
    let (calls, own) = (state.operators.calls(), state.operators.own_calls());
    let (other_replicas, _) = state.store.other_replicas();
    let files = state.store.sizes().await;
    let scrape = Scrape {
        is_ready,
        breaker: calls.mode.breaker(),
        is_held: matches!(calls.mode, Mode::Held(_)),
        is_paused: calls.is_paused,
        requests_in_flight: vec![
            state.webhook_limit.in_flight(),
            state.admin_limit.in_flight(),
        ],
        body_bytes: state.bodies.taken(),
        leads: state.store.leads(),
        replicas_alive: other_replicas + 1,
        calls_in_flight: own.in_flight,
        token_refreshes: own.token_refreshes,
        is_store_failing: state.store.is_failing(),
        queue_depth: state.store.queue_depth(),
        database_bytes: files.database,
        wal_bytes: files.wal,
        clock_step: state.store.last_step(),
        feeds: feeds(state, now).await,
        store: levels.ok().map(|levels| store(state, levels, now)),
    };
    state.metrics.render(&scrape, format)
}

/// Without the database nothing is known of the sources, and the series are left out.
async fn feeds(state: &AppState, now: Timestamp) -> Vec<FeedLevels> {
    let feeds = state.operators.feeds(now).await.unwrap_or_default();
    let levels = feeds.into_iter().map(|(source, feed)| {
        let found = feed.trouble.map(|(trouble, _)| trouble);
        let last = feed.last_webhook_at.map(Timestamp::as_duration);
        FeedLevels {
            source: source.to_string(),
            last_webhook_at: last.map_or(0.0, |last| last.as_secs_f64()),
            troubles: Trouble::ALL
                .map(|trouble| (trouble.as_str(), found == Some(trouble)))
                .to_vec(),
        }
    });
    levels.collect()
}

fn store(state: &AppState, levels: Levels, now: Timestamp) -> StoreLevels {
    let age =
        |at: Option<Timestamp>| at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
    // A series that appears with its first event would not count as an increase, so all start at 0.
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
        oldest_named_parked_seconds: age(levels.oldest_named_parked),
        overdue_claims: levels.overdue_claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        use Format::{Classic, OpenMetrics};
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (&[][..], Classic),
            (&[""], Classic),
            (&["*/*"], Classic),
            (&["text/plain"], Classic),
            (&["text/html, */*;q=0.1"], Classic),
            (&["application/openmetrics-text"], OpenMetrics),
            (
                &["APPLICATION/OpenMetrics-Text; Version=\"1.0.0\""],
                OpenMetrics,
            ),
            (&[prometheus], OpenMetrics),
            (&["text/plain", "application/openmetrics-text"], OpenMetrics),
            (
                &["text/plain;q=0.5, application/openmetrics-text;q=0.4"],
                Classic,
            ),
            (
                &["text/plain;q=0.4, application/openmetrics-text;q=0.5"],
                OpenMetrics,
            ),
            (&["application/openmetrics-text;q=0"], Classic),
            (&["application/openmetrics-text;q=x"], Classic),
            (&["application/openmetrics-text;version=2.0.0"], Classic),
            (&["application/openmetrics-text;version=0.0.1"], Classic),
            (&["application/openmetrics-textual"], Classic),
        ] {
            assert_eq!(format(accept.iter().copied()), expected, "{accept:?}");
        }
    }
}
