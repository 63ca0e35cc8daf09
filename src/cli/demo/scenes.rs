//! The scenes of the demo, in their order: what each is called, what it shows, how it is played.

use super::account::Account;
use super::samples::{ECHO, INCIDENT, MESSAGE, REPLY, REQUESTED_ITEM, Sample, UNMAPPED};
use super::stage::Stage;
use super::step::{Memory, Step};

/// The samples that end as a connect, each exactly once.
pub(super) const CONNECTED: [Sample; 4] = [INCIDENT, REQUESTED_ITEM, MESSAGE, UNMAPPED];

/// A scene.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scene {
    Incident,
    RequestedItem,
    Message,
    Reply,
    Duplicate,
    Forged,
    Echo,
    Unmapped,
}

impl Scene {
    pub(super) const ALL: [Self; 8] = [
        Self::Incident,
        Self::RequestedItem,
        Self::Message,
        Self::Reply,
        Self::Duplicate,
        Self::Forged,
        Self::Echo,
        Self::Unmapped,
    ];

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Incident => (
                "An incident from ServiceNow",
                "Its Serval ticket is made known first, as your automation would do through the admin API.",
            ),
            Self::RequestedItem => (
                "A requested item from ServiceNow",
                "It comes in an envelope, with display values; Serval gets the record alone, as it was sent.",
            ),
            Self::Message => (
                "A message in a Slack channel",
                "A thread is an external ticket: the channel and the time stamp of its first message.",
            ),
            Self::Reply => (
                "A reply in that thread",
                "The thread is connected already, so there is nothing to do.",
            ),
            Self::Duplicate => (
                "The delivery of step 1 once more",
                "A sender that got no answer sends again; the delivery is known by its webhook-id.",
            ),
            Self::Forged => (
                "A forged webhook",
                "Signed with a key that is not configured: refused, and nothing of it is kept.",
            ),
            Self::Echo => (
                "An update that Serval itself has caused",
                "Made by the integration's own user (ignore_users), so it must not go round in circles.",
            ),
            Self::Unmapped => (
                "An incident that nobody has mapped yet",
                "It is parked, and leaves by itself a moment later when its mapping comes.",
            ),
        }
    }

    /// Plays the step, to its end or as far as it gets.
    pub(super) async fn play(self, stage: &Stage, memory: &mut Memory) -> Account {
        let (title, about) = self.words();
        let mut account = Account::new(title, about);
        let mut step = Step::new(stage, &mut account);
        let played = match self {
            Self::Incident => step.connects(INCIDENT, memory).await,
            Self::RequestedItem => step.connects(REQUESTED_ITEM, memory).await,
            Self::Message => step.connects(MESSAGE, memory).await,
            Self::Reply => step.is_skipped(REPLY, "already_connected").await,
            Self::Duplicate => step.is_duplicate(memory).await,
            Self::Forged => step.is_refused(UNMAPPED).await,
            Self::Echo => step.is_skipped(ECHO, "echo").await,
            Self::Unmapped => step.waits_for_its_mapping(UNMAPPED).await,
        };
        if let Err(error) = played {
            account.fault(format!("the step could not go on: {error:#}"));
        }
        account
    }
}
