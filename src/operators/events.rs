//! Actions on events: replay and erase. Also the pause of all calls.

use std::collections::BTreeMap;
use std::ops::Range;

use super::access::Operator;
use super::act::Why;
use super::refusal::Refusal;
use super::service::Operators;
use crate::domain::event::{Disposition, EventState, foremost};
use crate::domain::ids::{EventId, ExternalTicket, SourceName};
use crate::domain::mention::Mention;
use crate::sources::StoredBody;
use crate::store::{
    EraseError, Erased, ErasedBeside, EventFilter, ReadAgain, Replay, SetAside, Store,
};

/// States from which an event may be replayed.
pub(crate) const REPLAYED: [EventState; 3] =
    [EventState::Dead, EventState::Expired, EventState::Ignored];

/// Number of ignored events that are looked up at once.
const STEP: u32 = 100;

fn no_event() -> Refusal {
    Refusal::Missing("no such event; an event id looks like evt_42".to_owned())
}

/// Text in the history of a replayed event.
fn replayed(why: &Why) -> String {
    match why.as_deref() {
        None => "replayed".to_owned(),
        Some(why) => format!("replayed: {why}"),
    }
}

impl Operators {
    /// Reads an event id.
    pub fn event_id(&self, text: &str) -> Result<EventId, Refusal> {
        text.trim().parse().map_err(|_| no_event())
    }

