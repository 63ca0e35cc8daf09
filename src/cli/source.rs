//! Names of configured sources on the command line.

use crate::config::Config;
use crate::domain::ids::SourceName;
use crate::terminal::Failure;

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
