//! Merges the layers: a later layer wins; tables merge, lists and single values are replaced.
//!
//! A key and its `_file` twin share one setting, so the later of the two wins. Files of secrets are read
//! after merging: a file that a later layer replaced need not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::env;
use super::keys::{self, Found};
use super::layers::{Layer, Origin, Place, Problems, Raw, Written};
use crate::domain::ids::SourceName;
use crate::edge::shapes::{Key, Shape};
use crate::edge::{server_url, units};
use crate::sources::{self, Kinds, SourceKind};

/// The value of a key. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Setting {
    /// The value; null until `file` is read.
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// The file that holds the secret.
    pub(super) file: Option<PathBuf>,
    pub(super) shape: Shape,
    /// Number of the layer: two settings in one layer are a fault, in two layers a replacement.
    layer: usize,
}

/// The effective values by dotted path, and the sources with their kinds.
#[derive(Clone)]
pub(super) struct Merged {
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) sources: BTreeMap<SourceName, SourceKind>,
    pub(super) kinds: Kinds,
    /// The folder from which the paths of the defaults count.
    pub(super) home: Option<PathBuf>,
}

/// Merges `layers`, the first has the lowest rank.
pub(super) fn merge(layers: Vec<Layer>, known: Kinds, problems: &mut Problems) -> Merged {
    let mut merged = Merged {
        settings: BTreeMap::new(),
        sources: kinds(&layers, known, problems),
        kinds: known,
        home: layers.first().and_then(|defaults| defaults.folder.clone()),
    };
    // The defaults of a kind have the lowest rank: layer 0.
    merged.source_defaults();
    for (number, layer) in layers.into_iter().enumerate() {
        for written in layer.written {
            merged.set(written, number + 1, layer.folder.as_deref(), problems);
        }
    }
    // Only now: a file that a later layer replaced need not exist.
    merged.settings.retain(|path, setting| {
        let read = setting.read_file();
        if let Err(what) = &read {
            problems.at(&setting.origin, format!("{path}: {what}"));
        }
        read.is_ok()
    });
    merged
}

