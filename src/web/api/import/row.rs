//! Rows of an import: from text to checked values, for both formats.

use std::collections::BTreeMap;
use std::iter;

use super::columns::SHOWN;
use crate::domain::find::TypedTicket;
use crate::domain::ids::SourceName;
use crate::operators::{message_ids, read_serval_ticket};
use crate::sources::{SourceConfig, TypedId};

/// Size limit of a row, in bytes.
pub(super) const MAX_ROW: usize = 512 << 10;
pub(super) const TOO_LONG: &str = "this is longer than 512 KiB";

/// A row as it was written.
#[derive(Debug)]
pub(super) struct RawRow {
    pub(super) source: String,
    pub(super) external_id: String,
    pub(super) ticket_id: String,
    pub(super) accounted_for_message_ids: Vec<String>,
}

/// The configured sources by name.
pub(super) type Configured = BTreeMap<SourceName, SourceConfig>;

/// A row whose ids are read. Numbers and identifiers are not looked up yet.
#[derive(Debug)]
pub(super) struct ReadRow {
    pub(super) line: u64,
    pub(super) source: SourceName,
    pub(super) typed: TypedId,
    pub(super) ticket: TypedTicket,
    pub(super) accounted_for: Vec<String>,
    pub(super) unlinks_old: bool,
    pub(super) reconnects: bool,
}

/// Checks a row against the configuration.
pub(super) fn check(sources: &Configured, line: u64, raw: RawRow) -> Result<ReadRow, String> {
    let name = raw.source.trim();
    let source: Option<SourceName> = name.parse().ok();
    let Some((source, config)) = source.and_then(|name| sources.get_key_value(&name)) else {
        let name: String = name.chars().take(SHOWN).collect();
        // A file in the wrong format can have a whole document in this field, so only its beginning
        // is shown.
        return Err(format!("source: no source is named {name:?}"));
    };
    let typed = config
        .kind
        .read_typed(&raw.external_id)
        .map_err(|error| format!("external_id: {error}"))?;
    let ticket = read_serval_ticket(iter::once(config), &raw.ticket_id)?;
    message_ids(&raw.accounted_for_message_ids)?;
    Ok(ReadRow {
        line,
        source: source.clone(),
        typed,
        ticket,
        accounted_for: raw.accounted_for_message_ids,
        unlinks_old: config.policy.disconnect_on_remap,
        reconnects: config.policy.reconnects(),
    })
}
