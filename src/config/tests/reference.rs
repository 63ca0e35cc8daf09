//! The registry, the structs and the files in `config/` agree.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::load;
use crate::config::load::DEFAULTS;
use crate::config::{
    AdminConfig, Config, DatabaseConfig, DeliveryConfig, Environment, Loaded, Origin,
    RetentionConfig, ServalConfig, ServerConfig, keys, report,
};
use crate::edge::shapes::Key;
use crate::edge::telemetry::{LogConfig, TelemetryConfig};
use crate::sources::{self, BUILT_IN};

#[test]
fn the_example_loads_and_says_what_is_left_to_fill_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/example.toml");
    let loaded = Config::load(&[path], &Environment::default());
    let shown = report(&loaded);
    assert!(!shown.ready, "{}", shown.text);
    let errors: Vec<_> = shown
        .text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let are_named = errors.iter().all(|error| error.contains("documents"));
    assert!(are_named && errors.len() == 8, "{errors:?}");
    assert_eq!(loaded.unwrap().warnings.len(), 1, "{}", shown.text);
}

/// `config/default.toml` with its commented keys uncommented, without the twins of secrets, which
/// cannot be set beside them.
fn reference(twins: bool) -> String {
    let commented = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|l| !l.starts_with(' ') && !l.is_empty())
    };
    // The files of TLS and of the database's password are keys of their own.
    let is_twin = |line: &str| {
        let key = line.split(' ').next().unwrap_or_default();
        key.ends_with("_file") && !key.starts_with("tls_") && key != "password_file"
    };
    DEFAULTS
        .lines()
        .map(|line| if commented(line) { &line[1..] } else { line })
        .filter(|line| line.starts_with('[') || line.starts_with('#') || is_twin(line) == twins)
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_reference_holds_every_key_with_its_true_default() {
    // Its database is a file, for which some of its keys are not.
    let on_server = [("SERVAL_CONNECT__DATABASE__URL", "postgres://db/serval")];
    let loaded = load(&[&reference(false)], &on_server).unwrap();
    let places = keys::SECTIONS
        .iter()
        .map(|(name, keys)| ((*name).to_owned(), keys.to_vec()));
    let sources = BUILT_IN.iter();
    let sources = sources.map(|kind| (format!("sources.{}", kind.name()), sources::keys_of(*kind)));
    let twins: toml::Table = reference(true).parse().unwrap();
    for (place, keys) in places.chain(sources) {
        for key in keys {
            let path = format!("{place}.{}", key.name);
            let origin = loaded.origin(&path);
            assert!(
                matches!(origin, Some(Origin::File { .. })) || path == "database.url",
                "{path} is not in default.toml"
            );
            let table = place
                .split('.')
                .fold(&twins, |t, part| t[part].as_table().unwrap());
            let twin = table.contains_key(&format!("{}_file", key.name));
            assert_eq!(twin, key.shape.is_secret(), "{path}_file");
        }
    }
    let defaults = load(&["[sources.servicenow]\n[sources.slack]"], &[]).unwrap();
    let lines = |loaded: &Loaded| -> BTreeSet<String> {
        let home = loaded.merged.home.as_ref().unwrap().display().to_string();
        let cut = |line: &str| {
            let line = line.replace(&format!("{home}/"), "");
            line.split("  # ").next().unwrap_or_default().to_owned()
        };
        loaded.redacted().lines().map(cut).collect()
    };
    let differ: Vec<_> = lines(&defaults)
        .difference(&lines(&loaded))
        .cloned()
        .collect();
    assert_eq!(
        differ,
        [
            "bearer_token = (not set)",
            "channel_target = (not set)",
            "client_id = (not set)",
            "client_secret = (not set)",
            "direct_message_target = (not set)",
            "direct_url = (not set)",
            "instance = (not set)",
            "otlp_endpoint = (not set)",
            "password_file = (not set)",
            "renamed_from = (not set)",
            "replica_dead_after = (not set)",
            "ticket_url_pattern = (not set)",
            "tls_cert_file = (not set)",
            "tls_key_file = (not set)",
            "url = \"sqlite://data/serval-connect.db\"",
        ]
    );
}

/// The fields of a struct that refuses unknown ones, read from its refusal.
fn fields<T: DeserializeOwned>() -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(json!({ "?": Value::Null }))
        .err()
        .expect("no struct has a field of this name");
    let text = error.to_string();
    let list = text
        .split_once("expected")
        .expect("serde lists the fields")
        .1;
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_registry_and_the_structs_have_the_same_keys() {
    let names = |keys: &[Key]| -> BTreeSet<String> {
        let names = keys.iter().map(|key| key.name.to_owned());
        names.filter(|name| name != "kind").collect()
    };
    let section = |name: &str| names(keys::section(name).unwrap().1);
    assert_eq!(fields::<ServerConfig>(), section("server"));
    assert_eq!(fields::<AdminConfig>(), section("admin"));
    assert_eq!(fields::<DatabaseConfig>(), section("database"));
    assert_eq!(fields::<ServalConfig>(), section("serval"));
    assert_eq!(fields::<DeliveryConfig>(), section("delivery"));
    assert_eq!(fields::<RetentionConfig>(), section("retention"));
    assert_eq!(fields::<LogConfig>(), section("log"));
    assert_eq!(fields::<TelemetryConfig>(), section("telemetry"));
    for kind in BUILT_IN {
        let keys = sources::keys_of(*kind);
        let mut defaults = sources::defaults_of(*kind);
        assert_eq!(defaults.remove("kind"), Some(kind.name().into()));
        // The structs were serialized, so these are their fields.
        assert_eq!(
            defaults.keys().cloned().collect::<BTreeSet<_>>(),
            names(&keys)
        );
        for key in keys {
            let default = defaults.remove(key.name).unwrap_or_default();
            let read = key.shape.read(&default);
            assert!(default.is_null() || read == Ok(default), "{}", key.name);
        }
    }
}
