//! Refusals and warnings, and that none of them contains a secret.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{CANARY, load, problems, write};
use crate::config::{Config, Environment, report};

#[test]
fn faults_are_told_together_with_place_and_remedy() {
    let toml = "[delivery]
concurency = 4
rate = 'fast'
[delivry]
rate = 1
[sources.snow]
secrets = []
[sources.servicenow]
signing_secrets = []
[sources.Bad]
[serval]
client_secret = 'a'
client_secret_file = '/nowhere'
bearer_token_file = '/nowhere'
[log]
format = 'xml'
[slack]
signing_secrets = []";
    let variables = [
        ("SERVAL_CONNECT__DELIVERY__CONCURENCY", "4"),
        ("SERVAL_CONNECT__SERVER__BODY_LIMIT", "1TiB"),
        ("SERVAL_CONNECT__LOGS__LEVEL", ""),
        ("SERVAL_BEARER_TOKEN", "x"),
    ];
    let mut found = problems(&[toml], &variables);
    found.sort();
    assert_eq!(
        found,
        [
            "0.toml:10: sources.Bad: a source name has 1 to 64 lower-case letters, digits, hyphens and underscores",
            "0.toml:13: serval.client_secret and serval.client_secret_file are both set, keep one of them",
            "0.toml:16: log.format: expected one of text, json",
            "0.toml:17: unknown section slack; a source is a section [sources.slack]",
            "0.toml:2: unknown key delivery.concurency, did you mean delivery.concurrency?",
            "0.toml:3: delivery.rate: expected a whole number from 0 to 1000000",
            "0.toml:4: unknown section delivry, did you mean [delivery]?",
            "0.toml:7: sources.snow: kind is missing, set it to servicenow or slack; it may be left out only where the name is the kind",
            "0.toml:9: unknown key sources.servicenow.signing_secrets (a key of slack sources, and this is a servicenow source), did you mean sources.servicenow.secrets?",
            "SERVAL_CONNECT__DELIVERY__CONCURENCY: unknown variable, did you mean SERVAL_CONNECT__DELIVERY__CONCURRENCY?",
            "SERVAL_CONNECT__LOGS__LEVEL: unknown variable, did you mean SERVAL_CONNECT__LOG__LEVEL?",
            "SERVAL_CONNECT__SERVER__BODY_LIMIT: server.body_limit: expected a size such as \"2MiB\", from 1KiB to 64MiB",
        ]
    );
}

#[test]
fn a_source_is_renamed_from_one_free_name() {
    let of = |name: &str, old: &str| {
        format!("[sources.{name}]\nkind = 'slack'\nrenamed_from = '{old}'\n")
    };
    let still = "sources.b.renamed_from: [sources.a] is still there: a renamed source has one name";
    for (toml, expected) in [
        (of("b", "a"), None),
        (of("b", "a") + &of("c", "d"), None),
        (
            of("a", "a"),
            Some("0.toml:3: sources.a.renamed_from: [sources.a] is still there"),
        ),
        (
            of("b", "a") + "[sources.a]\nkind = 'slack'\n",
            Some(&*format!("0.toml:3: {still}")),
        ),
        (
            of("b", "a") + &of("c", "a"),
            Some("0.toml:6: sources.c.renamed_from: sources.b has"),
        ),
        (
            of("b", "A"),
            Some("0.toml:3: sources.b.renamed_from: a source name has"),
        ),
    ] {
        match expected {
            None => drop(load(&[&toml], &[]).unwrap()),
            Some(start) => {
                let found = problems(&[&toml], &[]);
                assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
            }
        }
    }
}

