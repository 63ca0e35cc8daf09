//! Values for the placeholders of statements.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};

use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalId, ServalTicketId, SourceName};
use crate::domain::reason::Reason;
use crate::store::error::StoreError;

/// A value for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Bool(bool),
    /// Shared: that is one allocation. Of a `&str` the driver makes two.
    Text(Arc<str>),
    Blob(Vec<u8>),
}

/// Kind of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Bool,
    Text,
    Blob,
}

impl Kind {
    /// The name of the type in Postgres.
    pub(crate) fn postgres(self) -> &'static str {
        match self {
            Self::Int => "bigint",
            Self::Bool => "boolean",
            Self::Text => "text",
            Self::Blob => "bytea",
        }
    }
}

/// Encodes values for `SQLite`.
pub(super) fn for_sqlite(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(value),
            Value::Bool(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Blob(value) => arguments.add(value),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Encodes values for Postgres.
pub(super) fn add_values(arguments: &mut PgArguments, values: &[Value]) -> Result<(), StoreError> {
    for value in values {
        let added = match value {
            Value::Null => arguments.add(Untyped),
            Value::Int(value) => arguments.add(value),
            Value::Bool(value) => arguments.add(value),
            Value::Text(value) => arguments.add(without_nul(value)),
            Value::Blob(value) => arguments.add(value.as_slice()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

/// Encodes rows for Postgres, each column as an array. `values` has them row by row.
pub(super) fn add_columns(
    arguments: &mut PgArguments,
    columns: &[Kind],
    values: &[Value],
) -> Result<(), StoreError> {
    for (index, kind) in columns.iter().enumerate() {
        let column = values.iter().skip(index).step_by(columns.len());
        let added = match kind {
            Kind::Int => arguments.add(column.map(Value::int).collect::<Vec<_>>()),
            Kind::Bool => arguments.add(column.map(Value::bool).collect::<Vec<_>>()),
            Kind::Text => arguments.add(column.map(Value::text).collect::<Vec<_>>()),
            Kind::Blob => arguments.add(column.map(Value::blob).collect::<Vec<_>>()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

/// Postgres stores no U+0000 in a text. An event with one could never be stored, so another character stands for it.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// NULL of a type that Postgres finds out from its place in the statement.
struct Untyped;

impl Type<Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Untyped {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

impl Value {
    fn int(&self) -> Option<i64> {
        if let Self::Int(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    fn bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        if let Self::Text(value) = self {
            Some(without_nul(value))
        } else {
            None
        }
    }

    fn blob(&self) -> Option<&[u8]> {
        if let Self::Blob(value) = self {
            Some(value)
        } else {
            None
        }
    }
}

impl<T> From<Option<T>> for Value
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// Implements the conversions, from the type and from a reference to it.
macro_rules! values {
    ($($name:ty: $convert:expr;)+) => {$(
        impl From<$name> for Value {
            fn from(value: $name) -> Self {
                Self::from(&value)
            }
        }

        impl From<&$name> for Value {
            fn from(value: &$name) -> Self {
                let convert: fn(&$name) -> Self = $convert;
                convert(value)
            }
        }
    )+};
}

values! {
    i64: |number| Self::Int(*number);
    u16: |number| Self::Int((*number).into());
    u32: |number| Self::Int((*number).into());
    bool: |flag| Self::Bool(*flag);
    EventId: |id| Self::Int(id.0);
    EventState: |state| Self::from(state.as_str());
    Reason: |reason| Self::from(reason.as_str());
    SourceName: |name| Self::from(name.as_str());
    ExternalId: |id| Self::from(id.as_str());
    ServalTicketId: |id| Self::from(id.as_str());
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}
