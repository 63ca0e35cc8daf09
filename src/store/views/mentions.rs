//! Goes through the stored bodies for a value. They are compressed, so no statement can search them.

use serde_json::Deserializer;

use super::events::{EventFilter, EventRow, narrow};
use crate::domain::ids::EventId;
use crate::domain::mention::Mention;
use crate::store::body::{BodyRow, body_columns};
use crate::store::engine::Query;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args};

/// Number of bodies that are in memory at once.
const PAGE: usize = 32;
/// Number of bodies that one call reads.
const MOST: usize = 2000;
/// Number of bytes after which a call ends.
const MOST_BYTES: usize = 16 << 20;

/// A part of a search, newest event first.
#[derive(Debug, Default)]
pub struct Searched {
    /// Events whose bodies mention the value.
    pub events: Vec<EventRow>,
    /// Number of bodies that were read.
    pub bodies: u64,
    /// The event before which the search goes on; `None`: it is over.
    pub next: Option<EventId>,
}

impl Store {
    /// Looks for a value in the bodies of the events that match, before `filter.before`. Stops at `filter.limit`
    /// events, or after some thousand bodies.
    pub async fn mentioning(
        &self,
        mention: &Mention,
        filter: &EventFilter,
    ) -> Result<Searched, StoreError> {
        let mut found = Vec::new();
        let (mut bodies, mut bytes) = (0, 0);
        let mut next = filter.before;
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let is_over = 'search: loop {
            let page = self.bodies(filter, next).await?;
            let is_last = page.len() < PAGE;
            for (id, row) in page {
                next = Some(EventId(id));
                bodies += 1;
                // A damaged body cannot be read by anybody else either.
                if let Some(body) = row.and_then(|row| row.unpack().ok()) {
                    bytes += body.bytes.len();
                    if is_in(mention, &body.bytes) {
                        found.push(id);
                    }
                    // Between large bodies, others get their turn.
                    tokio::task::consume_budget().await;
                }
                if found.len() >= limit {
                    break 'search false;
                }
            }
            if is_last {
                break true;
            }
            if bodies >= MOST || bytes >= MOST_BYTES {
                break false;
            }
        };
        Ok(Searched {
            events: self.event_rows(&found).await?,
            bodies: bodies as u64,
            next: next.filter(|_| !is_over),
        })
    }

    /// Id of the newest event.
    pub async fn newest_event(&self) -> Result<EventId, StoreError> {
        const NEWEST: &str = "\
            -- store::mentions::newest
            SELECT COALESCE(MAX(id), 0) FROM events";
        sql::fetch_one(&self.readers, NEWEST, args![]).await
    }

    async fn bodies(
        &self,
        filter: &EventFilter,
        before: Option<EventId>,
    ) -> Result<Vec<(i64, Option<BodyRow>)>, StoreError> {
        let mut query = Query::new(concat!(
            "SELECT p.event_id, ",
            body_columns!(),
            " FROM payloads AS p JOIN events AS e ON e.id = p.event_id WHERE TRUE"
        ));
        narrow(&mut query, filter);
        if let Some(before) = before {
            query.push(" AND p.event_id < ").push_bind(before);
        }
        query.push(" ORDER BY p.event_id DESC LIMIT ");
        query.push_bind(i64::try_from(PAGE).unwrap_or(i64::MAX));
        sql::read_all(&query.fetch_all(&self.readers).await?)
    }
}

/// True if a body mentions the value. One that is no JSON is searched as a text.
fn is_in(mention: &Mention, body: &[u8]) -> bool {
    let mut document = Deserializer::from_slice(body);
    let is_in = mention.is_in(&mut document);
    is_in.unwrap_or_else(|_| mention.is_in_text(&String::from_utf8_lossy(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_cannot_be_read_is_searched_all_the_same() {
        let mention = Mention::read("ann@example.com").unwrap();
        for (body, expected) in [
            (&br#"{"a":"ann@example.com"}"#[..], true),
            (br#"{"a":"ann@example.com","b":"\ud800"}"#, true),
            (b"user=ann@example.com&x=\xff", true),
            (br#"{"a":"joann@example.com""#, false),
            (b"", false),
        ] {
            assert_eq!(is_in(&mention, body), expected);
        }
        let deep = format!("{}\"ann@example.com\"{}", "[".repeat(500), "]".repeat(500));
        assert!(is_in(&mention, deep.as_bytes()));
    }
}
