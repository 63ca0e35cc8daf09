//! Three replicas, their servers and their Serval, and the faults that strike them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serval_connect::edge::clock::{Clock as _, SystemClock};
use serval_connect::edge::outbound;
use serval_connect::rehearsal::mock_serval::{Fault as Trouble, MockConfig, MockServal};

use super::cluster::Cluster;
use super::network::Network;
use super::plan::{Fault, Target};
use super::records;
use super::seat::{Notes, Seat};
use super::sender::Sender;

/// Time between two looks at what is due.
const NAP: Duration = Duration::from_millis(10);
/// Serval is slow for this time before a replica is frozen or cut off, so that it holds many claims then.
const FILL: Duration = Duration::from_millis(2500);
const SLOW_SERVAL: &[&str] = &["latency=800ms"];
/// Then its network is slow, so that some answers of the database are under way when it stops.
const SLOW: Duration = Duration::from_millis(700);
const DELAY: Duration = Duration::from_millis(100);
/// While the connection that writes is cut, Serval has so few calls made that the claims last, until shortly before
/// another replica may take over.
const FEW_CALLS: &[&str] = &["latency=1s", "429,retry_after=1,rate=0.25"];
const FEW: Duration = Duration::from_secs(9);
/// Wait until a fault is tried again that could strike nobody.
const AGAIN: Duration = Duration::from_millis(500);
/// Longest wait for a replica to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What follows from a fault.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Slow,
    Serval(&'static [&'static str]),
    Freeze(Duration),
    Thaw,
    Cut(Duration, bool),
    CutWriter(Duration),
    Mend(bool),
}

/// A fault that struck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) fault: Fault,
    pub(crate) from: Timestamp,
    /// `None`: it lasts.
    pub(crate) until: Option<Timestamp>,
    pub(crate) seat: Option<usize>,
    pub(crate) was_leader: bool,
}

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) mock: MockServal,
    pub(crate) notes: Arc<Notes>,
    pub(crate) history: Vec<Struck>,
    seats: Vec<Seat>,
    agenda: Vec<(Instant, usize, Step)>,
    /// What no fault explains.
    pub(crate) wrong: Vec<String>,
    /// The logs.
    pub(crate) folder: PathBuf,
}

impl Stage {
    /// Starts everything. `None`: Postgres is not installed.
    pub(crate) async fn build() -> Option<Self> {
        let cluster = Cluster::start()?;
        outbound::install_tls_provider();
        let mock = MockServal::start(MockConfig {
            keep: 10_000_000,
            ..MockConfig::default()
        });
        let mock = mock.await.unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        let notes: Arc<Notes> = Arc::default();
        let mut seats = Vec::new();
        for number in 0..3 {
            let network = Network::open(&cluster.sockets()).await;
            let (serval, notes) = (mock.base_url(), Arc::clone(&notes));
            seats.push(Seat::new(number, network, &folder, &serval, notes));
        }
        let mut stage = Self {
            cluster,
            mock,
            notes,
            history: Vec::new(),
            seats,
            agenda: Vec::new(),
            wrong: Vec::new(),
            folder,
        };
        // Two replicas migrate at once; one does it, and the other waits.
        stage.cluster.is_synchronous().await;
        for seat in &mut stage.seats {
            seat.start();
        }
        stage.all_listen().await;
        records::watch(&mut stage.cluster.connect().await).await;
        Some(stage)
    }

    /// Senders to any replica.
    pub(crate) fn sender(&self) -> Sender {
        let client = outbound::client(outbound::Limits {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(4),
            idle_connections: 16,
            is_local: true,
        });
        let addresses = self.seats.iter().map(Seat::addresses);
        Sender::new(client.unwrap(), addresses.collect())
    }

    /// Replaces Serval's faults.
    fn trouble(&self, faults: &[&str]) {
        let faults = faults.iter().map(|fault| fault.parse::<Trouble>().unwrap());
        self.mock.set_faults(faults.collect());
    }

    async fn all_listen(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self
            .seats
            .iter()
            .any(|seat| seat.addresses().borrow().is_none())
        {
            self.look();
            assert!(
                Instant::now() < deadline,
                "a replica does not start: see {}",
                self.folder.display()
            );
            tokio::time::sleep(NAP).await;
        }
    }

    /// Lets the faults strike, each at its time.
    pub(crate) async fn run(&mut self, mut plan: Vec<(Duration, Fault)>, end: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < end {
            let now = begun.elapsed();
            let due: Vec<_> = plan.extract_if(.., |(at, _)| *at <= now).collect();
            for (_, fault) in due {
                let is_rare = matches!(
                    fault,
                    Fault::Freeze(..) | Fault::Cut(..) | Fault::CutWriter(..)
                );
                if self.is_filling() || !self.strike(fault) && is_rare {
                    plan.push((now + AGAIN, fault));
                }
            }
            self.look();
            tokio::time::sleep(NAP).await;
        }
    }

    /// Ends all faults: what lasts ends at its time.
    pub(crate) async fn calm(&mut self) {
        while !self.agenda.is_empty() {
            self.look();
            tokio::time::sleep(NAP).await;
        }
        self.trouble(&[]);
        self.all_listen().await;
    }

