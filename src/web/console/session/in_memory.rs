//! The sessions of a process that is the only one. A restart ends them, and their times are monotonic.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::open::{LIMITS, Open, hash, random};
use crate::operators::Fingerprint;

/// A session as it is kept.
#[derive(Clone)]
struct Session {
    holder: Fingerprint,
    csrf: String,
    began: Duration,
    seen: Duration,
}

/// The sessions of this process.
pub(crate) struct InMemory {
    by_secret: Mutex<HashMap<Fingerprint, Session>>,
    /// Token of forms if no admin token is configured, so that nobody logs in.
    shared_csrf: String,
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

impl InMemory {
    /// Creates an empty set.
    pub(crate) fn new() -> Self {
        Self {
            by_secret: Mutex::default(),
            shared_csrf: random(),
        }
    }

    /// Token of forms if nobody logs in.
    pub(crate) fn shared_csrf(&self) -> &str {
        &self.shared_csrf
    }

    /// Opens a session for the holder of a token, and returns its secret.
    pub(crate) fn open(&self, holder: Fingerprint, now: Duration) -> String {
        let (secret, csrf) = (random(), random());
        let session = Session {
            holder,
            csrf,
            began: now,
            seen: now,
        };
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_good(now));
        // Only holders of a token can open sessions, but a script that logs in for every request
        // must not fill the memory.
        if sessions.len() >= LIMITS.most as usize
            && let Some(idlest) = idlest(&sessions)
        {
            sessions.remove(&idlest);
        }
        // Only the hash is kept: whoever reads the memory or a core dump gets no cookie that works.
        sessions.insert(hash(&secret), session);
        secret
    }

    /// The session of a secret. `counts`: this use restarts its idle time.
    pub(crate) fn find(&self, secret: &str, now: Duration, counts: bool) -> Option<Open> {
        let mut sessions = self.lock();
        let key = hash(secret);
        let session = sessions.get_mut(&key)?;
        if !session.is_good(now) {
            sessions.remove(&key);
            return None;
        }
        // A page that refreshes itself would keep a forgotten browser logged in, so such a request
        // does not count.
        if counts {
            session.seen = now;
        }
        Some(Open {
            holder: session.holder,
            csrf: session.csrf.clone(),
        })
    }

    /// Ends a session.
    pub(crate) fn close(&self, secret: &str) {
        self.lock().remove(&hash(secret));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, Session>> {
        // A panic between two steps leaves a map that is whole.
        self.by_secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_good(&self, now: Duration) -> bool {
        now < self.seen + LIMITS.idle && now < self.began + LIMITS.absolute
    }
}

fn idlest(sessions: &HashMap<Fingerprint, Session>) -> Option<Fingerprint> {
    let oldest = sessions.iter().min_by_key(|(_, session)| session.seen);
    oldest.map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Fingerprint = [7; 32];

    fn at(hours: f64) -> Duration {
        Duration::from_secs_f64(hours * 3600.0)
    }

    #[test]
    fn a_session_ends_when_idle_and_in_any_case_after_a_while() {
        let sessions = InMemory::new();
        let secret = sessions.open(HOLDER, at(0.0));
        for hours in [1.9, 3.8, 5.7, 7.6, 9.5, 11.4] {
            let open = sessions.find(&secret, at(hours), true);
            assert_eq!(open.unwrap().holder, HOLDER, "{hours}");
        }
        assert_eq!(sessions.find(&secret, at(12.0), true), None);

        let secret = sessions.open(HOLDER, at(0.0));
        assert!(sessions.find(&secret, at(1.9), false).is_some());
        assert_eq!(
            sessions.find(&secret, at(2.0), true),
            None,
            "a page that refreshes itself keeps no session open"
        );
    }

    #[test]
    fn a_closed_session_and_a_wrong_secret_open_nothing() {
        let sessions = InMemory::new();
        let (one, two) = (
            sessions.open(HOLDER, at(0.0)),
            sessions.open(HOLDER, at(0.0)),
        );
        assert_ne!(one, two);
        sessions.close(&one);
        assert_eq!(sessions.find(&one, at(0.1), true), None);
        assert_eq!(sessions.find("", at(0.1), true), None);
        let (csrf, shared) = (
            sessions.find(&two, at(0.1), true).unwrap().csrf,
            sessions.shared_csrf(),
        );
        assert!(csrf != two && csrf != shared && csrf.len() == 64);
    }

    #[test]
    fn there_are_never_too_many_sessions() {
        let sessions = InMemory::new();
        let first = sessions.open(HOLDER, at(0.0));
        let second = sessions.open(HOLDER, at(0.1));
        for _ in 0..LIMITS.most - 1 {
            sessions.open(HOLDER, at(0.2));
        }
        assert_eq!(sessions.lock().len(), LIMITS.most as usize);
        assert_eq!(sessions.find(&first, at(0.3), true), None);
        assert!(sessions.find(&second, at(0.3), true).is_some());
    }
}
