//! Writes a file that a command makes: to the standard output, or to a file that appears when it is
//! complete.
//!
//! Invariant: under the name of the file is either the old file or the complete new one.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Permissions of a new file, before the umask.
const MODE: u32 = 0o666;

/// A file that is being written.
pub(super) enum Sink {
    /// The standard output, a pipe or a device, which takes each piece at once.
    Stream(Box<dyn Write>, PathBuf),
    /// A temporary file, and the path to which it is moved at the end.
    Beside(NamedTempFile, PathBuf),
}

impl Sink {
    /// Opens the file; `-` is the standard output.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = if path.as_os_str() == "-" {
            let name = PathBuf::from("the standard output");
            Ok(Self::Stream(Box::new(io::stdout()), name))
        } else {
            Self::open_file(path)
        };
        opened.with_context(|| format!("cannot write {}", path.display()))
    }

    fn open_file(path: &Path) -> io::Result<Self> {
        // A device or a pipe is written to, not replaced. A symbolic link is followed, so that it stays.
        let (target, mode) = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if metadata.is_file() => {
                (fs::canonicalize(path)?, metadata.permissions().mode())
            }
            Ok(_) => {
                let file = File::options().write(true).open(path)?;
                return Ok(Self::Stream(Box::new(file), path.to_owned()));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), MODE),
            Err(error) => return Err(error),
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let beside = tempfile::Builder::new()
            .prefix(".serval-connect-")
            .suffix(".partial")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)
            .map_err(|error| unusable(folder, &error))?;
        Ok(Self::Beside(beside, target))
    }

    /// Writes a piece. Returns `false` if the reader has gone away (`| head`), which is not an error.
    pub(super) fn write(&mut self, piece: &[u8]) -> anyhow::Result<bool> {
        let (written, path) = match self {
            Self::Stream(stream, path) => (stream.write_all(piece), path),
            Self::Beside(file, path) => (file.write_all(piece), path),
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Moves the complete file to its path.
    pub(super) fn keep(self) -> anyhow::Result<()> {
        let (kept, path) = match self {
            Self::Stream(mut stream, path) => (stream.flush(), path),
            Self::Beside(file, path) => {
                // The file gets its name only after its content is on disk, so a file with that
                // name is always complete.
                let synced = file.as_file().sync_all();
                let kept = synced.and_then(|()| file.persist(&path).map_err(|fault| fault.error));
                (kept.map(drop), path)
            }
        };
        match kept {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            kept => kept.with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

/// The error without the name of the temporary file, which tells nobody anything.
fn unusable(folder: &Path, error: &io::Error) -> io::Error {
    let kind = error.kind();
    let cause = io::Error::from(kind);
    let folder = folder.display();
    let what = if kind == ErrorKind::NotFound {
        format!("there is no folder {folder}: make it first")
    } else {
        format!("nothing can be written into the folder {folder}: {cause}")
    };
    io::Error::new(kind, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let mut sink = Sink::open(&path).unwrap();
        sink.write(b"half").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(sink);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut sink = Sink::open(&path).unwrap();
        sink.write(b"whole").unwrap();
        sink.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut sink = Sink::open(&link).unwrap();
        sink.write(b"new").unwrap();
        sink.keep().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let sink = Sink::open(Path::new("/dev/null")).unwrap();
        assert!(matches!(sink, Sink::Stream(..)));
    }

    #[test]
    fn a_folder_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let Err(refused) = Sink::open(folder.path()) else {
            panic!("a folder is no file");
        };
        assert!(format!("{refused:#}").contains(folder.path().to_str().unwrap()));
    }
}
