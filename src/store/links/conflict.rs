//! Stored conflicts: adding one, closing one.

use jiff::Timestamp;

use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::words::words;
use crate::store::columns::{column, known};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{args, millis, row};

words! {
    /// Decision about a conflict.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Decision {
        /// The mapping stays.
        Keep = "keep",
        /// The mapping becomes what the payload named.
        Replace = "replace",
    }
}

column! {
    Decision: String, |word| known(Self::parse(&word), &word);
}

row! {
    /// A conflict as the API shows it.
    #[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
    pub struct Conflict {
        /// Number of the conflict.
        id: i64,
        /// Source of the external ticket.
        #[schema(value_type = String)]
        source: SourceName,
        /// Id of the external ticket in its system.
        #[schema(value_type = String)]
        external_id: ExternalId,
        /// Serval ticket of the mapping. Null: there is no mapping, and the external ticket of another
        /// source with this id is mapped to `learned`.
        mapped_to: Option<String>,
        /// Serval ticket that the payload names.
        #[schema(value_type = String)]
        learned: ServalTicketId,
        /// Event with that payload.
        #[schema(value_type = String)]
        event: EventId,
        /// Time at which it was found.
        created_at: Timestamp,
        /// Time of the decision; null: not decided.
        decided_at: Option<Timestamp>,
        /// `keep` or `replace`; null: not decided.
        #[schema(value_type = Option<String>)]
        decision: Option<Decision>,
    }
}

impl Conflict {
    /// Words for what stays if the decision is to keep it.
    pub(crate) fn kept(&self) -> &str {
        self.mapped_to.as_deref().unwrap_or("no mapping")
    }

    /// The external ticket.
    pub(super) fn ticket(&self) -> ExternalTicket {
        ExternalTicket {
            source: self.source.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

/// Columns of a [`Conflict`].
macro_rules! conflict_columns {
    () => {
        "id, source, external_id, mapped_to, learned, event_id, created_at, decided_at, decision"
    };
}
pub(super) use conflict_columns;

/// Adds a conflict that is `decided` already, or open. Does nothing if it is open already, or if a
/// person decided before that the mapping stays.
pub(super) async fn add(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    mapped_to: Option<&str>,
    learned: &ServalTicketId,
    event: EventId,
    decided: Option<Decision>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ADD: &str = "\
        -- store::conflict::add
        INSERT INTO conflicts (source, external_id, mapped_to, learned, event_id, created_at,
            decided_at, decision)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
        WHERE NOT EXISTS (SELECT 1 FROM conflicts
            WHERE source = $1 AND external_id = $2 AND learned = $4
            AND (decision IS NULL OR (decision = 'keep' AND mapped_to IS NOT DISTINCT FROM $3)))";
    // The check and the insert are one statement. A payload that repeats a rejected ticket must not
    // ask the person again.
    let conflict = args![
        &ticket.source,
        &ticket.external_id,
        mapped_to,
        learned,
        event,
        millis(now),
        decided.map(|_| millis(now)),
        decided.map(Decision::as_str),
    ];
    tx.run(ADD, conflict).await?;
    Ok(())
}

/// Closes the open conflict about a Serval ticket that is the ticket of the mapping now.
pub(super) async fn close(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &ServalTicketId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const CLOSE: &str = "\
        -- store::conflict::close
        UPDATE conflicts SET decided_at = $4, decision = 'replace'
        WHERE source = $1 AND external_id = $2 AND learned = $3 AND decision IS NULL";
    let args = args![&ticket.source, &ticket.external_id, ticket_id, millis(now)];
    tx.run(CLOSE, args).await?;
    Ok(())
}
