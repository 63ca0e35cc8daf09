//! The scenes of the demo in their order: their titles, and the step that each plays.

use super::account::Account;
use super::samples::{ECHO, INCIDENT, MESSAGE, REPLY, REQUESTED_ITEM, Sample, UNMAPPED};
use super::stage::Stage;
use super::step::{Memory, Step};

/// The samples that end as a connect, each exactly once.
pub(super) const CONNECTED: [Sample; 4] = [INCIDENT, REQUESTED_ITEM, MESSAGE, UNMAPPED];

/// A scene of the demo.
pub(super) struct Scene {
    title: &'static str,
    about: &'static str,
    play: Play,
}

/// The step that a scene plays.
enum Play {
    /// The sample is mapped, and connects.
    Connects(Sample),
    /// The sample is skipped for this reason.
    Skipped(Sample, &'static str),
    /// The first sample comes again.
    Duplicate,
    /// The sample is signed with an unknown key.
    Refused(Sample),
    /// The sample is parked until it is mapped.
    Mapped(Sample),
}

pub(super) const SCENES: [Scene; 8] = [
    Scene {
        title: "An incident from ServiceNow",
        about: "The demo maps it to its Serval ticket first, as your automation would do through the admin API.",
        play: Play::Connects(INCIDENT),
    },
    Scene {
        title: "A requested item from ServiceNow",
        about: "It comes in an envelope, with display values; Serval gets the record alone, as it was sent.",
        play: Play::Connects(REQUESTED_ITEM),
    },
    Scene {
        title: "A message in a Slack channel",
        about: "A thread is an external ticket: the channel and the time stamp of its first message.",
        play: Play::Connects(MESSAGE),
    },
    Scene {
        title: "A reply in that thread",
        about: "The thread is connected already, so Serval is not called.",
        play: Play::Skipped(REPLY, "already_connected"),
    },
    Scene {
        title: "The delivery of step 1 once more",
        about: "A sender that got no answer sends again; the daemon knows the delivery by its webhook-id.",
        play: Play::Duplicate,
    },
    Scene {
        title: "A forged webhook",
        about: "Signed with a key that is not configured: it is refused, and nothing is stored.",
        play: Play::Refused(UNMAPPED),
    },
    Scene {
        title: "An update that Serval itself has caused",
        about: "The integration's own user (ignore_users) made it; sending it back would make a loop.",
        play: Play::Skipped(ECHO, "echo"),
    },
    Scene {
        title: "An incident that nobody has mapped yet",
        about: "It is parked, and is sent to Serval as soon as its mapping is written.",
        play: Play::Mapped(UNMAPPED),
    },
];

impl Scene {
    /// Plays the step, and reports how far it got.
    pub(super) async fn play(&self, stage: &Stage, memory: &mut Memory) -> Account {
        let mut account = Account::new(self.title, self.about, stage.is_verbose);
        let mut step = Step::new(stage, &mut account);
        let played = match self.play {
            Play::Connects(sample) => step.connects(sample, memory).await,
            Play::Skipped(sample, reason) => step.is_skipped(sample, reason).await,
            Play::Duplicate => step.is_duplicate(memory).await,
            Play::Refused(sample) => step.is_refused(sample).await,
            Play::Mapped(sample) => step.waits_for_its_mapping(sample).await,
        };
        if let Err(error) = played {
            account.fault(format!("the step could not go on: {error:#}"));
        }
        account
    }
}
