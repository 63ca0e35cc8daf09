//! Sources: how each external system authenticates its webhooks and what they mean.
//!
//! Invariant: synchronous and pure. No store, no client; of HTTP only the header map. Bytes are
//! verified before anything parses them, by type: [`Source::interpret`] takes a [`Verified`], which
//! [`Source::verify`] makes, or a source from a body that is stored and so was verified.
//!
//! A further system is one more folder here and one word in [`BUILT_IN`]. The folder implements
//! [`Kind`] (the system itself: names, ids, links, answers), [`KindConfig`] (the keys of one source)
//! and [`Source`] (a source that receives). The settings that all kinds share are in
//! [`SourcePolicy`].

pub mod auth;
pub mod find;
mod hint;
mod invalid;
mod json;
mod kind;
mod mounted;
pub mod policy;
pub mod servicenow;
pub mod slack;
mod source;
mod title;

pub use auth::request::{Refused, Unverified, Verified};
pub use invalid::{InvalidKey, InvalidSource};
pub use json::drop_fields::DropFields;
pub use json::field::place_of;
pub use kind::{Acknowledgement, Kind, KindConfig, Kinds, OwnKeys, SourceKind, TypedId, title};
pub(crate) use kind::{defaults_of, keys_of};
pub use mounted::{MountedSource, SourceConfig, Sources};
pub use policy::SourcePolicy;
pub use source::{Receipt, Source, StoredBody, Unreadable};
pub use title::{Title, first_line};

/// The kinds that this program is built with.
pub const BUILT_IN: Kinds = &[servicenow::KIND, slack::KIND];

/// The kind with this name.
pub fn kind_named(kinds: Kinds, name: &str) -> Option<SourceKind> {
    kinds.iter().copied().find(|kind| kind.name() == name)
}
