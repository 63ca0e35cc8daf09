//! Where a new event goes: the decision that the inbox takes in the transaction that stores it.

use super::event::{Disposition, EventState, NewEvent, Rank};
use super::ids::{EventId, ServalTicketId};

/// What the inbox knows about the external ticket of a new event, at the moment of storing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketFacts {
    /// The Serval ticket that its mapping names.
    pub mapped_to: Option<String>,
    /// Serval has the pair that the mapping names.
    pub connected: bool,
    /// The event that is parked for it.
    pub parked: Option<(EventId, Rank)>,
    /// The Slack workspace that used its id first.
    pub team: Option<String>,
    /// Whether changed records of a connected external ticket are sent again.
    pub reconnects: bool,
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
/// The payload names a Serval ticket that is not the mapped one; it is looked into.
pub const LEARNING: &str = "learning";
/// The same for an echo: it teaches, but it does not connect.
pub const LEARNING_ECHO: &str = "learning_echo";
/// Written by Serval or by this integration.
pub const ECHO: &str = "echo";
/// The payload names two classes.
pub const CLASS_CONFLICT: &str = "class_conflict";
/// Another Slack workspace used the external id first.
pub const TEAM_CONFLICT: &str = "team_conflict";
/// No mapping yet.
pub const NO_MAPPING: &str = "no_mapping";

/// Decides where `event` goes. `is_twin`: another event with its content key is stored.
pub fn place(event: &NewEvent, is_twin: bool, ticket: &TicketFacts) -> Placement {
    match event.disposition {
        Disposition::Ignore(reason) => Placement::at(EventState::Ignored, Some(reason)),
        Disposition::Bury(reason) => Placement::at(EventState::Dead, Some(reason)),
        // An echo may be the write that names the Serval ticket for the first time.
        Disposition::Skip(_) if event.hint.is_some() && ticket.mapped_to.is_none() => {
            Placement::at(EventState::Queued, Some(LEARNING_ECHO))
        }
        Disposition::Skip(reason) => Placement::at(EventState::Skipped, Some(reason)),
        Disposition::Connect => connect(event, is_twin, ticket),
    }
}

fn connect(event: &NewEvent, is_twin: bool, ticket: &TicketFacts) -> Placement {
    let is_foreign = match (&event.team, &ticket.team) {
        (Some(team), Some(first)) => team != first,
        (None, _) | (_, None) => false,
    };
    let hint = event.hint.as_ref().map(ServalTicketId::as_str);
    if is_foreign {
        Placement::at(EventState::Dead, Some(TEAM_CONFLICT))
    } else if hint.is_some()
        && hint != ticket.mapped_to.as_deref()
        && !(is_twin && ticket.mapped_to.is_some())
    {
        // Of twins, one may name the Serval ticket and the other not: that one must not be lost.
        Placement::at(EventState::Queued, Some(LEARNING))
    } else if is_twin {
        Placement::at(EventState::Skipped, Some(DUPLICATE))
    } else if ticket.mapped_to.is_none() {
        park(event.rank, ticket.parked)
    } else if ticket.connected && !ticket.reconnects {
        Placement::at(EventState::Skipped, Some(ALREADY_CONNECTED))
    } else {
        Placement::at(EventState::Queued, None)
    }
}

