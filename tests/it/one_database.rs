//! One database, one daemon: whatever name leads to the file, and whatever becomes of the names beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serval_connect::rehearsal::mock_serval::{MockConfig, MockServal};
use serval_connect::store::{OpenError, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::store::at;
use crate::support::bodies::incident;
use crate::support::{Daemon, Settings, eventually, needs_a_file};

/// Time limit of a question about the state: far less than the database is held in all.
const A_SCRAPE: Duration = Duration::from_secs(4);

fn url(database: &Path) -> String {
    format!("sqlite://{}", database.display())
}

/// Opens the database under the name that `second` makes, while it is open under its own. Returns the error.
async fn open_twice(second: impl FnOnce(&Path) -> String) -> OpenError {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let database = folder.path().join("data/inbox.db");
    let held = Store::open(&url(&database), at(0)).await.unwrap();
    let other = second(folder.path());
    let refused = Store::open(&other, at(0)).await.unwrap_err();
    drop(held);
    refused
}

fn assert_locked(refused: &OpenError) {
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let text = refused.to_string();
    assert!(text.contains("in use by another serval-connect"), "{text}");
}

#[tokio::test]
async fn a_symbolic_link_to_the_database_is_the_database() {
    needs_a_file!();
    let refused = open_twice(|folder| {
        fs::create_dir(folder.join("other")).unwrap();
        symlink("../data/inbox.db", folder.join("other/link.db")).unwrap();
        url(&folder.join("other/link.db"))
    })
    .await;
    assert_locked(&refused);
    // The lock's file stands beside the database, and names the process.
    let process = format!("(process {})", std::process::id());
    assert!(refused.to_string().contains(&process), "{refused}");
}

#[tokio::test]
async fn a_link_to_the_folder_of_the_database_leads_to_the_same_lock() {
    needs_a_file!();
    let refused = open_twice(|folder| {
        symlink("data", folder.join("other")).unwrap();
        url(&folder.join("other/inbox.db"))
    })
    .await;
    assert_locked(&refused);
}

#[tokio::test]
async fn a_hard_link_to_the_database_is_the_database() {
    needs_a_file!();
    let refused = open_twice(|folder| {
        fs::create_dir(folder.join("other")).unwrap();
        fs::hard_link(folder.join("data/inbox.db"), folder.join("other/copy.db")).unwrap();
        url(&folder.join("other/copy.db"))
    })
    .await;
    assert_locked(&refused);
}

#[tokio::test]
async fn a_removed_lock_file_lets_nobody_in() {
    needs_a_file!();
    let refused = open_twice(|folder| {
        fs::remove_file(folder.join("data/inbox.db.lock")).unwrap();
        url(&folder.join("data/inbox.db"))
    })
    .await;
    assert_locked(&refused);
}

#[tokio::test]
async fn a_renamed_folder_lets_nobody_in() {
    needs_a_file!();
    let refused = open_twice(|folder| {
        fs::rename(folder.join("data"), folder.join("moved")).unwrap();
        url(&folder.join("moved/inbox.db"))
    })
    .await;
    assert_locked(&refused);
}

/// A file or folder that is mounted at another place, too, where the machine allows that.
struct BindMount(PathBuf);

impl BindMount {
    fn of(from: &Path, at: &Path) -> Option<Self> {
        let mount = std::process::Command::new("mount")
            .arg("--bind")
            .args([from, at])
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_path_buf()))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let umount = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
        drop(umount);
    }
}

#[tokio::test]
async fn a_bind_mount_of_the_database_or_of_its_folder_lets_nobody_in() {
    needs_a_file!();
    for of_folder in [true, false] {
        let folder = TempDir::new().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&other).unwrap();
        let held = Store::open(&url(&data.join("inbox.db")), at(0))
            .await
            .unwrap();
        let (from, to) = if of_folder {
            (data, other.clone())
        } else {
            fs::write(other.join("inbox.db"), "").unwrap();
            (data.join("inbox.db"), other.join("inbox.db"))
        };
        let Some(mounted) = BindMount::of(&from, &to) else {
            println!("skipped: nothing can be mounted here");
            return;
        };
        let refused = Store::open(&url(&other.join("inbox.db")), at(0)).await;
        drop(mounted);
        assert_locked(&refused.unwrap_err());
        drop(held);
    }
}

#[tokio::test]
async fn a_link_may_name_a_database_that_does_not_exist_yet() {
    needs_a_file!();
    let folder = TempDir::new().unwrap();
    let (link, database) = (
        folder.path().join("link.db"),
        folder.path().join("inbox.db"),
    );
    symlink(&database, &link).unwrap();
    let held = Store::open(&url(&link), at(0)).await.unwrap();
    assert_locked(&Store::open(&url(&database), at(0)).await.unwrap_err());
    drop(held);
    Store::open(&url(&database), at(0)).await.unwrap();
}

