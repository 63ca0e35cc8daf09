//! One run: starts everything, lets the faults strike, waits for the end, and judges.
#![expect(
    clippy::print_stdout,
    reason = "a run says what it proved, and how to play it again"
)]

use std::time::{Duration, Instant};

use super::calls::Calls;
use super::generator::{Generator, judge, owed};
use super::plan::{self, DEAD_AFTER, Fault, Options};
use super::records::{self, Records};
use super::rules;
use super::saves::Saves;
use super::script;
use super::stage::Stage;

/// Longest time from the last fault to the end of all events: the claims of a replica that was killed last, the
/// retries of a call that failed, and the time of a busy machine.
const DRAINED_WITHIN: Duration = DEAD_AFTER.saturating_add(Duration::from_secs(18));
const SENDERS: u64 = 12;
/// Longest pause of a sender. All of them send a little less than Serval takes.
const PAUSE: Duration = Duration::from_millis(1200);
const RECORDS: u64 = 8;

pub(super) fn main() {
    let Some(options) = Options::read() else {
        return;
    };
    if !script::has_server() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let wrong = runtime.block_on(play(options));
    for wrong in &wrong {
        println!("replicas: WRONG: {wrong}");
    }
    if !wrong.is_empty() {
        let Options { seconds, seed } = options;
        println!("replicas: {} faults", wrong.len());
        println!("  again: cargo test --test replicas -- --seconds {seconds} --seed {seed}");
        std::process::exit(1);
    }
}

/// Returns what is wrong, in words.
async fn play(options: Options) -> Vec<String> {
    let begun = Instant::now();
    println!("replicas: seed {}, {} s", options.seed, options.seconds);
    let Some(mut stage) = Stage::build().await else {
        println!("replicas: skipped: Postgres is not installed");
        let is_wanted = std::env::var_os("CI").is_some();
        return is_wanted
            .then(|| "CI needs Postgres".to_owned())
            .into_iter()
            .collect();
    };
    println!("replicas: started after {:.1?}", begun.elapsed());
    let generator = Generator::start(&stage.sender(), SENDERS, PAUSE, options.seed);
    let saves = Saves::start(&stage.sender(), RECORDS, options.seed);
    let end = Duration::from_secs(options.of_faults());
    stage.run(plan::plan(options), end).await;
    stage.calm().await;
    let calm = Instant::now();
    let (ledger, saves) = tokio::join!(generator.finish(), saves.finish());
    let mut connection = stage.cluster.connect().await;
    while records::waiting(&mut connection).await != (0, 0) && calm.elapsed() < DRAINED_WITHIN {
        stage.look();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "replicas: drained {:.1?} after the last fault",
        calm.elapsed()
    );

    let records = Records::read(&mut connection).await;
    let calls = stage.mock.look(Calls::read);
    let verdict = judge(&ledger, &stage.mock);
    let pauses = rules::pauses(&stage.history, &calls);
    let mut wrong = stage.wrong.clone();
    wrong.extend(stage.notes.alarming.lock().unwrap().drain(..));
    wrong.extend(saves.iter().flat_map(|record| record.refused.clone()));
    wrong.extend(rules::stored(&records, &ledger, &saves));
    wrong.extend(rules::ended(&records, &calls, &saves));
    wrong.extend(rules::voided(&records, &stage.history));
    wrong.extend(rules::goes_on(&pauses));
    wrong.extend(calls.faults(&records.voided));
    wrong.extend(verdict.lost.iter().map(|id| format!("{id}: lost")));
    let is_of = |id: &&String| ledger.keys().any(|of| id.starts_with(of));
    let altered = verdict.altered.iter().filter(is_of);
    wrong.extend(altered.map(|connect| format!("altered: {connect}")));
    let repeated = verdict.repeated.iter().filter(is_of);
    wrong.extend(repeated.map(|id| format!("{id}: connected again")));
    wrong.extend(records.miscounted.iter().cloned());
    tell(&stage, &records, &calls, &pauses);
    let acknowledged: usize = saves.iter().map(|record| record.acknowledged.len()).sum();
    println!(
        "replicas: {} webhooks acknowledged, of {} tickets; took {:.1?}",
        verdict.acknowledged + acknowledged,
        owed(&ledger) + saves.len(),
        begun.elapsed()
    );
    if wrong.is_empty() && std::env::var_os("KEEP").is_none() {
        drop(std::fs::remove_dir_all(&stage.folder));
    } else {
        println!("replicas: the logs are in {}", stage.folder.display());
    }
    wrong
}

/// What a run had, and how long things took.
fn tell(stage: &Stage, records: &Records, calls: &Calls, pauses: &[Duration]) {
    let of = |is: fn(&Fault) -> bool| stage.history.iter().filter(|s| is(&s.fault)).count();
    println!(
        "replicas: {} kills ({} of the leader), {} stops, {} freezes, {} cuts of a writer, {} cuts, {} lost commits, {} restarts of Postgres, \
         {} promotions; {} changes of the leader",
        of(|fault| matches!(fault, Fault::Kill(..))),
        (stage.history.iter())
            .filter(|s| s.was_leader && matches!(s.fault, Fault::Kill(..)))
            .count(),
        of(|fault| matches!(fault, Fault::Stop(_))),
        of(|fault| matches!(fault, Fault::Freeze(..))),
        of(|fault| matches!(fault, Fault::CutWriter(..))),
        of(|fault| matches!(fault, Fault::Cut(..))),
        of(|fault| matches!(fault, Fault::LoseCommit(_))),
        of(|fault| matches!(fault, Fault::Restart)),
        of(|fault| matches!(fault, Fault::Promote)),
        stage.notes.leads(),
    );
    let late = records
        .voided
        .iter()
        .filter_map(records::Voided::after_death);
    println!(
        "replicas: {} calls, {} of them again, {} looks; {} claims void, the last {:.1} s after the death of its \
         replica",
        calls.count(),
        calls.again(),
        calls.looks(),
        records.voided.len(),
        late.fold(0.0, f64::max),
    );
    println!(
        "replicas: {} kills of a leader alone: the next call after {:.1?} at most",
        pauses.len(),
        pauses.iter().max().copied().unwrap_or_default(),
    );
    println!("replicas: events: {:?}", rules::summary(records));
}
