//! The real binary's `demo`, as a new user runs it.

use std::process::Command;

#[test]
fn the_demo_shows_every_step_and_ends_well_whatever_the_environment_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_serval-connect"))
        .args(["demo", "--once"])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        // None of these may be read.
        .env("SERVAL_BASE_URL", "http://192.0.2.1:1")
        .env("SERVAL_BEARER_TOKEN", "somebody's")
        .env("SERVAL_CONNECT__SERVER__LISTEN", "nowhere")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}\n{log}");
    for line in [
        "1  An incident from ServiceNow",
        "connect    POST /v2/tickets/ticket-vpn/connect -> 200",
        "externalTicketSubtype  requested_item",
        "externalTicketId       C0HELPDESK:1773822600.417239",
        "\"duplicate\":true",
        "answer     401 Unauthorized",
        "parked (no_mapping)",
        "parked -> queued -> connected",
        "steps      8 of 8 as expected",
        "connects   4 expected, 4 arrived, each once and byte for byte",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
    assert!(!text.contains("NOT AS EXPECTED") && !text.contains('\x1b'));
    assert_eq!(log, "", "the log is quiet");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the temporary folder is removed");
}
