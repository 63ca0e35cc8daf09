//! `POST /api/v1/events/mentioning`: events whose stored bodies mention a value.
//!
//! The value comes in the body of the request: addresses are logged by proxies, and it is personal data.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::EventView;
use super::{external, read_state};
use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::domain::mention::Mention;
use crate::edge::window::Window;
use crate::operators::Operator;
use crate::store::{Action, EventFilter};
use crate::web::api::input;
use crate::web::extract::RawBody;
use crate::web::problem::Problem;
use crate::web::state::AppState;

/// Default and largest number of events in an answer.
const MAX_EVENTS: u32 = 1000;

/// Value to look for, and the events to look in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MentioningQuery)]
pub(crate) struct Body {
    /// An e-mail address, or the id of a user. A body mentions it if one of its texts is the value or has it as a
    /// word, in upper or lower case.
    #[schema(min_length = 3, max_length = 320)]
    value: String,
    /// Only this state.
    #[schema(schema_with = EventState::schema)]
    state: Option<String>,
    /// Only this source.
    source: Option<String>,
    /// Only this external ticket.
    external_id: Option<String>,
    /// Only this reason.
    reason: Option<String>,
    /// Only events that arrived from this time on: RFC 3339, or a duration back from now, such as `24h`.
    since: Option<String>,
    /// Only events that arrived before this time, likewise.
    until: Option<String>,
    /// Limit of events, 1 to 1000. Default 1000.
    #[serde(default, deserialize_with = "input::whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the previous answer.
    cursor: Option<String>,
}

/// A part of a search.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mentioning)]
pub(crate) struct Part {
    /// Events whose bodies mention the value; may be empty while the search goes on.
    data: Vec<EventView>,
    /// The `cursor` of the next part; null: the search is over.
    next_cursor: Option<String>,
    /// Number of bodies that were read for this part.
    searched: u64,
    /// Share of the events behind the search, 0 to 1.
    progress: f64,
}

/// Search stored bodies
///
/// Newest first. Each answer is a part of the search: it ends after some thousand bodies. Read-only tokens may not
/// search, since they may not see payloads. The first part adds an entry to the audit list, without the value. The
/// search is also there where `show_payloads` hides payloads: erasure needs it.
#[utoipa::path(
    post,
    path = "/events/mentioning",
    operation_id = "find_mentions",
    tag = "events",
    request_body = Body,
    responses(
        (status = 200, body = Part),
        (status = 400, description = "The body is not JSON, or the state is unknown"),
        (status = 404, description = "No such source"),
        (status = 422, description = "The body is not what is expected"),
    )
)]
pub(in crate::web::api) async fn find(
    State(state): State<AppState>,
    Extension(operator): Extension<Operator>,
    RawBody(body): RawBody,
) -> Result<Json<Part>, Problem> {
    let body: Body = input::json(&body)?;
    let invalid = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let mention = Mention::read(&body.value);
    let mention = mention.map_err(|fault| invalid(format!("value: {fault}")))?;
    let (since, until) = (body.since.as_deref(), body.until.as_deref());
    let window = Window::read(since, until, state.clock.now()).map_err(invalid)?;
    let limit = body.limit.unwrap_or(MAX_EVENTS);
    if !(1..=MAX_EVENTS).contains(&limit) {
        return Err(invalid(format!(
            "limit {limit} is not from 1 to {MAX_EVENTS}"
        )));
    }
    let cursor: Option<EventId> = body
        .cursor
        .map(|cursor| cursor.parse())
        .transpose()
        .map_err(|_| invalid("cursor is not one that this search gave out".to_owned()))?;
    let source = input::source(&state, body.source)?;
    let filter = EventFilter {
        state: body.state.as_deref().map(read_state).transpose()?,
        external_id: external(&state, source.as_ref(), body.external_id.as_deref()).await?,
        source,
        reason: body.reason,
        arrived: state.store.arrived(&window).await?,
        before: cursor,
        limit,
    };
    if cursor.is_none() {
        let operators = &state.operators;
        operators
            .note(&operator, Action::Search, None, None)
            .await?;
    }
    let searched = state.store.mentioning(&mention, &filter).await?;
    let newest = state.store.newest_event().await?;
    Ok(Json(Part {
        data: searched.events.into_iter().map(EventView::from).collect(),
        next_cursor: searched.next.map(|next| next.to_string()),
        searched: searched.bodies,
        progress: searched.next.map_or(1.0, |next| share(next, newest)),
    }))
}

/// Share of the events that are as new as `next` or newer.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn share(next: EventId, newest: EventId) -> f64 {
    let left = next.0 as f64 / newest.0.max(1) as f64;
    (1.0 - left).clamp(0.0, 1.0)
}
