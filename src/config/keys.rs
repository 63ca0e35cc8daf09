//! The table of keys: name, shape of the value, and if a change takes a restart.
//!
//! A new key is one line here, one field in its struct and one line in `config/default.toml`;
//! tests compare the three. A reload does not change a key that is [`fixed`]. The keys of sources are
//! in [`crate::sources`], and are never fixed.

use std::time::Duration;

use crate::edge::shapes::{Key, Shape};

const fn key(name: &'static str, shape: Shape) -> Key {
    Key::new(name, shape)
}

/// A key whose change takes a restart.
const fn fixed(name: &'static str, shape: Shape) -> Key {
    Key {
        is_fixed: true,
        ..key(name, shape)
    }
}

const fn duration(min: Duration, max: Duration) -> Shape {
    Shape::Duration { min, max }
}

const fn count(min: i64, max: i64) -> Shape {
    Shape::Count { min, max }
}

const ZERO: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

const MEMORY: Shape = Shape::Size {
    min: 1 << 20,
    max: 16 << 30,
};
const BODY_LIMIT: Shape = Shape::Size {
    min: 1 << 10,
    max: 64 << 20,
};

const CONNECTIONS: Shape = count(8, 1_000_000);
const REQUESTS: Shape = count(1, 1_000_000);

/// The sections in the order in which they are shown, without `[sources.<name>]`.
pub(super) const SECTIONS: &[(&str, &[Key])] = &[
    (
        "server",
        &[
            fixed("listen", Shape::Address),
            key("tls_cert_file", Shape::File),
            key("tls_key_file", Shape::File),
            key("body_limit", BODY_LIMIT),
            fixed("memory_for_bodies", MEMORY),
            fixed("read_timeout", duration(MILLISECOND, HOUR)),
            fixed("keep_alive", duration(MILLISECOND, HOUR)),
            fixed("connection_limit", CONNECTIONS),
            fixed("request_limit", REQUESTS),
            fixed("shutdown_timeout", duration(MILLISECOND, HOUR)),
        ],
    ),
    (
        "admin",
        &[
            fixed("listen", Shape::Address),
            key("tls_cert_file", Shape::File),
            key("tls_key_file", Shape::File),
            key("tokens", Shape::Secrets),
            key("mapping_tokens", Shape::Secrets),
            key("read_only_tokens", Shape::Secrets),
            key("show_payloads", Shape::Switch),
            fixed("connection_limit", CONNECTIONS),
            fixed("request_limit", REQUESTS),
        ],
    ),
    (
        "database",
        &[
            fixed("url", Shape::DatabaseUrl),
            fixed("password_file", Shape::File),
            fixed("direct_url", Shape::DatabaseUrl),
            fixed("migrate", Shape::Switch),
            fixed("replica_dead_after", duration(SECOND, HOUR)),
        ],
    ),
    (
        "serval",
        &[
            key("base_url", Shape::Text),
            key("client_id", Shape::Text),
            key("client_secret", Shape::Secret),
            key("bearer_token", Shape::Secret),
            key("connect_timeout", duration(MILLISECOND, HOUR)),
            key("timeout", duration(MILLISECOND, HOUR)),
        ],
    ),
    (
        "delivery",
        &[
            key("concurrency", count(1, 256)),
            key("rate", count(0, 1_000_000)),
            key("give_up_after", duration(SECOND, YEAR)),
            key("breaker_threshold", count(0, 1_000_000)),
        ],
    ),
    (
        "retention",
        &[
            key("payloads", duration(ZERO, CENTURY)),
            key("events", duration(ZERO, CENTURY)),
        ],
    ),
    (
        "log",
        &[
            key("level", Shape::Text),
            fixed("format", Shape::OneOf(&["text", "json"])),
        ],
    ),
    (
        "telemetry",
        &[
            fixed("otlp_endpoint", Shape::Text),
            fixed("otlp_headers", Shape::Secrets),
            fixed("service_name", Shape::Text),
        ],
    ),
];

/// The paths of all keys whose change takes a restart.
pub(super) fn fixed_paths() -> impl Iterator<Item = String> {
    SECTIONS.iter().flat_map(|(section, keys)| {
        let fixed = keys.iter().filter(|key| key.is_fixed);
        fixed.map(move |key| format!("{section}.{}", key.name))
    })
}

/// A section by name, with its static name.
pub(super) fn section(name: &str) -> Option<(&'static str, &'static [Key])> {
    SECTIONS
        .iter()
        .find(|(section, _)| *section == name)
        .copied()
}

/// A key as the user wrote it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// The value itself.
    Inline(Key),
    /// The path of a file that holds the value: the name ends in `_file`.
    InFile(Key),
}

/// Finds `name` among `keys`: the exact name, or the name of a secret with `_file` after it.
pub(super) fn find(keys: &[Key], name: &str) -> Option<Found> {
    let named = |name: &str| keys.iter().find(|key| key.name == name).copied();
    named(name).map(Found::Inline).or_else(|| {
        name.strip_suffix("_file")
            .and_then(named)
            .filter(|key| key.shape.is_secret())
            .map(Found::InFile)
    })
}

/// Dotted paths of `keys` below `prefix`, with those that end in `_file`.
pub(super) fn spellings(prefix: &str, keys: &[Key]) -> Vec<String> {
    let mut all = Vec::new();
    for key in keys {
        all.push(format!("{prefix}.{}", key.name));
        if key.shape.is_secret() {
            all.push(format!("{prefix}.{}_file", key.name));
        }
    }
    all
}

/// Dotted paths of all keys of all sections.
pub(super) fn section_spellings() -> Vec<String> {
    SECTIONS
        .iter()
        .flat_map(|(section, keys)| spellings(section, keys))
        .collect()
}

/// The candidate most similar to `written`. The same key in another section is more similar than a
/// spelling that differs in two letters.
pub(super) fn nearest(written: &str, candidates: Vec<String>) -> String {
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
    candidates
        .into_iter()
        .min_by_key(|candidate| {
            if last(candidate) == last(written) {
                1
            } else {
                strsim::damerau_levenshtein(candidate, written)
            }
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (written, expected) in [
            ("delivery.concurency", "delivery.concurrency"),
            ("serval.client_secert", "serval.client_secret"),
            ("serval.client_secret_flie", "serval.client_secret_file"),
            ("server.tokens", "admin.tokens"),
            ("rate", "delivery.rate"),
        ] {
            assert_eq!(nearest(written, section_spellings()), expected);
        }
    }

    #[test]
    fn only_secrets_have_a_file_twin() {
        let (_, serval) = section("serval").unwrap();
        assert!(matches!(
            find(serval, "client_secret_file"),
            Some(Found::InFile(key)) if key.name == "client_secret"
        ));
        assert!(find(serval, "base_url_file").is_none());
        assert!(find(serval, "client").is_none());
    }
}
