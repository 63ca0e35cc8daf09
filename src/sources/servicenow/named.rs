//! The Serval ticket that a record names, in one of the columns that the operator listed.
//!
//! Invariant: a column that other integrations write too is believed only if the record says that
//! Serval wrote it. A column that cannot be read names nothing, and the record is accepted.

use super::config::Config;
use crate::domain::ids::ServalTicketId;
use crate::sources::hint::HintReader;
use crate::sources::invalid::InvalidKey;
use crate::sources::json::field::Field;
use crate::sources::json::lookup::{Pointer, member};
use crate::sources::policy::SourcePolicy;

/// Names the system that `correlation_id` belongs to.
const CORRELATION_DISPLAY: &str = "correlation_display";

/// A place in a record that may hold the id.
#[derive(Debug)]
struct Place {
    pointer: Pointer,
    is_shared: bool,
}

/// Reads the id out of records.
#[derive(Debug)]
pub(super) struct TicketColumns {
    places: Vec<Place>,
    /// In lower case; empty: a shared column is believed as it is.
    display_names: Vec<String>,
    reader: HintReader,
}

impl TicketColumns {
    pub(super) fn try_new(config: &Config, policy: &SourcePolicy) -> Result<Self, InvalidKey> {
        let listed = pointers("ticket_id_pointers", &config.ticket_id_pointers)?;
        let shared = pointers("shared_pointers", &config.shared_pointers)?;
        let place = |pointer: Pointer| Place {
            is_shared: shared.iter().any(|outer| outer.contains(&pointer)),
            pointer,
        };
        let names = config.correlation_display_names.iter();
        Ok(Self {
            places: listed.into_iter().map(place).collect(),
            display_names: names.map(|name| name.trim().to_ascii_lowercase()).collect(),
            reader: HintReader::try_new(policy)?,
        })
    }

    /// The first usable id in the listed columns.
    pub(super) fn hint(&self, record: &str) -> Option<ServalTicketId> {
        let believed = |place: &&Place| !place.is_shared || self.is_ours(record);
        self.places
            .iter()
            .filter(believed)
            .find_map(|place| self.at(&place.pointer, record))
    }

    fn at(&self, pointer: &Pointer, record: &str) -> Option<ServalTicketId> {
        let column = pointer.find(record).ok()?;
        let Some(object) = column.object_json() else {
            return self.reader.text(&column.string()?);
        };
        // The value decides; the label counts only where there is no value.
        let value = member(object, "value").ok()?;
        let text = if value.json().is_some() {
            value
        } else {
            member(object, "display_value").ok()?
        };
        self.reader.text(&text.string()?)
    }

    /// True if the record says that its correlation is with Serval, in value or label.
    fn is_ours(&self, record: &str) -> bool {
        if self.display_names.is_empty() {
            return true;
        }
        // A key that stands twice names nobody, so the column is not believed.
        let key = |json, key| member(json, key).unwrap_or_default();
        let column = key(record, CORRELATION_DISPLAY);
        let texts = match column.object_json() {
            Some(object) => [key(object, "value"), key(object, "display_value")],
            None => [column, Field::default()],
        };
        texts.into_iter().filter_map(Field::string).any(|text| {
            let text = text.to_ascii_lowercase();
            self.display_names.iter().any(|name| text.contains(name))
        })
    }
}

fn pointers(key: &'static str, texts: &[String]) -> Result<Vec<Pointer>, InvalidKey> {
    let parse = |text: &String| {
        Pointer::parse(text).ok_or_else(|| {
            let problem = format!("{text:?} is no JSON Pointer such as \"/correlation_id\"");
            InvalidKey::new(key, problem)
        })
    };
    texts.iter().map(parse).collect()
}
