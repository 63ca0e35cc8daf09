//! The URL of a database on a Postgres server, which may name several hosts.
//!
//! Invariant: no error repeats a part of the URL, and what is shown of it is its hosts and its database: the rest may
//! be a password.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Names of the parameters that may stand behind the `?`, beside those with a rule of their own.
const PARAMETERS: [&str; 9] = [
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "application_name",
    "options",
];
/// Parameters that have a place before the `?`.
const MISPLACED: [&str; 5] = ["hostaddr", "port", "dbname", "user", "password"];
/// The values of `sslmode`.
const TLS_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// A URL such as `postgres://user@one:5432,two:5432/database`.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    /// User and password as they were written, with the `@`.
    user: String,
    hosts: Vec<Host>,
    database: String,
    /// Names and values, decoded.
    parameters: Vec<(String, String)>,
}

/// A host as it was written, without the escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name, an address without brackets, or the folder of a socket.
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
}

/// True for a URL of a database on a server.
pub(crate) fn names_a_server(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Returns the part of the URL of a database that people may see.
pub(crate) fn shown(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    ServerUrl::parse(url).map_or_else(|_| "(not understood)".to_owned(), |url| url.shown())
}

/// True if the URL of a database has a password, or may have one.
pub(crate) fn has_password(url: &str) -> bool {
    !url.starts_with("sqlite:") && ServerUrl::parse(url).map_or(true, |url| url.has_password())
}

/// True for a value of `sslmode`.
pub(crate) fn is_tls_mode(word: &str) -> bool {
    TLS_MODES.contains(&word)
}

impl ServerUrl {
    /// Reads a URL. An error tells what is wrong.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let is_named = names_a_server(url);
        let (_, rest) = url
            .split_once("://")
            .filter(|_| is_named)
            .ok_or("expected a URL such as postgres://user@host:5432/database")?;
        if rest.contains('#') || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("a # is written as %23, and a blank as %20".to_owned());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // Else a password with a slash would be taken for hosts, and shown.
        if path.contains('@') {
            return Err(
                "in user and password, / is written as %2F, ? as %3F and @ as %40".to_owned(),
            );
        }
        let (user, written) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parameters = parameters(query)?;
        // As programs write the folder of a socket that do not escape it.
        let in_query = parameters.iter().position(|(name, _)| name == "host");
        let in_query = in_query.map(|at| parameters.remove(at).1);
        let hosts = match (written, in_query) {
            ("", Some(hosts)) => hosts.split(',').map(host).collect(),
            (_, Some(_)) => Err("it names hosts in two places".to_owned()),
            (hosts, None) => hosts.split(',').map(host).collect(),
        };
        let database = decoded(path.trim_start_matches('/'))?;
        if database.is_empty() {
            return Err("it names no database".to_owned());
        }
        Ok(Self {
            user,
            hosts: hosts?,
            database,
            parameters,
        })
    }

    /// The hosts, in their order.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The URL with this host alone.
    pub(crate) fn with(&self, host: &Host) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let name = if host.name.contains(':') {
            format!("[{}]", host.name)
        } else if host.name.starts_with('/') {
            escaped(&host.name)
        } else {
            host.name.clone()
        };
        let port = host.port.map(|port| format!(":{port}"));
        let pairs = self.parameters.iter();
        let pairs = pairs.map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        format!(
            "postgres://{}{name}{}/{}?{}",
            self.user,
            port.unwrap_or_default(),
            escaped(&self.database),
            pairs.collect::<Vec<_>>().join("&")
        )
    }

    /// True if a parameter of this name is given.
    pub(crate) fn says(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|(name, _)| name == parameter)
    }

    /// True if it has a password.
    pub(crate) fn has_password(&self) -> bool {
        self.user.contains(':')
    }

    /// The hosts and the database, for people.
    pub(crate) fn shown(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        format!("postgres://{}/{}", hosts.join(","), self.database)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(&self.name)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Reads a host with its port, if it has one.
fn host(written: &str) -> Result<Host, String> {
    let (name, port) = match written.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or("a [ of an IPv6 address has no ]")?,
        None => written.split_at(written.find(':').unwrap_or(written.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err("behind an IPv6 address stands a : and the port".to_owned()),
        Some(port) if port.contains(':') => {
            return Err("an IPv6 address stands in brackets, such as [::1]:5432".to_owned());
        }
        Some(port) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            Some(port.ok_or("a port is no number from 1 to 65535")?)
        }
    };
    if name.is_empty() {
        return Err("it names no host, or an empty one".to_owned());
    }
    let name = decoded(name)?;
    Ok(Host { name, port })
}

/// Reads what stands behind the `?`.
fn parameters(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(&value.replace('+', "%20"))?);
        check(&name, &value)?;
        let name = if name == "ssl-mode" { "sslmode" } else { &name };
        parameters.push((name.to_owned(), value));
    }
    Ok(parameters)
}

