//! Answers the questions that sources leave to the stored events, before their events are placed.

use std::borrow::Cow;
use std::collections::HashSet;

use super::webhook::Webhook;
use crate::domain::event::{Disposition, NewEvent, Question};
use crate::domain::ids::ExternalId;
use crate::domain::rank::Rank;
use crate::domain::report::Report;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::links::end_channel::thread_range;
use crate::store::sql::args;

/// Source and external ticket of a message, and the second number of its rank, which names it.
type Message = (String, ExternalId, i64);

/// Turns each event with a question into what it is. A question about an event that was ignored meanwhile
/// is dropped.
pub(super) async fn answer<'a>(
    tx: &mut Tx,
    webhooks: Cow<'a, [Webhook]>,
) -> Result<Cow<'a, [Webhook]>, StoreError> {
    let mut events = webhooks.iter().flat_map(|webhook| &webhook.events);
    if events.all(|event| event.question.is_none()) {
        return Ok(webhooks);
    }
    let mut webhooks = webhooks.into_owned();
    // Messages that are earlier in the group are not in the database yet.
    let mut before: HashSet<Message> = HashSet::new();
    for webhook in &mut webhooks {
        let source = webhook.source.as_str();
        for event in &mut webhook.events {
            answer_one(tx, source, event, &before).await?;
            if event.report.is_message() && event.disposition.ignored_for().is_none() {
                before.extend(message(source, event));
            }
        }
    }
    Ok(Cow::Owned(webhooks))
}

/// Answers the question of an event that is replayed, and was read again. `external_id`: that of its external
/// ticket, which may have moved since.
pub(crate) async fn answer_again(
    tx: &mut Tx,
    source: &str,
    external_id: Option<&str>,
    event: &NewEvent,
) -> Result<NewEvent, StoreError> {
    let mut event = event.clone();
    event.external_id = external_id.map(|id| ExternalId::checked(id.to_owned()));
    answer_one(tx, source, &mut event, &HashSet::new()).await?;
    Ok(event)
}

async fn answer_one(
    tx: &mut Tx,
    source: &str,
    event: &mut NewEvent,
    before: &HashSet<Message>,
) -> Result<(), StoreError> {
    match event.question.take() {
        Some(Question::IsNew { content_key, rank })
            if event.report == Report::MessageEdit
                && !is_known(tx, source, event, before).await? =>
        {
            event.disposition = Disposition::Connect;
            event.report = Report::EditedMessage;
            event.content_key = Some(content_key);
            event.rank = rank;
        }
        Some(Question::WhichTicket { channel }) => {
            let found = ticket_of(tx, source, &channel, event.rank, before).await?;
            event.external_id = found.or(event.external_id.take());
        }
        Some(Question::IsNew { .. }) | None => {}
    }
    Ok(())
}

fn message(source: &str, event: &NewEvent) -> Option<Message> {
    let external_id = event.external_id.clone()?;
    (event.rank.1 != Rank::UNKNOWN).then(|| (source.to_owned(), external_id, event.rank.1))
}

/// True if an earlier event of the message is stored that was not ignored.
async fn is_known(
    tx: &mut Tx,
    source: &str,
    event: &NewEvent,
    before: &HashSet<Message>,
) -> Result<bool, StoreError> {
    const KNOWN: &str = "\
        -- store::questions::is_known
        SELECT EXISTS (SELECT 1 FROM events AS e INDEXED BY events_message
            CROSS JOIN external_tickets AS x ON x.id = e.external
            WHERE e.rank_minor = $3 AND e.rank_minor < 0
                AND x.source = $1 AND x.external_id = $2 AND e.state <> 'ignored'
                AND COALESCE(e.report, 'edited_message') = 'edited_message')";
    let Some(message) = message(source, event) else {
        return Ok(false);
    };
    if before.contains(&message) {
        return Ok(true);
    }
    let (_, external_id, number) = message;
    tx.fetch_one(KNOWN, args![source, external_id, number])
        .await
}

/// Finds the external ticket of a channel that has an event of the message.
async fn ticket_of(
    tx: &mut Tx,
    source: &str,
    channel: &str,
    rank: Rank,
    before: &HashSet<Message>,
) -> Result<Option<ExternalId>, StoreError> {
    const TICKET: &str = "\
        -- store::questions::ticket_of
        SELECT x.external_id FROM events AS e INDEXED BY events_message
        CROSS JOIN external_tickets AS x ON x.id = e.external
        WHERE e.rank_minor = $4 AND e.rank_minor < 0
            AND x.source = $1 AND x.external_id >= $2 AND x.external_id < $3
            AND e.state <> 'ignored'
            AND COALESCE(e.report, 'edited_message') = 'edited_message'
        LIMIT 1";
    if rank.1 == Rank::UNKNOWN {
        return Ok(None);
    }
    let [from, until] = thread_range(channel);
    let earlier = before.iter().find(|(other, external_id, number)| {
        let id = external_id.as_str();
        other == source && *number == rank.1 && (from.as_str()..until.as_str()).contains(&id)
    });
    if let Some((_, external_id, _)) = earlier {
        return Ok(Some(external_id.clone()));
    }
    tx.fetch_optional(TICKET, args![source, from, until, rank.1])
        .await
}