/// The kind of each source: `kind` in the last layer that sets it, else the name of the source.
fn kinds(
    layers: &[Layer],
    known: Kinds,
    problems: &mut Problems,
) -> BTreeMap<SourceName, SourceKind> {
    let words: Vec<&str> = known.iter().map(|kind| kind.name()).collect();
    let names: BTreeSet<&SourceName> = layers.iter().flat_map(|layer| &layer.sources).collect();
    let mut kinds = BTreeMap::new();
    for name in names {
        let mine = || {
            let written = layers.iter().flat_map(|layer| &layer.written);
            written.filter(|w| matches!(&w.place, Place::Source(source) if source == name))
        };
        // Later layers win, and an empty variable sets nothing.
        let explicit = mine().rfind(|w| w.key == "kind" && !matches!(w.raw, Raw::Nothing));
        let word = match explicit.map(|w| &w.raw) {
            None => Some(name.as_str()),
            Some(Raw::Text(word)) => Some(word.trim()),
            Some(Raw::Typed(value)) => value.as_str(),
            Some(Raw::InFile(_) | Raw::Nothing) => None,
        };
        match (
            word.and_then(|word| sources::kind_named(known, word)),
            explicit,
        ) {
            (Some(kind), _) => {
                kinds.insert(name.clone(), kind);
            }
            (None, Some(w)) => problems.at(
                &w.origin,
                format!("sources.{name}.kind: expected one of {}", words.join(", ")),
            ),
            // Without any key the source has no place to blame: then the message has none.
            (None, None) => {
                let what = format!(
                    "sources.{name}: kind is missing, set it to {}; it may be left out only where \
                     the name is the kind",
                    words.join(" or ")
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

impl Merged {
    fn source_defaults(&mut self) {
        for (name, kind) in &self.sources {
            let mut defaults = sources::defaults_of(*kind);
            for key in sources::keys_of(*kind) {
                // Null stands for a key without a default, which stays unset.
                if let Some(value) = defaults.remove(key.name).filter(|value| !value.is_null()) {
                    let setting = Setting {
                        value,
                        origin: Origin::Default,
                        file: None,
                        shape: key.shape,
                        layer: 0,
                    };
                    let path = format!("sources.{name}.{}", key.name);
                    self.settings.insert(path, setting);
                }
            }
        }
    }

    /// All secrets, each with the path of its key.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.settings.iter();
        let secret = settings.filter(|(_, setting)| setting.is_secret());
        secret.flat_map(|(path, setting)| {
            let list = setting.value.as_array().into_iter().flatten();
            let values = list.chain(Some(&setting.value)).filter_map(Value::as_str);
            values.map(move |value| (path.as_str(), value))
        })
    }

    /// Sets a duration that nobody wrote.
    pub(super) fn set_default(&mut self, path: &str, duration: Duration) {
        let setting = Setting {
            value: units::shown_duration(duration).into(),
            origin: Origin::Default,
            file: None,
            shape: Shape::Text,
            layer: 0,
        };
        self.settings.insert(path.to_owned(), setting);
    }

    fn keys_of(&self, place: &Place) -> Option<Vec<Key>> {
        match place {
            Place::Section(name) => keys::section(name).map(|(_, keys)| keys.to_vec()),
            Place::Source(name) => self.sources.get(name).map(|kind| sources::keys_of(*kind)),
        }
    }

    fn set(
        &mut self,
        written: Written,
        layer: usize,
        folder: Option<&Path>,
        problems: &mut Problems,
    ) {
        // A source without a kind is reported already; its keys cannot be judged.
        let Some(keys) = self.keys_of(&written.place) else {
            return;
        };
        let Some(found) = keys::find(&keys, &written.key) else {
            return problems.at(&written.origin, self.unknown(&written, &keys));
        };
        let Written {
            place, raw, origin, ..
        } = written;
        let (Found::Inline(key) | Found::InFile(key)) = found;
        let path = format!("{place}.{}", key.name);
        let folder = folder.unwrap_or(Path::new(""));
        let inline = |value| (key.shape.placed(folder, value), None);
        let in_file = |file: &str| (Value::Null, Some(folder.join(file)));
        let given = match (found, raw) {
            (_, Raw::Nothing) => return,
            (Found::Inline(key), Raw::Typed(value)) => key.shape.read(&value).map(inline),
            (Found::Inline(key), Raw::Text(text)) => key.shape.read_text(&text).map(inline),
            (Found::InFile(_), Raw::Typed(value)) => Shape::Text
                .read(&value)
                .map(|value| in_file(value.as_str().unwrap_or_default()))
                .map_err(|_| "expected the path of a file".to_owned()),
            (Found::InFile(_), Raw::Text(file)) | (_, Raw::InFile(file)) => Ok(in_file(&file)),
        };
        match given {
            Ok((value, file)) => {
                let setting = Setting {
                    value,
                    origin,
                    file,
                    shape: key.shape,
                    layer,
                };
                self.put(path, setting, problems);
            }
            Err(what) if matches!(found, Found::InFile(_)) => {
                problems.at(origin, format!("{path}_file: {what}"));
            }
            Err(what) => problems.at(origin, format!("{path}: {what}")),
        }
    }

    fn put(&mut self, path: String, mut setting: Setting, problems: &mut Problems) {
        let earlier = self.settings.get(&path);
        if let Some(earlier) = earlier.filter(|earlier| earlier.layer == setting.layer) {
            let what = format!(
                "{} and {} are both set, keep one of them",
                earlier.spelling(&path),
                setting.spelling(&path)
            );
            match setting.origin {
                Origin::Variable(_) => problems.0.push(what),
                Origin::Default | Origin::File { .. } => problems.at(setting.origin, what),
            }
            return;
        }
        // Only tables merge; lists and single values are replaced.
        if let Some(Value::Object(below)) = earlier.map(|earlier| &earlier.value)
            && let Value::Object(above) = &mut setting.value
            && setting.shape == Shape::TextTable
        {
            for (key, value) in below {
                above.entry(key).or_insert_with(|| value.clone());
            }
        }
        self.settings.insert(path, setting);
    }

    fn unknown(&self, written: &Written, keys: &[Key]) -> String {
        let path = format!("{}.{}", written.place, written.key);
        let mut candidates = keys::spellings(&written.place.to_string(), keys);
        candidates.extend(keys::section_spellings());
        // Keys of other sections are candidates, too: a key in the wrong section is a usual mistake.
        let near = keys::nearest(&path, candidates);
        let other = self.other_kind(written);
        match &written.origin {
            Origin::Variable(_) => {
                let near = env::variable(&near);
                format!("unknown variable{other}, did you mean {near}?")
            }
            Origin::Default | Origin::File { .. } => {
                format!("unknown key {path}{other}, did you mean {near}?")
            }
        }
    }

    /// A hint if the key belongs to another kind of source.
    fn other_kind(&self, written: &Written) -> String {
        let Place::Source(name) = &written.place else {
            return String::new();
        };
        // People copy keys from the example of the other kind. The hint says so, since no similar
        // key exists here.
        let mine = self.sources.get(name).copied();
        let others = self.kinds.iter().filter(|kind| Some(**kind) != mine);
        others
            .into_iter()
            .find(|kind| keys::find(&sources::keys_of(**kind), &written.key).is_some())
            .zip(mine)
            .map(|(other, mine)| {
                let (other, mine) = (other.name(), mine.name());
                format!(" (a key of {other} sources, and this is a {mine} source)")
            })
            .unwrap_or_default()
    }
}

impl Setting {
    pub(super) fn is_secret(&self) -> bool {
        if self.shape == Shape::DatabaseUrl {
            // The name of a file is none, and neither is a URL whose password is elsewhere.
            return self.value.as_str().is_some_and(server_url::has_password);
        }
        self.shape.is_secret()
    }

    /// The name that the user wrote for the key.
    fn spelling(&self, path: &str) -> String {
        match (&self.origin, &self.file) {
            (Origin::Variable(name), _) => name.clone(),
            (_, Some(_)) => format!("{path}_file"),
            (_, None) => path.to_owned(),
        }
    }

    /// Reads the value out of the file, if a file holds it.
    fn read_file(&mut self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        self.value = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|content| self.shape.read_file_content(&content))
            .map_err(|what| format!("the file {} {what}", file.display()))?;
        if let Some(folder) = file.parent() {
            self.value = self.shape.placed(folder, self.value.take());
        }
        Ok(())
    }
}
