//! The turn of a job: its caller gives up, or the writer begins with it, whatever comes first.
//!
//! Invariant: a job whose caller gave up before its turn is never run, so that "nothing was changed" is
//! true also a minute later.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// State of a job that the writer and its caller share.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU8);

impl Turn {
    /// The writer begins with the job. `false`: its caller gave up.
    pub(super) fn begin(&self) -> bool {
        self.leave(BEGUN)
    }

    /// The caller gives up. `false`: the writer has begun.
    pub(crate) fn give_up(&self) -> bool {
        self.leave(GIVEN_UP)
    }

    fn leave(&self, next: u8) -> bool {
        let order = Ordering::Relaxed;
        self.0.compare_exchange(WAITS, next, order, order).is_ok()
    }
}

/// Longest times that a caller waits, both from its call on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the writer to begin.
    pub(crate) turn: Duration,
    /// For the end of what has begun. Longer than `turn` and the time that the writer waits for another
    /// process ([`HELD`](crate::store::file::options::HELD)), so that the caller knows how it ended.
    pub(crate) end: Duration,
}

/// Patience of webhooks. The sender waits too; Slack gives three seconds. What ends later may be stored all the
/// same; the sender repeats it, and that is a duplicate then.
pub(crate) const OF_WEBHOOKS: Patience = Patience {
    turn: Duration::from_secs(2),
    end: Duration::from_millis(2800),
};

/// Patience of operators. On a slow disk they wait longer for what has begun: it cannot be called off.
pub(crate) const OF_OPERATORS: Patience = Patience {
    turn: Duration::from_millis(1500),
    end: Duration::from_secs(10),
};

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::domain::feed::Sign;
    use crate::domain::ids::SourceName;
    use crate::store::error::StoreError;
    use crate::store::handle::Store;
    use crate::store::inbox::webhook::Webhook;
    use crate::store::sql::args;

    const SHORT: Option<Patience> = Some(Patience {
        turn: Duration::from_millis(20),
        end: Duration::from_millis(40),
    });
    /// Enough for the writer to begin, also on a busy machine.
    const LONG: Option<Patience> = Some(Patience {
        turn: Duration::from_secs(3),
        end: Duration::from_secs(3),
    });
    const SET: &str = "INSERT INTO settings (key, value) VALUES ('tried', $1)";

    async fn set(
        store: &Store,
        patience: Option<Patience>,
        value: &'static str,
    ) -> Result<u64, StoreError> {
        let set = store.write_within(patience, move |tx| {
            Box::pin(async move { tx.run(SET, args![value]).await })
        });
        set.await
    }

    fn webhook() -> Webhook {
        Webhook {
            source: "servicenow".parse::<SourceName>().unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            park_for_ms: 0,
            keep_ignored_bodies: false,
            reconnects: false,
            sign: Sign::Alive,
            traceparent: None,
            body: bytes::Bytes::new(),
            events: Vec::new(),
        }
    }

    #[tokio::test]
    async fn while_the_writer_is_busy_every_caller_gets_an_answer_and_what_was_given_up_is_never_done()
     {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", folder.path().display());
        let (store, writer) = Store::open(&url, Timestamp::UNIX_EPOCH).await.unwrap();
        let stop = CancellationToken::new();
        let (begins, gate) = (Notify::new(), Notify::new());
        let (begins, gate) = (std::sync::Arc::new(begins), std::sync::Arc::new(gate));
        let (has_begun, may_end) = (begins.clone(), gate.clone());
        let busy = store.write_within(LONG, move |_| {
            let (has_begun, may_end) = (has_begun.clone(), may_end.clone());
            Box::pin(async move {
                has_begun.notify_one();
                may_end.notified().await;
                Ok(())
            })
        });
        let work = async {
            let others = async {
                begins.notified().await;
                let given_up = set(&store, SHORT, "given up").await;
                let recorded = store.record(webhook()).await;
                let in_time = store
                    .clone()
                    .in_time()
                    .set_paused(true, Timestamp::UNIX_EPOCH)
                    .await;
                (given_up, recorded, in_time)
            };
            let (busy, (given_up, recorded, in_time)) = tokio::join!(busy, others);
            assert!(matches!(busy, Err(StoreError::Unfinished)), "{busy:?}");
            assert!(
                matches!(given_up, Err(StoreError::Overloaded)),
                "{given_up:?}"
            );
            assert!(
                matches!(recorded, Err(StoreError::Overloaded)),
                "{recorded:?}"
            );
            assert!(
                matches!(in_time, Err(StoreError::Overloaded)),
                "{in_time:?}"
            );
            gate.notify_one();
            // Its turn comes after all others'.
            assert_eq!(set(&store, None, "done").await.unwrap(), 1);
            assert!(!store.is_paused().await.unwrap());
            stop.cancel();
        };
        tokio::join!(writer.run(stop.clone()), work);
    }

    #[test]
    fn a_job_is_begun_or_given_up_but_not_both() {
        let begun = Turn::default();
        assert!(begun.begin());
        assert!(!begun.give_up(), "the caller has to wait for the end");
        let given_up = Turn::default();
        assert!(given_up.give_up());
        assert!(!given_up.begin(), "the answer was that nothing changed");
    }
}
