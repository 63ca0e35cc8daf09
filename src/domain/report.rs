//! Reports: what an event says about its external ticket, and which other events a deletion or an edit
//! is about. A report may arrive before the event that it is about.

use super::ids::EventId;
use super::rank::Rank;
use super::words::words;

words! {
    /// Content of an event.
    #[derive(Default)]
    pub enum Report {
        /// The external ticket as it was saved. A save that arrives after a newer one is not sent.
        #[default]
        Save = "save",
        /// One of the messages that make up the external ticket. The second number of its rank names it,
        /// and is negative: the store finds messages by it.
        Message = "message",
        /// The external ticket was deleted. The rank is that of its last save.
        Deletion = "deletion",
        /// A message was deleted. The second number of the rank names it.
        MessageDeletion = "message_deletion",
        /// A message was edited: the object is the message as it is now. The first number of the rank
        /// counts the edits, the second one names the message.
        MessageEdit = "message_edit",
        /// A message that became known by an edit, with its text since then. Its earlier text may arrive
        /// later. The rank is that of the message.
        EditedMessage = "edited_message",
    }
}

impl Report {
    /// True if the event is about other events of its external ticket.
    pub fn is_about_others(self) -> bool {
        match self {
            Self::Save | Self::Message => false,
            Self::Deletion | Self::MessageDeletion | Self::MessageEdit | Self::EditedMessage => {
                true
            }
        }
    }

    /// True if the event is one of the messages themselves.
    pub fn is_message(self) -> bool {
        matches!(self, Self::Message | Self::EditedMessage)
    }

    /// True if a report of the rank `own` is about an event of the rank `other` that arrived before it.
    pub fn is_about_earlier(self, own: Rank, other: Rank) -> bool {
        match self {
            Self::Save | Self::Message | Self::EditedMessage => false,
            // A record that was restored has newer saves.
            Self::Deletion => !other.outranks(own),
            Self::MessageDeletion | Self::MessageEdit => is_same_message(own, other),
        }
    }

    /// True if a report of the rank `own` is about an event of the rank `other` that arrived after it.
    pub fn is_about_later(self, own: Rank, other: Rank) -> bool {
        match self {
            Self::Save | Self::Message => false,
            Self::Deletion => own.outranks(other) || (own == other && own != Rank::NONE),
            Self::MessageDeletion | Self::MessageEdit | Self::EditedMessage => {
                is_same_message(own, other)
            }
        }
    }
}

fn is_same_message(one: Rank, other: Rank) -> bool {
    one.1 == other.1 && one.1 != Rank::UNKNOWN
}

/// A stored deletion or edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The event that reports it.
    pub event: EventId,
    /// Report.
    pub report: Report,
    /// Rank.
    pub rank: Rank,
}

impl Told {
    /// True if the report is about this event, whichever of them arrived first. An edit says nothing about
    /// a later edit.
    pub fn is_about(&self, event: EventId, report: Option<Report>, rank: Rank) -> bool {
        let is_later_edit = self.report == Report::MessageEdit
            && report == Some(Report::MessageEdit)
            && (rank.0, event) > (self.rank.0, self.event);
        let is_about = if event < self.event {
            self.report.is_about_earlier(self.rank, rank)
        } else {
            self.report.is_about_later(self.rank, rank)
        };
        is_about && event != self.event && !is_later_edit
    }
}

/// State of a record or message, as known when an event of it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// Nothing.
    #[default]
    Present,
    /// The record or message was deleted.
    Gone,
    /// The message was edited: this event has its newest text.
    Edited(EventId),
}

