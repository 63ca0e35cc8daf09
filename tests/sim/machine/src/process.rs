//! A process of its own for every seed: nothing that a seed leaves behind is seen by the next.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};

/// A process that plays a seed.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    said: File,
}

/// Starts `run` in a new process that says what `run` returns and ends. After so many seconds it is stopped.
/// The calling process must have one thread.
pub fn start(seconds: u32, run: impl FnOnce() -> String) -> Child {
    let mut ends = [0; 2];
    // SAFETY: two descriptors.
    let code = unsafe { libc::pipe(ends.as_mut_ptr()) };
    assert_eq!(code, 0, "the system has pipes");
    // SAFETY: there is one thread, so the child has all of the process.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "the system has processes");
    // SAFETY: each end is owned once in each process.
    let (said, mut say) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    if pid == 0 {
        // SAFETY: ends this process in time, whatever it does.
        unsafe {
            libc::signal(libc::SIGALRM, late as *const () as libc::sighandler_t);
            libc::alarm(seconds);
        }
        let verdict = run();
        drop(say.write_all(verdict.as_bytes()));
        // SAFETY: frozen threads must not see destructors run.
        unsafe { libc::_exit(0) }
    }
    Child { pid, said }
}

/// Says what the threads wait for.
extern "C" fn late(_signal: libc::c_int) {
    eprintln!("simulation: too late: {}", crate::world::show());
    // SAFETY: ends the process.
    unsafe { libc::_exit(71) }
}

impl Child {
    /// True if it has something to say, or has ended.
    pub fn is_done(&self) -> bool {
        crate::calls::is_readable(self.said.as_raw_fd())
    }

    /// Waits for the end; `None`: it did not end well.
    pub fn verdict(mut self) -> Option<String> {
        let mut said = String::new();
        let read = self.said.read_to_string(&mut said);
        let mut status = 0;
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        (read.is_ok() && status == 0 && !said.is_empty()).then_some(said)
    }
}
