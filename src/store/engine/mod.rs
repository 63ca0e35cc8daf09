//! The database engine behind the store: how values go in, how statements run, and how rows come out.
//!
//! Invariant: within the store, only this folder, `file`, which is about the files of `SQLite`, and the errors name
//! the driver.

mod conn;
mod query;
mod row;
mod value;

pub(crate) use conn::{Conn, Readers, Via};
pub(crate) use query::Query;
pub(crate) use row::{Row, Stored};
pub(crate) use value::Value;
