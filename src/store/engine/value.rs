//! Values for the placeholders of statements.

use std::sync::Arc;

use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

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

/// Encodes values for the driver.
pub(super) fn arguments(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
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
