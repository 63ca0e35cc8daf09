//! The disk: what is written, and what would be left of it after a power cut.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;

/// A disk writes so many bytes or none of them.
const SECTOR: usize = 512;

/// What a power cut leaves of the writes since the last sync of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// None of them.
    Nothing,
    /// The first ones, the last of them torn.
    Torn,
    /// Any of them, each whole or torn.
    Scattered,
    /// All of them.
    All,
}

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// No file can grow.
    Full,
    /// A sync fails, and may drop what it should have kept.
    Sync,
    /// Writing fails.
    Write,
    /// Another process holds the lock for writing.
    Held,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => put(data, *at, bytes),
            Self::Length(length) => data.resize(*length, 0),
        }
    }

    /// Applies some of its sectors.
    fn tear(&self, data: &mut Vec<u8>, dice: &mut Rng) {
        match self {
            Self::Write(at, bytes) => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if dice.bool() {
                        put(data, at + n * SECTOR, sector);
                    }
                }
            }
            Self::Length(_) => {}
        }
    }
}

fn put(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[at..end].copy_from_slice(bytes);
}

/// The locks on the shared memory of a database: by place, number of sharers or -1.
pub(crate) type ShmLocks = [i32; 8];

#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
    /// Shared memory and locks of the process that has it open.
    pub(crate) shm: Vec<Box<[u8]>>,
    pub(crate) shm_locks: ShmLocks,
    pub(crate) sharers: u32,
    /// The connection that has reserved the file, or more.
    pub(crate) writer: Option<usize>,
    /// True if that connection lets nobody else in.
    pub(crate) is_closed: bool,
}

impl File {
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let change = Change::Write(at, bytes.to_vec());
        change.apply(&mut self.data);
        self.pending.push(change);
    }

    pub(crate) fn resize(&mut self, length: usize) {
        let change = Change::Length(length);
        change.apply(&mut self.data);
        self.pending.push(change);
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// A sync that failed. The system may take the pages for clean then.
    pub(crate) fn fail_to_sync(&mut self, dice: &mut Rng) {
        if dice.bool() {
            self.pending.clear();
        }
    }

    /// The shared memory is gone. It is not freed: frozen threads may be in the middle of a look.
    pub(crate) fn forget_shm(&mut self) {
        std::mem::take(&mut self.shm).into_iter().for_each(|region| {
            Box::leak(region);
        });
    }

    fn cut(&mut self, how: Cut, dice: &mut Rng) {
        let pending = std::mem::take(&mut self.pending);
        let kept = match how {
            Cut::Nothing => 0,
            Cut::Torn => dice.usize(0..=pending.len()),
            Cut::Scattered | Cut::All => pending.len(),
        };
        for change in &pending[..kept] {
            match (how, dice.u8(0..4)) {
                (Cut::Scattered, 0) => {}
                (Cut::Scattered, 1) => change.tear(&mut self.synced, dice),
                _ => change.apply(&mut self.synced),
            }
        }
        if how == Cut::Torn
            && let Some(last) = pending.get(kept)
        {
            last.tear(&mut self.synced, dice);
        }
        self.data.clone_from(&self.synced);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<String, File>,
    pub(crate) fault: Fault,
    /// Longest time of a sync, in nanoseconds.
    pub(crate) sync_time: u64,
}

impl Disk {
    /// The file behind a path. `SQLite` opens what the daemon has created.
    pub(crate) fn open(&mut self, path: &str) -> &mut File {
        if !self.files.contains_key(path) {
            // The daemon looks at names and inodes of the real file system.
            let options = &mut std::fs::File::options();
            let real = options.create(true).append(true).open(Path::new(path));
            drop(real.expect("the folder of the simulation takes files"));
            self.files.insert(path.to_owned(), File::default());
        }
        self.files.get_mut(path).expect("it was inserted")
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.files.remove(path);
        drop(std::fs::remove_file(path));
    }

    /// The memory and the locks of the process are gone.
    pub(crate) fn process_ended(&mut self) {
        for file in self.files.values_mut() {
            file.forget_shm();
            file.shm_locks = ShmLocks::default();
            file.sharers = 0;
            file.writer = None;
            file.is_closed = false;
        }
    }

    pub(crate) fn cut(&mut self, how: Cut, dice: &mut Rng) {
        for file in self.files.values_mut() {
            file.cut(how, dice);
        }
    }
}
