//! Runs scripts that start Postgres servers.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// True if Debian's package `postgresql` is installed. Without it nothing is tried, unless `CI` is set: there nothing is
/// skipped.
#[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
pub(crate) fn has_server() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let has = versions.is_ok_and(|mut versions| versions.next().is_some());
    if !has && std::env::var_os("CI").is_none() {
        eprintln!("skipped: Postgres is not installed");
        return false;
    }
    true
}

/// Starts a script of the shell as a user who may start a server: `initdb` refuses to run as root. The script ends
/// when its standard input does, so also when the test process ends, in whatever way.
pub(crate) fn start(script: &str) -> Child {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.expect("every system has id").stdout == b"0\n";
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh", "-c", script]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    command
        .current_dir("/")
        // What ends the test, such as Ctrl-C, leaves the script the time to stop its server.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("every system has a shell")
}
