//! The Serval ticket that a record names, in one of the columns that the operator listed.
//!
//! Invariant: a column that other integrations write too is believed only where the record says
//! that Serval wrote it. What cannot be read names nothing and never refuses the record.

use super::Config;
use super::values::is_object;
use crate::domain::ids::ServalTicketId;
use crate::sources::hint::HintReader;
use crate::sources::lookup::{Pointer, member, string};

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
    /// Takes the keys of a configuration; the error is a key and what is wrong with it.
    pub(super) fn try_new(config: &Config) -> Result<Self, (&'static str, String)> {
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
            reader: HintReader::try_new(config.ticket_url_pattern.as_deref())
                .map_err(|problem| ("ticket_url_pattern", problem))?,
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
        let column = pointer.find(record).ok()??;
        if !is_object(column) {
            return self.reader.text(&string(column)?);
        }
        // The value decides; the label speaks only where there is no value.
        let key = |key| member(column.get(), key);
        let value = key("value").ok()?.filter(|raw| raw.get() != "null");
        let text = match value {
            Some(value) => value,
            None => key("display_value").ok()??,
        };
        self.reader.text(&string(text)?)
    }

    /// Whether the record says that its correlation is with Serval, in value or label.
    fn is_ours(&self, record: &str) -> bool {
        if self.display_names.is_empty() {
            return true;
        }
        let key = |json, key| member(json, key).ok().flatten();
        let Some(column) = key(record, CORRELATION_DISPLAY) else {
            return false;
        };
        let texts = if is_object(column) {
            [
                key(column.get(), "value"),
                key(column.get(), "display_value"),
            ]
        } else {
            [Some(column), None]
        };
        texts.into_iter().flatten().filter_map(string).any(|text| {
            let text = text.to_ascii_lowercase();
            self.display_names.iter().any(|name| text.contains(name))
        })
    }
}

fn pointers(key: &'static str, texts: &[String]) -> Result<Vec<Pointer>, (&'static str, String)> {
    let parse = |text: &String| {
        Pointer::parse(text).ok_or_else(|| {
            let problem = format!("{text:?} is no JSON Pointer such as \"/correlation_id\"");
            (key, problem)
        })
    };
    texts.iter().map(parse).collect()
}
