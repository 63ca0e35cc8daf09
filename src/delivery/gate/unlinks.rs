//! The unlink that is in progress, which calls to the same Serval ticket must wait for.
//!
//! Invariant: at most one unlink at a time. Serval removes all links that a source has on a ticket, so
//! a connect at the same moment could be undone.

use tokio::sync::{Mutex, MutexGuard, watch};

use crate::domain::ids::{ServalTicketId, SourceName};

type Subject = (SourceName, ServalTicketId);

/// Admits one unlink at a time, and shows which one it is.
pub(crate) struct Unlinks {
    running: Mutex<()>,
    current: watch::Sender<Option<Subject>>,
}

impl Default for Unlinks {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            current: watch::Sender::new(None),
        }
    }
}

/// The right to unlink. Dropping it ends the unlink, also if the work was cancelled.
pub(crate) struct Unlinking<'a> {
    unlinks: &'a Unlinks,
    _running: MutexGuard<'a, ()>,
}

impl Unlinks {
    /// Waits for the running unlink, then announces the unlink.
    pub(crate) async fn begin(
        &self,
        source: &SourceName,
        ticket_id: &ServalTicketId,
    ) -> Unlinking<'_> {
        let running = self.running.lock().await;
        self.current
            .send_replace(Some((source.clone(), ticket_id.clone())));
        Unlinking {
            unlinks: self,
            _running: running,
        }
    }

    /// True if an unlink of this source and Serval ticket is in progress.
    pub(crate) fn is_running(&self, source: &SourceName, ticket_id: &ServalTicketId) -> bool {
        is_about(self.current.borrow().as_ref(), source, ticket_id)
    }

    /// Waits until no unlink of this source and Serval ticket is in progress.
    pub(crate) async fn wait_for(&self, source: &SourceName, ticket_id: &ServalTicketId) {
        let mut current = self.current.subscribe();
        let is_other = |current: &Option<Subject>| !is_about(current.as_ref(), source, ticket_id);
        // An error means that the sender is gone, and with it the worker.
        drop(current.wait_for(is_other).await);
    }
}

fn is_about(current: Option<&Subject>, source: &SourceName, ticket_id: &ServalTicketId) -> bool {
    current.is_some_and(|current| (&current.0, &current.1) == (source, ticket_id))
}

impl Drop for Unlinking<'_> {
    fn drop(&mut self) {
        self.unlinks.current.send_replace(None);
    }
}
