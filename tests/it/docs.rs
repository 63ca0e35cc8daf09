//! The documents and the program agree: reasons, commands, configuration.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use serval_connect::cli::Cli;
use serval_connect::config::{Config, Environment, Loaded};
use serval_connect::domain::event::EventState;
use serval_connect::domain::reason::Reason;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The production part of every source file, tests left out.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("src")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() && name != "tests" && name != "mock_serval" {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    let code = files.iter().map(|path| {
        let text = fs::read_to_string(path).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        code.to_owned()
    });
    code.collect()
}

/// The words in quotes in `text` that look like reasons.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_reason =
        |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.filter(is_reason).map(str::to_owned)
}

/// The reasons for which sources ignore events: after each of these openings, up to what closes it.
fn reasons_in_code() -> BTreeSet<String> {
    const PLACES: [(&str, &str); 6] = [
        ("Disposition::Ignore(", ")"),
        ("Disposition::SetAside(", ")"),
        ("const FOREIGN_INSTANCE: &str = ", ";"),
        ("const IGNORED: &str = ", ";"),
        ("Verdict::ignore(", ")"),
        ("Verdict::refer(", ","),
    ];
    let mut found = BTreeSet::new();
    for code in sources() {
        for (open, close) in PLACES {
            found.extend(between(&code, open, close).flat_map(words));
        }
        for arms in between(&code, "let reason = match ", "};") {
            found.extend(between(arms, "=> ", ",").flat_map(words));
        }
    }
    found
}

/// What stands between each `open` and the `close` that follows it.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    let rests = text.split(open).skip(1);
    rests.filter_map(move |rest| rest.split(close).next())
}

/// The word in the first column of every row of a document's tables.
fn first_column(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let words = rows.filter_map(|row| row.split('`').next());
    words.map(str::to_owned).collect()
}

#[test]
fn every_state_and_every_reason_is_explained_and_none_that_does_not_exist() {
    let text = document("docs/states.md");
    for state in EventState::ALL {
        let heading = format!("\n## {}\n", state.as_str());
        assert!(
            text.contains(&heading),
            "docs/states.md has no section {}",
            state.as_str()
        );
    }
    let mut expected = reasons_in_code();
    expected.extend(Reason::ALL.map(|reason| reason.as_str().to_owned()));
    // The words of `http::api::events` for a replay.
    expected.insert("replayed".to_owned());
    assert!(
        expected.len() > 35,
        "the search has lost its way: {expected:?}"
    );
    let explained = first_column(&text);
    let missing: Vec<_> = expected.difference(&explained).collect();
    let stale: Vec<_> = explained.difference(&expected).collect();
    assert!(missing.is_empty(), "not in docs/states.md: {missing:?}");
    assert!(stale.is_empty(), "only in docs/states.md: {stale:?}");
}

#[test]
fn the_readme_lists_the_commands_that_exist() {
    let readme = document("README.md");
    let (_, section) = readme.split_once("## Commands").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = first_column(section)
        .iter()
        .filter_map(|cell| cell.split(' ').next())
        .map(str::to_owned)
        .collect();
    let cli = Cli::command();
    let exist: BTreeSet<String> = cli
        .get_subcommands()
        .map(|c| c.get_name().to_owned())
        .collect();
    assert_eq!(listed, exist);
}

#[test]
fn the_readmes_configuration_is_ready_for_serve_but_for_its_placeholders() {
    let readme = document("README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (toml, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serval-connect.toml");
    fs::write(&file, toml).unwrap();
    let environment: Environment = [("SERVAL_CLIENT_SECRET", "a-secret-of-serval")]
        .into_iter()
        .collect();
    let loaded = Config::load(&[file], &environment).unwrap();
    lacks_only_what_is_to_be_filled_in(&loaded);
}

/// Asserts that `serve` would start once the placeholders are replaced.
pub(crate) fn lacks_only_what_is_to_be_filled_in(loaded: &Loaded) {
    let refused = loaded.validate_for_serve();
    let problems = refused.err().map(|error| error.problems);
    for problem in problems.unwrap_or_default() {
        assert!(problem.contains("our documents"), "{problem}");
    }
}

/// The documents, by their paths.
fn documents() -> Vec<String> {
    let mut names: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "md") {
            let name = path.file_name().unwrap().to_str().unwrap();
            names.push(format!("docs/{name}"));
        }
    }
    names
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    let lower = kept.collect::<String>().to_lowercase();
    lower.trim().replace(' ', "-")
}

#[test]
fn the_links_of_the_documents_lead_somewhere() {
    for name in documents() {
        let text = document(&name);
        let folder = root().join(&name).parent().unwrap().to_owned();
        for link in between(&text, "](", ")") {
            if link.starts_with("http") {
                continue;
            }
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() {
                root().join(&name)
            } else {
                folder.join(file)
            };
            assert!(path.exists(), "{name}: {link}");
            if !section.is_empty() {
                let target = fs::read_to_string(path).unwrap();
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|line| anchor(line.trim_start_matches('#')) == section);
                assert!(is_there, "{name}: {link}");
            }
        }
    }
}

#[test]
fn the_guides_configurations_can_be_read() {
    for name in ["docs/servicenow.md", "docs/slack.md"] {
        let text = document(name);
        let toml = between(&text, "```toml\n", "```").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut toml = toml.to_owned();
        // The guide's files, in a folder that is ours.
        for (file, secret) in [
            ("admin_tokens", "an-admin-token-of-thirty-characters"),
            ("serval_client_secret", "a-secret-of-serval"),
            (
                "servicenow_secrets",
                "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            ),
            ("slack_signing_secrets", "a-signing-secret-of-slack"),
        ] {
            let path = folder.path().join(file);
            fs::write(&path, secret).unwrap();
            let quoted = format!("\"{file}\"");
            toml = toml.replace(&quoted, &format!("\"{}\"", path.display()));
        }
        let file = folder.path().join("serval-connect.toml");
        fs::write(&file, toml).unwrap();
        let loaded = Config::load(&[file], &Environment::default()).unwrap();
        lacks_only_what_is_to_be_filled_in(&loaded);
    }
}
