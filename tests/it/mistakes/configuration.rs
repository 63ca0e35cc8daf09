//! Configuration files and variables.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{contents, judge};
use crate::cli_run::{bare, ended, without_rights};

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
tokens = ["first-token-of-the-mistakes"]
[database]
url = "sqlite://data/x.db"
[serval]
base_url = "https://public.api.serval.com"
client_id = "client"
client_secret = "secret-of-the-mistakes"
[sources.servicenow]
bearer_tokens = ["bearer-token-of-the-mistakes"]
channel_target = { ticketSource = { integrationId = "i-1" } }
[sources.slack]
signing_secrets = ["signing-secret-of-the-mistakes"]
channel_target = { slackChannel = { integrationId = "i-2" } }
"#;

/// What is right, what somebody wrote instead, and the words that the message must have.
type Slip = (&'static str, &'static str, &'static [&'static str]);

const FORM: [Slip; 6] = [
    (
        "[serval]",
        "[serval",
        &["c.toml:", "not TOML", "straight quotes"],
    ),
    (
        "\"i-1\"",
        "i-1",
        &["c.toml:", "not TOML", "straight quotes"],
    ),
    (
        "\"client\"",
        "\u{201c}client\u{201d}",
        &["c.toml:", "not TOML", "straight quotes"],
    ),
    ("client_id = ", "client_id: ", &["c.toml:", "not TOML"]),
    (
        "[sources.slack]",
        "[sources.servicenow]",
        &["c.toml:", "duplicate", "is there once"],
    ),
    (
        "[admin]",
        "[admin]\n[admin]",
        &["c.toml:", "duplicate", "is there once"],
    ),
];

const NAMES: [Slip; 7] = [
    (
        "client_id",
        "client-id",
        &[
            "c.toml:",
            "serval.client-id",
            "did you mean serval.client_id?",
        ],
    ),
    (
        "[sources.slack]",
        "[source.slack]",
        &["section source", "did you mean [sources]?"],
    ),
    (
        "[sources.slack]",
        "[sources.jira]",
        &["sources.jira", "kind is missing", "servicenow or slack"],
    ),
    (
        "[sources.slack]",
        "[sources.slack]\nkind = \"Slack\"",
        &["sources.slack.kind", "one of servicenow, slack"],
    ),
    (
        "[sources.slack]",
        "[sources.slack]\nkind = \"servicenow\"",
        &["a key of slack sources", "did you mean"],
    ),
    (
        "[sources.slack]",
        "[sources.\"My Slack\"]",
        &["My Slack", "lower-case letters"],
    ),
    (
        "[sources.slack]\n",
        "[sources.slack]\nsecrets = [\"x\"]\n",
        &["sources.slack.secrets", "did you mean"],
    ),
];

const VALUES: [Slip; 14] = [
    (
        "[server]\nlisten = \"127.0.0.1:0\"",
        "[server]\nlisten = 8080",
        &["server.listen", "127.0.0.1:8080"],
    ),
    (
        "[server]\nlisten = \"127.0.0.1:0\"",
        "[server]\nlisten = \":8080\"",
        &["server.listen", "IP address"],
    ),
    (
        "[server]\nlisten = \"127.0.0.1:0\"",
        "[server]\nlisten = \"localhost:8080\"",
        &["server.listen", "IP address"],
    ),
    (
        "[server]\n",
        "[server]\nbody_limit = \"2 megabytes\"\n",
        &["server.body_limit", "2MiB"],
    ),
    (
        "[server]\n",
        "[server]\nbody_limit = 2\n",
        &["server.body_limit", "2MiB"],
    ),
    (
        "[serval]\n",
        "[serval]\ntimeout = 10\n",
        &["serval.timeout", "90s"],
    ),
    (
        "[serval]\n",
        "[serval]\ntimeout = \"10 parsecs\"\n",
        &["serval.timeout", "90s"],
    ),
    (
        "[serval]\n",
        "[delivery]\nrate = \"fast\"\n[serval]\n",
        &["delivery.rate", "whole number"],
    ),
    (
        "[serval]\n",
        "[delivery]\ngive_up_after = \"7\"\n[serval]\n",
        &["delivery.give_up_after", "7d"],
    ),
    (
        "[serval]\n",
        "[log]\nlevel = \"loud\"\n[serval]\n",
        &["log.level", "info"],
    ),
    (
        "[serval]\n",
        "[log]\nformat = \"xml\"\n[serval]\n",
        &["log.format", "text, json"],
    ),
    (
        "[\"bearer-token-of-the-mistakes\"]",
        "\"bearer-token-of-the-mistakes\"",
        &["bearer_tokens", "such as [\"…\"]"],
    ),
    (
        "{ ticketSource = { integrationId = \"i-1\" } }",
        "\"i-1\"",
        &["channel_target", "a table, such as {"],
    ),
    (
        "{ ticketSource = { integrationId = \"i-1\" } }",
        "{}",
        &["channel_target", "is empty", "discover"],
    ),
];

