//! Checks beyond the shape of one value: those for every command, and those for `serve` only.

pub(super) mod database;
pub(super) mod placeholders;
mod secrets;

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

use self::placeholders::is_placeholder;
use super::layers::Problems;
use super::loaded::{ConfigError, Loaded};
use super::merge::{Merged, Setting};
use super::settings::{AdminConfig, Config};
use crate::domain::ids::SourceName;
use crate::domain::token;
use crate::edge::{outbound, telemetry, tls};
use crate::sources::SourceConfig;

/// Tokens of fewer characters can be guessed.
const SHORT_TOKEN: usize = 16;

/// The shortest retention of events.
const MIN_RETENTION: Duration = Duration::from_hours(24);

/// Checks single values beyond their shape, and normalises URLs.
pub(super) fn values(
    config: &mut Config,
    settings: &BTreeMap<String, Setting>,
    problems: &mut Problems,
) {
    // The origin tells the file and line to mend. Defaults are right by themselves.
    let mut refuse = |path: &str, what: &str| match settings.get(path) {
        Some(setting) => problems.at(&setting.origin, format!("{path}: {what}")),
        None => problems.at(path, what),
    };
    match base_url(&config.serval.base_url) {
        Ok(url) => config.serval.base_url = url,
        Err(what) => refuse("serval.base_url", what),
    }
    for (key, what) in database::faults(config, settings) {
        refuse(&format!("database.{key}"), &what);
    }
    // Unlike `base_url`, it is kept as it was written: the exporter adds its path itself.
    let endpoint = config.telemetry.otlp_endpoint.as_deref();
    match endpoint.map(base_url) {
        Some(Err(what)) => refuse("telemetry.otlp_endpoint", what),
        Some(Ok(_)) if !cfg!(feature = "otel") => {
            refuse("telemetry.otlp_endpoint", telemetry::NOT_BUILT);
        }
        Some(Ok(_)) | None => {}
    }
    for (key, tokens) in token_lists(&config.admin) {
        let mut splits = tokens
            .iter()
            .map(|entry| token::split(entry.expose_secret()));
        if let Some(Err(what)) = splits.find(Result::is_err) {
            refuse(&format!("admin.{key}"), &what.to_string());
        }
    }
    for (name, what) in renames(&config.sources) {
        refuse(&format!("sources.{name}.renamed_from"), &what);
    }
    if let Err(what) = retention(config) {
        refuse("retention.events", &what);
    }
    if !is_filter(&config.log.level, &config.log.directives()) {
        let what = "expected off, error, warn, info, debug or trace, or a filter such as \
                    serval_connect=debug,info";
        refuse("log.level", what);
    }
}

/// The lists of operator tokens, the one with the most rights first.
fn token_lists(admin: &AdminConfig) -> [(&'static str, &[SecretString]); 3] {
    [
        ("tokens", &admin.tokens),
        ("mapping_tokens", &admin.mapping_tokens),
        ("read_only_tokens", &admin.read_only_tokens),
    ]
}

/// The sources whose `renamed_from` cannot be, each with the reason.
fn renames(sources: &BTreeMap<SourceName, SourceConfig>) -> Vec<(&SourceName, String)> {
    let mut taken = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, source) in sources {
        let Some(old) = &source.policy.renamed_from else {
            continue;
        };
        match old.parse::<SourceName>() {
            Err(error) => faults.push((name, error.to_string())),
            Ok(old) if sources.contains_key(&old) => {
                let what = format!("[sources.{old}] is still there: a renamed source has one name");
                faults.push((name, what));
            }
            Ok(old) => {
                // Two sources cannot take over the events of one.
                if let Some(other) = taken.insert(old, name) {
                    faults.push((name, format!("sources.{other} has the same one")));
                }
            }
        }
    }
    faults
}

/// Checks that events are kept longer than a signature is valid. A stored event is what detects a
/// repeated delivery: if it were deleted earlier, a captured webhook could be sent again.
fn retention(config: &Config) -> Result<(), String> {
    let events = config.retention.events;
    // Zero means without end, which is longer than everything below.
    if events.is_zero() {
        return Ok(());
    }
    if events < MIN_RETENTION {
        return Err("expected 0s (no limit) or at least 1d".to_owned());
    }
    for (name, source) in &config.sources {
        let policy = &source.policy;
        if events <= policy.tolerance_past + policy.tolerance_future {
            return Err(format!(
                "expected more than tolerance_past and tolerance_future of sources.{name} \
                 together: a delivery must be remembered for as long as its signature is good"
            ));
        }
    }
    Ok(())
}

/// The URL without its trailing slash.
fn base_url(text: &str) -> Result<String, &'static str> {
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http"))
        .ok_or("expected a URL that begins with https:// or http://")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without user and password: those have keys of their own");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a URL without query and fragment");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Is it a filter of the log? The parser of `EnvFilter` reads any word as the name of a module, so
/// that it would accept `inof`.
fn is_filter(level: &str, directives: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |text: &str| LEVELS.contains(&text.trim().to_ascii_lowercase().as_str());
    let words_are_levels = level.contains('[')
        || level
            .split(',')
            .all(|part| part.contains('=') || is_level(part));
    words_are_levels && EnvFilter::builder().parse(directives).is_ok()
}

