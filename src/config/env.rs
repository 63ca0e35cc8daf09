//! The environment: the variables that set keys of the configuration.
//!
//! Invariant: [`Environment::from_process`] is the only place that reads the process's environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::keys;
use super::layers::{Layer, Origin, Place, Problems, Raw, Written};
use crate::domain::ids::SourceName;
use crate::sources;

/// Prefix of the variables for all keys.
const PREFIX: &str = "SERVAL_CONNECT__";

/// Serval's own names and the keys of `[serval]` that they set. Each exists with `_FILE`, too.
const SERVAL_NAMES: [(&str, &str); 4] = [
    ("SERVAL_BASE_URL", "base_url"),
    ("SERVAL_CLIENT_ID", "client_id"),
    ("SERVAL_CLIENT_SECRET", "client_secret"),
    ("SERVAL_BEARER_TOKEN", "bearer_token"),
];

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of our variables whose value is not Unicode.
    unreadable: Vec<String>,
}

impl Environment {
    /// The environment of the process.
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if let Ok(value) = value.into_string() {
                environment.variables.insert(name, value);
            } else if name.starts_with("SERVAL_") {
                environment.unreadable.push(name);
            }
        }
        environment
    }

    /// The value of a variable; `None` also when it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self {
            variables: pairs.map(|(n, v)| (n.into(), v.into())).collect(),
            unreadable: Vec::new(),
        }
    }
}

/// Shows names only: any value may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Reports variables that are not Unicode, and warns of a prefix with one underscore.
pub(super) fn check(
    environment: &Environment,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) {
    for name in &environment.unreadable {
        problems.at(name, "the value is not Unicode");
    }
    for name in environment.variables.keys() {
        // Kubernetes sets names such as SERVAL_CONNECT_PORT, which must not cause a warning.
        let Some(rest) = name.strip_prefix("SERVAL_CONNECT_") else {
            continue;
        };
        if rest.starts_with('_') {
            continue;
        }
        if let Some(meant) = meant(&rest.to_ascii_lowercase()) {
            warnings.push(format!("{name} is not read: did you mean {meant}?"));
        } else if rest.contains("__") {
            warnings.push(format!(
                "{name} is not read: names of settings begin with {PREFIX}, with two underscores"
            ));
        }
    }
}

/// The variable that was meant by a name with single underscores.
fn meant(written: &str) -> Option<String> {
    let flat = |path: &str| path.replace('.', "_");
    let written = written.replace("__", "_");
    let sections = keys::section_spellings();
    if let Some(path) = sections.iter().find(|path| flat(path) == written) {
        return Some(variable(path));
    }
    // Of a source, the key at the end tells where its name ends.
    let rest = written.strip_prefix("sources_")?;
    let kinds = sources::BUILT_IN.iter();
    let keys = kinds.flat_map(|kind| keys::spellings("", &sources::keys_of(*kind)));
    let of_this = keys.filter_map(|key| {
        let name = rest.strip_suffix(&flat(&key))?;
        (!name.is_empty()).then(|| format!("sources.{name}{key}"))
    });
    // `secrets_file` ends in no other key, and `signing_secrets` in `secrets`, too.
    of_this
        .max_by_key(|path| path.rsplit('.').next().map(str::len))
        .map(|path| variable(&path))
}

/// The layer of Serval's own names.
pub(super) fn serval_layer(environment: &Environment) -> Layer {
    let mut layer = Layer::default();
    for (name, key) in SERVAL_NAMES {
        // A variable holds the value, or with `_FILE` the path of a file that holds it, as
        // container platforms mount secrets.
        let forms = [
            (name.to_owned(), Raw::Text as fn(String) -> Raw),
            (format!("{name}_FILE"), Raw::InFile),
        ];
        for (name, raw) in forms {
            if let Some(value) = environment.get(&name) {
                layer.written.push(Written {
                    place: Place::Section("serval"),
                    key: key.to_owned(),
                    raw: raw(value.to_owned()),
                    origin: Origin::Variable(name),
                });
            }
        }
    }
    layer
}

/// The layer of `SERVAL_CONNECT__SECTION__KEY`. `known` are the sources that earlier layers name:
/// a variable cannot hold a hyphen, so `SLACK_EU` also finds `slack-eu`.
pub(super) fn general_layer(
    environment: &Environment,
    known: &BTreeSet<SourceName>,
    problems: &mut Problems,
) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in &environment.variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = path.to_ascii_lowercase();
        let origin = Origin::Variable(name.clone());
        let (place, key) = match locate(&path, known) {
            Ok(found) => found,
            Err(what) => {
                problems.at(origin, what);
                continue;
            }
        };
        // Compose files and charts often set variables to nothing. That must not remove a value of a file.
        let raw = if value.is_empty() {
            Raw::Nothing
        } else {
            if let Place::Source(source) = &place {
                layer.sources.insert(source.clone());
            }
            Raw::Text(value.clone())
        };
        layer.written.push(Written {
            place,
            key,
            raw,
            origin,
        });
    }
    layer
}

/// The name of the variable that sets the key at this dotted path.
pub(super) fn variable(path: &str) -> String {
    let path = path.to_ascii_uppercase().replace('.', "__");
    format!("{PREFIX}{}", path.replace('-', "_"))
}

fn locate(path: &str, known: &BTreeSet<SourceName>) -> Result<(Place, String), String> {
    if let Some(rest) = path.strip_prefix("sources__") {
        // The last double underscore ends the name: the name may contain double underscores.
        let (name, key) = rest
            .rsplit_once("__")
            .ok_or_else(|| format!("unknown variable, expected {PREFIX}SOURCES__<NAME>__<KEY>"))?;
        return Ok((Place::Source(source(name, known)?), key.to_owned()));
    }
    path.split_once("__")
        .and_then(|(section, key)| {
            Some((Place::Section(keys::section(section)?.0), key.to_owned()))
        })
        .ok_or_else(|| {
            let near = keys::nearest(&path.replace("__", "."), keys::section_spellings());
            format!("unknown variable, did you mean {}?", variable(&near))
        })
}

fn source(name: &str, known: &BTreeSet<SourceName>) -> Result<SourceName, String> {
    let exact = name
        .parse::<SourceName>()
        .map_err(|error| error.to_string())?;
    if known.contains(&exact) {
        return Ok(exact);
    }
    // A variable cannot spell a hyphen.
    let twin = |other: &&SourceName| other.as_str().replace('-', "_") == name;
    Ok(known.iter().find(twin).cloned().unwrap_or(exact))
}
