//! Names of configured sources and of external tickets on the command line.

use std::fmt;

use serde_json::Value;

use crate::config::Config;
use crate::domain::ids::SourceName;
use crate::terminal::Failure;

/// The arguments that name an external ticket.
#[derive(Debug, clap::Args)]
pub(super) struct Ticket {
    /// The source's name in the configuration
    pub(super) source: String,
    /// ServiceNow: the `sys_id`, or a number such as INC0010421. Slack: the link of a message, or channel
    /// and thread, such as C9DDYQ1B4:1779146751.061339
    pub(super) external_id: String,
}

/// An external ticket as it was named. The API looks numbers up.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) source: SourceName,
    pub(super) typed: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.typed)
    }
}

impl Named {
    /// The external ticket that the API answered for.
    pub(super) fn in_answer(&self, answer: &Value) -> String {
        let id = answer["external_id"].as_str().unwrap_or(&self.typed);
        format!("{}/{id}", self.source)
    }
}

impl Ticket {
    /// Checks that the source is configured, and that its kind can read the name.
    pub(super) fn read(&self, config: &Config) -> Result<Named, Failure> {
        let source = source(config, &self.source)?;
        let read = config.sources[&source].kind.read_typed(&self.external_id);
        let typed =
            read.map_err(|error| Failure::Usage(format!("{:?}: {error}", self.external_id)))?;
        let typed = typed.to_string();
        Ok(Named { source, typed })
    }

    /// Reads a name of something stored: the API also knows spellings that nobody may write any more.
    pub(super) fn read_known(&self, config: &Config) -> Result<Named, Failure> {
        let source = source(config, &self.source)?;
        let read = config.sources[&source].kind.read_typed(&self.external_id);
        let typed = read.map_or_else(|_| self.external_id.clone(), |typed| typed.to_string());
        Ok(Named { source, typed })
    }
}

/// The configured source with this name. The failure lists the configured names.
pub(super) fn source(config: &Config, name: &str) -> Result<SourceName, Failure> {
    let known = config.sources.keys().find(|known| known.as_str() == name);
    known.cloned().ok_or_else(|| {
        let names: Vec<_> = config.sources.keys().map(SourceName::as_str).collect();
        Failure::Usage(if names.is_empty() {
            format!(
                "no source is named {name:?}, and none is configured: give the daemon's \
                 configuration with --config"
            )
        } else {
            format!(
                "no source is named {name:?}; configured: {}",
                names.join(", ")
            )
        })
    })
}
