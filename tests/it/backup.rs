//! Backups: made under load, checked, and put in the place of a database that is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use serval_connect::store::{BackupError, Depth, Store, back_up, restore};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use crate::cli_run::{Site, ended, with_room};
use crate::store::{Bench, url};
use crate::support::bodies::{incident, sys_id};
use crate::support::{Daemon, Settings, eventually, needs_a_file, run};

/// A command with the daemon's configuration and a file.
pub(crate) async fn with_file(
    daemon: &Daemon,
    command: &str,
    file: &Path,
) -> (Option<i32>, String) {
    let mut arguments = daemon.arguments(command);
    arguments.push(file.to_str().unwrap());
    let output = run(daemon.folder(), &arguments).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn files_of(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", database.display())))
}

pub(crate) fn lose(database: &Path) {
    for file in files_of(database) {
        // The log may be gone already.
        drop(fs::remove_file(file));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_under_load_survives_the_loss_of_the_database() {
    needs_a_file!();
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    // Every second of the first tickets is mapped, the others wait.
    for n in (2..=40).step_by(2) {
        daemon
            .admin
            .map("servicenow", &sys_id(n), &format!("tkt_{n}"))
            .await;
    }
    let acknowledged: Arc<Mutex<Vec<(String, u32)>>> = Arc::default();
    let next = Arc::new(AtomicU32::new(1));
    let mut senders = JoinSet::new();
    for _ in 0..6 {
        let webhooks = daemon.webhooks.clone();
        let (acknowledged, next) = (Arc::clone(&acknowledged), Arc::clone(&next));
        senders.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Ok(answer) = webhooks.servicenow(incident(n)).try_send().await else {
                    return;
                };
                assert_eq!(answer.status, 202);
                acknowledged.lock().unwrap().push((answer.id(), n));
            }
        });
    }
    let known = || acknowledged.lock().unwrap().len();
    eventually("some load", async || (known() > 80).then_some(())).await;
    let before = acknowledged.lock().unwrap().clone();
    let copy = daemon.folder().join("inbox.backup");
    let (code, said) = with_file(&daemon, "backup", &copy).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("events") && said.contains("checked and on the disk"),
        "{said}"
    );
    assert!(known() > before.len(), "the senders went on meanwhile");

    daemon.kill().await;
    senders.join_all().await;
    let database = daemon.folder().join("data/inbox.db");
    lose(&database);
    let (code, said) = with_file(&daemon, "restore", &copy).await;
    assert_eq!(code, Some(0), "{said}");
    daemon.start_again().await;

    for (id, n) in &before {
        let event = daemon.admin.event(id).await;
        assert_eq!(event["external_id"], sys_id(*n).as_str(), "{id}");
        daemon
            .admin
            .map("servicenow", &sys_id(*n), &format!("tkt_{n}"))
            .await;
    }
    daemon.admin.drained().await;
    let links = mock.links();
    for (id, n) in &before {
        let is_there = links
            .iter()
            .filter(|link| link.external_ticket_id == sys_id(*n))
            .count();
        assert_eq!(is_there, 1, "{id} is connected, and once");
        assert_eq!(daemon.admin.event(id).await["state"], "connected", "{id}");
    }
}

#[tokio::test]
async fn a_backup_works_beside_the_lock_and_a_restore_does_not() {
    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    let url = url(&folder);
    let bench = Bench::open_in(folder).await;
    bench.queued(1).await;
    let copy = path.join("copy.db");
    let made = back_up(&url, &copy).await.unwrap();
    assert_eq!(made.events, 1);
    assert_eq!(made.bytes, copy.metadata().unwrap().len());
    let again = back_up(&url, &copy).await;
    assert!(
        matches!(again, Err(BackupError::Exists { .. })),
        "{again:?}"
    );
    // Even with the file gone: whoever holds the lock holds the database.
    let locked = restore(&url, &copy).await.unwrap_err().to_string();
    assert!(
        locked.contains("in use by another serval-connect"),
        "{locked}"
    );
    let folder = bench.close().await;
    let refused = restore(&url, &copy).await.unwrap_err().to_string();
    assert!(refused.contains("not overwritten"), "{refused}");

    let database = path.join("inbox.db");
    lose(&database);
    fs::write(path.join("inbox.db-wal"), "of another life").unwrap();
    let stale = restore(&url, &copy).await.unwrap_err().to_string();
    assert!(stale.contains("inbox.db-wal exists"), "{stale}");
    lose(&database);
    assert_eq!(restore(&url, &copy).await.unwrap(), made);
    assert_eq!(Store::inspect(&url, Depth::Whole).await.unwrap(), Some(1));
    let mut left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["copy.db", "inbox.db", "inbox.db.lock"],
        "nothing half done stays"
    );
}

