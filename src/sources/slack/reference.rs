//! Events that are not messages: some refer to a thread, the rest is noise. None may connect.
//!
//! A reaction or metadata names a message, which may be a reply, so its thread is not known.

use super::envelope::{AssistantThread, Inner, Item, Message, Tokens};
use super::message::Verdict;
use super::thread;
use crate::sources::source::Unreadable;

/// Decides what an event of type `kind` is.
pub(super) fn sort(kind: &str, event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    // Nothing here starts a connect. Each kind gets its own word, so that an operator who asks why
    // an event was ignored reads what it was.
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
        "channel_id_changed" => Verdict::ignore("channel_id_changed"),
        "channel_archive" | "group_archive" | "channel_deleted" | "group_deleted" => {
            Verdict::ignore("channel_notice")
        }
        "app_uninstalled" => Verdict::ignore("app_uninstalled"),
        "tokens_revoked" => tokens_revoked(event)?,
        _ => Verdict::ignore("not_a_message"),
    })
}

/// Events end only when a bot loses its token. One of a user takes nothing away from the app.
fn tokens_revoked(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let tokens: Tokens<'_> = event.tokens.object()?.unwrap_or_default();
    Ok(if tokens.bot.elements().is_empty() {
        Verdict::ignore("user_tokens_revoked")
    } else {
        Verdict::ignore("tokens_revoked")
    })
}

fn pin(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let item: Item<'_> = event.item.object()?.unwrap_or_default();
    let message = Message::read(item.message)?.unwrap_or_default();
    let channel = if event.channel_id.is_given() {
        event.channel_id
    } else {
        item.channel
    };
    let thread = thread::of(channel, message.thread_ts, message.ts);
    Ok(Verdict::refer("pin", thread).about(message.ts))
}

fn link_shared(event: &Inner<'_>) -> Verdict {
    // Until the message is sent, its channel and timestamp are placeholders.
    if event.source.text().as_deref() == Some("composer") {
        return Verdict::ignore("link_shared");
    }
    let thread = thread::of(event.channel, event.thread_ts, event.message_ts);
    Verdict::refer("link_shared", thread).about(event.message_ts)
}

/// The thread is the assistant's; its `context` names the channel that the user was looking at.
fn assistant(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let place: AssistantThread<'_> = event.assistant_thread.object()?.unwrap_or_default();
    let thread = thread::of(place.channel_id, place.thread_ts, place.thread_ts);
    Ok(Verdict::refer("assistant_thread", thread))
}
