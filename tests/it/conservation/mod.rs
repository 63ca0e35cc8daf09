//! What was acknowledged reaches Serval as it was received, whatever happens to either of them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run says what it proved, and what the daemon logged when it did not"
)]

pub(crate) mod daemon;
mod full_disk;
mod generator;
#[expect(dead_code, reason = "the tests of replicas use the rest")]
pub(crate) mod sender;

use std::time::{Duration, Instant};

use daemon::{Settings, Site};
use generator::{Generator, Ledger, Ticket, Verdict, judge, owed};

use crate::support::{PATIENCE, database_url};

impl Site {
    /// A site with its database in a folder of its own; nothing runs yet but Serval.
    pub(crate) async fn new(settings: &Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database_url(folder.path());
        Self::at(folder, database, settings).await
    }
}

/// What goes wrong at Serval while webhooks arrive. The last of a round comes right before a kill:
/// refused credentials hold the line for 30 s, which a new process does not remember.
const TROUBLES: [&[&str]; 10] = [
    &["drop,rate=0.5"],
    &["500,rate=0.6"],
    &["429,retry_after=1,rate=0.2"],
    &["hang,rate=0.3"],
    &["reset,rate=0.5"],
    &["latency=60ms"],
    &["drop,rate=0.4", "503,path=external-tickets,rate=0.4"],
    &["drop,rate=0.3", "reset,path=external-tickets,rate=0.3"],
    &["503,path=token", "reset,rate=0.2"],
    &[],
];
const REFUSED: &[&str] = &["401,rate=0.7", "drop,rate=0.5"];

#[expect(
    clippy::disallowed_methods,
    reason = "knobs of a test, not of the program"
)]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_arrives_through_kills_and_faults() {
    conserve(knob("CONSERVATION_KILLS").unwrap_or(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run with --ignored"]
async fn what_was_acknowledged_arrives_through_many_kills() {
    conserve(24).await;
}

async fn conserve(kills: u64) {
    let seed = knob("CONSERVATION_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("conservation: seed {seed} (again with CONSERVATION_SEED={seed})");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut site = Site::new(&Settings {
        serval_timeout: "700ms",
        ..Settings::default()
    })
    .await;
    site.start().await;
    let generator = Generator::start(&site.sender(), 4, Duration::from_millis(20), seed);
    for _ in 0..kills {
        let alive = Duration::from_millis(dice.u64(800..3000));
        let killed_at = Instant::now() + alive;
        while Instant::now() < killed_at {
            site.faults(TROUBLES[dice.usize(0..TROUBLES.len())]);
            let pause = Duration::from_millis(dice.u64(100..500));
            let left = killed_at.saturating_duration_since(Instant::now());
            tokio::time::sleep(pause.min(left)).await;
        }
        if dice.u8(0..3) == 0 {
            site.faults(REFUSED);
            tokio::time::sleep(Duration::from_millis(dice.u64(50..300))).await;
        }
        site.kill();
        tokio::time::sleep(Duration::from_millis(dice.u64(0..200))).await;
        site.start().await;
    }
    site.faults(&[]);
    let ledger = generator.finish().await;
    let all = site.connected(owed(&ledger), PATIENCE).await;
    let verdict = settle(&site, &ledger).await;
    println!(
        "conservation: acknowledged {}, tickets {}, lost {}, altered {}, repeated {}, kills {kills}, all connected {all:?} after the last",
        verdict.acknowledged,
        owed(&ledger),
        verdict.lost.len(),
        verdict.altered.len(),
        verdict.repeated.len(),
    );
    assert_all_well(&verdict);
    assert!(verdict.acknowledged > 50, "that proves little");
    assert_fresh_event_flows(&site).await;
}

/// Waits until nothing more comes: connects of events that nobody acknowledged may.
async fn settle(site: &Site, ledger: &Ledger) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    let sender = site.sender();
    while Instant::now() < deadline {
        let queued = sender.get("stats").await["totals"]["queued"].as_i64();
        if queued == Some(0) && judge(ledger, &site.mock).lost.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    judge(ledger, &site.mock)
}

fn assert_all_well(verdict: &Verdict) {
    assert!(verdict.lost.is_empty(), "lost: {:?}", verdict.lost);
    assert!(verdict.altered.is_empty(), "altered: {:?}", verdict.altered);
    assert!(
        verdict.repeated.is_empty(),
        "repeated: {:?}",
        verdict.repeated
    );
}

async fn assert_fresh_event_flows(site: &Site) {
    let sender = site.sender();
    let id = "f".repeat(32);
    assert!(sender.map(&id, "T-fresh").await.is_some());
    let body = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident"}}"#);
    let (status, ..) = sender.webhook("msg_fresh", &body).await.unwrap();
    assert_eq!(status, 202);
    let is_there = |external_id: &str| external_id == id;
    let arrived = site.mock.wait_for(Duration::from_secs(5), |journal| {
        journal
            .connects
            .iter()
            .any(|c| c.stored && is_there(&c.external_id))
    });
    assert!(arrived.await, "a fresh event flows");
}

/// Maps and sends `count` events; every one must be acknowledged.
async fn acknowledge(site: &Site, label: u64, count: u64) -> Ledger {
    let sender = site.sender();
    let mut ledger = Ledger::new();
    for n in 0..count {
        let id = format!("{label:08x}{n:024x}");
        let serval = format!("T-{label}-{n}");
        generator::map(&sender, &id, &serval).await;
        let object = format!(r#"{{"sys_id":"{id}","sys_class_name":"incident","n":{n}.0}}"#);
        let answer = sender.webhook(&format!("msg_{id}"), &object).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(202));
        let sent = [object].into_iter().collect();
        let ticket = Ticket {
            serval,
            acknowledged: Clone::clone(&sent),
            sent,
        };
        ledger.insert(id, ticket);
    }
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_delivered_within_3_s_of_a_restart() {
    let mut site = Site::new(&Settings {
        // So that failed tries wait long, as they do in a fault that is no outage.
        breaker_threshold: 0,
        ..Settings::default()
    })
    .await;
    site.start().await;
    site.faults(&["500"]);
    let mut ledger = acknowledge(&site, 1, 30).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // Calls under way when the process dies: some that arrive, some that do not.
    site.faults(&["drop,latency=200ms,rate=0.5", "hang"]);
    ledger.extend(acknowledge(&site, 2, 100).await);
    site.kill();
    site.faults(&[]);
    let killed = Instant::now();
    site.start().await;
    let all = site.connected(owed(&ledger), PATIENCE).await;
    let took = killed.elapsed();
    println!(
        "restart: {} events delivered {took:?} after the kill",
        owed(&ledger)
    );
    let verdict = settle(&site, &ledger).await;
    assert!(all.is_some(), "lost: {:?}", verdict.lost);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_all_well(&verdict);
}