    /// Does what is due, and starts again what has ended.
    pub(crate) fn look(&mut self) {
        let now = Instant::now();
        let is_due = |(at, ..): &mut (Instant, usize, Step)| *at <= now;
        let due: Vec<_> = self.agenda.extract_if(.., is_due).collect();
        for (_, seat, step) in due {
            self.step(seat, step);
        }
        for number in 0..self.seats.len() {
            if let Some((status, has_served)) = self.seats[number].ended() {
                let was_told = self.history.iter().any(|struck| {
                    struck.seat == Some(number)
                        && struck.until.is_none()
                        && matches!(struck.fault, Fault::Stop(_))
                });
                if has_served && !was_told {
                    self.wrong
                        .push(format!("replica {number} ended by itself: {status}"));
                }
                self.later(Duration::from_millis(200), number, Step::Start);
            }
        }
    }

    fn later(&mut self, after: Duration, seat: usize, step: Step) {
        self.agenda.push((Instant::now() + after, seat, step));
    }

    fn step(&mut self, number: usize, step: Step) {
        let seat = &mut self.seats[number];
        match step {
            Step::Start => seat.start(),
            Step::Slow => return seat.network.delay(DELAY),
            Step::Serval(faults) => return self.trouble(faults),
            Step::Freeze(time) => {
                seat.freeze(true);
                seat.network.delay(Duration::ZERO);
                self.trouble(&[]);
                return self.later(time, number, Step::Thaw);
            }
            Step::Thaw => seat.freeze(false),
            Step::Cut(time, resets) => {
                seat.network.cut();
                seat.network.delay(Duration::ZERO);
                self.trouble(&[]);
                return self.later(time, number, Step::Mend(resets));
            }
            Step::CutWriter(time) => {
                seat.network.cut_writer();
                self.trouble(FEW_CALLS);
                self.later(FEW, number, Step::Serval(SLOW_SERVAL));
                self.later(time, number, Step::Serval(&[]));
                return self.later(time, number, Step::Mend(true));
            }
            Step::Mend(resets) => seat.network.mend(resets),
        }
        // The end of the fault.
        let mut of_seat = self.history.iter_mut().rev();
        let struck = of_seat.find(|struck| struck.seat == Some(number) && struck.until.is_none());
        if let Some(struck) = struck {
            struck.until = Some(SystemClock.now());
        }
    }

    /// Makes Serval slow, then the network of a replica, and then does the step.
    fn slow(&mut self, seat: usize, step: Step) {
        self.trouble(SLOW_SERVAL);
        self.later(FILL, seat, Step::Slow);
        self.later(FILL + SLOW, seat, step);
    }

    /// True while Serval is slow for what comes. No other fault may spoil that.
    fn is_filling(&self) -> bool {
        let mut steps = self.agenda.iter();
        steps.any(|(.., step)| matches!(step, Step::Freeze(_) | Step::Cut(..) | Step::CutWriter(_)))
    }

    /// True while Serval must stay as it is.
    fn has_wish(&self) -> bool {
        let mut steps = self.agenda.iter();
        steps.any(|(.., step)| matches!(step, Step::Serval(_)))
    }

    /// The replica that a fault strikes, if one is well and has no other fault.
    fn target(&self, target: Target) -> Option<usize> {
        let first = match target {
            Target::Leader => self.notes.leader(),
            Target::Seat(number) => number,
        };
        let mut next = (0..self.seats.len()).map(|n| (first + n) % self.seats.len());
        next.find(|number| {
            let is_busy = self.agenda.iter().any(|(_, seat, _)| seat == number);
            let seat = &self.seats[*number];
            !is_busy && seat.is_well() && seat.addresses().borrow().is_some()
        })
    }

    /// Returns false if there is no replica that it can strike.
    fn strike(&mut self, fault: Fault) -> bool {
        let from = SystemClock.now();
        let seat = match fault {
            Fault::Kill(target, _)
            | Fault::Stop(target)
            | Fault::Freeze(target, _)
            | Fault::Cut(target, ..)
            | Fault::CutWriter(target, _)
            | Fault::LoseCommit(target) => {
                let Some(seat) = self.target(target) else {
                    return false;
                };
                Some(seat)
            }
            Fault::Serval(_) if self.has_wish() => return true,
            Fault::Restart | Fault::Promote | Fault::Serval(_) => None,
        };
        let was_leader = seat == Some(self.notes.leader());
        match (fault, seat) {
            (Fault::Kill(_, time), Some(seat)) => {
                self.seats[seat].kill();
                self.later(time, seat, Step::Start);
            }
            (Fault::Stop(_), Some(seat)) => self.seats[seat].terminate(),
            (Fault::CutWriter(_, time), Some(seat)) => {
                self.trouble(SLOW_SERVAL);
                self.later(FILL, seat, Step::CutWriter(time));
            }
            (Fault::Freeze(_, time), Some(seat)) => self.slow(seat, Step::Freeze(time)),
            (Fault::Cut(_, time, resets), Some(seat)) => self.slow(seat, Step::Cut(time, resets)),
            (Fault::LoseCommit(_), Some(seat)) => self.seats[seat].network.lose_commit(),
            (Fault::Restart, _) => tokio::task::block_in_place(|| self.cluster.restart()),
            (Fault::Promote, _) => tokio::task::block_in_place(|| self.cluster.promote()),
            (Fault::Serval(faults), _) => self.trouble(faults),
            (_, None) => {}
        }
        let lasts = !matches!(
            fault,
            Fault::LoseCommit(_) | Fault::Restart | Fault::Promote | Fault::Serval(_)
        );
        if !matches!(fault, Fault::Serval(_)) {
            println!("replicas: {from:.3} {fault:?} seat {seat:?} leader {was_leader}");
            self.history.push(Struck {
                fault,
                from,
                until: (!lasts).then(|| SystemClock.now()),
                seat,
                was_leader,
            });
        }
        true
    }
}
