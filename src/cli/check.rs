//! `check`: checks the configuration and the database, and on request the account at Serval.

use std::io::ErrorKind;
use std::net::TcpListener;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::backend;
use super::file::refuse_to_leave_behind;
use super::running::{self, findings::Findings};
use crate::config::{self, Config, ConfigError, Environment, Loaded};
use crate::edge::clock::{Clock as _, SystemClock};
use crate::process::{certificate_warnings, database, renames};
use crate::store::{Database, DatabaseLock, Depth, Inspected, OpenError, Store, saved_copy};
use crate::terminal::{Failure, Form, Global, Outcome, output};
use crate::web::listener::cannot_listen;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also asks Serval whether it accepts the credentials and knows the integration ids, and looks at the daemon that
    /// runs: as a sender, by its own account, and at its disk
    #[arg(long)]
    online: bool,
    /// Has SQLite check the whole database with its indexes; takes minutes if it is large
    #[arg(long)]
    integrity: bool,
    /// With --online: the URL that senders use, such as <https://connect.example.com>, to be looked at from outside
    #[arg(long, requires = "online")]
    url: Option<Url>,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    if args.form.json {
        output::divert_lines();
    }
    let is_json = args.form.json;
    let mut findings = Findings::default();
    let outcome = look(global, args, &mut findings).await;
    if is_json {
        output::json(&findings.view(outcome.is_ok()));
    }
    outcome
}

async fn look(global: &Global, args: Args, findings: &mut Findings) -> Outcome {
    let loaded = Config::load(&global.files(), &Environment::from_process());
    let ready = check_configuration(&loaded);
    if ready.is_ok() {
        findings.keep("configuration", &ready);
    } else {
        // The lines that were shown are the report; a program gets the faults alone.
        let faults = match &loaded {
            Ok(loaded) => loaded.validate_for_serve().err(),
            Err(faults) => Some(faults.clone()),
        };
        let faults = faults.map(Failure::from);
        findings.keep("configuration", &faults.map_or(Ok(()), Err));
    }
    ready?;
    // A report that is ready was made from a configuration that loaded.
    let Ok(loaded) = loaded else { return Ok(()) };
    let config = &loaded.config;
    let kept = refuse_to_leave_behind(&loaded, &database(config));
    let checked = match kept {
        Ok(()) => check_database(config, args.integrity).await,
        refused => refused,
    };
    findings.keep("database", &checked);
    checked?;
    let ports = check_ports(config).await;
    findings.keep("ports", &ports);
    ports?;
    // The network comes last: it is slow, and needs an account.
    if !args.online {
        return Ok(());
    }
    for line in super::events::heard(config).await {
        output::line(line);
    }
    let serval = super::discover::check_online(config).await;
    findings.keep("serval", &serval);
    running::look(config, args.url, findings).await?;
    // The failure at Serval is the better message, since others may follow from it.
    serval?;
    findings.verdict()
}

/// Shows the effective configuration, with warnings and faults.
fn check_configuration(loaded: &Result<Loaded, ConfigError>) -> Outcome {
    let report = config::report(loaded);
    output::line(report.text.trim_end());
    if !report.ready {
        return Err(Failure::Usage(
            "the configuration is not ready for `serve`".to_owned(),
        ));
    }
    let Ok(loaded) = loaded else { return Ok(()) };
    for warning in certificate_warnings(&loaded.config, SystemClock.now()) {
        output::line(format!("warning: {warning}"));
    }
    for (name, source) in &loaded.config.sources {
        if let Some((key, why)) = source.advice() {
            output::line(format!("advice: sources.{name}.{key}: {why}"));
        }
    }
    Ok(())
}

/// Checks that `serve` could listen. If a daemon has the database, the ports may be its own.
async fn check_ports(config: &Config) -> Outcome {
    let listens = [
        ("server.listen", config.server.listen),
        ("admin.listen", config.admin.listen),
    ];
    for (key, address) in listens {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_running(config).await => {
                output::line(format!("{key}: {address} is taken, and a daemon runs"));
            }
            Err(error) => {
                return Err(Failure::failed(cannot_listen(key, address, &error)));
            }
        }
    }
    Ok(())
}

/// True if a daemon has the database. One on a server tells nothing about that, so the daemon is asked.
async fn is_running(config: &Config) -> bool {
    let database = database(config);
    if database.is_on_server() {
        return backend::answers(config).await;
    }
    // To take the lock would make the file, and its folder.
    let exists = database.file().is_ok_and(|path| path.exists());
    let url = database.url.expose_secret();
    exists && matches!(DatabaseLock::acquire(url), Err(OpenError::Locked { .. }))
}

async fn check_database(config: &Config, integrity: bool) -> Outcome {
    let database = database(config);
    let checked = if database.is_on_server() {
        check_server(&database, integrity).await
    } else {
        check_file(&database, integrity).await
    };
    checked.map_err(|error| {
        if let OpenError::Url { .. } = error {
            return Failure::Usage(error.to_string());
        }
        Failure::Failed(error.into())
    })?;
    let renamed = Store::inspect_renames(&database, &renames(config)?).await;
    renamed.map_err(|error| Failure::Failed(error.into()))
}

async fn check_file(database: &Database, integrity: bool) -> Result<(), OpenError> {
    let url = database.url.expose_secret();
    // Reading every page of a large database takes minutes, so it is done on request only.
    let depth = if integrity {
        Depth::Whole
    } else {
        Depth::Quick
    };
    if let Some(events) = Store::inspect(url, depth).await? {
        output::line(format!("database: {url} is sound, with {events} events"));
        return Ok(());
    }
    output::line(format!(
        "database: {url} does not exist yet; `serve` creates it"
    ));
    if let Some(saved) = database.file().ok().and_then(|path| saved_copy(&path)) {
        let saved = saved.display();
        output::line(format!(
            "warning: {saved} is the saved copy of a database that was lost: `serval-connect restore {saved}` \
             before `serve` goes on with it"
        ));
    }
    Ok(())
}

async fn check_server(database: &Database, integrity: bool) -> Result<(), OpenError> {
    let inspected = Store::inspect_server(database).await?;
    let Inspected {
        host,
        facts,
        schema,
        due,
        events,
    } = &inspected;
    let state = match (schema, due) {
        (None, _) => "no schema yet; `serve` creates it".to_owned(),
        (Some(schema), None) => format!("schema version {schema}, {events} events"),
        (Some(schema), Some(due)) => {
            format!(
                "schema version {schema}, {events} events; `serve` brings the schema to version {due}"
            )
        }
    };
    let (shown, version) = (database.shown(), &facts.version);
    output::line(format!(
        "database: {shown} is usable: PostgreSQL {version} at {host}, {state}"
    ));
    for warning in facts.warnings() {
        output::line(format!("warning: {warning}"));
    }
    if integrity {
        output::line(
            "database: the files of a server are checked by pg_amcheck, a program of Postgres, and not here",
        );
    }
    Ok(())
}
