//! One record becomes one event.
//!
//! Invariant: the event only points at the record, whose bytes are those that were received.

use crate::domain::reason::Reason;
use sha2::{Digest, Sha256};

use super::class::{Classes, Verdict, Witnesses, is_table_name};
use super::columns::unreadable;
use super::envelope::Delivery;
use super::hints::{Hints, Operation, first_text};
use super::ids;
use super::named::TicketColumns;
use super::values::{Column, count, utc_seconds};
use crate::domain::event::{Disposition, NewEvent, Rank};
use crate::domain::ids::ExternalId;
use crate::domain::report::Report;
use crate::sources::auth::request::Verified;
use crate::sources::json::field::{Field, place_of};
use crate::sources::json::members::object;
use crate::sources::source::Unreadable;

/// The longest event type, in bytes.
const MAX_EVENT_TYPE_BYTES: usize = 64;
/// Reason of a record that was deleted.
const DELETED: &str = "deleted";
const MAX_NUMBER_BYTES: usize = 40;

/// The values of the columns.
struct Record {
    /// The record's place in the body, for people.
    place: String,
    sys_id: Column,
    class_name: Column,
    number: Column,
    mod_count: Option<i64>,
    updated_on: Option<i64>,
    updated_by: Column,
    failed: bool,
    /// `table` or `table_name` among the columns.
    table: Option<String>,
    operation: Option<Operation>,
}

/// Stands for the class in the type of an event whose class is not known.
pub(super) const UNKNOWN: &str = "record";

/// Reason of an event of another instance than that of its source.
pub(super) const FOREIGN_INSTANCE: &str = "foreign_instance";

