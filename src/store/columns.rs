//! Values as columns: one for each simple type, several for a struct.
//!
//! A stored value that does not fit its type was not written by this program. Reading it fails with
//! [`StoreError::Corrupt`].

use std::error::Error;

use jiff::Timestamp;

use super::engine::{Row, Stored};
use super::error::StoreError;
use crate::domain::event::{EventState, Rank};
use crate::domain::feed::Trouble;
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::report::{Report, Told};

/// Reason why a stored value does not fit its type.
pub(crate) type Unfit = Box<dyn Error + Send + Sync>;

/// A type that is stored in one column.
pub(crate) trait Column: Sized {
    /// Type of the column.
    type Stored: Stored;

    /// Converts a stored value.
    fn from_stored(stored: Self::Stored) -> Result<Self, Unfit>;
}

/// A type that is read from neighbouring columns of a row. Structs get this from
/// [`row!`](super::sql::row).
pub(crate) trait Columns: Sized {
    /// Reads from the column `next` on, and moves `next` behind the last one that it read.
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError>;
}

impl<T: Column> Columns for T {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        let index = *next;
        *next += 1;
        T::from_stored(row.get(index)?)
            .map_err(|unfit| StoreError::Corrupt(format!("in column {index}: {unfit}")))
    }
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;

    fn from_stored(stored: Self::Stored) -> Result<Self, Unfit> {
        stored.map(T::from_stored).transpose()
    }
}

impl<A: Columns, B: Columns> Columns for (A, B) {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        Ok((A::read(row, next)?, B::read(row, next)?))
    }
}

impl<A: Columns, B: Columns, C: Columns> Columns for (A, B, C) {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        Ok((
            A::read(row, next)?,
            B::read(row, next)?,
            C::read(row, next)?,
        ))
    }
}

impl Columns for ExternalTicket {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        Ok(Self {
            source: Columns::read(row, next)?,
            external_id: Columns::read(row, next)?,
        })
    }
}

impl Columns for Told {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        Ok(Self {
            event: Columns::read(row, next)?,
            report: Columns::read(row, next)?,
            rank: Columns::read(row, next)?,
        })
    }
}

impl Columns for Rank {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        Ok(Self(Columns::read(row, next)?, Columns::read(row, next)?))
    }
}

/// Source and external id, where a row is about an external ticket.
impl Columns for Option<(String, String)> {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        let (source, external_id) = Columns::read(row, next)?;
        Ok(Option::zip(source, external_id))
    }
}

/// Turns a word that is not one of its enum into an error.
pub(crate) fn known<T>(value: Option<T>, word: &str) -> Result<T, Unfit> {
    value.ok_or_else(|| format!("the word {word:?} is unknown").into())
}

/// Implements [`Column`]: the type, the type of its column, the conversion.
macro_rules! column {
    ($($name:ty: $stored:ty, $convert:expr;)+) => {$(
        impl $crate::store::columns::Column for $name {
            type Stored = $stored;

            fn from_stored(stored: $stored) -> Result<Self, $crate::store::columns::Unfit> {
                let convert: fn($stored) -> Result<Self, $crate::store::columns::Unfit> = $convert;
                convert(stored)
            }
        }
    )+};
}
pub(crate) use column;

column! {
    bool: bool, Ok;
    i64: i64, Ok;
    u16: i64, |number| Ok(number.try_into()?);
    u32: i64, |number| Ok(number.try_into()?);
    u64: i64, |number| Ok(number.try_into()?);
    String: String, Ok;
    Vec<u8>: Vec<u8>, Ok;
    Vec<String>: String, |json| Ok(serde_json::from_str(&json)?);
    Timestamp: i64, |millis| Ok(Timestamp::from_millisecond(millis)?);
    EventId: i64, |id| Ok(EventId(id));
    Report: String, |word| known(Report::parse(&word), &word);
    EventState: String, |word| known(EventState::parse(&word), &word);
    Trouble: String, |word| known(Trouble::parse(&word), &word);
    SourceName: String, |name| Ok(name.parse()?);
    ExternalId: String, |id| Ok(ExternalId::checked(id));
    ServalTicketId: String, |id| Ok(id.parse()?);
}
