//! `ServiceNow`: records pushed by business rules, in whatever shape the script at the other end
//! gives them.
//!
//! Invariant: a record reaches Serval as the bytes that arrived; nothing is repaired, renamed or
//! printed again.

mod class;
mod envelope;
mod hints;
mod record;
mod ticket;
pub(super) mod title;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::Value;

use self::class::Classes;
use self::envelope::Records;
use self::record::Reader;
use self::ticket::TicketColumns;
use super::schemes::{Credentials, Schemes};
use super::signature::Window;
use super::{InvalidSource, Receipt, Refused, Source, Unreadable, Unverified, Verified, target};
use crate::domain::ids::{SourceKind, SourceName};
use crate::sources::linking::{AccountedFor, OnConflict, Reconnect};
use crate::units;

/// `[sources.<name>]` of kind `servicenow`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Standard Webhooks secrets, `whsec_` and base64; any of them may sign.
    pub secrets: Vec<SecretString>,
    /// Declared weaker mode: static `Authorization: Bearer` tokens.
    pub bearer_tokens: Vec<SecretString>,
    /// Declared weaker mode: `user:password`.
    pub basic_auth: Vec<SecretString>,
    /// How old a signature may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_past: Duration,
    /// How far ahead a sender's clock may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_future: Duration,
    /// Serval's `channelTarget`, sent as it stands.
    pub channel_target: Option<Value>,
    /// JSON Pointers into the record that may hold the Serval ticket id.
    pub ticket_id_pointers: Vec<String>,
    /// A regular expression with a group `ticket_id`, for columns that hold the ticket's URL.
    pub ticket_url_pattern: Option<String>,
    /// JSON Pointers to columns that other integrations write too.
    pub shared_pointers: Vec<String>,
    /// A shared column is believed where `correlation_display` holds one of these, in any case.
    /// Empty: it is believed as it is.
    pub correlation_display_names: Vec<String>,
    /// `sys_updated_by` values whose events are echoes of Serval's own writes.
    pub ignore_users: Vec<String>,
    /// Further classes that count as one of ours: `u_hr_incident = "incident"`.
    pub class_aliases: BTreeMap<String, String>,
    /// JSON Pointers to members of the object that must not leave for Serval nor reach the disk.
    pub drop_fields: Vec<String>,
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
            secrets: Vec::new(),
            bearer_tokens: Vec::new(),
            basic_auth: Vec::new(),
            tolerance_past: Duration::from_mins(5),
            tolerance_future: Duration::from_mins(1),
            channel_target: None,
            ticket_id_pointers: Vec::new(),
            ticket_url_pattern: None,
            shared_pointers: vec!["/correlation_id".to_owned()],
            correlation_display_names: vec!["serval".to_owned()],
            ignore_users: Vec::new(),
            class_aliases: BTreeMap::new(),
            drop_fields: Vec::new(),
            keep_ignored_bodies: false,
            park_for: Duration::from_hours(30 * 24),
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

/// A `ServiceNow` instance that sends us records.
#[derive(Debug)]
pub struct ServiceNow {
    schemes: Schemes,
    classes: Classes,
    tickets: TicketColumns,
    ignore_users: Vec<String>,
}

impl ServiceNow {
    /// Builds the source; refuses a configuration that could not authenticate anybody, or whose
    /// events Serval could not take.
    pub fn try_new(name: &SourceName, config: &Config) -> Result<Self, InvalidSource> {
        let invalid = |key: &'static str, problem: String| InvalidSource {
            source_name: name.clone(),
            key,
            problem,
        };
        let schemes = Schemes::try_new(
            name,
            Credentials {
                secrets: &config.secrets,
                bearer_tokens: &config.bearer_tokens,
                basic_auth: &config.basic_auth,
                window: Window {
                    past: config.tolerance_past.as_secs(),
                    future: config.tolerance_future.as_secs(),
                },
            },
        )?;
        target::check(config.channel_target.as_ref())
            .map_err(|problem| invalid("channel_target", problem))?;
        let users = config
            .ignore_users
            .iter()
            .map(|user| user.trim().to_owned());
        Ok(Self {
            schemes,
            classes: Classes::try_new(&config.class_aliases)
                .map_err(|problem| invalid("class_aliases", problem))?,
            tickets: TicketColumns::try_new(config)
                .map_err(|(key, problem)| invalid(key, problem))?,
            ignore_users: users.filter(|user| !user.is_empty()).collect(),
        })
    }
}

impl Source for ServiceNow {
    fn kind(&self) -> SourceKind {
        SourceKind::ServiceNow
    }

    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused> {
        self.schemes.verify(request, now)
    }

    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        let delivery = envelope::open(request.body())?;
        let reader = Reader {
            classes: &self.classes,
            tickets: &self.tickets,
            ignore_users: &self.ignore_users,
            request,
            delivery: &delivery,
        };
        let events = match &delivery.records {
            Records::One(record) => vec![reader.event(record, None)?],
            Records::Batch(records) => records
                .iter()
                .enumerate()
                .map(|(index, record)| reader.event(record.get(), Some(index)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Receipt::Events(events))
    }
}

#[cfg(test)]
mod tests;
