//! Events: what a source hands to the inbox, and the states an event goes through.

use std::ops::Range;

use serde::Deserialize;

use super::ids::{ExternalId, ServalTicketId};
use super::reason::Reason;
use super::report::Report;
use super::words::words;

pub use super::rank::{Rank, foremost, is_older, stands_before};

/// First words of the last error of an event whose payload names a Serval ticket that cannot be used.
pub const NAMED_IN_VAIN: &str = "the payload names ";

words! {
    /// State of an event.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum EventState {
        /// Waits for its connect call, or for its next try.
        Queued = "queued",
        /// Serval has the pair.
        Connected = "connected",
        /// Waits for a mapping; leaves by itself when one is written.
        Parked = "parked",
        /// Was parked for longer than its source allows.
        Expired = "expired",
        /// Has nothing left to do.
        Skipped = "skipped",
        /// Is not a ticket event.
        Ignored = "ignored",
        /// Given up; a person should look.
        Dead = "dead",
    }
}

impl EventState {
    /// True if only a replay or a changed mapping moves the event again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Parked => false,
            Self::Connected | Self::Expired | Self::Skipped | Self::Ignored | Self::Dead => true,
        }
    }
}

/// A source's decision about an event. If a mapping is needed, the inbox decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// May start a connect.
    Connect,
    /// A ticket event with nothing to do.
    Skip(Reason),
    /// Not a ticket event, for a reason that its kind of source gives. Its body is not kept unless the source is told to.
    Ignore(&'static str),
    /// Ignored in the same way as the source is configured now. Its body is kept, so that a replay can
    /// read it again with another configuration.
    SetAside(&'static str),
    /// Cannot be worked on as it is. A person should look.
    Bury(Reason),
}

impl Disposition {
    /// Reason for which the event is ignored.
    pub fn ignored_for(self) -> Option<&'static str> {
        match self {
            Self::Ignore(reason) | Self::SetAside(reason) => Some(reason),
            Self::Connect | Self::Skip(_) | Self::Bury(_) => None,
        }
    }
}

/// One event as a source read it from a verified webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The source's decision.
    pub disposition: Disposition,
    /// The external ticket it is about, where it names one.
    pub external_id: Option<ExternalId>,
    /// Serval's `externalTicketSubtype`, such as `incident`, if the kind of source has any.
    pub subtype: Option<&'static str>,
    /// Type of the event, in the sender's words: `incident.update`, `message`, `reaction_added`.
    /// At most 64 visible ASCII characters.
    pub event_type: String,
    /// Names the delivery within its source, in the sender's words. A second event with the same key,
    /// type and object is a duplicate; one with another type or object is not. `None`: nothing names
    /// it, so it is never taken for a repetition.
    pub delivery_key: Option<String>,
    /// Names the content in the same way: another event with the same key that was not ignored
    /// makes this one `skipped` (`duplicate`). Set for events that may connect only.
    pub content_key: Option<String>,
    /// See [`Rank`].
    pub rank: Rank,
    /// See [`Report`].
    pub report: Report,
    /// The Serval ticket that the payload names, if it may: an id or a friendly identifier
    /// (`ACM-10`). Not believed before it is verified.
    pub hint: Option<ServalTicketId>,
    /// The number by which people know the external ticket, such as `INC0081927`.
    pub number: Option<String>,
    /// News about its channel, if the event has any.
    pub channel: Option<ChannelNews>,
    /// See [`Question`].
    pub question: Option<Question>,
    /// Byte range of the external object in the body. It is sent to Serval unchanged.
    pub object: Range<usize>,
}

impl NewEvent {
    /// True if its message is known to be direct, though its external id does not tell.
    pub fn is_direct(&self) -> bool {
        let is_direct = Some(true);
        matches!(&self.channel, Some(ChannelNews::Written { is_direct: told, .. }) if *told == is_direct)
    }
}

/// A question about an event that only the stored events answer. The store answers it before it places
/// the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The event is an edit of a message. If no earlier event of the message is stored, it is the message
    /// itself, and may connect.
    IsNew {
        /// The event's content key if it is the message.
        content_key: String,
        /// The event's rank if it is the message.
        rank: Rank,
    },
    /// The event is about a message, but does not name its external ticket: it is the one of this channel
    /// that has an event of the message. The event's own external id counts if none has.
    WhichTicket {
        /// Id of the channel.
        channel: String,
    },
}

/// News of a channel. External ids begin with the id of their channel and a colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelNews {
    /// The channel has a new id: mappings and events under the old one move along.
    Moved(ChannelMove),
    /// The channel was archived: what is parked for its threads cannot get a mapping any more.
    Archived {
        /// Id of the channel.
        channel: String,
    },
    /// The channel was deleted, and its messages with it.
    Deleted {
        /// Id of the channel.
        channel: String,
    },
    /// Somebody wrote a message there.
    Written {
        /// Id of the channel.
        channel: String,
        /// If its messages are direct ones, where the event tells.
        is_direct: Option<bool>,
        /// The reason why the source ignores direct messages; `None`: it takes them.
        ignores_direct: Option<&'static str>,
    },
}

/// A channel that has a new id. External ids begin with the id of their channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMove {
    /// The old id.
    pub from: String,
    /// The new id.
    pub to: String,
}
