//! Asks a person for what the command line did not say: at most five questions, and none without a terminal.

use std::io::{self, IsTerminal as _};

use super::systems::System;
use crate::terminal::{Failure, output};

/// Answers for the file.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) client_id: Option<String>,
    /// The systems that send webhooks.
    pub(super) systems: Vec<System>,
}

/// Completes the flags.
pub(super) fn ask(client_id: Option<String>, systems: Vec<System>) -> Result<Answers, Failure> {
    let is_answered = io::stdin().is_terminal() && io::stderr().is_terminal();
    complete(client_id, systems, |question| {
        if !is_answered {
            return Ok(None);
        }
        output::note(question);
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .map_err(|error| Failure::Failed(error.into()))?;
        let line = line.trim();
        Ok((!line.is_empty()).then(|| line.to_owned()))
    })
}

fn complete(
    client_id: Option<String>,
    mut systems: Vec<System>,
    mut ask: impl FnMut(&str) -> Result<Option<String>, Failure>,
) -> Result<Answers, Failure> {
    // Whoever names one system means no other.
    if !systems.iter().any(|system| system.is_wanted) {
        for system in &mut systems {
            let name = system.kind.name();
            let answer = ask(&format!("Does {name} send webhooks? yes (Enter) or no:"))?;
            let is_no = |answer: String| answer.to_ascii_lowercase().starts_with('n');
            system.is_wanted = !answer.is_some_and(is_no);
        }
    }
    systems.retain(|system| system.is_wanted);
    if systems.is_empty() {
        let what = "without a system that sends webhooks there is nothing to configure";
        return Err(Failure::Usage(what.to_owned()));
    }
    let client_id = match client_id {
        None => ask("Client id of the API key at Serval (Enter: later):")?,
        given => given,
    };
    for system in &mut systems {
        if system.integration_id.is_none() {
            let name = system.kind.name();
            let question = format!(
                "Integration id of {name} at Serval, as `discover` lists it (Enter: later):"
            );
            system.integration_id = ask(&question)?;
        }
    }
    Ok(Answers { client_id, systems })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::BUILT_IN;

    fn systems(wanted: &[usize]) -> Vec<System> {
        let system = |(n, kind): (usize, &crate::sources::SourceKind)| System {
            kind: *kind,
            is_wanted: wanted.contains(&n),
            integration_id: None,
        };
        BUILT_IN.iter().enumerate().map(system).collect()
    }

    #[test]
    fn at_most_five_questions_are_asked_and_only_for_what_is_missing() {
        for (client_id, wanted, answers, n_asked, n_systems) in [
            (None, &[][..], &[][..], 5, 2),
            (None, &[], &["yes", "NO"], 4, 1),
            (Some("c"), &[], &["", "n"], 3, 1),
            (Some("c"), &[0], &[], 1, 1),
            (Some("c"), &[0, 1], &[], 2, 2),
        ] {
            let mut asked = Vec::new();
            let answer = |question: &str| {
                let answer = answers.get(asked.len()).copied().filter(|a| !a.is_empty());
                asked.push(question.to_owned());
                Ok(answer.map(str::to_owned))
            };
            let known = complete(client_id.map(str::to_owned), systems(wanted), answer).unwrap();
            assert_eq!(asked.len(), n_asked, "{asked:?}");
            assert_eq!(known.systems.len(), n_systems, "{known:?}");
        }
        let nothing = complete(None, systems(&[]), |_| Ok(Some("no".to_owned())));
        assert!(nothing.is_err());
    }
}