/// Takes a file of a running daemon's database away with `take`. From then on no webhook is acknowledged,
/// `/readyz` says `problem`, and what was stored is in a copy. Returns the daemon.
async fn without(take: impl FnOnce(&Path), problem: &str) -> (Daemon, PathBuf) {
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let stored = daemon.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(stored.status, 202);
    assert_eq!(daemon.admin.readyz().await.status, 200);
    let database = daemon.folder().join("data/inbox.db");
    take(&database);

    let ready = daemon.admin.readyz().await;
    assert_eq!(ready.status, 503, "before any webhook");
    assert!(ready.text().contains(problem), "{}", ready.text());
    for n in 2..5 {
        let answer = daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 503, "nobody would find it again");
    }
    let saved = database.with_file_name("inbox.db.saved-1");
    eventually("the copy of the open file", async || {
        saved.exists().then_some(())
    })
    .await;
    assert!(!database.with_file_name("inbox.db.saved-2").exists());
    (daemon, saved)
}

#[tokio::test]
async fn a_start_without_the_database_names_the_saved_copy_of_it() {
    needs_a_file!();
    let delete = |database: &Path| fs::remove_file(database).unwrap();
    let (mut daemon, saved) = without(delete, "inbox.db was deleted or moved away").await;
    daemon.kill().await;
    let check = crate::support::run(daemon.folder(), &daemon.arguments("check")).await;
    let said = String::from_utf8(check.stdout).unwrap();
    let remedy = format!("`serval-connect restore {}`", saved.display());
    assert!(said.contains(&remedy), "{said}");
    daemon.start_again().await;
    let log = serde_json::to_string(&daemon.log()).unwrap();
    assert!(
        log.contains("the saved copy of one that was lost") && log.contains("inbox.db.saved-1"),
        "{log}"
    );
}

/// The copy has the events that were acknowledged, and restores as a backup does.
async fn restores(daemon: &mut Daemon, saved: &Path) {
    daemon.kill().await;
    let database = daemon.folder().join("data/inbox.db");
    for suffix in ["", "-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{suffix}", database.display())));
    }
    let mut arguments = daemon.arguments("restore");
    let name = saved.display().to_string();
    arguments.push(&name);
    let done = crate::support::run(daemon.folder(), &arguments).await;
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    daemon.start_again().await;
    assert_eq!(daemon.admin.events("").await.len(), 1);
}

#[tokio::test]
async fn a_database_that_is_deleted_while_it_is_open_takes_no_webhook() {
    needs_a_file!();
    let delete = |database: &Path| fs::remove_file(database).unwrap();
    let (mut daemon, saved) = without(delete, "inbox.db was deleted or moved away").await;
    restores(&mut daemon, &saved).await;
}

#[tokio::test]
async fn a_log_that_is_deleted_while_it_is_open_is_noticed_like_the_database() {
    needs_a_file!();
    for suffix in ["-wal", "-shm"] {
        let delete = |database: &Path| {
            fs::remove_file(format!("{}{suffix}", database.display())).unwrap();
        };
        let problem = format!("inbox.db{suffix} was deleted or moved away");
        let (mut daemon, _) = without(delete, &problem).await;
        // The database has all that was acknowledged, also without the copy.
        daemon.kill().await;
        daemon.start_again().await;
        assert_eq!(daemon.admin.events("").await.len(), 1, "{suffix}");
    }
}

#[tokio::test]
async fn a_daemon_without_traffic_saves_its_database_as_well() {
    needs_a_file!();
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    let stored = daemon.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(stored.status, 202);
    let database = daemon.folder().join("data/inbox.db");
    fs::remove_file(&database).unwrap();
    let saved = database.with_file_name("inbox.db.saved-1");
    eventually("nobody asked", async || saved.exists().then_some(())).await;
    restores(&mut daemon, &saved).await;
}

#[tokio::test]
async fn a_file_that_takes_the_place_of_the_database_is_not_written_to() {
    needs_a_file!();
    let replace = |database: &Path| {
        let other = database.with_file_name("other.db");
        fs::write(&other, "not ours").unwrap();
        fs::rename(other, database).unwrap();
    };
    let (daemon, _) = without(replace, "another file was put in the place").await;
    let database = daemon.folder().join("data/inbox.db");
    assert_eq!(fs::read(database).unwrap(), b"not ours");
}

