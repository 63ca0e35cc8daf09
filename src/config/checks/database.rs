//! The checks of `[database]`: which keys suit which database, and how long a replica must be given.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::super::layers::Origin;
use super::super::merge::{Merged, Setting};
use super::super::settings::Config;
use crate::edge::server_url::{ServerUrl, names_a_server};
use crate::edge::units;

/// Keys that are about a database on a server.
const OF_SERVERS: [&str; 4] = [
    "password_file",
    "direct_url",
    "migrate",
    "replica_dead_after",
];
const DEAD_AFTER: &str = "database.replica_dead_after";
/// Usual time after which a replica counts as dead.
const USUAL_DEAD_AFTER: Duration = Duration::from_secs(45);
/// Time after which a replica that does not reach the database makes no new call.
const FENCE: Duration = Duration::from_secs(10);

/// Sets the time after which a replica counts as dead, where nobody wrote it. A reload keeps it as it was at the start.
pub(crate) fn complete(merged: &mut Merged) {
    let text = |merged: &Merged, path: &str| {
        let value = merged.settings.get(path)?.value.as_str()?;
        Some(value.to_owned())
    };
    let is_on_server = text(merged, "database.url").is_some_and(|url| names_a_server(&url));
    if is_on_server && !merged.settings.contains_key(DEAD_AFTER) {
        let timeout = text(merged, "serval.timeout");
        let timeout = timeout.and_then(|timeout| units::parse_duration(&timeout));
        let least = shortest(timeout.unwrap_or_default());
        merged.set_default(DEAD_AFTER, least.max(USUAL_DEAD_AFTER));
    }
}

/// The shortest time after which a replica may count as dead: until then the request that it had begun has ended.
/// Before each request that connects or disconnects, a replica looks whether it may make it.
fn shortest(timeout: Duration) -> Duration {
    FENCE + timeout
}

/// The keys that cannot be as they are, each with the reason.
pub(super) fn faults(
    config: &Config,
    settings: &BTreeMap<String, Setting>,
) -> Vec<(&'static str, String)> {
    let database = &config.database;
    let url = database.url.expose_secret();
    let is_set = |key: &&str| {
        let setting = settings.get(&format!("database.{key}"));
        setting.is_some_and(|setting| setting.origin != Origin::Default)
    };
    if !names_a_server(url) {
        let mut faults = Vec::new();
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(':') {
                let what = "it names no file: expected one such as sqlite://data/serval-connect.db";
                faults.push(("url", what.to_owned()));
            }
            let what = "is for a database on a Postgres server, and database.url names a file: leave it out";
            let keys = OF_SERVERS.into_iter().filter(is_set);
            faults.extend(keys.map(|key| (key, what.to_owned())));
        } else {
            let what = "expected a SQLite database, such as sqlite://data/serval-connect.db, or one on a Postgres \
                        server, such as postgres://user@host:5432/database";
            faults.push(("url", what.to_owned()));
        }
        return faults;
    }
    let urls = [
        ("url", Some(&database.url)),
        ("direct_url", database.direct_url.as_ref()),
    ];
    let urls = urls.into_iter().filter_map(|(key, url)| Some((key, url?)));
    let mut faults: Vec<_> = urls
        .filter_map(|(key, url)| Some((key, url_fault(url, database.password_file.is_some())?)))
        .collect();
    let least = shortest(config.serval.timeout);
    if database
        .replica_dead_after
        .is_some_and(|after| after < least)
    {
        let what = format!(
            "expected at least {}: a request to Serval takes up to serval.timeout, and a replica that lost the \
             database makes no new one after {}; a change takes a restart",
            units::shown_duration(least),
            units::shown_duration(FENCE)
        );
        faults.push(("replica_dead_after", what));
    }
    faults
}

fn url_fault(url: &SecretString, has_password_file: bool) -> Option<String> {
    match ServerUrl::parse(url.expose_secret()) {
        Err(what) => Some(what),
        Ok(url) if has_password_file && url.has_password() => Some(
            "it has a password, and database.password_file is set: keep one of them".to_owned(),
        ),
        Ok(_) => None,
    }
}
