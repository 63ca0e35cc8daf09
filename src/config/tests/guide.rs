//! `docs/configuration.md` and the program agree: the tables hold every key as it is, and the
//! examples do what the page says.
//!
//! The tables are made from the registry and the comments of `config/default.toml`. To write them
//! anew: `cargo test --lib -- --ignored writes_the_tables_of_the_guide`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::load;
use crate::config::keys;
use crate::config::load::DEFAULTS;
use crate::config::{Config, Environment, report};
use crate::edge::shapes::{Key, Shape};
use crate::edge::units;
use crate::sources::{self, BUILT_IN};

const NOT_SET: &str = "not set";
/// Note on keys that a reload does not change.
const RESTART: &str = " *A change takes a restart.*";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")
}

fn guide() -> String {
    fs::read_to_string(path()).unwrap()
}

/// An entry of `default.toml`.
struct Entry {
    comment: String,
    /// The value beside it, as TOML.
    value: String,
    /// True if the line is not commented out.
    is_set: bool,
}

/// The entries of `default.toml` by section and key. A comment belongs to the line below it.
fn entries() -> BTreeMap<(String, String), Entry> {
    let mut entries = BTreeMap::new();
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
            continue;
        }
        let (is_set, line) = match line.strip_prefix('#') {
            Some(line) => (false, line),
            None => (true, line),
        };
        let said = std::mem::take(&mut comment).join(" ");
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let entry = Entry {
                comment: said,
                value: value.to_owned(),
                is_set,
            };
            entries.insert((section.clone(), key.to_owned()), entry);
        }
    }
    entries
}

/// The name of what a key holds, and which values are allowed.
fn words(shape: Shape) -> (&'static str, String) {
    let range = |min: String, max: String| format!("{min} to {max}");
    match shape {
        Shape::Address => ("address", "IP address and port".to_owned()),
        Shape::Text | Shape::File => ("text", String::new()),
        Shape::Texts => ("list of texts", String::new()),
        Shape::Secret | Shape::DatabaseUrl => ("secret", String::new()),
        Shape::Secrets => ("list of secrets", String::new()),
        Shape::Size { min, max } => (
            "size",
            range(units::shown_size(min), units::shown_size(max)),
        ),
        Shape::Duration { min, max } => (
            "duration",
            range(units::shown_duration(min), units::shown_duration(max)),
        ),
        Shape::Count { min, max } => ("whole number", range(min.to_string(), max.to_string())),
        Shape::Switch => ("switch", "`true`, `false`".to_owned()),
        Shape::OneOf(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            ("word", quoted.join(", "))
        }
        Shape::Object => ("table", String::new()),
        Shape::TextTable => ("table of texts", String::new()),
    }
}

/// The table of a section or of a kind of source.
fn table(section: &str, keys: &[Key], entries: &BTreeMap<(String, String), Entry>) -> String {
    let kind = section.strip_prefix("sources.");
    let kind = kind.and_then(|name| sources::kind_named(BUILT_IN, name));
    let defaults = kind.map(sources::defaults_of);
    let mut text =
        "| key | holds | default | allowed | meaning |\n|---|---|---|---|---|\n".to_owned();
    for key in keys {
        let name = key.name;
        let entry = entries
            .get(&(section.to_owned(), name.to_owned()))
            .unwrap_or_else(|| panic!("{section}.{name} is not in default.toml"));
        assert!(
            !entry.comment.is_empty(),
            "{section}.{name} has no comment of its own in default.toml"
        );
        let has_default = match &defaults {
            Some(defaults) => !defaults[name].is_null(),
            None => entry.is_set,
        };
        let default = if has_default {
            format!("`{}`", entry.value)
        } else {
            NOT_SET.to_owned()
        };
        let (holds, allowed) = if name == "kind" {
            let names = BUILT_IN.iter().map(|kind| format!("`{}`", kind.name()));
            ("word", names.collect::<Vec<_>>().join(", "))
        } else {
            words(key.shape)
        };
        let meaning = entry.comment.replace('|', "\\|");
        let restart = if key.is_fixed { RESTART } else { "" };
        writeln!(
            text,
            "| `{name}` | {holds} | {default} | {allowed} | {meaning}{restart} |"
        )
        .unwrap();
    }
    text
}

/// The tables by section, in the order of the page.
fn tables() -> Vec<(String, String)> {
    let entries = entries();
    let sections = keys::SECTIONS
        .iter()
        .map(|(name, keys)| ((*name).to_owned(), keys.to_vec()));
    let sources = BUILT_IN.iter();
    let sources = sources.map(|kind| (format!("sources.{}", kind.name()), sources::keys_of(*kind)));
    sections
        .chain(sources)
        .map(|(name, keys)| {
            let table = table(&name, &keys, &entries);
            (name, table)
        })
        .collect()
}

fn marks(section: &str) -> (String, String) {
    let begin = format!("<!-- keys of {section} -->\n");
    (begin, "<!-- end -->".to_owned())
}

/// The page with its tables as they are to be.
fn written_anew(guide: &str) -> String {
    let mut guide = guide.to_owned();
    for (section, table) in tables() {
        let (begin, end) = marks(&section);
        let from = guide
            .find(&begin)
            .unwrap_or_else(|| panic!("docs/configuration.md has no place for {section}: {begin}"))
            + begin.len();
        let len = guide[from..].find(&end).expect("the place has an end");
        guide.replace_range(from..from + len, &table);
    }
    guide
}

