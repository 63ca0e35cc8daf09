//! `map import` and `map export` from the outside, with the daemon down and with the daemon running.

use std::fmt::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::MockConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::cli_run::{Ended, Site, ended};
use crate::support::bodies::sys_id;

const HEAD: &str = "source,external_id,ticket_id,accounted_for_message_ids\n";
const ROWS: u32 = 5_000;

/// The rows of an export, in its order.
fn rows(n: u32) -> String {
    let mut rows: Vec<String> = (1..=n)
        .map(|n| format!("servicenow,{},T-{n},\n", sys_id(n)))
        .collect();
    rows.sort();
    rows.push("slack,C9DDYQ1B4:1779146751.061339,T-1,m1 m2\n".to_owned());
    rows.concat()
}

/// Runs a command that reads `input`.
async fn fed(mut command: Command, input: &str) -> Ended {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let write = async move {
        // A command that refuses early closes its end.
        let _written = stdin.write_all(input.as_bytes()).await;
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn write(site: &Site, name: &str, text: &str) -> String {
    let path = site.path(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

async fn count(site: &Site) -> usize {
    let list = site.run("map list --all --json").await.json();
    list["data"].as_array().unwrap().len()
}

/// Does all that goes well, and answers what was printed and written.
async fn tour(site: &Site) -> Vec<String> {
    site.run("migrate").await;
    let csv = HEAD.to_owned() + &rows(ROWS);
    let file = write(site, "pairs.csv", &csv);
    let first = site.run(&format!("map import {file} --json")).await;
    assert_eq!(first.err.lines().count(), 0, "no bar without a terminal");
    let total = ROWS + 1;
    let expected =
        json!({ "imported": total, "created": total, "replaced": 0, "still_connected": 0 });
    assert_eq!(first.json(), expected);
    let again = site.run(&format!("map import {file}")).await;
    let said = format!("pairs.csv: {total} mappings imported, 0 of them new");
    assert!(again.text().contains(&said), "{again:?}");

    let printed = site.run("map export").await;
    assert_eq!(printed.text(), csv);
    assert_eq!(printed.err, "");
    let out = site.path("out.ndjson").display().to_string();
    let written = site.run(&format!("map export --output {out}")).await;
    assert_eq!(written.text(), "");
    assert!(
        written.err.contains(&format!("{total} mappings")),
        "{written:?}"
    );
    let ndjson = std::fs::read_to_string(&out).unwrap();
    assert_eq!(ndjson.lines().count(), ROWS as usize + 1);
    let slack = site.run("map export --format ndjson --source slack").await;
    let slack: Value = serde_json::from_str(slack.text()).unwrap();
    assert_eq!(slack["accounted_for_message_ids"], json!(["m1", "m2"]));
    let one = site.run("map export --ticket-id T-1").await;
    assert_eq!(one.text().lines().count(), 3, "{one:?}");

    // Out of the program and into it again.
    for name in ["servicenow", "slack"] {
        let line = format!("map export --source {name}");
        assert!(site.run(&line).await.text().lines().count() > 1);
    }
    let same = site.run(&format!("map import {out}")).await;
    assert!(same.text().contains(" 0 of them new"), "{same:?}");
    let piped = fed(site.command("map import -"), &csv).await;
    assert!(
        piped.text().starts_with("the standard input: "),
        "{piped:?}"
    );
    let piped = fed(site.command("map import --format ndjson -"), &ndjson).await;
    assert_eq!(piped.code, 0, "{piped:?}");
    vec![printed.out, ndjson]
}

#[tokio::test]
async fn files_go_in_and_out_the_same_with_and_without_the_daemon() {
    let down = Site::new(MockConfig::default()).await;
    let directly = tour(&down).await;
    let up = Site::new(MockConfig::default()).await;
    let _daemon = up.serve().await;
    assert_eq!(tour(&up).await, directly);

    // What one program exports, another one imports.
    let other = Site::new(MockConfig::default()).await;
    assert_eq!(other.run("migrate").await.code, 0);
    let file = write(&other, "from.jsonl", &directly[1]);
    assert_eq!(other.run(&format!("map import {file}")).await.code, 0);
    assert_eq!(other.run("map export").await.text(), directly[0]);
}

#[tokio::test]
async fn columns_of_others_are_named_once() {
    let site = Site::new(MockConfig::default()).await;
    site.run("migrate").await;
    let text = format!(
        "Source;External ID;Ticket ID;Comment;\r\nservicenow;{};T-1;x;\r\n;;;;\r\n",
        sys_id(1)
    );
    let file = write(&site, "excel.csv", &text);
    let done = site.run(&format!("map import {file}")).await;
    let lines: Vec<_> = done.text().lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(lines[0].contains("1 mapping imported"), "{done:?}");
    assert!(lines[1].ends_with(": Comment"), "{done:?}");
    let done = site.run(&format!("map import {file} --json")).await;
    assert_eq!(done.json()["passed_over"], json!(["Comment"]));
}

/// What a faulty file, one that is not there and a format that is not known come to.
async fn faults(site: &Site) {
    let mut text = HEAD.to_owned() + "servicenow,not-an-id,T-0,\n";
    text += &rows(10);
    for n in 0..119 {
        writeln!(text, "jira,{n},T-1,").unwrap();
    }
    let file = write(site, "faulty.csv", &text);
    let refused = site.run(&format!("map import {file}")).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(refused.out, "");
    let lines: Vec<_> = refused.err.lines().collect();
    assert_eq!(lines.len(), 22, "{refused:?}");
    assert!(lines[0].contains("faulty.csv: 120 lines are faulty"));
    assert!(lines[0].contains("nothing was imported"));
    assert!(lines[1].starts_with("error:   line 2: external_id: "));
    assert!(lines[2].starts_with("error:   line 14: source: "));
    assert_eq!(lines[21], "error:   and 100 more lines");
    let refused = site.run(&format!("map import {file} --json")).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    let problem: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert_eq!(problem["more"], 20);

    let here = site.path("").display().to_string();
    let odd = write(site, "pairs.txt", HEAD);
    let workbook = write(site, "pairs.xlsx", "PK\u{3}\u{4}\u{14}");
    let array = write(site, "pairs.json", "[{\"source\":\"slack\"}]");
    for (line, code, part) in [
        (format!("map import {here}none.csv"), 1, "No such file"),
        (format!("map import {here} --format csv"), 1, "directory"),
        (format!("map import {odd}"), 2, "--format csv or"),
        (format!("map import {workbook}"), 2, "CSV UTF-8"),
        (format!("map import {array}"), 2, "JSON array"),
        (format!("map import {odd} --format xml"), 2, "ndjson"),
        ("map export --source jira".to_owned(), 2, "configured:"),
        ("map export --ticket-id n/a".to_owned(), 2, "ticket id"),
        (
            format!("map export --output {here}no/where.csv"),
            1,
            "there is no folder",
        ),
        (format!("map export --output {here}"), 1, "directory"),
    ] {
        let ended = site.run(&line).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(ended.err.contains(part), "{line}: {ended:?}");
    }
    for (line, input, part) in [
        ("map import -", "", "header line is missing"),
        ("map import -", "\r\n", "header line is missing"),
        (
            "map import - --format ndjson",
            "",
            "standard input is empty",
        ),
        ("map import -", "[{\"source\":\"slack\"}]", "JSON array"),
        ("map import - --format ndjson", "[\n{}\n]\n", "JSON array"),
        ("map import -", "{\"source\":\"slack\"}", "--format ndjson"),
    ] {
        let refused = fed(site.command(line), input).await;
        assert_eq!(refused.code, 2, "{line} {input:?}: {refused:?}");
        assert!(refused.err.contains(part), "{line} {input:?}: {refused:?}");
    }
    assert_eq!(count(site).await, 0);
}

#[tokio::test]
async fn a_faulty_file_is_told_by_its_lines_and_nothing_of_it_is_imported() {
    let site = Site::new(MockConfig::default()).await;
    let missing = site.run("map export").await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("no database"), "{missing:?}");
    site.run("migrate").await;
    faults(&site).await;
    let _daemon = site.serve().await;
    faults(&site).await;
}

#[tokio::test]
async fn an_import_releases_what_is_parked_whether_the_daemon_runs_or_not() {
    let site = Site::new(MockConfig::default()).await;
    let daemon = site.serve().await;
    let mut events = Vec::new();
    for n in [1, 2] {
        events.push(site.incident(&sys_id(n)).await);
    }
    let row = |n| {
        format!(
            "source,external_id,ticket_id\nservicenow,{},T-{n}\n",
            sys_id(n)
        )
    };
    let first = fed(site.command("map import -"), &row(1)).await;
    assert_eq!(
        first.text(),
        "the standard input: 1 mapping imported, 1 of them new\n"
    );
    site.wait_for(&events[0], "connected").await;
    daemon.stop().await;
    let second = fed(site.command("map import -"), &row(2)).await;
    assert!(second.text().contains("not running"), "{second:?}");
    site.wait_for(&events[1], "queued").await;
    let _daemon = site.serve().await;
    site.wait_for(&events[1], "connected").await;
}

#[tokio::test]
async fn a_refused_token_is_said_before_a_large_file_is_sent() {
    let site = Site::new(MockConfig::default()).await;
    let _daemon = site.serve().await;
    let file = write(&site, "pairs.csv", &(HEAD.to_owned() + &rows(ROWS)));
    let mut command = site.command(&format!("map import {file}"));
    command.env("SERVAL_CONNECT__ADMIN__TOKENS", "a-token-of-somebody-else");
    let refused = ended(command).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("admin.tokens"), "{refused:?}");
}

#[tokio::test]
#[ignore = "takes a minute in a debug build"]
async fn a_hundred_thousand_rows_go_both_ways_and_too_many_are_refused() {
    const MANY: u32 = 100_000;
    let csv = HEAD.to_owned() + &rows(MANY);
    let mut too_many = csv.clone();
    for n in MANY..=2 * MANY {
        writeln!(too_many, "servicenow,{},U-{n},", sys_id(n + 1)).unwrap();
    }
    let site = Site::new(MockConfig::default()).await;
    let many = write(&site, "many.csv", &csv);
    let too_many = write(&site, "too-many.csv", &too_many);
    site.run("migrate").await;
    for runs in [false, true] {
        let daemon = if runs { Some(site.serve().await) } else { None };
        let imported = fed(site.command(&format!("map import {many} --json")), "").await;
        assert_eq!(imported.json()["imported"], MANY + 1);
        let exported = fed(site.command("map export"), "").await;
        assert_eq!(exported.text(), csv);
        let refused = fed(site.command(&format!("map import {too_many}")), "").await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("200000 rows"), "{refused:?}");
        drop(daemon);
    }
}