/// Decides about an event that arrives after the reports `told` about its external ticket.
pub fn fate(told: &[Told], report: Report, rank: Rank) -> Fate {
    let mut latest: Option<&Told> = None;
    for told in told {
        if !told.report.is_about_later(told.rank, rank) {
            continue;
        }
        let counts_edits = match told.report {
            Report::MessageEdit => true,
            Report::EditedMessage => false,
            Report::Save | Report::Message | Report::Deletion | Report::MessageDeletion => {
                return Fate::Gone;
            }
        };
        // An edit is outdated by a later one only.
        let is_outdated = report == Report::MessageEdit && (!counts_edits || told.rank.0 <= rank.0);
        if !is_outdated && latest.is_none_or(|latest| latest.rank.0 <= told.rank.0) {
            latest = Some(told);
        }
    }
    latest.map_or(Fate::Present, |latest| Fate::Edited(latest.event))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: i64 = Rank::UNKNOWN;

    #[test]
    fn a_report_is_about_its_own_message_or_about_the_saves_up_to_its_own() {
        use Report::{Deletion, EditedMessage, Message, MessageDeletion, MessageEdit, Save};
        // The report, its rank, that of the other event, and if it is about that one when it came
        // earlier and when it came later.
        for (report, own, other, earlier, later) in [
            (Save, Rank(1, 1), Rank(1, 1), false, false),
            (Message, Rank(1, 1), Rank(1, 1), false, false),
            (MessageDeletion, Rank(0, -5), Rank(1, -5), true, true),
            (MessageDeletion, Rank(0, -5), Rank(0, -6), false, false),
            (MessageEdit, Rank(9, -5), Rank(0, -5), true, true),
            (MessageEdit, Rank(9, -5), Rank(9, -4), false, false),
            (
                MessageEdit,
                Rank(9, UNKNOWN),
                Rank(1, UNKNOWN),
                false,
                false,
            ),
            (EditedMessage, Rank(1, -5), Rank(1, -5), false, true),
            (EditedMessage, Rank(1, -5), Rank(1, -6), false, false),
            (Deletion, Rank(50, 5), Rank(40, 4), true, true),
            (Deletion, Rank(50, 5), Rank(50, 5), true, true),
            // Saved again after it was restored.
            (Deletion, Rank(50, 5), Rank(60, 6), false, false),
            // Where the saves cannot be compared, the order of arrival decides.
            (Deletion, Rank::NONE, Rank(60, 6), true, false),
            (Deletion, Rank(50, 5), Rank::NONE, true, false),
            (Deletion, Rank::NONE, Rank::NONE, true, false),
        ] {
            let context = format!("{report:?} {own:?} {other:?}");
            assert_eq!(report.is_about_earlier(own, other), earlier, "{context}");
            assert_eq!(report.is_about_later(own, other), later, "{context}");
        }
    }

    #[test]
    fn a_report_is_about_all_events_of_its_message_but_itself_and_later_edits() {
        use Report::{Deletion, MessageDeletion, MessageEdit};
        let edit = Some(MessageEdit);
        let (before, after) = (3, 7);
        // The report and its rank, the other event, and whether the report is about it. The report is
        // event 5.
        for (report, own, (event, other, rank), expected) in [
            (MessageEdit, Rank(20, -5), (before, None, Rank(1, -5)), true),
            (MessageEdit, Rank(20, -5), (after, None, Rank(1, -5)), true),
            // Only edits are ordered by the first number.
            (MessageEdit, Rank(20, -5), (after, None, Rank(30, -5)), true),
            (
                MessageEdit,
                Rank(20, -5),
                (before, None, Rank(1, -6)),
                false,
            ),
            (MessageEdit, Rank(20, -5), (5, edit, Rank(20, -5)), false),
            (
                MessageDeletion,
                Rank(0, -5),
                (5, Some(MessageDeletion), Rank(0, -5)),
                false,
            ),
            (
                MessageEdit,
                Rank(20, -5),
                (before, edit, Rank(10, -5)),
                true,
            ),
            (MessageEdit, Rank(20, -5), (after, edit, Rank(10, -5)), true),
            (
                MessageEdit,
                Rank(20, -5),
                (before, edit, Rank(30, -5)),
                false,
            ),
            (
                MessageEdit,
                Rank(20, -5),
                (after, edit, Rank(30, -5)),
                false,
            ),
            // Of two edits of one time the one that arrived later counts.
            (
                MessageEdit,
                Rank(20, -5),
                (before, edit, Rank(20, -5)),
                true,
            ),
            (
                MessageEdit,
                Rank(20, -5),
                (after, edit, Rank(20, -5)),
                false,
            ),
            (
                MessageDeletion,
                Rank(0, -5),
                (after, edit, Rank(30, -5)),
                true,
            ),
            // Of saves that cannot be compared, those that arrived before the deletion.
            (Deletion, Rank(50, 5), (before, None, Rank::NONE), true),
            (Deletion, Rank(50, 5), (after, None, Rank::NONE), false),
        ] {
            let told = Told {
                event: EventId(5),
                report,
                rank: own,
            };
            let found = told.is_about(EventId(event), other, rank);
            assert_eq!(found, expected, "{told:?} {event} {other:?} {rank:?}");
        }
    }

    #[test]
    fn a_deletion_ends_all_and_of_several_edits_the_latest_counts() {
        let told = |event, report, rank| Told {
            event: EventId(event),
            report,
            rank,
        };
        let first = told(1, Report::MessageEdit, Rank(10, -5));
        let second = told(2, Report::MessageEdit, Rank(20, -5));
        let repeated = told(6, Report::MessageEdit, Rank(10, -5));
        let other = told(3, Report::MessageEdit, Rank(30, -6));
        let gone = told(4, Report::MessageDeletion, Rank(0, -5));
        let known_late = told(5, Report::EditedMessage, Rank(1, -5));
        let message = (Report::Message, Rank(1, -5));
        let edit = |count| (Report::MessageEdit, Rank(count, -5));
        for (told, (report, rank), expected) in [
            (&[][..], message, Fate::Present),
            (&[other], message, Fate::Present),
            (&[first, other], message, Fate::Edited(EventId(1))),
            (&[first, second], message, Fate::Edited(EventId(2))),
            (&[second, first], message, Fate::Edited(EventId(2))),
            (&[first, repeated], message, Fate::Edited(EventId(6))),
            (&[second, gone, first], message, Fate::Gone),
            (&[first], edit(20), Fate::Present),
            (&[second], edit(10), Fate::Edited(EventId(2))),
            (&[second], edit(20), Fate::Present),
            (&[gone], edit(20), Fate::Gone),
            // The earlier text of a message that an edit made known, and what was made of it since then.
            (&[known_late], message, Fate::Edited(EventId(5))),
            (&[known_late, first], message, Fate::Edited(EventId(1))),
            (&[known_late], edit(20), Fate::Present),
            (&[known_late], edit(Rank::UNKNOWN), Fate::Present),
            (&[known_late, gone], message, Fate::Gone),
        ] {
            assert_eq!(
                fate(told, report, rank),
                expected,
                "{told:?} {report:?} {rank:?}"
            );
        }
    }
}
