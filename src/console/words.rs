//! States, reasons and actions in words: what they mean, and what to do about them.

use crate::domain::event::EventState;

/// What it means that an event is in a state for a reason.
pub(super) fn meaning(state: EventState, reason: Option<&str>) -> &'static str {
    let reason = reason.unwrap_or_default();
    match state {
        EventState::Queued => match reason {
            "learning" | "learning_echo" => {
                "It names a Serval ticket that the mapping does not. Serval is asked whether that \
                 ticket exists."
            }
            _ => "It waits for its connect call, or for the next try of it.",
        },
        EventState::Connected => match reason {
            "already_linked" => {
                "An earlier call had an unclear end. A look at Serval showed that it has the \
                 external ticket."
            }
            _ => "Serval has the external ticket on its ticket.",
        },
        EventState::Parked => {
            "Nobody has said yet which Serval ticket this is. It leaves by itself when somebody does."
        }
        EventState::Expired => {
            "No mapping came in time. A mapping that is written now still sends it."
        }
        EventState::Skipped => match reason {
            "already_connected" => {
                "Serval has the external ticket already. Nothing was left to do."
            }
            "already_linked" => "A look before the call showed that Serval has it already.",
            "superseded" => "A newer event represents the same external ticket.",
            "duplicate" => "Another event brought the same content.",
            "echo" => "Serval or this integration wrote it itself.",
            _ => "There was nothing left to do.",
        },
        EventState::Ignored => "It is authentic, but not about a ticket that could be connected.",
        EventState::Dead => dead(reason).0,
    }
}

/// What to do about it, where there is something to do.
pub(super) fn advice(state: EventState, reason: Option<&str>) -> Option<&'static str> {
    match state {
        EventState::Parked | EventState::Expired => Some("Map the external ticket."),
        EventState::Dead => Some(dead(reason.unwrap_or_default()).1),
        EventState::Queued | EventState::Connected | EventState::Skipped | EventState::Ignored => {
            None
        }
    }
}

/// What an event died of, and what to do.
fn dead(reason: &str) -> (&'static str, &'static str) {
    match reason {
        "gave_up" => (
            "Serval could not be reached, or failed, for longer than delivery.give_up_after.",
            "Replay it when Serval is well.",
        ),
        "conflict" => (
            "Serval says that the external ticket is connected already, but not to this Serval ticket.",
            "Compare the mapping with Serval, and write the right one.",
        ),
        "not_found" => (
            "Serval does not know the Serval ticket.",
            "Correct the mapping; that sends it again.",
        ),
        "permission_denied" => (
            "The credentials may not connect this Serval ticket.",
            "Give the API client the permission, then replay.",
        ),
        "invalid_argument" => (
            "Serval refuses the request as it is.",
            "Mostly it is channel_target: compare it with `serval-connect discover`, restart, then replay.",
        ),
        "failed_precondition" => (
            "The Serval ticket is in no state to be connected.",
            "Look at what Serval said, mend it there, then replay.",
        ),
        "out_of_range" => (
            "Serval refuses a value of the request.",
            "Look at what Serval said.",
        ),
        "unimplemented" => (
            "serval.base_url does not have the connect call.",
            "Correct serval.base_url, then replay.",
        ),
        "refused" => (
            "It was refused without a code, perhaps by a proxy in between.",
            "Look at the answer, mend its cause, then replay.",
        ),
        "unknown_source" => (
            "Its source is not configured any more.",
            "Configure the source under the same name, then replay.",
        ),
        "broken_row" => (
            "Its row in the database cannot be read.",
            "A fault of the database or of ours: please report it.",
        ),
        "class_conflict" => (
            "sys_class_name and table name different classes.",
            "Mend the sender; the next update is a new event. It is never replayed: it could connect as what it is not.",
        ),
        "team_conflict" => (
            "Another Slack workspace used this thread's id first.",
            "Give each workspace a source of its own. It is never replayed: it could connect another workspace's thread.",
        ),
        _ => (
            "It was given up.",
            "Look at what went wrong last, mend it, then replay.",
        ),
    }
}

/// What a person did, for the audit list.
pub(super) fn action(word: &str) -> &str {
    match word {
        "log_in" => "logged in",
        "log_out" => "logged out",
        "reveal" => "looked at a payload",
        "map" => "mapped",
        "unmap" => "released",
        "disconnect" => "released, and asked Serval to let go",
        "import" => "imported mappings",
        "keep" => "kept the mapping against a payload",
        "replace" => "replaced the mapping by what a payload named",
        "replay" => "replayed",
        "erase" => "forgot an external ticket",
        "pause" => "paused the calls to Serval",
        "resume" => "resumed the calls to Serval",
        other => other,
    }
}

/// Where a mapping came from.
pub(super) fn origin(word: &str) -> &str {
    match word {
        "api" => "through the API",
        "import" => "by an import",
        "payload" => "by what a payload named",
        "cli" => "on the command line",
        "console" => "in the console",
        other => other,
    }
}

/// How a call to Serval ended.
pub(super) fn outcome(word: &str) -> &str {
    match word {
        "connected" => "connected",
        "already_linked" => "Serval has the pair already",
        "retry" => "failed, will be tried again",
        "held" => "refused our credentials, calls are held",
        "dead" => "refused, given up",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Action;

    #[test]
    fn whatever_the_guide_says_of_the_dead_the_console_says_too() {
        let guide = include_str!("../../docs/states.md");
        let (_, table) = guide.split_once("\n## dead\n").unwrap();
        let reasons: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert!(reasons.len() > 10, "{reasons:?}");
        for reason in reasons {
            assert_ne!(dead(reason), dead("anything else"), "{reason}");
        }
    }

    #[test]
    fn every_action_has_words() {
        for done in Action::ALL {
            assert_ne!(action(done.as_str()), done.as_str());
        }
    }
}
