//! A database that takes no writes: no room, or another process that holds it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serval_connect::domain::ids::EventId;

use super::daemon::{Settings, Site};
use super::sender::Sender;
use super::{acknowledge, assert_all_well, assert_fresh_event_flows, owed, settle};
use crate::conservation::generator::{Ledger, Ticket, map};
use crate::support::{Database, PATIENCE, database, eventually, needs_a_file};

/// A small file system of its own, where the machine allows one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status();
        status
            .is_ok_and(|s| s.success())
            .then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left goes with the machine's memory.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Takes all the room there is.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 512, 1] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}

/// Sends new events until `stop`, and notes those that are acknowledged; answers how many times
/// it was told to come again.
async fn send_on(sender: &Sender, label: u64, ledger: &mut Ledger, stop: Instant) -> usize {
    let mut told = 0;
    let mut n = 0_u64;
    while Instant::now() < stop && n < 400 {
        n += 1;
        let id = format!("{label:08x}{n:024x}");
        let text = "x".repeat(3000);
        let object = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident","t":"{text}"}}"#);
        let (status, says_when, _) = sender.webhook(&format!("msg_{id}"), &object).await.unwrap();
        let ticket = ledger.entry(id).or_default();
        ticket.serval = format!("T-{label}-{n}");
        ticket.sent.insert(object.clone());
        match status {
            202 => drop(ticket.acknowledged.insert(object)),
            503 => {
                assert!(says_when, "a sender is told when to come again");
                told += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other}"),
        }
    }
    told
}

async fn map_all(sender: &Sender, ledger: &Ledger) {
    for (id, Ticket { serval, .. }) in ledger {
        map(sender, id, serval).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_answers_but_no_event() {
    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let Some(mounted) = SmallDisk::mount(&disk, "8m") else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let database = format!("sqlite://{}/inbox.db", disk.display());
    let mut site = Site::at(folder, database, &Settings::default()).await;
    site.start().await;
    let sender = site.sender();
    // Calls are under way when the room ends: their results cannot be written.
    site.faults(&["latency=1500ms"]);
    let mut ledger = acknowledge(&site, 1, 12).await;
    let filler = fill(&disk);
    let told = send_on(
        &sender,
        2,
        &mut ledger,
        Instant::now() + Duration::from_secs(3),
    )
    .await;
    assert!(told > 10, "the disk was full");
    let (ready, _, why) = sender.ready().await.unwrap();
    assert_eq!(ready, 503, "{why}");
    assert!(why.to_string().contains("full"), "{why}");
    fs::remove_file(filler).unwrap();
    site.faults(&[]);
    let freed = Instant::now();
    let rest = send_on(&sender, 3, &mut ledger, freed + Duration::from_millis(500)).await;
    assert!(site.runs(), "it was not started again");
    map_all(&sender, &ledger).await;
    assert!(site.connected(owed(&ledger), PATIENCE).await.is_some());
    let verdict = settle(&site, &ledger).await;
    println!(
        "full disk: acknowledged {}, lost {}, repeated {}, told to come again {told}, after it was freed {rest}",
        verdict.acknowledged,
        verdict.lost.len(),
        verdict.repeated.len(),
    );
    assert_all_well(&verdict);
    assert_fresh_event_flows(&site).await;
    let (ready, ..) = sender.ready().await.unwrap();
    assert_eq!(ready, 200);
    drop(site);
    drop(mounted);
}

/// Counts the staged rows of imports, as another process sees them.
async fn staged(url: &str) -> i64 {
    database::value(url, "SELECT COUNT(*) FROM import_rows").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_without_room_leaves_nothing_behind_and_the_room_to_webhooks() {
    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let Some(mounted) = SmallDisk::mount(&disk, "16m") else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let database = format!("sqlite://{}/inbox.db", disk.display());
    let mut site = Site::at(folder, database, &Settings::default()).await;
    site.start().await;
    let sender = site.sender();
    let file = |rows: u32| {
        let row = |n| format!("servicenow,{n:032x},T-{n}\n");
        "source,external_id,ticket_id\n".to_owned() + &(1..=rows).map(row).collect::<String>()
    };
    let (status, says_when, why) = sender.import(file(60_000)).await.unwrap();
    assert_eq!((status, says_when), (503, true), "{why}");
    assert!(why.to_string().contains("no room"), "{why}");
    eventually("an empty staging", async || {
        (staged(&site.database).await == 0).then_some(())
    })
    .await;
    let mappings = sender.get("mappings").await;
    assert_eq!(mappings["data"].as_array().unwrap().len(), 0);
    let mut ledger = Ledger::default();
    let stop = Instant::now() + Duration::from_secs(3);
    let told = send_on(&sender, 7, &mut ledger, stop).await;
    assert_eq!(told, 0, "webhooks have room");
    let (status, _, answer) = sender.import(file(1)).await.unwrap();
    assert_eq!(status, 200, "{answer}");

    // Killed while it stages, on a disk that is full at the next start.
    let staging = sender.import(file(5_000));
    let seen = async { while staged(&site.database).await == 0 {} };
    tokio::select! {
        () = seen => {}
        answer = staging => panic!("{answer:?}"),
    }
    site.kill();
    let left = staged(&site.database).await;
    assert!(left > 0);
    let filler = fill(&disk);
    // What any start takes.
    let file = File::options().write(true).open(&filler).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 192 * 1024).unwrap();
    site.start().await;
    fs::remove_file(filler).unwrap();
    eventually("an empty staging", async || {
        (staged(&site.database).await == 0).then_some(())
    })
    .await;
    drop(site);
    drop(mounted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_process_holds_costs_answers_but_no_event() {
    let mut site = Site::new(&Settings::default()).await;
    site.start().await;
    let sender = site.sender();
    site.faults(&["latency=500ms"]);
    let mut ledger = acknowledge(&site, 1, 8).await;
    let other = Database::hold(&site.database).await;
    let told = send_on(
        &sender,
        2,
        &mut ledger,
        Instant::now() + Duration::from_secs(7),
    )
    .await;
    assert!(told > 0, "nothing could be written");
    other.close().await;
    site.faults(&[]);
    let rest = Instant::now() + Duration::from_millis(500);
    send_on(&sender, 3, &mut ledger, rest).await;
    map_all(&sender, &ledger).await;
    assert!(site.connected(owed(&ledger), PATIENCE).await.is_some());
    let verdict = settle(&site, &ledger).await;
    assert_all_well(&verdict);
    assert!(site.runs());
    // Ids are never given twice, whatever was rolled back.
    let last = sender.get("events?limit=1").await["data"][0]["id"].clone();
    assert!(last.as_str().unwrap().parse::<EventId>().is_ok());
}
