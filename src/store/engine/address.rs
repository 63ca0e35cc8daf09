//! The address of a Postgres server: a URL, which may name several hosts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::edge::server_url::{Host, ServerUrl, is_tls_mode};
use crate::store::error::StoreError;

/// Number of prepared statements that a connection keeps. The store has fewer.
const STATEMENTS: usize = 500;
/// Variable that says how TLS is used, where the URL does not.
const TLS_MODE: &str = "PGSSLMODE";

/// The hosts of a database, in the order in which they are tried, and where the password is.
#[derive(Clone)]
pub(crate) struct Address {
    hosts: Vec<(String, PgConnectOptions)>,
    password_file: Option<PathBuf>,
    /// Index of the host that took writes last. Clones share it.
    current: Arc<AtomicUsize>,
}

impl Address {
    /// Reads a URL such as `postgres://user@one:5432,two:5432/database`. Returns what is wrong with it, without a part
    /// of it.
    ///
    /// Where neither the URL nor `PGSSLMODE` says how TLS is used, a host that is not this machine must show a
    /// certificate for its name.
    pub(crate) fn parse(url: &str, password_file: Option<PathBuf>) -> Result<Self, String> {
        let tls_mode = std::env::var_os(TLS_MODE).map(|mode| mode.to_string_lossy().into_owned());
        Self::parse_with(url, password_file, tls_mode.as_deref())
    }

    fn parse_with(
        url: &str,
        password_file: Option<PathBuf>,
        tls_mode: Option<&str>,
    ) -> Result<Self, String> {
        let url = ServerUrl::parse(url)?;
        // sqlx takes a wrong word for "prefer", which may do without TLS.
        if tls_mode.is_some_and(|mode| !is_tls_mode(mode)) {
            return Err(format!("the variable {TLS_MODE} is not understood"));
        }
        let says_tls = tls_mode.is_some() || url.says("sslmode");
        let hosts = url.hosts().iter().map(|host| {
            let options = options(&url, host, says_tls)?;
            Ok((host.to_string(), options))
        });
        Ok(Self {
            hosts: hosts.collect::<Result<_, String>>()?,
            password_file,
            current: Arc::default(),
        })
    }

    /// Returns the name of each host, and the options for it. The password is read anew: it may have changed.
    pub(super) fn hosts(&self) -> Result<Vec<(String, PgConnectOptions)>, StoreError> {
        let Some(file) = &self.password_file else {
            return Ok(self.hosts.clone());
        };
        let password = std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            StoreError::Unavailable(format!("database.password_file {file}: {error}"))
        })?;
        let password = password.trim_end_matches(['\r', '\n']);
        let hosts = self.hosts.iter().cloned();
        Ok(hosts
            .map(|(name, host)| (name, host.password(password)))
            .collect())
    }

    /// Notes the host that takes writes.
    pub(super) fn found(&self, index: usize) {
        self.current.store(index, Ordering::Relaxed);
    }

    /// Returns the options for the host that took writes last.
    pub(super) fn current(&self) -> Result<PgConnectOptions, StoreError> {
        let index = self.current.load(Ordering::Relaxed);
        let host = self.hosts()?.into_iter().nth(index);
        let host = host.map(|(_, host)| host);
        host.ok_or_else(|| StoreError::Unavailable("no host is named".to_owned()))
    }
}

fn options(url: &ServerUrl, host: &Host, says_tls: bool) -> Result<PgConnectOptions, String> {
    let alone: Result<PgConnectOptions, _> = url.with(host).parse();
    // Its text may repeat a part of the URL.
    let mut options = alone.map_err(|_| "it is no URL, or has a name that cannot be".to_owned())?;
    if !host.name.starts_with('/') {
        // Without the brackets of the URL, in which no certificate names an address.
        options = options.host(&host.name);
    }
    if !says_tls && !is_here(host) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    if !url.says("application_name") {
        options = options.application_name("serval-connect");
    }
    // A pooler may ask for 0.
    if !url.says("statement-cache-capacity") {
        options = options.statement_cache_capacity(STATEMENTS);
    }
    // The driver asks whether its line is wanted, and `tracing` drops the next line of that thread, too.
    Ok(options.disable_statement_logging())
}