#[test]
fn a_fault_stays_on_its_line_whatever_the_key() {
    let toml =
        "\"a\\nb\\u001b[31m\" = 1\n[\"x\\r\"]\n[delivery]\n\"rate\\n\" = 1\n[sources.\"y\\nz\"]";
    let found = problems(&[toml], &[]);
    assert_eq!(found.len(), 4, "{found:?}");
    for line in &found {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert!(found[0].contains("a\\nb\\u{1b}[31m"), "{found:?}");
}

/// A file, variables and the beginning of the one problem.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn single_faults_name_the_key() {
    let dir = TempDir::new().unwrap();
    let empty = write(&dir, "empty", "\n").display().to_string();
    let both = [
        ("SERVAL_CLIENT_SECRET", "x"),
        ("SERVAL_CLIENT_SECRET_FILE", "/x"),
    ];
    let empty_file = [("SERVAL_CLIENT_SECRET_FILE", empty.as_str())];
    let cases: &[Case<'_>] = &[
        ("[serval\n", &[], "0.toml:1:8: not TOML: "),
        (
            "listen = 'x'",
            &[],
            "0.toml:1: unknown key listen, did you mean server.listen?",
        ),
        (
            "[admin]\ntokens = ['good', 'a name token']",
            &[],
            "0.toml:2: admin.tokens: expected a token, or a name and a token with one blank",
        ),
        (
            "[admin]\nread_only_tokens = ['what? token']",
            &[],
            "0.toml:2: admin.read_only_tokens: the name before the blank has 1 to 32 letters",
        ),
        (
            "[admin]\nmapping_tokens = ['local token']",
            &[],
            "0.toml:2: admin.mapping_tokens: the name before the blank",
        ),
        ("server = 1", &[], "0.toml:1: server: expected a table"),
        ("sources = 1", &[], "0.toml:1: sources: expected tables"),
        (
            "[sources]\nslack = 1",
            &[],
            "0.toml:2: sources.slack: expected a table",
        ),
        (
            "[sources.slack]\nkind = 'x'",
            &[],
            "0.toml:2: sources.slack.kind: expected one of",
        ),
        (
            "[serval]\nbase_url = 'ftp://x'",
            &[],
            "0.toml:2: serval.base_url: expected a URL",
        ),
        (
            "[serval]\nbase_url = 'https://u:p@x'",
            &[],
            "0.toml:2: serval.base_url: expected a URL without",
        ),
        (
            "[retention]\nevents = '23h'",
            &[],
            "0.toml:2: retention.events: expected 0s (no limit) or at least 1d",
        ),
        (
            "[retention]\nevents = '1d'\n[sources.slack]\ntolerance_past = '1d'",
            &[],
            "0.toml:2: retention.events: expected more than tolerance_past",
        ),
        (
            "[serval]\nbase_url = 'https://x/?q'",
            &[],
            "0.toml:2: serval.base_url: expected a URL",
        ),
        (
            "[database]\nurl = 'mysql://x'",
            &[],
            "0.toml:2: database.url: expected a SQLite",
        ),
        (
            "[log]\nlevel = 'inof'",
            &[],
            "0.toml:2: log.level: expected",
        ),
        (
            "[serval]\nbearer_token = ''",
            &[],
            "0.toml:2: serval.bearer_token: expected a text",
        ),
        (
            "",
            &both,
            "SERVAL_CLIENT_SECRET and SERVAL_CLIENT_SECRET_FILE are both set",
        ),
        (
            "",
            &empty_file,
            "SERVAL_CLIENT_SECRET_FILE: serval.client_secret: the file",
        ),
        (
            "",
            &[("SERVAL_CLIENT_SECRET_FILE", "/nowhere")],
            "SERVAL_CLIENT_SECRET_FILE: serval.client_secret: the file /nowhere cannot be read",
        ),
    ];
    for (toml, variables, expected) in cases {
        let found = problems(&[toml], variables);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
    let missing = [PathBuf::from("/nowhere.toml")];
    let error = Config::load(&missing, &Environment::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nowhere.toml: the file cannot be read")
    );
}

#[test]
fn a_secret_is_in_no_error_no_report_and_no_debug_output() {
    let good = format!(
        "[admin]\ntokens = ['{CANARY}']\nmapping_tokens = ['{CANARY}']\n[serval]\nclient_id = 'id'\nclient_secret = '{CANARY}'
        [sources.servicenow]\nsecrets = ['{CANARY}']\nbearer_tokens = ['{CANARY}']
        basic_auth = ['u:{CANARY}']\n[sources.slack]\nsigning_secrets = ['{CANARY}']
        [database]\nurl = 'postgres://u:{CANARY}@db/x'\ndirect_url = 'postgres://u:{CANARY}@db:5433/x'"
    );
    let variables: Environment = [("SERVAL_BEARER_TOKEN", CANARY)].into_iter().collect();
    let loaded = load(&[&good], &[("SERVAL_BEARER_TOKEN", CANARY)]);
    let shown = report(&loaded);
    assert!(
        !shown.ready && shown.text.contains("keep one of them"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("tokens = (set, 1 value)"));
    assert!(
        shown
            .text
            .contains("direct_url = \"postgres://db:5433/x\"  # ")
    );
    for text in [format!("{loaded:?}"), shown.text, format!("{variables:?}")] {
        assert!(!text.contains(CANARY), "{text}");
    }
    for faulty in [
        format!("[serval]\nclient_secret = {CANARY}"),
        format!("[serval]\nclient_secret = \"{CANARY}"),
        format!("[serval]\nclient_secret = ['{CANARY}']"),
        format!("[serval]\nclient_secert = '{CANARY}'"),
        format!("[serval]\nclient_secret = 'a'\nclient_secret = '{CANARY}'"),
        format!("[serval]\nclient_secret = '{CANARY}' '{CANARY}'"),
        format!("[serval]\nclient_secret = \"\\q{CANARY}\""),
        format!("[serval]\nbase_url = 'https://u:{CANARY}@x'"),
        format!("[database]\nurl = 'postgres://u:{CANARY}@db'"),
        format!("[database]\nurl = 'postgre://u:{CANARY}@db/x'"),
        format!("[database]\nurl = 'postgres://u:/{CANARY}@db/x'"),
        format!("[database]\nurl = 'postgres://u@db/x?sslmode={CANARY}'"),
        format!("[database]\nurl = 'postgres://db/x'\ndirect_url = 'postgres://u:{CANARY}@/x'"),
        format!("[sources.slack]\nsigning_secrets = '{CANARY}'"),
        format!("[sources.slack]\nkind = '{CANARY}'"),
        format!("[log]\nlevel = '{CANARY}'"),
    ] {
        let error = load(&[&faulty], &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
    let list = [("SERVAL_CONNECT__ADMIN__TOKENS", "[\"canary-5f3b9a\"")];
    assert!(!load(&[], &list).unwrap_err().to_string().contains(CANARY));
}

#[test]
fn serve_asks_for_more_than_other_commands() {
    let refused = |toml: &str| {
        let complete = "[serval]\nbearer_token = 't'\n[sources.slack]
            signing_secrets = ['5f0e6c1d2b3a49788796a5b4c3d2e1f0']
            channel_target = { slackChannel = { integrationId = 'x' } }\n";
        let loaded = load(&[complete, toml], &[]).unwrap();
        loaded
            .validate_for_serve()
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(refused(""), None);
    assert_eq!(refused("[admin]\nlisten = '[::1]:8081'"), None);
    assert_eq!(
        refused("[admin]\nlisten = '0.0.0.0:8081'\ntokens = ['t']"),
        None
    );
    assert_eq!(
        refused("[admin]\nlisten = '0.0.0.0:8081'\nmapping_tokens = ['t']"),
        None
    );
    assert_eq!(
        refused("[admin]\nlisten = '127.0.0.1:0'\n[server]\nlisten = '127.0.0.1:0'"),
        None
    );
    for (toml, expected) in [
        ("[admin]\nlisten = '0.0.0.0:8081'", "admin.tokens is empty"),
        ("[admin]\nlisten = '127.0.0.1:8080'", "the same address"),
        ("[serval]\nclient_id = 'i'", "are both set"),
        ("[sources.slack]\ndrop_fields = ['x']", "no JSON Pointer"),
        (
            "[sources.slack]\ndrop_fields = ['/x']\nkeep_ignored_bodies = true",
            "keep_ignored_bodies: cannot be true beside drop_fields",
        ),
    ] {
        assert!(refused(toml).unwrap().contains(expected), "{toml}");
    }
    let bare = load(&[], &[]).unwrap().validate_for_serve().unwrap_err();
    assert_eq!(bare.problems.len(), 2, "{bare}");
    for (variable, missing) in [
        ("SERVAL_CLIENT_ID", "set without serval.client_secret"),
        ("SERVAL_CLIENT_SECRET", "set without serval.client_id"),
    ] {
        let loaded = load(&[], &[(variable, "x")]).unwrap();
        let error = loaded.validate_for_serve().unwrap_err().to_string();
        assert!(
            error.contains(missing) && error.contains(variable),
            "{error}"
        );
    }
}

#[test]
fn doubtful_settings_are_warned_of() {
    let toml = "[serval]\nbase_url = 'http://serval.example'\n[sources.slack]\nsigning_secrets = ['change-me']";
    let variables = [
        ("SERVAL_CONNECT__ADMIN__TOKENS", "short"),
        ("SERVAL_CONNECT__ADMIN__MAPPING_TOKENS", "short"),
        ("SERVAL_CONNECT_DELIVERY__RATE", "1"),
        ("SERVAL_CONNECT_SERVICE_HOST", "10.0.0.1"),
    ];
    let loaded = load(&[toml], &variables).unwrap();
    let about: Vec<_> = loaded
        .warnings
        .iter()
        .map(|w| w.split([' ', ':']).next())
        .collect();
    assert_eq!(
        about,
        [
            Some("SERVAL_CONNECT_DELIVERY__RATE"),
            Some("admin.tokens"),
            Some("admin.mapping_tokens"),
            Some("admin.mapping_tokens"),
            Some("serval.base_url"),
        ]
    );
}
