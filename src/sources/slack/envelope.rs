//! The shapes of Slack's JSON, as far as they are read, borrowed from the body.
//!
//! Invariant: for JSON, the only fault is a key that is read and stands twice in its object, where
//! two readers could see two different events. A field of an unexpected type reads as absent. The
//! types have no `Debug`, so that no body reaches a log.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sources::Unreadable;

/// The value of one key, not looked at until it is asked for. Absent and `null` are the same.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Field<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Field<'a> {
    /// A string that is not empty.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        // An escaped half of a surrogate pair is JSON, but no text.
        let text: Text<'a> = serde_json::from_str(self.starting_with('"')?).ok()?;
        Some(text.0).filter(|text| !text.is_empty())
    }

    /// The digits of an integer that is not negative.
    pub(super) fn digits(self) -> Option<&'a str> {
        let json = self.0?.get();
        Some(json).filter(|json| json.len() <= 20 && json.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Whether it is `true`.
    pub(super) fn is_true(self) -> bool {
        self.0.is_some_and(|json| json.get() == "true")
    }

    /// Whether it is anything but absent, `null`, `false` and `""`.
    pub(super) fn is_given(self) -> bool {
        self.0
            .is_some_and(|json| !matches!(json.get(), "false" | "\"\""))
    }

    /// The JSON of an object.
    pub(super) fn object_json(self) -> Option<&'a str> {
        self.starting_with('{')
    }

    /// An object, read as `T`.
    pub(super) fn object<T: Deserialize<'a>>(self) -> Result<Option<T>, Unreadable> {
        let Some(json) = self.object_json() else {
            return Ok(None);
        };
        match serde_json::from_str(json) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_data() => Err(repeated_key()),
            // It is JSON, so a key of it is no text: half of a surrogate pair.
            Err(_) => Ok(None),
        }
    }

    /// The elements of an array; none of anything else.
    pub(super) fn elements(self) -> Vec<Field<'a>> {
        self.starting_with('[')
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// The first element of an array.
    pub(super) fn first(self) -> Field<'a> {
        self.elements().first().copied().unwrap_or_default()
    }

    fn starting_with(self, first: char) -> Option<&'a str> {
        let json = self.0?.get();
        json.starts_with(first).then_some(json)
    }
}

fn repeated_key() -> Unreadable {
    Unreadable::Body("a key that decides what the event is stands twice in one object".to_owned())
}

/// The outer event. One `borrow` ties the lifetimes of all the fields.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Field<'a>,
    pub(super) challenge: Field<'a>,
    pub(super) team_id: Field<'a>,
    pub(super) context_team_id: Field<'a>,
    pub(super) api_app_id: Field<'a>,
    pub(super) event_id: Field<'a>,
    pub(super) event: Field<'a>,
    pub(super) authorizations: Field<'a>,
    pub(super) minute_rate_limited: Field<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a body without the white space around it. `None`: JSON, but no object with keys of text.
    pub(super) fn parse(json: &'a str) -> Result<Option<Self>, Unreadable> {
        let parsed = if json.starts_with('{') {
            serde_json::from_str(json).map(Some)
        } else {
            serde_json::from_str::<serde::de::IgnoredAny>(json).map(|_| None)
        };
        parsed.or_else(|error| {
            if error.is_data() {
                Err(repeated_key())
            } else if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() {
                // A key that is no text: half of a surrogate pair.
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

/// The inner event: what is read of all its types together.
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
    pub(super) item: Field<'a>,
    pub(super) assistant_thread: Field<'a>,
    pub(super) source: Field<'a>,
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
}

/// What was pinned.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) channel: Field<'a>,
    pub(super) message: Field<'a>,
}

/// Where a thread of the assistant stands.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AssistantThread<'a> {
    #[serde(borrow)]
    pub(super) channel_id: Field<'a>,
    pub(super) thread_ts: Field<'a>,
}

/// Who posts for an app.
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
