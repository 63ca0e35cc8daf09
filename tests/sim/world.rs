//! One seed: the daemon, its peers, and what happens to them.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use serval_connect::edge::outbound::{self, Limits};
use sim_machine::{Crash, Fault};
use tokio::task::JoinSet;

use super::daemon::{self, Addresses, Life};
use super::ledger::{Effect, Mood};
use super::model::Model;
use super::operators::Operator;
use super::plan::{Blow, Plan};
use super::rules;
use super::senders::Sender;
use super::serval::Serval;

/// Longest simulated time in which the daemon has to finish when nothing is wrong any more.
const DRAIN: Duration = Duration::from_hours(2);

/// Panics of all threads.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Plays a seed; answers what came of it.
pub(crate) fn play(seed: u64, logs: bool) -> String {
    let folder = tempfile::Builder::new().prefix("sim-").tempdir_in(root());
    let folder = folder.expect("there is room for a folder");
    sim_machine::begin(seed);
    std::panic::set_hook(Box::new(move |panic| {
        let what = panic.to_string();
        if logs {
            say(&what);
        }
        if let Ok(mut panics) = PANICS.lock() {
            panics.push(what);
        }
    }));
    if logs {
        let level = tracing_subscriber::filter::LevelFilter::INFO;
        let lines = tracing_subscriber::fmt().with_writer(std::io::stderr);
        lines.with_max_level(level).init();
    }
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let verdict = runtime.block_on(World::run(seed, folder.path(), logs));
    drop(folder);
    verdict
}

#[expect(clippy::print_stderr, reason = "only with --log")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// A folder in memory, where there is one.
fn root() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

struct World {
    model: Model,
    plan: Plan,
    dice: Rng,
    serval: Serval,
    config: std::path::PathBuf,
    life: Life,
    lives: u32,
    /// Seconds by which the clock of the daemon's machine is wrong.
    ahead: i64,
}

impl World {
    async fn run(seed: u64, folder: &Path, logs: bool) -> String {
        let mut dice = Rng::with_seed(seed);
        let plan = Plan::new(&mut dice);
        let model = Model::new(logs);
        model.note(|| format!("seed {seed}: {plan:?}"));
        model.lock().tickets = plan.tickets(&mut dice);
        let mut peers = JoinSet::new();
        let repeats = plan.refuses_repeats;
        let (serval, address) =
            Serval::start(model.clone(), dice.fork(), repeats, &mut peers).await;
        sim_machine::slow_disk(plan.sync);
        let config = daemon::configure(folder, address, &plan);
        let limits = Limits {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            idle_connections: 4,
            is_local: true,
        };
        outbound::install_tls_provider();
        let client = outbound::client(limits).expect("a client");
        let operator = Operator {
            model: model.clone(),
            client: client.clone(),
            dice: dice.fork(),
        };
        let life = Life::start(config.clone());
        model.lock().life = life.id;
        let mut world = Self {
            model: model.clone(),
            plan,
            dice,
            serval,
            config,
            life,
            lives: 1,
            ahead: 0,
        };
        world.up().await;
        let mut workers = JoinSet::new();
        for name in 0..world.plan.senders {
            let sender = Sender {
                model: model.clone(),
                client: client.clone(),
                dice: world.dice.fork(),
                pause: world.plan.pause,
                name,
            };
            workers.spawn(sender.run());
        }
        workers.spawn(operator.clone().run());
        world.go_through_it().await;
        world.heal().await;
        let finished = async { while workers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            model.violation("senders and operators cannot finish");
        } else if !rules::drained(&operator, DRAIN).await {
            model.violation("events stay in the queue");
        }
        if world.plan.unlinks && !rules::unlinked(&world.serval, &model).await {
            model.violation("old pairs stay linked");
        }
        rules::at_the_end(&model, &world.serval, &operator).await;
        // One more start, which looks at the whole database.
        world.stop().await;
        world.restart();
        world.up().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        rules::at_the_end(&model, &world.serval, &operator).await;
        world.stop().await;
        world.verdict()
    }

    /// Waits until the daemon listens; starts it again if it dies meanwhile.
    async fn up(&mut self) {
        for _ in 0..50 {
            if self.life.listens().await {
                let addresses = self.life.addresses();
                self.model.lock().addresses = addresses;
                return;
            }
            if let Some(end) = self.life.end() {
                self.model
                    .violation(&format!("the daemon does not start: {end:?}"));
            }
            self.restart();
        }
        self.model.violation("the daemon never listens");
    }

    /// Another life begins.
    fn restart(&mut self) {
        sim_machine::fault(Fault::None);
        self.lives += 1;
        self.life = Life::start(self.config.clone());
        let mut state = self.model.lock();
        state.life = self.life.id;
        state.note(|| "the daemon starts".to_owned());
    }

