//! From files and environment to a [`Config`], with all faults reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::env::{self, Environment};
use super::layers::{self, Layer, Origin, Problems};
use super::merge::{self, Merged};
use super::{Config, report, validate};
use crate::domain::ids::{SourceKind, SourceName};
use crate::sources::{SourceConfig, servicenow, slack};

/// The defaults, which are also the reference of all keys.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Why a configuration cannot be used: one line for each fault, none of them with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<String>,
}

/// A configuration that was read without a fault.
#[derive(Clone)]
pub struct Loaded {
    /// What the program works with.
    pub config: Config,
    /// What is allowed but should be looked at.
    pub warnings: Vec<String>,
    /// Where each key that is set comes from, by dotted path.
    pub provenance: BTreeMap<String, Origin>,
    redacted: String,
    /// What it was made of, for the next reload to be held against.
    pub(super) merged: Merged,
}

/// Without the values it was made of, which may be secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// The effective configuration in the manner of TOML, each key with its origin. Of secrets it
    /// says only how many there are.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }

    /// Refuses what `serve` cannot run with: no credentials, no source, an open admin listener.
    pub fn validate_for_serve(&self) -> Result<(), ConfigError> {
        validate::for_serve(self)
    }
}

impl Config {
    /// Reads the defaults, then `files` in their order, then the environment; later wins.
    pub fn load(files: &[PathBuf], environment: &Environment) -> Result<Loaded, ConfigError> {
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        env::check(environment, &mut problems, &mut warnings);
        let layers = read(files, environment, &mut problems);
        let merged = merge::merge(layers, &mut problems);
        if !problems.0.is_empty() {
            return Err(problems.into());
        }
        assemble(merged, warnings)
    }
}

/// Makes a configuration of effective values, and judges it.
pub(super) fn assemble(merged: Merged, mut warnings: Vec<String>) -> Result<Loaded, ConfigError> {
    let mut problems = Problems::default();
    let Some(mut config) = build(&merged, &mut problems) else {
        return Err(problems.into());
    };
    validate::values(&mut config, &merged.settings, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.into());
    }
    validate::warn(&config, &mut warnings);
    let origins = merged.settings.iter();
    let origins = origins.map(|(path, set)| (path.clone(), set.origin.clone()));
    Ok(Loaded {
        config,
        warnings,
        provenance: origins.collect(),
        redacted: report::redacted(&merged),
        merged,
    })
}

impl ConfigError {
    /// Of a quoted key or a value that is no secret, control characters are shown and not passed on:
    /// a line stays one.
    pub(super) fn new(problems: &[String]) -> Self {
        let one_line = |problem: &String| {
            problem.chars().fold(String::new(), |mut line, c| {
                if c.is_control() {
                    line.extend(c.escape_default());
                } else {
                    line.push(c);
                }
                line
            })
        };
        Self {
            problems: problems.iter().map(one_line).collect(),
        }
    }
}

impl From<Problems> for ConfigError {
    fn from(Problems(problems): Problems) -> Self {
        Self::new(&problems)
    }
}

pub(super) fn read(
    files: &[PathBuf],
    environment: &Environment,
    problems: &mut Problems,
) -> Vec<Layer> {
    let mut layers = vec![layers::from_toml(DEFAULTS, None, problems)];
    for file in files {
        layers.push(layers::from_file(file, problems));
    }
    let known: BTreeSet<SourceName> = layers
        .iter()
        .flat_map(|layer| layer.sources.iter().cloned())
        .collect();
    layers.push(env::serval_layer(environment));
    layers.push(env::general_layer(environment, &known, problems));
    layers
}

fn build(merged: &Merged, problems: &mut Problems) -> Option<Config> {
    let server = section(merged, "server", problems);
    let admin = section(merged, "admin", problems);
    let database = section(merged, "database", problems);
    let serval = section(merged, "serval", problems);
    let delivery = section(merged, "delivery", problems);
    let retention = section(merged, "retention", problems);
    let log = section(merged, "log", problems);
    let telemetry = section(merged, "telemetry", problems);
    let mut sources = BTreeMap::new();
    for (name, kind) in &merged.sources {
        sources.insert(name.clone(), source(merged, name, *kind, problems)?);
    }
    Some(Config {
        server: server?,
        admin: admin?,
        database: database?,
        serval: serval?,
        delivery: delivery?,
        retention: retention?,
        log: log?,
        telemetry: telemetry?,
        sources,
    })
}

fn source(
    merged: &Merged,
    name: &SourceName,
    kind: SourceKind,
    problems: &mut Problems,
) -> Option<SourceConfig> {
    let place = format!("sources.{name}");
    match kind {
        SourceKind::ServiceNow => {
            section::<servicenow::Config>(merged, &place, problems).map(SourceConfig::ServiceNow)
        }
        SourceKind::Slack => {
            section::<slack::Config>(merged, &place, problems).map(SourceConfig::Slack)
        }
    }
}

/// Fills one struct. The shapes are checked already, so a failure is a fault of the registry; it
/// is reported by path alone, because serde's text may quote a secret.
pub(super) fn section<T: DeserializeOwned>(
    merged: &Merged,
    place: &str,
    problems: &mut Problems,
) -> Option<T> {
    let is_source = place.starts_with("sources.");
    let table: serde_json::Map<String, Value> = merged
        .settings
        .iter()
        .filter_map(|(path, setting)| {
            let key = path.strip_prefix(place)?.strip_prefix('.')?;
            // Which struct to fill was decided by the kind; the struct does not hold it.
            (!is_source || key != "kind").then(|| (key.to_owned(), setting.value.clone()))
        })
        .collect();
    serde_path_to_error::deserialize(Value::Object(table))
        .map_err(|error| {
            let what = "the value cannot be used";
            problems.at(format_args!("{place}.{}", error.path()), what);
        })
        .ok()
}
