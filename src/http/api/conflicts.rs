//! `/api/v1/conflicts`: payloads that name another Serval ticket than the mapping does.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::input::{self, Page};
use crate::domain::ids::{EventId, SourceName};
use crate::http::{AppState, Problem};
use crate::store::{Conflict, Decided, Decision, Origin, Replacement};

/// A conflict as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct ConflictView {
    id: i64,
    source: String,
    external_id: String,
    mapped_to: String,
    learned: String,
    event: EventId,
    created_at: Timestamp,
    decided_at: Option<Timestamp>,
    decision: Option<String>,
}

impl From<Conflict> for ConflictView {
    fn from(conflict: Conflict) -> Self {
        Self {
            id: conflict.id,
            source: conflict.source,
            external_id: conflict.external_id,
            mapped_to: conflict.mapped_to,
            learned: conflict.learned,
            event: conflict.event,
            created_at: conflict.created_at,
            decided_at: conflict.decided_at,
            decision: conflict.decision,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    decided: bool,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /conflicts`: the open ones, newest first; with `decided=true` all.
pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<ConflictView>>, Problem> {
    let Query(query) = query.map_err(|error| input::bad_request(error.body_text()))?;
    let limit = input::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse).transpose();
    let before =
        before.map_err(|_| input::bad_request("cursor is not one that this list gave out"))?;
    let rows = state
        .store
        .conflicts(query.decided, before, limit + 1)
        .await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ConflictView::from,
    )))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    decision: Decision,
}

/// `POST /conflicts/{id}` `{"decision": "keep" | "replace"}`
pub(super) async fn decide(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Json<ConflictView>, Problem> {
    let body: DecideBody = input::json(&body)?;
    let conflict = state.store.conflict(id).await?.ok_or_else(none)?;
    let source: Option<SourceName> = conflict.source.parse().ok();
    let source = source.and_then(|name| state.sources.get(&name));
    let replacement = Replacement {
        origin: Origin::Api,
        disconnects_old: source.is_some_and(|source| source.disconnects_old),
        several_per_ticket: source.is_some_and(|source| source.several_per_ticket),
    };
    let now = state.clock.now();
    let decided = state
        .store
        .decide_conflict(id, body.decision, replacement, now)
        .await?;
    let conflict = match decided.ok_or_else(none)? {
        Decided::Done(conflict) => conflict,
        Decided::Before(conflict) => {
            let decision = conflict.decision.unwrap_or_default();
            let detail = format!("it was decided already: {decision}");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        Decided::Taken(other) => {
            let detail = format!(
                "the Serval ticket {} has {other} of this source already; remove that mapping, or \
                 set several_per_ticket for the source",
                conflict.learned
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
    };
    tracing::info!(
        source = conflict.source,
        ticket.external = conflict.external_id,
        decision = conflict.decision,
        "a conflict was decided"
    );
    Ok(Json(conflict.into()))
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such conflict")
}
