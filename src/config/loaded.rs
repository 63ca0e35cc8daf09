//! A configuration that was read, or the reasons why it cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

use super::layers::{Origin, Problems};
use super::merge::Merged;
use super::settings::Config;

/// Reasons why a configuration cannot be used: one line for each fault, none of them with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<String>,
}

impl From<Problems> for ConfigError {
    /// Escapes control characters, which a quoted key may contain, so that each fault stays one line.
    fn from(Problems(problems): Problems) -> Self {
        let escaped = |c: char| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        };
        let one_line = |problem: String| problem.chars().map(escaped).collect();
        Self {
            problems: problems.into_iter().map(one_line).collect(),
        }
    }
}

impl Problems {
    /// Fails if a fault was found.
    pub(super) fn none(self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into())
        }
    }
}

/// A configuration that was read without a fault.
#[derive(Clone)]
pub struct Loaded {
    /// The typed settings.
    pub config: Config,
    /// Values that are allowed but are probably a mistake.
    pub warnings: Vec<String>,
    /// The values before typing; the next reload is compared with them.
    pub(super) merged: Merged,
}

impl Loaded {
    /// Origin of the key at this dotted path, if it is set.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.merged.settings.get(path).map(|set| &set.origin)
    }

    /// Where earlier versions looked for the database, if that is another place: they counted all paths from the
    /// working directory.
    pub fn earlier_place(&self) -> Option<PathBuf> {
        let url = self.merged.settings.get("database.url")?;
        let folder = match &url.origin {
            Origin::Variable(_) => return None,
            Origin::File { path, .. } => path.parent()?,
            Origin::Default => self.merged.home.as_deref()?,
        };
        let path = Path::new(url.value.as_str()?.strip_prefix("sqlite://")?);
        let earlier = path.strip_prefix(folder).ok()?;
        (earlier != path && earlier.is_relative()).then(|| earlier.to_owned())
    }
}

/// Leaves out the merged values, which may be secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
