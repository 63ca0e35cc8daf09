//! Actions and views of operators. The API and the console both use them, so a rule is written once.
//!
//! Invariant: the API and the console only read requests and show results. What is refused is refused
//! here, in words for people, and every action is written to the audit list here.

mod access;
mod act;
mod admit;
mod calls;
mod events;
mod feeds;
mod health;
mod mappings;
mod names;
mod outlook;
mod refusal;
pub mod reload;
mod replicas;
mod service;
mod silence;

pub use access::{Access, AdminTokens, Fingerprint, Operator, fingerprint, is_loopback_host};
pub use act::Why;
pub use calls::{By, Calls};
pub use feeds::Feeds;
pub use mappings::{Link, MAX_MESSAGE_IDS, MapTicket, Mapped, message_ids, taken};
pub use names::{NamedTicket, ServalNames, of_several, read_serval_ticket, unheard};
pub use outlook::Outlook;
pub use refusal::Refusal;
pub use service::{Operators, Rules};
