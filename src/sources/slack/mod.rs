//! Slack: events of the Events API.
//!
//! Invariant: whatever is authentic and JSON is understood as an event, wanted or not, because
//! Slack switches a subscription off that answers with errors.

mod envelope;
mod interpret;
mod message;
mod reference;
mod signing;
mod thread;
mod ticket;

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::Value;

use self::message::Rules;
use self::signing::Signing;
use super::hint::HintReader;
use super::signature::Window;
use super::{InvalidSource, Receipt, Refused, Source, Unreadable, Unverified, Verified, target};
use crate::domain::ids::{SourceKind, SourceName};
use crate::sources::linking::{AccountedFor, OnConflict, Reconnect};
use crate::units;

/// `[sources.<name>]` of kind `slack`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Signing secrets of the app, current and previous; any of them may sign.
    pub signing_secrets: Vec<SecretString>,
    /// How old a signature may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_past: Duration,
    /// How far ahead Slack's clock may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_future: Duration,
    /// Serval's `channelTarget` for threads in channels, sent as it stands.
    pub channel_target: Option<Value>,
    /// Serval's `channelTarget` for direct messages, sent as it stands.
    pub direct_message_target: Option<Value>,
    /// Whether direct messages may connect.
    pub direct_messages: bool,
    /// App and bot ids whose messages may connect, and may name the Serval ticket; other bots'
    /// messages are ignored.
    pub trusted_apps: Vec<String>,
    /// Ids of users whose messages may name the Serval ticket of their thread.
    pub trusted_users: Vec<String>,
    /// Keys of a message's `metadata.event_payload` that may hold the Serval ticket id.
    pub metadata_keys: Vec<String>,
    /// A regular expression with a group `ticket_id`, for links to Serval tickets.
    pub ticket_url_pattern: Option<String>,
    /// Bot user or bot ids that are our own, beside what the envelope says.
    pub own_ids: Vec<String>,
    /// Whether events that are no ticket events keep their body.
    pub keep_ignored_bodies: bool,
    /// How long an event waits for its mapping.
    #[serde(deserialize_with = "units::duration")]
    pub park_for: Duration,
    /// Whether a Serval ticket id that a payload names is looked up before it is believed.
    pub verify_learned: bool,
    /// What happens when a payload names another Serval ticket than the mapping does.
    pub on_conflict: OnConflict,
    /// Whether one Serval ticket may have several external tickets of this source.
    pub several_per_ticket: bool,
    /// Whether Serval is asked before each connect if it has the pair already.
    pub check_existing: bool,
    /// Whether a changed mapping takes the old pair apart at Serval.
    pub disconnect_on_remap: bool,
    /// Whether changed records of a connected external ticket are sent again.
    pub reconnect: Reconnect,
    /// Which messages of the Serval ticket the external ticket shows already.
    pub accounted_for: AccountedFor,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_secrets: Vec::new(),
            tolerance_past: Duration::from_mins(5),
            tolerance_future: Duration::from_mins(1),
            channel_target: None,
            direct_message_target: None,
            direct_messages: false,
            trusted_apps: Vec::new(),
            trusted_users: Vec::new(),
            metadata_keys: vec!["serval_ticket_id".to_owned(), "ticket_id".to_owned()],
            ticket_url_pattern: None,
            own_ids: Vec::new(),
            keep_ignored_bodies: false,
            park_for: Duration::from_hours(7 * 24),
            verify_learned: true,
            on_conflict: OnConflict::default(),
            several_per_ticket: false,
            check_existing: false,
            disconnect_on_remap: false,
            reconnect: Reconnect::default(),
            accounted_for: AccountedFor::default(),
        }
    }
}

/// A Slack workspace that sends us events.
#[derive(Debug)]
pub struct Slack {
    signing: Signing,
    rules: Rules,
}

impl Slack {
    /// Builds the source; refuses a configuration that could not authenticate anybody, or that
    /// could not say where Serval should answer.
    pub fn try_new(name: &SourceName, config: &Config) -> Result<Self, InvalidSource> {
        let invalid = |key: &'static str| {
            move |problem: String| InvalidSource {
                source_name: name.clone(),
                key,
                problem,
            }
        };
        let window = Window {
            past: config.tolerance_past.as_secs(),
            future: config.tolerance_future.as_secs(),
        };
        let signing = Signing::try_new(&config.signing_secrets, window)
            .map_err(invalid("signing_secrets"))?;
        target::check(config.channel_target.as_ref()).map_err(invalid("channel_target"))?;
        if config.direct_messages || config.direct_message_target.is_some() {
            target::check(config.direct_message_target.as_ref())
                .map_err(invalid("direct_message_target"))?;
        }
        Ok(Self {
            signing,
            rules: Rules {
                direct_messages: config.direct_messages,
                trusted_apps: config.trusted_apps.clone(),
                trusted_users: config.trusted_users.clone(),
                own_ids: config.own_ids.clone(),
                metadata_keys: config.metadata_keys.clone(),
                hints: HintReader::try_new(config.ticket_url_pattern.as_deref())
                    .map_err(invalid("ticket_url_pattern"))?,
            },
        })
    }
}

impl Source for Slack {
    fn kind(&self) -> SourceKind {
        SourceKind::Slack
    }

    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused> {
        self.signing.verify(request, now)
    }

    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        interpret::interpret(request.body(), &self.rules)
    }
}
