//! The configuration as `check` shows it.
//!
//! Invariant: a secret is shown as its number of values and its file, never as its value. Of the URL of a database
//! the part is shown that is no secret.

use std::fmt::Write;

use serde_json::Value;

use super::keys;
use super::loaded::{ConfigError, Loaded};
use super::merge::{Merged, Setting};
use crate::edge::server_url;
use crate::edge::shapes::{Key, Shape};
use crate::sources;

/// Output of `check` about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The effective configuration, warnings and problems.
    pub text: String,
    /// True if `serve` would start with it.
    pub ready: bool,
}

/// Reports a loaded configuration, or the faults that prevented it.
pub fn report(loaded: &Result<Loaded, ConfigError>) -> Report {
    let mut text = String::new();
    let problems = match loaded {
        Ok(loaded) => {
            text.push_str(&loaded.redacted());
            text.push('\n');
            for warning in &loaded.warnings {
                line(&mut text, format_args!("warning: {warning}"));
            }
            // The settings are printed even if they are not complete: they show what was read, and
            // from where.
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

impl Loaded {
    /// The effective configuration, written like TOML, each key with its origin. A secret is shown
    /// as its number of values.
    pub fn redacted(&self) -> String {
        let mut text = String::new();
        for (section, keys) in keys::SECTIONS {
            table(&mut text, section, keys, &self.merged);
        }
        for (name, kind) in &self.merged.sources {
            let keys = sources::keys_of(*kind);
            table(&mut text, &format!("sources.{name}"), &keys, &self.merged);
        }
        text
    }
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
    if key.shape == Shape::DatabaseUrl {
        let url = setting.value.as_str().unwrap_or_default();
        let shown = toml_text(&server_url::shown(url).into());
        return match &setting.file {
            Some(file) => format!("{shown} (from {})", file.display()),
            None => shown,
        };
    }
    // A list of secrets shows how many it has, so that a missing one is noticed.
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

/// Writes a value as inline TOML. Texts are quoted as in JSON, which TOML also accepts.
pub fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        // The general form would print two blanks between the braces.
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
