//! Stores webhooks: finds duplicates, places new events, and inserts them.
//!
//! The webhooks of a group share a few statements. Two look-ups read the facts about all of them, the
//! decisions are made in memory, then each table gets one insert. Last come the claims of events that
//! go to the worker at once.

mod claim;
mod insert;
mod keys;
mod known;
mod look_up;
mod place;
pub(crate) mod questions;
pub(crate) mod reports;
mod row;
pub(crate) mod webhook;

use super::commit::tx::Tx;
use super::error::StoreError;
use super::links::rename_channel::{self, Notice};
use super::links::{channel_moves, direct_channels, end_channel};
use super::queue::{schedule, transition};
use crate::domain::event::{ChannelNews, EventState};
use crate::domain::reason::Reason;
use insert::insert;
use known::{Found, Known};
use row::Row;
use webhook::{Recorded, Webhook};

/// Places the events of `webhooks` and inserts the new ones. Returns one answer for each event of each
/// webhook.
pub(super) async fn record_all(
    tx: &mut Tx,
    webhooks: &[Webhook],
) -> Result<Vec<Vec<Recorded>>, StoreError> {
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let webhooks = channel_moves::follow(tx, webhooks).await?;
    let webhooks = direct_channels::recognize(tx, &webhooks).await?;
    let webhooks = &*questions::answer(tx, webhooks).await?;
    let mut known = Known::look_up(tx, webhooks).await?;
    let mut rows = Vec::new();
    let mut found = known.place_all(tx, &mut rows).into_iter();
    supersede(tx, &mut rows).await?;
    insert(tx, &known.tickets, &rows).await?;
    reports::apply(tx, &rows).await?;
    claim::hand_off(tx, webhooks, &known.tickets, &rows);
    // After the inserts, so that events of this group move along with their channel.
    for row in &rows {
        if let Some(ChannelNews::Moved(channel_move)) = &row.event.channel {
            let notice = Notice {
                event: row.id,
                source: &row.webhook.source,
                parked_until: row.webhook.parked_until(),
                now: row.webhook.received_at,
            };
            rename_channel::rename(tx, channel_move, &notice).await?;
        }
    }
    end_channel::apply(tx, webhooks).await?;
    for row in &rows {
        let source = row.webhook.source.as_str();
        tx.counts.entered(source, row.placement.state);
        let received_at = row.webhook.received_at;
        tx.tally.stored(source, received_at);
        tx.heard.note(source, received_at, row.webhook.sign);
        let handing = &mut tx.effects.handing;
        handing.received_until = handing.received_until.max(received_at);
    }
    let answer = |found: Found| match found {
        Found::Stored(recorded) => recorded,
        Found::New(row) => rows[row].answer(false),
        Found::Again(row) => rows[row].answer(true),
    };
    let mut answers = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let events = found.by_ref().take(webhook.events.len());
        answers.push(events.map(answer).collect());
    }
    Ok(answers)
}

/// Skips events that new ones replaced, in the database or among the new rows.
async fn supersede(tx: &mut Tx, rows: &mut [Row<'_>]) -> Result<(), StoreError> {
    for winner in 0..rows.len() {
        let Some(loser) = rows[winner].placement.supersedes else {
            continue;
        };
        let (from, to) = (rows[winner].placement.state, EventState::Skipped);
        let reason = Some(Reason::Superseded);
        if let Some(row) = rows[..winner].iter_mut().find(|row| row.id == loser) {
            let place = (from == EventState::Queued).then(|| row.place());
            row.instead_of = None;
            (row.placement.state, row.placement.reason) = (to, reason);
            let first = row.comes_first.take();
            (rows[winner].instead_of, rows[winner].comes_first) = (place, first);
            continue;
        }
        let now = rows[winner].webhook.received_at;
        if from == EventState::Queued {
            rows[winner].instead_of = schedule::place(tx, loser).await?;
            // What stood behind it in the queue may be claimable now.
            tx.effects.wake = true;
        }
        transition::move_event(tx, loser, from, to, reason, now).await?;
    }
    Ok(())
}
