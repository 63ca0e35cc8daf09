//! The configuration as `check` shows it.
//!
//! Invariant: of a secret it tells the number of values and the file, never the value.

use std::fmt::Write;

use serde_json::Value;

use super::keys::{self, Key};
use super::load::{ConfigError, Loaded};
use super::merge::{Merged, Setting};

/// What `check` prints before it goes online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The effective configuration, warnings and problems.
    pub text: String,
    /// Whether `serve` would start with it.
    pub ready: bool,
}

/// Reports on a configuration that was loaded, or on why it was not.
pub fn report(loaded: &Result<Loaded, ConfigError>) -> Report {
    let mut text = String::new();
    let problems = match loaded {
        Ok(loaded) => {
            text.push_str(loaded.redacted());
            text.push('\n');
            for warning in &loaded.warnings {
                line(&mut text, format_args!("warning: {warning}"));
            }
            loaded.validate_for_serve().err()
        }
        Err(error) => Some(error.clone()),
    };
    let ready = problems.is_none();
    match problems {
        Some(error) => {
            for problem in &error.problems {
                line(&mut text, format_args!("error: {problem}"));
            }
        }
        None => line(&mut text, format_args!("the configuration is complete")),
    }
    Report { text, ready }
}

/// See [`Loaded::redacted`].
pub(super) fn redacted(merged: &Merged) -> String {
    let mut text = String::new();
    for (section, keys) in keys::SECTIONS {
        table(&mut text, section, keys, merged);
    }
    for (name, kind) in &merged.sources {
        let keys = keys::of_source(*kind);
        table(&mut text, &format!("sources.{name}"), keys, merged);
    }
    text
}

fn table(text: &mut String, place: &str, keys: &[Key], merged: &Merged) {
    if !text.is_empty() {
        text.push('\n');
    }
    line(text, format_args!("[{place}]"));
    for key in keys {
        let name = key.name;
        let setting = merged.settings.get(&format!("{place}.{name}"));
        let value = shown(key, setting);
        match setting {
            Some(setting) => line(text, format_args!("{name} = {value}  # {}", setting.origin)),
            None => line(text, format_args!("{name} = {value}")),
        }
    }
}

fn shown(key: &Key, setting: Option<&Setting>) -> String {
    let unset = || "(not set)".to_owned();
    let Some(setting) = setting else {
        return unset();
    };
    if !key.shape.is_secret() {
        return toml_text(&setting.value);
    }
    let values = match setting.value.as_array().map_or(1, Vec::len) {
        0 => return unset(),
        1 => "1 value".to_owned(),
        n => format!("{n} values"),
    };
    match &setting.file {
        Some(file) => format!("(set, {values}, from {})", file.display()),
        None => format!("(set, {values})"),
    }
}

/// A value as TOML writes it within a line. Texts are quoted as in JSON, which TOML reads as well.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pairs: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml_text(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn toml_key(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String cannot fail");
}
