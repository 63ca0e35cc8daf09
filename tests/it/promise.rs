//! `docs/promise.md`: every sentence names its proof, and every proof exists.

use std::fs;
use std::path::{Path, PathBuf};

fn document() -> String {
    fs::read_to_string(root().join("docs/promise.md")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the product and its tests.
fn code() -> String {
    let mut folders: Vec<PathBuf> = vec![root().join("src"), root().join("tests")];
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    code
}

/// The promises: the list items of the first section, each as one line.
fn promises(document: &str) -> Vec<String> {
    let (_, section) = document.split_once("\n## What is promised\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut items: Vec<String> = Vec::new();
    for line in section.lines() {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(first), _) => items.push(first.to_owned()),
            (None, Some(item)) if line.starts_with("  ") => {
                item.push(' ');
                item.push_str(line.trim());
            }
            (None, _) => {}
        }
    }
    items
}

fn proofs(promise: &str) -> Vec<&str> {
    let Some((_, proofs)) = promise.split_once("Proven by ") else {
        return Vec::new();
    };
    proofs.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let (document, code) = (document(), code());
    let promises = promises(&document);
    assert!(promises.len() >= 10, "{promises:?}");
    for promise in &promises {
        let proofs = proofs(promise);
        assert!(!proofs.is_empty(), "no proof: {promise}");
        for proof in proofs {
            let is_there = code.match_indices(&format!("fn {proof}(")).any(|(at, _)| {
                // The attributes stand right before it, on lines of their own.
                let head = &code[..at];
                let last_item = head
                    .rfind("\n}\n")
                    .max(head.rfind("\n    }\n"))
                    .unwrap_or(0);
                head[last_item..].contains("test")
            });
            assert!(is_there, "{proof} is no test");
        }
    }
}

#[test]
fn the_promise_says_what_it_does_not_claim() {
    assert!(document().contains("\n## What is not claimed\n"));
}
