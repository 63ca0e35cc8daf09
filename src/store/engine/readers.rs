//! The connections that read.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use super::address::Address;
use super::server;
use crate::store::error::StoreError;

/// Longest life of a connection that reads.
const LIFETIME: Duration = Duration::from_mins(1);
/// Longest time for which an unused connection is taken for alive.
const IDLE: Duration = Duration::from_millis(500);

/// The connections that read. Clones share them.
#[derive(Clone)]
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    /// With the address, and that of the server itself behind a pooler.
    Postgres(PgPool, Address, Address),
}

/// Reads that see the database as it was at the first of them. Ends when it is dropped.
pub(crate) enum Reading {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Readers {
    /// Connections to a server, at most `many`, which are opened as they are needed. `direct`: the server itself, if
    /// `address` is that of a pooler. `patience`: the longest wait for one.
    pub(crate) fn connect(
        address: &Address,
        direct: Address,
        many: u32,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(many)
            .acquire_timeout(patience)
            // A host that was replaced may still answer questions, with what was true before.
            .max_lifetime(LIFETIME)
            .test_before_acquire(false)
            // A round trip to see that the connection is alive. What was used just now is.
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| Box::pin(server::prepare(connection)));
        let pool = pool.connect_lazy_with(address.current()?);
        Ok(Self::Postgres(pool, address.clone(), direct))
    }

    /// New connections go to the host that takes writes, and with the password of today.
    pub(crate) fn refresh(&self) -> Result<(), StoreError> {
        if let Self::Postgres(pool, address, _) = self {
            pool.set_connect_options(address.current()?);
        }
        Ok(())
    }

    /// The address of the server itself, if there is one. A pooler lets nobody listen.
    pub(crate) fn direct_address(&self) -> Option<&Address> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_, _, direct) => Some(direct),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it only reads")]
    pub(crate) async fn begin(&self) -> Result<Reading, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        Ok(match self {
            Self::Sqlite(pool) => Reading::Sqlite(pool.begin().await?),
            Self::Postgres(pool, ..) => Reading::Postgres(pool.begin_with(SNAPSHOT).await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, ..) => pool.close().await,
        }
    }
}
