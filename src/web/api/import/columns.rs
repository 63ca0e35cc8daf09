//! The names of our columns and members, in any spelling, and those of others, which are passed over.

use std::collections::BTreeSet;

/// The columns in the order of an export.
pub(crate) const COLUMNS: [&str; 4] = [
    "source",
    "external_id",
    "ticket_id",
    "accounted_for_message_ids",
];
/// Number of columns that a file must have.
pub(super) const REQUIRED: usize = 3;
/// Characters of a name that an answer repeats.
pub(super) const SHOWN: usize = 64;
/// Largest number of names that an answer repeats.
const TOLD: usize = 50;

/// The column of this name, in any case, with blanks or dashes in place of the underscores.
pub(super) fn column(name: &str) -> Option<usize> {
    COLUMNS
        .iter()
        .position(|column| letters(name).eq(letters(column)))
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    let between = |c: &char| !matches!(c, '_' | '-' | ' ' | '\u{a0}');
    name.trim()
        .chars()
        .filter(between)
        .map(|c| c.to_ascii_lowercase())
}

/// The beginning of a name of somebody else.
pub(super) fn short(name: &str) -> String {
    name.trim().chars().take(SHOWN).collect()
}

/// Names of columns and members that are not read.
#[derive(Debug, Default)]
pub(super) struct PassedOver(BTreeSet<String>);

impl PassedOver {
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = String>) {
        let room = TOLD.saturating_sub(self.0.len());
        let new = names
            .into_iter()
            .filter(|name| !name.is_empty() && !self.0.contains(name));
        let new: Vec<_> = new.take(room).collect();
        self.0.extend(new);
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}
