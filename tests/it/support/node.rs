//! The engines of JavaScript: Node, which also makes the update set, and Rhino, which `ServiceNow` has.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::PATIENCE;

/// An engine that plays scenarios.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Node,
    Rhino,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Node, Self::Rhino];

    /// Plays a scenario of `tests/servicenow/glide.js`, where it is described. `None`: see [`run`].
    pub(crate) async fn play(self, scenario: &Value) -> Option<Value> {
        let (program, script) = match self {
            Self::Node => ("node", "tests/servicenow/node.js"),
            Self::Rhino => ("rhino", "tests/servicenow/rhino.js"),
        };
        let output = run(program, &[script], &scenario.to_string()).await?;
        let fault = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?}: {fault}");
        let happened = serde_json::from_slice(&output.stdout);
        Some(happened.unwrap_or_else(|error| panic!("{self:?}: {error}: {fault}")))
    }
}

/// Plays a scenario in Node.
pub(crate) async fn play(scenario: &Value) -> Option<Value> {
    Engine::Node.play(scenario).await
}

/// Runs a script of this repository in Node with `input` and answers what it printed.
pub(crate) async fn node(arguments: &[&str], input: &str) -> Option<Output> {
    run("node", arguments, input).await
}

/// Runs a program in the folder of this repository.
///
/// `None` where the program is missing, which is a failure where `CI` is set.
#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
async fn run(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
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
            assert!(!must_run, "CI needs {program} for this test: {error}");
            println!("skipped, because {program} does not start: {error}");
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
