//! `send`, with and without a daemon.

use std::fs;

use serval_connect::rehearsal::mock_serval::MockConfig;

use super::{Mistake, contents, judge, make};
use crate::cli_run::{Site, ended, free_port};

const BEFORE: [Mistake; 13] = [
    (
        "no file",
        "send servicenow gone.json --forge",
        2,
        &["gone.json", "No such file"],
    ),
    (
        "a folder",
        "send servicenow folder --forge",
        2,
        &["folder", "directory"],
    ),
    (
        "no sender",
        "send jira ok.json",
        2,
        &["'jira'", "servicenow, slack"],
    ),
    (
        "swapped",
        "send ok.json servicenow",
        2,
        &["'ok.json'", "servicenow, slack"],
    ),
    (
        "no secret",
        "send servicenow ok.json",
        2,
        &["no secret to sign with", "--secret-file"],
    ),
    (
        "no secret",
        "send servicenow ok.json --secret-file gone",
        2,
        &["gone", "No such file"],
    ),
    (
        "an empty secret",
        "send servicenow ok.json --secret-file empty.json",
        2,
        &["secret is empty", "whsec_"],
    ),
    (
        "a short secret",
        "send servicenow ok.json --secret abc",
        2,
        &["too short", "16 bytes"],
    ),
    (
        "another system",
        "send slack ok.json --bearer x",
        2,
        &["--bearer", "servicenow only"],
    ),
    (
        "no password",
        "send servicenow ok.json --basic user",
        2,
        &["user:password"],
    ),
    (
        "no scheme",
        "send servicenow ok.json --forge --url localhost:8080",
        2,
        &["--url", "http://"],
    ),
    (
        "another scheme",
        "send servicenow ok.json --forge --url ftp://x",
        2,
        &["--url", "http://"],
    ),
    (
        "no daemon",
        "send servicenow ok.json --forge",
        1,
        &["no answer", "Connection refused", "is the daemon running"],
    ),
];

const REFUSED: [Mistake; 10] = [
    (
        "cut",
        "send servicenow cut.json --bearer RIGHT",
        1,
        &["not JSON", "400 Bad Request"],
    ),
    (
        "empty",
        "send servicenow empty.json --bearer RIGHT",
        1,
        &["not JSON", "400 Bad Request"],
    ),
    (
        "no record",
        "send servicenow number.json --bearer RIGHT",
        1,
        &["no record in the body", "400"],
    ),
    (
        "no id",
        "send servicenow ok.json --bearer RIGHT",
        1,
        &["no sys_id", "422"],
    ),
    (
        "another token",
        "send servicenow ok.json --bearer wrong",
        1,
        &["401", "does not match", "sign with a secret"],
    ),
    (
        "forged",
        "send slack ok.json --forge",
        1,
        &["401", "does not match", "sign with a secret"],
    ),
    (
        "stale",
        "send slack ok.json --forge --timestamp 1700000000",
        1,
        &["401", "in the past"],
    ),
    (
        "the operators' port",
        "send servicenow ok.json --bearer RIGHT --url ADMIN/webhooks/servicenow",
        1,
        &["404", "server.listen"],
    ),
    (
        "no path",
        "send servicenow ok.json --bearer RIGHT --url PUBLIC",
        1,
        &["404", "/webhooks/"],
    ),
    (
        "no such source",
        "send servicenow ok.json --bearer RIGHT --url PUBLIC/webhooks/servicenw",
        1,
        &["404", "no such source"],
    ),
];

#[tokio::test]
async fn a_webhook_that_is_not_taken_says_why_and_what_to_look_at() {
    let site = Site::new(MockConfig::default()).await;
    fs::create_dir(site.path("folder")).unwrap();
    for (name, text) in [
        (
            "ok.json",
            "{\"number\":\"INC0010421\",\"sys_class_name\":\"incident\"}",
        ),
        ("cut.json", "{\"sys_id\":"),
        ("empty.json", ""),
        ("number.json", "7"),
    ] {
        fs::write(site.path(name), text).unwrap();
    }
    make(&site, &BEFORE).await;
    let daemon = site.serve().await;
    let url = |port| format!("http://127.0.0.1:{port}");
    let nobody = url(free_port());
    let public = url(site.public);
    let tls = public.replace("http:", "https:");
    let more: [(_, _, _, &[&str]); 2] = [
        (
            "another port",
            format!("send servicenow ok.json --forge --url {nobody}/"),
            1,
            &["no answer", "does it listen there"],
        ),
        (
            "https",
            format!("send servicenow ok.json --forge --url {tls}/"),
            1,
            &["no answer", "http or https"],
        ),
    ];
    let filled = REFUSED.map(|(situation, line, code, words)| {
        let line = line.replace("RIGHT", "webhook-bearer-token-of-the-tests");
        let line = line
            .replace("ADMIN", &url(site.admin))
            .replace("PUBLIC", &public);
        (situation, line, code, words)
    });
    for (situation, line, code, words) in filled.into_iter().chain(more) {
        let mut command = site.command(&line);
        command.current_dir(site.path(""));
        let before = contents(&site.path(""));
        let refused = ended(command).await;
        judge(&format!("{situation}: {line}"), &refused, code, words);
        assert!(!refused.out.contains("webhook-bearer-token"), "{refused:?}");
        assert_eq!(contents(&site.path("")), before, "{line}");
    }
    daemon.stop().await;
}
