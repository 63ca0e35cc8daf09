//! Erases what is stored about one external ticket.
//!
//! Invariant: the last transaction leaves nothing, whatever arrived meanwhile. `SQLite` overwrites
//! what it deletes (`secure_delete`, see [`super::options`]), and the write-ahead log is emptied.

use std::time::Duration;

use jiff::Timestamp;

use super::options::base;
use super::retention::{Doomed, delete_events};
use crate::domain::ids::ExternalTicket;
use crate::store::audit::{self, Action};
use crate::store::body::{BodyRow, body_columns};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, external, millis};

/// Maximum number of events that one transaction erases.
const STEP: u32 = 200;
/// Longest time that one try to empty the write-ahead log may hold up the writer.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(300);
const CHECKPOINT_TRIES: u32 = 10;
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);

/// Tables whose erased rows are counted.
const TABLES: [&str; 8] = [
    "events",
    "payloads",
    "attempts",
    "changes",
    "mappings",
    "connections",
    "conflicts",
    "disconnects",
];

/// Result of erasing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Erased rows of [`TABLES`].
    rows: [u64; TABLES.len()],
    /// Its id and its number, which texts about other external tickets may hold.
    pub names: Vec<String>,
    /// Number of errors and answers about other external tickets that named this one. They are
    /// cleared.
    pub mentions: u64,
    /// Number of bodies of other external tickets that name it. They stay. `None`: they were not counted.
    pub naming_bodies: Option<u64>,
    /// Number of rows that still are about the ticket, or name it in an error or an answer.
    pub left: u64,
    /// True if the write-ahead log was emptied into the database file. A long read, such as a backup,
    /// can prevent that. `None`: the log is a server's.
    pub is_log_empty: Option<bool>,
}

impl Erased {
    /// Returns the erased rows by table.
    pub fn tables(&self) -> [(&'static str, u64); TABLES.len()] {
        std::array::from_fn(|i| (TABLES[i], self.rows[i]))
    }
}

/// Reason why nothing, or only a part, was erased.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EraseError {
    /// A call about the ticket is under way.
    #[error("a call to Serval about this external ticket is under way; try again in a moment")]
    InHand,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Result of one transaction.
enum Step {
    /// A call is under way; nothing was erased.
    InHand,
    /// Events are left.
    Part([u64; TABLES.len()]),
    /// Nothing is left.
    Last([u64; TABLES.len()]),
}

impl Store {
    /// Erases everything that is stored about `ticket`, in steps. If one fails, the next call
    /// continues. Nothing changes at Serval.
    pub async fn erase(
        &self,
        ticket: &ExternalTicket,
        now: Timestamp,
    ) -> Result<Erased, EraseError> {
        let mut erased = self.erase_one_of_many(ticket, now).await?;
        let names: Vec<&str> = erased.names.iter().map(String::as_str).collect();
        erased.mentions = self.clear_mentions(&names).await?;
        if self.shared.files.is_some() {
            erased.is_log_empty = Some(self.empty_log().await?);
        }
        // A webhook or a call that ended meanwhile may have stored the names again.
        erased.left = self.left_of(ticket).await? + self.clear_mentions(&names).await?;
        erased.naming_bodies = Some(self.count_naming(ticket.external_id.as_str()).await?);
        Ok(erased)
    }

    /// Like [`Self::erase`], but leaves what takes a search of whole tables, and the log: [`Self::erase_beside`] does
    /// that for many at once.
    pub async fn erase_one_of_many(
        &self,
        ticket: &ExternalTicket,
        now: Timestamp,
    ) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        erased.names.push(ticket.external_id.as_str().to_owned());
        // People name the ticket by its number too. It is erased with the last step.
        erased.names.extend(self.number(ticket).await?);
        loop {
            let (step, is_last) = match self.erase_step(ticket, now).await? {
                Step::InHand => return Err(EraseError::InHand),
                Step::Part(rows) => (rows, false),
                Step::Last(rows) => (rows, true),
            };
            for (sum, n) in erased.rows.iter_mut().zip(step) {
                *sum += n;
            }
            if is_last {
                break;
            }
        }
        erased.left = self.left_of(ticket).await?;
        Ok(erased)
    }

    /// Counts the bodies that hold this name, in upper or lower case. Most are compressed, so a search of the
    /// database's files does not find it.
    async fn count_naming(&self, name: &str) -> Result<u64, StoreError> {
        const BODIES: &str = concat!(
            "-- store::erase::bodies\nSELECT p.event_id, ",
            body_columns!(),
            " FROM payloads AS p WHERE p.event_id > $1 ORDER BY p.event_id LIMIT 100"
        );
        let mut found = 0;
        let mut after = 0;
        if name.is_empty() {
            return Ok(found);
        }
        loop {
            let bodies: Vec<(i64, Option<BodyRow>)> =
                sql::fetch_all(&self.readers, BODIES, args![after]).await?;
            let Some((last, _)) = bodies.last() else {
                return Ok(found);
            };
            after = *last;
            // A damaged body cannot be read by anybody else either.
            let bodies = bodies.into_iter().filter_map(|(_, row)| row?.unpack().ok());
            let naming = bodies.filter(|body| {
                let mut places = body.bytes.windows(name.len());
                places.any(|place| place.eq_ignore_ascii_case(name.as_bytes()))
            });
            found += naming.count() as u64;
        }
    }