const TOGETHER: [Slip; 12] = [
    (
        "client_id = \"client\"\n",
        "",
        &["serval.client_id", "SERVAL_CLIENT_ID"],
    ),
    (
        "client_id = \"client\"\nclient_secret = \"secret-of-the-mistakes\"\n",
        "",
        &["no credentials", "SERVAL_BEARER_TOKEN"],
    ),
    (
        "[serval]\n",
        "[serval]\nbearer_token = \"bearer-of-the-mistakes\"\n",
        &["both set", "keep one of them"],
    ),
    (
        "\"secret-of-the-mistakes\"",
        "\"replace-me\"",
        &["serval.client_secret", "documents print", "put your own"],
    ),
    (
        "client_secret = ",
        "client_secret_file = ",
        &["secret-of-the-mistakes", "No such file"],
    ),
    (
        "\"secret-of-the-mistakes\"",
        "\"\"",
        &["serval.client_secret", "not empty"],
    ),
    (
        "bearer_tokens = [\"bearer-token-of-the-mistakes\"]\n",
        "",
        &["nothing can authenticate", "whsec_"],
    ),
    (
        "bearer_tokens = [\"bearer-token-of-the-mistakes\"]",
        "secrets = [\"a password\"]",
        &["entry 1", "whsec_ and base64"],
    ),
    (
        "bearer_tokens = [\"bearer-token-of-the-mistakes\"]",
        "basic_auth = [\"user\"]",
        &["basic_auth", "user:password"],
    ),
    (
        "[sources.slack]\n",
        "[sources.slack]\ndirect_messages = true\n",
        &["direct_message_target", "is missing", "discover"],
    ),
    (
        "[sources.servicenow]\n",
        "[sources.servicenow]\nticket_id_pointers = [\"correlation_id\"]\n",
        &["JSON Pointer", "\"/correlation_id\""],
    ),
    (
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [\"first-token-of-the-mistakes\"]",
        "[admin]\nlisten = \"0.0.0.0:0\"",
        &["admin.tokens", "127.0.0.1"],
    ),
];

const ADDRESSES: [Slip; 10] = [
    (
        "https://public.api.serval.com",
        "public.api.serval.com",
        &["serval.base_url", "https://"],
    ),
    (
        "https://public.api.serval.com",
        "https://u:p@public.api.serval.com",
        &["serval.base_url", "without user"],
    ),
    (
        "sqlite://data/x.db",
        "data/x.db",
        &["database.url", "sqlite://data/serval-connect.db"],
    ),
    (
        "sqlite://data/x.db",
        "C:/data/x.db",
        &["database.url", "sqlite://data/serval-connect.db"],
    ),
    (
        "sqlite://data/x.db",
        "mysql://u@h/d",
        &["database.url", "postgres://user@host:5432/database"],
    ),
    (
        "sqlite://data/x.db",
        "sqlite://",
        &["database.url", "names no file"],
    ),
    (
        "sqlite://data/x.db",
        "sqlite::memory:",
        &["database.url", "names no file"],
    ),
    (
        "sqlite://data/x.db",
        "postgres://u@h",
        &["database.url", "names no database"],
    ),
    (
        "sqlite://data/x.db",
        "postgres://u@h:http/d",
        &["database.url", "from 1 to 65535"],
    ),
    (
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"",
        "[server]\nlisten = \"127.0.0.1:9\"\n[admin]\nlisten = \"127.0.0.1:9\"",
        &["the same address", "different ports"],
    ),
];

/// Has `check` read this as its configuration.
async fn check(folder: &Path, what: &str, text: &[u8], variables: &[(&str, &str)], words: &[&str]) {
    let file = folder.join("c.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut command = bare("check --config c.toml");
    command.current_dir(folder).envs(variables.iter().copied());
    let before = contents(folder);
    let refused = ended(command).await;
    judge(what, &refused, 2, words);
    for secret in ["token-of-the-mistakes", "signing-secret-of"] {
        let said = format!("{}{}", refused.out, refused.err);
        assert!(!said.contains(secret), "{what}: {said}");
    }
    assert_eq!(contents(folder), before, "{what}");
}

#[tokio::test]
async fn a_slip_in_the_file_is_named_with_its_place_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    for slips in [&FORM[..], &NAMES, &VALUES, &TOGETHER, &ADDRESSES] {
        for (right, written, words) in slips {
            assert!(GOOD.contains(right), "{right}");
            let text = GOOD.replacen(right, written, 1);
            check(folder.path(), written, text.as_bytes(), &[], words).await;
        }
    }
}

#[tokio::test]
async fn a_slip_in_a_variable_is_named_with_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, words) in [
        (
            "SERVAL_CONNECT__SERVER__LISTN",
            "127.0.0.1:0",
            &["did you mean SERVAL_CONNECT__SERVER__LISTEN?"][..],
        ),
        (
            "SERVAL_CONNECT__SERVER",
            "127.0.0.1:0",
            &["unknown variable", "did you mean"],
        ),
        (
            "SERVAL_CONNECT__SERVER__LISTEN",
            "8080",
            &["server.listen", "127.0.0.1:8080"],
        ),
        (
            "SERVAL_CONNECT__DELIVERY__RATE",
            "ten",
            &["delivery.rate", "whole number"],
        ),
        (
            "SERVAL_BEARER_TOKEN",
            "bearer-of-the-mistakes",
            &["both set", "keep one of them"],
        ),
        (
            "SERVAL_CLIENT_SECRET_FILE",
            "/nowhere/secret",
            &["/nowhere/secret", "No such file"],
        ),
        (
            "SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS",
            "[x",
            &["a list of texts", "JSON array"],
        ),
    ] {
        let variables = [(name, value)];
        check(folder.path(), name, GOOD.as_bytes(), &variables, words).await;
        check(folder.path(), name, GOOD.as_bytes(), &variables, &[name]).await;
    }
    // It is not read, and a command that goes on says so.
    let mut command = bare("check --config c.toml");
    command.current_dir(folder.path());
    command.env("SERVAL_CONNECT_SERVER_LISTEN", "0.0.0.0:0");
    command.env("SERVAL_CLIENT_SECRET", "${SECRET}");
    let warned = ended(command).await;
    assert_eq!(warned.code, 0, "{warned:?}");
    for word in [
        "did you mean SERVAL_CONNECT__SERVER__LISTEN?",
        "no variable is replaced here",
    ] {
        assert!(warned.out.contains(word), "{warned:?}");
    }
}

