//! Channel news in events: a new id, an end, and if the messages of the channel are direct.

use std::borrow::Cow;

use super::envelope::{Envelope, Inner};
use super::ids;
use crate::domain::event::{ChannelMove, ChannelNews};
use crate::sources::json::field::Field;

/// The first letter of the ids of conversations between two; those of all others do not tell the kind.
pub(super) const DIRECT: char = 'D';

/// The reason why direct messages are ignored.
pub(super) const IGNORED: &str = "direct_message";

/// Reads what an event of type `kind` tells about its channel. `is_kept`: its text is to be stored.
pub(super) fn news(
    kind: &str,
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    is_kept: bool,
    takes_direct: bool,
) -> Option<ChannelNews> {
    // Slack announces an archived channel twice: by an event of its own, and by a message in the
    // channel. An app may be subscribed to only one of the two.
    match (kind, event.subtype.text().as_deref()) {
        ("channel_id_changed", _) => moved(event),
        ("channel_archive" | "group_archive", _)
        | ("message", Some("channel_archive" | "group_archive")) => Some(ChannelNews::Archived {
            channel: id(event.channel)?,
        }),
        ("channel_deleted" | "group_deleted", _) => Some(ChannelNews::Deleted {
            channel: id(event.channel)?,
        }),
        ("message" | "app_mention", _) => written(envelope, event, is_kept, takes_direct),
        _ => None,
    }
}

/// Both channel ids, if both are valid and they differ.
fn moved(event: &Inner<'_>) -> Option<ChannelNews> {
    let (from, to) = (id(event.old_channel_id)?, id(event.new_channel_id)?);
    (from != to).then_some(ChannelNews::Moved(ChannelMove { from, to }))
}

fn written(
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    is_kept: bool,
    takes_direct: bool,
) -> Option<ChannelNews> {
    let channel = id(event.channel).filter(|id| !id.starts_with(DIRECT))?;
    // Slack documents that messages of a shared group direct message may carry a wrong type. There
    // only the type of a direct message is believed.
    let is_shared = envelope.is_ext_shared_channel.is_true();
    let is_direct = match event.channel_type.text().as_deref() {
        Some("im" | "mpim" | "app_home") => Some(true),
        Some("channel" | "group") if !is_shared => Some(false),
        _ => None,
    };
    // Of what is not kept anyway, the kind does not matter.
    let matters = is_direct == Some(true) || is_kept;
    matters.then_some(ChannelNews::Written {
        channel,
        is_direct,
        ignores_direct: (!takes_direct).then_some(IGNORED),
    })
}

/// True if the event itself tells that its message is direct.
pub(super) fn is_direct(event: &Inner<'_>) -> bool {
    let channel = event.channel.text();
    let channel_type = event.channel_type.text();
    channel.is_some_and(|id| id.starts_with(DIRECT))
        || matches!(channel_type.as_deref(), Some("im" | "mpim" | "app_home"))
}

/// The id of a channel, if it is valid.
pub(super) fn id(field: Field<'_>) -> Option<String> {
    field
        .text()
        .map(Cow::into_owned)
        .filter(|id| ids::is_channel(id))
}
