//! The registry: every key that the configuration knows, and what it holds.
//!
//! A new key is one line here, one field in its struct and one line in `config/default.toml`;
//! tests hold the three against each other. What a running daemon cannot take over at a reload is
//! [`fixed`]; the keys of sources never are.

use std::time::Duration;

use super::shapes::Shape;
use crate::domain::ids::SourceKind;

/// A key of a section or of a source.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name below the section.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) shape: Shape,
    /// For keys of sources: the default, written as in an environment variable; empty for none.
    /// The defaults of sections stand in `config/default.toml`.
    pub(super) default: &'static str,
    /// Whether a change takes a restart.
    pub(super) is_fixed: bool,
}

const fn key(name: &'static str, shape: Shape) -> Key {
    key_or(name, shape, "")
}

const fn key_or(name: &'static str, shape: Shape, default: &'static str) -> Key {
    Key {
        name,
        shape,
        default,
        is_fixed: false,
    }
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
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

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
            key("tls_cert_file", Shape::Text),
            key("tls_key_file", Shape::Text),
            key("body_limit", BODY_LIMIT),
            fixed("read_timeout", duration(MILLISECOND, HOUR)),
            fixed("connection_limit", CONNECTIONS),
            fixed("request_limit", REQUESTS),
            fixed("shutdown_timeout", duration(MILLISECOND, HOUR)),
        ],
    ),
    (
        "admin",
        &[
            fixed("listen", Shape::Address),
            key("tls_cert_file", Shape::Text),
            key("tls_key_file", Shape::Text),
            key("tokens", Shape::Secrets),
            key("mapping_tokens", Shape::Secrets),
            key("read_only_tokens", Shape::Secrets),
            key("show_payloads", Shape::Switch),
            fixed("connection_limit", CONNECTIONS),
            fixed("request_limit", REQUESTS),
        ],
    ),
    ("database", &[fixed("url", Shape::Text)]),
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
            fixed("otlp_metrics", Shape::Switch),
            fixed("otlp_metrics_interval", duration(SECOND, HOUR)),
            fixed("service_name", Shape::Text),
        ],
    ),
];

const KIND: Shape = Shape::OneOf(&["servicenow", "slack"]);

/// The keys of a kind of source: its name, its own keys, and those that every kind has.
macro_rules! source_keys {
    ($kind:literal, park_for: $park_for:literal, $($own:expr,)*) => {
        &[
            key_or("kind", KIND, $kind),
            $($own,)*
            key_or("tolerance_past", duration(SECOND, DAY), "300s"),
            key_or("tolerance_future", duration(ZERO, HOUR), "60s"),
            key("channel_target", Shape::Object),
            key("ticket_url_pattern", Shape::Text),
            key_or("drop_fields", Shape::Texts, "[]"),
            key_or("keep_ignored_bodies", Shape::Switch, "false"),
            key_or("park_for", duration(SECOND, YEAR), $park_for),
            key_or("verify_learned", Shape::Switch, "true"),
            key_or("on_conflict", Shape::OneOf(&["ask", "keep", "replace"]), "ask"),
            key_or("several_per_ticket", Shape::Switch, "false"),
            key_or("check_existing", Shape::Switch, "false"),
            key_or("disconnect_on_remap", Shape::Switch, "false"),
            key_or("reconnect", Shape::OneOf(&["never", "on_change"]), "never"),
            key_or("accounted_for", Shape::OneOf(&["none", "all_existing"]), "none"),
        ]
    };
}

const SERVICENOW: &[Key] = source_keys!(
    "servicenow",
    park_for: "30d",
    key_or("secrets", Shape::Secrets, "[]"),
    key_or("bearer_tokens", Shape::Secrets, "[]"),
    key_or("basic_auth", Shape::Secrets, "[]"),
    key_or("ticket_id_pointers", Shape::Texts, "[]"),
    key_or("shared_pointers", Shape::Texts, "/correlation_id"),
    key_or("correlation_display_names", Shape::Texts, "serval"),
    key_or("ignore_users", Shape::Texts, "[]"),
    key_or("class_aliases", Shape::TextTable, "{}"),
);

const SLACK: &[Key] = source_keys!(
    "slack",
    park_for: "7d",
    key_or("signing_secrets", Shape::Secrets, "[]"),
    key("direct_message_target", Shape::Object),
    key_or("direct_messages", Shape::Switch, "false"),
    key_or("trusted_apps", Shape::Texts, "[]"),
    key_or("trusted_users", Shape::Texts, "[]"),
    key_or("metadata_keys", Shape::Texts, "serval_ticket_id,ticket_id"),
    key_or("own_ids", Shape::Texts, "[]"),
);

/// The kinds of sources.
pub(super) const SOURCE_KINDS: [SourceKind; 2] = [SourceKind::ServiceNow, SourceKind::Slack];

/// The keys of a source of this kind.
pub(super) fn of_source(kind: SourceKind) -> &'static [Key] {
    match kind {
        SourceKind::ServiceNow => SERVICENOW,
        SourceKind::Slack => SLACK,
    }
}

/// The kind that a word names.
pub(super) fn source_kind(word: &str) -> Option<SourceKind> {
    SOURCE_KINDS.into_iter().find(|kind| kind.as_str() == word)
}

/// The paths of all keys whose change takes a restart.
pub(super) fn fixed_paths() -> impl Iterator<Item = String> {
    SECTIONS.iter().flat_map(|(section, keys)| {
        let fixed = keys.iter().filter(|key| key.is_fixed);
        fixed.map(move |key| format!("{section}.{}", key.name))
    })
}

/// A section by name, with the name as the registry spells it.
pub(super) fn section(name: &str) -> Option<(&'static str, &'static [Key])> {
    SECTIONS
        .iter()
        .find(|(section, _)| *section == name)
        .copied()
}

/// How a written key is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// The value itself.
    Inline(&'static Key),
    /// The path of a file that holds the value: the name ends in `_file`.
    InFile(&'static Key),
}

/// Looks `name` up among `keys`, as it stands or with `_file` after a secret's name.
pub(super) fn find(keys: &'static [Key], name: &str) -> Option<Found> {
    let named = |name: &str| keys.iter().find(|key| key.name == name);
    named(name).map(Found::Inline).or_else(|| {
        name.strip_suffix("_file")
            .and_then(named)
            .filter(|key| key.shape.is_secret())
            .map(Found::InFile)
    })
}

/// The spellings of `keys` below `prefix`, files of secrets included.
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

/// The spellings of all keys of all sections.
pub(super) fn section_spellings() -> Vec<String> {
    SECTIONS
        .iter()
        .flat_map(|(section, keys)| spellings(section, keys))
        .collect()
}

/// The candidate nearest to what was written. The same last name in another section is nearer
/// than any misspelling of more than one letter.
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
