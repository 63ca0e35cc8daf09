//! What a person types or pastes to find a ticket, read as all that it may name.

use super::ids::{EventId, ExternalId, ServalTicketId, SourceKind, is_slack_channel};

/// The longest text that is looked at, in bytes; longer ones name nothing.
const MAX_TEXT: usize = 4096;
/// Words of a text that are looked at.
const MAX_WORDS: usize = 16;
/// Digits of a Slack timestamp behind the dot.
const SLACK_FRACTION: usize = 6;

/// Something that a text may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A stored event: `evt_42`.
    Event(EventId),
    /// An external ticket of some source of this kind: a `sys_id`, a Slack thread or a link to one.
    External(SourceKind, ExternalId),
    /// The number of an external ticket: `INC0081927`.
    Number(String),
    /// A Serval ticket: its id, its friendly identifier or its link.
    Serval(ServalTicketId),
}

/// Reads a text; the likeliest first. Empty: it can name nothing.
pub fn read(text: &str) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    if text.len() > MAX_TEXT {
        return wanted;
    }
    let mut words = text.split_whitespace().take(MAX_WORDS);
    match (words.next(), words.next()) {
        (None, _) => {}
        (Some(word), None) => word_alone(trim(word), &mut wanted),
        // Prose, such as a pasted title: only what cannot be a word of it counts.
        (Some(_), Some(_)) => {
            for word in text.split_whitespace().take(MAX_WORDS) {
                word_in_prose(trim(word), &mut wanted);
            }
        }
    }
    wanted
}

