//! Readiness: webhooks are stored, and stored events move on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::AppState;
use crate::delivery::gate::breaker::Mode;
use crate::operators::By;
use crate::store::Levels;

/// State of the daemon.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// Reasons why it is not ready.
    problems: Vec<String>,
    /// Failure of the last call to Serval, if it failed: the call, the status and the kind of answer, or the
    /// fault of the network. It holds no text of the answer.
    serval: Option<String>,
    /// True while an operator has paused the calls to Serval. The daemon is still ready.
    paused: bool,
    /// State of the circuit breaker: `closed`, `suspect` or `open`. Events wait while it is open, so the
    /// daemon is still ready. Null: this replica does not know which one makes the calls.
    breaker: Option<&'static str>,
    /// True while Serval refuses the credentials.
    held: bool,
    /// Seconds since the oldest due event became due.
    oldest_due_age_s: Option<i64>,
    /// Age of the oldest parked event, in seconds.
    oldest_parked_age_s: Option<i64>,
    /// A step that the clock made within the last day, by how much, and what waits because of it. The daemon is
    /// still ready.
    clock: Option<String>,
    /// Says that another program wrote to the database within the last day. The daemon is still ready.
    database: Option<&'static str>,
    /// Claims that ran out without a result; null: the database cannot be read.
    overdue_claims: Option<i64>,
    /// This process among those that share the database; null: the database is a file.
    replica: Option<Place>,
}

/// One of the replicas that share a database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplicaPlace)]
struct Place {
    /// Id of this replica.
    id: String,
    /// Id of the replica that makes the calls. `serval`, `breaker` and `held` are about its calls. Null: this replica
    /// does not know it, or not yet.
    leader: Option<String>,
    /// Says that other replicas run with another configuration, and what to do. This one is still ready.
    configuration: Option<String>,
}

fn place(state: &AppState, by: By) -> Option<Place> {
    let id = state.store.replica_id()?.to_owned();
    let leader = match by {
        By::Me => Some(id.clone()),
        By::Replica(leader) => Some(leader),
        By::Unknown => None,
    };
    let configuration = state.operators.config_difference();
    Some(Place {
        id,
        leader,
        configuration,
    })
}

/// Read the readiness
///
/// Ready means that webhooks are stored, and that stored events move on. Needs no token.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Readiness),
        (status = 503, description = "Not ready; `problems` tells why", body = Readiness),
    ),
    security(())
)]
pub(super) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    let now = state.clock.now();
    let levels = state.store.levels(now).await;
    let problems = state.operators.problems(&levels, now).await;
    let (status, word) = if problems.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let calls = state.operators.calls();
    let levels = levels.ok();
    let age = |at: fn(&Levels) -> Option<Timestamp>| {
        let at = levels.as_ref().and_then(at)?;
        Some(now.duration_since(at).as_secs().max(0))
    };
    let readiness = Readiness {
        status: word,
        problems,
        serval: calls.fault,
        paused: calls.is_paused,
        breaker: (calls.by != By::Unknown).then(|| calls.mode.breaker().as_str()),
        held: matches!(calls.mode, Mode::Held(_)),
        oldest_due_age_s: age(|levels| levels.oldest_due),
        oldest_parked_age_s: age(|levels| levels.oldest_parked),
        clock: state.operators.clock_step(now),
        database: state.operators.other_writer(),
        overdue_claims: levels.as_ref().map(|levels| levels.overdue_claims),
        replica: place(&state, calls.by),
    };
    (status, Json(readiness))
}
