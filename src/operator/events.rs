//! Events: sent again, and erased; and the switch of all calls.

use super::{Desk, Operator, Refusal, Why};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::store::{EraseError, Erased, EventFilter, Replay};

/// A `sys_id` is stored in lower case.
pub fn one_spelling(external_id: String) -> String {
    let is_sys_id = external_id.len() == 32 && external_id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_sys_id {
        external_id.to_ascii_lowercase()
    } else {
        external_id
    }
}

fn no_event() -> Refusal {
    Refusal::Missing("no such event; an event id looks like evt_42".to_owned())
}

/// What the history of a replayed event says.
fn replayed(why: &Why) -> String {
    match why.as_deref() {
        None => "replayed".to_owned(),
        Some(why) => format!("replayed: {why}"),
    }
}

impl Desk {
    /// The event that a text names.
    pub fn event_id(&self, text: &str) -> Result<EventId, Refusal> {
        text.trim().parse().map_err(|_| no_event())
    }

    /// Sends a dead or expired event to the queue again.
    pub async fn replay(&self, who: &Operator, id: EventId, why: &Why) -> Result<(), Refusal> {
        let store = self.by(who, why);
        let replay = store.replay(id, replayed(why), self.now()).await?;
        match replay.ok_or_else(no_event)? {
            Replay::Queued => {}
            Replay::NotFinished(before) => {
                return Err(Refusal::Conflict(format!(
                    "the event is {}; only dead and expired events are replayed",
                    before.as_str()
                )));
            }
            Replay::Refused(why) => {
                let detail = format!("the event is never replayed: {why}");
                return Err(Refusal::Conflict(detail));
            }
        }
        tracing::info!(event = %id, "event replayed by an operator");
        Ok(())
    }

    /// Checks that events of this state are replayed at all.
    pub fn replayable(state: EventState) -> Result<(), Refusal> {
        if matches!(state, EventState::Dead | EventState::Expired) {
            return Ok(());
        }
        let detail = "state: only dead and expired events are replayed";
        Err(Refusal::Invalid(detail.to_owned()))
    }

    /// Sends the events that match to the queue again; how many went.
    pub async fn replay_many(
        &self,
        who: &Operator,
        filter: EventFilter,
        why: &Why,
    ) -> Result<u64, Refusal> {
        let state = filter.state.unwrap_or(EventState::Dead);
        Self::replayable(state)?;
        let filter = EventFilter {
            state: Some(state),
            ..filter
        };
        let replayed = self
            .by(who, why)
            .replay_many(filter, replayed(why), self.now())
            .await?;
        if replayed > 0 {
            let state = state.as_str();
            tracing::info!(replayed, state, "events replayed by an operator");
        }
        Ok(replayed)
    }

    /// Erases everything that is stored about an external ticket. Nothing changes at Serval.
    pub async fn erase(
        &self,
        who: &Operator,
        ticket: &ExternalTicket,
        why: &Why,
    ) -> Result<Erased, Refusal> {
        let erased = self.by(who, why).erase(ticket, self.now()).await;
        let erased = erased.map_err(|error| match error {
            EraseError::InHand => Refusal::Conflict(error.to_string()),
            EraseError::Store(error) => error.into(),
        })?;
        let rows: u64 = erased.tables().map(|(_, n)| n).iter().sum();
        // Without the id: the log is kept by others, and for longer.
        let source = ticket.source.as_str();
        tracing::info!(source, rows, left = erased.left, "external ticket erased");
        Ok(erased)
    }

    /// Stops or restarts all calls to Serval. Webhooks are stored all the same.
    pub async fn pause(&self, who: &Operator, paused: bool, why: &Why) -> Result<(), Refusal> {
        let store = self.by(who, why);
        self.monitor.set_paused(&store, paused, self.now()).await?;
        if paused {
            tracing::warn!(
                "an operator paused the calls to Serval; webhooks are stored all the same"
            );
        } else {
            tracing::warn!("an operator resumed the calls to Serval");
        }
        Ok(())
    }
}