/// Without the marks that chats and mails put around a name.
fn trim(word: &str) -> &str {
    word.trim_matches(|c: char| {
        matches!(
            c,
            '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | '`' | ',' | ';' | '.' | ':'
        )
    })
}

fn word_alone(word: &str, wanted: &mut Vec<Wanted>) {
    if word_in_prose(word, wanted) {
        return;
    }
    if word.len() <= 64 && word.bytes().any(|b| b.is_ascii_digit()) {
        add(wanted, Wanted::Number(word.to_owned()));
    }
    if let Ok(id) = word.parse() {
        add(wanted, Wanted::Serval(id));
    }
}

/// Reads a word that says by its form what it names; `false` when it does not.
fn word_in_prose(word: &str, wanted: &mut Vec<Wanted>) -> bool {
    if word.contains("://") {
        link(word, wanted);
        return true;
    }
    if let Ok(event) = word.to_ascii_lowercase().parse() {
        add(wanted, Wanted::Event(event));
        return true;
    }
    if let Ok(thread) = SourceKind::Slack.parse_external_id(word) {
        add(wanted, Wanted::External(SourceKind::Slack, thread));
        return true;
    }
    if let Ok(record) = SourceKind::ServiceNow.parse_external_id(word) {
        add(wanted, Wanted::External(SourceKind::ServiceNow, record));
        if let Ok(id) = word.parse() {
            add(wanted, Wanted::Serval(id));
        }
        return true;
    }
    if is_number(word) {
        add(wanted, Wanted::Number(word.to_owned()));
        if let Ok(id) = word.parse() {
            add(wanted, Wanted::Serval(id));
        }
        return true;
    }
    false
}

/// Whether it looks like the number of a record: letters, then at least four digits.
fn is_number(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = word.len() - letters;
    (2..=16).contains(&letters)
        && (4..=16).contains(&digits)
        && word.bytes().skip(letters).all(|b| b.is_ascii_digit())
}

fn link(url: &str, wanted: &mut Vec<Wanted>) {
    if let Some(thread) = slack_link(url) {
        return add(wanted, Wanted::External(SourceKind::Slack, thread));
    }
    let plain = percent_decoded(url);
    let parts = || plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    for part in parts() {
        if let Ok(record) = SourceKind::ServiceNow.parse_external_id(part) {
            add(wanted, Wanted::External(SourceKind::ServiceNow, record));
        }
    }
    parts()
        .filter(|part| is_number(part))
        .for_each(|part| add(wanted, Wanted::Number(part.to_owned())));
    if let Some(id) = ticket_of_path(&plain) {
        add(wanted, Wanted::Serval(id));
    }
}

/// What stands behind `tickets/` in a path, else its last part.
fn ticket_of_path(url: &str) -> Option<ServalTicketId> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split(['?', '#']).next()?;
    let mut parts = path.split('/').skip(1).filter(|part| !part.is_empty());
    let mut last = None;
    while let Some(part) = parts.next() {
        let is_ticket = matches!(part.to_ascii_lowercase().as_str(), "ticket" | "tickets");
        if is_ticket && let Some(id) = parts.next() {
            return id.parse().ok();
        }
        last = Some(part);
    }
    last?.parse().ok()
}

/// `https://acme.slack.com/archives/C9DDYQ1B4/p1779146751061339?thread_ts=1779146751.061339`, or
/// what the browser shows: `https://app.slack.com/client/T1/C9DDYQ1B4/thread/C9DDYQ1B4-1779146751.061339`.
fn slack_link(url: &str) -> Option<ExternalId> {
    let (_, rest) = url.split_once("://")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts: Vec<&str> = path.split(['/', '#']).collect();
    let at = parts.iter().position(|part| is_slack_channel(part))?;
    let channel = parts[at];
    let root = query
        .split(['&', '#'])
        .find_map(|pair| pair.strip_prefix("thread_ts="))
        .map(str::to_owned);
    let thread = parts[at..]
        .iter()
        .find_map(|part| part.strip_prefix(channel)?.strip_prefix('-'))
        .map(str::to_owned);
    let message = parts[at..].iter().find_map(|part| message_ts(part));
    let ts = root.or(thread).or(message)?;
    let id = format!("{channel}:{ts}");
    SourceKind::Slack.parse_external_id(&id).ok()
}

/// `p1779146751061339` is `1779146751.061339`.
fn message_ts(part: &str) -> Option<String> {
    let digits = part.strip_prefix('p')?;
    if digits.len() <= SLACK_FRACTION || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (seconds, fraction) = digits.split_at(digits.len() - SLACK_FRACTION);
    Some(format!("{seconds}.{fraction}"))
}

/// Decodes as often as a link within a link needs.
fn percent_decoded(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..3 {
        if !text.contains('%') {
            break;
        }
        text = decoded_once(&text);
    }
    text
}

fn decoded_once(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', tail),
            },
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn add(wanted: &mut Vec<Wanted>, what: Wanted) {
    if !wanted.contains(&what) {
        wanted.push(what);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const SYS_ID: &str = "6f1d0c93db2a6410c7e3f4a2ce9619aa";
    const THREAD: &str = "C9DDYQ1B4:1779146751.061339";

    fn words(text: &str) -> Vec<String> {
        let word = |wanted: Wanted| match wanted {
            Wanted::Event(id) => id.to_string(),
            Wanted::External(kind, id) => format!("{} {id}", kind.as_str()),
            Wanted::Number(number) => format!("number {number}"),
            Wanted::Serval(id) => format!("serval {id}"),
        };
        read(text).into_iter().map(word).collect()
    }

    #[test]
    fn a_word_is_read_as_all_that_it_may_name() {
        let record = format!("servicenow {SYS_ID}");
        let as_serval = format!("serval {SYS_ID}");
        let thread = format!("slack {THREAD}");
        let upper = SYS_ID.to_ascii_uppercase();
        let rows: &[(&str, &[&str])] = &[
            ("evt_42", &["evt_42"]),
            (" EVT_42\n", &["evt_42"]),
            ("INC0081927", &["number INC0081927", "serval INC0081927"]),
            ("ritm0010042", &["number ritm0010042", "serval ritm0010042"]),
            ("<INC0081927>,", &["number INC0081927", "serval INC0081927"]),
            (SYS_ID, &[&record, &as_serval]),
            (&upper, &[&record, &format!("serval {upper}")]),
            (THREAD, &[&thread]),
            ("ACM-10", &["number ACM-10", "serval ACM-10"]),
            (
                "0197c2e4-55aa-7c1e-9d38-c611aa00bb11",
                &[
                    "number 0197c2e4-55aa-7c1e-9d38-c611aa00bb11",
                    "serval 0197c2e4-55aa-7c1e-9d38-c611aa00bb11",
                ],
            ),
            ("printer", &["serval printer"]),
            ("", &[]),
            (" \t", &[]),
            ("n/a", &[]),
            ("...", &[]),
            ("C9DDYQ1B4", &["number C9DDYQ1B4", "serval C9DDYQ1B4"]),
        ];
        for (text, expected) in rows {
            assert_eq!(words(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn links_are_read_in_the_forms_that_people_copy() {
        let thread = format!("slack {THREAD}");
        let record = format!("servicenow {SYS_ID}");
        let rows: &[(&str, &[&str])] = &[
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p1779146751061339",
                &[&thread],
            ),
            // A reply: its thread's root counts.
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p1779146999000100?thread_ts=1779146751.061339&cid=C9DDYQ1B4",
                &[&thread],
            ),
            (
                "<https://acme.enterprise.slack.com/archives/C9DDYQ1B4/p1779146999000100?cid=C9DDYQ1B4&thread_ts=1779146751.061339>",
                &[&thread],
            ),
            (
                "https://app.slack.com/client/T024BE7LD/C9DDYQ1B4/thread/C9DDYQ1B4-1779146751.061339",
                &[&thread],
            ),
            (
                "https://acme.slack.com/archives/C9DDYQ1B4",
                &["serval C9DDYQ1B4"],
            ),
            (
                "https://acme.service-now.com/nav_to.do?uri=incident.do?sys_id=6f1d0c93db2a6410c7e3f4a2ce9619aa",
                &[&record, "serval nav_to.do"],
            ),
            (
                "https://acme.service-now.com/now/nav/ui/classic/params/target/incident.do%3Fsys_id%3D6f1d0c93db2a6410c7e3f4a2ce9619aa%26sysparm_view%3D",
                &[&record, "serval incident.do"],
            ),
            (
                "https://acme.service-now.com/x?uri=incident.do%253Fsys_id%253D6f1d0c93db2a6410c7e3f4a2ce9619aa",
                &[&record, "serval x"],
            ),
            (
                "https://acme.service-now.com/incident.do?sysparm_query=number=INC0081927",
                &["number INC0081927", "serval incident.do"],
            ),
            (
                "https://app.serval.com/ACM/tickets/ACM-10?tab=links#m1",
                &["serval ACM-10"],
            ),
            (
                "https://app.serval.com/ACM/tickets/0197c2e4-55aa-7c1e-9d38-c611aa00bb11/activity",
                &["serval 0197c2e4-55aa-7c1e-9d38-c611aa00bb11"],
            ),
            ("https://app.serval.com/t/ACM-10", &["serval ACM-10"]),
            ("https://app.serval.com/", &[]),
            ("https://", &[]),
            ("://", &[]),
        ];
        for (text, expected) in rows {
            assert_eq!(words(text), *expected, "{text}");
        }
    }

    #[test]
    fn of_prose_only_what_cannot_be_a_word_of_it_counts() {
        for (text, expected) in [
            (
                "INC0081927: no mail since noon",
                vec!["number INC0081927", "serval INC0081927"],
            ),
            ("see (evt_42), evt_42 and evt_43.", vec!["evt_42", "evt_43"]),
            ("no mail since 12", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        let long = "x".repeat(MAX_TEXT + 1);
        assert_eq!(read(&long), []);
        let many = "evt_1 ".repeat(MAX_WORDS) + "evt_2";
        assert_eq!(words(&many), ["evt_1"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in any::<String>(), tail in any::<String>()) {
            read(&text);
            read(&format!("https://{text}/C9DDYQ1B4/p{tail}%{tail}"));
        }
    }
}
