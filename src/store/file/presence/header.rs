//! Notices that a database was overwritten in place, by what its first bytes say.
//!
//! Invariant: nothing that `SQLite` does to the file looks like that. A checkpoint never makes the file shorter, and
//! after a `VACUUM` of another program the header names the new length.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// First bytes of every database.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Times that the header is read before it is called wrong: it may be read while a checkpoint writes it.
const TRIES: usize = 3;

/// The header of an open database.
#[derive(Debug)]
pub(super) struct Header {
    file: Arc<File>,
    /// Greatest length of the file that was seen.
    length: AtomicU64,
    /// Mark of copies (`user_version`), which a start takes away: it only becomes smaller.
    mark: AtomicU32,
    found: OnceLock<&'static str>,
}

impl Header {
    /// The header of the open database `file`; `None` if it has none yet.
    pub(super) fn of(file: Arc<File>) -> Option<Self> {
        let header = Self {
            file,
            length: AtomicU64::new(0),
            mark: AtomicU32::new(u32::MAX),
            found: OnceLock::new(),
        };
        header.look().is_none().then_some(header)
    }

    /// The fault of the file, if it is not the database that was opened.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if let Some(found) = self.found.get() {
            return Some(found);
        }
        let mut fault = None;
        for _ in 0..TRIES {
            fault = Some(self.look()?);
        }
        fault.map(|fault| *self.found.get_or_init(|| fault))
    }

    fn look(&self) -> Option<&'static str> {
        // Before the length is read, so that another thread cannot have seen a greater one meanwhile.
        let known = self.length.load(Ordering::SeqCst);
        let length = self.file.metadata().ok()?.len();
        let mut bytes = [0; 100];
        match self.file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Some("cut short"),
            // Reading fails elsewhere, too, and is told there.
            Err(_) => return None,
            Ok(()) => {}
        }
        if !bytes.starts_with(MAGIC) {
            return Some("overwritten");
        }
        // The length of a page in the old form, with 1 for 65536; the number of pages; the mark.
        let page = u64::from(number(&bytes, 16) >> 16);
        let page = if page == 1 { 65536 } else { page };
        let named = page.saturating_mul(number(&bytes, 28).into());
        if length < known && length < named {
            return Some("cut short");
        }
        let mark = number(&bytes, 60);
        if mark > self.mark.fetch_min(mark, Ordering::SeqCst) {
            return Some("overwritten with a backup");
        }
        self.length.store(length, Ordering::SeqCst);
        None
    }
}

/// The number at a place of the header.
fn number(bytes: &[u8; 100], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(number)
}