/// True if the server is on this machine.
fn is_here(host: &Host) -> bool {
    let address: Result<IpAddr, _> = host.name.parse();
    host.name.starts_with('/')
        || host.name == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, tls_mode: Option<&str>) -> Result<Address, String> {
        Address::parse_with(url, None, tls_mode)
    }

    /// Host or socket, port, user and database.
    fn places(address: &Address) -> Vec<String> {
        let place = |(_, options): &(String, PgConnectOptions)| {
            let socket = options.get_socket();
            let host = socket.map_or_else(|| options.get_host().into(), |s| s.to_string_lossy());
            let (port, user) = (options.get_port(), options.get_username());
            format!(
                "{host} {port} {user} {}",
                options.get_database().unwrap_or("?")
            )
        };
        address.hosts.iter().map(place).collect()
    }

    #[test]
    fn each_host_is_reached_with_the_same_user_and_database() {
        for (url, expected) in [
            ("postgres://u@db/x", &["db 5432 u x"][..]),
            ("postgresql://u@db:1/x", &["db 1 u x"]),
            ("postgres://u@one:1,two/x", &["one 1 u x", "two 5432 u x"]),
            (
                "postgres://u@[::1]:1,[fe80::1]/x",
                &["::1 1 u x", "fe80::1 5432 u x"],
            ),
            (
                "postgres://u@%2Frun%2Fpg:1,%2Fpg/x",
                &["/run/pg 1 u x", "/pg 5432 u x"],
            ),
            ("postgres://u@/x?host=/run/pg", &["/run/pg 5432 u x"]),
            ("postgres://u%40c:p@db/x%2Fy", &["db 5432 u@c x/y"]),
        ] {
            assert_eq!(places(&parse(url, None).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_host_elsewhere_must_prove_its_name_unless_somebody_says_otherwise() {
        use PgSslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        let here = Prefer;
        for (url, tls_mode, expected) in [
            ("postgres://u@db/x", None, &[VerifyFull][..]),
            ("postgres://u@10.0.0.1/x", None, &[VerifyFull]),
            ("postgres://u@[fe80::1]/x", None, &[VerifyFull]),
            ("postgres://u@localhost.example/x", None, &[VerifyFull]),
            ("postgres://u@localhost/x", None, &[here]),
            ("postgres://u@127.0.0.2/x", None, &[here]),
            ("postgres://u@[::1]/x", None, &[here]),
            ("postgres://u@%2Frun%2Fpg/x", None, &[here]),
            ("postgres://u@localhost,db/x", None, &[here, VerifyFull]),
            ("postgres://u@db/x?sslmode=require", None, &[Require]),
            ("postgres://u@db/x?ssl-mode=verify-ca", None, &[VerifyCa]),
            (
                "postgres://u@one,two/x?sslmode=disable",
                Some("verify-full"),
                &[Disable, Disable],
            ),
            // sqlx reads the variable by itself.
            ("postgres://u@db/x", Some("prefer"), &[Prefer]),
        ] {
            let address = parse(url, tls_mode).unwrap();
            let modes = address.hosts.iter().map(|(_, host)| host.get_ssl_mode());
            let modes: Vec<String> = modes.map(|mode| format!("{mode:?}")).collect();
            let expected: Vec<String> = expected.iter().map(|mode| format!("{mode:?}")).collect();
            assert_eq!(modes, expected, "{url} {tls_mode:?}");
        }
        let refused = parse("postgres://u@db/x", Some("prefered")).err();
        assert!(refused.is_some_and(|what| what.contains("PGSSLMODE")));
    }

    #[test]
    fn the_password_is_read_for_each_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let url = "postgres://u@one,two/x";
        let address = Address::parse_with(url, Some(file.clone()), None).unwrap();
        let missing = address.hosts().err().unwrap().to_string();
        assert!(missing.contains("database.password_file"), "{missing}");
        for password in ["first", "second"] {
            std::fs::write(&file, format!("{password}\n")).unwrap();
            for (_, options) in address.hosts().unwrap() {
                // The driver has no other way to look.
                let shown = format!("{options:?}");
                assert!(shown.contains(&format!("password: Some(\"{password}\")")));
            }
        }
    }
}
