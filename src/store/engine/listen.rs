//! Hears what other processes say through the server.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::address::Address;
use super::server::{self, WAKE};
use crate::store::error::StoreError;

/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls `wake` each time a process says that events are due, until the connection fails.
pub(crate) async fn listen(address: &Address, wake: impl Fn()) -> Result<(), StoreError> {
    // Notes the host that takes writes: only that one can be listened to.
    let (_, found) = server::open(address).await?;
    found.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(address.current()?);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(WAKE).await?;
    // What was said before is not heard.
    wake();
    while listener.try_recv().await?.is_some() {
        wake();
    }
    Ok(())
}
