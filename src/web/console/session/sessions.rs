//! The sessions of logged-in operators: in memory, or in the database where several processes share one.
//!
//! Invariant: only the SHA-256 of a session's secret is kept. A session has the rights that its token has
//! at this moment.
//!
//! Why no session library: sessions follow the admin tokens and keep their expiry rules here, which a
//! library would only store.

use std::time::Duration;

use tokio::sync::OnceCell;

use super::in_memory::InMemory;
use super::open::{LIMITS, Open, hash, random, veiled};
use crate::operators::Fingerprint;
use crate::store::{Store, StoreError, StoredSession};

/// The sessions.
#[derive(Debug)]
pub(crate) enum Sessions {
    /// Sessions of this process.
    InMemory(InMemory),
    /// Sessions of all replicas.
    Shared {
        store: Store,
        /// Token of forms if nobody logs in, once it was read.
        csrf: OnceCell<String>,
    },
}

impl Sessions {
    /// The sessions of a process that has this store.
    pub(crate) fn new(store: &Store) -> Self {
        if store.replica_id().is_none() {
            return Self::InMemory(InMemory::new());
        }
        Self::Shared {
            store: store.clone(),
            csrf: OnceCell::new(),
        }
    }

    /// Token of forms if no admin token is configured, so that nobody logs in.
    pub(crate) async fn shared_csrf(&self) -> Result<String, StoreError> {
        match self {
            Self::InMemory(sessions) => Ok(sessions.shared_csrf().to_owned()),
            Self::Shared { store, csrf } => csrf
                .get_or_try_init(|| store.forms_token(random()))
                .await
                .cloned(),
        }
    }

    /// Opens a session for the holder of a token, and returns its secret. `now` is monotonic.
    pub(crate) async fn open(
        &self,
        holder: Fingerprint,
        now: Duration,
    ) -> Result<String, StoreError> {
        match self {
            Self::InMemory(sessions) => Ok(sessions.open(holder, now)),
            Self::Shared { store, .. } => {
                let (secret, csrf) = (random(), random());
                let holder = veiled(holder, &secret).to_vec();
                let session = StoredSession { holder, csrf };
                store.open_session(hash(&secret), session, LIMITS).await?;
                Ok(secret)
            }
        }
    }

    /// The session of a secret. `counts`: this use restarts its idle time.
    pub(crate) async fn find(
        &self,
        secret: &str,
        now: Duration,
        counts: bool,
    ) -> Result<Option<Open>, StoreError> {
        match self {
            Self::InMemory(sessions) => Ok(sessions.find(secret, now, counts)),
            Self::Shared { store, .. } => {
                let found = store.session(hash(secret), LIMITS, counts).await?;
                Ok(found.and_then(|StoredSession { holder, csrf }| {
                    let holder = veiled(holder.try_into().ok()?, secret);
                    Some(Open { holder, csrf })
                }))
            }
        }
    }

    /// Ends a session.
    pub(crate) async fn close(&self, secret: &str) -> Result<(), StoreError> {
        match self {
            Self::InMemory(sessions) => sessions.close(secret),
            Self::Shared { store, .. } => store.close_session(hash(secret)).await?,
        }
        Ok(())
    }
}
