//! Senders of records that are saved again and again: each save is sent when the one before is acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::generator::map;
use super::sender::Sender;

/// The source whose changed records are sent again.
pub(crate) const SOURCE: &str = "again";

/// Longest time until a save is acknowledged.
const PATIENCE: Duration = Duration::from_mins(1);

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) serval: String,
    /// Saves that were sent: those from 0 on.
    pub(crate) sent: u64,
    pub(crate) acknowledged: BTreeSet<u64>,
    /// Answers that are neither an acknowledgement nor the demand to come again.
    pub(crate) refused: Vec<String>,
}

/// Senders at work.
pub(crate) struct Saves {
    senders: JoinSet<Record>,
    is_over: Arc<AtomicBool>,
}

impl Saves {
    /// Starts a sender for each of `count` records.
    pub(crate) fn start(sender: &Sender, count: u64, seed: u64) -> Self {
        let is_over: Arc<AtomicBool> = Arc::default();
        let mut senders = JoinSet::new();
        for n in 0..count {
            let record = Record {
                id: format!("{:016x}{n:016x}", seed ^ 0xaaaa_aaaa_aaaa_aaaa),
                serval: format!("A-{n}"),
                sent: 0,
                acknowledged: BTreeSet::new(),
                refused: Vec::new(),
            };
            let dice = fastrand::Rng::with_seed(seed.wrapping_mul(37).wrapping_add(n));
            senders.spawn(work(record, sender.of(SOURCE), dice, Arc::clone(&is_over)));
        }
        Self { senders, is_over }
    }

    /// Lets them finish what they have begun.
    pub(crate) async fn finish(self) -> Vec<Record> {
        self.is_over.store(true, Ordering::SeqCst);
        self.senders.join_all().await
    }
}

async fn work(
    mut record: Record,
    sender: Sender,
    mut dice: fastrand::Rng,
    is_over: Arc<AtomicBool>,
) -> Record {
    map(&sender, &record.id, &record.serval).await;
    while !is_over.load(Ordering::SeqCst) && record.refused.is_empty() {
        let save = record.sent;
        record.sent += 1;
        let object = object(&record.id, save);
        let delivery = delivery(&record.id, save);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match sender.webhook(&delivery, &object).await {
                Some((202, ..)) => {
                    record.acknowledged.insert(save);
                    break;
                }
                Some((503, true, _)) | None if Instant::now() < deadline => {}
                answer => {
                    record.refused.push(format!("{answer:?} to {object}"));
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(dice.u64(10..150))).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.u64(1..1600))).await;
    }
    record
}

/// Name of the delivery of a save.
pub(crate) fn delivery(id: &str, save: u64) -> String {
    format!("msg_{id}_{save}")
}

fn object(id: &str, save: u64) -> String {
    format!(r#"{{"sys_id":"{id}","sys_class_name":"incident","sys_mod_count":"{save}"}}"#)
}

/// Number of the save that an object shows.
pub(crate) fn save(object: &str) -> Option<u64> {
    let object: serde_json::Value = serde_json::from_str(object).ok()?;
    object["sys_mod_count"].as_str()?.parse().ok()
}
