//! The keys of `[sources.<name>]` that only this kind has.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::edge::shapes::{Key, Shape};
use crate::edge::units;

/// The values of one workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Signing secrets of the app, current and previous; any of them may sign.
    #[serde(serialize_with = "units::no_secrets")]
    pub signing_secrets: Vec<SecretString>,
    /// Serval's `channelTarget` for direct messages, sent unchanged.
    pub direct_message_target: Option<Value>,
    /// True if direct messages may connect.
    pub direct_messages: bool,
    /// App and bot ids whose messages may connect, and may name the Serval ticket; messages of other
    /// bots are ignored.
    pub trusted_apps: Vec<String>,
    /// Ids of users whose messages may name the Serval ticket of their thread.
    pub trusted_users: Vec<String>,
    /// Keys of a message's `metadata.event_payload` that may hold the Serval ticket id.
    pub metadata_keys: Vec<String>,
    /// Our own bot user or bot ids, in addition to those that the envelope names.
    pub own_ids: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_secrets: Vec::new(),
            direct_message_target: None,
            direct_messages: false,
            trusted_apps: Vec::new(),
            trusted_users: Vec::new(),
            metadata_keys: vec!["serval_ticket_id".to_owned(), "ticket_id".to_owned()],
            own_ids: Vec::new(),
        }
    }
}

/// The names of the fields, and the values that they take.
pub(super) const KEYS: &[Key] = &[
    Key::new("signing_secrets", Shape::Secrets),
    Key::new("direct_message_target", Shape::Object),
    Key::new("direct_messages", Shape::Switch),
    Key::new("trusted_apps", Shape::Texts),
    Key::new("trusted_users", Shape::Texts),
    Key::new("metadata_keys", Shape::Texts),
    Key::new("own_ids", Shape::Texts),
];
