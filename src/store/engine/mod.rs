//! The database engine behind the store: how values go in, how statements run, and how rows come out.
//!
//! A statement has one text, which is written for `SQLite`. For Postgres `dialect` replaces a few phrases of it, and
//! the schema in `migrations/postgres` brings the few functions of `SQLite` that the statements use.
//!
//! Invariant: within the store, only this folder, `file` and `server`, which are about the two kinds of database, and
//! the errors name the driver.

mod address;
mod batch;
mod conn;
mod dialect;
mod joined;
mod listen;
mod query;
mod readers;
mod row;
mod server;
mod sized;
mod value;

pub(crate) use address::Address;
pub(crate) use batch::Batch;
pub(crate) use conn::{BEGIN, Conn, Via};
pub(crate) use listen::listen;
pub(crate) use query::Query;
pub(crate) use readers::Readers;
pub(crate) use row::{Row, Stored};
pub(crate) use server::{Said, Server, TURN};
pub(crate) use sized::{LARGEST, Size, SizedStatement};
pub(crate) use value::{Kind, Value};
