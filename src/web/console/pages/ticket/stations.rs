//! The way of an external ticket as three stations: arrived, mapped, connected. Pure.

use crate::domain::event::EventState;
use crate::web::console::frame::count;

/// Facts that the stations are made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts<'a> {
    /// State of the event that tells most about the ticket, if one waits or was given up.
    pub(super) telling: Option<EventState>,
    /// Number of its events.
    pub(super) events: i64,
    /// Number of those that were ignored.
    pub(super) ignored: i64,
    /// Serval ticket of the mapping.
    pub(super) ticket_id: Option<&'a str>,
    pub(super) is_connected: bool,
    pub(super) is_paused: bool,
}

/// A station.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Station {
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    /// Name of a state, which gives the colour of the station where it stands.
    pub(super) tone: &'static str,
    pub(super) text: String,
}

/// The place of a station on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The ticket has passed it.
    Passed,
    /// The ticket stands here.
    Here,
    /// The ticket has not come to it yet.
    Ahead,
}

impl Mark {
    /// The name of its class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Here => "here",
            Self::Ahead => "ahead",
        }
    }

    /// The sign in its circle.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Here => "!",
            Self::Ahead => "",
        }
    }

    /// The words for those who do not see it.
    pub(super) fn spoken(self) -> &'static str {
        match self {
            Self::Passed => "done",
            Self::Here => "it waits here",
            Self::Ahead => "to come",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Place {
    Arrived,
    Mapped,
    Connected,
}

/// Returns the stations in their order.
pub(super) fn way(facts: &Facts<'_>) -> [Station; 3] {
    let here = stands_at(facts);
    let tone = facts.telling.map_or("skipped", EventState::as_str);
    [Place::Arrived, Place::Mapped, Place::Connected].map(|place| {
        // A ticket may be mapped ahead of its first webhook.
        let is_mapped_ahead = place == Place::Mapped && facts.ticket_id.is_some();
        let (mark, text) = match here {
            Some(here) if here == place => (Mark::Here, waits(place, facts).to_owned()),
            Some(here) if here < place && !is_mapped_ahead => (Mark::Ahead, String::new()),
            Some(_) | None => (Mark::Passed, passed(place, facts)),
        };
        let name = match place {
            Place::Arrived => "Arrived",
            Place::Mapped => "Mapped",
            Place::Connected => "Connected",
        };
        Station {
            name,
            mark,
            tone,
            text,
        }
    })
}

/// Where the ticket stands; `None`: at the end of the way.
fn stands_at(facts: &Facts<'_>) -> Option<Place> {
    let is_mapped = facts.ticket_id.is_some();
    let has_arrived = facts.events > facts.ignored;
    if facts.is_connected {
        return None;
    }
    // Where no event can be sent, the next webhook has to come first.
    let can_be_sent = facts.telling.is_some();
    Some(if can_be_sent && is_mapped {
        Place::Connected
    } else if !can_be_sent && (is_mapped || !has_arrived) {
        Place::Arrived
    } else {
        Place::Mapped
    })
}

/// Says what it waits for at this place.
fn waits(place: Place, facts: &Facts<'_>) -> &'static str {
    match (place, facts.telling) {
        (Place::Arrived, _) if facts.events == 0 => "no webhook yet",
        (Place::Arrived, _) => "no webhook that can be sent",
        (_, Some(EventState::Dead)) => "given up",
        (Place::Mapped, Some(EventState::Queued)) => "Serval is asked about it",
        (Place::Mapped, Some(EventState::Expired)) => "no mapping in time",
        (Place::Mapped, Some(EventState::Parked)) => "waits for a mapping",
        (Place::Mapped, _) => "no mapping",
        (Place::Connected, _) if facts.is_paused => "calls are paused",
        (Place::Connected, _) => "waits for its call",
    }
}

/// Says what is known of a place that was passed.
fn passed(place: Place, facts: &Facts<'_>) -> String {
    match place {
        Place::Arrived if facts.events == 0 => "events are deleted".to_owned(),
        Place::Arrived => count(facts.events, "event", "events"),
        Place::Mapped => facts.ticket_id.unwrap_or_default().to_owned(),
        Place::Connected => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a way: each station's sign, and the text of the one where the ticket stands.
    fn drawn(facts: &Facts<'_>) -> (String, String) {
        let way = way(facts);
        let signs = way.iter().map(|station| match station.mark {
            Mark::Passed => '+',
            Mark::Here => '!',
            Mark::Ahead => '.',
        });
        let here = way.iter().find(|station| station.mark == Mark::Here);
        let text = here.map(|station| format!("{}: {}", station.name, station.text));
        (signs.collect(), text.unwrap_or_default())
    }

    #[test]
    fn a_ticket_stands_where_it_waits() {
        use EventState::{Dead, Expired, Parked, Queued};
        let (none, mapped) = (None, Some("T_1"));
        for (telling, events, ignored, ticket_id, signs, text) in [
            (None, 0, 0, none, "!..", "Arrived: no webhook yet"),
            (
                None,
                2,
                2,
                none,
                "!..",
                "Arrived: no webhook that can be sent",
            ),
            (None, 0, 0, mapped, "!+.", "Arrived: no webhook yet"),
            (
                None,
                1,
                0,
                mapped,
                "!+.",
                "Arrived: no webhook that can be sent",
            ),
            (None, 1, 0, none, "+!.", "Mapped: no mapping"),
            (
                Some(Parked),
                1,
                0,
                none,
                "+!.",
                "Mapped: waits for a mapping",
            ),
            (
                Some(Expired),
                1,
                0,
                none,
                "+!.",
                "Mapped: no mapping in time",
            ),
            (
                Some(Queued),
                1,
                0,
                none,
                "+!.",
                "Mapped: Serval is asked about it",
            ),
            (Some(Dead), 1, 0, none, "+!.", "Mapped: given up"),
            (
                Some(Queued),
                1,
                0,
                mapped,
                "++!",
                "Connected: waits for its call",
            ),
            (Some(Dead), 1, 0, mapped, "++!", "Connected: given up"),
        ] {
            let facts = Facts {
                telling,
                events,
                ignored,
                ticket_id,
                ..Facts::default()
            };
            let expected = (signs.to_owned(), text.to_owned());
            assert_eq!(drawn(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn a_connected_ticket_has_passed_all_and_a_pause_is_said_where_it_holds() {
        let mapped = Facts {
            telling: Some(EventState::Queued),
            events: 1,
            ticket_id: Some("T_1"),
            is_paused: true,
            ..Facts::default()
        };
        let connected = Facts {
            is_connected: true,
            ..mapped
        };
        assert_eq!(drawn(&connected), ("+++".to_owned(), String::new()));
        let paused = "Connected: calls are paused".to_owned();
        assert_eq!(drawn(&mapped), ("++!".to_owned(), paused));
        // Only a queued event waits for the calls.
        let dead = Facts {
            telling: Some(EventState::Dead),
            ..mapped
        };
        assert_eq!(drawn(&dead).1, "Connected: given up");
        let texts = way(&connected).map(|station| station.text);
        assert_eq!(texts, ["1 event", "T_1", ""]);
        let deleted = Facts {
            events: 0,
            ..connected
        };
        assert_eq!(way(&deleted)[0].text, "events are deleted");
    }
}
