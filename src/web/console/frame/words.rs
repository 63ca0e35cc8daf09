//! Texts for states, reasons and actions, with advice for operators.

use crate::domain::event::EventState;
use crate::domain::reason::Reason;
use crate::store::{AttemptOutcome, Conflict, Decision};

/// Returns what a state and its reason mean. A reason that is not one of ours, such as the words of an
/// operator who replayed the event, adds nothing.
pub(crate) fn meaning(state: EventState, reason: Option<&str>) -> &'static str {
    match (state, reason.and_then(Reason::parse)) {
        (EventState::Dead, reason) => of_dead(reason).0,
        (EventState::Connected, Some(Reason::AlreadyLinked)) => {
            "It was not known if an earlier call had succeeded. A check at Serval showed that \
             it had."
        }
        (_, Some(reason)) => text(reason).unwrap_or_else(|| bare(state)),
        (_, None) => bare(state),
    }
}

/// Text of a state without a reason.
fn bare(state: EventState) -> &'static str {
    match state {
        EventState::Queued => "It waits for its connect call or for a retry.",
        EventState::Connected => "Serval has linked the external ticket.",
        EventState::Parked => "It waits for a mapping. It is sent as soon as one is written.",
        EventState::Expired => "No mapping was written in time. Writing one now still sends it.",
        EventState::Skipped => "There was nothing left to do.",
        EventState::Ignored => "It is authentic, but not about a ticket that can be connected.",
        EventState::Dead => "It was given up.",
    }
}

/// Returns advice, if a person should do something about the event.
pub(crate) fn advice(state: EventState, reason: Option<&str>) -> Option<&'static str> {
    match state {
        EventState::Parked | EventState::Expired => Some("Map the external ticket."),
        EventState::Dead => Some(of_dead(reason.and_then(Reason::parse)).1),
        EventState::Queued | EventState::Connected | EventState::Skipped | EventState::Ignored => {
            None
        }
    }
}

/// True if an event that died of this must never be sent again.
pub(crate) fn is_final(reason: Option<&str>) -> bool {
    let reason = reason.and_then(Reason::parse);
    reason.and_then(Reason::forbids_replay).is_some()
}

/// Returns the cause of a dead event, and advice.
pub(crate) fn dead(reason: &str) -> (&'static str, &'static str) {
    of_dead(Reason::parse(reason))
}

fn of_dead(reason: Option<Reason>) -> (&'static str, &'static str) {
    let general = "Read the last error, fix the cause, then replay.";
    let meaning = reason.and_then(text).unwrap_or(bare(EventState::Dead));
    (meaning, reason.and_then(remedy).unwrap_or(general))
}

/// Text of a reason. `None`: the text of the state is enough.
fn text(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Mapped | Reason::NoMapping | Reason::Ignored(_) => return None,
        Reason::StandsIn => "What was to be sent was deleted. This event is sent in its place.",
        Reason::Learning | Reason::LearningEcho => {
            "It names a Serval ticket that the mapping does not. Serval is asked whether that \
             ticket exists."
        }
        Reason::AlreadyLinked => "A check before the call showed that Serval has the link already.",
        Reason::AlreadyConnected => "Serval has the link already. There was nothing left to do.",
        Reason::Superseded => "Another event represents the same external ticket better.",
        Reason::Deleted => "The record or message was deleted, so it is not sent.",
        Reason::Duplicate => "Another event has the same content.",
        Reason::ChannelArchived => "Its channel was archived. Writing a mapping still sends it.",
        Reason::ChannelDeleted => "Its channel was deleted, and its message with it.",
        Reason::Echo => "Serval or this integration wrote it itself.",
        Reason::ClassConflict => "sys_class_name and table name different classes.",
        Reason::GaveUp => {
            "Serval could not be reached, or failed, for longer than delivery.give_up_after."
        }
        Reason::Conflict => {
            "Serval answered that the external ticket is already connected to another Serval ticket."
        }
        Reason::NotFound => "Serval does not know the Serval ticket.",
        Reason::PermissionDenied => "The credentials may not connect this Serval ticket.",
        Reason::InvalidArgument => "Serval refuses the request as invalid.",
        Reason::FailedPrecondition => "The state of the Serval ticket does not allow a connect.",
        Reason::OutOfRange => "Serval refuses a value of the request.",
        Reason::Unimplemented => {
            "Serval knows the ticket, but not the call that the answer names, or the integration."
        }
        Reason::UnknownSource => "Its source is no longer configured.",
        Reason::BrokenRow => "Its row in the database cannot be read.",
    })
}

