//! Goes through the stored bodies for a value, part by part, with a bar on a terminal.

use http::Method;
use serde_json::{Map, Value};

use super::backend::{Backend, Call};
use crate::terminal::Failure;
use crate::terminal::progress::Progress;

/// Largest number of events that one call may find.
const LARGEST: usize = 1000;

/// A search: the value, and filters of the events.
pub(super) struct Search(Map<String, Value>);

/// Result of a search.
pub(super) struct Searched {
    /// Number of events whose bodies mention the value.
    pub(super) events: usize,
    /// Number of bodies that were read.
    pub(super) bodies: u64,
    /// Cursor of the rest; null: there is none.
    pub(super) next: Value,
}

impl Search {
    pub(super) fn new(value: &str, filters: &[(&str, Option<&str>)]) -> Self {
        let set = filters
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        let members = set.chain([("value", value)]);
        Self(
            members
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
        )
    }

    /// Runs the search to its end, or until it has found `limit` events. Each goes to `take`, newest first.
    pub(super) async fn run(
        &self,
        backend: &Backend,
        limit: Option<usize>,
        mut take: impl FnMut(Value),
    ) -> Result<Searched, Failure> {
        let progress = Progress::of_share("of the stored bodies are searched");
        let mut searched = Searched {
            events: 0,
            bodies: 0,
            next: Value::Null,
        };
        loop {
            let mut body = self.0.clone();
            body.insert("cursor".to_owned(), searched.next.take());
            let left = limit.map(|limit| limit - searched.events);
            let part = left.unwrap_or(LARGEST).min(LARGEST);
            body.insert("limit".to_owned(), part.into());
            let call = Call::new(Method::POST, &["events", "mentioning"]).body(body.into());
            let mut part = backend.call(&call).await?.body;
            searched.bodies += part["searched"].as_u64().unwrap_or_default();
            progress.is_at_share(part["progress"].as_f64().unwrap_or_default());
            if let Value::Array(events) = part["data"].take() {
                searched.events += events.len();
                events.into_iter().for_each(&mut take);
            }
            searched.next = part["next_cursor"].take();
            let is_full = limit.is_some_and(|limit| searched.events >= limit);
            if searched.next.is_null() || is_full {
                progress.end();
                return Ok(searched);
            }
        }
    }
}
