//! The parts that every step of a worker works with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::classify::is_final;
use super::gate::breaker::{Breaker, Change};
use super::gate::pace::Pace;
use super::gate::slots::CallSlots;
use super::gate::unlinks::Unlinks;
use super::settings::Settings;
use crate::domain::ids::{ExternalId, ServalTicketId, SourceName};
use crate::edge::clock::SharedClock;
use crate::edge::metrics::Metrics;
use crate::serval::{ServalClient, ServalError};
use crate::sources::{SourcePolicy, Sources};
use crate::store::Store;

/// A reload replaces the context as a whole. A step keeps the context that its claim was made with.
/// Fields behind an `Arc` are the same in every context of a worker.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) serval: ServalClient,
    /// Token requests of the clients before the last reload.
    pub(super) earlier_refreshes: u64,
    pub(super) clock: SharedClock,
    pub(super) sources: Sources,
    pub(super) settings: Settings,
    pub(super) pace: Arc<Pace>,
    pub(super) breaker: Arc<Mutex<Breaker>>,
    pub(super) slots: Arc<CallSlots>,
    pub(super) unlinks: Arc<Unlinks>,
    /// Notified when waiting retries should be made at once.
    pub(super) retry_now: Arc<Notify>,
    /// Number of the current account at Serval; see [`Context::is_outdated`].
    pub(super) account: Arc<AtomicU64>,
    /// Number of the account that `serval` uses.
    pub(super) own_account: u64,
    pub(super) metrics: Metrics,
}

impl Context {
    /// True if a reload has changed the account since: Serval's answer about the credentials of this
    /// context no longer matters.
    pub(super) fn is_outdated(&self) -> bool {
        self.account.load(Ordering::Relaxed) != self.own_account
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn policy(&self, source: &SourceName) -> Option<&SourcePolicy> {
        self.sources.get(source).map(|source| &*source.policy)
    }

    /// Logs a change of the breaker, and has waiting retries made at once if that helps. `error`: its
    /// cause.
    pub(super) fn announce(&self, change: Change, error: &str) {
        match change {
            Change::None => {}
            Change::Opened => {
                tracing::error!(
                    error,
                    "Serval is failing: the circuit breaker is open, and only a probe is made every few seconds",
                );
                // Probes go through the waiting events one after the other, however long each waits.
                self.retry_now.notify_one();
            }
            Change::Held => tracing::error!(
                error,
                "Serval refuses our credentials: calls stop until it accepts them; check [serval]",
            ),
            Change::Released => {
                tracing::info!("Serval accepts our credentials; calls continue");
                self.retry_now.notify_one();
            }
            Change::Recovered => {
                tracing::info!("Serval answers again");
                self.retry_now.notify_one();
            }
        }
    }

    /// True if Serval has the link. `None`: it answers, but does not tell, so the call that follows
    /// must decide.
    pub(super) async fn is_linked(
        &self,
        ticket_id: &ServalTicketId,
        external_ids: &[ExternalId],
    ) -> Result<Option<bool>, ServalError> {
        match self.serval.is_linked(ticket_id, external_ids).await {
            Ok(is_linked) => Ok(Some(is_linked)),
            Err(error) if is_final(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Context {
    /// Nothing: a context is printed only as a part of others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
