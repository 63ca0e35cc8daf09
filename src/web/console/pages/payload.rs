//! Payloads, which can hold personal data: hidden until an operator asks, which the audit list records.

use super::json;
use crate::web::console::frame::{View, grouped};

/// Characters of a payload that a page shows.
const MAX_SHOWN: usize = 256 * 1024;

/// A payload, or the reason why it is not shown.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Hidden. A form to this address shows it.
    Hidden {
        action: String,
    },
    Shown(Vec<Block>),
    /// No payload is stored.
    Gone,
    /// The configuration forbids showing payloads.
    Off,
    /// The operator's token may not see payloads.
    Forbidden,
}

/// A part of a payload.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) title: &'static str,
    /// Size, in words.
    pub(crate) size: String,
    pub(crate) text: String,
    /// True if the end is left out.
    pub(crate) is_cut: bool,
}

impl Payload {
    /// The payload before an operator asked for it.
    pub(crate) fn unasked(view: &View, is_stored: bool, action: String) -> Self {
        match () {
            () if !is_stored => Self::Gone,
            () if !view.operators().shows_payloads() => Self::Off,
            () if !view.viewer.may_act() => Self::Forbidden,
            () => Self::Hidden { action },
        }
    }
}

impl Block {
    /// A block with these bytes, which are usually JSON.
    pub(crate) fn new(title: &'static str, bytes: &[u8]) -> Self {
        let text = json::pretty(&String::from_utf8_lossy(bytes));
        let end = text
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| *at >= MAX_SHOWN);
        let n = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        Self {
            title,
            size: format!("{} bytes", grouped(n)),
            is_cut: end.is_some(),
            text: end.map_or(text.clone(), |end| text[..end].to_owned()),
        }
    }
}
