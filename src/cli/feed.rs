//! A file or the standard input on its way into a call, with a bar that shows how far it is.
//!
//! Invariant: a few pieces are in memory, whatever the size. Why reading stopped is kept, so that the
//! answer to half a file is never taken for the reason.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use super::Failure;
use super::progress::Progress;
use crate::http::{MAX_IMPORT, Pieces};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Pieces that are read ahead.
const AHEAD: usize = 4;

/// A piece, or the sign that no more comes.
type Piece = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A file on its way.
pub(super) struct Feed {
    pieces: Option<mpsc::Receiver<Piece>>,
    first: Option<Piece>,
    fault: Arc<OnceLock<Fault>>,
    progress: Progress,
}

/// Why reading stopped early.
#[derive(Debug)]
enum Fault {
    Unreadable(io::Error),
    TooLarge,
}

impl Feed {
    /// The standard input, whose end nobody knows.
    pub(super) fn of_stdin() -> Self {
        Self::of(io::stdin(), None)
    }

    /// A file.
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A pipe has a name, too, and no size.
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self::of(file, size))
    }

    fn of(source: impl Read + Send + 'static, size: Option<u64>) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let fault = Arc::new(OnceLock::new());
        let progress = Progress::of_bytes(size);
        let (kept, bar) = (Arc::clone(&fault), progress.clone());
        // A thread of its own, that nobody waits for: a terminal may never say that it is done.
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

    /// Waits until there is something to send, or nothing ever.
    pub(super) async fn wait(&mut self) {
        if let Some(pieces) = &mut self.pieces {
            self.first = pieces.recv().await;
        }
    }

    /// The file, once.
    pub(super) fn pieces(&mut self) -> Pieces {
        let first = stream::iter(self.first.take());
        let rest = self.pieces.take().map(|mut pieces| {
            let next = move |context: &mut std::task::Context<'_>| pieces.poll_recv(context);
            stream::poll_fn(next)
        });
        first.chain(stream::iter(rest).flatten()).boxed()
    }

    /// Takes the bar away; says why the file was not read to its end, if so.
    pub(super) fn end(&self) -> Option<Failure> {
        self.progress.end();
        Some(match self.fault.get()? {
            Fault::Unreadable(error) => Failure::Failed(anyhow::anyhow!(
                "the file could not be read to its end ({error}); nothing was imported"
            )),
            Fault::TooLarge => Failure::Usage(format!(
                "the file is larger than {} MiB; import it in parts",
                MAX_IMPORT >> 20
            )),
        })
    }
}

/// Reads until the end, or until nobody wants any more.
fn read(
    mut source: impl Read,
    sender: &mpsc::Sender<Piece>,
    progress: &Progress,
) -> Result<(), Fault> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0;
    loop {
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
