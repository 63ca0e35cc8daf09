//! Collects log lines, so that many of them share one system call.
//!
//! A line is written within [`DELAY`], with a warning or an error at once, and at the latest when the
//! [`Collected`] is dropped. A `kill -9` loses the lines of the last moment.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Longest time that a line is kept back.
const DELAY: Duration = Duration::from_millis(100);
/// Number of bytes from which on the lines are written by the thread that adds one.
const FULL: usize = 64 << 10;

/// Where the log layer writes its lines.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// A first line waits, or the collector is closed.
    changed: Condvar,
    /// Locked while lines are taken and written, so that they keep their order.
    sink: Mutex<Sink>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    is_closed: bool,
}

struct Sink {
    out: Box<dyn Write + Send>,
    /// Memory for the next lines.
    spare: Vec<u8>,
}

/// The collector of the log lines. Dropping it writes those that wait; later ones are written at once.
#[must_use = "dropping it ends the collecting of log lines"]
pub struct Collected {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

/// Starts to collect the lines for `out`.
pub(super) fn collect(out: Box<dyn Write + Send>) -> io::Result<(Lines, Collected)> {
    let spare = Vec::new();
    let lines = Lines(Arc::new(Shared {
        waiting: Mutex::default(),
        changed: Condvar::new(),
        sink: Mutex::new(Sink { out, spare }),
    }));
    let of_thread = lines.clone();
    let thread = std::thread::Builder::new().name("log".to_owned());
    let thread = thread.spawn(move || of_thread.write_until_closed())?;
    let collected = Collected {
        lines: lines.clone(),
        thread: Some(thread),
    };
    Ok((lines, collected))
}

impl Drop for Collected {
    fn drop(&mut self) {
        lock(&self.lines.0.waiting).is_closed = true;
        self.lines.0.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Lines {
    fn add(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = lock(&self.0.waiting);
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        let is_due = is_urgent || waiting.is_closed || waiting.bytes.len() >= FULL;
        drop(waiting);
        if is_due {
            self.write();
        } else if is_first {
            self.0.changed.notify_one();
        }
    }

    /// Writes the lines that wait. A log that cannot be written has nowhere to say so.
    fn write(&self) {
        let mut sink = lock(&self.0.sink);
        let spare = std::mem::take(&mut sink.spare);
        let mut bytes = std::mem::replace(&mut lock(&self.0.waiting).bytes, spare);
        drop(sink.out.write_all(&bytes).and_then(|()| sink.out.flush()));
        bytes.clear();
        sink.spare = bytes;
    }

    fn write_until_closed(&self) {
        let Shared {
            waiting, changed, ..
        } = &*self.0;
        loop {
            let lines = lock(waiting);
            let is_idle = |waiting: &mut Waiting| !waiting.is_closed && waiting.bytes.is_empty();
            let lines = changed.wait_while(lines, is_idle);
            let lines = lines.unwrap_or_else(PoisonError::into_inner);
            let is_open = |waiting: &mut Waiting| !waiting.is_closed;
            let waited = changed.wait_timeout_while(lines, DELAY, is_open);
            let (lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let is_closed = lines.is_closed;
            drop(lines);
            self.write();
            if is_closed {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writer of one line.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    is_urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            is_urgent: true,
        }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line<'a> {
        Line {
            lines: self,
            is_urgent: *line.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Sends what is written in one call.
    struct Calls(mpsc::Sender<String>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                drop(self.0.send(text));
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Lines, Collected, mpsc::Receiver<String>) {
        let (sender, calls) = mpsc::channel();
        let (lines, collected) = collect(Box::new(Calls(sender))).unwrap();
        (lines, collected, calls)
    }

    #[test]
    fn lines_share_a_call_and_are_written_without_a_further_one() {
        let (lines, collected, calls) = start();
        for n in 0..3 {
            lines.add(format!("{n}\n").as_bytes(), false);
        }
        let mut written = String::new();
        while written.len() < 6 {
            written += &calls.recv().unwrap();
        }
        assert_eq!(written, "0\n1\n2\n");
        drop(collected);
    }

    #[test]
    fn an_urgent_line_takes_the_earlier_ones_along_at_once() {
        let (lines, collected, calls) = start();
        lines.add(b"first\n", false);
        lines.add(b"a warning\n", true);
        let written: String = calls.try_iter().collect();
        assert_eq!(written, "first\na warning\n");
        drop(collected);
    }

    #[test]
    fn a_full_buffer_is_written_by_the_one_who_fills_it() {
        let (lines, collected, calls) = start();
        let line = "x".repeat(FULL / 4);
        for _ in 0..4 {
            lines.add(line.as_bytes(), false);
        }
        let written: usize = calls.try_iter().map(|call| call.len()).sum();
        assert_eq!(written, FULL);
        drop(collected);
    }

    #[test]
    fn nothing_is_lost_at_the_end_and_later_lines_are_written_at_once() {
        let (lines, collected, calls) = start();
        lines.add(b"last\n", false);
        drop(collected);
        assert_eq!(calls.try_iter().collect::<String>(), "last\n");
        lines.add(b"later\n", false);
        assert_eq!(calls.try_iter().collect::<String>(), "later\n");
    }
}
