//! The Serval ticket that a message names: in its metadata, or by a link in its text, its blocks
//! or its attachments.
//!
//! Invariant: asked only for messages of trusted senders. Links that lead to different tickets name
//! none of them, and the work is bounded whatever the message holds.

use std::borrow::Cow;

use serde::Deserialize;

use super::envelope::Field;
use super::message::Rules;
use crate::domain::ids::ServalTicketId;
use crate::sources::hint::HintReader;
use crate::sources::lookup::{member, string};

/// The most links of one message that are looked at; Slack allows 50 blocks.
const MAX_LINKS: usize = 64;

/// The most parts of blocks that are looked at.
const MAX_PARTS: usize = 2048;

/// How deep the parts of a block are followed; real ones end at four.
const MAX_DEPTH: usize = 16;

/// Where a message may name a ticket. One `borrow` ties the lifetimes of all the fields.
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

/// The ticket that the message `json` names. What cannot be read names nothing.
pub(super) fn named_by(json: &str, rules: &Rules) -> Option<ServalTicketId> {
    let message: Carriers<'_> = serde_json::from_str(json).ok()?;
    in_metadata(message.metadata, rules).or_else(|| in_links(&message, &rules.hints))
}

/// The first usable value of the configured keys.
fn in_metadata(metadata: Field<'_>, rules: &Rules) -> Option<ServalTicketId> {
    let metadata: Metadata<'_> = metadata.object().ok()??;
    let payload = metadata.event_payload.object_json()?;
    rules.metadata_keys.iter().find_map(|key| {
        let value = member(payload, key).ok()??;
        rules.hints.text(&string(value)?)
    })
}

/// The one ticket that the links of the text lead to; where they lead to none, those of the blocks,
/// then those of the attachments.
fn in_links(message: &Carriers<'_>, reader: &HintReader) -> Option<ServalTicketId> {
    if !reader.reads_urls() {
        return None;
    }
    let mut links = Links {
        reader,
        urls_left: MAX_LINKS,
        parts_left: MAX_PARTS,
        found: Found::Nothing,
    };
    links.in_mrkdwn(message.text);
    if links.found == Found::Nothing {
        links.in_parts(message.blocks, MAX_DEPTH);
    }
    if links.found == Found::Nothing {
        links.in_attachments(message.attachments);
    }
    match links.found {
        Found::One(id) => Some(id),
        Found::Nothing | Found::Several => None,
    }
}

#[derive(PartialEq, Eq)]
enum Found {
    Nothing,
    One(ServalTicketId),
    Several,
}

/// Collects links, up to a limit.
struct Links<'r> {
    reader: &'r HintReader,
    urls_left: usize,
    parts_left: usize,
    found: Found,
}

impl Links<'_> {
    fn link(&mut self, url: &str) {
        if self.urls_left == 0 {
            return;
        }
        self.urls_left -= 1;
        let Some(id) = self.reader.url(url) else {
            return;
        };
        match &self.found {
            Found::Nothing => self.found = Found::One(id),
            Found::One(before) if *before != id => self.found = Found::Several,
            Found::One(_) | Found::Several => {}
        }
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
            // A message that was passed on: somebody else wrote it.
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

/// Undoes the three escapes of Slack's texts; `&amp;lt;` stands for `&lt;`.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    Cow::Owned(text.replace("&amp;", "&"))
}
