//! Merges the layers: later wins, tables merge, lists and single values replace.
//!
//! Invariant: a key and its `_file` twin share one place, so the later of the two wins whichever it
//! is. Files of secrets are read after merging: one that a later layer replaced need not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::env;
use super::keys::{self, Found, Key};
use super::layers::{Layer, Origin, Place, Problems, Raw, Written};
use super::shapes::Shape;
use crate::domain::ids::{SourceKind, SourceName};

/// The effective value of a key. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// The file that a secret was read from.
    pub(super) file: Option<PathBuf>,
}

/// The effective values by dotted path, and the sources with their kinds.
#[derive(Clone)]
pub(super) struct Merged {
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) sources: BTreeMap<SourceName, SourceKind>,
}

/// A key's place while the layers are laid over one another.
struct Slot {
    given: Given,
    shape: Shape,
    origin: Origin,
    /// The layer's number, to tell a twin from a replacement.
    layer: usize,
}

enum Given {
    Value(Value),
    InFile(PathBuf),
}

/// Lays `layers` over one another, the first at the bottom.
pub(super) fn merge(layers: Vec<Layer>, problems: &mut Problems) -> Merged {
    let sources = kinds(&layers, problems);
    let mut merging = Merging {
        slots: BTreeMap::new(),
        sources,
        problems,
    };
    merging.source_defaults();
    for (number, layer) in layers.into_iter().enumerate() {
        for written in layer.written {
            merging.set(written, number + 1);
        }
    }
    let Merging { slots, sources, .. } = merging;
    let settings = slots
        .into_iter()
        .filter_map(|(path, slot)| resolve(&path, slot, problems).map(|setting| (path, setting)))
        .collect();
    Merged { settings, sources }
}

/// The kind of each source: what the last layer says, else its name.
fn kinds(layers: &[Layer], problems: &mut Problems) -> BTreeMap<SourceName, SourceKind> {
    let names: BTreeSet<&SourceName> = layers.iter().flat_map(|layer| &layer.sources).collect();
    let mut kinds = BTreeMap::new();
    for name in names {
        let mine = || {
            let written = layers.iter().flat_map(|layer| &layer.written);
            written.filter(|w| matches!(&w.place, Place::Source(source) if source == name))
        };
        let explicit = mine().rfind(|w| w.key == "kind" && !matches!(w.raw, Raw::Nothing));
        let word = match explicit.map(|w| &w.raw) {
            None => Some(name.as_str()),
            Some(Raw::Text(word)) => Some(word.trim()),
            Some(Raw::Typed(value)) => value.as_str(),
            Some(Raw::InFile(_) | Raw::Nothing) => None,
        };
        match (word.and_then(keys::source_kind), explicit) {
            (Some(kind), _) => {
                kinds.insert(name.clone(), kind);
            }
            (None, Some(w)) => problems.at(
                &w.origin,
                format!("sources.{name}.kind: expected one of servicenow, slack"),
            ),
            (None, None) => {
                let what = format!(
                    "sources.{name}: kind is missing, set it to servicenow or slack; it may be \
                     left out only where the name is the kind"
                );
                match mine().next() {
                    Some(w) => problems.at(&w.origin, what),
                    None => problems.0.push(what),
                }
            }
        }
    }
    kinds
}

struct Merging<'a> {
    slots: BTreeMap<String, Slot>,
    sources: BTreeMap<SourceName, SourceKind>,
    problems: &'a mut Problems,
}

