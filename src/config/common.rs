//! The part of the configuration that has to be the same on every replica, as a hash that replicas compare.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::merge::{Merged, Setting};

/// Sections about one process: its addresses, its limits, how it reaches the database, its log.
const OWN: [&str; 5] = ["server", "admin", "database", "log", "telemetry"];
/// The keys of those sections that all replicas share: what they take from others, and when one counts as dead.
const SHARED: [&str; 6] = [
    "server.body_limit",
    "admin.tokens",
    "admin.mapping_tokens",
    "admin.read_only_tokens",
    "admin.show_payloads",
    "database.replica_dead_after",
];
/// Length of the hash, in hexadecimal digits.
const DIGITS: usize = 16;

/// Hashes the values that have to be the same. Of secrets only their number counts, so that nobody can guess one with
/// the hash.
pub(super) fn hash(merged: &Merged) -> String {
    let mut hasher = Sha256::new();
    for (name, kind) in &merged.sources {
        hasher.update(format!("{name} is {}\n", kind.name()));
    }
    for (path, setting) in &merged.settings {
        if is_shared(path) {
            // A text in JSON has no line break.
            hasher.update(format!("{path} = {}\n", shown(setting)));
        }
    }
    let mut digits = hex::encode(hasher.finalize());
    digits.truncate(DIGITS);
    digits
}

fn is_shared(path: &str) -> bool {
    let section = path.split('.').next().unwrap_or_default();
    !OWN.contains(&section) || SHARED.contains(&path)
}

fn shown(setting: &Setting) -> Value {
    if !setting.is_secret() {
        return setting.value.clone();
    }
    setting.value.as_array().map_or(1, Vec::len).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn hash_of(toml: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let usual = "[serval]\nbearer_token = \"a-token-of-serval\"\n[sources.slack]\n\
            signing_secrets = [\"one-secret\"]\n\
            channel_target = { slackChannel = { integrationId = \"i\" } }\n";
        std::fs::write(&file, usual).unwrap();
        let further = folder.path().join("b.toml");
        std::fs::write(&further, toml).unwrap();
        let loaded = Config::load(&[file, further], &Environment::default());
        loaded.unwrap().config.hash
    }

    #[test]
    fn replicas_differ_where_it_matters_and_only_there() {
        let usual = hash_of("");
        assert!(usual.len() == DIGITS && usual.bytes().all(|b| b.is_ascii_hexdigit()));
        for (toml, is_same) in [
            ("[server]\nlisten = \"0.0.0.0:1\"", true),
            ("[server]\nconnection_limit = 9", true),
            ("[admin]\nlisten = \"127.0.0.1:1\"", true),
            ("[database]\nurl = \"sqlite://b.db\"", true),
            ("[log]\nlevel = \"debug\"\nformat = \"json\"", true),
            ("[telemetry]\nservice_name = \"one\"", true),
            // Values of secrets do not count, their number does.
            ("[serval]\nbearer_token = \"another\"", true),
            ("[sources.slack]\nsigning_secrets = [\"another\"]", true),
            ("[sources.slack]\nsigning_secrets = [\"a\", \"b\"]", false),
            ("[admin]\ntokens = [\"ann a\"]", false),
            ("[admin]\nshow_payloads = false", false),
            ("[server]\nbody_limit = \"3MiB\"", false),
            ("[serval]\nbase_url = \"https://other.example\"", false),
            ("[serval]\ntimeout = \"7s\"", false),
            ("[delivery]\nrate = 3", false),
            ("[retention]\nevents = \"48h\"", false),
            ("[sources.slack]\nown_ids = [\"B1\"]", false),
            (
                "[sources.crm]\nkind = \"servicenow\"\nbearer_tokens = [\"a-static-token\"]\n\
                 channel_target = { ticketSource = { integrationId = \"i\" } }",
                false,
            ),
        ] {
            assert_eq!(hash_of(toml) == usual, is_same, "{toml}");
        }
        let on_server = |more| hash_of(&format!("[database]\nurl = \"postgres://u@db/x\"\n{more}"));
        assert_eq!(on_server("migrate = false"), on_server(""));
        assert_ne!(on_server("replica_dead_after = \"2m\""), on_server(""));
    }
}
