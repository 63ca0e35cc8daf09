//! Values that our own documents and samples print where a secret or an id stands. Everybody knows them.
//!
//! The tests of the guide hold this list against the documents.

use super::super::layers::Origin;
use super::super::merge::{Merged, Setting};
use crate::edge::shapes::Shape;

/// Stands where a person has to write a value.
pub const PLACEHOLDER: &str = "replace-me";

/// Parts of such values. The ellipsis stands for what was cut; the last is the Base64 of `replace-m`, as in `whsec_…`.
const PRINTED: [&str; 5] = [
    "change-me",
    PLACEHOLDER,
    "…",
    "a-token-that-nobody-can-guess",
    "cmVwbGFjZS1t",
];
/// Parts of the secrets of rehearsals; the last is the Base64 of `rehearsal-k`. With a stand-in for Serval they may be
/// used as they are.
const REHEARSED: [&str; 4] = [
    "mock-secret",
    "that-everybody-knows",
    "a-token-of-this-one-rehearsal",
    "cmVoZWFyc2FsLW",
];

/// True if the text holds a placeholder.
pub(crate) fn is_placeholder(text: &str) -> bool {
    PRINTED.iter().any(|mark| text.contains(mark))
}

/// True if the text holds a secret of the rehearsals.
pub(crate) fn is_rehearsed(text: &str) -> bool {
    REHEARSED.iter().any(|mark| text.contains(mark))
}

/// The settings that hold a placeholder, a line each.
pub(super) fn problems(merged: &Merged, base_url: &str) -> Vec<String> {
    // The stand-in speaks http, and Serval https.
    let is_rehearsal = base_url.starts_with("http:");
    let holds = |setting: &Setting| {
        let text = setting.value.to_string();
        is_placeholder(&text) || (!is_rehearsal && setting.is_secret() && is_rehearsed(&text))
    };
    let settings = merged.settings.iter();
    let found = settings.filter(|(path, setting)| may_be_copied(path, setting) && holds(setting));
    found
        .map(|(path, setting)| problem(path, setting))
        .collect()
}

/// Secrets and ids. Other keys of a sample may work as they are.
fn may_be_copied(path: &str, setting: &Setting) -> bool {
    setting.origin != Origin::Default
        && (setting.is_secret()
            || setting.shape == Shape::Object
            || matches!(path, "serval.client_id" | "database.url"))
}

fn problem(path: &str, setting: &Setting) -> String {
    let place = match &setting.file {
        Some(file) => file.display().to_string(),
        None => setting.origin.to_string(),
    };
    let what = if setting.is_secret() {
        "a secret that our documents print, and everybody knows"
    } else {
        "a placeholder of our documents"
    };
    format!("{path} ({place}) holds {what}: put your own in its place")
}