#[tokio::test]
async fn a_file_that_takes_the_place_of_the_database_is_neither_read_nor_changed() {
    needs_a_file!();
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("inbox.db");
    let other = folder.path().join("other.db");
    let options = SqliteConnectOptions::new().filename(&other);
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    for statement in [
        "CREATE TABLE settings (key TEXT, value TEXT)",
        "INSERT INTO settings (key, value) VALUES ('paused', 'true')",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
    let before = fs::read(&other).unwrap();
    let (store, _writer) = Store::open(&url(&database), at(0)).await.unwrap();
    fs::rename(&other, &database).unwrap();
    assert!(
        !store.is_paused().await.unwrap(),
        "that is written in the other file"
    );
    // SQLite moves the log into the database as the last connection closes.
    store.close_readers().await;
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn a_symbolic_link_that_takes_the_place_of_the_database_is_noticed() {
    needs_a_file!();
    // The next start would look for the log beside the file that the link leads to.
    let move_away = |database: &Path| {
        let other = database.with_file_name("away.db");
        fs::rename(database, &other).unwrap();
        symlink(&other, database).unwrap();
    };
    without(move_away, "another file was put in the place").await;
}

#[tokio::test]
async fn a_database_that_is_cut_short_in_place_takes_no_webhook() {
    needs_a_file!();
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let stored = daemon.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(stored.status, 202);
    let database = daemon.folder().join("data/inbox.db");
    let file = fs::File::options().write(true).open(&database).unwrap();
    file.set_len(0).unwrap();
    overwritten(&daemon, "inbox.db was cut short").await;
    // It does not become right again as it grows: the log and the file do not belong together.
    file.set_len(1 << 20).unwrap();
    overwritten(&daemon, "inbox.db was cut short").await;
}

#[tokio::test]
async fn a_backup_that_is_copied_over_an_open_database_takes_no_webhook() {
    needs_a_file!();
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let stored = daemon.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(stored.status, 202);
    let backup = daemon.folder().join("old.db");
    let mut arguments = daemon.arguments("backup");
    let name = backup.display().to_string();
    arguments.push(&name);
    let done = crate::support::run(daemon.folder(), &arguments).await;
    assert!(done.status.success());
    // Made longer than the database, so that its length says nothing.
    let file = fs::File::options().write(true).open(&backup).unwrap();
    file.set_len(64 << 20).unwrap();
    fs::copy(&backup, daemon.folder().join("data/inbox.db")).unwrap();
    overwritten(&daemon, "inbox.db was overwritten with a backup").await;
}

/// Nothing is acknowledged, and `/readyz` says `problem`.
async fn overwritten(daemon: &Daemon, problem: &str) {
    let ready = daemon.admin.readyz().await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains(problem), "{}", ready.text());
    for n in 2..5 {
        let answer = daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 503);
    }
}

#[tokio::test]
async fn a_database_that_comes_back_is_used_again() {
    needs_a_file!();
    let away = |database: &Path| fs::rename(database, database.with_file_name("away.db")).unwrap();
    let (daemon, _) = without(away, "inbox.db was deleted or moved away").await;
    let database = daemon.folder().join("data/inbox.db");
    fs::rename(database.with_file_name("away.db"), &database).unwrap();
    let answer = daemon.webhooks.servicenow(incident(2)).send().await;
    assert_eq!(answer.status, 202);
    assert_eq!(daemon.admin.readyz().await.status, 200);
    assert_eq!(daemon.admin.events("").await.len(), 2);
}

#[tokio::test]
async fn a_database_that_another_process_holds_is_told_within_the_time_of_a_scrape() {
    needs_a_file!();
    let mock = MockServal::start(MockConfig::default()).await.unwrap();
    let daemon = Daemon::start(&mock, &Settings::default()).await;
    let options = SqliteConnectOptions::new().filename(daemon.folder().join("data/inbox.db"));
    let mut other = options.connect().await.unwrap();
    let hold = sqlx::query("BEGIN IMMEDIATE");
    hold.execute(&mut other).await.unwrap();
    // These wait for the writer, before whatever asks for the state.
    for n in 1..=3 {
        let answer = daemon.webhooks.servicenow(incident(n)).send().await;
        assert_eq!(answer.status, 503);
    }
    // SQLite waits for seconds before it calls a write a failure.
    let asks = async || {
        let ready = tokio::time::timeout(A_SCRAPE, daemon.admin.readyz()).await;
        let ready = ready.expect("no write is waited for longer");
        let metrics = daemon.admin.request(Method::GET, "/metrics", None, "");
        let metrics = tokio::time::timeout(A_SCRAPE, metrics).await;
        assert_eq!(metrics.expect("nor for the metrics").status, 200);
        (ready.status == 503).then(|| ready.text())
    };
    let said = eventually("the held database shows", asks).await;
    assert!(said.contains("nothing can be stored"), "{said}");
    other.close().await.unwrap();
    eventually("it is ready again", async || {
        (daemon.admin.readyz().await.status == 200).then_some(())
    })
    .await;
}
