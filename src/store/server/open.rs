//! Opens the database on a server, migrates it, and inspects it without a change.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::ServerFacts;
use super::replica::Replica;
use super::schema::{self, Fit, Schema, fit, newest_version, refuse_newer};
use crate::store::commit::writer::Writer;
use crate::store::database::Database;
use crate::store::engine::{Address, Conn, Readers, Server, Via};
use crate::store::error::{OpenError, StoreError};
use crate::store::handle::Store;
use crate::store::links::rename_source::{Rename, RenameError};
use crate::store::sql::{self, args};

/// Number of connections that read, beside the one that writes.
const READERS: u32 = 4;
/// Longest wait for one of them. Whoever asks for the state has a time limit, too.
const READ_PATIENCE: Duration = Duration::from_millis(2500);

/// Silence after which a replica makes no new call. Its calls end before the others take it for dead.
const FENCE: Duration = Duration::from_secs(10);

/// State of a database on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The host that takes writes.
    pub host: String,
    /// The server.
    pub facts: ServerFacts,
    /// Version of the schema; `None`: there is no schema.
    pub schema: Option<i64>,
    /// Version that a start brings it to, if it is older.
    pub due: Option<i64>,
    /// Number of events.
    pub events: i64,
}

/// Versions of the schema before and after a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Version before; `None`: there was no schema.
    pub before: Option<i64>,
    /// Version after.
    pub after: i64,
}

impl Store {
    /// Looks at a database on a server without a change, and fails where a start would.
    pub async fn inspect_server(database: &Database) -> Result<Inspected, OpenError> {
        let (mut server, facts) = connect(database, database.address()?).await?;
        let found = schema(&mut server, database).await?;
        if fit(found) == Fit::Older {
            may_migrate(&mut server, database, found).await?;
        }
        let inspected = Inspected {
            host: server.host().to_owned(),
            facts,
            schema: found.map(|schema| schema.version),
            due: (fit(found) == Fit::Older).then(newest_version),
            events: events(&mut server, database, found).await?,
        };
        close(server, database).await?;
        Ok(inspected)
    }

    /// Brings the schema of a database on a server up to date. Daemons may run on it.
    pub async fn migrate_server(database: &Database) -> Result<Migrated, OpenError> {
        let (mut server, _) = connect(database, database.direct_address()?).await?;
        let before = schema(&mut server, database).await?;
        if fit(before) == Fit::Older {
            migrate(&mut server, database).await?;
        }
        let after = schema(&mut server, database).await?;
        close(server, database).await?;
        Ok(Migrated {
            before: before.map(|schema| schema.version),
            after: after.map(|schema| schema.version).unwrap_or_default(),
        })
    }
}

/// Opens the database, and brings its schema up to date as far as the settings allow.
pub(crate) async fn open(
    database: &Database,
    now: Timestamp,
) -> Result<(Store, Writer), OpenError> {
    let address = database.address()?;
    let call_limit = database.dead_after.saturating_sub(FENCE);
    let replica = Replica::new(database.dead_after, call_limit);
    let (mut server, facts) = connect_as(database, address.clone(), replica.id()).await?;
    for warning in facts.warnings() {
        tracing::warn!(warning, "the database should be looked at");
    }
    let found = schema(&mut server, database).await?;
    if fit(found) == Fit::Older {
        may_migrate(&mut server, database, found).await?;
        let (mut direct, _) = connect(database, database.direct_address()?).await?;
        migrate(&mut direct, database).await?;
        close(direct, database).await?;
    }
    let direct = database.direct_address()?;
    let readers = Readers::connect(&address, direct, READERS, READ_PATIENCE);
    let readers = readers.map_err(failed(database))?;
    let conn = Conn::Postgres(Box::new(server));
    let begun = Store::begin(conn, readers, None, Some(replica), now).await;
    begun.map_err(failed(database))
}

/// Checks that a start can rename these sources.
pub(crate) async fn inspect_renames(
    database: &Database,
    renames: &[Rename],
) -> Result<(), RenameError> {
    if renames.is_empty() {
        return Ok(());
    }
    let (mut server, _) = connect(database, database.address()?).await?;
    if schema(&mut server, database).await?.is_some() {
        for rename in renames {
            rename.is_due(Via::Postgres(server.connection())).await?;
        }
    }
    Ok(close(server, database).await?)
}

/// Connects for no replica.
async fn connect(
    database: &Database,
    address: Address,
) -> Result<(Server, ServerFacts), OpenError> {
    connect_as(database, address, "").await
}

/// Connects, and refuses a server that is not safe.
async fn connect_as(
    database: &Database,
    address: Address,
    replica: &str,
) -> Result<(Server, ServerFacts), OpenError> {
    let connected = Server::connect(address, replica).await;
    let mut server = connected.map_err(failed(database))?;
    let facts = ServerFacts::read(&mut server).await;
    let facts = facts.map_err(failed(database))?;
    match facts.refusal() {
        Some(problem) => Err(unfit(database, problem)),
        None => Ok((server, facts)),
    }
}

/// Reads the schema, and refuses that of a later version that shuts this one out.
async fn schema(server: &mut Server, database: &Database) -> Result<Option<Schema>, OpenError> {
    let schema = Schema::read(server.connection()).await;
    let schema = schema.map_err(failed(database))?;
    refuse_newer(schema, &database.shown())?;
    Ok(schema)
}

/// Fails if the settings or the rights of the user are against a migration that is due.
async fn may_migrate(
    server: &mut Server,
    database: &Database,
    found: Option<Schema>,
) -> Result<(), OpenError> {
    const MAY_CREATE: &str = "\
        -- store::server_open::may_create
        SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE)";
    if !database.migrate {
        let newest = newest_version();
        let found = found.map_or_else(
            || "there is no schema in it".to_owned(),
            |schema| format!("its schema has version {}", schema.version),
        );
        return Err(unfit(
            database,
            format!(
                "{found}, this program needs version {newest}, and database.migrate is false: run `serval-connect migrate`"
            ),
        ));
    }
    // The migrations may have a user of their own.
    if database.direct_url.is_some() {
        return Ok(());
    }
    let may = sql::fetch_one(Via::Postgres(server.connection()), MAY_CREATE, args![]).await;
    if may.map_err(failed(database))? {
        return Ok(());
    }
    let problem = "the user of database.url may not create the tables: make it the owner of the database, or GRANT \
                   CREATE ON SCHEMA public to it";
    Err(unfit(database, problem.to_owned()))
}

async fn migrate(server: &mut Server, database: &Database) -> Result<(), OpenError> {
    let migrated = schema::migrate(server.connection()).await;
    migrated.map_err(|error| OpenError::migration(database.shown())(error))
}

async fn events(
    server: &mut Server,
    database: &Database,
    found: Option<Schema>,
) -> Result<i64, OpenError> {
    const EVENTS: &str = "\
        -- store::server_open::events
        SELECT COALESCE(CAST(SUM(n) AS BIGINT), 0) FROM counts";
    if found.is_none() {
        return Ok(0);
    }
    let events = sql::fetch_one(Via::Postgres(server.connection()), EVENTS, args![]).await;
    events.map_err(failed(database))
}

async fn close(server: Server, database: &Database) -> Result<(), OpenError> {
    server.close().await.map_err(failed(database))
}

fn unfit(database: &Database, problem: String) -> OpenError {
    OpenError::Unfit {
        path: database.shown(),
        problem,
    }
}

fn failed(database: &Database) -> impl Fn(StoreError) -> OpenError + use<> {
    let path = database.shown();
    move |error| OpenError::Database {
        path: path.clone(),
        problem: error.problem(),
    }
}
