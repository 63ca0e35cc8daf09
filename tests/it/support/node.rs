//! Node, which runs the scripts for `ServiceNow` and what makes them an update set.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::PATIENCE;

/// Runs a script of this repository with `input` and answers what it printed.
///
/// `None` where there is no Node, which is a failure where `CI` is set.
#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
pub(crate) async fn node(arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new("node");
    command
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let must_run = std::env::var_os("CI").is_some();
            assert!(!must_run, "CI needs Node for this test: {error}");
            println!("skipped, because Node does not start: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    // A script that does not read its input may have closed it.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    Some(output.expect("the script ends").unwrap())
}

/// Plays a scenario of `tests/servicenow/glide.js`, where it is described.
pub(crate) async fn play(scenario: &Value) -> Option<Value> {
    let output = node(&["tests/servicenow/glide.js"], &scenario.to_string()).await?;
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{fault}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
