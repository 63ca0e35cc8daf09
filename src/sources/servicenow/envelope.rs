//! The shapes of a body: the places of its records, and the facts in the envelope around them.
//!
//! Invariant: records are found, never copied or rewritten. Each is a slice of the body.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::class::Class;
use super::columns::{Columns, unreadable};
use super::hints::{Hints, Operation, first_text};
use super::ids;
use super::values::{Column, record_json};
use crate::domain::ids::ExternalId;
use crate::sources::json::field::Field;
use crate::sources::json::members::object;
use crate::sources::source::Unreadable;

/// The most records that one body may carry.
const MAX_RECORDS: usize = 1000;

/// The longest `delivery_id` of an envelope, in bytes: it becomes a key in the store.
const MAX_DELIVERY_ID_BYTES: usize = 256;

const BOM: char = '\u{feff}';
/// White space around JSON.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The records of a body, with the facts that the envelope adds.
pub(super) struct Delivery<'a> {
    pub(super) records: Records<'a>,
    /// The columns of a bare record, which were read with the body.
    pub(super) columns: Option<Columns<'a>>,
    /// `table` or `table_name` of the envelope.
    pub(super) table: Option<String>,
    pub(super) operation: Option<Operation>,
    /// The name of the instance that sent the envelope.
    pub(super) instance: Option<String>,
    /// The class that the key around the record names.
    pub(super) wrapper: Option<Class>,
    /// The envelope's name for the delivery.
    pub(super) id: Option<String>,
    pub(super) hints: Hints,
}

impl<'a> Delivery<'a> {
    /// Records without an envelope.
    fn bare(records: Records<'a>) -> Self {
        Self {
            records,
            columns: None,
            table: None,
            operation: None,
            instance: None,
            wrapper: None,
            id: None,
            hints: Hints::Record,
        }
    }
}

/// The records of a body.
pub(super) enum Records<'a> {
    One(&'a str),
    Batch(Vec<&'a RawValue>),
}

/// The top level of a body that is an object: the keys of all envelopes and of a bare record.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer<'a> {
    #[serde(borrow)]
    record: Field<'a>,
    current: Field<'a>,
    previous: Field<'a>,
    result: Field<'a>,
    records: Field<'a>,
    incident: Field<'a>,
    sc_req_item: Field<'a>,
    requested_item: Field<'a>,
    table: Field<'a>,
    table_name: Field<'a>,
    table_sys_id: Field<'a>,
    instance: Field<'a>,
    operation: Field<'a>,
    event: Field<'a>,
    event_type: Field<'a>,
    action: Field<'a>,
    delivery_id: Field<'a>,
    sys_id: Field<'a>,
    // Columns that make an object without a `sys_id` a record all the same, though a bad one.
    number: Field<'a>,
    sys_class_name: Field<'a>,
    sys_updated_on: Field<'a>,
    sys_mod_count: Field<'a>,
    sys_updated_by: Field<'a>,
    short_description: Field<'a>,
    #[serde(rename = "__status")]
    status: Field<'a>,
    #[serde(rename = "__error")]
    error: Field<'a>,
}

/// Finds the records of a body.
pub(super) fn open(body: &[u8]) -> Result<Delivery<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let place = error.valid_up_to();
        Unreadable::Body(format!("not JSON: not UTF-8 from byte {place} on"))
    })?;
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let text = text.trim_matches(WHITE_SPACE);
    // The usual body is read once. A body that cannot be read so is read again for the reason.
    if text.starts_with('{')
        && let Ok(outer) = serde_json::from_str::<Outer<'_>>(text)
    {
        return outer.open(text);
    }
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|error| Unreadable::Body(format!("not JSON: {error}")))?;
    match raw.get().as_bytes().first() {
        Some(b'[') => batch(raw.get()).map(Delivery::bare),
        Some(b'{') => {
            let outer: Outer<'_> = object(raw.get()).map_err(in_body)?;
            outer.open(raw.get())
        }
        _ => Err(no_record()),
    }
}

impl<'a> Outer<'a> {
    fn open(&self, raw: &'a str) -> Result<Delivery<'a>, Unreadable> {
        // The order of the checks is the order of certainty. An object under `record` or `current` can
        // only be a record. All other keys may also be columns of a bare record.
        let events = [self.event, self.event_type, self.action];
        let operation = Operation::of_envelope(self.operation, events).map_err(in_body)?;
        let enveloped = |records, wrapper, hints| -> Result<Delivery<'a>, Unreadable> {
            Ok(Delivery {
                records,
                columns: None,
                table: first_text(&[self.table, self.table_name]).map_err(in_body)?,
                operation,
                instance: first_text(&[self.instance]).map_err(in_body)?,
                wrapper,
                id: self.delivery_id()?,
                hints,
            })
        };
        if let Some(record) = self.enveloped_record(operation) {
            return enveloped(Records::One(record), None, Hints::Envelope);
        }
        let own_id = usable_id(self.sys_id).map_err(in_body)?;
        if let Some(result) = self.result.array_json().filter(|_| own_id.is_none()) {
            return enveloped(batch(result)?, None, Hints::Record);
        }
        if let Some(result) = held_record(self.result, own_id.as_ref())? {
            return enveloped(Records::One(result), None, Hints::Record);
        }
        if let Some(records) = self.records.array_json().filter(|_| own_id.is_none()) {
            return enveloped(batch(records)?, None, Hints::Record);
        }
        if let Some((class, record)) = self.wrapped_record(own_id.as_ref())? {
            return enveloped(Records::One(record), Some(class), Hints::Envelope);
        }
        if own_id.is_none() && !self.looks_like_a_record() {
            return Err(no_record());
        }
        Ok(Delivery {
            columns: Some(self.columns()),
            ..Delivery::bare(Records::One(raw))
        })
    }