/// Reads the records of one delivery.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) classes: &'r Classes,
    pub(super) tickets: &'r TicketColumns,
    pub(super) ignore_users: &'r [String],
    /// True if the records are of another instance than that of the source.
    pub(super) is_foreign: bool,
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
        // A record that ServiceNow could not give has no usable id, and is no fault of the sender.
        let external_id = record.external_id();
        let witnesses = self.witnesses(&record);
        let verdict = self.classes.decide(&witnesses);
        let disposition = if record.failed {
            Disposition::Ignore("record_error")
        } else if let Err(detail) = external_id {
            return Err(Unreadable::Record { index, detail });
        } else {
            self.disposition(&record, &verdict, &witnesses)
        };
        let external_id = external_id.ok();
        let content_key = match disposition {
            Disposition::Connect => content_key(external_id.as_ref(), &record, raw),
            Disposition::Skip(_)
            | Disposition::Ignore(_)
            | Disposition::SetAside(_)
            | Disposition::Bury(_) => None,
        };
        Ok(NewEvent {
            hint: match disposition {
                // An echo connects nothing, but it may be Serval's account that writes the id.
                Disposition::Connect | Disposition::Skip(_) => self.tickets.hint(raw),
                Disposition::Ignore(_) | Disposition::SetAside(_) | Disposition::Bury(_) => None,
            },
            number: record.number.text().and_then(number),
            channel: None,
            question: None,
            disposition,
            external_id,
            subtype: match verdict {
                Verdict::Ours(class) => Some(class.subtype()),
                Verdict::Other(_) | Verdict::Conflict | Verdict::Unknown => None,
            },
            event_type: event_type(&verdict, record.operation),
            delivery_key: self.delivery_key(),
            content_key,
            rank: Rank(
                record.updated_on.unwrap_or(Rank::UNKNOWN),
                record.mod_count.unwrap_or(Rank::UNKNOWN),
            ),
            report: if disposition == Disposition::Ignore(DELETED) {
                Report::Deletion
            } else {
                Report::Save
            },
            object: place_of(raw, self.request.body()),
        })
    }

    fn read(&self, raw: &str, place: &str) -> Result<Record, serde_json::Error> {
        let columns = match self.delivery.columns {
            Some(columns) => columns,
            None => object(raw)?,
        };
        let class_name = Column::read(columns.sys_class_name)?;
        let updated_on = Column::read(columns.sys_updated_on)?;
        // If the class is a label, the dates are labels too: local times, even if they look like
        // stored ones. They must not decide which record is newer.
        let labels = class_name
            .value()
            .is_some_and(|name| !is_table_name(name.trim()));
        // Within an envelope, a column that is called `table` is a column; and beside `table_sys_id` it
        // names the table of another record, such as that of an attachment.
        let table_of_another = columns.table_sys_id.is_given();
        let (own_table, own_operation) = match self.delivery.hints {
            Hints::Envelope => (None, None),
            Hints::Record => (
                first_text(&[columns.table, columns.table_name])?.filter(|_| !table_of_another),
                Operation::of_record(columns.operation, columns.event_type)?,
            ),
        };
        Ok(Record {
            place: place.to_owned(),
            sys_id: Column::read(columns.sys_id)?,
            number: Column::read(columns.number)?,
            mod_count: Column::read(columns.sys_mod_count)?.text().and_then(count),
            updated_on: updated_on.value().filter(|_| !labels).and_then(utc_seconds),
            updated_by: Column::read(columns.sys_updated_by)?,
            failed: failed(columns.status, columns.error)?,
            class_name,
            table: own_table,
            operation: self.delivery.operation.or(own_operation),
        })
    }

    fn witnesses<'w>(&'w self, record: &'w Record) -> Witnesses<'w> {
        Witnesses {
            class_name: record.class_name.text(),
            table: self.delivery.table.as_deref(),
            wrapper: self.delivery.wrapper,
            path: self.request.table(),
            column: record.table.as_deref(),
            number: record.number.text(),
        }
    }

    fn disposition(
        &self,
        record: &Record,
        verdict: &Verdict,
        witnesses: &Witnesses<'_>,
    ) -> Disposition {
        // A clone has the same ids: not even its deletions mean the records of the source's instance.
        if self.is_foreign {
            return Disposition::SetAside(FOREIGN_INSTANCE);
        }
        // The operation comes before the class, which does not matter for a deleted record.
        match record.operation {
            Some(Operation::Delete) => return Disposition::Ignore(DELETED),
            Some(Operation::Other) => return Disposition::Ignore("operation"),
            Some(Operation::Insert | Operation::Update) | None => {}
        }
        let may_need_alias = self.classes.may_need_alias(verdict, witnesses);
        match verdict {
            Verdict::Conflict => Disposition::Bury(Reason::ClassConflict),
            Verdict::Other(_) if may_need_alias => Disposition::SetAside("out_of_scope"),
            Verdict::Other(_) => Disposition::Ignore("out_of_scope"),
            Verdict::Unknown if may_need_alias => Disposition::SetAside("unknown_class"),
            Verdict::Unknown => Disposition::Ignore("unknown_class"),
            Verdict::Ours(_) if self.is_echo(record) => Disposition::Skip(Reason::Echo),
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

    /// The prefixes keep ids of different origins apart, even if the ids are equal. All records of a
    /// batch have the id of the batch.
    fn delivery_key(&self) -> Option<String> {
        let (origin, id) = match (self.request.delivery_id(), &self.delivery.id) {
            (Some(id), _) => ("wh", id),
            (None, Some(id)) => ("body", id.as_str()),
            (None, None) => return None,
        };
        // A cloned instance may send what the real one sends later, under the same id.
        let foreign = if self.is_foreign { "foreign:" } else { "" };
        Some(format!("{foreign}{origin}:{id}"))
    }
}

impl Record {
    fn external_id(&self) -> Result<ExternalId, String> {
        let place = &self.place;
        let text = self
            .sys_id
            .text()
            .ok_or_else(|| format!("{place} has no sys_id"))?;
        ids::parse(text).map_err(|problem| format!("{place} has no usable sys_id: {problem}"))
    }
}

/// True if ServiceNow reports that it could not give the record (`JSONv2`).
fn failed(status: Field<'_>, error: Field<'_>) -> Result<bool, serde_json::Error> {
    let status = Column::read(status)?;
    let success = status
        .text()
        .is_none_or(|text| text.eq_ignore_ascii_case("success"));
    Ok(error.is_given() || !success)
}

/// Names the content. Two business rules may send different columns of one save, so a hash of the
/// content is a part of the key.
fn content_key(id: Option<&ExternalId>, record: &Record, raw: &str) -> Option<String> {
    let (id, mod_count) = (id?, record.mod_count?);
    let operation = record.operation.map_or("", Operation::as_str);
    let hash = Sha256::digest(raw);
    Some(format!(
        "{id}:{mod_count}:{operation}:{}",
        hex::encode(&hash[..16])
    ))
}

/// The number as people type it to find the record: one word, or it cannot be found.
fn number(text: &str) -> Option<String> {
    let number = text.trim();
    let fits = (1..=MAX_NUMBER_BYTES).contains(&number.len());
    (fits && number.bytes().all(|b| b.is_ascii_graphic())).then(|| number.to_owned())
}

fn event_type(verdict: &Verdict, operation: Option<Operation>) -> String {
    let class = match verdict {
        Verdict::Ours(class) => class.table(),
        Verdict::Other(name) => name,
        Verdict::Conflict | Verdict::Unknown => UNKNOWN,
    };
    let operation = operation.map_or("change", Operation::as_str);
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let room = MAX_EVENT_TYPE_BYTES - operation.len() - 1;
    let class: String = class.chars().map(visible).take(room).collect();
    format!("{class}.{operation}")
}
