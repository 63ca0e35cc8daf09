//! Looks up the numbers of a batch of rows, all with one query for each source.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Faults;
use super::row::ReadRow;
use crate::domain::ids::{ExternalId, ExternalTicket, SourceName};
use crate::operators::{of_several, unheard};
use crate::sources::TypedId;
use crate::store::{ImportRow, Store, StoreError};

/// The external ids of each number of a source.
type Numbered = BTreeMap<(SourceName, String), Vec<String>>;

/// Gives each row its external id. A row without one is a fault, and is left out.
pub(super) async fn resolve(
    store: &Store,
    batch: Vec<ReadRow>,
    faults: &mut Faults,
) -> Result<Vec<ImportRow>, StoreError> {
    let numbered = look_up(store, &batch).await?;
    let mut rows = Vec::with_capacity(batch.len());
    for row in batch {
        match external_id(&numbered, &row) {
            Ok(external_id) => rows.push(named(row, external_id)),
            Err(detail) => faults.add(row.line, format!("external_id: {detail}")),
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
        None | Some([]) => Err(unheard(number)),
        Some([id]) => Ok(ExternalId::checked(id)),
        Some(ids) => Err(of_several(number, ids)),
    }
}

fn named(row: ReadRow, external_id: ExternalId) -> ImportRow {
    ImportRow {
        line: row.line,
        ticket: ExternalTicket {
            source: row.source,
            external_id,
        },
        ticket_id: row.ticket_id,
        accounted_for: row.accounted_for,
        unlinks_old: row.unlinks_old,
        reconnects: row.reconnects,
    }
}
