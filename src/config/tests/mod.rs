//! The configuration as a whole.

mod database;
mod guide;
mod layering;
mod placeholders;
mod reference;
mod refusals;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Config, ConfigError, Loaded};

/// A value that must never be seen.
const CANARY: &str = "canary-5f3b9a";

fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn load(files: &[&str], variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = TempDir::new().unwrap();
    let files: Vec<PathBuf> = files
        .iter()
        .enumerate()
        .map(|(n, text)| write(&dir, &format!("{n}.toml"), text))
        .collect();
    Config::load(&files, &variables.iter().copied().collect())
}

/// The problems, with file paths cut down to file names.
fn problems(files: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    let error = load(files, variables).expect_err("the configuration has faults");
    let short = |line: &String| match line.split_once(".toml") {
        Some((path, rest)) if path.starts_with('/') => {
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            format!("{name}.toml{rest}")
        }
        _ => line.clone(),
    };
    error.problems.iter().map(short).collect()
}
