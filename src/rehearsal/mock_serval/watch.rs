//! Prints a line for each connect at the stand-in, and for each refused credential.

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::Endpoint;
use super::server::MockServal;
use super::state::{Journal, RecordedConnect, RecordedRequest};
use crate::terminal::output;

/// Time limit of one wait; then the next wait begins.
const WATCH: Duration = Duration::from_hours(1);

/// Prints a line for everything in the journal that comes after `seen`.
pub(crate) async fn watch(mock: &MockServal, mut seen: Told) {
    loop {
        // Counts are compared, not lengths: the journal keeps only its newest entries.
        let arrived = |journal: &Journal| Told::of(journal) != seen;
        if !mock.wait_for(WATCH, arrived).await {
            continue;
        }
        let lines = mock.look(|journal| {
            let lines = news(journal, seen);
            seen = Told::of(journal);
            lines
        });
        for line in lines {
            output::line(line);
        }
    }
}

/// Position in the journal up to which lines were printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Told {
    requests: u64,
    connects: u64,
}

impl Told {
    /// The present end of the journal.
    pub(crate) fn already(mock: &MockServal) -> Self {
        mock.look(Self::of)
    }

    fn of(journal: &Journal) -> Self {
        Self {
            requests: journal.request_count,
            connects: journal.connect_count,
        }
    }
}

/// Lines for the entries after `seen`. If a count fell, the journal was cleared meanwhile.
fn news(journal: &Journal, seen: Told) -> Vec<String> {
    let requests = newest(&journal.requests, journal.request_count, seen.requests);
    let refused = requests.filter(|request| !request.authorised);
    let connects = newest(&journal.connects, journal.connect_count, seen.connects);
    let lines = refused.map(refused_line);
    lines.chain(connects.map(connect_line)).collect()
}

fn newest<T>(kept: &VecDeque<T>, count: u64, seen: u64) -> impl Iterator<Item = &T> {
    let new = count.checked_sub(seen).unwrap_or(count);
    let new = usize::try_from(new).unwrap_or(usize::MAX);
    kept.iter().skip(kept.len().saturating_sub(new))
}

fn refused_line(request: &RecordedRequest) -> String {
    let what = if request.endpoint == Endpoint::Token {
        "the client id or secret is wrong"
    } else {
        "the bearer token is missing, unknown or expired"
    };
    let line = format!(
        "{:.3}  {} {}  {what}",
        request.at, request.method, request.path
    );
    output::printable(&line)
}

fn connect_line(connect: &RecordedConnect) -> String {
    let outcome = match (connect.answered, connect.stored) {
        (Some(status), true) => format!("{status} connected"),
        (Some(status), false) => format!("{status} refused"),
        (None, true) => "connected, but not answered".to_owned(),
        (None, false) => "not answered".to_owned(),
    };
    let line = format!(
        "{:.3}  connect  ticket {}  external {}  subtype {}  {outcome}",
        connect.at,
        connect.ticket_id,
        connect.external_id,
        connect.subtype.as_deref().unwrap_or("-"),
    );
    output::printable(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_told_in_one_line_with_its_end() {
        let connect = |answered, stored| RecordedConnect {
            at: "2026-03-17T12:41:09.25Z".parse().unwrap(),
            ticket_id: "t-1".to_owned(),
            external_id: "C111:1.000000".to_owned(),
            subtype: None,
            target: serde_json::Value::Null,
            accounted_for_message_ids: Vec::new(),
            object: None,
            body: bytes::Bytes::new(),
            answered,
            stored,
        };
        let start =
            "2026-03-17T12:41:09.250Z  connect  ticket t-1  external C111:1.000000  subtype -  ";
        for (answered, stored, end) in [
            (Some(200), true, "200 connected"),
            (Some(409), false, "409 refused"),
            (None, true, "connected, but not answered"),
            (None, false, "not answered"),
        ] {
            let line = connect_line(&connect(answered, stored));
            assert_eq!(line, format!("{start}{end}"));
        }
        let mut journal = Journal::default();
        journal.connects.push_back(connect(Some(200), true));
        journal.connects.push_back(connect(Some(500), false));
        journal.connect_count = 7;
        let told = |connects| Told {
            requests: 0,
            connects,
        };
        assert_eq!(news(&journal, told(7)).len(), 0);
        assert_eq!(news(&journal, told(6)).len(), 1);
        assert_eq!(news(&journal, told(0)).len(), 2);
        // Cleared in between, and two have arrived since.
        journal.connect_count = 2;
        assert_eq!(news(&journal, told(7)).len(), 2);
    }
}
