//! `[database]`: which keys suit which database, and what is shown of them.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::{CANARY, load, problems, write};

const SERVER: &str = "url = 'postgres://db/serval'";

fn refused(toml: &str) -> Vec<String> {
    problems(&[&format!("[database]\n{toml}")], &[])
}

#[test]
fn keys_for_a_server_are_refused_beside_a_file() {
    for key in [
        "password_file = '/x'",
        "direct_url = 'postgres://db/x'",
        "migrate = true",
        "replica_dead_after = '10m'",
    ] {
        let name = key.split(' ').next().unwrap();
        let start = format!("0.toml:2: database.{name}: is for a database on a Postgres server");
        for url in ["", "url = 'sqlite://x.db'"] {
            let found = refused(&format!("{key}\n{url}"));
            assert!(
                found.len() == 1 && found[0].starts_with(&start),
                "{found:?}"
            );
        }
        load(&[&format!("[database]\n{key}\n{SERVER}")], &[]).unwrap();
    }
}

#[test]
fn a_url_is_refused_at_its_line_with_what_is_wrong() {
    for (toml, expected) in [
        (
            "url = 'postgres://db'",
            "0.toml:2: database.url: it names no database",
        ),
        (
            "url = 'postgres:///x'",
            "0.toml:2: database.url: it names no host",
        ),
        (
            "url = 'postgres://db:x/x'",
            "0.toml:2: database.url: a port is no number",
        ),
        (
            "url = 'postgres://db/x?sslmode=on'",
            "0.toml:2: database.url: sslmode is one of",
        ),
        (
            "url = 'postgres://db/x?target_session_attrs=any'",
            "0.toml:2: database.url: target_session_attrs is not needed",
        ),
        (
            "url = 'mysql://db/x'",
            "0.toml:2: database.url: expected a SQLite database",
        ),
        (
            "url = 'postgres://db/x'\ndirect_url = 'sqlite://x.db'",
            "0.toml:3: database.direct_url: expected a URL such as postgres://",
        ),
        (
            "url = 'postgres://u:p@db/x'\npassword_file = '/x'",
            "0.toml:2: database.url: it has a password, and database.password_file is set",
        ),
    ] {
        let found = refused(toml);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{found:?}"
        );
    }
}

#[test]
fn a_replica_is_given_time_for_its_calls() {
    for (timeout, written, expected) in [
        ("10s", None, Some(45)),
        ("35s", None, Some(45)),
        ("36s", None, Some(46)),
        ("10s", Some("20s"), Some(20)),
        ("10s", Some("19s"), None),
        ("30s", Some("39s"), None),
        ("30s", Some("45s"), Some(45)),
        ("30s", Some("2m"), Some(120)),
    ] {
        let written = written.map(|after| format!("replica_dead_after = '{after}'\n"));
        let written = written.unwrap_or_default();
        let toml = format!("[serval]\ntimeout = '{timeout}'\n[database]\n{SERVER}\n{written}");
        match load(&[&toml], &[]) {
            Ok(loaded) => {
                let after = loaded.config.database.replica_dead_after;
                assert_eq!(after, expected.map(Duration::from_secs), "{toml}");
            }
            Err(error) => {
                let least = if timeout == "10s" { "20s" } else { "40s" };
                let start = format!("database.replica_dead_after: expected at least {least}");
                assert!(
                    expected.is_none() && error.to_string().contains(&start),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(
        load(&[], &[]).unwrap().config.database.replica_dead_after,
        None
    );
}

#[test]
fn a_reload_does_not_make_calls_longer_than_a_dead_replica_is_waited_for() {
    let with = |timeout: &str| {
        let toml = format!(
            "[serval]\nbearer_token = 'a-token-of-serval'\ntimeout = '{timeout}'\n[database]\n{SERVER}\n\
             [sources.slack]\nsigning_secrets = ['one-secret']\nchannel_target = {{ email = {{}} }}"
        );
        load(&[&toml], &[]).unwrap()
    };
    let running = with("10s");
    let longer = running.reloaded(with("36s")).unwrap_err().to_string();
    assert!(longer.contains("expected at least 46s"), "{longer}");
    let (now, changes) = running.reloaded(with("35s")).unwrap();
    assert_eq!(changes.changed, ["serval.timeout"]);
    assert_eq!(
        now.config.database.replica_dead_after,
        Some(Duration::from_secs(45))
    );
}

#[test]
fn hosts_and_database_are_shown_wherever_the_url_is() {
    let dir = TempDir::new().unwrap();
    let secret = format!("postgres://u:{CANARY}@one,two:5433/x");
    let file = write(&dir, "url", &format!("{secret}\n"));
    let file = file.to_str().unwrap();
    let shown = "url = \"postgres://one,two:5433/x\"";
    for (name, value, expected) in [
        (
            "SERVAL_CONNECT__DATABASE__URL",
            secret.as_str(),
            format!("{shown}  # SERV"),
        ),
        (
            "SERVAL_CONNECT__DATABASE__URL_FILE",
            file,
            format!("{shown} (from {file})  # SERV"),
        ),
        (
            "SERVAL_CONNECT__DATABASE__URL",
            "sqlite://x.db",
            "url = \"sqlite://x.db\"  # SERV".to_owned(),
        ),
    ] {
        let loaded = load(&[], &[(name, value)]).unwrap();
        let text = loaded.redacted();
        assert!(text.contains(&expected), "{text}");
        for text in [text, format!("{loaded:?}")] {
            assert!(!text.contains(CANARY), "{text}");
        }
        let url = loaded.config.database.url.expose_secret();
        assert_eq!(url, if value == file { &secret } else { value });
    }
}

#[test]
fn a_file_with_a_password_for_the_database_is_for_one_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let password = write(&dir, "password", CANARY);
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let password = password.to_str().unwrap();
    let in_file = format!("{SERVER}\npassword_file = '{password}'");
    for (toml, expected) in [
        (in_file.as_str(), Some("password: other users may read")),
        (SERVER, None),
        ("url = 'sqlite://x.db'", None),
        (
            "url = 'postgres://u:p@db/serval'",
            Some("0.toml: other users may read"),
        ),
    ] {
        let loaded = load(&[&format!("[database]\n{toml}")], &[]).unwrap();
        let warnings = loaded.warnings.join("\n");
        let found = warnings.contains(expected.unwrap_or("other users"));
        assert_eq!(found, expected.is_some(), "{warnings}");
    }
}
