//! The sessions of the console, which all replicas share. Their times are by the clock of the server.

use std::time::Duration;

use super::now::server_now;
use crate::store::commit::turn::Patience;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

/// Key of the token of forms in `settings`.
const CSRF: &str = "csrf";
/// Uses of a session are written no more often than this.
const USED: Duration = Duration::from_mins(1);
/// Longest wait until a use is written. A page does not fail because of it.
const PATIENCE: Duration = Duration::from_secs(1);

row! {
    /// A session as it is stored.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredSession {
        /// Its holder, in the form that the console keeps.
        holder: Vec<u8>,
        /// Token that its forms must send.
        csrf: String,
    }
}

/// The ends of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Time without use after which a session ends.
    pub idle: Duration,
    /// Time after which a session ends in any case.
    pub absolute: Duration,
    /// Largest number of sessions; one more ends the one with the longest idle time.
    pub most: u32,
}

impl SessionLimits {
    fn millis(self) -> (i64, i64) {
        (millis(self.idle), millis(self.absolute))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Store {
    /// Stores a session under the hash of its secret, and deletes those that have ended.
    pub async fn open_session(
        &self,
        secret: [u8; 32],
        session: StoredSession,
        limits: SessionLimits,
    ) -> Result<(), StoreError> {
        const END: &str = concat!(
            "-- store::sessions::end
            DELETE FROM sessions WHERE seen <= ",
            server_now!(),
            " - $1 OR began <= ",
            server_now!(),
            " - $2 OR secret IN (SELECT secret FROM sessions ORDER BY seen DESC, secret OFFSET $3 - 1)"
        );
        const OPEN: &str = concat!(
            "-- store::sessions::open
            INSERT INTO sessions (secret, holder, csrf, began, seen) VALUES ($1, $2, $3, ",
            server_now!(),
            ", ",
            server_now!(),
            ")"
        );
        let (idle, absolute) = limits.millis();
        self.write(move |tx| {
            let StoredSession { holder, csrf } = session.clone();
            Box::pin(async move {
                tx.run(END, args![idle, absolute, limits.most]).await?;
                tx.run(OPEN, args![secret.to_vec(), holder, csrf]).await?;
                Ok(())
            })
        })
        .await
    }

    /// The session with this hash of its secret, if it has not ended. `counts`: this use restarts its idle time.
    pub async fn session(
        &self,
        secret: [u8; 32],
        limits: SessionLimits,
        counts: bool,
    ) -> Result<Option<StoredSession>, StoreError> {
        const FIND: &str = concat!(
            "-- store::sessions::find
            SELECT holder, csrf, seen <= at.now - $4
            FROM (SELECT ",
            server_now!(),
            " AS now) AS at JOIN sessions ON TRUE
            WHERE secret = $1 AND seen > at.now - $2 AND began > at.now - $3"
        );
        const USE: &str = concat!(
            "-- store::sessions::use
            UPDATE sessions SET seen = ",
            server_now!(),
            " WHERE secret = $1"
        );
        let (idle, absolute) = limits.millis();
        let find = args![secret.to_vec(), idle, absolute, millis(USED)];
        let found = sql::fetch_optional(&self.readers, FIND, find).await?;
        let Some((session, is_to_be_written)) = found else {
            return Ok(None);
        };
        if counts && is_to_be_written {
            let (turn, end) = (PATIENCE, PATIENCE);
            let used = self.write_within(Some(Patience { turn, end }), move |tx| {
                Box::pin(async move { tx.run(USE, args![secret.to_vec()]).await })
            });
            if let Err(error) = used.await {
                tracing::debug!(%error, "the use of a session could not be written");
            }
        }
        Ok(Some(session))
    }

    /// Ends a session.
    pub async fn close_session(&self, secret: [u8; 32]) -> Result<(), StoreError> {
        const CLOSE: &str = "\
            -- store::sessions::close
            DELETE FROM sessions WHERE secret = $1";
        self.run(CLOSE, move || args![secret.to_vec()]).await?;
        Ok(())
    }

    /// The token of forms where nobody logs in. The first process that asks sets it to `new`.
    pub async fn forms_token(&self, new: String) -> Result<String, StoreError> {
        const SET: &str = "\
            -- store::sessions::set_csrf
            INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        const GET: &str = "\
            -- store::sessions::csrf
            SELECT value FROM settings WHERE key = $1";
        self.write(move |tx| {
            let new = new.clone();
            Box::pin(async move {
                tx.run(SET, args![CSRF, new]).await?;
                tx.fetch_one(GET, args![CSRF]).await
            })
        })
        .await
    }
}
