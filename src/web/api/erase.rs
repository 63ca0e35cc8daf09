//! `/api/v1/erase`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input;
use crate::domain::ids::{ExternalId, SourceName};
use crate::domain::mention::Mention;
use crate::operators::{Operator, Why};
use crate::web::extract::RawBody;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Largest number of events in a request.
const MAX_EVENTS: usize = 1000;
/// Largest number of names in a request. Each text is compared with each.
const MAX_NAMES: usize = 100;

/// External ticket to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erase)]
pub(crate) struct Body {
    /// Source of the external ticket.
    source: String,
    /// External ticket, named by id, link or number.
    external_id: String,
    /// True: what takes a search of the database is left out, and the write-ahead log stays. `POST /erase/mentions`
    /// has to follow, with the `names` of the answer. Default false.
    one_of_many: Option<bool>,
}

/// Result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
pub(crate) struct ErasedView {
    /// Source of the external ticket.
    #[schema(value_type = String)]
    source: SourceName,
    /// Id of the external ticket in its system.
    #[schema(value_type = String)]
    external_id: ExternalId,
    /// Number of removed rows by table.
    #[schema(value_type = BTreeMap<String, u64>)]
    removed: BTreeMap<&'static str, u64>,
    /// Its id and its number.
    names: Vec<String>,
    /// Number of errors and answers about other tickets that were cleared because they named this one.
    mentions_cleared: u64,
    /// Number of bodies of other tickets that name this one. They stay. Null: they were not counted.
    naming_bodies: Option<u64>,
    /// Number of rows about the ticket that are left.
    left: u64,
    /// True if the write-ahead log was moved into the database file; null: the ticket is one of many, or the database
    /// is on a server, which keeps deleted rows for a while.
    log_emptied: Option<bool>,
}

/// Erase an external ticket
///
/// Erases everything that is stored about it. Nothing changes at Serval.
#[utoipa::path(
    post,
    path = "/erase",
    operation_id = "erase",
    tag = "events",
    request_body = Body,
    responses(
        (status = 200, body = ErasedView),
        (status = 400, description = "The body is not JSON"),
        (status = 404, description = "No such source"),
        (status = 409, description = "A call about it is in flight, so try again in a moment; or several records have the number"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn erase(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    RawBody(body): RawBody,
) -> Result<Json<ErasedView>, Problem> {
    let Body {
        source,
        external_id,
        one_of_many,
    } = input::json(&body)?;
    // The source need not be configured any more: its data must be removable after it was taken
    // out.
    let ticket = state.operators.stored_ticket(&source, &external_id).await?;
    let erased = state
        .operators
        .erase(
            &operator,
            &ticket,
            one_of_many.unwrap_or(false),
            &Why::default(),
        )
        .await?;
    Ok(Json(ErasedView {
        source: ticket.source,
        external_id: ticket.external_id,
        removed: erased.tables().into(),
        names: erased.names,
        mentions_cleared: erased.mentions,
        naming_bodies: erased.naming_bodies,
        left: erased.left,
        log_emptied: erased.is_log_empty,
    }))
}

/// Value by which a person is known, and events that mention it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EraseMentions)]
pub(crate) struct MentionsBody {
    /// The value. Errors, answers and reasons that hold it are cleared.
    #[schema(min_length = 3, max_length = 320)]
    value: String,
    /// Names of external tickets that were erased with `one_of_many`, at most 100. Errors, answers and reasons that
    /// hold one are cleared, too.
    #[serde(default, deserialize_with = "input::or_default")]
    #[schema(value_type = Option<Vec<String>>)]
    names: Vec<String>,
    /// Events to erase, at most 1000. Those of an external ticket stay: erase the ticket.
    #[serde(default, deserialize_with = "input::or_default")]
    #[schema(value_type = Option<Vec<String>>)]
    events: Vec<String>,
}

/// Result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MentionsErased)]
pub(crate) struct MentionsView {
    /// Number of events that were erased.
    events: u64,
    /// Number of errors, answers and reasons that were cleared.
    mentions_cleared: u64,
    /// True if the write-ahead log was moved into the database file; null: the database is on a server, which keeps
    /// deleted rows for a while.
    log_emptied: Option<bool>,
}

/// Erase what mentions a person beside external tickets
///
/// Erases events without an external ticket, and clears the errors, answers and reasons that hold the value.
#[utoipa::path(
    post,
    path = "/erase/mentions",
    operation_id = "erase_mentions",
    tag = "events",
    request_body = MentionsBody,
    responses(
        (status = 200, body = MentionsView),
        (status = 400, description = "The body is not JSON"),
        (status = 404, description = "No such event id"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(super) async fn erase_mentions(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    RawBody(body): RawBody,
) -> Result<Json<MentionsView>, Problem> {
    let body: MentionsBody = input::json(&body)?;
    let invalid = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let mention = Mention::read(&body.value);
    let mention = mention.map_err(|fault| invalid(format!("value: {fault}")))?;
    if body.events.len() > MAX_EVENTS {
        return Err(invalid(format!("events: at most {MAX_EVENTS} at once")));
    }
    if body.names.len() > MAX_NAMES {
        return Err(invalid(format!("names: at most {MAX_NAMES} at once")));
    }
    let events = body.events.iter().map(|id| state.operators.event_id(id));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let operators = &state.operators;
    let erased = operators
        .erase_mentions(&operator, &mention, &body.names, events)
        .await?;
    Ok(Json(MentionsView {
        events: erased.events,
        mentions_cleared: erased.mentions,
        log_emptied: erased.is_log_empty,
    }))
}
