//! The parts of Slack's JSON that are read, borrowed from the body.
//!
//! Invariant: the only fault of a JSON body is a key that is read and stands twice in its object.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::sources::json::field::{Field, repeated_key};
use crate::sources::source::Unreadable;

/// The outer event. One `borrow` ties the lifetimes of all the fields.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Field<'a>,
    pub(super) challenge: Field<'a>,
    pub(super) team_id: Field<'a>,
    pub(super) api_app_id: Field<'a>,
    pub(super) is_ext_shared_channel: Field<'a>,
    pub(super) event_id: Field<'a>,
    pub(super) event: Field<'a>,
    pub(super) authorizations: Field<'a>,
    pub(super) minute_rate_limited: Field<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a body without the white space around it. `None`: the body is JSON, but not an object
    /// whose keys are all text.
    pub(super) fn parse(json: &'a str) -> Result<Option<Self>, Unreadable> {
        let parsed = if json.starts_with('{') {
            serde_json::from_str(json).map(Some)
        } else {
            serde_json::from_str::<IgnoredAny>(json).map(|_| None)
        };
        parsed.or_else(|error| {
            if error.is_data() {
                Err(repeated_key())
            } else if serde_json::from_str::<IgnoredAny>(json).is_ok() {
                // The body is JSON, so a key of it must be no text: half of a surrogate pair.
                Ok(None)
            } else {
                let (line, column) = (error.line(), error.column());
                Err(Unreadable::Body(format!(
                    "the body is not JSON: line {line}, column {column}"
                )))
            }
        })
    }
}

/// The inner event, with the fields of all its types.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Inner<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Field<'a>,
    pub(super) subtype: Field<'a>,
    pub(super) channel: Field<'a>,
    pub(super) channel_id: Field<'a>,
    pub(super) channel_type: Field<'a>,
    pub(super) user: Field<'a>,
    pub(super) ts: Field<'a>,
    pub(super) thread_ts: Field<'a>,
    pub(super) message_ts: Field<'a>,
    pub(super) deleted_ts: Field<'a>,
    pub(super) hidden: Field<'a>,
    pub(super) edited: Field<'a>,
    pub(super) app_id: Field<'a>,
    pub(super) bot_id: Field<'a>,
    pub(super) bot_profile: Field<'a>,
    pub(super) message: Field<'a>,
    pub(super) previous_message: Field<'a>,
    pub(super) root: Field<'a>,
    pub(super) item: Field<'a>,
    pub(super) assistant_thread: Field<'a>,
    pub(super) source: Field<'a>,
    pub(super) tokens: Field<'a>,
    pub(super) old_channel_id: Field<'a>,
    pub(super) new_channel_id: Field<'a>,
}

/// A message inside of an event about it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) subtype: Field<'a>,
    pub(super) ts: Field<'a>,
    pub(super) thread_ts: Field<'a>,
    root: Field<'a>,
}

impl<'a> Inner<'a> {
    /// Reads a message or another event, with its thread.
    pub(super) fn read(event: Field<'a>) -> Result<Option<Self>, Unreadable> {
        let Some(event) = event.object::<Self>()? else {
            return Ok(None);
        };
        let thread_ts = thread_ts(event.thread_ts, event.root)?;
        Ok(Some(Self { thread_ts, ..event }))
    }
}

impl<'a> Message<'a> {
    /// Reads a message, with its thread.
    pub(super) fn read(message: Field<'a>) -> Result<Option<Self>, Unreadable> {
        let Some(message) = message.object::<Self>()? else {
            return Ok(None);
        };
        let thread_ts = thread_ts(message.thread_ts, message.root)?;
        Ok(Some(Self {
            thread_ts,
            ..message
        }))
    }
}

/// The first message of the thread: a message that was broadcast from a thread repeats it as its `root`.
fn thread_ts<'a>(thread_ts: Field<'a>, root: Field<'a>) -> Result<Field<'a>, Unreadable> {
    if thread_ts.text().is_some() {
        return Ok(thread_ts);
    }
    let root: Message<'a> = root.object()?.unwrap_or_default();
    Ok(root.thread_ts.or(root.ts))
}

/// The pinned message.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) channel: Field<'a>,
    pub(super) message: Field<'a>,
}

/// The place of a thread of the assistant.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AssistantThread<'a> {
    #[serde(borrow)]
    pub(super) channel_id: Field<'a>,
    pub(super) thread_ts: Field<'a>,
}

/// Tokens that were revoked, by whose they are.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens<'a> {
    #[serde(borrow)]
    pub(super) bot: Field<'a>,
}

/// The app behind a bot.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BotProfile<'a> {
    #[serde(borrow)]
    pub(super) app_id: Field<'a>,
}

/// An installation that sees the event.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Authorization<'a> {
    #[serde(borrow)]
    pub(super) user_id: Field<'a>,
    pub(super) is_bot: Field<'a>,
}
