//! Names by which people call things: to look for them, and to map tickets. Pure: nothing is looked up.

use super::ids::{EventId, ExternalId, InvalidId, ServalTicketId};

/// One thing that a text of the search box may name. [`crate::sources::find::read`] reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A stored event: `evt_42`.
    Event(EventId),
    /// An external ticket, in whichever source it is.
    External(ExternalId),
    /// The number of an external ticket: `INC0081927`.
    Number(String),
    /// A Serval ticket: its id, its friendly identifier or its link.
    Serval(ServalTicketId),
}

/// The host of Serval's pages.
const HOST: &str = "app.serval.com";
/// Lengths of the parts of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Name of a Serval ticket, as a person wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedTicket {
    /// An id, taken as it is.
    Id(ServalTicketId),
    /// A friendly identifier such as `ACM-10`, if Serval has a team with its prefix; else an id.
    Identifier(ServalTicketId),
    /// The id in the address of a ticket. Serval tells if there is such a ticket.
    Linked(ServalTicketId),
}

impl TypedTicket {
    /// Reads a text. `linked` finds the ticket of an address by a pattern that an operator configured.
    pub fn read(text: &str, linked: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidId> {
        let text = text.trim();
        if !text.contains("://") {
            return Self::of_id(text);
        }
        let found = linked(text).or_else(|| of_address(text).map(str::to_owned));
        let found = found.ok_or_else(|| {
            InvalidId::new(format!(
                "this address names no Serval ticket: one has the host {HOST}, and an identifier such as \
                 ACM-10 or an id in its path; for another form set ticket_url_pattern"
            ))
        })?;
        Ok(match Self::of_id(&found)? {
            Self::Id(id) => Self::Linked(id),
            other @ (Self::Identifier(_) | Self::Linked(_)) => other,
        })
    }

    fn of_id(text: &str) -> Result<Self, InvalidId> {
        let id: ServalTicketId = text.parse()?;
        if is_uuid(text) {
            return Ok(Self::Id(text.to_ascii_lowercase().parse()?));
        }
        Ok(if is_identifier(text) {
            Self::Identifier(id)
        } else {
            Self::Id(id)
        })
    }
}

/// True if a text looks like a friendly identifier: a prefix, a hyphen, a number.
pub fn is_identifier(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(prefix, number)| {
        prefix.starts_with(|c: char| c.is_ascii_alphabetic())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            && (1..=10).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The prefix of a friendly identifier.
pub fn prefix(identifier: &str) -> &str {
    identifier.rsplit_once('-').map_or("", |(prefix, _)| prefix)
}

fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq(UUID)
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// The last part of the path that can be a ticket, at Serval's own host.
fn of_address(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let host = host.rsplit('@').next()?.split(':').next()?;
    if !host.eq_ignore_ascii_case(HOST) {
        return None;
    }
    let path = path.split(['?', '#']).next()?;
    let is_one = |part: &&str| is_uuid(part) || is_identifier(part);
    path.split('/').rfind(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9d385017-c611-4228-8701-d22104cc95c3";

    fn read(text: &str) -> String {
        let of_acme = |url: &str| {
            let (_, id) = url.split_once("https://serval.acme.example/t/")?;
            Some(id.to_owned())
        };
        match TypedTicket::read(text, of_acme) {
            Ok(TypedTicket::Id(id)) => format!("id {id}"),
            Ok(TypedTicket::Identifier(id)) => format!("identifier {id}"),
            Ok(TypedTicket::Linked(id)) => format!("linked {id}"),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn a_text_is_an_id_an_identifier_or_an_address() {
        let (of_id, linked) = (format!("id {ID}"), format!("linked {ID}"));
        for (text, expected) in [
            (ID, &*of_id),
            ("9D385017-C611-4228-8701-D22104CC95C3", &of_id),
            ("tk_25", "id tk_25"),
            ("tk-wrong", "id tk-wrong"),
            ("9d385017-c611", "id 9d385017-c611"),
            ("ACM-10", "identifier ACM-10"),
            (" acm-10\n", "identifier acm-10"),
            ("plat-eng-7", "identifier plat-eng-7"),
            (
                "https://app.serval.com/acme/tickets/ACM-10",
                "identifier ACM-10",
            ),
            (
                "https://APP.serval.com/t/acm-10?tab=1#x",
                "identifier acm-10",
            ),
            ("https://app.serval.com:443/ACM-10/", "identifier ACM-10"),
            (
                &format!("https://app.serval.com/team-2/tickets/{ID}"),
                &linked,
            ),
            (&format!("https://serval.acme.example/t/{ID}"), &linked),
            ("https://serval.acme.example/t/tk_25", "linked tk_25"),
            ("https://serval.acme.example/t/ACM-10", "identifier ACM-10"),
            ("https://serval.acme.example/t/n/a", "refused"),
            ("https://app.serval.com/inbox", "refused"),
            ("https://app.serval.com.evil.example/ACM-10", "refused"),
            ("https://evil.example/app.serval.com/ACM-10", "refused"),
            ("https://app.serval.com?x=ACM-10", "refused"),
            ("---waiting---", "refused"),
            ("a b", "refused"),
            ("", "refused"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn friendly_identifiers_are_told_from_ids() {
        for (id, expected) in [
            ("ACM-10", true),
            ("plat-eng-7", true),
            ("x-1", true),
            (ID, false),
            ("ACM-", false),
            ("-10", false),
            ("10-10", false),
            ("ticket_01H8", false),
            ("a-12345678901", false),
        ] {
            assert_eq!(is_identifier(id), expected, "{id}");
        }
    }
}