/// Warns of values that are allowed but are probably a mistake.
pub(super) fn warn(config: &Config, merged: &Merged, warnings: &mut Vec<String>) {
    let lists = token_lists(&config.admin);
    for (key, tokens) in lists {
        let is_weak = |token: &str| token.chars().count() < SHORT_TOKEN;
        if tokens.iter().any(|entry| is_weak(bare(entry))) {
            warnings.push(format!(
                "admin.{key}: a token is shorter than {SHORT_TOKEN} characters; make one with: openssl rand -hex 32"
            ));
        }
    }
    for (place, (key, tokens)) in lists.into_iter().enumerate() {
        let powers = ["may do all", "may write mappings"];
        for ((wider, others), powers) in lists[..place].iter().zip(powers) {
            let is_there = |entry: &SecretString| others.iter().any(|o| bare(o) == bare(entry));
            if tokens.iter().any(is_there) {
                warnings.push(format!(
                    "admin.{key}: a token is in admin.{wider}, too, so it {powers}"
                ));
            }
        }
    }
    secrets::warn(merged, is_placeholder, warnings);
    let url = &config.serval.base_url;
    if url.starts_with("http:") && !outbound::is_local(url) {
        warnings.push("serval.base_url: http sends the credentials in clear text".to_owned());
    }
}

/// The token without the name of its operator.
fn bare(entry: &SecretString) -> &str {
    let entry = entry.expose_secret();
    token::split(entry).map_or(entry, |split| split.token)
}

impl Loaded {
    /// Refuses a configuration that `serve` cannot run with: no credentials, no source, an admin
    /// listener without a token, a published secret.
    pub fn validate_for_serve(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        let mut problems = Vec::from_iter(self.credentials());
        problems.extend(placeholders::problems(
            &self.merged,
            &config.serval.base_url,
        ));
        let (server, admin) = (&config.server, &config.admin);
        let has_token = token_lists(admin).iter().any(|(_, list)| !list.is_empty());
        let faults = [
            (
                !has_token && !admin.listen.ip().is_loopback(),
                "admin.listen is not a loopback address and admin.tokens is empty: set \
                 admin.tokens, or listen on 127.0.0.1",
            ),
            // With port 0 the system chooses, and it never chooses the same port twice.
            (
                server.listen == admin.listen && server.listen.port() != 0,
                "server.listen and admin.listen are the same address: the first faces the \
                 internet, the second must not; give them different ports",
            ),
            (
                server.memory_for_bodies < server.body_limit,
                "server.memory_for_bodies is smaller than server.body_limit: a body of the allowed \
                 length would never fit",
            ),
        ];
        let found = faults.into_iter().filter(|(is_fault, _)| *is_fault);
        problems.extend(found.map(|(_, what)| what.to_owned()));
        if config.sources.is_empty() {
            let kinds = config.kinds.iter();
            let tables: Vec<_> = kinds
                .map(|kind| format!("[sources.{}]", kind.name()))
                .collect();
            let tables = tables.join(" or ");
            problems.push(format!("no source is configured: add {tables}; `serval-connect init` writes a file with them"));
        }
        for (section, cert, key) in [
            ("server", &server.tls_cert_file, &server.tls_key_file),
            ("admin", &admin.tls_cert_file, &admin.tls_key_file),
        ] {
            let identity = tls::identity(section, cert.as_deref(), key.as_deref());
            problems.extend(identity.err().map(|error| error.to_string()));
        }
        let built = config
            .sources
            .iter()
            .map(|(name, source)| source.build(name));
        problems.extend(built.filter_map(|built| built.err().map(|error| error.to_string())));
        Problems(problems).none()
    }

    fn credentials(&self) -> Option<String> {
        let serval = &self.config.serval;
        let named = |key: &str| {
            let path = format!("serval.{key}");
            match self.origin(&path) {
                Some(origin) => format!("{path} ({origin})"),
                None => path,
            }
        };
        let (id, secret) = (serval.client_id.is_some(), serval.client_secret.is_some());
        // Which of the two is set matters only where one of them is missing.
        let (set, missing, variable) = if id {
            ("client_id", "client_secret", "SERVAL_CLIENT_SECRET")
        } else {
            ("client_secret", "client_id", "SERVAL_CLIENT_ID")
        };
        match (id || secret, id && secret, serval.bearer_token.is_some()) {
            (_, true, false) | (false, _, true) => None,
            (false, _, false) => Some(
                "no credentials for Serval: set serval.client_id and serval.client_secret \
                 (SERVAL_CLIENT_ID, SERVAL_CLIENT_SECRET), or serval.bearer_token \
                 (SERVAL_BEARER_TOKEN)"
                    .to_owned(),
            ),
            (true, false, false) => Some(format!(
                "{} is set without serval.{missing}: set that too ({variable})",
                named(set)
            )),
            (true, _, true) => Some(format!(
                "{} and {} are both set: Serval takes client credentials or a bearer token, keep \
                 one of them",
                named(set),
                named("bearer_token")
            )),
        }
    }
}
