//! Links between Serval tickets and external tickets, messages of tickets, and their identifiers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::find;
use crate::edge::clock::{Clock as _, SystemClock};

/// The prefix of the team's identifiers.
pub(super) const PREFIX: &str = "ACM";

/// A link between a Serval ticket and an external ticket, as `external-tickets` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Id of the link.
    pub id: String,
    /// The id of the external ticket.
    pub external_ticket_id: String,
    /// The Serval ticket.
    pub ticket_id: String,
    /// `EXTERNAL_TICKET_SOURCE_TYPE_…`
    pub source_type: String,
    /// The integration with which the link was made.
    pub source_id: String,
    /// True if the Serval ticket was made from the external one.
    pub is_origin: bool,
    /// Time of the first connect.
    pub created_at: Timestamp,
    /// Time of the last connect.
    pub updated_at: Timestamp,
    /// Always null here.
    pub url: Option<String>,
}

/// A message of a Serval ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Id of the message.
    pub id: String,
    /// Text of the message.
    pub content: String,
}

/// The links of all tickets, at most one for each pair.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) by_ticket: BTreeMap<String, Vec<Link>>,
    made: u64,
}

impl Links {
    /// Adds a link. Returns `false` if the pair is linked already.
    pub(super) fn add(
        &mut self,
        ticket_id: &str,
        external_id: &str,
        source_type: &str,
        source_id: &str,
    ) -> bool {
        let now = SystemClock.now();
        let links = self.by_ticket.entry(ticket_id.to_owned()).or_default();
        if let Some(link) = links
            .iter_mut()
            .find(|link| link.external_ticket_id == external_id)
        {
            link.updated_at = now;
            return false;
        }
        self.made += 1;
        links.push(Link {
            id: format!("link-{:08}", self.made),
            external_ticket_id: external_id.to_owned(),
            ticket_id: ticket_id.to_owned(),
            source_type: source_type.to_owned(),
            source_id: source_id.to_owned(),
            is_origin: false,
            created_at: now,
            updated_at: now,
            url: None,
        });
        true
    }

    /// Removes the links of a ticket to a source. Returns `false` if there was none.
    pub(super) fn remove(&mut self, ticket_id: &str, source_id: &str) -> bool {
        let Some(links) = self.by_ticket.get_mut(ticket_id) else {
            return false;
        };
        let before = links.len();
        links.retain(|link| link.source_id != source_id);
        links.len() < before
    }

    /// Every link, oldest first.
    pub(super) fn all(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.by_ticket.values().flatten().cloned().collect();
        links.sort_by(|a, b| a.id.cmp(&b.id));
        links
    }

    pub(super) fn of(&self, ticket_id: &str) -> &[Link] {
        self.by_ticket.get(ticket_id).map_or(&[], Vec::as_slice)
    }
}

/// A stable number for any id, so that a ticket always has the same name.
pub(super) fn friendly(id: &str) -> String {
    let number = id.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("{PREFIX}-{}", number % 100_000)
}

/// True if a text is an identifier of the team.
pub(super) fn is_identifier(text: &str) -> bool {
    find::is_identifier(text) && find::prefix(text).eq_ignore_ascii_case(PREFIX)
}
