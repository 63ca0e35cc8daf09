//! The old ids of channels. What arrives under an old id later is about the channel of today: a message that
//! was late, or a deletion or an edit of an earlier one.
//!
//! Invariant: an old id leads to the present one at once, however often the channel moved. A present id leads
//! nowhere.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::domain::event::{ChannelMove, ChannelNews, NewEvent, Question};
use crate::domain::ids::{ExternalId, SourceName};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::inbox::webhook::Webhook;
use crate::store::sql::{args, json};

/// Gives events under old ids the present ones. Notices about channels keep theirs: the end of an old id is
/// not the end of the channel.
pub(crate) async fn follow<'a>(
    tx: &mut Tx,
    webhooks: &'a [Webhook],
) -> Result<Cow<'a, [Webhook]>, StoreError> {
    const MOVED: &str = "\
        -- store::channel_moves::moved
        SELECT m.source, m.channel, m.moved_to FROM json_each($1) AS named
        CROSS JOIN channel_moves AS m
            ON m.source = named.value ->> 0 AND m.channel = named.value ->> 1";
    let events = webhooks.iter().flat_map(|webhook| {
        let source = webhook.source.as_str();
        webhook.events.iter().map(move |event| (source, event))
    });
    let named = events.flat_map(|(source, event)| {
        let of_channel = written(event).into_iter().chain(asked(event));
        let named = thread_of(event).map(|(channel, _)| channel);
        named
            .into_iter()
            .chain(of_channel)
            .map(move |id| (source, id))
    });
    let named: BTreeSet<(&str, &str)> = named.collect();
    if named.is_empty() {
        return Ok(Cow::Borrowed(webhooks));
    }
    let named: Vec<_> = named.into_iter().collect();
    let moved: Vec<(String, String, String)> = tx.fetch_all(MOVED, args![json(&named)]).await?;
    if moved.is_empty() {
        return Ok(Cow::Borrowed(webhooks));
    }
    let moved = moved.into_iter();
    let moved = moved.map(|(source, channel, to)| ((source, channel), to));
    let moved: HashMap<(String, String), String> = moved.collect();
    let mut webhooks = webhooks.to_vec();
    for webhook in &mut webhooks {
        let source = webhook.source.as_str().to_owned();
        let to = |channel: &str| moved.get(&(source.clone(), channel.to_owned()));
        for event in &mut webhook.events {
            if let Some((channel, rest)) = thread_of(event)
                && let Some(to) = to(channel)
            {
                event.external_id = Some(ExternalId::checked(format!("{to}:{rest}")));
            }
            if let Some(ChannelNews::Written { channel, .. }) = &mut event.channel
                && let Some(to) = to(channel)
            {
                channel.clone_from(to);
            }
            if let Some(Question::WhichTicket { channel }) = &mut event.question
                && let Some(to) = to(channel)
            {
                channel.clone_from(to);
            }
        }
    }
    Ok(Cow::Owned(webhooks))
}

/// The channel that the external id of an event begins with, and the rest of the id.
fn thread_of(event: &NewEvent) -> Option<(&str, &str)> {
    event.external_id.as_ref()?.as_str().split_once(':')
}

fn written(event: &NewEvent) -> Option<&str> {
    match &event.channel {
        Some(ChannelNews::Written { channel, .. }) => Some(channel),
        _ => None,
    }
}

fn asked(event: &NewEvent) -> Option<&str> {
    match &event.question {
        Some(Question::WhichTicket { channel }) => Some(channel),
        _ => None,
    }
}

/// Notes a move, and returns the present id. A late notice may name an id that the channel has left since.
pub(super) async fn note(
    tx: &mut Tx,
    source: &SourceName,
    channel_move: &ChannelMove,
) -> Result<String, StoreError> {
    const PRESENT: &str = "\
        -- store::channel_moves::present
        SELECT moved_to FROM channel_moves WHERE source = $1 AND channel = $2";
    const EARLIER: &str = "\
        -- store::channel_moves::earlier
        UPDATE channel_moves SET moved_to = $3 WHERE source = $1 AND moved_to = $2";
    const ADD: &str = "\
        -- store::channel_moves::add
        INSERT INTO channel_moves (source, channel, moved_to) VALUES ($1, $2, $3)
        ON CONFLICT (source, channel) DO UPDATE SET moved_to = excluded.moved_to";
    const ARRIVED: &str = "\
        -- store::channel_moves::arrived
        DELETE FROM channel_moves WHERE source = $1 AND channel = $2";
    let ChannelMove { from, to } = channel_move;
    let present: Option<String> = tx.fetch_optional(PRESENT, args![source, to]).await?;
    // A channel that moves back leaves the id that its new one leads to.
    let present = present.filter(|present| present != from);
    let to = present.unwrap_or_else(|| to.clone());
    for statement in [EARLIER, ADD] {
        tx.run(statement, args![source, from, &to]).await?;
    }
    tx.run(ARRIVED, args![source, &to]).await?;
    Ok(to)
}