    /// The time in which webhooks come and things go wrong.
    async fn go_through_it(&mut self) {
        let end = sim_machine::elapsed() + self.plan.sending;
        let mut mood_until = Duration::ZERO;
        let mut disk_until = None;
        while sim_machine::elapsed() < end {
            let now = sim_machine::elapsed();
            if mood_until <= now {
                self.serval.feel(self.plan.mood(&mut self.dice));
                mood_until = now + Duration::from_millis(self.dice.u64(200..15_000));
            }
            if disk_until.is_some_and(|until| until <= now) {
                disk_until = None;
                sim_machine::fault(Fault::None);
            }
            let pause = self.dice.u64(1..2500);
            let pause = tokio::time::sleep(Duration::from_millis(pause));
            tokio::select! {
                () = pause => {}
                _ = self.life.ended(Duration::from_hours(1)) => {}
            }
            if !self.life.is_alive() {
                self.note_death();
                self.after_death().await;
                continue;
            }
            if !self.plan.has_faults {
                continue;
            }
            let blow = self.plan.blow(&mut self.dice);
            self.model.note(|| format!("{blow:?}"));
            match blow {
                Blow::Kill => {
                    sim_machine::kill(self.life.id);
                    self.after_death().await;
                }
                Blow::Cut(how) => {
                    sim_machine::cut(self.life.id, how);
                    self.after_death().await;
                }
                Blow::Crash(steps, crash) => {
                    sim_machine::crash_after(self.life.id, steps, crash);
                }
                Blow::Stop => {
                    self.stop().await;
                    self.after_death().await;
                }
                Blow::Disk(fault, time) => {
                    sim_machine::fault(fault);
                    disk_until = Some(now + time);
                }
                Blow::Clock(seconds) => {
                    self.ahead = if self.ahead == 0 { seconds } else { 0 };
                    self.set_clock();
                }
                Blow::Stall(time) => self.model.lock().stall(time),
                Blow::Held(time) => {
                    self.hold(time).await;
                    (mood_until, disk_until) = (Duration::ZERO, None);
                }
                Blow::AtCall(strike) => self.model.lock().at_call = Some(strike),
                Blow::Nothing => {}
            }
        }
    }

    /// Another process holds the database while calls hang: their claims run out before their ends are
    /// written.
    async fn hold(&self, time: Duration) {
        self.serval.feel(Mood {
            connect: Effect::Hang,
            connect_percent: 100,
            ..Mood::default()
        });
        let before = self.serval.ledger().calls;
        let no_call = || self.life.is_alive() && self.serval.ledger().calls == before;
        for _ in (0..2000).take_while(|_| no_call()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sim_machine::fault(Fault::Held);
        self.life.ended(time).await;
        sim_machine::fault(Fault::None);
        self.life.ended(Duration::from_secs(8)).await;
    }

    fn set_clock(&self) {
        let by = Duration::from_secs(self.ahead.unsigned_abs());
        sim_machine::set_clock(self.life.id, by, self.ahead < 0);
    }

    fn note_death(&self) {
        self.model.note(|| "the daemon is dead".to_owned());
        if sim_machine::is_over(self.life.id) {
            let end = self.life.end();
            self.model
                .violation(&format!("the daemon ended by itself: {end:?}"));
        }
    }

    async fn after_death(&mut self) {
        self.model.lock().addresses = Addresses::default();
        let pause = [0, 100, 3000][self.dice.usize(0..3)];
        let pause = self.dice.u64(0..=pause);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.restart();
        if self.dice.u8(0..4) == 0 && self.plan.has_faults {
            let steps = self.dice.u64(1..60);
            sim_machine::crash_after(self.life.id, steps, Crash::Kill);
        }
        self.up().await;
    }

    /// From now on nothing is wrong any more.
    async fn heal(&mut self) {
        self.model.note(|| "all is well".to_owned());
        sim_machine::fault(Fault::None);
        self.serval.feel(Mood::default());
        self.ahead = 0;
        self.set_clock();
        sim_machine::crash_after(self.life.id, u64::MAX / 2, Crash::Kill);
        if !self.life.is_alive() {
            self.after_death().await;
        }
        let mut state = self.model.lock();
        state.at_call = None;
        state.is_quiet = true;
    }

    async fn stop(&mut self) {
        self.life.stop();
        let stands = {
            let mut state = self.model.lock();
            state.at_call = None;
            state.moves_from.saturating_sub(sim_machine::elapsed())
        };
        if !self.life.ended(stands + Duration::from_mins(5)).await {
            self.model.violation("the daemon does not stop");
        }
        match self.life.end() {
            Some(Ok(())) | None => {}
            Some(Err(error)) => self
                .model
                .violation(&format!("it stopped with an error: {error}")),
        }
    }

    fn verdict(&self) -> String {
        let mut state = self.model.lock();
        for panic in PANICS.lock().iter().flat_map(|panics| panics.iter()) {
            state.violation(&format!("a panic: {panic}"));
        }
        if !state.violations.is_empty() {
            let picture = sim_machine::picture();
            return format!(
                "FAILED\n{}\n  picture {picture:016x}",
                state.violations.join("\n")
            );
        }
        let sent = state.tickets.iter().flat_map(|ticket| &ticket.sent);
        let acknowledged = sent.filter(|sent| sent.acknowledged.is_some()).count();
        let seconds = sim_machine::elapsed().as_secs();
        format!(
            "{acknowledged} {} {seconds} {:016x}\n",
            self.lives,
            sim_machine::picture()
        )
    }
}