#[test]
fn the_tables_hold_every_key_with_its_default_range_and_meaning() {
    let guide = guide();
    assert!(
        guide == written_anew(&guide),
        "docs/configuration.md is stale: \
         cargo test --lib -- --ignored writes_the_tables_of_the_guide"
    );
    let places = guide.matches("<!-- keys of ").count();
    assert_eq!(
        places,
        tables().len(),
        "a section is gone, its table is not"
    );
    for (section, _) in tables() {
        let section = section.split('.').next().unwrap_or_default().to_owned();
        assert!(guide.contains(&format!("`[{section}")), "{section}");
    }
}

#[test]
#[ignore = "writes docs/configuration.md"]
fn writes_the_tables_of_the_guide() {
    fs::write(path(), written_anew(&guide())).unwrap();
}

#[test]
fn the_reader_of_the_reference_reads_the_reference() {
    let entries = entries();
    let entry = |section: &str, key: &str| &entries[&(section.to_owned(), key.to_owned())];
    let listen = entry("server", "listen");
    assert_eq!(listen.value, "\"127.0.0.1:8080\"");
    assert!(listen.is_set && listen.comment.starts_with("Address for webhooks"));
    assert!(!entry("serval", "client_id").is_set);
    assert_eq!(entry("sources.slack", "park_for").value, "\"7d\"");
    let n: usize = tables()
        .iter()
        .map(|(_, table)| table.lines().count() - 2)
        .sum();
    let registered: usize = keys::SECTIONS.iter().map(|(_, keys)| keys.len()).sum();
    let of_sources = BUILT_IN.iter().map(|kind| sources::keys_of(*kind).len());
    assert_eq!(n, registered + of_sources.sum::<usize>());
}

/// The blocks of code in this language.
fn blocks<'a>(guide: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    let rests = guide.split(open.as_str()).skip(1);
    rests.filter_map(|rest| rest.split("```").next()).collect()
}

/// The variables that a block sets.
fn variables(block: &str) -> Vec<(&str, &str)> {
    let lines = block
        .lines()
        .map(|line| line.split("   #").next().unwrap_or_default().trim());
    let pairs = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    pairs
        .map(|line| {
            let (name, value) = line.split_once('=').expect("a variable and its value");
            (name, value.trim_matches('\''))
        })
        .collect()
}

#[test]
fn the_examples_of_files_and_variables_are_read() {
    let guide = guide();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "a-secret-in-a-file-of-its-own\n").unwrap();
    let ours = |text: &str| {
        let mut text = text.to_owned();
        while let Some(at) = text.find("/run/secrets/") {
            let rest = &text[at..];
            let len = rest.find(['"', ' ', '\n']).unwrap_or(rest.len());
            text.replace_range(at..at + len, secret.to_str().unwrap());
        }
        text
    };
    let toml = blocks(&guide, "toml");
    assert!(toml.len() >= 2);
    for block in &toml {
        load(&[&ours(block)], &[]).unwrap_or_else(|error| panic!("{block}\n{error}"));
    }
    let sources =
        "[sources.servicenow]\n[sources.slack]\n[sources.servicenow-eu]\nkind = 'servicenow'";
    let env = blocks(&guide, "env");
    assert!(env.len() >= 3);
    for block in env {
        let block = ours(block);
        let variables = variables(&block);
        let loaded =
            load(&[sources], &variables).unwrap_or_else(|error| panic!("{block}\n{error}"));
        for (name, _) in &variables {
            let mut settings = loaded.merged.settings.values();
            assert!(
                settings.any(|set| set.origin.to_string() == *name),
                "{name}"
            );
        }
    }
}

/// The page shows lines that `check` prints for the file and variables of the page.
#[test]
fn the_example_of_check_is_what_check_prints() {
    let guide = guide();
    let shown = blocks(&guide, "text");
    let (good, bad) = (shown[0], shown[1]);
    let folder = tempfile::tempdir().unwrap();
    let read = |toml: &str, env: &[(&str, &str)]| {
        let file = folder.path().join("serval-connect.toml");
        fs::write(&file, toml).unwrap();
        let environment: Environment = env.iter().copied().collect();
        let report = report(&Config::load(&[file], &environment));
        report
            .text
            .replace(&format!("{}/", folder.path().display()), "")
    };
    let faulty = blocks(&guide, "toml-faulty")[0];
    let text = read(faulty, &[]);
    for line in bad.lines() {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let secrets = elsewhere.path().join("tokens");
    fs::write(
        &secrets,
        "one-token-of-an-operator\nanother-token-of-an-operator\n",
    )
    .unwrap();
    let secrets = secrets.to_str().unwrap();
    let toml = blocks(&guide, "toml")[0].replace("/run/secrets/admin_tokens", secrets);
    let text = read(&toml, &[("SERVAL_CONNECT__DELIVERY__RATE", "25")]);
    let text = text.replace(secrets, "/run/secrets/admin_tokens");
    for line in good.lines().filter(|line| *line != "…") {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}
