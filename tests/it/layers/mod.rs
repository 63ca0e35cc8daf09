//! The borders between the modules, and the house's rules for a file. Reads `src/`.

mod circles;
mod systems;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest a file may be before its tests, in lines.
const MAX_LINES: usize = 350;
/// The most that a folder may hold, without the folders below it.
const MAX_FOLDER_FILES: usize = 16;
const MAX_FOLDER_LINES: usize = 2500;

/// What each module may use of the others. `main` and `cli` may use all.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sources", &["domain", "edge"]),
    ("store", &["domain", "edge"]),
    ("config", &["domain", "edge", "sources"]),
    ("edge", &["domain"]),
    ("serval", &["config", "domain", "edge"]),
    (
        "delivery",
        &["config", "domain", "edge", "serval", "sources", "store"],
    ),
    // What both doors of operators share.
    (
        "operators",
        &["delivery", "domain", "edge", "sources", "store"],
    ),
    (
        "web",
        &[
            "delivery",
            "domain",
            "edge",
            "operators",
            "sources",
            "store",
        ],
    ),
    (
        "process",
        &[
            "config",
            "delivery",
            "domain",
            "edge",
            "operators",
            "serval",
            "sources",
            "store",
            "web",
        ],
    ),
    ("terminal", &["config", "edge"]),
    (
        "rehearsal",
        &[
            "config", "domain", "edge", "process", "serval", "sources", "terminal",
        ],
    ),
];

/// Which modules may name a crate. Crates that are not here are free.
const CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("prometheus_client", &["edge"]),
    ("rustix", &["config", "edge", "store"]),
    ("opentelemetry", &["edge"]),
    ("opentelemetry_http", &["edge"]),
    ("opentelemetry_otlp", &["edge"]),
    ("opentelemetry_sdk", &["edge"]),
    ("tracing_opentelemetry", &["edge"]),
    (
        "reqwest",
        &["cli", "config", "edge", "rehearsal", "serval", "terminal"],
    ),
    ("askama", &["web"]),
    ("arc_swap", &["edge"]),
    ("axum", &["rehearsal", "web"]),
    ("hyper", &["web"]),
    ("tower_http", &["web"]),
    ("rustls", &["edge", "serval"]),
    ("tokio_rustls", &["web"]),
    ("clap", &["cli", "main", "rehearsal", "terminal"]),
    ("comfy_table", &["terminal"]),
    ("indicatif", &["terminal"]),
    ("tracing_subscriber", &["config", "edge"]),
    (
        "tokio",
        &[
            "cli",
            "delivery",
            "edge",
            "operators",
            "process",
            "rehearsal",
            "serval",
            "store",
            "web",
        ],
    ),
    (
        "tracing",
        &[
            "cli",
            "delivery",
            "edge",
            "operators",
            "process",
            "rehearsal",
            "serval",
            "store",
            "web",
        ],
    ),
];

/// A file of `src/`.
struct SourceFile {
    /// Its path below `src/`.
    path: String,
    /// The module at the top of its path.
    module: String,
    text: String,
    /// Without its tests and comments.
    code: String,
}

impl SourceFile {
    /// Whether it holds nothing but tests.
    fn is_test(&self) -> bool {
        let parts = self.path.split('/').any(|part| part == "tests");
        parts || self.path.ends_with("/tests.rs")
    }

    /// The lines before its tests.
    fn lines(&self) -> usize {
        body(&self.text).lines().count()
    }
}

/// What stands before the tests of a file.
fn body(text: &str) -> &str {
    let starts = [
        "#[cfg(test)]\nmod tests {",
        "#[cfg(test)]\npub(crate) mod tests {",
    ];
    let end = starts.iter().filter_map(|start| text.find(start)).min();
    &text[..end.unwrap_or(text.len())]
}

fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "src/ is where it was");
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let module = path
                .split('/')
                .next()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let code = body(&text)
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join("\n");
            SourceFile {
                path,
                module,
                text,
                code,
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The first names of paths that begin with `prefix`, groups in braces too.
fn names_after<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(first_name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.extend(first_name(&group[start..i]));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.extend(first_name(&group[start..i]));
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn first_name(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    Some(&text[..end.unwrap_or(text.len())]).filter(|name| !name.is_empty())
}

/// Whether code names a crate as the start of a path.
fn names_crate(code: &str, name: &str) -> bool {
    let uses = format!("use {name}");
    let imports = code.match_indices(&uses).any(|(at, _)| {
        let rest = &code[at + uses.len()..];
        rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(" as ")
    });
    imports || !names_after(code, &format!("{name}::")).is_empty()
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut faults = Vec::new();
    for file in source_files() {
        if ["main", "lib", "cli"].contains(&file.module.as_str()) || file.is_test() {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == file.module) else {
            faults.push(format!(
                "{} is of a module without a place in the order",
                file.path
            ));
            continue;
        };
        for used in names_after(&file.code, "crate::") {
            if used != file.module && !allowed.contains(&used) {
                faults.push(format!("{} uses crate::{used}", file.path));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_order_of_the_modules_has_no_circle_but_the_types_of_the_configuration() {
    // `config` holds the structs that `serval` and `delivery` are configured by.
    for (module, allowed) in MAY_USE {
        for other in *allowed {
            let (_, back) = MAY_USE.iter().find(|(name, _)| name == other).unwrap();
            assert!(
                !back.contains(module),
                "{module} and {other} use each other"
            );
        }
    }
}

#[test]
fn crates_stay_behind_the_module_that_wraps_them() {
    let mut faults = Vec::new();
    for file in source_files() {
        if file.is_test() {
            continue;
        }
        for (name, allowed) in CRATES {
            if names_crate(&file.code, name) && !allowed.contains(&file.module.as_str()) {
                faults.push(format!("{} names {name}", file.path));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn within_the_store_the_driver_is_named_where_engines_and_files_are() {
    let homes = [
        "store/engine/",
        "store/file/",
        "store/server/",
        "store/error.rs",
    ];
    let named: Vec<String> = source_files()
        .into_iter()
        .filter(|file| !file.is_test() && names_crate(&file.code, "sqlx"))
        .map(|file| file.path)
        .filter(|path| !homes.iter().any(|home| path.starts_with(home)))
        .collect();
    assert_eq!(named, [""; 0]);
}

#[test]
fn only_sources_vouch_for_a_request() {
    // `vouched` is public for kinds of sources from outside. Inside, it would be a way around `verify`.
    let files = source_files();
    let others = files.iter().filter(|file| file.module != "sources");
    let faults: Vec<&str> = others
        .filter(|file| file.code.contains("vouched("))
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn configuration_calls_nobody() {
    for file in source_files().iter().filter(|file| file.module == "config") {
        let names = names_after(&file.code, "reqwest::");
        assert!(
            names.iter().all(|name| *name == "Url"),
            "{}: {names:?}",
            file.path
        );
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    // A file of tests is explained by the module beside it.
    for file in source_files().iter().filter(|file| !file.is_test()) {
        let first = file.text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{}: {first}", file.path);
    }
}

#[test]
fn no_file_is_longer_than_a_reader_likes() {
    let long: Vec<String> = source_files()
        .iter()
        .filter(|file| file.lines() > MAX_LINES && !file.is_test())
        .map(|file| format!("{}: {} lines", file.path, file.lines()))
        .collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn no_folder_holds_more_than_a_reader_can_keep_apart() {
    let mut folders: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in source_files().iter().filter(|file| !file.is_test()) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (files, lines) = folders.entry(folder.to_owned()).or_default();
        *files += 1;
        *lines += file.lines();
    }
    folders.retain(|_, (files, lines)| *files > MAX_FOLDER_FILES || *lines > MAX_FOLDER_LINES);
    assert_eq!(folders, BTreeMap::new());
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "HACK"];
    for file in source_files() {
        for mark in marks {
            let mut words = file.text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(!words.any(|word| word == mark), "{}: {mark}", file.path);
        }
        for line in file.text.lines().map(str::trim) {
            assert!(
                line != "#[ignore]",
                "{}: a test is ignored without a reason",
                file.path
            );
            assert!(
                !line.starts_with("#[allow("),
                "{}: {line}: expect says when it is stale",
                file.path
            );
        }
    }
}

#[test]
fn the_reader_of_paths_reads_paths() {
    let code = "use crate::{clock::Clock, domain::{ids, event}, lifecycle};\nx: crate::store::X, mycrate::no";
    let names: Vec<&str> = names_after(code, "crate::").into_iter().collect();
    assert_eq!(names, ["clock", "domain", "lifecycle", "store"]);
    assert!(names_crate("use sqlx;\n", "sqlx") && names_crate("a: sqlx::Error", "sqlx"));
    assert!(!names_crate("use tokio_util::x; my_sqlx::x", "tokio"));
    assert!(!names_crate("my_sqlx::x", "sqlx"));
    assert_eq!(body("a\n#[cfg(test)]\nmod tests {\nb"), "a\n");
}
