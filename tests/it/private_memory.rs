//! The memory of the process, which holds secrets, is nobody else's.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::cli_run::{bare, without_rights};

#[tokio::test]
async fn there_is_no_core_dump_and_no_other_program_of_the_user_reads_the_memory() {
    let mut command = bare("mock-serval --listen 127.0.0.1:0");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let user = without_rights(&mut command);
    let Ok(mut child) = command.spawn() else {
        eprintln!("skipped: the user {user} may not run the program");
        return;
    };
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    tokio::select! {
        line = lines.next_line() => drop(line),
        line = printed.next_line() => drop(line),
    }
    let process = format!("/proc/{}", child.id().unwrap());
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core"));
    let cores: Vec<&str> = cores.unwrap().split_whitespace().collect();
    assert_eq!(cores[4..6], ["0", "0"], "{cores:?}");
    // The system gives the files of a process that is not dumpable to root, and so the right to read.
    let owner = fs::metadata(format!("{process}/mem")).unwrap().uid();
    assert_ne!(owner, user, "{process}");
    child.kill().await.unwrap();
}
