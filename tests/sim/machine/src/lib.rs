//! A machine for the simulation: its threads take turns, and its clock, network, disk and entropy follow
//! from one seed.
//!
//! The program under test is real and unchanged. This crate defines some functions of the C library anew
//! (`calls`, `net`), and the linker prefers them. Threads that began outside of a [`begin`] get the real ones.
//!
//! One thread runs at a time. It hands its turn over where it would wait: for a futex, for `epoll`, for another
//! thread, for the disk. The seed says who is next. Time passes only when nobody can run.
//!
//! A *life* is the time of one process of the daemon: a thread and all threads that it starts. [`kill`] ends
//! it as `kill -9` would: its threads never run again, and its sockets close. A process can hold one machine;
//! its memory grows with every life.

mod calls;
mod disk;
mod fds;
mod lives;
mod net;
pub mod process;
mod shm;
mod vfs;
mod world;

pub use disk::{Cut, Fault};
pub use lives::{
    crash_after, cut, elapsed, fault, is_alive, is_over, kill, life, mix, picture, set_clock,
    slow_disk, stall, writes,
};
pub use world::{Crash, begin};
