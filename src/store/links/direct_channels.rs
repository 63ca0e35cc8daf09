//! Conversations whose messages are direct, though their ids do not tell: group direct messages.
//!
//! A message says what its conversation is; a mention, its twin, does not, and may come first. So what
//! one event says counts for all others of the conversation, also for those that are stored.

use std::borrow::Cow;
use std::collections::HashSet;

use super::end_channel::{Ended, erase_bodies, take_out};
use crate::domain::event::{ChannelNews, Disposition, EventState, NewEvent};
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::inbox::webhook::Webhook;
use crate::store::sql::{args, is_direct, json};

/// Marks the events of direct conversations, and ignores them where their source takes no direct
/// messages. What is stored of a conversation that turns out to be one is withdrawn: nothing of it is
/// sent, and its bodies are erased.
pub(crate) async fn recognize<'a>(
    tx: &mut Tx,
    webhooks: &'a [Webhook],
) -> Result<Cow<'a, [Webhook]>, StoreError> {
    const KNOWN: &str = "\
        -- store::direct_channels::known
        SELECT d.source, d.channel FROM json_each($1) AS named
        CROSS JOIN direct_channels AS d
            ON d.source = named.value ->> 0 AND d.channel = named.value ->> 1";
    const ADD: &str = "\
        -- store::direct_channels::add
        INSERT INTO direct_channels (source, channel) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    const REMOVE: &str = "\
        -- store::direct_channels::remove
        DELETE FROM direct_channels WHERE source = $1 AND channel = $2";
    // Most groups name no channel that matters here, so the work ends early and copies nothing.
    let named: HashSet<(String, String)> = webhooks
        .iter()
        .flat_map(|webhook| webhook.events.iter().map(move |event| (webhook, event)))
        .filter_map(|(webhook, event)| match &event.channel {
            Some(ChannelNews::Written { channel, .. }) => Some(name(webhook, channel)),
            _ => None,
        })
        .collect();
    if named.is_empty() {
        return Ok(Cow::Borrowed(webhooks));
    }
    let named: Vec<_> = named.into_iter().collect();
    let known: Vec<(String, String)> = tx.fetch_all(KNOWN, args![json(&named)]).await?;
    let mut direct: HashSet<(String, String)> = known.into_iter().collect();
    // The webhooks are visited in their order of arrival: a later one may correct what an earlier
    // one said about its channel. Only an event that knows the kind of the channel changes the
    // table.
    for webhook in webhooks {
        for event in &webhook.events {
            let Some(ChannelNews::Written {
                channel,
                is_direct: Some(is_direct),
                ignores_direct,
            }) = &event.channel
            else {
                continue;
            };
            let args = || args![&webhook.source, channel];
            if !is_direct {
                if direct.remove(&name(webhook, channel)) {
                    tx.run(REMOVE, args()).await?;
                    tx.effects.revises = true;
                }
            } else if direct.insert(name(webhook, channel)) {
                tx.run(ADD, args()).await?;
                tx.effects.revises = true;
                // An earlier event, such as a mention, did not tell the kind of its channel and was
                // stored as if it were public.
                if let Some(reason) = ignores_direct {
                    withdraw(tx, webhook, channel, reason).await?;
                }
            }
        }
    }
    if direct.is_empty() {
        return Ok(Cow::Borrowed(webhooks));
    }
    // The events of this group do not know yet what the table says about their channel.
    let mut webhooks = webhooks.to_vec();
    for webhook in &mut webhooks {
        mark(webhook, &direct);
    }
    Ok(Cow::Owned(webhooks))
}

/// True if the stored event belongs to a direct conversation, and its source takes no direct messages.
/// The external id tells the channel: that in the body may be an old one.
pub(crate) async fn ignores(
    tx: &mut Tx,
    source: &str,
    external_id: Option<&str>,
    event: &NewEvent,
) -> Result<bool, StoreError> {
    const IS_DIRECT: &str = concat!(
        "-- store::direct_channels::is_direct\nSELECT ",
        is_direct!("$1", "$2")
    );
    let Some(ChannelNews::Written {
        ignores_direct: Some(_),
        ..
    }) = &event.channel
    else {
        return Ok(false);
    };
    tx.fetch_one(IS_DIRECT, args![source, external_id]).await
}

fn name(webhook: &Webhook, channel: &str) -> (String, String) {
    (webhook.source.as_str().to_owned(), channel.to_owned())
}

/// Marks the events of a webhook that belong to direct conversations.
fn mark(webhook: &mut Webhook, direct: &HashSet<(String, String)>) {
    let source = webhook.source.as_str().to_owned();
    for event in &mut webhook.events {
        let Some(ChannelNews::Written {
            channel,
            is_direct,
            ignores_direct,
        }) = &mut event.channel
        else {
            continue;
        };
        if !direct.contains(&(source.clone(), channel.clone())) {
            continue;
        }
        *is_direct = Some(true);
        if let Some(reason) = *ignores_direct {
            event.disposition = Disposition::Ignore(reason);
            event.hint = None;
            // A deletion stays one: it has no body, and erases what is kept of its message.
            if event.report != Report::MessageDeletion {
                event.report = Report::Message;
            }
        }
    }
}

async fn withdraw(
    tx: &mut Tx,
    webhook: &Webhook,
    channel: &str,
    reason: &'static str,
) -> Result<(), StoreError> {
    let ended = Ended {
        source: &webhook.source,
        channel,
        now: webhook.received_at,
    };
    let (to, reason) = (EventState::Ignored, Reason::Ignored(reason));
    // Connected events stay: Serval has them, and only a person can decide about that.
    take_out(tx, &ended, &["parked", "queued"], (to, reason)).await?;
    if !webhook.keep_ignored_bodies {
        erase_bodies(tx, &ended).await?;
    }
    Ok(())
}
