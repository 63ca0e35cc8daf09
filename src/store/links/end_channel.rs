//! Channels that take no more messages: what waits for their threads is taken out.
//!
//! The bodies of a deleted channel are erased in steps, because webhooks wait for one that erases many. What is
//! left after the first step is noted in the transaction of the notice, so that no kill leaves it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::event::{ChannelNews, EventState};
use crate::domain::ids::{EventId, SourceName};
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::inbox::webhook::Webhook;
use crate::store::queue::erasure::erase;
use crate::store::queue::transition;
use crate::store::sql::{self, Args, args, json, millis, moment};

/// Number of events whose bodies one transaction erases.
const STEP: usize = 200;
/// Shortest pause between two steps. Otherwise it is as long as a step, which leaves the writer to webhooks.
const PAUSE: Duration = Duration::from_millis(5);
/// Finds events of a channel of which something is left to erase.
const LEFT: &str = "\
    -- store::end_channel::left
    SELECT e.id FROM external_tickets AS x
    CROSS JOIN events AS e INDEXED BY events_external ON e.external = x.id
    WHERE x.source = $1 AND x.external_id >= $2 AND x.external_id < $3
        AND ((SELECT p.event_id FROM payloads AS p WHERE p.event_id = e.id) IS NOT NULL
            OR (e.last_error IS NOT NULL AND e.state <> 'parked')
            OR EXISTS (SELECT 1 FROM attempts AS a
                WHERE a.event_id = e.id AND a.answer IS NOT NULL))
    LIMIT $4";
/// Gives the notes about the deleted channels of a source to another one.
pub(super) const RENAME_SOURCE: &str = "\
    -- store::end_channel::rename_source
    UPDATE settings SET key = 'ended ' || $2 || substr(key, length('ended ' || $1) + 1)
    WHERE key >= 'ended ' || $1 || ' ' AND key < 'ended ' || $1 || '!'";

/// A channel whose stored events are taken out.
pub(super) struct Ended<'a> {
    pub(super) source: &'a SourceName,
    pub(super) channel: &'a str,
    pub(super) now: Timestamp,
}

/// Takes out what waits for the channels that `webhooks` end. In an archived channel nobody is asked for
/// a mapping any more, but one that is written still sends the thread. The messages of a deleted channel
/// are deleted with it: nothing of them is sent, and their bodies are erased.
pub(crate) async fn apply(tx: &mut Tx, webhooks: &[Webhook]) -> Result<(), StoreError> {
    for webhook in webhooks {
        for event in &webhook.events {
            let (channel, states, reason): (_, &[&str], _) = match &event.channel {
                Some(ChannelNews::Archived { channel }) => {
                    (channel, &["parked"], Reason::ChannelArchived)
                }
                Some(ChannelNews::Deleted { channel }) => {
                    (channel, &["parked", "queued"], Reason::ChannelDeleted)
                }
                Some(ChannelNews::Moved(_) | ChannelNews::Written { .. }) | None => continue,
            };
            let ended = Ended {
                source: &webhook.source,
                channel,
                now: webhook.received_at,
            };
            take_out(tx, &ended, states, (EventState::Skipped, reason)).await?;
            if reason == Reason::ChannelDeleted {
                begin_to_erase(tx, &ended).await?;
            }
        }
    }
    Ok(())
}

/// Moves the channel's events that are in one of `states`, also claimed ones: no call is made again, and
/// their settlement stores the attempt, and the pair if Serval has it now.
pub(super) async fn take_out(
    tx: &mut Tx,
    ended: &Ended<'_>,
    states: &[&str],
    (to, reason): (EventState, Reason),
) -> Result<(), StoreError> {
    const WAITING: &str = "\
        -- store::end_channel::waiting
        SELECT e.id, e.state FROM external_tickets AS x
        CROSS JOIN events AS e INDEXED BY events_external ON e.external = x.id
        WHERE x.source = $1 AND x.external_id >= $2 AND x.external_id < $3
            AND e.state IN (SELECT atom FROM json_each($4))";
    let [from, until] = thread_range(ended.channel);
    let args = args![ended.source, from, until, json(states)];
    let waiting: Vec<(EventId, EventState)> = tx.fetch_all(WAITING, args).await?;
    transition::move_all(tx, &waiting, to, reason, ended.now).await
}

