//! Threads, turns and time.
//!
//! Invariant: only the thread that has the turn touches the [`World`].

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicU32, Ordering};

use fastrand::Rng;

use crate::disk::{Cut, Disk};
use crate::fds::Fds;
use crate::{calls, vfs};

/// The wall clock at the start: 2026-03-17T12:00:00Z, in nanoseconds.
const START: i64 = 1_773_748_800_000_000_000;
/// More turns than a seed can need: somebody waits in a circle.
const ENDLESS: u64 = 40_000_000;

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It has the turn.
    Running,
    /// For its turn alone.
    Turn,
    Futex(usize),
    Epoll(i32),
    /// For its time alone.
    Time,
    /// For the end of this thread.
    Join(u64),
    /// It has ended.
    Gone,
    /// Its life was ended.
    Frozen,
}

pub(crate) struct Slot {
    go: &'static AtomicU32,
    pub(crate) life: usize,
    pub(crate) wait: Wait,
    pub(crate) until: Option<u64>,
    has_timed_out: bool,
    since: u64,
    pub(crate) pthread: u64,
}

/// How a life ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process dies, and the disk keeps what was written.
    Kill,
    /// The power fails.
    Cut(Cut),
}

#[derive(Default)]
pub(crate) struct Life {
    pub(crate) is_dead: bool,
    pub(crate) is_over: bool,
    pub(crate) writes: u64,
    pub(crate) crash: Option<(u64, Crash)>,
    /// Until then its threads get no turn.
    pub(crate) stalled_until: u64,
    /// What the clock of the daemon's machine is ahead by, in nanoseconds.
    pub(crate) ahead: i64,
}

pub(crate) struct World {
    pub(crate) slots: Vec<Slot>,
    pub(crate) now: u64,
    pub(crate) dice: Rng,
    pub(crate) entropy: Rng,
    pub(crate) disk: Disk,
    pub(crate) fds: Fds,
    pub(crate) lives: Vec<Life>,
    turns: u64,
    pub(crate) hash: u64,
    /// The life of the next new thread.
    pub(crate) begins: Option<usize>,
}

struct Holder(UnsafeCell<Option<Box<World>>>);
// SAFETY: only the thread that has the turn touches it.
unsafe impl Sync for Holder {}
static WORLD: Holder = Holder(UnsafeCell::new(None));

const NOBODY: usize = usize::MAX;
thread_local! {
    static ME: Cell<usize> = const { Cell::new(NOBODY) };
}

/// The slot of this thread; `None`: it is no thread of the machine.
pub(crate) fn me() -> Option<usize> {
    let me = ME.get();
    (me != NOBODY).then_some(me)
}

/// The world. Call it only with the turn, and keep the reference short.
#[expect(clippy::mut_from_ref, reason = "the turn is the lock")]
pub(crate) fn world() -> &'static mut World {
    // SAFETY: this thread has the turn, and no caller keeps a reference while it hands the turn over.
    unsafe { (*WORLD.0.get()).as_mut() }.expect("a thread of the machine has a world")
}

/// Shows what the threads wait for, for a process that ends.
pub(crate) fn show() -> String {
    // SAFETY: the other threads may change it meanwhile, and nothing comes after this.
    let world = unsafe { (*WORLD.0.get()).as_ref() };
    world.map_or_else(String::new, |world| world.picture())
}

/// Makes this thread the first of a new machine. Once in a process.
pub fn begin(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let entropy = dice.fork();
    let mut world = Box::new(World {
        slots: Vec::new(),
        now: 1_000_000_000,
        dice,
        entropy,
        disk: Disk::default(),
        fds: Fds::default(),
        lives: vec![Life::default()],
        turns: 0,
        hash: seed,
        begins: None,
    });
    world.slots.push(Slot::new(0, Wait::Running));
    // SAFETY: no thread of a machine exists yet.
    unsafe { *WORLD.0.get() = Some(world) };
    ME.set(0);
    vfs::register();
}

impl Slot {
    fn new(life: usize, wait: Wait) -> Self {
        Self {
            go: Box::leak(Box::new(AtomicU32::new(0))),
            life,
            wait,
            until: None,
            has_timed_out: false,
            since: 0,
            pthread: 0,
        }
    }
}

impl World {
    /// Adds a thread that this one starts.
    pub(crate) fn add(&mut self, starter: usize) -> usize {
        let life = self.begins.take().unwrap_or(self.slots[starter].life);
        self.slots.push(Slot::new(life, Wait::Turn));
        self.slots.len() - 1
    }

    /// Says who is next, and lets time pass if nobody can run.
    fn pick(&mut self) -> usize {
        self.turns += 1;
        let next = loop {
            let ready = self.ready();
            if !ready.is_empty() {
                self.now += self.dice.u64(0..4000);
                break ready[self.dice.usize(0..ready.len())];
            }
            let sleeping = self.slots.iter().enumerate();
            let sleeping = sleeping.filter(|(_, slot)| !self.is_stalled(slot));
            let due = sleeping.filter_map(|(index, slot)| Some((slot.until?, Some(index))));
            let lives = self.lives.iter().map(|life| life.stalled_until);
            let ends = lives.filter(|until| *until > self.now);
            let next = due.chain(ends.map(|until| (until, None))).min();
            let Some((until, index)) = next else {
                self.give_up("nobody can run");
            };
            self.now = until;
            if let Some(index) = index {
                break index;
            }
        };
        if self.turns > ENDLESS {
            self.give_up("too many turns");
        }
        let slot = &mut self.slots[next];
        slot.has_timed_out = matches!(slot.wait, Wait::Futex(_) | Wait::Time)
            || (matches!(slot.wait, Wait::Epoll(_))
                && slot.until.is_some_and(|until| until <= self.now));
        slot.wait = Wait::Running;
        slot.until = None;
        let seen = (next as u64) ^ self.now.rotate_left(20);
        self.hash = (self.hash ^ seen).wrapping_mul(0x100_0000_01b3);
        next
    }

