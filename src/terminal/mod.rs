//! Shared by all commands: their common options, their failures, and printing.
//!
//! This facade holds [`Failure`], which `output` prints, and prints the warnings of [`Global::load`].

pub(crate) mod daemon;
pub(crate) mod output;
pub(crate) mod progress;

use std::fmt::Display;
use std::path::PathBuf;

use reqwest::Url;
use serde_json::Value;

use crate::config::{Config, ConfigError, Environment, Files, Loaded, may_exist};

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// A configuration file (TOML); may be repeated, later files win. Without it: the files in
    /// `SERVAL_CONNECT_CONFIG`, else ./serval-connect.toml, else /etc/serval-connect/serval-connect.toml
    #[arg(long = "config", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
}

/// Reads a URL of the command line.
pub(crate) fn web_url(text: &str) -> Result<Url, &'static str> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or("expected a URL that begins with http:// or https://, such as http://127.0.0.1:8080")
}

/// Reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command did not work: exit code 1.
    #[error("{}", with_causes(.0))]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    /// A failure with this text.
    pub(crate) fn failed(text: impl Display) -> Self {
        Self::Failed(anyhow::anyhow!("{text}"))
    }

    /// Puts `subject` before the text of a failed command; a usage error names its own.
    pub(crate) fn about(self, subject: impl Display) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.context(subject.to_string())),
            usage @ Self::Usage(_) => usage,
        }
    }
}

/// The error with its causes, each said once: many errors end with the text of their cause.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Result of a command.
pub(crate) type Outcome = Result<(), Failure>;

impl Global {
    /// The configuration files. Says on the standard error which, where the command line does not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = Files::choose(&self.files, &Environment::from_process(), may_exist);
        if let Some(remark) = files.remark {
            output::note(remark);
        }
        files.paths
    }

    /// Reads the configuration, and prints its warnings on the standard error.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.files())
    }
}

/// Reads a configuration of these files, and prints its warnings on the standard error.
pub(crate) fn load(files: &[PathBuf]) -> Result<Loaded, ConfigError> {
    let loaded = Config::load(files, &Environment::from_process())?;
    for warning in &loaded.warnings {
        output::warn(warning);
    }
    Ok(loaded)
}

/// The choice between text and JSON.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Form {
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Form {
    /// Prints an answer of the API: as it is for programs, or as `text` shows it.
    pub(crate) fn show(self, answer: &Value, text: impl FnOnce(&Value)) {
        if self.json {
            output::json(answer);
        } else {
            text(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use x.db: {source}")]
    struct Repeats {
        source: std::io::Error,
    }

    #[test]
    fn each_cause_of_a_failure_is_said_once() {
        let full = || std::io::Error::other("the disk is full");
        let repeats = || Repeats { source: full() };
        for (error, expected) in [
            (anyhow::Error::from(full()), "the disk is full"),
            (repeats().into(), "cannot use x.db: the disk is full"),
            (
                Err::<(), _>(repeats()).context("not started").unwrap_err(),
                "not started: cannot use x.db: the disk is full",
            ),
            (
                Err::<(), _>(full()).context("not started").unwrap_err(),
                "not started: the disk is full",
            ),
        ] {
            assert_eq!(Failure::from(error).to_string(), expected);
        }
    }
}