/// Erases the first bodies of a deleted channel, and notes the channel if that were not all.
async fn begin_to_erase(tx: &mut Tx, ended: &Ended<'_>) -> Result<(), StoreError> {
    const NOTE: &str = "\
        -- store::end_channel::note
        INSERT INTO settings (key, value) VALUES ('ended ' || $1 || ' ' || $2, $3)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let events: Vec<EventId> = tx
        .fetch_all(LEFT, left(ended.source.as_str(), ended.channel))
        .await?;
    erase(tx, &events).await?;
    if events.len() == STEP {
        let at = millis(ended.now).to_string();
        tx.run(NOTE, args![ended.source, ended.channel, at]).await?;
    }
    Ok(())
}

fn left(source: &str, channel: &str) -> Args {
    let [from, until] = thread_range(channel);
    args![source, from, until, i64::try_from(STEP).unwrap_or(i64::MAX)]
}

impl Store {
    /// Erases what is left of deleted channels, also of those that a process did not get to before its end.
    pub(crate) async fn erase_ended_channels(&self) -> Result<(), StoreError> {
        const ENDED: &str = "\
            -- store::end_channel::ended
            SELECT key, value FROM settings WHERE key >= 'ended ' AND key < 'ended!'";
        const DONE: &str = "\
            -- store::end_channel::done
            DELETE FROM settings WHERE key = $1 AND value = $2";
        let ended: Vec<(String, String)> = sql::fetch_all(&self.readers, ENDED, args![]).await?;
        for (key, value) in ended {
            // No name of a source has a blank.
            let mut words = key.splitn(3, ' ').skip(1);
            let (source, channel) = words.next().zip(words.next()).unwrap_or_default();
            let at = moment(value.parse().unwrap_or_default())?;
            loop {
                let started = Instant::now();
                let args = left(source, channel);
                let events: Vec<EventId> = sql::fetch_all(&self.readers, LEFT, args).await?;
                if events.is_empty() {
                    break;
                }
                self.write(move |tx| {
                    let events = events.clone();
                    Box::pin(async move { erase_step(tx, &events, at).await })
                })
                .await?;
                tokio::time::sleep(started.elapsed().max(PAUSE)).await;
            }
            // A second notice of the channel has another time, and its note stays.
            self.run(DONE, move || args![&key, &value]).await?;
        }
        Ok(())
    }
}

/// Erases what these events of a deleted channel say. Somebody may have queued one since the notice.
async fn erase_step(tx: &mut Tx, events: &[EventId], now: Timestamp) -> Result<(), StoreError> {
    const WAITING: &str = "\
        -- store::end_channel::waiting_again
        SELECT id, state FROM events
        WHERE id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1)) AND (state || '') IN ('parked', 'queued')";
    let ids: Vec<i64> = events.iter().map(|event| event.0).collect();
    let waiting: Vec<(EventId, EventState)> = tx.fetch_all(WAITING, args![json(&ids)]).await?;
    let (to, reason) = (EventState::Skipped, Reason::ChannelDeleted);
    transition::move_all(tx, &waiting, to, reason, now).await?;
    erase(tx, events).await
}

/// Erases what all events of the channel say.
pub(super) async fn erase_bodies(tx: &mut Tx, ended: &Ended<'_>) -> Result<(), StoreError> {
    const ALL: &str = "\
        -- store::end_channel::all
        SELECT e.id FROM external_tickets AS x
        CROSS JOIN events AS e INDEXED BY events_external ON e.external = x.id
        WHERE x.source = $1 AND x.external_id >= $2 AND x.external_id < $3";
    let [from, until] = thread_range(ended.channel);
    let args: Args = args![ended.source, from, until];
    let events: Vec<EventId> = tx.fetch_all(ALL, args).await?;
    erase(tx, &events).await
}

/// The range of the ids of a channel's threads. They begin with the channel and a colon, and a semicolon
/// is the next character after it.
pub(crate) fn thread_range(channel: &str) -> [String; 2] {
    [format!("{channel}:"), format!("{channel};")]
}
