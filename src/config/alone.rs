//! Reads one section alone, for commands that must work while another section is faulty: a health
//! check must not fail because of a secret that it does not need.
//!
//! Invariant: keys of other sections are not checked, and their secret files are not read.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::env::Environment;
use super::layers::{Place, Problems};
use super::loaded::ConfigError;
use super::settings::{Config, ServalConfig, ServerConfig};
use super::{load, merge};
use crate::sources;

/// A section that was read without a fault.
#[derive(Debug, Clone)]
pub struct Alone<T> {
    /// The typed settings.
    pub section: T,
    /// Faults elsewhere. A file that is not TOML, for example, may be why a key seems to be missing.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads `[server]` from the layers that [`Config::load`] reads.
    pub fn load_server(
        files: &[PathBuf],
        environment: &Environment,
    ) -> Result<Alone<ServerConfig>, ConfigError> {
        alone("server", files, environment)
    }

    /// Reads `[serval]` from the layers that [`Config::load`] reads. The
    /// client checks that the credentials are complete.
    pub fn load_serval(
        files: &[PathBuf],
        environment: &Environment,
    ) -> Result<Alone<ServalConfig>, ConfigError> {
        alone("serval", files, environment)
    }
}

fn alone<T: DeserializeOwned>(
    place: &'static str,
    files: &[PathBuf],
    environment: &Environment,
) -> Result<Alone<T>, ConfigError> {
    let mut elsewhere = Problems::default();
    let mut layers = load::read(files, environment, &mut elsewhere);
    for layer in &mut layers {
        layer
            .written
            .retain(|written| written.place == Place::Section(place));
        layer.sources.clear();
    }
    let mut problems = Problems::default();
    let merged = merge::merge(layers, sources::BUILT_IN, &mut problems);
    if !problems.0.is_empty() {
        problems.0.extend(elsewhere.0);
        return Err(problems.into());
    }
    Ok(Alone {
        section: load::section(&merged, place)?,
        warnings: elsewhere.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_fault_elsewhere_does_not_stand_in_the_way() {
        let environment = environment(&[
            ("SERVAL_CONNECT__SERVER__LISTEN", "0.0.0.0:9090"),
            ("SERVAL_CLIENT_SECRET_FILE", "/nowhere/secret"),
            ("SERVAL_CONNECT__DELIVERY__RATE", "many"),
            ("SERVAL_CONNECT__SOURCES__CRM__SECRETS", "x"),
        ]);
        let server = Config::load_server(&[], &environment).unwrap();
        assert_eq!(server.section.listen, "0.0.0.0:9090".parse().unwrap());
        assert!(Config::load(&[], &environment).is_err());
        let refused = Config::load_serval(&[], &environment).unwrap_err();
        assert!(
            refused.to_string().contains("/nowhere/secret"),
            "{refused} names its own faults"
        );
        assert_eq!(refused.problems.len(), 1, "{refused}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_warning_where_the_section_is_whole_without_it() {
        let missing = [PathBuf::from("/nowhere/serval-connect.toml")];
        let environment = environment(&[("SERVAL_BEARER_TOKEN", "t0ken")]);
        let serval = Config::load_serval(&missing, &environment).unwrap();
        assert!(serval.section.bearer_token.is_some());
        assert_eq!(serval.warnings.len(), 1);
        assert!(serval.warnings[0].contains("/nowhere/serval-connect.toml"));
    }

    #[test]
    fn a_fault_in_the_section_itself_is_an_error() {
        let environment = environment(&[("SERVAL_CONNECT__SERVER__LISTEN", "localhost")]);
        let refused = Config::load_server(&[], &environment).unwrap_err();
        assert!(refused.to_string().contains("server.listen"), "{refused}");
    }
}
