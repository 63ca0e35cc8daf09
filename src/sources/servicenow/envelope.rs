//! The shapes of a body: where its records stand, and what the envelope says about them.
//!
//! Invariant: records are found, never copied or rewritten; each is a slice of the body.

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::class::Class;
use super::hints::{Hints, Operation, table_text};
use super::record::Columns;
use super::values::{Field, is_object, is_record_object};
use crate::domain::ids::{ExternalId, SourceKind};
use crate::sources::Unreadable;

/// The most records that one body may carry.
const MAX_RECORDS: usize = 1000;

/// The longest `delivery_id` of an envelope, in bytes: it becomes a key in the store.
const MAX_DELIVERY_ID_BYTES: usize = 256;

const BOM: char = '\u{feff}';
/// What may stand around JSON.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A body, taken apart.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) records: Records<'a>,
    /// Of a bare record: its columns, which were read with the body.
    pub(super) columns: Option<Columns<'a>>,
    /// `table` or `table_name` of the envelope.
    pub(super) table: Option<String>,
    pub(super) operation: Option<Operation>,
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
            wrapper: None,
            id: None,
            hints: Hints::Record,
        }
    }
}

/// The records of a body.
#[derive(Debug)]
pub(super) enum Records<'a> {
    One(&'a str),
    Batch(Vec<&'a RawValue>),
}

/// The top level of a body that is an object.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    current: Option<&'a RawValue>,
    #[serde(borrow)]
    previous: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    records: Option<&'a RawValue>,
    #[serde(borrow)]
    incident: Option<&'a RawValue>,
    #[serde(borrow)]
    sc_req_item: Option<&'a RawValue>,
    #[serde(borrow)]
    requested_item: Option<&'a RawValue>,
    #[serde(borrow)]
    table: Option<&'a RawValue>,
    #[serde(borrow)]
    table_name: Option<&'a RawValue>,
    #[serde(borrow)]
    operation: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    delivery_id: Option<&'a RawValue>,
    #[serde(borrow)]
    sys_id: Option<&'a RawValue>,
    /// Columns that make an object without a `sys_id` a record all the same, though a bad one.
    #[serde(borrow)]
    number: Option<&'a RawValue>,
    #[serde(borrow)]
    sys_class_name: Option<&'a RawValue>,
    #[serde(borrow)]
    sys_updated_on: Option<&'a RawValue>,
    #[serde(borrow)]
    sys_mod_count: Option<&'a RawValue>,
    #[serde(borrow)]
    sys_updated_by: Option<&'a RawValue>,
    #[serde(borrow)]
    short_description: Option<&'a RawValue>,
    #[serde(borrow, rename = "__status")]
    status: Option<&'a RawValue>,
    #[serde(borrow, rename = "__error")]
    error: Option<&'a RawValue>,
}

/// Takes a body apart.
pub(super) fn open(body: &[u8]) -> Result<Delivery<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let place = error.valid_up_to();
        Unreadable::Body(format!("not JSON: not UTF-8 from byte {place} on"))
    })?;
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let text = text.trim_matches(WHITE_SPACE);
    // What is read this way is JSON from end to end; what is not is looked at again for the reason.
    if text.starts_with('{')
        && let Ok(outer) = serde_json::from_str::<Outer<'_>>(text)
    {
        return outer.open(text);
    }
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|error| Unreadable::Body(format!("not JSON: {error}")))?;
    if raw.get().starts_with('[') {
        return batch(raw).map(Delivery::bare);
    }
    if !is_object(raw) {
        return Err(no_record());
    }
    let outer: Outer<'_> = serde_json::from_str(raw.get()).map_err(in_body)?;
    outer.open(raw.get())
}

