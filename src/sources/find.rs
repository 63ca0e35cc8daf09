//! Reads what a person types or pastes to find a ticket, as everything that it may name.

use percent_encoding::percent_decode_str;

use super::kind::Kinds;
use crate::domain::find::Wanted;
use crate::domain::ids::ServalTicketId;

/// The longest text that is read, in bytes; a longer one names nothing.
const MAX_TEXT: usize = 4096;
/// The most words of a text that are read.
const MAX_WORDS: usize = 16;

/// Reads a text; the likeliest name first. Empty: the text can name nothing.
pub fn read(kinds: Kinds, text: &str) -> Vec<Wanted> {
    let mut reader = Reader {
        kinds,
        wanted: Vec::new(),
    };
    let words: Vec<&str> = text.split_whitespace().take(MAX_WORDS).collect();
    match &*words {
        _ if text.len() > MAX_TEXT => {}
        [word] => reader.word_alone(trim(word)),
        // Prose, such as a pasted title: an ordinary word of it names nothing.
        words => words.iter().for_each(|word| {
            reader.word_in_prose(trim(word));
        }),
    }
    reader.wanted
}

/// Removes the marks that chats and mails put around a name.
fn trim(word: &str) -> &str {
    word.trim_matches(|c: char| {
        matches!(
            c,
            '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | '`' | ',' | ';' | '.' | ':'
        )
    })
}

struct Reader {
    kinds: Kinds,
    wanted: Vec<Wanted>,
}

impl Reader {
    fn word_alone(&mut self, word: &str) {
        if self.word_in_prose(word) {
            return;
        }
        if word.len() <= 64 && word.bytes().any(|b| b.is_ascii_digit()) {
            self.add(Wanted::Number(word.to_owned()));
        }
        self.add_serval(word);
    }

    /// Reads a word whose form tells what it names; false if its form tells nothing.
    fn word_in_prose(&mut self, word: &str) -> bool {
        if word.contains("://") {
            self.link(word);
        } else if let Ok(event) = word.to_ascii_lowercase().parse() {
            self.add(Wanted::Event(event));
        } else if self.add_external(word) {
            // Such an id may be Serval's as well, unless it is composed: Serval's are not.
            if !word.contains(':') {
                self.add_serval(word);
            }
        } else if self.is_number(word) {
            self.add(Wanted::Number(word.to_owned()));
            self.add_serval(word);
        } else {
            return false;
        }
        true
    }

    fn link(&mut self, url: &str) {
        // A link into a system names one ticket. All other links are read part by part, because the
        // id may stand in a query, or in an address within the address.
        if let Some(id) = self.kinds.iter().find_map(|kind| kind.linked(url)) {
            return self.add(Wanted::External(id));
        }
        let plain = percent_decoded(url);
        let parts = || plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for part in parts() {
            self.add_external(part);
        }
        for part in parts()
            .filter(|part| self.is_number(part))
            .collect::<Vec<_>>()
        {
            self.add(Wanted::Number(part.to_owned()));
        }
        if let Some(id) = ticket_of_path(&plain) {
            self.add(Wanted::Serval(id));
        }
    }

    fn is_number(&self, word: &str) -> bool {
        self.kinds.iter().any(|kind| kind.is_number(word))
    }

    /// Adds the word as an external id of every kind that can have it; false if none can.
    fn add_external(&mut self, word: &str) -> bool {
        // An id may fit several kinds; the store knows which of them exist.
        let kinds = self.kinds;
        let mut is_one = false;
        for id in kinds
            .iter()
            .filter_map(|kind| kind.parse_external_id(word).ok())
        {
            self.add(Wanted::External(id));
            is_one = true;
        }
        is_one
    }

    fn add_serval(&mut self, word: &str) {
        if let Ok(id) = word.parse() {
            self.add(Wanted::Serval(id));
        }
    }

    fn add(&mut self, wanted: Wanted) {
        if !self.wanted.contains(&wanted) {
            self.wanted.push(wanted);
        }
    }
}

/// The part after `tickets/` in a path, else its last part.
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

/// Decodes three times: a link may stand within a link.
fn percent_decoded(url: &str) -> String {
    (0..3).fold(url.to_owned(), |text, _| {
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::sources::BUILT_IN;

    const SYS_ID: &str = "6f1d0c93db2a6410c7e3f4a2ce9619aa";
    const THREAD: &str = "C9DDYQ1B4:1779146751.061339";

    fn words(text: &str) -> Vec<String> {
        let word = |wanted: Wanted| match wanted {
            Wanted::Event(id) => id.to_string(),
            Wanted::External(id) => format!("external {id}"),
            Wanted::Number(number) => format!("number {number}"),
            Wanted::Serval(id) => format!("serval {id}"),
        };
        read(BUILT_IN, text).into_iter().map(word).collect()
    }

    #[test]
    fn a_word_is_read_as_all_that_it_may_name() {
        let record = format!("external {SYS_ID}");
        let as_serval = format!("serval {SYS_ID}");
        let thread = format!("external {THREAD}");
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
        let thread = format!("external {THREAD}");
        let record = format!("external {SYS_ID}");
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
        assert_eq!(read(BUILT_IN, &long), []);
        let many = "evt_1 ".repeat(MAX_WORDS) + "evt_2";
        assert_eq!(words(&many), ["evt_1"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in any::<String>(), tail in any::<String>()) {
            read(BUILT_IN, &text);
            read(BUILT_IN, &format!("https://{text}/C9DDYQ1B4/p{tail}%{tail}"));
        }
    }
}
