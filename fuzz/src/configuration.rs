//! Configuration files. An input is one in TOML.

use std::cell::LazyCell;
use std::fs;
use std::path::PathBuf;

use serval_connect::config::{Config, ConfigError, Environment, Loaded};
use tempfile::TempDir;

/// Stands in inputs where a secret does. No error, warning or report may show it.
const CANARY: &str = "canary-5f3b9a";

/// The keys of secrets.
const SECRET: [&str; 9] = [
    "basic_auth",
    "bearer_token",
    "bearer_tokens",
    "client_secret",
    "mapping_tokens",
    "otlp_headers",
    "secrets",
    "signing_secrets",
    "tokens",
];

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| {
        // Written for every input, so into memory where that is possible.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        TempDir::new_in(folder).expect("a folder for one file")
    });
}

/// Reads the configuration file `input`.
pub fn check(input: &[u8]) {
    // A key with `_file` would have us read whatever the input names.
    if input.windows(5).any(|part| part == b"_file") {
        return;
    }
    // Where it is no secret it may be shown.
    if !holds_canary_as_secret(&String::from_utf8_lossy(input)) {
        return;
    }
    let path = FOLDER.with(|folder| folder.path().join("input.toml"));
    fs::write(&path, input).expect("the file can be written");
    let load = || Config::load(std::slice::from_ref(&path), &Environment::default());
    match load() {
        Ok(loaded) => {
            check_loaded(&loaded);
            let again = load().expect("the same file once more");
            assert_eq!(again.redacted(), loaded.redacted());
        }
        Err(error) => check_error(&error),
    }
}

/// Whether the canary, if it is there, is the value of secrets alone, on one line each.
fn holds_canary_as_secret(text: &str) -> bool {
    let spans_lines = text.contains("\"\"\"") || text.contains("'''");
    let mut lines = text.lines().filter(|line| line.contains(CANARY));
    lines.all(|line| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        SECRET.contains(&key.trim())
            && !key.contains(CANARY)
            && !value.contains('=')
            && !spans_lines
    })
}

fn check_loaded(loaded: &Loaded) {
    assert!(!loaded.redacted().contains(CANARY), "{}", loaded.redacted());
    for warning in &loaded.warnings {
        check_line(warning);
    }
    match loaded.validate_for_serve() {
        Ok(()) => {
            let config = &loaded.config;
            assert!(!config.sources.is_empty());
            for (name, source) in &config.sources {
                let built = source.build(name).expect("what may serve can be built");
                assert_eq!(built.kind, source.kind);
            }
            let client = config.serval.client_id.is_some() && config.serval.client_secret.is_some();
            assert!(client != config.serval.bearer_token.is_some());
        }
        Err(error) => check_error(&error),
    }
}

fn check_error(error: &ConfigError) {
    assert!(!error.problems.is_empty());
    error.problems.iter().for_each(|line| check_line(line));
}

/// A line for a log or a terminal, without what was in the file but its keys.
fn check_line(line: &str) {
    assert!(!line.contains(CANARY), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
