//! Checks that span keys: those of every command, and those that only `serve` asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::layers::Problems;
use super::load::{ConfigError, Loaded};
use super::merge::Setting;
use super::{AdminConfig, Config, ServalConfig};
use crate::domain::token;
use crate::sources::{self, SourceConfig};
use crate::tls;

/// Tokens of fewer characters can be guessed.
const SHORT_TOKEN: usize = 16;

/// The shortest retention of events.
const MIN_RETENTION: Duration = Duration::from_hours(24);

/// What placeholders look like; the last is the Base64 of `replace-me`, as in `whsec_…`.
const PLACEHOLDERS: [&str; 3] = ["change-me", "replace-me", "cmVwbGFjZS1t"];

/// Checks single values beyond their shape, and brings them into their one form.
pub(super) fn values(
    config: &mut Config,
    settings: &BTreeMap<String, Setting>,
    problems: &mut Problems,
) {
    let mut refuse = |path: &str, what: &str| match settings.get(path) {
        Some(setting) => problems.at(&setting.origin, format!("{path}: {what}")),
        None => problems.at(path, what),
    };
    match base_url(&config.serval.base_url) {
        Ok(url) => config.serval.base_url = url,
        Err(what) => refuse("serval.base_url", what),
    }
    if !config.database.url.starts_with("sqlite:") {
        refuse(
            "database.url",
            "expected a SQLite database, such as sqlite://data/serval-connect.db",
        );
    }
    if let Some(endpoint) = &config.telemetry.otlp_endpoint
        && let Err(what) = base_url(endpoint)
    {
        refuse("telemetry.otlp_endpoint", what);
    }
    for (key, tokens) in token_lists(&config.admin) {
        let entries = tokens.iter();
        if let Some(Err(what)) = entries
            .map(|entry| token::split(entry.expose_secret()))
            .find(Result::is_err)
        {
            refuse(&format!("admin.{key}"), &what.to_string());
        }
    }
    if config.telemetry.otlp_metrics && config.telemetry.otlp_endpoint.is_none() {
        refuse(
            "telemetry.otlp_metrics",
            "telemetry.otlp_endpoint is not set, so nobody gets the metrics; set it, too",
        );
    }
    if let Err(what) = retention(config) {
        refuse("retention.events", &what);
    }
    if !is_filter(&config.log.level, &config.log.directives()) {
        refuse(
            "log.level",
            "expected off, error, warn, info, debug or trace, or a filter such as \
             serval_connect=debug,info",
        );
    }
}

