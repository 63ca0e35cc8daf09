//! The store: inbox, queue and mappings, in one `SQLite` file.
//!
//! Invariant: only this module names sqlx, and within it only `engine`, `file` and the errors. A write is one
//! transaction of the one [`Writer`]; readers have connections of their own. No transaction is open while a call to Serval runs.
//!
//! This store is `SQLite` by design: one process, one writer, and ids that are counted in memory.
//!
//! Why no sqlx macros: they read a database while compiling.
//! Why `synchronous=FULL`: an acknowledged webhook is on the disk, not in a cache.
//! Why `INDEXED BY`: without statistics, `SQLite` prefers the index over all states to the small one
//! over waiting events, and sorts the whole backlog for one claim.

mod asked;
mod attempt;
mod audit;
mod body;
mod by;
mod columns;
mod commit;
mod database;
mod engine;
mod error;
mod file;
mod friendly;
mod handle;
mod inbox;
mod links;
mod moving;
mod open;
mod queue;
mod server;
mod sql;
mod tickets;
mod views;

pub use attempt::{Attempt, AttemptOutcome};
pub use audit::{Action, AuditFilter, AuditRow};
pub use body::Body;
pub use by::By;
pub use commit::writer::Writer;
pub use database::{DEAD_AFTER, Database};
pub use error::{OpenError, SettleError, StoreError};
pub use file::backup::{Backup, back_up, restore};
pub use file::copy::{BackupError, saved_copy};
pub use file::erase::{EraseError, Erased};
pub use file::erase_beside::ErasedBeside;
pub use file::inspect::Depth;
pub use file::lock::{DatabaseLock, file_of};
pub use file::retention::Purged;
pub use handle::Store;
pub use inbox::webhook::{Recorded, Webhook};
pub use links::conflict::{Conflict, Decision};
pub use links::conflicts::{Decided, Replacement};
pub use links::import::staged::Import;
pub use links::import::types::{Clash, ImportRow, Imported, Taken};
pub use links::learning::Lesson;
pub use links::mapping::{
    Idle, Mapping, MappingFilter, Origin, PutMapping, Removal, Stored, Written,
};
pub use links::rename_source::{Rename, RenameError};
pub use links::unlink::apart::Apart;
pub use links::unlink::{MayUnlink, Unlink};
pub use links::version::{Precondition, Stale, Versions};
pub use moving::{MoveError, Moved, move_to_server};
pub use queue::claim::{Claim, ClaimScope, ClaimToken};
pub use queue::offer::Offer;
pub use queue::replay::{ReadAgain, Replay, SetAside};
pub use queue::replay_many::Fates;
pub use queue::settings::Expired;
pub use queue::settle::types::Settlement;
pub use server::{
    Caller, Inspected, Migrated, ReplicaInfo, ServerFacts, SessionLimits, StoredSession,
};
pub use views::activity::{Activity, Bucket, Range};
pub use views::arrived::Arrived;
pub use views::dead::{DeadGroup, Failure};
pub use views::event::{ChangeRow, EventDetail};
pub use views::events::{EventFilter, EventRow};
pub use views::find::{Found, FoundTicket};
pub use views::levels::{FileSizes, Levels};
pub use views::mentions::Searched;
pub use views::parked::ParkedRow;
pub use views::ticket::TicketPage;
pub use views::ticket_rows::{Connection, PendingUnlink};
pub use views::timeline::{Moment, What};
