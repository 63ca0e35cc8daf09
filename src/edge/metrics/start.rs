//! Creates series at 0: Prometheus' `rate()` misses an increase whose first sample is 1.

use super::counters::{Metrics, SourceCounter, UNKNOWN, Word, add, name};
use crate::domain::ids::SourceName;

/// Possible label values beside the name of a source.
#[derive(Debug, Clone, Copy)]
pub struct LabelValues<'a> {
    /// Statuses of the answers to its webhooks.
    pub statuses: &'a [u16],
    /// Causes of a refused credential.
    pub causes: &'a [&'static str],
    /// Outcomes of a call to Serval.
    pub outcomes: &'a [&'static str],
    /// The counter that only this kind of source has.
    pub counter: Option<&'static SourceCounter>,
}

impl Metrics {
    /// Creates the source's series at 0; existing ones keep their value.
    pub fn introduce(&self, source: &SourceName, values: LabelValues<'_>) {
        let inner = &*self.0;
        let source = name(source);
        for status in values.statuses {
            self.webhooks_at_zero(source.clone(), *status);
        }
        let labels = [("source", source.clone())];
        drop(inner.acknowledgements.get_or_create(&labels));
        add(&inner.reused_names, &labels, 0);
        for cause in values.causes {
            let labels = [("source", source.clone()), ("cause", (*cause).into())];
            add(&inner.verification_failures, &labels, 0);
        }
        for outcome in values.outcomes {
            let labels = [("outcome", (*outcome).into())];
            drop(inner.connect_durations.get_or_create(&labels));
            let [outcome] = labels;
            add(&inner.connects, &[("source", source.clone()), outcome], 0);
        }
        if let Some(counter) = values.counter {
            for word in counter.words {
                self.count_kind(counter, source.clone(), word, 0);
            }
        }
    }

    /// Creates the series of a listener at 0.
    pub fn introduce_listener(&self, listener: &'static str, causes: &[&'static str]) {
        self.webhooks_at_zero(Word::Borrowed(UNKNOWN), 404);
        let labels = [("listener", listener.into())];
        self.0.connections.get_or_create(&labels).inc_by(0);
        for what in ["connection", "request"] {
            let labels = [("listener", listener.into()), ("what", what.into())];
            add(&self.0.turned_away, &labels, 0);
        }
        for cause in causes {
            let labels = [("listener", listener.into()), ("cause", (*cause).into())];
            add(&self.0.http_refusals, &labels, 0);
        }
    }

    fn webhooks_at_zero(&self, source: Word, status: u16) {
        let labels = [("source", source), ("status", status.to_string().into())];
        add(&self.0.webhooks, &labels, 0);
    }
}
