//! Mappings from external tickets to Serval tickets: written, imported, learned, in conflict, unlinked.

pub(crate) mod channel_moves;
pub(crate) mod conflict;
pub(crate) mod conflicts;
pub(crate) mod direct_channels;
pub(crate) mod doubts;
pub(crate) mod end_channel;
pub(crate) mod import;
pub(crate) mod learning;
pub(crate) mod mapping;
pub(crate) mod mappings;
pub(crate) mod rename_channel;
pub(crate) mod rename_source;
pub(crate) mod unlink;
pub(crate) mod version;
pub(crate) mod written;
