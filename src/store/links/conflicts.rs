//! Conflicts: payloads that name another Serval ticket than the mapping, or one of another source's external
//! ticket with the same id. A person decides them.

use jiff::Timestamp;

use super::conflict::{Conflict, Decision, conflict_columns};
use super::mapping::{Origin, PutMapping, Stored};
use super::mappings::put_mapping;
use crate::domain::ids::ExternalTicket;
use crate::store::audit::{self, Action};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis};

/// Maximum number of conflicts that the page of one external ticket shows.
const MAX_OF_TICKET: i64 = 500;

/// Result of a decision.
#[derive(Debug, Clone)]
pub enum Decided {
    /// The decision is stored.
    Done(Conflict),
    /// The conflict was decided before; nothing was changed.
    Before(Conflict),
    /// Nothing was changed: the learned Serval ticket is mapped to this external ticket of the source.
    Taken(String),
}

/// Details of a replacement, if that is the decision.
#[derive(Debug, Clone, Copy)]
pub struct Replacement {
    /// Writer of the mapping.
    pub origin: Origin,
    /// True if the replaced pair is unlinked at Serval.
    pub unlinks_old: bool,
    /// True if a Serval ticket may have several external tickets of the source.
    pub several_per_ticket: bool,
    /// See [`PutMapping::reconnects`].
    pub reconnects: bool,
}

const ONE: &str = concat!(
    "-- store::conflicts::one\nSELECT ",
    conflict_columns!(),
    " FROM conflicts WHERE id = $1"
);

impl Store {
    /// Lists conflicts, newest first: the open ones, or all with `decided_too`.
    pub async fn conflicts(
        &self,
        decided_too: bool,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError> {
        const LIST: &str = concat!(
            "-- store::conflicts::list\nSELECT ",
            conflict_columns!(),
            " FROM conflicts WHERE id < $1 AND ($2 OR decision IS NULL) ORDER BY id DESC LIMIT $3"
        );
        let args = args![before.unwrap_or(i64::MAX), decided_too, limit];
        sql::fetch_readable(&self.readers, LIST, args).await
    }

    /// Lists the conflicts of one external ticket, decided ones too, newest first.
    pub(crate) async fn conflicts_of(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<Conflict>, StoreError> {
        const OF_TICKET: &str = concat!(
            "-- store::conflicts::of_ticket\nSELECT ",
            conflict_columns!(),
            " FROM conflicts WHERE source = $1 AND external_id = $2 ORDER BY id DESC LIMIT $3"
        );
        let args = args![&ticket.source, &ticket.external_id, MAX_OF_TICKET];
        sql::fetch_readable(&self.readers, OF_TICKET, args).await
    }

    /// Returns one conflict.
    pub async fn conflict(&self, id: i64) -> Result<Option<Conflict>, StoreError> {
        sql::fetch_optional(&self.readers, ONE, args![id]).await
    }

    /// Decides an open conflict; `None` if there is no conflict with this number.
    pub async fn decide_conflict(
        &self,
        id: i64,
        decision: Decision,
        replacement: Replacement,
        now: Timestamp,
    ) -> Result<Option<Decided>, StoreError> {
        let by = self.by.clone();
        let turn = self.mappings_turn().await?;
        self.write_mappings(turn, move |tx| {
            let by = by.clone();
            Box::pin(async move {
                let decided = decide(tx, id, decision, replacement, now).await?;
                if let Some(Decided::Done(conflict)) = &decided {
                    let action = match decision {
                        Decision::Keep => Action::Keep,
                        Decision::Replace => Action::Replace,
                    };
                    let subject = format!("{} or {}", conflict.kept(), conflict.learned);
                    let (ticket, subject) = (conflict.ticket(), Some(subject.as_str()));
                    audit::note(tx, by.as_deref(), action, Some(&ticket), subject, now).await?;
                }
                Ok(decided)
            })
        })
        .await
    }
}

async fn decide(
    tx: &mut Tx,
    id: i64,
    decision: Decision,
    replacement: Replacement,
    now: Timestamp,
) -> Result<Option<Decided>, StoreError> {
    const DECIDE: &str = concat!(
        "-- store::conflicts::decide
        UPDATE conflicts SET decided_at = $2, decision = $3 WHERE id = $1 RETURNING ",
        conflict_columns!()
    );
    let Some(conflict) = tx.fetch_optional::<Conflict>(ONE, args![id]).await? else {
        return Ok(None);
    };
    if conflict.decision.is_some() {
        return Ok(Some(Decided::Before(conflict)));
    }
    // The mapping comes first: if its Serval ticket is taken, the conflict stays open.
    if decision == Decision::Replace {
        let put = PutMapping {
            disconnects_others: false,
            ticket: conflict.ticket(),
            ticket_id: conflict.learned,
            accounted_for: Vec::new(),
            origin: replacement.origin,
            taught_by: Some(conflict.event),
            unlinks_old: replacement.unlinks_old,
            several_per_ticket: replacement.several_per_ticket,
            reconnects: replacement.reconnects,
        };
        if let Stored::Taken(other) = put_mapping(tx, &put, now).await? {
            return Ok(Some(Decided::Taken(other)));
        }
    }
    let args = args![id, millis(now), decision.as_str()];
    let decided = tx.fetch_one(DECIDE, args).await?;
    Ok(Some(Decided::Done(decided)))
}
