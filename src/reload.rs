//! Asking the daemon to read its configuration again: between whoever asks and the one task that
//! does it, so that no two reloads run into each other.

use tokio::sync::{mpsc, oneshot};

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys that have another value now; a source that came or went by `sources.<name>`.
    pub changed: Vec<String>,
    /// The keys that have another value in the files and keep their old one until a restart.
    pub needs_restart: Vec<String>,
    /// What is allowed but should be looked at.
    pub warnings: Vec<String>,
}

/// Why nothing was taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// The new configuration cannot be used: one line for each fault, none with a secret.
    #[error("the new configuration is refused, the old one stays in force: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// Nobody is there to do it.
    #[error("there is no running daemon to reload")]
    Nobody,
}

type Outcome = Result<Reloaded, NotReloaded>;

/// Asks for reloads.
#[derive(Debug, Clone)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Outcome>>);

/// Answers who asks for reloads.
#[derive(Debug)]
pub struct ReloadRequests(mpsc::Receiver<oneshot::Sender<Outcome>>);

/// The two ends.
pub fn channel() -> (Reloads, ReloadRequests) {
    let (ask, asked) = mpsc::channel(4);
    (Reloads(ask), ReloadRequests(asked))
}

impl Reloads {
    /// Asks, and waits until it is done.
    pub async fn ask(&self) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.send(answer).await;
        asked.map_err(|_| NotReloaded::Nobody)?;
        answered.await.map_err(|_| NotReloaded::Nobody)?
    }
}

impl ReloadRequests {
    /// The next who asks; `None` when nobody can any more.
    pub async fn next(&mut self) -> Option<oneshot::Sender<Outcome>> {
        self.0.recv().await
    }
}
