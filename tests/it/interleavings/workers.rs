//! Workers: what they claim, and how their calls end.

use std::time::Duration;

use jiff::SignedDuration;
use serval_connect::domain::event::EventState;
use serval_connect::domain::ids::ServalTicketId;
use serval_connect::domain::reason::Reason;
use serval_connect::store::{
    Attempt, AttemptOutcome, Claim, ClaimScope, Offer, SettleError, Settlement,
};

use super::End;
use super::stage::{PARK_FOR_MS, Stage, number, sends_messages};

const LEASE: Duration = Duration::from_secs(90);

impl Stage {
    pub(super) async fn claim(&mut self, (one, other): (usize, usize), probe: bool) {
        let scope = if probe {
            ClaimScope::Probe
        } else {
            ClaimScope::Due
        };
        let (one, other) = tokio::join!(
            self.store().claim(scope, one, self.now, LEASE),
            self.store().claim(scope, other, self.now, LEASE),
        );
        let claims = one.unwrap().into_iter().chain(other.unwrap());
        self.take(claims.collect());
    }

    pub(super) async fn claim_or_offer(&mut self, limit: usize) {
        let offer = Offer {
            places: limit,
            expires_at: self.now + LEASE,
        };
        let claims = self.store().claim_or_offer(offer, self.now).await;
        self.take(claims.unwrap());
    }

    /// Takes what webhooks brought themselves: none comes before an event of its external ticket that
    /// waits.
    pub(super) fn take_handed_off(&mut self) {
        for claim in self.store().handed_off() {
            let name = claim.ticket.external_id.as_str();
            let mut queued = self
                .before
                .values()
                .filter(|row| row.state == EventState::Queued);
            let elder = queued.find(|row| row.external_id == name);
            assert!(elder.is_none(), "{claim:?} before {elder:?}");
            self.take_up(claim);
        }
    }

    fn take(&mut self, claims: Vec<Claim>) {
        for claim in claims {
            let name = claim.ticket.external_id.as_str();
            let mut queued = self
                .before
                .iter()
                .filter(|(_, row)| row.external_id == name && row.state == EventState::Queued);
            let oldest = queued.next().map(|(id, _)| *id);
            // A save that a newer one outranks leaves the queue instead.
            if sends_messages(number(name)) {
                assert_eq!(oldest, Some(claim.event.0), "the oldest goes first");
            }
            self.take_up(claim);
        }
    }

    fn take_up(&mut self, claim: Claim) {
        let twin = self
            .in_hand
            .iter()
            .find(|held| held.ticket == claim.ticket && held.expires_at > self.now);
        assert!(twin.is_none(), "two calls at once: {twin:?} and {claim:?}");
        let object = String::from_utf8(claim.object.to_vec()).unwrap();
        let n = number(claim.ticket.external_id.as_str());
        assert!(
            object.starts_with(&format!(r#"{{"ticket":{n},"#)),
            "{object}"
        );
        self.in_hand.push(claim);
    }

    /// What `step` of the worker does with a claim whose call ends in a given way.
    pub(super) async fn settle(&mut self, which: usize, end: End) {
        if self.in_hand.is_empty() {
            return;
        }
        let claim = self.in_hand.swap_remove(which % self.in_hand.len());
        let n = number(claim.ticket.external_id.as_str());
        let (attempt, settlement) = match &claim.mapped_to {
            None => {
                let until = self.now + SignedDuration::from_millis(PARK_FOR_MS);
                (None, Settlement::Park { until })
            }
            Some(_) if claim.is_connected => {
                let reason = Reason::AlreadyConnected;
                (None, Settlement::Skip { reason })
            }
            Some(to) => {
                let (outcome, settlement) = self.end(to.clone(), end);
                (Some(self.attempt(to.clone(), outcome)), settlement)
            }
        };
        let is_linked = matches!(settlement, Settlement::Connected { .. });
        let is_refused = matches!(settlement, Settlement::Dead { .. });
        let is_held = claim.expires_at > self.now;
        match self
            .store()
            .settle(&claim, attempt, settlement, self.now)
            .await
        {
            Ok(()) if is_linked || is_refused => {
                let to = claim.mapped_to.as_ref().expect("it was called");
                let pair = (n, number(to.as_str()));
                if is_linked {
                    self.linked.insert(pair);
                } else {
                    self.refused.insert(pair);
                }
            }
            Ok(()) => {}
            Err(SettleError::LostClaim) => assert!(!is_held, "a claim was lost before its time"),
            Err(SettleError::Store(error)) => panic!("{error}"),
        }
    }

    fn end(&self, ticket_id: ServalTicketId, end: End) -> (AttemptOutcome, Settlement) {
        let error = "a fault was asked for".to_owned();
        match end {
            End::Connected | End::AlreadyLinked => {
                let reason = matches!(end, End::AlreadyLinked).then_some(Reason::AlreadyLinked);
                (
                    AttemptOutcome::Connected,
                    Settlement::Connected {
                        ticket_id,
                        reason,
                        reconnects: false,
                    },
                )
            }
            End::Retry {
                seconds,
                asked,
                counts,
            } => {
                let settlement = Settlement::Retry {
                    at: self.now + SignedDuration::from_secs(seconds),
                    asked,
                    counts,
                    in_doubt: false,
                    error,
                };
                (AttemptOutcome::Retry, settlement)
            }
            End::Held => {
                let error = Some(error);
                let in_doubt = false;
                (
                    AttemptOutcome::Held,
                    Settlement::Release { in_doubt, error },
                )
            }
            End::Dead => {
                let reason = Reason::NotFound;
                let in_doubt = false;
                (
                    AttemptOutcome::Dead,
                    Settlement::Dead {
                        reason,
                        in_doubt,
                        error,
                    },
                )
            }
        }
    }

    fn attempt(&self, ticket_id: ServalTicketId, outcome: AttemptOutcome) -> Attempt {
        Attempt {
            started_at: self.now,
            duration_ms: 1,
            ticket_id,
            outcome,
            status: None,
            code: None,
            answer: None,
            request_id: None,
            retry_after_ms: None,
            is_probe: false,
        }
    }
}
