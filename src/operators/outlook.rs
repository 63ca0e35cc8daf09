//! Tells, before a replay, what it will do to each event.

use super::refusal::Refusal;
use super::service::Operators;
use crate::domain::ids::{ExternalTicket, SourceName};
use crate::store::{EventFilter, Fates};

/// The result of a replay, as far as it can be told before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Events that are replayed, and what is known of their external tickets.
    pub fates: Fates,
    /// True if their source sends changed records again, also where Serval has the pair.
    pub is_sent_anew: bool,
    /// True if the calls to Serval are paused.
    pub is_paused: bool,
}

impl Outlook {
    /// Says in sentences what happens to the events.
    pub fn words(&self) -> Vec<String> {
        let Fates {
            matched,
            connected,
            unmapped,
        } = self.fates;
        let skipped = if self.is_sent_anew { 0 } else { connected };
        let sent = matched.saturating_sub(skipped).saturating_sub(unmapped);
        let sent = events(sent).map(|(n, is)| {
            if self.is_paused {
                format!(
                    "{n} {is} queued, and sent again when the calls are resumed: they are paused."
                )
            } else {
                format!("{n} {is} sent to Serval again.")
            }
        });
        let skipped = events(skipped)
            .map(|(n, is)| format!("{n} {is} skipped: Serval has the pair already."));
        let parked =
            events(unmapped).map(|(n, is)| format!("{n} {is} parked: there is no mapping yet."));
        let several = (matched > 1).then(|| {
            "Of several saves of one record only the newest is sent; the others are skipped."
                .to_owned()
        });
        let lines = [sent, skipped, parked, several];
        lines.into_iter().flatten().collect()
    }
}

/// The number of events as subject and verb; `None`: there are none.
fn events(n: u64) -> Option<(String, &'static str)> {
    match n {
        0 => None,
        1 => Some(("1 event".to_owned(), "is")),
        _ => Some((format!("{n} events"), "are")),
    }
}

impl Operators {
    /// Tells what a replay of the events that match will do.
    pub async fn outlook(&self, filter: &EventFilter) -> Result<Outlook, Refusal> {
        let fates = self.store.fates(filter).await?;
        Ok(self.outlook_of(filter.source.as_ref(), fates))
    }

    /// Tells what a replay of one event of this external ticket will do.
    pub async fn outlook_of_one(&self, ticket: &ExternalTicket) -> Result<Outlook, Refusal> {
        let mapping = self.store.mapping(ticket).await?;
        let is_connected = mapping
            .as_ref()
            .is_some_and(|mapping| mapping.connected_at.is_some());
        let fates = Fates {
            matched: 1,
            connected: u64::from(is_connected),
            unmapped: u64::from(mapping.is_none()),
        };
        Ok(self.outlook_of(Some(&ticket.source), fates))
    }

    fn outlook_of(&self, source: Option<&SourceName>, fates: Fates) -> Outlook {
        let policy = source.and_then(|source| self.policy(source));
        Outlook {
            fates,
            is_sent_anew: policy.is_some_and(|policy| policy.reconnects()),
            is_paused: self.calls().is_paused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_fate() {
        let several =
            "Of several saves of one record only the newest is sent; the others are skipped.";
        for (fates, is_sent_anew, is_paused, expected) in [
            ((0, 0, 0), false, false, vec![]),
            (
                (1, 0, 0),
                false,
                false,
                vec!["1 event is sent to Serval again."],
            ),
            (
                (1, 0, 0),
                false,
                true,
                vec![
                    "1 event is queued, and sent again when the calls are resumed: they are paused.",
                ],
            ),
            (
                (1, 1, 0),
                false,
                true,
                vec!["1 event is skipped: Serval has the pair already."],
            ),
            (
                (1, 1, 0),
                true,
                false,
                vec!["1 event is sent to Serval again."],
            ),
            (
                (1, 0, 1),
                false,
                false,
                vec!["1 event is parked: there is no mapping yet."],
            ),
            (
                (7, 2, 1),
                false,
                false,
                vec![
                    "4 events are sent to Serval again.",
                    "2 events are skipped: Serval has the pair already.",
                    "1 event is parked: there is no mapping yet.",
                    several,
                ],
            ),
        ] {
            let (matched, connected, unmapped) = fates;
            let outlook = Outlook {
                fates: Fates {
                    matched,
                    connected,
                    unmapped,
                },
                is_sent_anew,
                is_paused,
            };
            assert_eq!(outlook.words(), expected, "{outlook:?}");
        }
    }
}