    fn columns(&self) -> Columns<'a> {
        Columns {
            sys_id: self.sys_id,
            sys_class_name: self.sys_class_name,
            number: self.number,
            sys_mod_count: self.sys_mod_count,
            sys_updated_on: self.sys_updated_on,
            sys_updated_by: self.sys_updated_by,
            status: self.status,
            error: self.error,
            table: self.table,
            table_name: self.table_name,
            table_sys_id: self.table_sys_id,
            operation: self.operation,
            event_type: self.event_type,
        }
    }

    /// The record under `record` or `current`; for a delete also under `previous`.
    fn enveloped_record(&self, operation: Option<Operation>) -> Option<&'a str> {
        let is_delete = operation == Some(Operation::Delete);
        let previous = is_delete.then_some(self.previous);
        let mut places = [self.record, self.current].into_iter().chain(previous);
        places.find_map(record_json)
    }

    fn wrapped_record(
        &self,
        own_id: Option<&ExternalId>,
    ) -> Result<Option<(Class, &'a str)>, Unreadable> {
        // Some clients name the wrapper by the table's label.
        let wrappers = [
            (Class::Incident, self.incident),
            (Class::RequestedItem, self.sc_req_item),
            (Class::RequestedItem, self.requested_item),
        ];
        let mut found = None;
        for (class, field) in wrappers {
            let Some(record) = held_record(field, own_id)? else {
                continue;
            };
            // Choosing one would lose the other behind a 2xx. The sender is told instead.
            if found.replace((class, record)).is_some() {
                let problem =
                    "more than one record in the body: send several as {\"records\": […]}";
                return Err(Unreadable::Body(problem.to_owned()));
            }
        }
        Ok(found)
    }

    fn looks_like_a_record(&self) -> bool {
        let columns = [
            self.sys_id,
            self.number,
            self.sys_class_name,
            self.sys_updated_on,
            self.sys_mod_count,
            self.short_description,
            self.status,
            self.error,
        ];
        columns.iter().any(|field| field.json().is_some())
    }

    fn delivery_id(&self) -> Result<Option<String>, Unreadable> {
        let column = Column::read(self.delivery_id).map_err(in_body)?;
        let fits = |id: &&str| (1..=MAX_DELIVERY_ID_BYTES).contains(&id.len());
        Ok(column.value().filter(fits).map(ToOwned::to_owned))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn in_body(error: serde_json::Error) -> Unreadable {
    unreadable("the body", &error)
}

/// The record in `field`. If an id stands beside the field, only a record of that id counts: any
/// other object is a column.
fn held_record<'a>(
    field: Field<'a>,
    beside: Option<&ExternalId>,
) -> Result<Option<&'a str>, Unreadable> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        sys_id: Field<'a>,
    }
    // A record has reference fields that are objects, such as `{"incident": {"value": …}}`. Beside
    // an id they are columns of that record, not a record of their own.
    let (Some(record), Some(_)) = (record_json(field), beside) else {
        return Ok(record_json(field));
    };
    let inner: Inner<'_> = object(record).map_err(in_body)?;
    let id = usable_id(inner.sys_id).map_err(in_body)?;
    Ok((id.as_ref() == beside).then_some(record))
}

fn usable_id(field: Field<'_>) -> Result<Option<ExternalId>, serde_json::Error> {
    let column = Column::read(field)?;
    Ok(ids::parse(column.text().unwrap_or_default()).ok())
}

fn batch(array: &str) -> Result<Records<'_>, Unreadable> {
    let records: Vec<&RawValue> =
        serde_json::from_str(array).map_err(|error| unreadable("the batch", &error))?;
    if records.len() > MAX_RECORDS {
        return Err(Unreadable::Body(format!(
            "{} records in one body: send at most {MAX_RECORDS}",
            records.len()
        )));
    }
    Ok(Records::Batch(records))
}

fn no_record() -> Unreadable {
    Unreadable::Body(
        "no record in the body: expected a record with its sys_id, {\"result\": …}, \
         {\"records\": […]}, an array of records, or an envelope with a record"
            .to_owned(),
    )
}
