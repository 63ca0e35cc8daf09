//! Arrivals of one transaction, by source.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::feed::{Sign, Trouble};
use crate::store::sql::{json, millis};

/// The last signs of the sources, by source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(HashMap<String, OfSource>);

#[derive(Debug, Clone, Copy)]
struct OfSource {
    /// The last arrival.
    last: Timestamp,
    /// True if a sign of life was heard, so that no earlier trouble counts.
    is_alive: bool,
    /// The lasting trouble that was reported after it.
    lasting: Option<Trouble>,
}

impl Heard {
    /// A webhook brought something new, with this sign.
    pub(crate) fn note(&mut self, source: &str, at: Timestamp, sign: Sign) {
        let heard = self.0.entry(source.to_owned()).or_insert(OfSource {
            last: at,
            is_alive: false,
            lasting: None,
        });
        heard.last = at.max(heard.last);
        heard.is_alive |= sign == Sign::Alive;
        heard.lasting = Trouble::after(heard.lasting, sign);
    }

    /// Returns JSON rows, if anything was heard.
    pub(crate) fn rows(&self) -> Option<String> {
        let rows: Vec<_> = (self.0.iter())
            .map(|(source, heard)| {
                let lasting = heard.lasting.map(Trouble::as_str);
                (
                    source,
                    millis(heard.last),
                    lasting,
                    heard.is_alive.then_some("alive"),
                )
            })
            .collect();
        (!rows.is_empty()).then(|| json(&rows))
    }
}
