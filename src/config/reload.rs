//! Compares a newly read configuration with the running one.
//!
//! Invariant: keys that need a restart keep their value, and the result is checked as a whole: it is
//! refused if, for example, the new tokens do not suit the admin listener that runs.

use std::collections::BTreeSet;

use super::keys;
use super::layers::Problems;
use super::load;
use super::loaded::{ConfigError, Loaded};
use super::merge::Setting;

/// Differences by the names of keys; a source that was added or removed is `sources.<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys with a new value.
    pub changed: Vec<String>,
    /// Keys that keep their value until a restart.
    pub needs_restart: Vec<String>,
}

impl Loaded {
    /// Returns the configuration after a reload of `next`, and the differences. `next` is refused as
    /// a whole, or applied except for the keys that need a restart.
    pub fn reloaded(&self, next: Self) -> Result<(Self, Changes), ConfigError> {
        next.validate_for_serve()?;
        self.refuse_renames(&next)?;
        let mut merged = next.merged;
        let mut needs_restart = Vec::new();
        for path in keys::fixed_paths() {
            let running = self.merged.settings.get(&path);
            if differ(running, merged.settings.get(&path)) {
                needs_restart.push(path.clone());
            }
            match running {
                Some(running) => merged.settings.insert(path, running.clone()),
                None => merged.settings.remove(&path),
            };
        }
        // The mixture of new values and kept ones is a configuration that nobody wrote, so it is checked again.
        let mut loaded = load::assemble(merged, Vec::new())?;
        loaded.warnings = next.warnings;
        loaded.validate_for_serve()?;
        let changes = Changes {
            changed: self.differences(&loaded),
            needs_restart,
        };
        Ok((loaded, changes))
    }

    /// Refuses to rename a source: only the start moves what is stored under its old name.
    fn refuse_renames(&self, next: &Self) -> Result<(), ConfigError> {
        let running = &self.config.sources;
        let mut problems = Problems::default();
        for (name, source) in &next.config.sources {
            let before = running
                .get(name)
                .and_then(|s| s.policy.renamed_from.as_ref());
            let renamed_from = source.policy.renamed_from.as_ref();
            if renamed_from.is_some() && renamed_from != before {
                let what = "a source is renamed by a restart, not by a reload";
                problems.at(format!("sources.{name}.renamed_from"), what);
            }
        }
        problems.none()
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let (mine, others) = (&self.merged, &other.merged);
        let mut names = BTreeSet::new();
        for (source, _) in mine.sources.iter().chain(&others.sources) {
            if !(mine.sources.contains_key(source) && others.sources.contains_key(source)) {
                names.insert(format!("sources.{source}"));
            }
        }
        for path in mine.settings.keys().chain(others.settings.keys()) {
            // A source that was added or removed is named once, not with each of its keys.
            let is_of_named = path
                .rsplit_once('.')
                .is_some_and(|(place, _)| names.contains(place));
            if !is_of_named && differ(mine.settings.get(path), others.settings.get(path)) {
                names.insert(path.clone());
            }
        }
        names.into_iter().collect()
    }
}

/// True if the values differ; the origin does not count.
fn differ(one: Option<&Setting>, other: Option<&Setting>) -> bool {
    one.map(|setting| &setting.value) != other.map(|setting| &setting.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn loaded(toml: &str) -> Result<Loaded, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let usual = "[serval]\nbearer_token = \"a-token-of-serval\"\n\
            [database]\nurl = \"sqlite:///x.db\"\n";
        std::fs::write(&file, format!("{usual}{toml}")).unwrap();
        Config::load(&[file], &Environment::default())
    }

    const SLACK: &str = "[sources.slack]\nsigning_secrets = [\"one-secret\"]\n\
        channel_target = { slackChannel = { integrationId = \"i\" } }\n";

    #[test]
    fn changes_are_named_by_key_and_sources_as_a_whole() {
        let running = loaded(&format!("{SLACK}[admin]\ntokens = [\"a\"]\n")).unwrap();
        let next = loaded(&format!(
            "{SLACK}own_ids = [\"B1\"]\n[admin]\ntokens = [\"a\", \"b\"]\nlisten = \"127.0.0.1:1\"\n\
             [delivery]\nrate = 3\n[sources.crm]\nkind = \"servicenow\"\nbearer_tokens = [\"a-static-token\"]\n\
             channel_target = {{ ticketSource = {{ integrationId = \"i\" }} }}\n"
        ))
        .unwrap();
        let (now, changes) = running.reloaded(next).unwrap();
        assert_eq!(
            changes.changed,
            [
                "admin.tokens",
                "delivery.rate",
                "sources.crm",
                "sources.slack.own_ids"
            ]
        );
        assert_eq!(changes.needs_restart, ["admin.listen"]);
        assert_eq!(now.config.admin.listen, running.config.admin.listen);
        assert_eq!(now.config.admin.tokens.len(), 2);
        let (_, back) = now.reloaded(running).unwrap();
        assert_eq!(back.changed, changes.changed, "the other way round");
        assert_eq!(back.needs_restart, [""; 0], "it runs with that address");
    }

    #[test]
    fn what_is_right_by_itself_is_refused_where_the_running_listener_makes_it_wrong() {
        let open = "[admin]\nlisten = \"0.0.0.0:8081\"\ntokens = [\"a\"]\n";
        let running = loaded(&format!("{SLACK}{open}")).unwrap();
        let next = loaded(SLACK).unwrap();
        assert!(next.validate_for_serve().is_ok());
        let refused = running.reloaded(next).unwrap_err().to_string();
        assert!(refused.contains("admin.tokens is empty"), "{refused}");
    }

    #[test]
    fn what_serve_would_not_start_with_is_refused() {
        let running = loaded(SLACK).unwrap();
        let next = loaded("").unwrap();
        let refused = running.reloaded(next).unwrap_err().to_string();
        assert!(refused.contains("no source is configured"), "{refused}");
    }

    #[test]
    fn no_secret_is_in_the_debug_form() {
        let loaded = loaded(SLACK).unwrap();
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("one-secret") && !shown.contains("a-token"));
    }
}