impl<'a> Outer<'a> {
    fn open(&self, raw: &'a str) -> Result<Delivery<'a>, Unreadable> {
        let events = [self.event, self.event_type, self.action];
        let operation = Operation::of_envelope(self.operation, events).map_err(in_body)?;
        let enveloped = |records, wrapper, hints| -> Result<Delivery<'a>, Unreadable> {
            Ok(Delivery {
                records,
                columns: None,
                table: table_text(self.table, self.table_name).map_err(in_body)?,
                operation,
                wrapper,
                id: self.delivery_id()?,
                hints,
            })
        };
        if let Some(record) = self.enveloped_record(operation) {
            return enveloped(Records::One(record.get()), None, Hints::Envelope);
        }

        // The other keys may also be columns of a bare record.
        let own_id = usable_id(self.sys_id).map_err(in_body)?;
        if let Some(result) = self.result {
            if result.get().starts_with('[') && own_id.is_none() {
                return enveloped(batch(result)?, None, Hints::Record);
            }
            if holds_the_record(result, own_id.as_ref())? {
                return enveloped(Records::One(result.get()), None, Hints::Record);
            }
        }
        if let Some(records) = self.records.filter(|r| r.get().starts_with('['))
            && own_id.is_none()
        {
            return enveloped(batch(records)?, None, Hints::Record);
        }
        if let Some((class, record)) = self.wrapped_record(own_id.as_ref())? {
            return enveloped(Records::One(record.get()), Some(class), Hints::Envelope);
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
            operation: self.operation,
            event_type: self.event_type,
        }
    }

    /// The record under `record` or `current`; of a delete, `previous` will do.
    fn enveloped_record(&self, operation: Option<Operation>) -> Option<&'a RawValue> {
        let previous = self
            .previous
            .filter(|_| operation == Some(Operation::Delete));
        [self.record, self.current, previous]
            .into_iter()
            .flatten()
            .find(|raw| is_record_object(raw))
    }

    fn wrapped_record(
        &self,
        own_id: Option<&ExternalId>,
    ) -> Result<Option<(Class, &'a RawValue)>, Unreadable> {
        let wrappers = [
            (Class::Incident, self.incident),
            (Class::RequestedItem, self.sc_req_item),
            (Class::RequestedItem, self.requested_item),
        ];
        let mut found = None;
        for (class, raw) in wrappers {
            let Some(raw) = raw else { continue };
            if !holds_the_record(raw, own_id)? {
                continue;
            }
            if found.is_some() {
                let problem =
                    "more than one record in the body: send several as {\"records\": […]}";
                return Err(Unreadable::Body(problem.to_owned()));
            }
            found = Some((class, raw));
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
        columns.iter().any(Option::is_some)
    }

    fn delivery_id(&self) -> Result<Option<String>, Unreadable> {
        let field = Field::read(self.delivery_id).map_err(in_body)?;
        let fits = |id: &&str| (1..=MAX_DELIVERY_ID_BYTES).contains(&id.len());
        Ok(field.value().filter(fits).map(ToOwned::to_owned))
    }
}

/// What is wrong with JSON that parses, without its content. The position that serde gives is
/// left out: it counts from the start of a part.
pub(super) fn unreadable(place: &str, error: &serde_json::Error) -> Unreadable {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    Unreadable::Body(match error.classify() {
        Category::Data => format!("{place} has a {problem}"),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("not JSON: {problem} in a key of {place}")
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn in_body(error: serde_json::Error) -> Unreadable {
    unreadable("the body", &error)
}

/// Whether `raw` is a record, and not a column of the record with the id beside it.
fn holds_the_record(raw: &RawValue, beside: Option<&ExternalId>) -> Result<bool, Unreadable> {
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        sys_id: Option<&'a RawValue>,
    }
    if !is_record_object(raw) {
        return Ok(false);
    }
    let Some(beside) = beside else {
        return Ok(true);
    };
    let inner: Inner<'_> = serde_json::from_str(raw.get()).map_err(in_body)?;
    Ok(usable_id(inner.sys_id).map_err(in_body)?.as_ref() == Some(beside))
}

fn usable_id(raw: Option<&RawValue>) -> Result<Option<ExternalId>, serde_json::Error> {
    let field = Field::read(raw)?;
    let text = field.text().unwrap_or_default();
    Ok(SourceKind::ServiceNow.parse_external_id(text).ok())
}

fn batch(raw: &RawValue) -> Result<Records<'_>, Unreadable> {
    let records: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| unreadable("the batch", &error))?;
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
