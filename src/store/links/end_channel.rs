//! Channels that take no more messages: what waits for their threads is taken out.

use jiff::Timestamp;

use crate::domain::event::{ChannelNews, EventState};
use crate::domain::ids::{EventId, SourceName};
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::inbox::webhook::Webhook;
use crate::store::queue::erasure::erase;
use crate::store::queue::transition;
use crate::store::sql::{Args, args, json};

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
                erase_bodies(tx, &ended).await?;
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
            AND e.state IN (SELECT value FROM json_each($4))";
    let [from, until] = thread_range(ended.channel);
    let args = args![ended.source, from, until, json(states)];
    let waiting: Vec<(EventId, EventState)> = tx.fetch_all(WAITING, args).await?;
    transition::move_all(tx, &waiting, to, reason, ended.now).await
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