/// Advice for a dead event with this reason. `None`: dead events never have it.
fn remedy(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Mapped
        | Reason::StandsIn
        | Reason::NoMapping
        | Reason::Learning
        | Reason::LearningEcho
        | Reason::AlreadyLinked
        | Reason::AlreadyConnected
        | Reason::Superseded
        | Reason::Deleted
        | Reason::Duplicate
        | Reason::Echo
        | Reason::ChannelArchived
        | Reason::ChannelDeleted
        | Reason::Ignored(_) => return None,
        Reason::ClassConflict => {
            "Fix the sender; the next update is a new event. This one cannot be replayed: it could connect as the wrong class."
        }
        Reason::GaveUp => "Replay it when Serval works again.",
        Reason::Conflict => "Compare the mapping with Serval, and correct it.",
        Reason::NotFound => "Correct the mapping; that sends it again.",
        Reason::PermissionDenied => "Give the API client the permission, then replay.",
        Reason::InvalidArgument => {
            "The usual cause is channel_target: compare it with `serval-connect discover`, restart, then replay."
        }
        Reason::FailedPrecondition => "Read the last error, fix the cause at Serval, then replay.",
        Reason::OutOfRange => "Read the last error.",
        Reason::Unimplemented => {
            "Correct serval.base_url, or the integration in channel_target; then replay."
        }
        Reason::UnknownSource => "Configure the source under the same name, then replay.",
        Reason::BrokenRow => {
            "The database is damaged, or serval-connect has a bug: please report it."
        }
    })
}

/// Text of an operator's action, for the audit list.
pub(crate) fn action(word: &str) -> &str {
    match word {
        "log_in" => "logged in",
        "log_out" => "logged out",
        "reveal" => "viewed a payload",
        "search" => "searched the payloads for a value",
        "map" => "mapped",
        "unmap" => "removed a mapping",
        "disconnect" => "removed a mapping, and asked Serval to unlink",
        "import" => "imported mappings",
        "keep" => "kept the mapping and rejected the payload",
        "replace" => "replaced the mapping with the ticket of a payload",
        "replay" => "replayed",
        "erase" => "forgot an external ticket",
        "pause" => "paused the calls to Serval",
        // The last word stands for itself: the audit may hold actions of a later version, after a
        // downgrade.
        "resume" => "resumed the calls to Serval",
        other => other,
    }
}

/// Text of a mapping's origin.
pub(crate) fn origin(word: &str) -> &str {
    match word {
        "api" => "through the API",
        "import" => "by an import",
        "payload" => "learned from a payload",
        "cli" => "on the command line",
        "console" => "in the console",
        other => other,
    }
}

/// Text of the decision about a conflict.
pub(crate) fn decision(conflict: &Conflict) -> &'static str {
    match conflict.decision {
        Some(Decision::Keep) => "the mapping was kept",
        Some(Decision::Replace) | None => "the mapping was replaced",
    }
}

/// Text of a call's outcome; a word of another version is shown as it is.
pub(crate) fn outcome(word: &str) -> &str {
    match AttemptOutcome::parse(word) {
        Some(AttemptOutcome::Connected) => "connected",
        Some(AttemptOutcome::AlreadyLinked) => "Serval has the pair already",
        Some(AttemptOutcome::Retry) => "failed, will be retried",
        Some(AttemptOutcome::Held) => "refused our credentials, calls are held",
        Some(AttemptOutcome::Dead) => "refused, given up",
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Action;

    #[test]
    fn every_reason_of_dead_events_in_the_guide_has_a_text() {
        let guide = include_str!("../../../../docs/states.md");
        let (_, table) = guide.split_once("\n## dead\n").unwrap();
        let reasons: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert!(reasons.len() > 10, "{reasons:?}");
        for reason in reasons {
            assert_ne!(dead(reason), of_dead(None), "{reason}");
        }
    }

    #[test]
    fn a_reason_of_another_version_has_the_text_of_its_state() {
        let old = Some("team_conflict");
        assert_eq!(meaning(EventState::Dead, old), "It was given up.");
        assert!(advice(EventState::Dead, old).is_some());
        assert_eq!(meaning(EventState::Skipped, old), bare(EventState::Skipped));
    }

    #[test]
    fn every_action_has_words() {
        for done in Action::ALL {
            assert_ne!(action(done.as_str()), done.as_str());
        }
    }
}
