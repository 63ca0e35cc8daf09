//! Reads files and environment into a [`Config`], and reports all faults together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::checks::{self, database};
use super::common;
use super::env::{self, Environment};
use super::keys;
use super::layers::{self, Layer, Problems};
use super::loaded::{ConfigError, Loaded};
use super::merge::{self, Merged};
use super::settings::Config;
use crate::domain::ids::SourceName;
use crate::sources::{self, Kinds, SourceConfig};

/// The defaults, which are also the reference of all keys.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

impl Config {
    /// Reads the defaults, then `files` in their order, then the environment; later wins.
    pub fn load(files: &[PathBuf], environment: &Environment) -> Result<Loaded, ConfigError> {
        Self::load_with(sources::BUILT_IN, files, environment)
    }

    /// Reads the same layers for a program with other kinds of sources.
    pub fn load_with(
        kinds: Kinds,
        files: &[PathBuf],
        environment: &Environment,
    ) -> Result<Loaded, ConfigError> {
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        env::check(environment, &mut problems, &mut warnings);
        let layers = read(files, environment, &mut problems);
        let merged = merge::merge(layers, kinds, &mut problems);
        problems.none()?;
        assemble(merged, warnings)
    }
}

/// Makes typed settings of the merged values, and checks them.
pub(super) fn assemble(
    mut merged: Merged,
    mut warnings: Vec<String>,
) -> Result<Loaded, ConfigError> {
    let mut problems = Problems::default();
    database::complete(&mut merged);
    let mut config = build(&merged)?;
    checks::values(&mut config, &merged.settings, &mut problems);
    problems.none()?;
    checks::warn(&config, &merged, &mut warnings);
    Ok(Loaded {
        config,
        warnings,
        merged,
    })
}

/// Reads all layers, the defaults first.
pub(super) fn read(
    files: &[PathBuf],
    environment: &Environment,
    problems: &mut Problems,
) -> Vec<Layer> {
    let defaults = layers::from_toml(DEFAULTS, None, problems);
    // Whoever names a file means the same database, whatever folder a command stands in.
    let home = files.first().and_then(|file| file.parent());
    let mut layers = vec![Layer {
        folder: home.map(Path::to_owned),
        ..defaults
    }];
    layers.extend(files.iter().map(|file| layers::from_file(file, problems)));
    // Variables cannot spell every name of a source, so they are matched with the files' names.
    let known: BTreeSet<SourceName> = layers
        .iter()
        .flat_map(|layer| layer.sources.iter().cloned())
        .collect();
    // Our own names are more specific than those of Serval, so they come last and win.
    layers.push(env::serval_layer(environment));
    layers.push(env::general_layer(environment, &known, problems));
    layers
}

fn build(merged: &Merged) -> Result<Config, ConfigError> {
    let sections = keys::SECTIONS.iter();
    let values: Map<_, _> = sections
        .map(|(name, _)| ((*name).to_owned(), table(merged, name).into()))
        .collect();
    let mut config: Config = typed(values, "")?;
    config.kinds = merged.kinds;
    let secrets = merged.secrets().map(|(_, secret)| secret.into());
    config.secrets = secrets.collect();
    config.hash = common::hash(merged);
    for (name, kind) in &merged.sources {
        let place = format!("sources.{name}");
        let mut values = table(merged, &place);
        // The kind chose the type of the configuration, and is no member of it.
        values.remove("kind");
        let source = SourceConfig::read(*kind, values)
            .map_err(|path| unusable(&format!("{place}.{path}")))?;
        config.sources.insert(name.clone(), source);
    }
    Ok(config)
}

/// Makes the typed settings of one section.
pub(super) fn section<T: DeserializeOwned>(merged: &Merged, place: &str) -> Result<T, ConfigError> {
    typed(table(merged, place), &format!("{place}."))
}

/// Fills one struct. The shapes are checked already, so a failure is a mistake in the table of keys.
/// The error names only the path, because serde's text may quote a secret.
fn typed<T: DeserializeOwned>(values: Map<String, Value>, prefix: &str) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Value::Object(values))
        .map_err(|error| unusable(&format!("{prefix}{}", error.path())))
}

/// The values below `place`.
fn table(merged: &Merged, place: &str) -> Map<String, Value> {
    let settings = merged.settings.iter();
    settings
        .filter_map(|(path, setting)| {
            let key = path.strip_prefix(place)?.strip_prefix('.')?;
            Some((key.to_owned(), setting.value.clone()))
        })
        .collect()
}

fn unusable(path: &str) -> ConfigError {
    Problems(vec![format!("{path}: the value cannot be used")]).into()
}
