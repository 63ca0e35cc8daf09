//! Events: what a source hands to the inbox, and the states an event goes through.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ids::{ExternalId, ServalTicketId};

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// Waits for its connect call, or for its next try.
    Queued,
    /// Serval has the pair.
    Connected,
    /// No mapping yet; leaves by itself when one appears.
    Parked,
    /// Was parked for longer than its source allows.
    Expired,
    /// Nothing to do.
    Skipped,
    /// Not a ticket event.
    Ignored,
    /// Given up.
    Dead,
}

impl EventState {
    /// Every state, in the order people read them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Connected,
        Self::Parked,
        Self::Expired,
        Self::Skipped,
        Self::Ignored,
        Self::Dead,
    ];

    /// The word used in the store, the API and the logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Connected => "connected",
            Self::Parked => "parked",
            Self::Expired => "expired",
            Self::Skipped => "skipped",
            Self::Ignored => "ignored",
            Self::Dead => "dead",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether only a person (a replay) or a changed mapping moves the event again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Parked => false,
            Self::Connected | Self::Expired | Self::Skipped | Self::Ignored | Self::Dead => true,
        }
    }
}

/// What the source says should become of an event. Where a mapping is needed, the inbox decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// May start a connect.
    Connect,
    /// A ticket event with nothing to do, and why (`echo`).
    Skip(&'static str),
    /// Not a ticket event, and why. Its body is not kept unless the source is told to.
    Ignore(&'static str),
    /// Cannot be worked on as it is, and why (`class_conflict`). A person should look.
    Bury(&'static str),
}

/// How well an event's object represents its external ticket: while the ticket is parked, the
/// event with the greatest rank is kept, of equals the newest arrival.
///
/// `ServiceNow`: (`sys_mod_count`, `sys_updated_on`), so the newest record wins. Slack: the root
/// message before any reply, then the earliest `ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank(pub i64, pub i64);

/// One event as a source read it from a verified webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What becomes of it.
    pub disposition: Disposition,
    /// The external ticket it is about, where it names one.
    pub external_id: Option<ExternalId>,
    /// `externalTicketSubtype`: `incident` or `requested_item`; none for Slack.
    pub subtype: Option<&'static str>,
    /// What happened, in the sender's words: `incident.update`, `message`, `reaction_added`.
    /// At most 64 visible ASCII characters.
    pub event_type: String,
    /// Names the delivery within its external ticket, or within its source where it names none; a
    /// second event with the same key is a duplicate. `None`: nothing names it, so it is never
    /// taken for a duplicate.
    pub delivery_key: Option<String>,
    /// Names the content in the same way: another event with the same key that was not ignored
    /// makes this one `skipped` (`duplicate`). Set for events that may connect only.
    pub content_key: Option<String>,
    /// See [`Rank`].
    pub rank: Rank,
    /// The Serval ticket that the payload names, if it may: an id or a friendly identifier
    /// (`ACM-10`). Not believed before it is verified.
    pub hint: Option<ServalTicketId>,
    /// The number by which people know the external ticket, such as `INC0081927`.
    pub number: Option<String>,
    /// Slack's workspace. An external id belongs to the first one that used it.
    pub team: Option<String>,
    /// Slack gave a channel a new id: what is stored under the old one moves along.
    pub channel_move: Option<ChannelMove>,
    /// Where the external object stands in the body, in bytes; sent to Serval as it is.
    pub object: Range<usize>,
}

/// A Slack channel that has a new id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMove {
    /// The old id.
    pub from: String,
    /// The new id.
    pub to: String,
}
