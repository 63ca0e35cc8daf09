//! Looks up the numbers and the identifiers in a batch of rows, all at once.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Faults;
use super::row::ReadRow;
use crate::domain::ids::{ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::operators::{Refusal, ServalNames, of_several, unheard};
use crate::sources::TypedId;
use crate::store::{ImportRow, Store, StoreError};

/// The external ids of each number of a source.
type Numbered = BTreeMap<(SourceName, String), Vec<String>>;

/// Gives each row its external id. A row without one is a fault, and is left out.
pub(super) async fn resolve(
    store: &Store,
    serval: &mut ServalNames<'_>,
    batch: Vec<ReadRow>,
    faults: &mut Faults,
) -> Result<Vec<ImportRow>, Refusal> {
    let numbered = look_up(store, &batch).await?;
    let tickets: Vec<_> = batch.iter().map(|row| &row.ticket).collect();
    let tickets = serval.find(&tickets).await?;
    let mut rows = Vec::with_capacity(batch.len());
    for (row, ticket_id) in batch.into_iter().zip(tickets) {
        match external_id(&numbered, &row).and_then(|id| Ok((id, ticket_id?))) {
            Ok((external_id, ticket_id)) => rows.push(named(row, external_id, ticket_id)),
            Err(detail) => faults.add(row.line, detail),
        }
    }
    Ok(rows)
}

async fn look_up(store: &Store, batch: &[ReadRow]) -> Result<Numbered, StoreError> {
    let mut wanted: BTreeMap<&SourceName, BTreeSet<&str>> = BTreeMap::new();
    for row in batch {
        if let TypedId::Number(number) = &row.typed {
            wanted.entry(&row.source).or_default().insert(number);
        }
    }
    let mut numbered = Numbered::new();
    for (source, numbers) in wanted {
        let numbers: Vec<&str> = numbers.into_iter().collect();
        for (number, id) in store.numbered(source, &numbers).await? {
            let ids = numbered.entry((source.clone(), number)).or_default();
            ids.push(id);
        }
    }
    Ok(numbered)
}

fn external_id(numbered: &Numbered, row: &ReadRow) -> Result<ExternalId, String> {
    let number = match &row.typed {
        TypedId::Id(id) => return Ok(id.clone()),
        TypedId::Number(number) => number,
    };
    match numbered
        .get(&(row.source.clone(), number.clone()))
        .map(Vec::as_slice)
    {
        None | Some([]) => Err(format!("external_id: {}", unheard(number))),
        Some([id]) => Ok(ExternalId::checked(id)),
        Some(ids) => Err(format!("external_id: {}", of_several(number, ids))),
    }
}

fn named(row: ReadRow, external_id: ExternalId, ticket_id: ServalTicketId) -> ImportRow {
    ImportRow {
        line: row.line,
        ticket: ExternalTicket {
            source: row.source,
            external_id,
        },
        ticket_id,
        accounted_for: row.accounted_for,
        unlinks_old: row.unlinks_old,
        reconnects: row.reconnects,
    }
}
