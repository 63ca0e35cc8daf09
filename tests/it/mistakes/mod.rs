//! The mistakes of a new user: each is told with what is wrong and what to do, leaves nothing behind, and claims nothing
//! that is not so. What a command says about them elsewhere in these tests is not repeated here.

mod beside;
mod configuration;
mod exports;
mod ids;
mod imports;
mod sending;
mod usage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::cli_run::{Ended, Site, ended};

/// The situation, the command line, the exit code, and the words that the message must have.
type Mistake = (&'static str, &'static str, i32, &'static [&'static str]);

/// What no failure says: that it broke, or that it worked.
const NEVER: [&str; 12] = [
    "panicked",
    "backtrace",
    "RUST_",
    "mapped to T",
    "mappings imported",
    "mapping imported",
    "removed the mapping",
    "checked and on the disk",
    "restored, ",
    "all is in ",
    "in the queue again",
    "202 Accepted",
];

/// A ticket's id at `ServiceNow` that is right.
const INCIDENT: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";

/// A site with an empty database, whose daemon does not run.
async fn with_database() -> Site {
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    site
}

/// Makes each mistake in the folder of a site.
async fn make(site: &Site, mistakes: &[Mistake]) {
    make_with(site, &[], mistakes).await;
}

/// Makes each mistake with these variables.
async fn make_with(site: &Site, variables: &[(&str, &str)], mistakes: &[Mistake]) {
    let folder = site.path("");
    for (situation, line, code, words) in mistakes {
        let mut command = site.command(line);
        command.current_dir(&folder).envs(variables.iter().copied());
        let before = contents(&folder);
        let ended = ended(command).await;
        judge(&format!("{situation}: {line}"), &ended, *code, words);
        assert_eq!(contents(&folder), before, "{situation}: {line}");
    }
}

/// Asserts how a mistake ended.
fn judge(what: &str, ended: &Ended, code: i32, words: &[&str]) {
    let said = format!("{}{}", ended.out, ended.err);
    assert_eq!(ended.code, code, "{what}: {said}");
    assert!(ended.err.contains("error: "), "{what}: {said}");
    for word in words {
        assert!(said.contains(word), "{what}: {word}: {said}");
    }
    for word in NEVER {
        assert!(!said.contains(word), "{what}: {word}: {said}");
    }
    // A configuration that is refused is not complete.
    let claims_all = said.contains("the configuration is complete");
    assert!(code != 2 || !claims_all, "{what}: {said}");
}

/// The paths below a folder, each with what is in the file. A running daemon writes its database, so of that only
/// the paths count.
fn contents(folder: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_kept = path.is_file() && !path.components().any(|c| c.as_os_str() == "data");
            // The daemon's log grows, and a file may be one that this user cannot read.
            let is_kept = is_kept && !path.ends_with("log");
            let bytes = if is_kept {
                fs::read(&path).unwrap_or_default()
            } else {
                Vec::new()
            };
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert((path, bytes));
        }
    }
    found
}
