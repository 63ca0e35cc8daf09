//! The old ids of channels. What arrives under an old id later is about the channel of today: a message that
//! was late, or a deletion or an edit of an earlier one.
//!
//! Invariant: an old id leads to the present one at once, however often the channel moved. A present id leads
//! nowhere.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::domain::event::{ChannelMove, ChannelNews, NewEvent, Question};
use crate::domain::ids::{ExternalId, ExternalTicket, SourceName};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::inbox::webhook::Webhook;
use crate::store::sql::{self, args, json};

const PRESENT: &str = "\
    -- store::channel_moves::present
    SELECT moved_to FROM channel_moves WHERE source = $1 AND channel = $2";

/// SQL for the present id of an external ticket.
macro_rules! present_id {
    ($source:expr, $external_id:expr) => {
        concat!(
            "COALESCE((SELECT m.moved_to || substr(",
            $external_id,
            ", instr(",
            $external_id,
            ", ':')) FROM channel_moves AS m WHERE m.source = ",
            $source,
            " AND m.channel = substr(",
            $external_id,
            ", 1, instr(",
            $external_id,
            ", ':') - 1)), ",
            $external_id,
            ")"
        )
    };
}
pub(crate) use present_id;

impl Store {
    /// The external ticket under its present id.
    pub async fn present(&self, ticket: ExternalTicket) -> Result<ExternalTicket, StoreError> {
        let Some((channel, _)) = ticket.external_id.as_str().split_once(':') else {
            return Ok(ticket);
        };
        let args = args![&ticket.source, channel];
        let to = sql::fetch_optional(&self.readers, PRESENT, args).await?;
        Ok(under(ticket, to))
    }

    /// The ids under which Serval may have an external ticket: its own, and those that its channel left.
    pub async fn ids(&self, ticket: &ExternalTicket) -> Result<Vec<ExternalId>, StoreError> {
        const LEFT: &str = "\
            -- store::channel_moves::left
            SELECT channel FROM channel_moves WHERE source = $1 AND moved_to = $2";
        let mut ids = vec![ticket.external_id.clone()];
        if let Some((channel, rest)) = ticket.external_id.as_str().split_once(':') {
            let args = args![&ticket.source, channel];
            let left: Vec<String> = sql::fetch_all(&self.readers, LEFT, args).await?;
            ids.extend(left.iter().map(|channel| in_channel(channel, rest)));
        }
        Ok(ids)
    }
}

/// The external ticket under its present id, as the transaction sees it.
pub(super) async fn present(
    tx: &mut Tx,
    ticket: &ExternalTicket,
) -> Result<ExternalTicket, StoreError> {
    let ticket = ticket.clone();
    let Some((channel, _)) = ticket.external_id.as_str().split_once(':') else {
        return Ok(ticket);
    };
    let args = args![&ticket.source, channel];
    let to = tx.fetch_optional(PRESENT, args).await?;
    Ok(under(ticket, to))
}

fn under(mut ticket: ExternalTicket, channel: Option<String>) -> ExternalTicket {
    if let Some(channel) = channel
        && let Some((_, rest)) = ticket.external_id.as_str().split_once(':')
    {
        ticket.external_id = in_channel(&channel, rest);
    }
    ticket
}

fn in_channel(channel: &str, rest: &str) -> ExternalId {
    ExternalId::checked(format!("{channel}:{rest}"))
}

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
                event.external_id = Some(in_channel(to, rest));
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