#[tokio::test]
async fn what_is_no_backup_of_ours_is_not_restored() {
    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = url(&folder);
    let bench = Bench::open().await;
    bench.queued(1).await;
    let made = bench.close().await;
    let good = at("good.db");
    back_up(&url(&made), &good).await.unwrap();

    fs::write(
        at("text"),
        "no database at all, but long enough to be looked at. ".repeat(40),
    )
    .unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::copy(&good, at("newer")).unwrap();
    fs::copy(&good, at("unfinished")).unwrap();
    fs::write(at("unfinished-wal"), "x").unwrap();
    let mut bytes = fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 6000].fill(0xa5);
    fs::write(at("damaged"), bytes).unwrap();
    let mut newer = sqlx::SqliteConnection::connect(at("newer").to_str().unwrap())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .execute(&mut newer)
    .await
    .unwrap();
    newer.close().await.unwrap();

    for (name, says) in [
        ("absent", "no file"),
        ("text", "not a backup of serval-connect"),
        ("empty", "not a backup of serval-connect"),
        ("newer", "schema version 9999"),
        ("unfinished", "write-ahead log"),
        ("damaged", "damaged"),
    ] {
        let refused = restore(&source, &at(name)).await.unwrap_err().to_string();
        assert!(
            refused.contains(says) && refused.contains(name),
            "{name}: {refused}"
        );
        assert!(!at("inbox.db").exists(), "{name}");
    }
    restore(&source, &good).await.unwrap();
    let missing = back_up("sqlite:///nowhere/at/all.db", &at("x")).await;
    assert!(
        matches!(missing, Err(BackupError::Missing { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_backup_that_runs_out_of_room_leaves_nothing_behind() {
    needs_a_file!();
    let site = Site::new(MockConfig::default()).await;
    let folder = site.path("backups");
    fs::create_dir(&folder).unwrap();
    assert_eq!(site.run("migrate").await.code, 0);
    let database = site.path("data/x.db");
    let mut database = sqlx::SqliteConnection::connect(database.to_str().unwrap())
        .await
        .unwrap();
    // More than SQLite keeps in memory.
    let filling = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                   INSERT INTO settings SELECT i, hex(randomblob(10000)) FROM n";
    sqlx::query(filling).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let copy = format!("backup {}", folder.join("copy.db").display());
    for kib in [0, 64, 700, 1500, 3000] {
        let refused = ended(with_room(&site.command(&copy), kib)).await;
        assert_eq!(refused.code, 1, "{kib} KiB: {refused:?}");
        let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert!(left.is_empty(), "{kib} KiB: {left:?}");
    }
    let made = site.run(&copy).await;
    assert_eq!(made.code, 0, "{made:?}");
}

#[tokio::test]
async fn the_commands_say_what_they_did_and_fail_with_the_reason() {
    needs_a_file!();
    let site = Site::new(MockConfig::default()).await;
    let early = site.run("backup early.db").await;
    assert_eq!(early.code, 1, "{early:?}");
    let daemon = site.serve().await;
    site.incident(&sys_id(1)).await;
    let copy = site.path("copy.db");
    let made = site.run(&format!("backup {}", copy.display())).await;
    assert!(made.text().contains("1 events"), "{made:?}");
    let refused = site.run(&format!("restore {}", copy.display())).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("in use"), "{refused:?}");
    let checked = site.run("check --integrity").await;
    assert!(
        checked.text().contains("is sound, with 1 events"),
        "{checked:?}"
    );
    daemon.stop().await;
    lose(&site.path("data/x.db"));
    let restored = site.run(&format!("restore {}", copy.display())).await;
    assert!(
        restored.text().contains("restored, 1 events"),
        "{restored:?}"
    );
    let list = site.run("events list --json").await.json();
    assert_eq!(list["data"][0]["external_id"], sys_id(1).as_str());
}

/// The files in the folder of backups.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn a_backup_that_a_signal_ends_leaves_nothing_or_what_the_next_one_removes() {
    needs_a_file!();
    let site = Site::new(MockConfig::default()).await;
    assert_eq!(site.run("migrate").await.code, 0);
    let path = site.path("data/x.db");
    let mut database = sqlx::SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO settings (key, value) VALUES ('large', printf('%.*c', 60000000, 'x'))",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    let folder = site.path("backups");
    fs::create_dir(&folder).unwrap();
    for signal in ["-TERM", "-INT", "-KILL"] {
        // A backup that ends before the signal comes proves nothing.
        let ended = eventually("a backup is ended by a signal", async || {
            let file = folder.join("b.db");
            let mut backup = site
                .command(&format!("backup {}", file.display()))
                .spawn()
                .unwrap();
            let pid = backup.id().unwrap().to_string();
            let begun = async || (!names(&folder).is_empty()).then_some(());
            eventually("the backup has begun", begun).await;
            let kill = tokio::process::Command::new("kill")
                .args([signal, &pid])
                .status();
            // It may have ended already.
            kill.await.unwrap();
            let ended = backup.wait().await.unwrap();
            if ended.success() {
                fs::remove_file(file).unwrap();
                return None;
            }
            Some(ended)
        })
        .await;
        let left = names(&folder);
        assert!(!left.contains(&"b.db".to_owned()), "{left:?}");
        assert!(
            signal == "-KILL" || left.is_empty(),
            "{signal} {ended}: {left:?}"
        );
    }
    let file = folder.join("b.db");
    let done = site.run(&format!("backup {}", file.display())).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(names(&folder), ["b.db"]);
}
