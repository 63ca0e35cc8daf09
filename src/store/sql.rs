//! Helpers for statements: bound arguments, rows as structs, stored times and states.
//!
//! A statement is a constant text that is run with [`args!`], by [`Tx`](super::commit::tx::Tx) or by
//! the functions here. Its result is read into a struct of [`row!`], a tuple of at most three, or a
//! single value.

use jiff::Timestamp;

use super::columns::Columns;
use super::engine::{Row, Value, Via};
use super::error::StoreError;
use crate::domain::event::EventState;

/// Arguments of one statement.
pub(crate) type Args = Vec<Value>;

/// Binds values to `$1`, `$2` and so on, in their order.
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        vec![$(crate::store::engine::Value::from($value)),*]
    };
}
pub(crate) use args;

/// Declares a struct that is read from a row: each field from the next column, or, if it is a struct
/// itself, from the next columns.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)+
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $vis $field: $type,)+
        }

        impl crate::store::columns::Columns for $name {
            fn read(
                row: &crate::store::engine::Row,
                next: &mut usize,
            ) -> Result<Self, crate::store::error::StoreError> {
                Ok(Self { $($field: crate::store::columns::Columns::read(row, next)?,)+ })
            }
        }
    };
}
pub(crate) use row;

/// Runs a statement and returns the number of rows that it changed.
pub(crate) async fn run<'c>(
    via: impl Into<Via<'c>>,
    statement: &'static str,
    args: Args,
) -> Result<u64, StoreError> {
    via.into().run(statement, args).await
}

/// Returns all rows of a statement.
pub(crate) async fn fetch_all<'c, T: Columns>(
    via: impl Into<Via<'c>>,
    statement: &'static str,
    args: Args,
) -> Result<Vec<T>, StoreError> {
    read_all(&via.into().fetch_all(statement, args).await?)
}

/// Reads fetched rows.
pub(crate) fn read_all<T: Columns>(rows: &[Row]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| T::read(row, &mut 0)).collect()
}

/// Returns the readable rows of a statement, for what one damaged row must not stop. The log has the others.
pub(crate) async fn fetch_readable<'c, T: Columns>(
    via: impl Into<Via<'c>>,
    statement: &'static str,
    args: Args,
) -> Result<Vec<T>, StoreError> {
    let rows = via.into().fetch_all(statement, args).await?;
    let readable = rows.iter().filter_map(|row| {
        let read = T::read(row, &mut 0);
        read.inspect_err(|error| tracing::error!(%error, "a damaged row is left out"))
            .ok()
    });
    Ok(readable.collect())
}

/// Returns the first row of a statement, if there is one.
pub(crate) async fn fetch_optional<'c, T: Columns>(
    via: impl Into<Via<'c>>,
    statement: &'static str,
    args: Args,
) -> Result<Option<T>, StoreError> {
    let row = via.into().fetch_optional(statement, args).await?;
    row.map(|row| T::read(&row, &mut 0)).transpose()
}

/// Returns the only row of a statement.
pub(crate) async fn fetch_one<'c, T: Columns>(
    via: impl Into<Via<'c>>,
    statement: &'static str,
    args: Args,
) -> Result<T, StoreError> {
    let row = fetch_optional(via, statement, args).await?;
    row.ok_or_else(|| StoreError::Corrupt("a statement that always has a row had none".to_owned()))
}

/// Subquery for the row id of the external ticket that has this source and external id.
macro_rules! external {
    ($source:literal, $external_id:literal) => {
        concat!(
            "(SELECT x.id FROM external_tickets AS x WHERE x.source = ",
            $source,
            " AND x.external_id = ",
            $external_id,
            ")"
        )
    };
}
pub(crate) use external;

/// Subquery for the row id of the next external ticket.
macro_rules! next_ticket {
    () => {
        "(SELECT COALESCE(MAX(t.id), 0) + 1 FROM external_tickets AS t)"
    };
}
pub(crate) use next_ticket;

/// Subquery that tells if an event named the channel of this external ticket a direct conversation.
macro_rules! is_direct {
    ($source:literal, $external_id:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM direct_channels AS dc WHERE dc.source = ",
            $source,
            " AND dc.channel = substr(",
            $external_id,
            ", 1, instr(",
            $external_id,
            ", ':') - 1))"
        )
    };
}
pub(crate) use is_direct;

/// Condition that tells if another save than the event stands for its record. An event that may teach a
/// Serval ticket does that first.
macro_rules! is_outranked {
    ($event:literal, $ticket:literal) => {
        concat!(
            "COALESCE(",
            $ticket,
            ".newest <> ",
            $event,
            ".id AND (",
            $event,
            ".hint IS NULL OR ",
            $event,
            ".hint = ",
            $ticket,
            ".ticket_id), FALSE)"
        )
    };
}
pub(crate) use is_outranked;

/// Encodes rows for a statement that reads them with `json_each`.
pub(crate) fn json<T: serde::Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("texts and numbers are JSON")
}

/// Returns a time as it is stored: milliseconds since the epoch.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Reads a stored time. Only another program can have written one that is out of range.
pub(crate) fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| StoreError::Corrupt(format!("{millis} is not a time in milliseconds")))
}

/// Reads a stored state.
pub(crate) fn state(word: &str) -> Result<EventState, StoreError> {
    EventState::parse(word).ok_or_else(|| StoreError::Corrupt(format!("{word:?} is not a state")))
}