fn check(name: &str, value: &str) -> Result<(), String> {
    match name {
        "sslmode" | "ssl-mode" if !is_tls_mode(value) => {
            Err(format!("sslmode is one of {}", TLS_MODES.join(", ")))
        }
        "statement-cache-capacity" if value.parse::<usize>().is_err() => {
            Err("statement-cache-capacity is a whole number".to_owned())
        }
        "sslmode" | "ssl-mode" | "statement-cache-capacity" | "host" => Ok(()),
        "target_session_attrs" => Err(
            "target_session_attrs is not needed: each host is asked whether it takes \
                                       writes"
                .to_owned(),
        ),
        _ if MISPLACED.contains(&name) => Err(format!(
            "{name} stands before the ?, as in postgres://user:password@host:5432/database"
        )),
        _ if PARAMETERS.contains(&name) || name.starts_with("options[") => Ok(()),
        _ => Err(format!(
            "a parameter behind the ? is not known; known are sslmode, host, statement-cache-capacity, {}",
            PARAMETERS.join(", ")
        )),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "an escape with % is not UTF-8")?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_database_are_shown_and_nothing_else() {
        for (url, expected) in [
            ("postgres://db/x", "postgres://db/x"),
            ("postgresql://db:5433/x", "postgres://db:5433/x"),
            ("postgres://u:s3cret@db/x", "postgres://db/x"),
            (
                "postgres://u:s3cret@one:1,two,[::1]:3/x?sslmode=require",
                "postgres://one:1,two,[::1]:3/x",
            ),
            ("postgres://u%40corp:a@b:s3cret@db/x", "postgres://db/x"),
            ("postgres://u:s3c%2Fret@db/x%20y", "postgres://db/x y"),
            ("postgres://u@%2Frun%2Fpg/x", "postgres:///run/pg/x"),
            (
                "postgres://u@%2Frun%2Fpg:6000/x",
                "postgres:///run/pg:6000/x",
            ),
            ("postgres:///x?host=/run/pg", "postgres:///run/pg/x"),
            (
                "postgres:///x?host=one,two:5433",
                "postgres://one,two:5433/x",
            ),
            ("postgres://u:s3cret@db", "(not understood)"),
            ("mysql://u:s3cret@db/x", "(not understood)"),
            ("sqlite://data/x.db", "sqlite://data/x.db"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn each_host_has_a_url_of_its_own() {
        let url = "postgresql://u:p%20w@one:1,[fe80::1],%2Frun%2Fpg/x%2Fy?ssl-mode=require&options=-c%20a=b";
        let url = ServerUrl::parse(url).unwrap();
        let rest = "x%2Fy?sslmode=require&options=%2Dc%20a%3Db";
        let each: Vec<_> = url.hosts().iter().map(|host| url.with(host)).collect();
        assert_eq!(
            each,
            [
                format!("postgres://u:p%20w@one:1/{rest}"),
                format!("postgres://u:p%20w@[fe80::1]/{rest}"),
                format!("postgres://u:p%20w@%2Frun%2Fpg/{rest}"),
            ]
        );
        assert!(url.says("sslmode") && !url.says("statement-cache-capacity"));
    }

    #[test]
    fn a_wrong_url_is_refused_without_a_word_of_it() {
        for (url, expected) in [
            ("s3cret", "expected a URL such as postgres://"),
            (
                "postgre://s3cret@db/x",
                "expected a URL such as postgres://",
            ),
            ("postgres:s3cret", "expected a URL such as postgres://"),
            ("postgres://u:s3cret@/x", "it names no host"),
            ("postgres://u:s3cret@one,,two/x", "it names no host"),
            ("postgres:///x", "it names no host"),
            ("postgres://u:s3cret@db", "it names no database"),
            (
                "postgres://u:s3cret@db/?sslmode=require",
                "it names no database",
            ),
            ("postgres://u:s3cret@db:x/x", "a port is no number"),
            ("postgres://u:s3cret@db:0/x", "a port is no number"),
            ("postgres://u:s3cret@db:65536/x", "a port is no number"),
            ("postgres://u:s3cret@db:/x", "a port is no number"),
            (
                "postgres://u:s3cret@::1/x",
                "an IPv6 address stands in brackets",
            ),
            (
                "postgres://u:s3cret@[::1/x",
                "a [ of an IPv6 address has no ]",
            ),
            ("postgres://u:s3cret@[::1]5/x", "behind an IPv6 address"),
            (
                "postgres://u:s3/cret@db/x",
                "in user and password, / is written",
            ),
            (
                "postgres://u:s3?cret@db/x",
                "in user and password, / is written",
            ),
            ("postgres://u:s3#cret@db/x", "a # is written as %23"),
            (
                "postgres://u:s3 cret@db/x",
                "a # is written as %23, and a blank",
            ),
            ("postgres://u:s3cret@%ff/x", "an escape with % is not UTF-8"),
            (
                "postgres://db/x?sslmode=s3cret",
                "sslmode is one of disable",
            ),
            ("postgres://db/x?sslmode=", "sslmode is one of disable"),
            (
                "postgres://db/x?password=s3cret",
                "password stands before the ?",
            ),
            ("postgres://db/x?port=5", "port stands before the ?"),
            ("postgres://one/x?host=two", "it names hosts in two places"),
            (
                "postgres://db/x?target_session_attrs=read-write",
                "target_session_attrs is not needed",
            ),
            (
                "postgres://db/x?s3cret=1",
                "a parameter behind the ? is not known",
            ),
            (
                "postgres://db/x?statement-cache-capacity=s3cret",
                "statement-cache-capacity is a whole number",
            ),
        ] {
            let refused = ServerUrl::parse(url).map(|url| url.shown()).unwrap_err();
            assert!(refused.starts_with(expected), "{url}: {refused}");
            assert!(
                !refused.contains("s3") && !refused.contains("cret"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_may_have_a_password() {
        for (url, expected) in [
            ("sqlite://data/x.db", false),
            ("postgres://u@db/x", false),
            ("postgres://db/x", false),
            ("postgres://u:s3cret@db/x", true),
            ("postgres://u:s3cret@db", true),
            ("postgre://u:s3cret@db/x", true),
        ] {
            assert_eq!(has_password(url), expected, "{url}");
        }
    }
}