#[tokio::test]
async fn what_is_no_configuration_file_is_told_from_one_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xff, 0xfe], &utf16[..]].concat();
    for (what, bytes, words) in [
        (
            "nothing in it",
            &b""[..],
            &[
                "no credentials",
                "no source is configured",
                "serval-connect init",
            ][..],
        ),
        ("UTF-16", &utf16, &["c.toml", "save it as text in UTF-8"]),
        (
            "YAML",
            b"server:\n  listen: 127.0.0.1:8080\n",
            &["c.toml:1:", "not TOML", "straight quotes"],
        ),
        ("JSON", b"{\"server\": {}}", &["c.toml:1:", "not TOML"]),
    ] {
        check(here, what, bytes, &[], words).await;
    }
    fs::create_dir(here.join("folder")).unwrap();
    for (line, words) in [
        (
            "check --config gone.toml",
            &["gone.toml", "No such file", "check the path"][..],
        ),
        (
            "serve --config gone.toml",
            &["gone.toml", "No such file", "check the path"],
        ),
        ("check --config folder", &["folder", "this is a folder"]),
        (
            "check",
            &[
                "no source is configured",
                "./serval-connect.toml",
                "serval-connect init",
            ],
        ),
        (
            "serve",
            &[
                "no source is configured",
                "./serval-connect.toml",
                "serval-connect init",
            ],
        ),
    ] {
        let mut command = bare(line);
        command.current_dir(here);
        let before = contents(here);
        judge(line, &ended(command).await, 2, words);
        assert_eq!(contents(here), before, "{line}");
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(here, 0o755);
    mode(&here.join("c.toml"), 0o000);
    let mut command = bare("check --config c.toml");
    command.current_dir(here);
    without_rights(&mut command);
    let words = [
        "c.toml",
        "Permission denied",
        "let the user of this program read it",
    ];
    judge("not for this user", &ended(command).await, 2, &words);
}