    /// Ends the process.
    fn give_up(&self, why: &str) -> ! {
        eprintln!("simulation: {why}: {}", self.picture());
        // SAFETY: ends the process, without its destructors.
        unsafe { libc::_exit(70) }
    }

    /// Those who could run now.
    fn ready(&self) -> Vec<usize> {
        let mut ready = Vec::with_capacity(16);
        for (index, slot) in self.slots.iter().enumerate() {
            let is_due = slot.until.is_some_and(|until| until <= self.now);
            let is_ready = match slot.wait {
                Wait::Turn => true,
                Wait::Epoll(fd) => is_due || calls::is_readable(fd),
                Wait::Futex(_) | Wait::Time => is_due,
                Wait::Join(_) | Wait::Running | Wait::Gone | Wait::Frozen => false,
            };
            if is_ready && !self.is_stalled(slot) {
                ready.push(index);
            }
        }
        ready
    }

    fn is_stalled(&self, slot: &Slot) -> bool {
        self.now < self.lives[slot.life].stalled_until
    }

    fn picture(&self) -> String {
        let of = |(index, slot): (usize, &Slot)| {
            format!("{index} life {} {:?} until {:?}", slot.life, slot.wait, slot.until)
        };
        let alive = self.slots.iter().enumerate();
        let alive = alive.filter(|(_, slot)| !matches!(slot.wait, Wait::Gone | Wait::Frozen));
        let shown: Vec<String> = alive.map(of).collect();
        format!("now {} ns, turns {}; {}", self.now, self.turns, shown.join("; "))
    }

    /// Wakes up to `count` of those who wait at `address`, who waited longest first.
    pub(crate) fn wake(&mut self, address: usize, count: usize) -> usize {
        let mut woken = 0;
        while woken < count {
            let waiting = self.slots.iter_mut();
            let here = waiting.filter(|slot| slot.wait == Wait::Futex(address));
            let Some(first) = here.min_by_key(|slot| slot.since) else {
                break;
            };
            first.wait = Wait::Turn;
            first.until = None;
            woken += 1;
        }
        woken
    }

    /// The clock that the machine of `slot` shows, in nanoseconds since 1970.
    pub(crate) fn wall(&self, slot: usize) -> i64 {
        START + self.now.cast_signed() + self.lives[self.slots[slot].life].ahead
    }

    pub(crate) fn end_life(&mut self, life: usize) {
        self.lives[life].is_dead = true;
        self.lives[life].stalled_until = 0;
        for slot in &mut self.slots {
            if slot.life == life && slot.wait != Wait::Gone {
                slot.wait = Wait::Frozen;
                slot.until = None;
            }
        }
        self.fds.close_all(life);
        self.disk.process_ended();
    }
}

/// Waits; true if the time ended the wait.
pub(crate) fn block(wait: Wait, until: Option<u64>) -> bool {
    let me = ME.get();
    let world = world();
    let turns = world.turns;
    let slot = &mut world.slots[me];
    slot.wait = wait;
    slot.until = until;
    slot.since = turns;
    hand_over(me);
    self::world().slots[me].has_timed_out
}

fn hand_over(me: usize) {
    let world = world();
    let next = world.pick();
    if next == me {
        return;
    }
    let mine = world.slots[me].go;
    give(world.slots[next].go);
    wait_for(mine);
}

fn give(go: &AtomicU32) {
    go.store(1, Ordering::Release);
    calls::real_futex(go, libc::FUTEX_WAKE, 1);
}

fn wait_for(go: &AtomicU32) {
    while go.swap(0, Ordering::Acquire) == 0 {
        calls::real_futex(go, libc::FUTEX_WAIT, 0);
    }
}

/// The first act of a new thread, with the turn of nobody.
pub(crate) fn enter(slot: usize, go: &AtomicU32) {
    ME.set(slot);
    wait_for(go);
}

/// The place where a new thread waits for its first turn.
pub(crate) fn door(slot: usize) -> &'static AtomicU32 {
    world().slots[slot].go
}

/// The last act of a thread.
pub(crate) fn leave() {
    let me = ME.get();
    let world = world();
    world.slots[me].wait = Wait::Gone;
    let pthread = world.slots[me].pthread;
    for slot in &mut world.slots {
        if slot.wait == Wait::Join(pthread) {
            slot.wait = Wait::Turn;
        }
    }
    let next = world.pick();
    let go = world.slots[next].go;
    ME.set(NOBODY);
    give(go);
}

/// Called before and after every change of the disk: a life may end here.
pub(crate) fn disk_step() {
    let me = ME.get();
    let world = world();
    let life = world.slots[me].life;
    let state = &mut world.lives[life];
    state.writes += 1;
    if let Some((_, crash)) = state.crash.filter(|(at, _)| state.writes >= *at) {
        world.end_life(life);
        if let Crash::Cut(cut) = crash {
            world.disk.cut(cut, &mut world.dice);
        }
        hand_over(me);
        unreachable!("a frozen thread has no turn");
    }
    if world.dice.u8(0..24) == 0 {
        block(Wait::Turn, None);
    }
}
