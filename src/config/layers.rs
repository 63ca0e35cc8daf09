//! One layer of the configuration: the keys that a TOML text sets, each with its line.
//!
//! Only the syntax and the names of sections are checked here. Keys are checked when the layers are
//! merged, because the keys of a source depend on its kind.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use crate::domain::ids::SourceName;

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults of the program.
    Default,
    /// A configuration file.
    File {
        /// The path as given.
        path: PathBuf,
        /// The line of the key, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The table that contains a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A section such as `[server]`.
    Section(&'static str),
    /// `[sources.<name>]`
    Source(SourceName),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(name) => f.write_str(name),
            Self::Source(name) => write!(f, "sources.{name}"),
        }
    }
}

/// Added to the messages of the parser, which do not say it.
const FORM: &str = "a text stands in straight quotes, such as listen = \"127.0.0.1:8080\", and each \
                    [section] and each key in it is there once";

/// A value before its key is known. No `Debug`: it may be a secret.
pub(super) enum Raw {
    /// A value from TOML.
    Typed(Value),
    /// The text of an environment variable.
    Text(String),
    /// A path in an environment variable; the file contains the value.
    InFile(String),
    /// An empty environment variable: its name is checked, nothing is set.
    Nothing,
}

/// One key as a layer wrote it.
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// The keys and sources of one layer.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) written: Vec<Written>,
    /// The sources that the layer names, with or without keys.
    pub(super) sources: BTreeSet<SourceName>,
    /// The folder from which its relative paths count; `None`: the working directory.
    pub(super) folder: Option<PathBuf>,
}

/// Faults found until now, one line each.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn at(&mut self, origin: impl fmt::Display, what: impl fmt::Display) {
        self.0.push(format!("{origin}: {what}"));
    }
}

/// Reads a configuration file.
pub(super) fn from_file(path: &Path, problems: &mut Problems) -> Layer {
    match std::fs::read_to_string(path) {
        Ok(text) => Layer {
            folder: path.parent().map(Path::to_owned),
            ..from_toml(&text, Some(path), problems)
        },
        Err(error) => {
            problems.at(
                path.display(),
                format!("the file cannot be read: {error}; {}", remedy(error.kind())),
            );
            Layer::default()
        }
    }
}

/// The remedy for a file that cannot be read.
fn remedy(kind: ErrorKind) -> &'static str {
    let remedies = [
        (
            ErrorKind::IsADirectory,
            "this is a folder: give the path of the file in it",
        ),
        (
            ErrorKind::PermissionDenied,
            "let the user of this program read it",
        ),
        (ErrorKind::InvalidData, "save it as text in UTF-8"),
    ];
    let remedy = remedies.iter().find(|(of, _)| *of == kind);
    let usual = "check the path, in --config or SERVAL_CONNECT_CONFIG";
    remedy.map_or(usual, |(_, remedy)| remedy)
}

/// Reads TOML; the defaults have no path.
pub(super) fn from_toml(text: &str, path: Option<&Path>, problems: &mut Problems) -> Layer {
    let mut reader = Reader {
        text,
        path,
        problems,
        layer: Layer::default(),
    };
    match DeTable::parse(text) {
        Ok(table) => reader.document(table.into_inner()),
        Err(error) => reader.syntax(&error),
    }
    reader.layer
}

struct Reader<'a> {
    text: &'a str,
    path: Option<&'a Path>,
    problems: &'a mut Problems,
    layer: Layer,
}

impl Reader<'_> {
    fn origin<T>(&self, spanned: &Spanned<T>) -> Origin {
        self.path.map_or(Origin::Default, |path| Origin::File {
            path: path.to_owned(),
            line: self.position(spanned.span().start).0,
        })
    }

    /// Line and column of a byte, from 1.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        let line = before.split(|b| *b == b'\n').count();
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        (line, column)
    }

    /// Reports only the message: the full text of the error quotes the line, which may be a secret.
    fn syntax(&mut self, error: &toml::de::Error) {
        let (line, column) = self.position(error.span().map_or(0, |span| span.start));
        let path = self.path.unwrap_or(Path::new("default")).display();
        self.problems.at(
            format_args!("{path}:{line}:{column}"),
            format_args!("not TOML: {}; {FORM}", error.message()),
        );
    }

    fn document(&mut self, table: DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(&name);
            let name = name.into_inner();
            // The keys of a source depend on its kind, which a later layer may set. So they are only collected here.
            if name == "sources" {
                self.sources(value, &origin);
            } else if let Some((section, _)) = keys::section(&name) {
                self.table(&Place::Section(section), value, &origin);
            } else if value.get_ref().is_table() {
                let sections = keys::SECTIONS.iter().map(|(section, _)| *section);
                let known = sections.chain(["sources"]).map(str::to_owned).collect();
                let near = keys::nearest(&name, known);
                let what = if strsim::damerau_levenshtein(&name, &near) > 2 {
                    format!("unknown section {name}; a source is a section [sources.{name}]")
                } else {
                    format!("unknown section {name}, did you mean [{near}]?")
                };
                self.problems.at(origin, what);
            } else {
                let near = keys::nearest(&name, keys::section_spellings());
                let what = format!("unknown key {name}, did you mean {near}?");
                self.problems.at(origin, what);
            }
        }
    }

    fn sources(&mut self, value: Spanned<DeValue<'_>>, origin: &Origin) {
        let DeValue::Table(sources) = value.into_inner() else {
            self.problems.at(
                origin,
                "sources: expected tables such as [sources.servicenow]",
            );
            return;
        };
        for (name, value) in sources {
            let origin = self.origin(&name);
            match name.get_ref().parse::<SourceName>() {
                Ok(source) => {
                    self.layer.sources.insert(source.clone());
                    self.table(&Place::Source(source), value, &origin);
                }
                Err(error) => {
                    let what = format!("sources.{}: {error}", name.get_ref());
                    self.problems.at(origin, what);
                }
            }
        }
    }

    fn table(&mut self, place: &Place, value: Spanned<DeValue<'_>>, origin: &Origin) {
        let DeValue::Table(table) = value.into_inner() else {
            self.problems
                .at(origin, format!("{place}: expected a table, [{place}]"));
            return;
        };
        for (key, value) in table {
            let origin = self.origin(&key);
            let key = key.into_inner().into_owned();
            match to_json(value.into_inner()) {
                // Faults are collected, not returned: a person who corrects a file wants to see all
                // of them at once.
                Ok(value) => self.layer.written.push(Written {
                    place: place.clone(),
                    key,
                    raw: Raw::Typed(value),
                    origin,
                }),
                Err(what) => self.problems.at(origin, format!("{place}.{key}: {what}")),
            }
        }
    }
}

/// Converts a value to JSON, the common form of all layers. A date becomes its text.
fn to_json(value: DeValue<'_>) -> Result<Value, &'static str> {
    Ok(match value {
        DeValue::String(text) => Value::from(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| "the number is too large")?,
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or("the number is not finite")?,
        DeValue::Boolean(switch) => Value::from(switch),
        // No setting is a date. As text it meets the check of its key, which says what is expected
        // there.
        DeValue::Datetime(datetime) => Value::from(datetime.to_string()),
        DeValue::Array(items) => items
            .into_iter()
            .map(|item| to_json(item.into_inner()))
            .collect::<Result<_, _>>()?,
        DeValue::Table(table) => table
            .into_iter()
            .map(|(key, value)| {
                let key = key.into_inner().into_owned();
                to_json(value.into_inner()).map(|value| (key, value))
            })
            .collect::<Result<serde_json::Map<_, _>, _>>()?
            .into(),
    })
}
