//! A statement that is put together at run time.

use super::conn::Via;
use super::row::Row;
use super::value::Value;
use crate::store::error::StoreError;

/// The text of a statement, and its values so far.
pub(crate) struct Query {
    text: String,
    values: Vec<Value>,
}

impl Query {
    pub(crate) fn new(text: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds text of ours. What others wrote is bound.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a placeholder with its value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// Runs the statement and returns all its rows.
    pub(crate) async fn fetch_all(self, via: impl Into<Via<'_>>) -> Result<Vec<Row>, StoreError> {
        via.into().fetch_all(self.text, self.values).await
    }
}