/// The lists of tokens for operators, those that may do most first.
fn token_lists(admin: &AdminConfig) -> [(&'static str, &[SecretString]); 3] {
    [
        ("tokens", &admin.tokens),
        ("mapping_tokens", &admin.mapping_tokens),
        ("read_only_tokens", &admin.read_only_tokens),
    ]
}

/// An event is the memory of its delivery: gone too early, a captured webhook could be replayed.
fn retention(config: &Config) -> Result<(), String> {
    let events = config.retention.events;
    if events.is_zero() {
        return Ok(());
    }
    if events < MIN_RETENTION {
        return Err("expected 0s (for ever) or at least 1d".to_owned());
    }
    for (name, source) in &config.sources {
        let (past, future) = match source {
            SourceConfig::ServiceNow(source) => (source.tolerance_past, source.tolerance_future),
            SourceConfig::Slack(source) => (source.tolerance_past, source.tolerance_future),
        };
        if events <= past + future {
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
        .map_err(|_| "expected a URL that begins with https:// or http://")?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("expected a URL that begins with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without user and password: those have keys of their own");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a URL without query and fragment");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The filter's own parser takes any word for the name of a module, so `inof` would pass there.
fn is_filter(level: &str, directives: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |text: &str| LEVELS.contains(&text.trim().to_ascii_lowercase().as_str());
    let words_are_levels = level.contains('[')
        || level
            .split(',')
            .all(|part| part.contains('=') || is_level(part));
    words_are_levels && EnvFilter::builder().parse(directives).is_ok()
}

/// Finds what is allowed but should be looked at.
pub(super) fn warn(config: &Config, warnings: &mut Vec<String>) {
    let lists = token_lists(&config.admin);
    for (key, tokens) in lists {
        if tokens.iter().any(|entry| is_weak(bare(entry))) {
            warnings.push(format!(
                "admin.{key}: a token is shorter than {SHORT_TOKEN} characters or a placeholder; \
                 make one with: openssl rand -hex 32"
            ));
        }
    }
    for (place, (key, tokens)) in lists.into_iter().enumerate() {
        for (wider, others) in &lists[..place] {
            let is_there = |entry: &SecretString| others.iter().any(|o| bare(o) == bare(entry));
            if tokens.iter().any(is_there) {
                let powers = if *wider == "tokens" {
                    "may do all"
                } else {
                    "may write mappings"
                };
                warnings.push(format!(
                    "admin.{key}: a token is in admin.{wider}, too, so it {powers}"
                ));
            }
        }
    }
    let serval = &config.serval;
    if serval.client_id.as_deref().is_some_and(is_placeholder) {
        warnings.push("serval.client_id is a placeholder".to_owned());
    }
    for (path, secret) in [
        ("serval.client_secret", &serval.client_secret),
        ("serval.bearer_token", &serval.bearer_token),
    ] {
        if secret.as_ref().is_some_and(holds_placeholder) {
            warnings.push(format!("{path} is a placeholder"));
        }
    }
    if is_clear_text(&serval.base_url) {
        warnings.push("serval.base_url: http sends the credentials in clear text".to_owned());
    }
    for (name, source) in &config.sources {
        let keys = placeholders_of(source).into_iter();
        warnings.extend(keys.map(|key| format!("sources.{name}.{key} holds a placeholder")));
    }
}

/// The keys of a source that hold a placeholder.
fn placeholders_of(source: &SourceConfig) -> Vec<&'static str> {
    let any = |secrets: &[SecretString]| secrets.iter().any(holds_placeholder);
    let target = |target: &Option<Value>| {
        target
            .as_ref()
            .is_some_and(|target| is_placeholder(&target.to_string()))
    };
    let keys = match source {
        SourceConfig::ServiceNow(config) => vec![
            ("secrets", any(&config.secrets)),
            ("bearer_tokens", any(&config.bearer_tokens)),
            ("basic_auth", any(&config.basic_auth)),
            ("channel_target", target(&config.channel_target)),
        ],
        SourceConfig::Slack(config) => vec![
            ("signing_secrets", any(&config.signing_secrets)),
            ("channel_target", target(&config.channel_target)),
            (
                "direct_message_target",
                target(&config.direct_message_target),
            ),
        ],
    };
    let holding = keys.into_iter().filter(|(_, holds)| *holds);
    holding.map(|(key, _)| key).collect()
}

/// A token without its name.
fn bare(entry: &SecretString) -> &str {
    let entry = entry.expose_secret();
    token::split(entry).map_or(entry, |split| split.token)
}

fn is_weak(token: &str) -> bool {
    token.chars().count() < SHORT_TOKEN || is_placeholder(token)
}

fn holds_placeholder(secret: &SecretString) -> bool {
    is_placeholder(secret.expose_secret())
}

fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|mark| text.contains(mark))
}

fn is_clear_text(base_url: &str) -> bool {
    reqwest::Url::parse(base_url).is_ok_and(|url| {
        let local = url.host_str().is_some_and(|host| {
            let host = host.trim_matches(['[', ']']);
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        });
        url.scheme() == "http" && !local
    })
}

/// See [`Loaded::validate_for_serve`].
pub(super) fn for_serve(loaded: &Loaded) -> Result<(), ConfigError> {
    let config = &loaded.config;
    let mut problems = Vec::new();
    problems.extend(credentials(&config.serval, loaded));
    let (server, admin) = (config.server.listen, config.admin.listen);
    let has_token = token_lists(&config.admin)
        .iter()
        .any(|(_, tokens)| !tokens.is_empty());
    if !has_token && !admin.ip().is_loopback() {
        problems.push(
            "admin.listen is not a loopback address and admin.tokens is empty: set admin.tokens, \
             or listen on 127.0.0.1"
                .to_owned(),
        );
    }
    // Port 0 lets the system choose, which never chooses the same twice.
    if server == admin && server.port() != 0 {
        problems.push(
            "server.listen and admin.listen are the same address: the first faces the internet, \
             the second must not; give them different ports"
                .to_owned(),
        );
    }
    if config.sources.is_empty() {
        problems.push(
            "no source is configured: add [sources.servicenow] or [sources.slack]".to_owned(),
        );
    }
    let (server, admin) = (&config.server, &config.admin);
    for (section, cert, key) in [
        ("server", &server.tls_cert_file, &server.tls_key_file),
        ("admin", &admin.tls_cert_file, &admin.tls_key_file),
    ] {
        let identity = tls::identity(section, cert.as_deref(), key.as_deref());
        problems.extend(identity.err().map(|error| error.to_string()));
    }
    for (name, source) in &config.sources {
        if let Err(invalid) = sources::build(name, source) {
            problems.push(invalid.to_string());
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::new(&problems))
    }
}

fn credentials(serval: &ServalConfig, loaded: &Loaded) -> Option<String> {
    let origin = |path: &str| {
        let origin = loaded.provenance.get(path);
        origin.map_or_else(|| path.to_owned(), |origin| format!("{path} ({origin})"))
    };
    let id = serval.client_id.is_some();
    let secret = serval.client_secret.is_some();
    match (id, secret, serval.bearer_token.is_some()) {
        (true, true, false) | (false, false, true) => None,
        (false, false, false) => Some(
            "no credentials for Serval: set serval.client_id and serval.client_secret \
             (SERVAL_CLIENT_ID, SERVAL_CLIENT_SECRET), or serval.bearer_token \
             (SERVAL_BEARER_TOKEN)"
                .to_owned(),
        ),
        (true, false, false) => Some(format!(
            "{} is set without serval.client_secret: set that too (SERVAL_CLIENT_SECRET)",
            origin("serval.client_id")
        )),
        (false, true, false) => Some(format!(
            "{} is set without serval.client_id: set that too (SERVAL_CLIENT_ID)",
            origin("serval.client_secret")
        )),
        (_, _, true) => {
            let client = if id { "client_id" } else { "client_secret" };
            Some(format!(
                "{} and {} are both set: Serval takes client credentials or a bearer token, keep \
                 one of them",
                origin(&format!("serval.{client}")),
                origin("serval.bearer_token")
            ))
        }
    }
}
