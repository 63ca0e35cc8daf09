//! When the worker claims: what webhooks hand to it at once, and what it looks for in the queue.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::line::Admission;
use super::step::{Context, step};
use crate::domain::retry::later;
use crate::store::{Claim, ClaimScope, Offer};

/// The worker looks at the queue at least this often: wake-ups are a courtesy, this is the promise.
const POLL: Duration = Duration::from_secs(1);

/// While webhooks bring all there is to do, what else became due is looked for so long after a call
/// ended: a look for each would cost more than many a call.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Claims whose calls ended and whose results are not written yet, for each place to call from:
/// beyond that the disk is too slow, and no more calls are made.
const UNSETTLED: usize = 8;

/// What the worker has going.
pub(super) struct Calls {
    /// A task for each claim, until it is settled.
    tasks: JoinSet<()>,
    /// Whether the last claim left some behind.
    is_more_due: bool,
    looked_at: Instant,
    /// When to look again, though the queue was seen to be empty.
    look_at: Instant,
    /// When an event is due, as of the last look.
    next_due: Option<Timestamp>,
}

impl Default for Calls {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            tasks: JoinSet::new(),
            is_more_due: false,
            looked_at: now,
            look_at: now,
            next_due: None,
        }
    }
}

impl Calls {
    /// Works on a claim.
    pub(super) fn start(&mut self, context: &Arc<Context>, claim: Claim, is_probe: bool) {
        let held = context.hand.take();
        let context = Arc::clone(context);
        self.tasks
            .spawn(async move { step(&context, claim, held, is_probe).await });
    }

    /// Resolves when the work on a claim has ended; to `None` when there is none.
    pub(super) async fn ended(&mut self) -> Option<Result<(), JoinError>> {
        let ended = self.tasks.join_next().await;
        self.note_end(ended.is_some());
        ended
    }

    /// The same for what has ended already.
    pub(super) fn ended_already(&mut self) -> Option<Result<(), JoinError>> {
        let ended = self.tasks.try_join_next();
        self.note_end(ended.is_some());
        ended
    }

    /// The next event of its external ticket may have waited for it.
    fn note_end(&mut self, has_ended: bool) {
        if has_ended {
            self.look_at = self.look_at.min(Instant::now() + LOOK_AFTER);
        }
    }

    /// There is reason to look.
    pub(super) fn look_soon(&mut self) {
        self.look_at = Instant::now();
    }

    fn note_look(&mut self, next_due: Option<Timestamp>) {
        self.looked_at = Instant::now();
        self.look_at = self.looked_at + POLL;
        self.next_due = next_due;
    }

    /// Starts the calls that may be made now. Answers how long to wait for news, or `None` when
    /// there may be more to start at once.
    pub(super) async fn fill(&mut self, context: &Arc<Context>) -> Option<Duration> {
        for claim in context.store.handed_off() {
            self.start(context, claim, false);
        }
        let now = context.clock.now();
        let hand = &context.hand;
        let is_behind = self.tasks.len() > context.settings.concurrency * UNSETTLED;
        let admission = context.line().admission(hand.open(), hand.room(), now);
        match admission {
            Admission::Due(limit) if !is_behind => self.claim(context, limit, now).await,
            Admission::Due(_) | Admission::Nothing => {
                context.store.close_hand_off();
                Some(until_news(context, now, None))
            }
            Admission::Probe => self.probe(context, now).await,
        }
    }

    /// Claims up to `limit` events that are due. Where there are none, webhooks bring the next ones
    /// themselves.
    async fn claim(
        &mut self,
        context: &Arc<Context>,
        limit: usize,
        now: Timestamp,
    ) -> Option<Duration> {
        let store = &context.store;
        let offer = Offer {
            places: limit,
            expires_at: later(now, context.settings.lease()),
        };
        let is_handed = store.renew_hand_off(offer);
        let look_in = self.look_at.saturating_duration_since(Instant::now());
        if is_handed && !self.is_more_due && !look_in.is_zero() {
            return Some(until_news(context, now, self.next_due).min(look_in));
        }
        if !context.hand.is_worth(limit) {
            if self.looked_at.elapsed() >= POLL {
                // What waits in the queue must not wait until there are fewer webhooks.
                store.close_hand_off();
            }
            return Some(until_news(context, now, None));
        }
        // A look first, since an idle worker writes nothing; a claim that was filled to its limit
        // says the same.
        if !self.is_more_due
            && let Ok(next) = store.next_due(now).await
            && next.is_none_or(|next| next > now)
        {
            self.note_look(next);
            store.open_hand_off(offer);
            return Some(until_news(context, now, next));
        }
        self.note_look(None);
        let claims = match store.claim_or_offer(offer, now).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "nothing can be claimed");
                return Some(POLL);
            }
        };
        self.is_more_due = claims.len() == limit;
        if claims.is_empty() {
            return Some(until_news(context, now, None));
        }
        for claim in claims {
            self.start(context, claim, false);
        }
        None
    }

    /// Claims one event, due or not, to see whether Serval answers.
    async fn probe(&mut self, context: &Arc<Context>, now: Timestamp) -> Option<Duration> {
        let store = &context.store;
        store.close_hand_off();
        let lease = context.settings.lease();
        match store.claim(ClaimScope::Probe, 1, now, lease).await {
            Ok(claims) if claims.is_empty() => {
                context.line().probe_unused(now);
                Some(until_news(context, now, None))
            }
            Ok(claims) => {
                context.line().probe_sent();
                for claim in claims {
                    self.start(context, claim, true);
                }
                None
            }
            Err(error) => {
                tracing::debug!(%error, "nothing can be claimed for a probe");
                Some(POLL)
            }
        }
    }
}

fn until_news(context: &Context, now: Timestamp, next_due: Option<Timestamp>) -> Duration {
    let line = context.line().next_at();
    [next_due, line]
        .into_iter()
        .flatten()
        .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
        .fold(POLL, Duration::min)
        .max(Duration::from_millis(5))
}