    /// Replays a dead or expired event, or an ignored one that its source would connect now.
    pub async fn replay(&self, who: &Operator, id: EventId, why: &Why) -> Result<(), Refusal> {
        let store = self.by(who, why);
        let (reason, now) = (replayed(why), self.now());
        // An ignored event has no place in the queue, and the configuration may have changed since.
        // So its source reads the stored body again, and decides anew.
        let replay = match store.set_aside(id).await? {
            None => store.replay(id, reason, now).await?,
            Some(stored) => {
                let read = self.read_again(&stored).ok_or_else(|| {
                    Refusal::Conflict(format!(
                        "the event was read again with the present configuration, and there is \
                         still nothing to do; it is ignored: {}",
                        stored.reason
                    ))
                })?;
                store.replay_as(id, read, reason, now).await?
            }
        };
        match replay.ok_or_else(no_event)? {
            // Another event of the same external ticket may stand for this one. Its object is what Serval
            // has or gets, so the wish of the person is fulfilled.
            Replay::Queued | Replay::Superseded | Replay::NewerQueued | Replay::Applied => {}
            Replay::NotReplayable(EventState::Ignored) => {
                let detail = "the event is ignored, and there is nothing to send: its body was not kept, or \
                              another replay has just read it. `events show` tells why it was ignored";
                return Err(Refusal::Conflict(detail.to_owned()));
            }
            Replay::NotReplayable(before) => {
                return Err(Refusal::Conflict(format!(
                    "the event is {}; only dead, expired and ignored events are replayed{}",
                    before.as_str(),
                    instead_of_replay(before)
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

    /// Reads an ignored event again, as its source is configured now; `None` if there is nothing to do: nothing
    /// to connect, and no deletion or edit that was ignored as something else.
    fn read_again(&self, stored: &SetAside) -> Option<ReadAgain> {
        let rules = self.rules();
        let source: SourceName = stored.source.parse().ok()?;
        let source = rules.sources.get(&source)?;
        let event = source.interpret_again(&StoredBody {
            body: &stored.body.bytes,
            event_type: &stored.event_type,
            reason: &stored.reason,
        })?;
        let Range { start, end } = stored.body.object.clone();
        let is_news = event.report.is_about_others() && !stored.is_report;
        let is_wanted = event.disposition == Disposition::Connect || is_news;
        // What an edit is about is a part of what was ignored.
        let object = &event.object;
        let is_same =
            *object == (start..end) || (is_news && start <= object.start && object.end <= end);
        (is_wanted && is_same).then(|| stored.read_as(event, source.policy.park_for))
    }

    /// Checks that events in this state may be replayed.
    pub fn replayable(state: EventState) -> Result<(), Refusal> {
        if REPLAYED.contains(&state) {
            return Ok(());
        }
        Err(Refusal::Invalid(format!(
            "state: only dead, expired and ignored events are replayed{}",
            instead_of_replay(state)
        )))
    }

    /// Replays the events that match; returns their number.
    pub async fn replay_many(
        &self,
        who: &Operator,
        filter: EventFilter,
        why: &Why,
    ) -> Result<u64, Refusal> {
        // Without a state only dead events are meant: expired ones would be sent after weeks, which
        // nobody expects from a plain replay.
        let state = filter.state.unwrap_or(EventState::Dead);
        Self::replayable(state)?;
        let filter = EventFilter {
            state: Some(state),
            ..filter
        };
        let store = self.by(who, why);
        let replayed = if state == EventState::Ignored {
            self.replay_ignored(&store, &filter, why).await?
        } else {
            store.replay_many(filter, replayed(why), self.now()).await?
        };
        if replayed > 0 {
            let state = state.as_str();
            tracing::info!(replayed, state, "events replayed by an operator");
        }
        Ok(replayed)
    }

    /// Replays the ignored events that match and that their sources would take now: of each external
    /// ticket first the deletions and edits, then the event that stands for it, and then the others, which
    /// are skipped.
    async fn replay_ignored(
        &self,
        store: &Store,
        filter: &EventFilter,
        why: &Why,
    ) -> Result<u64, Refusal> {
        let mut count = 0;
        for mut events in self.connectable(store, filter).await? {
            if count == u64::from(filter.limit) {
                break;
            }
            // The newest save is queued first, so the others find it and are superseded. In another
            // order an old save would be sent before it.
            let is_save = |read: &ReadAgain| !read.event.report.is_about_others();
            let saves = events.iter().filter(|(_, read)| is_save(read));
            let first = foremost(saves.map(|(id, read)| (*id, read.event.rank))).map(|(id, _)| id);
            events.sort_by_key(|(id, read)| (is_save(read), Some(*id) != first));
            for (id, read) in events {
                let (why, now) = (replayed(why), self.now());
                let replay = store.replay_as(id, read, why, now).await?;
                let is_done = matches!(
                    replay,
                    Some(Replay::Queued | Replay::NewerQueued | Replay::Applied)
                );
                count += u64::from(is_done);
            }
        }
        Ok(count)
    }

    /// Finds the ignored events that match and that their sources would take now, by external ticket.
    async fn connectable(
        &self,
        store: &Store,
        filter: &EventFilter,
    ) -> Result<impl Iterator<Item = Vec<(EventId, ReadAgain)>>, Refusal> {
        let mut found: BTreeMap<Option<i64>, Vec<_>> = BTreeMap::new();
        let mut after = EventId(0);
        loop {
            let ids = store.matching(filter, after, STEP).await?;
            let Some(last) = ids.last() else {
                return Ok(found.into_values());
            };
            after = *last;
            for id in ids {
                // The event may have been replayed or deleted since its id was read.
                let Some(stored) = store.set_aside(id).await? else {
                    continue;
                };
                if let Some(read) = self.read_again(&stored) {
                    found.entry(stored.external).or_default().push((id, read));
                }
            }
        }
    }

    /// Erases everything that is stored about an external ticket. Nothing changes at Serval.
    pub async fn erase(
        &self,
        who: &Operator,
        ticket: &ExternalTicket,
        is_one_of_many: bool,
        why: &Why,
    ) -> Result<Erased, Refusal> {
        let store = self.by(who, why);
        let erased = if is_one_of_many {
            store.erase_one_of_many(ticket, self.now()).await
        } else {
            store.erase(ticket, self.now()).await
        };
        let erased = erased.map_err(|error| match error {
            EraseError::InHand => Refusal::Conflict(error.to_string()),
            EraseError::Store(error) => error.into(),
        })?;
        let rows: u64 = erased.tables().map(|(_, n)| n).iter().sum();
        // The id is not logged: logs are kept elsewhere, and longer.
        let source = ticket.source.as_str();
        tracing::info!(source, rows, left = erased.left, "external ticket erased");
        Ok(erased)
    }

    /// Erases events without an external ticket, and clears the texts that hold the value, or a name of an erased
    /// external ticket.
    pub async fn erase_mentions(
        &self,
        who: &Operator,
        mention: &Mention,
        names: &[String],
        events: Vec<EventId>,
    ) -> Result<ErasedBeside, Refusal> {
        let store = self.by(who, &Why::default());
        let erased = store
            .erase_beside(mention, names, events, self.now())
            .await?;
        // The value is not logged: logs are kept elsewhere, and longer.
        let (events, mentions) = (erased.events, erased.mentions);
        tracing::info!(
            events,
            mentions,
            "events and texts that mention a person erased"
        );
        Ok(erased)
    }

    /// Pauses or resumes all calls to Serval. Webhooks are still stored.
    pub async fn pause(&self, who: &Operator, paused: bool, why: &Why) -> Result<(), Refusal> {
        let store = self.by(who, why);
        match &self.worker {
            Some(worker) => worker.set_paused(&store, paused, self.now()).await?,
            None => store.set_paused(paused, self.now()).await?,
        }
        if paused {
            tracing::warn!("an operator paused the calls to Serval; webhooks are still stored");
        } else {
            tracing::warn!("an operator resumed the calls to Serval");
        }
        Ok(())
    }
}

/// Advice about an event in a state that is not replayed.
fn instead_of_replay(state: EventState) -> &'static str {
    match state {
        EventState::Parked => "; what is parked waits for a mapping: set one",
        EventState::Queued => {
            "; what is queued is sent by itself: if it fails, `events show` tells why"
        }
        EventState::Connected => "; what is connected has arrived",
        EventState::Skipped => "; what is skipped has nothing left to send",
        EventState::Dead | EventState::Expired | EventState::Ignored => "",
    }
}
