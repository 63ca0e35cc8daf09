//! Sends a file or the standard input with a call, and shows a progress bar.
//!
//! Invariant: only a few pieces are in memory. A read error is kept, and is reported instead of the
//! answer to half a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use crate::terminal::Failure;
use crate::terminal::progress::Progress;
use crate::web::{MAX_IMPORT, Pieces};

/// Size of a piece in bytes.
const PIECE: usize = 64 << 10;
/// Number of pieces that are read ahead.
const AHEAD: usize = 4;

/// A piece, or the error that ends the file early.
type Piece = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A file that is being read.
pub(crate) struct Feed {
    pieces: Option<mpsc::Receiver<Piece>>,
    first: Option<Piece>,
    fault: Arc<OnceLock<Fault>>,
    progress: Progress,
}

/// Reason why a file was not read to its end.
#[derive(Debug)]
enum Fault {
    Unreadable(io::Error),
    TooLarge,
}

impl Feed {
    /// Reads the standard input.
    pub(crate) fn of_stdin() -> Self {
        Self::of(io::stdin(), None)
    }

    /// Reads a file.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A named pipe has no size.
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self::of(file, size))
    }

    fn of(source: impl Read + Send + 'static, size: Option<u64>) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let fault = Arc::new(OnceLock::new());
        let progress = Progress::of_bytes(size);
        let (kept, bar) = (Arc::clone(&fault), progress.clone());
        // A thread that is never joined: reading from a terminal may never end.
        thread::spawn(move || {
            if let Err(fault) = read(source, &sender, &bar) {
                let text = "the file could not be read to its end";
                drop(kept.set(fault));
                drop(sender.blocking_send(Err(text.into())));
            }
        });
        Self {
            pieces: Some(receiver),
            first: None,
            fault,
            progress,
        }
    }

    /// Waits for the first piece, or for the end.
    pub(crate) async fn wait(&mut self) {
        if let Some(pieces) = &mut self.pieces {
            self.first = pieces.recv().await;
        }
    }

    /// True if there is no first piece, after the wait for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The pieces of the file. A second call returns none.
    pub(crate) fn pieces(&mut self) -> Pieces {
        let first = stream::iter(self.first.take());
        let rest = self.pieces.take().map(|mut pieces| {
            let next = move |context: &mut std::task::Context<'_>| pieces.poll_recv(context);
            stream::poll_fn(next)
        });
        first.chain(stream::iter(rest).flatten()).boxed()
    }

    /// Removes the bar, and returns the failure if the file was not read to its end.
    pub(crate) fn end(&self) -> Option<Failure> {
        self.progress.end();
        Some(match self.fault.get()? {
            Fault::Unreadable(error) => Failure::failed(format_args!(
                "the file could not be read to its end ({error}); nothing was imported"
            )),
            Fault::TooLarge => Failure::Usage(format!(
                "the file is larger than {} MiB; import it in parts",
                MAX_IMPORT >> 20
            )),
        })
    }
}

/// Reads to the end, or until the receiver is gone.
fn read(
    mut source: impl Read,
    sender: &mpsc::Sender<Piece>,
    progress: &Progress,
) -> Result<(), Fault> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0;
    loop {
        // Signals interrupt a read without an error in the file.
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Fault::Unreadable(error)),
        };
        total += n;
        if total > MAX_IMPORT {
            return Err(Fault::TooLarge);
        }
        let piece = Bytes::copy_from_slice(&buffer[..n]);
        // The call is over, probably refused. Its answer is the better message.
        if sender.blocking_send(Ok(piece)).is_err() {
            return Ok(());
        }
        progress.moved(n as u64);
    }
    progress.is_read();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fed(source: impl Read + Send + 'static) -> (usize, bool, Option<String>) {
        let mut feed = Feed::of(source, None);
        feed.wait().await;
        let mut pieces = feed.pieces();
        let (mut bytes, mut is_whole) = (0, true);
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => bytes += piece.len(),
                Err(_) => is_whole = false,
            }
        }
        (
            bytes,
            is_whole,
            feed.end().map(|failure| failure.to_string()),
        )
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    #[tokio::test]
    async fn a_file_arrives_whole_or_says_why_not() {
        assert_eq!(fed(io::empty()).await, (0, true, None));
        let half = MAX_IMPORT as u64 / 2;
        assert_eq!(
            fed(io::repeat(b'x').take(half)).await,
            (MAX_IMPORT / 2, true, None)
        );
        let (bytes, is_whole, said) = fed(io::repeat(b'x')).await;
        assert_eq!((bytes, is_whole), (MAX_IMPORT, false));
        assert!(said.unwrap().contains("larger than 64 MiB"));
        let (_, is_whole, said) = fed(b"ab".chain(Broken)).await;
        assert!(!is_whole);
        assert!(said.unwrap().contains("the disk is gone"));
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Feed::of_file(folder.path()).is_err());
        assert!(Feed::of_file(&folder.path().join("x")).is_err());
    }
}
