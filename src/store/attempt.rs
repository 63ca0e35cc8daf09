//! Attempts: connect calls, as stored.

use jiff::Timestamp;

use super::columns::{column, known};
use super::sql::row;
use crate::domain::ids::ServalTicketId;
use crate::domain::words::words;

words! {
    /// Outcome of one connect call.
    pub enum AttemptOutcome {
        /// Serval accepted it.
        Connected = "connected",
        /// Not called: Serval's links have the pair already.
        AlreadyLinked = "already_linked",
        /// Failed; it will be tried again.
        Retry = "retry",
        /// Failed because Serval takes no calls; the event loses no try.
        Held = "held",
        /// Failed finally; the event is given up.
        Dead = "dead",
    }
}

column! {
    AttemptOutcome: String, |word| known(Self::parse(&word), &word);
}

row! {
    /// One call to Serval.
    #[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
    pub struct Attempt {
        /// Time of the start.
        started_at: Timestamp,
        /// Duration in milliseconds.
        duration_ms: i64,
        /// The Serval ticket.
        #[schema(value_type = String)]
        ticket_id: ServalTicketId,
        /// `connected`, `already_linked`, `retry`, `held` or `dead`.
        #[schema(value_type = String)]
        outcome: AttemptOutcome,
        /// HTTP status; null: no answer.
        #[schema(value_type = Option<i64>)]
        status: Option<u16>,
        /// Error code of Serval.
        code: Option<String>,
        /// Answer of Serval, shortened.
        answer: Option<String>,
        /// Request id of Serval.
        request_id: Option<String>,
        /// Wait that Serval asked for, in milliseconds.
        retry_after_ms: Option<i64>,
        /// True for a probe of the circuit breaker. It does not count as a try of the event.
        #[serde(rename = "probe")]
        is_probe: bool,
    }
}

/// Columns of an [`Attempt`] in the table `attempts AS a`.
macro_rules! attempt_columns {
    () => {
        "a.started_at, a.duration_ms, a.ticket_id, a.outcome, a.status, a.code, a.answer,
         a.request_id, a.retry_after, a.probe"
    };
}
pub(crate) use attempt_columns;