/// Why an event that was given up must not be sent again: what it says of itself is in doubt, so
/// it could be connected to a ticket that is not its own.
pub fn never_replayed(reason: Option<&str>) -> Option<&'static str> {
    match reason? {
        CLASS_CONFLICT => Some(
            "its class is in doubt, so it could connect as what it is not; mend the sender: the \
             record's next update is a new event",
        ),
        TEAM_CONFLICT => Some(
            "it comes from another Slack workspace than the thread of this id; give each workspace \
             a source of its own: what comes then is a new event",
        ),
        _ => None,
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
            number: None,
            team: None,
            channel_move: None,
            object: 0..2,
        }
    }

    #[test]
    fn a_new_event_goes_where_its_ticket_stands() {
        use EventState::{Dead, Ignored, Parked, Queued, Skipped};
        let unmapped = TicketFacts::default();
        let waiting = TicketFacts {
            parked: Some((EventId(7), Rank(4, 100))),
            ..TicketFacts::default()
        };
        let mapped = TicketFacts {
            mapped_to: Some("T-1".to_owned()),
            ..TicketFacts::default()
        };
        let connected = TicketFacts {
            connected: true,
            ..mapped.clone()
        };
        let reconnecting = TicketFacts {
            reconnects: true,
            ..connected.clone()
        };
        // Connected once, but the mapping is gone.
        let forgotten = TicketFacts {
            connected: true,
            ..TicketFacts::default()
        };
        let connect = Disposition::Connect;
        let echo = Disposition::Skip("echo");
        let rows = [
            (
                Disposition::Ignore("edited"),
                None,
                false,
                &connected,
                Ignored,
                Some("edited"),
                None,
            ),
            (
                Disposition::Bury("class_conflict"),
                None,
                false,
                &mapped,
                Dead,
                Some("class_conflict"),
                None,
            ),
            (echo, None, false, &unmapped, Skipped, Some("echo"), None),
            (
                echo,
                Some("T-1"),
                false,
                &unmapped,
                Queued,
                Some("learning_echo"),
                None,
            ),
            (
                echo,
                Some("T-2"),
                false,
                &mapped,
                Skipped,
                Some("echo"),
                None,
            ),
            (
                connect,
                None,
                true,
                &mapped,
                Skipped,
                Some("duplicate"),
                None,
            ),
            // Its twin was asked about already.
            (
                connect,
                Some("T-2"),
                true,
                &mapped,
                Skipped,
                Some("duplicate"),
                None,
            ),
            (
                connect,
                Some("T-2"),
                true,
                &unmapped,
                Queued,
                Some("learning"),
                None,
            ),
            (
                connect,
                None,
                false,
                &connected,
                Skipped,
                Some("already_connected"),
                None,
            ),
            (connect, None, false, &reconnecting, Queued, None, None),
            (connect, None, false, &mapped, Queued, None, None),
            (connect, Some("T-1"), false, &mapped, Queued, None, None),
            (
                connect,
                Some("T-1"),
                false,
                &connected,
                Skipped,
                Some("already_connected"),
                None,
            ),
            (
                connect,
                Some("T-2"),
                false,
                &connected,
                Queued,
                Some("learning"),
                None,
            ),
            (
                connect,
                Some("T-2"),
                false,
                &unmapped,
                Queued,
                Some("learning"),
                None,
            ),
            (
                connect,
                None,
                false,
                &unmapped,
                Parked,
                Some("no_mapping"),
                None,
            ),
            (
                connect,
                None,
                false,
                &forgotten,
                Parked,
                Some("no_mapping"),
                None,
            ),
            (
                connect,
                None,
                false,
                &waiting,
                Parked,
                Some("no_mapping"),
                Some(EventId(7)),
            ),
        ];
        for (disposition, hint, is_twin, ticket, state, reason, supersedes) in rows {
            let hint = hint.map(|hint| hint.parse().unwrap());
            let event = NewEvent {
                hint,
                ..event(disposition, Rank(5, 0))
            };
            let placement = place(&event, is_twin, ticket);
            assert_eq!(
                placement,
                Placement {
                    state,
                    reason,
                    supersedes
                },
                "{event:?} {ticket:?}"
            );
        }
    }

    #[test]
    fn an_external_id_belongs_to_the_workspace_that_used_it_first() {
        let first = TicketFacts {
            team: Some("T1".to_owned()),
            ..TicketFacts::default()
        };
        for (team, reason) in [
            (Some("T2"), "team_conflict"),
            (Some("T1"), "no_mapping"),
            (None, "no_mapping"),
        ] {
            let team = team.map(str::to_owned);
            let event = NewEvent {
                team,
                ..event(Disposition::Connect, Rank(1, 0))
            };
            assert_eq!(place(&event, false, &first).reason, Some(reason));
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
