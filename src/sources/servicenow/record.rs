//! One record: what it is about, how new it is, and what should become of its event.
//!
//! Invariant: the record itself is only pointed at; its bytes are those that were received.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::class::{Classes, Table, Verdict, Witnesses, is_table_name};
use super::envelope::{Delivery, unreadable};
use super::hints::{Hints, Operation, table_text};
use super::ticket::TicketColumns;
use super::values::{Field, count, utc_seconds};
use crate::domain::event::{Disposition, NewEvent, Rank};
use crate::domain::ids::{ExternalId, SourceKind};
use crate::sources::{Unreadable, Verified};

/// The longest event type, in bytes.
const MAX_EVENT_TYPE_BYTES: usize = 64;
const MAX_NUMBER_BYTES: usize = 40;

/// The columns that are read.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Columns<'a> {
    #[serde(borrow)]
    pub(super) sys_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sys_class_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) number: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sys_mod_count: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sys_updated_on: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sys_updated_by: Option<&'a RawValue>,
    #[serde(borrow, rename = "__status")]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow, rename = "__error")]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) table: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) table_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) operation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) event_type: Option<&'a RawValue>,
}

/// What the columns say.
struct Record {
    /// Where the record stands, for people.
    place: String,
    sys_id: Field,
    class_name: Field,
    number: Field,
    mod_count: Option<i64>,
    updated_on: Option<i64>,
    updated_by: Field,
    failed: bool,
    table: Option<String>,
    operation: Option<Operation>,
}

/// Reads the records of one delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) classes: &'r Classes,
    pub(super) tickets: &'r TicketColumns,
    pub(super) ignore_users: &'r [String],
    pub(super) request: &'r Verified<'r>,
    pub(super) delivery: &'r Delivery<'r>,
}

impl Reader<'_> {
    /// Reads one record; `index` is its place in a batch.
    pub(super) fn event(&self, raw: &str, index: Option<usize>) -> Result<NewEvent, Unreadable> {
        let place = index.map_or_else(
            || "the record".to_owned(),
            |index| format!("record {index} of the batch (counted from 0)"),
        );
        if !raw.starts_with('{') {
            let detail = format!("{place} is not an object");
            return Err(Unreadable::Record { index, detail });
        }
        let record = self
            .read(raw, &place)
            .map_err(|error| unreadable(&place, &error))?;
        let external_id = record.external_id();
        let verdict = self.verdict(&record);
        let disposition = if record.failed {
            Disposition::Ignore("record_error")
        } else if let Err(detail) = external_id {
            return Err(Unreadable::Record { index, detail });
        } else {
            self.disposition(&record, &verdict)
        };
        let external_id = external_id.ok();
        let content_key = match disposition {
            Disposition::Connect => content_key(external_id.as_ref(), &record, raw),
            Disposition::Skip(_) | Disposition::Ignore(_) | Disposition::Bury(_) => None,
        };
        Ok(NewEvent {
            hint: match disposition {
                // An echo connects nothing, but Serval's own account may be the one to write the id.
                Disposition::Connect | Disposition::Skip(_) => self.tickets.hint(raw),
                Disposition::Ignore(_) | Disposition::Bury(_) => None,
            },
            number: record.number.text().and_then(number),
            team: None,
            channel_move: None,
            disposition,
            external_id,
            subtype: match verdict {
                Verdict::Ours(class) => Some(class.subtype()),
                Verdict::Other(_) | Verdict::Conflict | Verdict::Unknown => None,
            },
            event_type: event_type(&verdict, record.operation),
            delivery_key: self.delivery_key(index),
            content_key,
            rank: Rank(
                record.mod_count.unwrap_or(-1),
                record.updated_on.unwrap_or(-1),
            ),
            object: self.object(raw),
        })
    }

    fn read(&self, raw: &str, place: &str) -> Result<Record, serde_json::Error> {
        let columns = match self.delivery.columns {
            Some(columns) => columns,
            None => serde_json::from_str(raw)?,
        };
        let class_name = Field::read(columns.sys_class_name)?;
        let updated_on = Field::read(columns.sys_updated_on)?;
        // A label for a class means that the dates are labels too: local times, perhaps in the
        // very form of the stored ones.
        let labels = class_name
            .value()
            .is_some_and(|name| !is_table_name(name.trim()));
        let (own_table, own_operation) = match self.delivery.hints {
            Hints::Envelope => (None, None),
            Hints::Record => (
                table_text(columns.table, columns.table_name)?,
                Operation::of_record(columns.operation, columns.event_type)?,
            ),
        };
        Ok(Record {
            place: place.to_owned(),
            sys_id: Field::read(columns.sys_id)?,
            number: Field::read(columns.number)?,
            mod_count: Field::read(columns.sys_mod_count)?.text().and_then(count),
            updated_on: updated_on.value().filter(|_| !labels).and_then(utc_seconds),
            updated_by: Field::read(columns.sys_updated_by)?,
            failed: failed(columns.status, columns.error)?,
            class_name,
            table: own_table,
            operation: self.delivery.operation.or(own_operation),
        })
    }

    fn verdict(&self, record: &Record) -> Verdict {
        let of_envelope = self.delivery.table.as_deref().map(Table::OfEnvelope);
        self.classes.decide(&Witnesses {
            class_name: record.class_name.text(),
            table: of_envelope.or(record.table.as_deref().map(Table::OfRecord)),
            wrapper: self.delivery.wrapper,
            path: self.request.table(),
            number: record.number.text(),
        })
    }

    fn disposition(&self, record: &Record, verdict: &Verdict) -> Disposition {
        match record.operation {
            Some(Operation::Delete) => return Disposition::Ignore("deleted"),
            Some(Operation::Other) => return Disposition::Ignore("operation"),
            Some(Operation::Insert | Operation::Update) | None => {}
        }
        match verdict {
            Verdict::Conflict => Disposition::Bury("class_conflict"),
            Verdict::Other(_) => Disposition::Ignore("out_of_scope"),
            Verdict::Unknown => Disposition::Ignore("unknown_class"),
            Verdict::Ours(_) if self.is_echo(record) => Disposition::Skip("echo"),
            Verdict::Ours(_) => Disposition::Connect,
        }
    }

    fn is_echo(&self, record: &Record) -> bool {
        let ignored = |user: &str| {
            self.ignore_users
                .iter()
                .any(|i| i.eq_ignore_ascii_case(user))
        };
        record.updated_by.texts().any(|user| ignored(user.trim()))
    }

    /// The prefixes keep ids of different origin and shape apart, whatever the ids look like.
    fn delivery_key(&self, index: Option<usize>) -> Option<String> {
        let (origin, id) = match (self.request.delivery_id(), &self.delivery.id) {
            (Some(id), _) => ("wh", id),
            (None, Some(id)) => ("body", id.as_str()),
            (None, None) => return None,
        };
        Some(match index {
            None => format!("{origin}:{id}"),
            Some(index) => format!("{origin}#{index}:{id}"),
        })
    }

    /// Where `raw`, which is a slice of the body, stands in it.
    fn object(&self, raw: &str) -> Range<usize> {
        let start = raw.as_ptr().addr() - self.request.body().as_ptr().addr();
        start..start + raw.len()
    }
}

