//! Values of arguments: states and ids of events.

use clap::builder::PossibleValuesParser;

use crate::domain::event::EventState;
use crate::domain::ids::{EventId, InvalidId};

/// Accepts the words for these states.
pub(super) fn states(states: &[EventState]) -> PossibleValuesParser {
    PossibleValuesParser::new(states.iter().map(|state| state.as_str()))
}

/// Reads an event id, also without its `evt_`.
pub(super) fn event_id(text: &str) -> Result<EventId, String> {
    text.parse()
        .or_else(|error| format!("evt_{text}").parse().map_err(|_| error))
        .map_err(|error: InvalidId| error.to_string())
}
