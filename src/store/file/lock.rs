//! The exclusive lock of a database: on the file itself, and on its name.
//!
//! The lock on the file holds whatever name leads to it: a symbolic link, a hard link, a bind mount, a
//! renamed folder, a removed `.lock`. The lock on the name, which is the file `.lock`, guards the database
//! while it does not exist yet, keeps out earlier versions, and notes the process that holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::error::OpenError;

/// Largest length of the note in the file `.lock`.
const NOTE: u64 = 20;

/// The exclusive right to a database, held until dropped. The system frees it when the process dies, in
/// whatever way.
#[derive(Debug)]
pub struct DatabaseLock {
    /// The file `.lock`.
    _name: File,
    /// The database file, if it exists. Closing it drops all locks that `SQLite` holds on the file for
    /// this process, so it stays open as long as the store.
    file: Option<Arc<File>>,
    path: PathBuf,
}

impl DatabaseLock {
    /// Takes the lock for the database that `url` names, and creates its folder if missing.
    pub fn acquire(url: &str) -> Result<Self, OpenError> {
        let path = file_of(url)?;
        let folder = folder_of(&path);
        fs::create_dir_all(folder).map_err(OpenError::file(&path))?;
        let path = real(&path).map_err(OpenError::file(&path))?;
        let name = lock_name(&path)?;
        let mut existing = File::options();
        let file = match existing.read(true).write(true).open(&path) {
            Ok(file) => Some(Arc::new(lock_file(file, &path)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(OpenError::file(&path)(error)),
        };
        Ok(Self {
            _name: name,
            file,
            path,
        })
    }

    /// Creates the database file if it is missing. Only its owner can read it, because tickets are
    /// private; `SQLite` gives the same rights to the log beside it.
    pub(super) fn create_file(&mut self) -> Result<(), OpenError> {
        let in_file = OpenError::file(&self.path);
        if self.file.is_none() {
            let mut new = OpenOptions::new();
            new.read(true).write(true).create(true).truncate(false);
            let file = new.mode(0o600).open(&self.path).map_err(&in_file)?;
            self.file = Some(Arc::new(lock_file(file, &self.path)?));
            // A symbolic link may have named a file that did not exist.
            self.path = fs::canonicalize(&self.path).map_err(&in_file)?;
        }
        Ok(())
    }

    /// The open database file.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// Path of the database file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Resolves the symbolic links of a path whose last part may not exist.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            Ok(fs::canonicalize(folder_of(path))?.join(name))
        }
        resolved => resolved,
    }
}

/// Locks the file `.lock` beside `path`, and notes this process in it.
fn lock_name(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    let in_lock = OpenError::file(&lock_path);
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    let mut file = options.open(&lock_path).map_err(&in_lock)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut note = String::new();
            // It is only a note: earlier versions wrote none.
            drop(file.take(NOTE).read_to_string(&mut note));
            return Err(locked(path, note.trim().parse().ok()));
        }
        Err(TryLockError::Error(source)) => return Err(in_lock(source)),
    }
    // A full disk may refuse the note, and that is no reason not to start.
    let note = format!("{}\n", std::process::id());
    drop(
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes())),
    );
    Ok(file)
}

/// Locks one byte of a database file that `SQLite` neither locks nor stores anything in.
///
/// Why a lock of the open file (OFD): a POSIX lock would end as soon as `SQLite` closes any of its own
/// descriptors of the file. Why one byte, and not `flock(2)`: that locks the whole file, which does not
/// touch the POSIX locks of `SQLite` on a local file system, but NFS and SMB make one kind of the two, and
/// the daemon would shut itself out.
#[cfg(target_os = "linux")]
pub(super) fn lock_file(file: File, path: &Path) -> Result<File, OpenError> {
    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    // `SQLite` locks 512 bytes from 1 GiB on, and leaves the whole page there empty.
    const BYTE: libc::off_t = (1 << 30) + 1024;
    let lock = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: BYTE,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(file),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(locked(path, None)),
        Err(error) => Err(OpenError::file(path)(error.into())),
    }
}

/// Elsewhere the lock of the name has to do: on macOS each of these locks shuts out `SQLite`.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of Linux")]
pub(super) fn lock_file(file: File, _path: &Path) -> Result<File, OpenError> {
    Ok(file)
}

fn locked(path: &Path, process: Option<u32>) -> OpenError {
    let process = process.map(|id| format!(" (process {id})"));
    OpenError::Locked {
        path: path.display().to_string(),
        process: process.unwrap_or_default(),
    }
}

/// Returns the path of a file that stands beside a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns the folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Returns the path of the file that a `sqlite:` URL names.
pub fn file_of(url: &str) -> Result<PathBuf, OpenError> {
    let wrong = || OpenError::Url {
        // Not quoted: it may have a password.
        problem: "it names no file".to_owned(),
    };
    let rest = url.strip_prefix("sqlite:").ok_or_else(wrong)?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains('?') || path == ":memory:" {
        return Err(wrong());
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file() {
        assert_eq!(
            file_of("sqlite://data/x.db").unwrap(),
            Path::new("data/x.db")
        );
        assert_eq!(
            file_of("sqlite:///data/x.db").unwrap(),
            Path::new("/data/x.db")
        );
        assert_eq!(file_of("sqlite:x.db").unwrap(), Path::new("x.db"));
        for bad in [
            "",
            "x.db",
            "postgres://x",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://x?mode=ro",
        ] {
            assert!(file_of(bad).is_err(), "{bad}");
        }
    }
}
