//! Lives, and what happens to them and to their machine.

use std::time::Duration;

use crate::disk::{Cut, Fault};
use crate::world::{Crash, Life, world};

/// Starts a life: `run` is the main thread of its process.
pub fn life(run: impl FnOnce() + Send + 'static) -> usize {
    let machine = world();
    let life = machine.lives.len();
    let ahead = machine.lives[life - 1].ahead;
    machine.lives.push(Life {
        ahead,
        ..Life::default()
    });
    machine.begins = Some(life);
    let main = move || {
        run();
        world().lives[life].is_over = true;
    };
    let thread = std::thread::Builder::new().name("daemon".to_owned());
    drop(thread.spawn(main).expect("the machine has threads"));
    life
}

/// True until the life was killed, crashed or came to its end.
pub fn is_alive(life: usize) -> bool {
    let life = &world().lives[life];
    !life.is_dead && !life.is_over
}

/// True if the life came to its end by itself.
pub fn is_over(life: usize) -> bool {
    world().lives[life].is_over
}

/// Ends a life as `kill -9` does. The disk keeps what was written.
pub fn kill(life: usize) {
    world().end_life(life);
}

/// The power fails: ends the life, and the disk loses some of what was not synced.
pub fn cut(life: usize, how: Cut) {
    let world = world();
    world.end_life(life);
    world.disk.cut(how, &mut world.dice);
}

/// Lets the life end by itself after so many more steps of its disk.
pub fn crash_after(life: usize, steps: u64, crash: Crash) {
    let life = &mut world().lives[life];
    life.crash = Some((life.writes + steps, crash));
}

/// The process, or its whole machine, stands still for so long: its clock goes on, and nothing runs.
pub fn stall(life: usize, time: Duration) {
    let world = world();
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    world.lives[life].stalled_until = world.now + nanos;
}

/// Steps of the disk so far: two for each change.
pub fn writes(life: usize) -> u64 {
    world().lives[life].writes
}

/// What is wrong with the disk, until the next call.
pub fn fault(fault: Fault) {
    world().disk.fault = fault;
}

/// How long a sync takes at most.
pub fn slow_disk(sync: Duration) {
    world().disk.sync_time = u64::try_from(sync.as_nanos()).unwrap_or(u64::MAX);
}

/// Sets the clock of the daemon's machine: by how much it is ahead of the world's.
pub fn set_clock(life: usize, ahead: Duration, is_back: bool) {
    let nanos = i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX);
    world().lives[life].ahead = if is_back { -nanos } else { nanos };
}

/// Time since the machine began.
pub fn elapsed() -> Duration {
    Duration::from_nanos(world().now)
}

/// Adds something that happened to the picture of the run.
pub fn mix(what: &str) {
    let world = world();
    for byte in what.bytes() {
        world.hash = (world.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
}

/// A number that is the same for two runs only if the same happened in the same order at the same time.
pub fn picture() -> u64 {
    world().hash
}
