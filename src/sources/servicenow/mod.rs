//! `ServiceNow`: records that business rules push, in any shape that their scripts give them.
//!
//! Invariant: a record reaches Serval as the bytes that arrived. Nothing is repaired, renamed or
//! printed again.

mod class;
mod columns;
mod config;
mod envelope;
mod hints;
mod ids;
mod named;
mod record;
mod values;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::class::Classes;
use self::envelope::{Delivery, Records};
use self::named::TicketColumns;
use self::record::{FOREIGN_INSTANCE, Reader, UNKNOWN};
use self::values::Column;
use super::auth::request::{Refused, Unverified, Verified};
use super::auth::schemes::Schemes;
use super::invalid::InvalidKey;
use super::json::lookup::member;
use super::kind::{Kind, KindConfig, OwnKeys, SourceKind, TypedId};
use super::policy::{SourcePolicy, check_target};
use super::source::{Receipt, Source, StoredBody, Unreadable};
use super::title::{Title, first_line};
use crate::domain::feed::{Sign, Trouble};
use crate::domain::ids::{ExternalId, InvalidId};
pub use config::Config;

/// `ServiceNow`.
pub const KIND: SourceKind = &ServiceNowKind;

#[derive(Debug)]
struct ServiceNowKind;

impl Kind for ServiceNowKind {
    fn name(&self) -> &'static str {
        "servicenow"
    }

    fn own_keys(&self) -> OwnKeys {
        OwnKeys::of::<Config>(config::KEYS)
    }

    fn parse_external_id(&self, text: &str) -> Result<ExternalId, InvalidId> {
        ids::parse(text)
    }

    fn read_typed(&self, text: &str) -> Result<TypedId, InvalidId> {
        ids::read_typed(text)
    }

    fn external_id_pattern(&self) -> &'static str {
        ids::PATTERN
    }

    fn title(&self, object: &str) -> Title {
        let column = |name| {
            let column = Column::read(member(object, name).ok()?).ok()?;
            first_line(column.text()?)
        };
        Title {
            number: column("number"),
            title: column("short_description"),
        }
    }

    fn is_number(&self, word: &str) -> bool {
        ids::is_number(word)
    }

    fn statuses(&self) -> &'static [u16] {
        &[202, 400, 401, 422, 503]
    }

    fn sign(&self, reason: &str) -> Sign {
        match reason {
            FOREIGN_INSTANCE => Sign::Trouble(Trouble::ForeignInstance),
            _ => Sign::Alive,
        }
    }

    fn first_lines(&self, random: &[u8; 32]) -> String {
        format!(
            "\
# What follows whsec_ belongs into the property x_serval_connect.signing_key of the instance.
secrets = [\"whsec_{}\"]
# The user that Serval writes with.
ignore_users = [\"serval.integration\"]
",
            STANDARD.encode(random)
        )
    }

    fn targets(&self, integration_id: &str) -> Vec<(&'static str, Value)> {
        let target = json!({ "ticketSource": { "integrationId": integration_id } });
        vec![("channel_target", target)]
    }
}

impl KindConfig for Config {
    fn build(&self, policy: &SourcePolicy) -> Result<Box<dyn Source>, InvalidKey> {
        let schemes = Schemes::try_new(
            &self.secrets,
            &self.bearer_tokens,
            &self.basic_auth,
            policy.window(),
        )?;
        check_target("channel_target", policy.channel_target.as_ref())?;
        // ServiceNow writes user names without blanks around them, but a person who copies one
        // often does not. An empty name would match records without a user.
        let users = self.ignore_users.iter().map(|user| user.trim().to_owned());
        Ok(Box::new(ServiceNow {
            schemes,
            classes: Classes::try_new(&self.class_aliases)
                .map_err(|problem| InvalidKey::new("class_aliases", problem))?,
            tickets: TicketColumns::try_new(self, policy)?,
            ignore_users: users.filter(|user| !user.is_empty()).collect(),
            instance: self.instance.as_ref().map(|name| name.trim().to_owned()),
        }))
    }

    fn advice(&self) -> Option<(&'static str, &'static str)> {
        self.instance.is_none().then_some((
            "instance",
            "set it to the property instance_name of the instance, so that a clone of the instance \
             connects nothing",
        ))
    }
}

/// A `ServiceNow` instance that sends us records.
#[derive(Debug)]
struct ServiceNow {
    schemes: Schemes,
    classes: Classes,
    tickets: TicketColumns,
    ignore_users: Vec<String>,
    instance: Option<String>,
}

impl ServiceNow {
    /// True if `delivery` comes from another instance. A body that names none is taken for one of the
    /// source's own: only our business rules write the name. What was foreign once stays so until it
    /// names the instance: of a batch, or without dropped fields, the name is not stored.
    fn is_foreign(&self, delivery: &Delivery<'_>, was_foreign: bool) -> bool {
        match (&self.instance, &delivery.instance) {
            (Some(own), Some(named)) => !own.eq_ignore_ascii_case(named.trim()),
            (Some(_), None) => was_foreign,
            (None, _) => false,
        }
    }

    fn read(&self, request: &Verified<'_>, was_foreign: bool) -> Result<Receipt, Unreadable> {
        let delivery = envelope::open(request.body())?;
        let reader = Reader {
            classes: &self.classes,
            tickets: &self.tickets,
            ignore_users: &self.ignore_users,
            is_foreign: self.is_foreign(&delivery, was_foreign),
            request,
            delivery: &delivery,
        };
        // One record that cannot be read refuses the whole batch: nothing of it is stored, so the
        // sender can repeat it after the fault is mended.
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

impl Source for ServiceNow {
    fn screen(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refused> {
        self.schemes.screen(headers, now)
    }

    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused> {
        self.schemes.verify(request, now)
    }

    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        self.read(request, false)
    }

    fn interpret_again(&self, stored: &StoredBody<'_>) -> Result<Receipt, Unreadable> {
        // The path is not stored, but the type of the event begins with the class that was read.
        let class = stored.event_type.rsplit_once('.').map(|(class, _)| class);
        let table = class.filter(|class| *class != UNKNOWN);
        self.read(
            &Verified::stored(stored.body, table),
            stored.reason == FOREIGN_INSTANCE,
        )
    }
}

#[cfg(test)]
mod tests;
