//! `migrate`: brings the database's schema up to date, without starting the daemon.

use tokio_util::sync::CancellationToken;

use crate::edge::clock::{Clock as _, SystemClock};
use crate::store::{DatabaseLock, OpenError, Store};
use crate::terminal::{Failure, Global, Outcome, output};

pub(super) async fn run(global: &Global) -> Outcome {
    let config = global.load()?.config;
    let url = &config.database.url;
    let lock = DatabaseLock::acquire(url).map_err(refused)?;
    let before = Store::schema_version(url).await.map_err(refused)?;
    let (store, writer) = Store::open_locked(lock, SystemClock.now())
        .await
        .map_err(refused)?;
    store.close_readers().await;
    drop(store);
    // The writer is stopped before it has work: it only closes the database.
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let after = Store::schema_version(url).await.map_err(refused)?;
    output::line(verdict(url, before, after.unwrap_or_default()));
    Ok(())
}

fn verdict(url: &str, before: Option<i64>, after: i64) -> String {
    match before {
        None => format!("{url}: created, with schema version {after}"),
        Some(before) if before == after => {
            format!("{url}: schema version {after}, was up to date")
        }
        Some(before) => format!("{url}: schema version {after}, was {before}"),
    }
}

fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::Url { .. } => Failure::Usage(error.to_string()),
        OpenError::Locked { path, .. } => Failure::failed(format_args!(
            "{path} is in use by another serval-connect process; a daemon brings the schema up to \
             date when it starts, so stop it first or leave it to its next start"
        )),
        OpenError::File { .. }
        | OpenError::Newer { .. }
        | OpenError::Migrate { .. }
        | OpenError::Damaged { .. }
        | OpenError::Database { .. } => Failure::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_changed() {
        for (before, expected) in [
            (None, "u: created, with schema version 3"),
            (Some(2), "u: schema version 3, was 2"),
            (Some(3), "u: schema version 3, was up to date"),
        ] {
            assert_eq!(verdict("u", before, 3), expected);
        }
    }
}
