//! Where a new event goes: the decision that the inbox takes in the transaction that stores it.

use super::event::{Disposition, EventState, NewEvent, Rank};
use super::ids::EventId;

/// What the inbox knows about the external ticket of a new event, at the moment of storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TicketFacts {
    /// A mapping names its Serval ticket.
    pub mapped: bool,
    /// Serval has the pair that the mapping names.
    pub connected: bool,
    /// The event that is parked for it.
    pub parked: Option<(EventId, Rank)>,
}

/// Where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Its first state.
    pub state: EventState,
    /// Why, where the state alone does not say.
    pub reason: Option<&'static str>,
    /// The parked event whose place it takes; that one becomes `skipped` (`superseded`).
    pub supersedes: Option<EventId>,
}

impl Placement {
    fn at(state: EventState, reason: Option<&'static str>) -> Self {
        Self {
            state,
            reason,
            supersedes: None,
        }
    }
}

/// Another event brought the same content.
pub const DUPLICATE: &str = "duplicate";
/// A better event of the same external ticket is parked.
pub const SUPERSEDED: &str = "superseded";
/// Serval has the pair.
pub const ALREADY_CONNECTED: &str = "already_connected";
/// No mapping yet.
pub const NO_MAPPING: &str = "no_mapping";

/// Decides where `event` goes. `is_twin`: another event with its content key is stored.
pub fn place(event: &NewEvent, is_twin: bool, ticket: &TicketFacts) -> Placement {
    match event.disposition {
        Disposition::Ignore(reason) => Placement::at(EventState::Ignored, Some(reason)),
        Disposition::Bury(reason) => Placement::at(EventState::Dead, Some(reason)),
        Disposition::Skip(reason) => Placement::at(EventState::Skipped, Some(reason)),
        Disposition::Connect if is_twin => Placement::at(EventState::Skipped, Some(DUPLICATE)),
        Disposition::Connect if ticket.mapped && ticket.connected => {
            Placement::at(EventState::Skipped, Some(ALREADY_CONNECTED))
        }
        Disposition::Connect if ticket.mapped => Placement::at(EventState::Queued, None),
        Disposition::Connect => park(event.rank, ticket.parked),
    }
}

/// Decides which of two events of an unmapped external ticket is kept.
pub fn park(rank: Rank, parked: Option<(EventId, Rank)>) -> Placement {
    match parked {
        Some((_, kept)) if kept > rank => Placement::at(EventState::Skipped, Some(SUPERSEDED)),
        Some((loser, _)) => Placement {
            state: EventState::Parked,
            reason: Some(NO_MAPPING),
            supersedes: Some(loser),
        },
        None => Placement::at(EventState::Parked, Some(NO_MAPPING)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(disposition: Disposition, rank: Rank) -> NewEvent {
        NewEvent {
            disposition,
            external_id: None,
            subtype: None,
            event_type: "incident.update".to_owned(),
            delivery_key: None,
            content_key: None,
            rank,
            hint: None,
            object: 0..2,
        }
    }

    #[test]
    fn a_new_event_goes_where_its_ticket_stands() {
        use EventState::{Dead, Ignored, Parked, Queued, Skipped};
        let parked = Some((EventId(7), Rank(4, 100)));
        let unmapped = TicketFacts::default();
        let waiting = TicketFacts { parked, ..unmapped };
        let mapped = TicketFacts {
            mapped: true,
            ..unmapped
        };
        let connected = TicketFacts {
            connected: true,
            ..mapped
        };
        // Connected once, but the mapping is gone.
        let forgotten = TicketFacts {
            connected: true,
            ..unmapped
        };
        let connect = Disposition::Connect;
        let rows = [
            (
                Disposition::Ignore("edited"),
                false,
                connected,
                Ignored,
                Some("edited"),
                None,
            ),
            (
                Disposition::Bury("class_conflict"),
                false,
                mapped,
                Dead,
                Some("class_conflict"),
                None,
            ),
            (
                Disposition::Skip("echo"),
                false,
                unmapped,
                Skipped,
                Some("echo"),
                None,
            ),
            (connect, true, mapped, Skipped, Some("duplicate"), None),
            (
                connect,
                false,
                connected,
                Skipped,
                Some("already_connected"),
                None,
            ),
            (connect, false, mapped, Queued, None, None),
            (connect, false, unmapped, Parked, Some("no_mapping"), None),
            (connect, false, forgotten, Parked, Some("no_mapping"), None),
            (
                connect,
                false,
                waiting,
                Parked,
                Some("no_mapping"),
                Some(EventId(7)),
            ),
        ];
        for (disposition, is_twin, ticket, state, reason, supersedes) in rows {
            let placement = place(&event(disposition, Rank(5, 0)), is_twin, &ticket);
            assert_eq!(
                placement,
                Placement {
                    state,
                    reason,
                    supersedes
                },
                "{disposition:?} {ticket:?}"
            );
        }
    }

    #[test]
    fn the_better_event_of_a_parked_ticket_is_kept_and_of_equals_the_newer() {
        let kept = Some((EventId(7), Rank(4, 100)));
        for (rank, takes_over) in [
            (Rank(3, 999), false),
            (Rank(4, 99), false),
            (Rank(4, 100), true),
            (Rank(4, 101), true),
            (Rank(5, 0), true),
            (Rank(-1, -1), false),
        ] {
            let placement = park(rank, kept);
            assert_eq!(placement.supersedes.is_some(), takes_over, "{rank:?}");
            assert_eq!(
                placement.state == EventState::Parked,
                takes_over,
                "{rank:?}"
            );
        }
    }
}
