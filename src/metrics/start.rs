//! What is there before anything happens: a number that appears with its first 1 never rises, in the
//! eyes of whoever watches rises.

use super::{Metrics, RETRY_REASONS, UNKNOWN, Word, name};
use crate::domain::ids::SourceName;

/// The words that may stand beside the name of a source.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The statuses that its webhooks may be answered with.
    pub statuses: &'a [u16],
    /// What may be wrong with a credential.
    pub causes: &'a [&'static str],
    /// How a call to Serval may end.
    pub outcomes: &'a [&'static str],
    /// Whether it is one of Slack's, which says why it repeats.
    pub is_slack: bool,
}

impl Metrics {
    /// Has all numbers of a source begin at zero. Those that have begun stay as they are.
    pub fn introduce(&self, source: &SourceName, words: Words<'_>) {
        let inner = &*self.0;
        let source = name(source);
        for status in words.statuses {
            self.webhooks_at_zero(source.clone(), *status);
        }
        drop(
            inner
                .acknowledgements
                .get_or_create(&[("source", source.clone())]),
        );
        for cause in words.causes {
            let labels = [("source", source.clone()), ("cause", (*cause).into())];
            inner.verification_failures.get_or_create(&labels).inc_by(0);
        }
        for outcome in words.outcomes {
            let labels = [("source", source.clone()), ("outcome", (*outcome).into())];
            inner.connects.get_or_create(&labels).inc_by(0);
            drop(
                inner
                    .connect_durations
                    .get_or_create(&[("outcome", (*outcome).into())]),
            );
        }
        let reasons = RETRY_REASONS.into_iter().chain(["other"]);
        for reason in reasons.filter(|_| words.is_slack) {
            let labels = [("source", source.clone()), ("reason", reason.into())];
            inner.slack_retries.get_or_create(&labels).inc_by(0);
        }
    }

    /// Has the numbers that belong to no source begin at zero.
    pub fn introduce_listener(&self, listener: &'static str) {
        self.webhooks_at_zero(Word::Borrowed(UNKNOWN), 404);
        let labels = [("listener", listener.into())];
        self.0.connections.get_or_create(&labels).inc_by(0);
        for what in ["connection", "request"] {
            let labels = [("listener", listener.into()), ("what", what.into())];
            self.0.turned_away.get_or_create(&labels).inc_by(0);
        }
    }

    fn webhooks_at_zero(&self, source: Word, status: u16) {
        let labels = [("source", source), ("status", status.to_string().into())];
        self.0.webhooks.get_or_create(&labels).inc_by(0);
    }
}
