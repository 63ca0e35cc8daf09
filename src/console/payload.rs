//! Payloads, which can hold personal data: hidden until somebody asks, and the asking is written down.

use super::json;
use super::page::{View, grouped};

/// Characters of a payload that a page shows.
const MAX_SHOWN: usize = 256 * 1024;

/// A payload, or why there is none to see.
#[derive(Debug)]
pub(super) enum Payload {
    /// It is shown when asked for, by a form to this address.
    Hidden {
        action: String,
    },
    Shown(Vec<Block>),
    /// Nothing is stored.
    Gone,
    /// The configuration does not have it shown.
    Off,
    /// They may only look at the rest.
    Forbidden,
}

/// A part of a payload.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) title: &'static str,
    /// How many bytes it has.
    pub(super) size: String,
    pub(super) text: String,
    /// Whether the end is left out.
    pub(super) is_cut: bool,
}

impl Payload {
    /// What a page says of a payload before anybody asked for it.
    pub(super) fn unasked(view: &View, is_stored: bool, action: String) -> Self {
        match () {
            () if !is_stored => Self::Gone,
            () if !view.desk().shows_payloads() => Self::Off,
            () if !view.viewer.may_act() => Self::Forbidden,
            () => Self::Hidden { action },
        }
    }
}

impl Block {
    /// Of bytes that are JSON as a rule.
    pub(super) fn new(title: &'static str, bytes: &[u8]) -> Self {
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
