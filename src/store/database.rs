//! Where a database is, and the settings of one on a server.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::engine::Address;
use super::error::OpenError;
use super::file::lock::file_of;
use crate::edge::server_url;

/// Time after which a replica counts as dead, unless somebody chose another.
pub const DEAD_AFTER: Duration = Duration::from_secs(45);

/// A database: its URL, and what else a server needs.
#[derive(Debug, Clone)]
pub struct Database {
    /// `sqlite://path`, or `postgres://…`.
    pub url: SecretString,
    /// File with the password for a server, read for each connection.
    pub password_file: Option<PathBuf>,
    /// True if a start brings the schema on a server up to date.
    pub migrate: bool,
    /// URL of the server itself, if `url` is that of a pooler. Migrations use it.
    pub direct_url: Option<SecretString>,
    /// Time without a sign of life after which a replica counts as dead.
    pub dead_after: Duration,
}

impl Database {
    /// The database at `url`, with the usual settings.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            password_file: None,
            migrate: true,
            direct_url: None,
            dead_after: DEAD_AFTER,
        }
    }

    /// True if it is on a server.
    pub fn is_on_server(&self) -> bool {
        server_url::names_a_server(self.url())
    }

    /// The part of the URL that people may see.
    pub fn shown(&self) -> String {
        server_url::shown(self.url())
    }

    /// The file of a database that is one.
    pub fn file(&self) -> Result<PathBuf, OpenError> {
        file_of(self.url())
    }

    pub(crate) fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Address of the server, or of the pooler before it.
    pub(crate) fn address(&self) -> Result<Address, OpenError> {
        self.address_at(&self.url)
    }

    /// Address of the server itself.
    pub(crate) fn direct_address(&self) -> Result<Address, OpenError> {
        self.address_at(self.direct_url.as_ref().unwrap_or(&self.url))
    }

    fn address_at(&self, url: &SecretString) -> Result<Address, OpenError> {
        let address = Address::parse(url.expose_secret(), self.password_file.clone());
        address.map_err(|problem| OpenError::Url { problem })
    }
}
