//! `migrate`: brings the database's schema up to date, without starting the daemon.

use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use super::file::refuse_to_leave_behind;
use crate::edge::clock::{Clock as _, SystemClock};
use crate::process::database;
use crate::store::{DatabaseLock, Migrated, OpenError, Store};
use crate::terminal::{Failure, Global, Outcome, output};

pub(super) async fn run(global: &Global) -> Outcome {
    let loaded = global.load()?;
    let database = database(&loaded.config);
    refuse_to_leave_behind(&loaded, &database)?;
    let migrated = if database.is_on_server() {
        Store::migrate_server(&database).await
    } else {
        migrate_file(database.url.expose_secret()).await
    };
    let Migrated { before, after } = migrated.map_err(refused)?;
    output::line(verdict(&database.shown(), before, after));
    Ok(())
}

/// Brings the schema of a database file up to date, by a start that ends at once.
async fn migrate_file(url: &str) -> Result<Migrated, OpenError> {
    let lock = DatabaseLock::acquire(url)?;
    let before = Store::schema_version(url).await?;
    let (store, writer) = Store::open_locked(lock, SystemClock.now()).await?;
    store.close_readers().await;
    drop(store);
    // The writer is stopped before it has work: it only closes the database.
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let after = Store::schema_version(url).await?.unwrap_or_default();
    Ok(Migrated { before, after })
}

fn verdict(shown: &str, before: Option<i64>, after: i64) -> String {
    match before {
        None => format!("{shown}: created, with schema version {after}"),
        Some(before) if before == after => {
            format!("{shown}: schema version {after}, was up to date")
        }
        Some(before) => format!("{shown}: schema version {after}, was {before}"),
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
        | OpenError::Unfit { .. }
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
