//! The command line itself: wrong words, words in the wrong place, words that are missing.

use serval_connect::rehearsal::mock_serval::MockConfig;

use super::{Mistake, make};
use crate::cli_run::Site;

const WORDS: [Mistake; 18] = [
    ("a typo", "mapp list", 2, &["'mapp'", "similar", "'map'"]),
    ("a typo", "sevre", 2, &["'sevre'", "similar", "'serve'"]),
    (
        "a typo below a command",
        "events lst",
        2,
        &["'lst'", "'list'"],
    ),
    (
        "a command of other programs",
        "start",
        2,
        &["'start'", "--help"],
    ),
    (
        "no such subcommand",
        "connects stop",
        2,
        &["'stop'", "connects", "--help"],
    ),
    (
        "the words swapped",
        "set map x y z",
        2,
        &["'set'", "--help"],
    ),
    (
        "a group without its command",
        "import pairs.csv",
        2,
        &["'import'", "--help"],
    ),
    (
        "a typo in an option",
        "map list --sourc x",
        2,
        &["--sourc", "'--source'"],
    ),
    (
        "a typo in an option",
        "check --onlin",
        2,
        &["--onlin", "'--online'"],
    ),
    (
        "an option that is a setting",
        "serve --port 80",
        2,
        &["--port", "Usage", "--help"],
    ),
    (
        "a short option",
        "serve -c x.toml",
        2,
        &["'-c'", "Usage", "--help"],
    ),
    (
        "a file without its option",
        "check x.toml",
        2,
        &["x.toml", "Usage"],
    ),
    (
        "an option as a word",
        "check online",
        2,
        &["'online'", "Usage"],
    ),
    (
        "a value is missing",
        "map list --source",
        2,
        &["--source <SOURCE>", "--help"],
    ),
    ("too many words", "init a b", 2, &["'b'", "[FILE]"]),
    (
        "two ways at once",
        "events replay evt_1 --state dead",
        2,
        &["[ID]", "--state", "cannot"],
    ),
    (
        "two ways at once",
        "erase --external-id x --mentions y",
        2,
        &["--mentions", "cannot"],
    ),
    (
        "a number in words",
        "events list --limit ten",
        2,
        &["'ten'", "--limit"],
    ),
];

const MISSING: [Mistake; 9] = [
    (
        "nothing named",
        "map set",
        2,
        &["<SOURCE>", "<EXTERNAL_ID>", "<TICKET_ID>"],
    ),
    (
        "no source",
        "map set 3b9e T_1",
        2,
        &["<TICKET_ID>", "<SOURCE> <EXTERNAL_ID>"],
    ),
    (
        "no id",
        "map get servicenow",
        2,
        &["<EXTERNAL_ID>", "Usage"],
    ),
    ("no file", "map import", 2, &["<FILE>", "Usage"]),
    ("no file", "backup", 2, &["<FILE>", "Usage"]),
    ("no file", "restore", 2, &["<FILE>", "Usage"]),
    (
        "nothing to erase",
        "erase",
        2,
        &["--external-id <ID>", "--mentions <VALUE>"],
    ),
    ("no target", "move", 2, &["--to <URL>", "Usage"]),
    ("no event", "events show", 2, &["<ID>", "Usage"]),
];

const VALUES: [Mistake; 7] = [
    (
        "the number of a record",
        "events show INC0010001",
        2,
        &["INC0010001", "evt_42"],
    ),
    (
        "no such state",
        "events list --state done",
        2,
        &["'done'", "queued", "dead"],
    ),
    (
        "a state that cannot",
        "events replay --state connected",
        2,
        &["dead, expired, ignored"],
    ),
    (
        "no such format",
        "audit export --format xlsx",
        2,
        &["'xlsx'", "csv, ndjson"],
    ),
    (
        "a URL without http",
        "healthcheck --url 127.0.0.1:8080",
        2,
        &["--url", "http://"],
    ),
    (
        "a URL of a file",
        "healthcheck --url file:///x",
        2,
        &["--url", "http://"],
    ),
    ("nothing to list", "map list --limit 0", 2, &["--limit"]),
];

#[tokio::test]
async fn a_command_line_that_means_nothing_is_refused_with_what_is_near_to_it() {
    let site = Site::new(MockConfig::default()).await;
    make(&site, &WORDS).await;
    make(&site, &MISSING).await;
    make(&site, &VALUES).await;
}