impl Merging<'_> {
    fn source_defaults(&mut self) {
        for (name, kind) in &self.sources {
            for key in keys::of_source(*kind) {
                if !key.default.is_empty() {
                    let value = key.shape.read_text(key.default);
                    let slot = Slot {
                        given: Given::Value(value.expect("a test reads every default")),
                        shape: key.shape,
                        origin: Origin::Default,
                        layer: 0,
                    };
                    let path = format!("sources.{name}.{}", key.name);
                    self.slots.insert(path, slot);
                }
            }
        }
    }

    fn keys_of(&self, place: &Place) -> Option<&'static [Key]> {
        match place {
            Place::Section(name) => keys::section(name).map(|(_, keys)| keys),
            Place::Source(name) => self.sources.get(name).map(|kind| keys::of_source(*kind)),
        }
    }

    fn set(&mut self, written: Written, layer: usize) {
        // A source without a kind is reported already; its keys cannot be judged.
        let Some(keys) = self.keys_of(&written.place) else {
            return;
        };
        let Some(found) = keys::find(keys, &written.key) else {
            return self.unknown(&written, keys);
        };
        let Written {
            place, raw, origin, ..
        } = written;
        let (Found::Inline(key) | Found::InFile(key)) = found;
        let path = format!("{place}.{}", key.name);
        let given = match (found, raw) {
            (_, Raw::Nothing) => return,
            (Found::Inline(key), Raw::Typed(value)) => key.shape.read(&value).map(Given::Value),
            (Found::Inline(key), Raw::Text(text)) => key.shape.read_text(&text).map(Given::Value),
            (Found::InFile(_), Raw::Typed(value)) => Shape::Text
                .read(&value)
                .map(|value| Given::InFile(value.as_str().unwrap_or_default().into()))
                .map_err(|_| "expected the path of a file".to_owned()),
            (Found::InFile(_), Raw::Text(file)) | (_, Raw::InFile(file)) => {
                Ok(Given::InFile(file.into()))
            }
        };
        match given {
            Ok(given) => self.put(
                path,
                Slot {
                    given,
                    shape: key.shape,
                    origin,
                    layer,
                },
            ),
            Err(what) => {
                let suffix = if matches!(found, Found::InFile(_)) {
                    "_file"
                } else {
                    ""
                };
                self.problems.at(origin, format!("{path}{suffix}: {what}"));
            }
        }
    }

    fn put(&mut self, path: String, mut slot: Slot) {
        match self.slots.get(&path) {
            Some(earlier) if earlier.layer == slot.layer => {
                let what = format!(
                    "{} and {} are both set, keep one of them",
                    spelling(&path, earlier),
                    spelling(&path, &slot)
                );
                match slot.origin {
                    Origin::Variable(_) => self.problems.0.push(what),
                    Origin::Default | Origin::File { .. } => self.problems.at(slot.origin, what),
                }
                return;
            }
            Some(Slot {
                given: Given::Value(Value::Object(below)),
                ..
            }) if slot.shape == Shape::TextTable => {
                if let Given::Value(Value::Object(above)) = &mut slot.given {
                    for (key, value) in below {
                        above.entry(key).or_insert_with(|| value.clone());
                    }
                }
            }
            _ => {}
        }
        self.slots.insert(path, slot);
    }

    fn unknown(&mut self, written: &Written, keys: &'static [Key]) {
        let path = format!("{}.{}", written.place, written.key);
        let mut candidates = keys::spellings(&written.place.to_string(), keys);
        candidates.extend(keys::section_spellings());
        let near = keys::nearest(&path, candidates);
        let other = self.other_kind(written);
        let what = match &written.origin {
            Origin::Variable(_) => {
                let near = env::variable(&near);
                format!("unknown variable{other}, did you mean {near}?")
            }
            Origin::Default | Origin::File { .. } => {
                format!("unknown key {path}{other}, did you mean {near}?")
            }
        };
        self.problems.at(&written.origin, what);
    }

    /// Says so where the key is one of another kind of source.
    fn other_kind(&self, written: &Written) -> String {
        let Place::Source(name) = &written.place else {
            return String::new();
        };
        let mine = self.sources.get(name).copied();
        keys::SOURCE_KINDS
            .into_iter()
            .filter(|kind| Some(*kind) != mine)
            .find(|kind| keys::find(keys::of_source(*kind), &written.key).is_some())
            .zip(mine)
            .map(|(other, mine)| {
                let (other, mine) = (other.as_str(), mine.as_str());
                format!(" (a key of {other} sources, and this is a {mine} source)")
            })
            .unwrap_or_default()
    }
}

/// The name under which a key was set.
fn spelling(path: &str, slot: &Slot) -> String {
    match (&slot.origin, &slot.given) {
        (Origin::Variable(name), _) => name.clone(),
        (_, Given::InFile(_)) => format!("{path}_file"),
        (_, Given::Value(_)) => path.to_owned(),
    }
}

fn resolve(path: &str, slot: Slot, problems: &mut Problems) -> Option<Setting> {
    let Slot {
        given,
        shape,
        origin,
        ..
    } = slot;
    match given {
        Given::Value(value) => Some(Setting {
            value,
            origin,
            file: None,
        }),
        Given::InFile(file) => {
            let read = std::fs::read_to_string(&file)
                .map_err(|error| format!("cannot be read: {error}"))
                .and_then(|content| shape.read_file_content(&content));
            match read {
                Ok(value) => Some(Setting {
                    value,
                    origin,
                    file: Some(file),
                }),
                Err(what) => {
                    let file = file.display();
                    problems.at(origin, format!("{path}: the file {file} {what}"));
                    None
                }
            }
        }
    }
}
