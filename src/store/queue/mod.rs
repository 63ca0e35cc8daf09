//! The queue of events: claims, settlements, replays, and every change of an event's state.

pub(crate) mod claim;
mod current;
mod due_row;
pub(crate) mod erasure;
mod hand_off;
pub(crate) mod hold;
pub(crate) mod offer;
pub(crate) mod on_mapped;
pub(crate) mod replay;
pub(crate) mod replay_many;
pub(crate) mod schedule;
pub(crate) mod settings;
pub(crate) mod settle;
mod take;
pub(crate) mod transition;
