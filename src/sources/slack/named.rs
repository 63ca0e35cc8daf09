//! The Serval ticket that a message names: in its metadata, or by a link in its text, its blocks
//! or its attachments.
//!
//! Invariant: only messages of trusted senders are read. Links that lead to different tickets name
//! none of them, and the work is bounded for every message.

use serde::Deserialize;

use super::message::Rules;
use crate::domain::ids::ServalTicketId;
use crate::sources::hint::HintReader;
use crate::sources::json::field::Field;
use crate::sources::json::lookup::member;

/// The most links of one message that are read; Slack allows 50 blocks.
const MAX_LINKS: usize = 64;

/// The most parts of blocks that are read.
const MAX_PARTS: usize = 2048;

/// The greatest depth of the parts of a block that are read; real ones end at four.
const MAX_DEPTH: usize = 16;

/// The places where a message may name a ticket. One `borrow` ties the lifetimes of all the fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Carriers<'a> {
    #[serde(borrow)]
    metadata: Field<'a>,
    text: Field<'a>,
    blocks: Field<'a>,
    attachments: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    event_payload: Field<'a>,
}

/// A block, or a part of one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Field<'a>,
    url: Field<'a>,
    text: Field<'a>,
    elements: Field<'a>,
    fields: Field<'a>,
    accessory: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attachment<'a> {
    #[serde(borrow)]
    title_link: Field<'a>,
    from_url: Field<'a>,
    original_url: Field<'a>,
    blocks: Field<'a>,
    is_share: Field<'a>,
    is_msg_unfurl: Field<'a>,
}

/// The ticket that the message `json` names. A part that cannot be read names nothing.
pub(super) fn ticket(json: &str, rules: &Rules) -> Option<ServalTicketId> {
    let message: Carriers<'_> = serde_json::from_str(json).ok()?;
    in_metadata(message.metadata, rules).or_else(|| in_links(&message, &rules.hints))
}

/// The first usable value of the configured keys.
fn in_metadata(metadata: Field<'_>, rules: &Rules) -> Option<ServalTicketId> {
    let metadata: Metadata<'_> = metadata.object().ok()??;
    let payload = metadata.event_payload.object_json()?;
    rules.config.metadata_keys.iter().find_map(|key| {
        let value = member(payload, key).ok()?;
        rules.hints.text(&value.string()?)
    })
}

/// The one ticket that the links of the text lead to. If they lead to none, the links of the blocks
/// count, then those of the attachments.
fn in_links(message: &Carriers<'_>, reader: &HintReader) -> Option<ServalTicketId> {
    if !reader.reads_urls() {
        return None;
    }
    let mut links = Links {
        reader,
        urls_left: MAX_LINKS,
        parts_left: MAX_PARTS,
        found: Vec::new(),
    };
    // The text is what the sender wrote. Blocks often repeat it with further links, and attachments
    // are mostly previews that Slack adds, so they count only where the text names nothing.
    links.in_mrkdwn(message.text);
    if links.found.is_empty() {
        links.in_parts(message.blocks, MAX_DEPTH);
    }
    if links.found.is_empty() {
        links.in_attachments(message.attachments);
    }
    match &*links.found {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Reads links, up to a limit.
struct Links<'r> {
    reader: &'r HintReader,
    urls_left: usize,
    parts_left: usize,
    /// Different tickets.
    found: Vec<ServalTicketId>,
}

impl Links<'_> {
    fn link(&mut self, url: &str) {
        // Each link costs a match of the pattern.
        if self.urls_left == 0 {
            return;
        }
        self.urls_left -= 1;
        let id = self.reader.url(url);
        let new = id.filter(|id| !self.found.contains(id));
        self.found.extend(new);
    }

    fn link_in(&mut self, url: Field<'_>) {
        if let Some(url) = url.text() {
            self.link(&url);
        }
    }

    /// Follows `<url>` and `<url|label>`; Slack escapes every other `<` and `>`.
    fn in_mrkdwn(&mut self, text: Field<'_>) {
        let text = text.text().unwrap_or_default();
        for start in text.split('<').skip(1) {
            let Some((inside, _)) = start.split_once('>') else {
                continue;
            };
            // Mentions of users, channels and groups.
            if !inside.starts_with(['@', '#', '!']) {
                let url = inside.split('|').next().unwrap_or_default();
                self.link(&unescaped(url));
            }
        }
    }

    fn in_parts(&mut self, parts: Field<'_>, depth: usize) {
        for part in parts.elements() {
            self.in_part(part, depth);
        }
    }

    fn in_part(&mut self, part: Field<'_>, depth: usize) {
        // A body of one megabyte can hold parts by the ten thousand, or nest them as deep.
        if depth == 0 || self.parts_left == 0 {
            return;
        }
        let Ok(Some(part)) = part.object::<Part<'_>>() else {
            return;
        };
        self.parts_left -= 1;
        match part.kind.text().as_deref() {
            Some("link" | "button") => self.link_in(part.url),
            Some("mrkdwn") => self.in_mrkdwn(part.text),
            _ => {
                self.in_part(part.text, depth - 1);
                self.in_parts(part.elements, depth - 1);
                self.in_parts(part.fields, depth - 1);
                self.in_part(part.accessory, depth - 1);
            }
        }
    }

    fn in_attachments(&mut self, attachments: Field<'_>) {
        for attachment in attachments.elements().into_iter().take(MAX_LINKS) {
            let Ok(Some(attachment)) = attachment.object::<Attachment<'_>>() else {
                continue;
            };
            // A message that the author passed on: somebody else wrote it.
            if attachment.is_share.is_true() || attachment.is_msg_unfurl.is_true() {
                continue;
            }
            self.link_in(attachment.title_link);
            self.link_in(attachment.from_url);
            self.link_in(attachment.original_url);
            self.in_parts(attachment.blocks, MAX_DEPTH);
        }
    }
}

/// Undoes the three escapes of Slack's texts. `&amp;` is the last: `&amp;lt;` stands for `&lt;`.
pub(super) fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&amp;", "&")
}