impl Record {
    fn external_id(&self) -> Result<ExternalId, String> {
        let place = &self.place;
        let text = self
            .sys_id
            .text()
            .ok_or_else(|| format!("{place} has no sys_id"))?;
        SourceKind::ServiceNow
            .parse_external_id(text)
            .map_err(|problem| format!("{place} has no usable sys_id: {problem}"))
    }
}

/// Whether ServiceNow says that it could not give the record (`JSONv2`).
fn failed(status: Option<&RawValue>, error: Option<&RawValue>) -> Result<bool, serde_json::Error> {
    let status = Field::read(status)?;
    let success = status
        .text()
        .is_none_or(|text| text.eq_ignore_ascii_case("success"));
    let error = error.is_some_and(|raw| !matches!(raw.get(), "\"\"" | "false"));
    Ok(error || !success)
}

/// Two rules for one save may send different columns, so the content is a part of the key.
fn content_key(id: Option<&ExternalId>, record: &Record, raw: &str) -> Option<String> {
    let (id, mod_count) = (id?, record.mod_count?);
    let operation = record.operation.map_or("", Operation::as_str);
    let hash = Sha256::digest(raw);
    Some(format!(
        "{id}:{mod_count}:{operation}:{}",
        hex::encode(&hash[..16])
    ))
}

/// A number as people type it to find the record; what nobody types in one word is none.
fn number(text: &str) -> Option<String> {
    let number = text.trim();
    let fits = (1..=MAX_NUMBER_BYTES).contains(&number.len());
    (fits && number.bytes().all(|b| b.is_ascii_graphic())).then(|| number.to_owned())
}

fn event_type(verdict: &Verdict, operation: Option<Operation>) -> String {
    let class = match verdict {
        Verdict::Ours(class) => class.table(),
        Verdict::Other(name) => name,
        Verdict::Conflict | Verdict::Unknown => "record",
    };
    let operation = operation.map_or("change", Operation::as_str);
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let room = MAX_EVENT_TYPE_BYTES - operation.len() - 1;
    let class: String = class.chars().map(visible).take(room).collect();
    format!("{class}.{operation}")
}
