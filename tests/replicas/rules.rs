//! What must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::calls::Calls;
use super::generator::Ledger;
use super::plan::Fault;
use super::records::{Event, Records};
use super::saves::{self, Record};
use super::stage::Struck;

/// Longest time that a claim outlives the moment in which its replica counts as dead, in seconds.
pub(crate) const VOID_WITHIN: f64 = 4.0;
/// Longest time without a call after a leader is killed: the beat of another one, and the time of a busy machine.
const CALLS_WITHIN: Duration = Duration::from_secs(6);
/// Time for which a server that was started again, or a network that was mended, is not yet as before.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Every acknowledged delivery is stored, and none twice.
pub(crate) fn stored(records: &Records, ledger: &Ledger, saves: &[Record]) -> Vec<String> {
    let mut wrong = Vec::new();
    let nothing = Vec::new();
    for (id, ticket) in ledger {
        let events = records.events.get(id).unwrap_or(&nothing);
        wrong.extend(twice(id, events));
        let (least, most) = (ticket.acknowledged.len(), ticket.sent.len());
        if !(least..=most).contains(&events.len()) {
            wrong.push(format!(
                "{id}: {least} acknowledged, {most} sent, {} stored",
                events.len()
            ));
        }
    }
    for record in saves {
        let id = &record.id;
        let events = records.events.get(id).unwrap_or(&nothing);
        wrong.extend(twice(id, events));
        let stored: BTreeSet<&str> = events.iter().map(|event| &*event.delivery).collect();
        for save in &record.acknowledged {
            if !stored.contains(saves::delivery(id, *save).as_str()) {
                wrong.push(format!("{id}: save {save} is acknowledged and lost"));
            }
        }
    }
    wrong
}

fn twice(id: &str, events: &[Event]) -> Option<String> {
    let different: BTreeSet<&str> = events.iter().map(|event| &*event.delivery).collect();
    (different.len() < events.len()).then(|| format!("{id}: stored twice: {events:?}"))
}

/// Every event has ended, and no save is left out that was the last.
pub(crate) fn ended(records: &Records, calls: &Calls, saves: &[Record]) -> Vec<String> {
    let mut wrong: Vec<String> = (records.left.iter())
        .map(|event| format!("has not ended: {event}"))
        .collect();
    for record in saves {
        let called = calls.by_ticket.get(&record.id).into_iter().flatten();
        let called = called.filter_map(|call| saves::save(&call.object)).max();
        let last = record.acknowledged.last().copied();
        if called < last {
            wrong.push(format!(
                "{}: save {last:?} is acknowledged, and the last one sent is {called:?}",
                record.id
            ));
        }
    }
    wrong
}

/// Claims end only when their replica is dead, and soon then.
pub(crate) fn voided(records: &Records, history: &[Struck]) -> Vec<String> {
    let mut wrong = Vec::new();
    for void in &records.voided {
        let Some(after) = void.after_death() else {
            continue;
        };
        if void.has_run_out {
            wrong.push(format!("a claim ran out, which nobody held: {void:?}"));
        } else if after < 0.0 {
            wrong.push(format!("void {:.1} s too early: {void:?}", -after));
        } else if after > VOID_WITHIN && !is_excused(void.at, after, history) {
            wrong.push(format!("void {after:.1} s late: {void:?}"));
        }
    }
    wrong
}

/// True if nobody could void the claim earlier: the database or the network was not as it should be.
fn is_excused(at: Timestamp, after: f64, history: &[Struck]) -> bool {
    let from = at - SignedDuration::from_secs_f64(after);
    history.iter().any(|struck| {
        let is_kill = matches!(struck.fault, Fault::Kill(..) | Fault::Stop(_));
        !is_kill && overlaps(struck, from, at)
    })
}

fn overlaps(struck: &Struck, from: Timestamp, to: Timestamp) -> bool {
    let until = struck
        .until
        .map_or(Timestamp::MAX, |until| until + AFTERMATH);
    struck.from <= to && from <= until
}

/// How long no call came after a leader was killed while nothing else was wrong.
pub(crate) fn pauses(history: &[Struck], calls: &Calls) -> Vec<Duration> {
    let calls = calls.by_ticket.values().flatten();
    let mut arrivals: Vec<Timestamp> = calls.map(|call| call.arrived).collect();
    arrivals.sort_unstable();
    let mut pauses = Vec::new();
    for (index, struck) in history.iter().enumerate() {
        if !struck.was_leader || !matches!(struck.fault, Fault::Kill(..)) {
            continue;
        }
        let next = arrivals.partition_point(|at| *at <= struck.from);
        let Some(next) = arrivals.get(next) else {
            continue;
        };
        let pause = next.duration_since(struck.from).unsigned_abs();
        let to = struck.from + pause.min(CALLS_WITHIN);
        let mut others = history.iter().enumerate();
        if others.all(|(other, fault)| other == index || !disturbs(fault, struck.from, to)) {
            pauses.push(pause);
        }
    }
    pauses
}

/// True if another replica may not be able to become the leader in this time. One that was frozen or killed earlier
/// holds nobody up: there is a third one.
fn disturbs(other: &Struck, from: Timestamp, to: Timestamp) -> bool {
    let is_recent = from < other.from + AFTERMATH && other.from <= to;
    match other.fault {
        Fault::Kill(..) | Fault::Stop(_) | Fault::Freeze(..) => is_recent,
        Fault::Cut(..)
        | Fault::CutWriter(..)
        | Fault::LoseCommit(_)
        | Fault::Restart
        | Fault::Promote
        | Fault::Serval(_) => overlaps(other, from, to),
    }
}

/// Calls about other tickets do not wait for a dead leader's claims.
pub(crate) fn goes_on(pauses: &[Duration]) -> Vec<String> {
    let late = pauses.iter().filter(|pause| **pause > CALLS_WITHIN);
    late.map(|pause| format!("no call for {pause:?} after a leader was killed"))
        .collect()
}

/// Numbers of events by state and reason, for people.
pub(crate) fn summary(records: &Records) -> BTreeMap<String, usize> {
    let mut summary: BTreeMap<String, usize> = BTreeMap::new();
    for event in records.events.values().flatten() {
        let reason = event.reason.as_deref().unwrap_or("");
        *summary
            .entry(format!("{} {reason}", event.state))
            .or_default() += 1;
    }
    summary
}