    async fn erase_step(
        &self,
        ticket: &ExternalTicket,
        now: Timestamp,
    ) -> Result<Step, StoreError> {
        let (ticket, by) = (ticket.clone(), self.by.clone());
        self.write(move |tx| {
            let (ticket, by) = (ticket.clone(), by.clone());
            Box::pin(async move {
                let step = step(tx, &ticket, now).await?;
                // The entry is written with the last step, and without the id: the audit must not
                // keep what was to be forgotten.
                if let Step::Last(_) = step {
                    let subject = format!("an external ticket of {}", ticket.source);
                    let (action, subject) = (Action::Erase, Some(subject.as_str()));
                    audit::note(tx, by.as_deref(), action, None, subject, now).await?;
                }
                Ok(step)
            })
        })
        .await
    }

    /// Returns the number of rows about the ticket.
    async fn left_of(&self, ticket: &ExternalTicket) -> Result<u64, StoreError> {
        const LEFT: &str = concat!(
            "-- store::erase::left
            SELECT (SELECT COUNT(*) FROM external_tickets WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM conflicts WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM disconnects WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM audit WHERE source = $1 AND external_id = $2)
                + (SELECT COUNT(*) FROM events WHERE external = ",
            external!("$1", "$2"),
            ") + (SELECT COUNT(*) FROM connections WHERE external = ",
            external!("$1", "$2"),
            ") + (SELECT COUNT(*) FROM doubts WHERE external = ",
            external!("$1", "$2"),
            ") + (SELECT COUNT(*) FROM claims WHERE external = ",
            external!("$1", "$2"),
            ")"
        );
        let args = args![&ticket.source, &ticket.external_id];
        sql::fetch_one(&self.readers, LEFT, args).await
    }

    /// Moves the write-ahead log into the database file and empties it; `false` if a long read
    /// prevents that.
    pub(super) async fn empty_log(&self) -> Result<bool, StoreError> {
        const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
        let Some(files) = &self.shared.files else {
            return Ok(true);
        };
        // In short tries, because the writer waits while this waits for readers.
        let options = base(files.lock.path()).busy_timeout(CHECKPOINT_PATIENCE);
        let mut connection = files.presence.connect(options).await?;
        for _ in 0..CHECKPOINT_TRIES {
            let is_busy: bool = sql::fetch_one(&mut connection, CHECKPOINT, args![]).await?;
            if !is_busy {
                return Ok(true);
            }
            tokio::time::sleep(CHECKPOINT_PAUSE).await;
        }
        Ok(false)
    }
}

/// Erases up to [`STEP`] events, and with the last of them all other rows about the ticket.
async fn step(tx: &mut Tx, ticket: &ExternalTicket, now: Timestamp) -> Result<Step, StoreError> {
    const IN_HAND: &str = concat!(
        "-- store::erase::in_hand
        SELECT COUNT(*) > 0 FROM claims WHERE expires_at > $3 AND external = ",
        external!("$1", "$2")
    );
    // Events that wait for a call go first, so that no call is made between two steps.
    const EVENTS: &str = concat!(
        "-- store::erase::events
        SELECT id, source, state, external FROM events WHERE external = ",
        external!("$1", "$2"),
        " ORDER BY state IN ('queued', 'parked') DESC, id LIMIT $3"
    );
    const MAPPINGS: &str = "\
        -- store::erase::mapped
        SELECT COUNT(*) FROM mappings WHERE source = $1 AND external_id = $2";
    const COUNTED: [&str; 3] = [
        concat!(
            "DELETE FROM connections WHERE external = ",
            external!("$1", "$2")
        ),
        "DELETE FROM conflicts WHERE source = $1 AND external_id = $2",
        "DELETE FROM disconnects WHERE source = $1 AND external_id = $2",
    ];
    const OTHERS: [&str; 5] = [
        // The audit keeps that a person did something, and when, but not about which ticket.
        "UPDATE audit SET source = NULL, external_id = NULL, subject = NULL, reason = NULL
            WHERE source = $1 AND external_id = $2",
        // Rows of an import that runs or broke off.
        "DELETE FROM import_rows WHERE source = $1 AND external_id = $2",
        // Claims that ran out.
        concat!(
            "DELETE FROM claims WHERE external = ",
            external!("$1", "$2")
        ),
        concat!(
            "DELETE FROM doubts WHERE external = ",
            external!("$1", "$2")
        ),
        // The row of the ticket and its mapping come last, because the others are found by it.
        "DELETE FROM external_tickets WHERE source = $1 AND external_id = $2",
    ];
    let named = || args![&ticket.source, &ticket.external_id];
    let in_hand = args![&ticket.source, &ticket.external_id, millis(now)];
    if tx.fetch_one(IN_HAND, in_hand).await? {
        return Ok(Step::InHand);
    }
    // By the clock of its holder a claim that ran out may last a little longer. It looks again before its call.
    tx.effects.revises = true;
    let first = args![&ticket.source, &ticket.external_id, STEP];
    let events: Vec<Doomed> = tx.fetch_all(EVENTS, first).await?;
    let [payloads, attempts, changes, deleted] = delete_events(tx, &events).await?;
    let mut rows = [deleted, payloads, attempts, changes, 0, 0, 0, 0];
    if events.len() == STEP as usize {
        return Ok(Step::Part(rows));
    }
    let mappings: i64 = tx.fetch_one(MAPPINGS, named()).await?;
    rows[4] = mappings.unsigned_abs();
    for (statement, count) in COUNTED.into_iter().zip(&mut rows[5..]) {
        *count = tx.run(statement, named()).await?;
    }
    for statement in OTHERS {
        tx.run(statement, named()).await?;
    }
    Ok(Step::Last(rows))
}
