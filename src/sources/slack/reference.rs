//! Events that are no messages: some refer to a thread, the rest is noise. None may connect.
//!
//! A reaction or metadata names a message, which may be a reply, so its thread is not known.

use std::borrow::Cow;

use super::envelope::{AssistantThread, Field, Inner, Item, Message};
use super::message::Verdict;
use super::thread;
use crate::domain::event::ChannelMove;
use crate::domain::ids::is_slack_channel;
use crate::sources::Unreadable;

/// Says what an event of type `kind` is.
pub(super) fn sort(kind: &str, event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    Ok(match kind {
        "reaction_added" | "reaction_removed" => Verdict::ignore("reaction"),
        "message_metadata_posted" | "message_metadata_updated" | "message_metadata_deleted" => {
            Verdict::ignore("metadata")
        }
        "pin_added" | "pin_removed" => pin(event)?,
        "link_shared" => link_shared(event),
        "assistant_thread_started" | "assistant_thread_context_changed" => assistant(event)?,
        "entity_details_requested" => Verdict::refer(
            "entity_details",
            thread::of(event.channel, event.thread_ts, event.message_ts),
        ),
        "channel_shared" | "channel_unshared" => Verdict::ignore("channel_shared"),
        "channel_id_changed" => Verdict {
            channel_move: channel_move(event),
            ..Verdict::ignore("channel_id_changed")
        },
        "app_uninstalled" => Verdict::ignore("app_uninstalled"),
        "tokens_revoked" => Verdict::ignore("tokens_revoked"),
        _ => Verdict::ignore("not_a_message"),
    })
}

/// The old and the new id, where both are ones.
fn channel_move(event: &Inner<'_>) -> Option<ChannelMove> {
    let (from, to) = (
        channel_id(event.old_channel_id)?,
        channel_id(event.new_channel_id)?,
    );
    (from != to).then_some(ChannelMove { from, to })
}

fn channel_id(field: Field<'_>) -> Option<String> {
    field
        .text()
        .map(Cow::into_owned)
        .filter(|id| is_slack_channel(id))
}

fn pin(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let item: Item<'_> = event.item.object()?.unwrap_or_default();
    let message: Message<'_> = item.message.object()?.unwrap_or_default();
    let channel = if event.channel_id.is_given() {
        event.channel_id
    } else {
        item.channel
    };
    let thread = thread::of(channel, message.thread_ts, message.ts);
    Ok(Verdict::refer("pin", thread))
}

fn link_shared(event: &Inner<'_>) -> Verdict {
    // While a message is being written, its channel and timestamp are placeholders.
    if event.source.text().as_deref() == Some("composer") {
        return Verdict::ignore("link_shared");
    }
    let thread = thread::of(event.channel, event.thread_ts, event.message_ts);
    Verdict::refer("link_shared", thread)
}

/// The thread is the assistant's; its `context` names the channel that the user was looking at.
fn assistant(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let place: AssistantThread<'_> = event.assistant_thread.object()?.unwrap_or_default();
    let thread = thread::of(place.channel_id, place.thread_ts, place.thread_ts);
    Ok(Verdict::refer("assistant_thread", thread))
}
