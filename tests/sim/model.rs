//! What the senders, the operators and Serval know, and what they have seen that should not be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::daemon::Addresses;
use super::plan::Strike;

/// Index of an external ticket.
pub(crate) type TicketNo = usize;

/// The kind of source of an external ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `ServiceNow`; a pair is connected once.
    Once,
    /// `ServiceNow`; changed records are sent again.
    Again,
    Slack,
}

impl Source {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Once => "servicenow",
            Self::Again => "again",
            Self::Slack => "slack",
        }
    }
}

/// One save of a record or one message, as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) rank: u32,
    pub(crate) object: String,
    /// When it was sent first.
    pub(crate) tried: Duration,
    /// When its acknowledgement was received.
    pub(crate) acknowledged: Option<Duration>,
    /// The number of its event, where the acknowledgement names it.
    pub(crate) event: Option<i64>,
    /// True once the deletion of the message was sent.
    pub(crate) is_going: bool,
    /// When that was acknowledged.
    pub(crate) gone: Option<Duration>,
    /// True if the ticket had a mapping before the first try to send it.
    pub(crate) was_mapped: bool,
}

/// An external ticket.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) source: Source,
    pub(crate) id: String,
    /// The Serval ticket that operators map it to.
    pub(crate) serval: String,
    /// When the mapping was confirmed.
    pub(crate) mapped: Option<Duration>,
    /// The Serval ticket that it was mapped to before, and when the change was confirmed.
    pub(crate) before: Option<(String, Option<Duration>)>,
    /// Deletions that were sent, of the record or its messages.
    pub(crate) deletions: usize,
    /// True once the deletion of the record, or of its channel, was sent.
    pub(crate) is_going: bool,
    /// When the deletion was acknowledged.
    pub(crate) gone: Option<Duration>,
    pub(crate) sent: Vec<Sent>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) violations: Vec<String>,
    pub(crate) addresses: Addresses,
    /// True while an operator's pause is confirmed.
    pub(crate) is_paused: bool,
    /// No more webhooks, and nothing is wrong.
    pub(crate) is_quiet: bool,
    /// What happens at the next call.
    pub(crate) at_call: Option<Strike>,
    /// Number of the present life.
    pub(crate) life: usize,
    /// The external ticket of the last call.
    pub(crate) called: Option<TicketNo>,
    /// When the daemon moves again after the last time in which it stood still.
    pub(crate) moves_from: Duration,
    logs: bool,
}

/// All that is known, shared by all who play.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model(Arc<Mutex<State>>);

impl Model {
    pub(crate) fn new(logs: bool) -> Self {
        let model = Self::default();
        model.lock().logs = logs;
        model
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what happened.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        self.lock().note(what);
    }

    /// Writes down what must not happen.
    pub(crate) fn violation(&self, what: &str) {
        self.lock().violation(what);
    }
}

impl State {
    #[expect(clippy::print_stderr, reason = "only with --log")]
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        let what = what();
        sim_machine::mix(&what);
        if self.logs {
            eprintln!("{:12.6} {what}", sim_machine::elapsed().as_secs_f64());
        }
    }

    pub(crate) fn violation(&mut self, what: &str) {
        self.note(|| format!("VIOLATION {what}"));
        let at = sim_machine::elapsed().as_secs_f64();
        self.violations.push(format!("  at {at:.3} s: {what}"));
    }

    /// The daemon stands still for a time.
    pub(crate) fn stall(&mut self, time: Duration) {
        self.moves_from = sim_machine::elapsed() + time;
        sim_machine::stall(self.life, time);
    }

    pub(crate) fn find(&self, external_id: &str) -> Option<TicketNo> {
        let is_it = |ticket: &Ticket| ticket.id == external_id;
        self.tickets.iter().position(is_it)
    }
}
