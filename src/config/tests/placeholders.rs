//! The published secrets, held against the documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::checks::placeholders::{is_placeholder, is_rehearsed};
use crate::config::keys;
use crate::edge::shapes::Shape;
use crate::sources::{self, BUILT_IN};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn documents() -> Vec<PathBuf> {
    let mut found = vec![Path::new(ROOT).join("README.md")];
    for name in ["compose.yaml", "compose.postgres.yaml", "CONTRIBUTING.md"] {
        found.push(Path::new(ROOT).join(name));
    }
    let mut folders: Vec<_> = ["docs", "config", "deploy", "contrib"]
        .map(|name| Path::new(ROOT).join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kinds = ["md", "toml", "yaml", "sh"].map(Some);
            if path.is_dir() {
                folders.push(path);
            } else if kinds.contains(&path.extension().and_then(|end| end.to_str())) {
                found.push(path);
            }
        }
    }
    found
}

/// Names of all secrets, as keys, and as the ends of variables.
fn names() -> BTreeSet<String> {
    let sections = keys::SECTIONS.iter().flat_map(|(_, keys)| keys.to_vec());
    let kinds = BUILT_IN.iter().flat_map(|kind| sources::keys_of(*kind));
    let all = sections.chain(kinds);
    let secrets = all.filter(|key| key.shape.is_secret() && key.shape != Shape::DatabaseUrl);
    // Headers for a collector are shown with what they look like.
    let names = secrets
        .map(|key| key.name)
        .filter(|name| *name != "otlp_headers");
    names.map(str::to_owned).collect()
}

/// The values that a line gives to a secret.
fn values(line: &str, names: &BTreeSet<String>) -> Vec<String> {
    let line = line.trim_start_matches(['#', '-', ' ', '|']);
    let Some((name, value)) = line.split_once(['=', ':']) else {
        return Vec::new();
    };
    let name = name.trim().to_ascii_lowercase();
    let last = name.rsplit("__").next().unwrap_or_default();
    let last = last.strip_prefix("serval_").unwrap_or(last);
    let value = value.trim();
    if !names.contains(last) || value.contains(" | ") {
        return Vec::new();
    }
    let quoted: Vec<_> = value
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    if !quoted.is_empty() || value.starts_with('[') {
        return quoted;
    }
    let word = value.split_whitespace().next().unwrap_or_default();
    let is_value =
        !word.is_empty() && !word.starts_with(['|', '(', '$', '{']) && !value.contains(' ');
    is_value.then(|| word.to_owned()).into_iter().collect()
}

#[test]
fn every_secret_that_a_document_prints_is_known_as_published() {
    let names = names();
    let mut n = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let signed = text.split(|c: char| c.is_whitespace() || "\"`'".contains(c));
        let signed = signed.filter(|word| word.starts_with("whsec_") && word.len() > 20);
        let assigned = text.lines().flat_map(|line| values(line, &names));
        for value in assigned.chain(signed.map(str::to_owned)) {
            n += 1;
            let is_known = is_placeholder(&value) || is_rehearsed(&value) || value.contains("$(");
            assert!(is_known, "{}: {value}", path.display());
        }
    }
    assert!(n > 15, "{n}");
}
