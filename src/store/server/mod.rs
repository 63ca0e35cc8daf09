//! The database on a Postgres server, which several processes share: the replicas.

pub(crate) mod beat;
mod facts;
mod lead;
mod now;
mod open;
pub(crate) mod replica;
mod replicas;
mod schema;
mod sessions;

pub use facts::ServerFacts;
pub use open::{Inspected, Migrated};
pub(crate) use open::{inspect_renames, open};
pub use replica::Caller;
pub use replicas::ReplicaInfo;
pub use sessions::{SessionLimits, StoredSession};
