//! Sources that get a new name in the configuration: what is stored under the old one becomes theirs.

use super::end_channel;
use crate::domain::ids::{ExternalId, SourceName};
use crate::store::commit::tx::Tx;
use crate::store::commit::writer::Writer;
use crate::store::engine::Via;
use crate::store::error::{OpenError, StoreError};
use crate::store::sql::{self, args, row};

/// A source and the name that it had before.
pub struct Rename {
    /// The name before.
    pub from: SourceName,
    /// The present name.
    pub to: SourceName,
    /// True for an external id that the kind of the source can have.
    pub is_of_kind: Box<dyn Fn(&ExternalId) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Rename {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rename({} to {})", self.from, self.to)
    }
}

/// Reason why sources are not renamed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// Events or external tickets are stored under both names.
    #[error(
        "sources.{to}.renamed_from: events or mappings are stored for {from} and for {to}, so {from} \
         cannot become {to}. Take renamed_from out; to take mappings along, use `map export`, write \
         {to} for {from} in the file, and `map import` it"
    )]
    Both {
        /// The name before.
        from: SourceName,
        /// The present name.
        to: SourceName,
    },
    /// The external ids under the old name are of another kind of source.
    #[error(
        "sources.{to}.renamed_from: the external ids that are stored for {from} are not of the kind \
         of {to}, so {from} cannot become {to}. Correct the kind, or take renamed_from out"
    )]
    OtherKind {
        /// The name before.
        from: SourceName,
        /// The present name.
        to: SourceName,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

row! {
    /// Facts about the two names of a source.
    struct Names {
        /// Events or external tickets are stored under the old name.
        old_is_used: bool,
        /// Events or external tickets are stored under the new name.
        new_is_used: bool,
        /// The first external id under the old name, in their order.
        first: Option<ExternalId>,
        /// The last one.
        last: Option<ExternalId>,
    }
}

impl Rename {
    /// Returns true if something is stored under the old name that may become the source's.
    pub(crate) async fn is_due<'c>(&self, via: impl Into<Via<'c>>) -> Result<bool, RenameError> {
        const NAMES: &str = "\
            -- store::rename_source::names
            SELECT EXISTS (SELECT 1 FROM external_tickets WHERE source = $1)
                    OR EXISTS (SELECT 1 FROM counts WHERE source = $1 AND n > 0),
                EXISTS (SELECT 1 FROM external_tickets WHERE source = $2)
                    OR EXISTS (SELECT 1 FROM counts WHERE source = $2 AND n > 0),
                (SELECT MIN(external_id) FROM external_tickets WHERE source = $1),
                (SELECT MAX(external_id) FROM external_tickets WHERE source = $1)";
        let names = sql::fetch_one(via, NAMES, args![&self.from, &self.to]).await?;
        self.decide(&names)
    }

    fn decide(&self, names: &Names) -> Result<bool, RenameError> {
        if !names.old_is_used {
            return Ok(false);
        }
        let (from, to) = (self.from.clone(), self.to.clone());
        // Ids are stored in order, so the first and the last tell the kind of all of them: the ids
        // of two kinds never mix in one source.
        let mut ids = names.first.iter().chain(&names.last);
        if !ids.all(|id| (self.is_of_kind)(id)) {
            return Err(RenameError::OtherKind { from, to });
        }
        // Two sources become one only by mistake, and nobody could part them again.
        if names.new_is_used {
            return Err(RenameError::Both { from, to });
        }
        Ok(true)
    }
}

/// The statements that give the rows of a source to another one, and before that delete the rows `t` of that one
/// which are the same as a row `o`. Nothing is stored under the new name then, but a row may be left.
macro_rules! renames {
    ($($table:literal $same:literal,)+) => {
        &[$((
            $table,
            [
                concat!(
                    "-- store::rename_source::make_room_",
                    $table,
                    "\nDELETE FROM ",
                    $table,
                    " AS t WHERE t.source = $2 AND EXISTS (SELECT 1 FROM ",
                    $table,
                    " AS o WHERE o.source = $1 AND ",
                    $same,
                    ")"
                ),
                concat!(
                    "-- store::rename_source::",
                    $table,
                    "\nUPDATE ",
                    $table,
                    " SET source = $2 WHERE source = $1"
                ),
            ],
        ),)+]
    };
}

/// Tables with a column `source`, with their statements.
const RENAMES: &[(&str, [&str; 2])] = renames! {
    "external_tickets" "o.external_id = t.external_id",
    "events" "o.delivery = t.delivery AND o.fingerprint = t.fingerprint",
    "counts" "o.state = t.state",
    "activity" "o.at = t.at",
    "conflicts" "o.external_id = t.external_id AND o.learned = t.learned
        AND o.decision IS NULL AND t.decision IS NULL",
    "disconnects" "FALSE",
    "audit" "FALSE",
    "direct_channels" "o.channel = t.channel",
    "channel_moves" "o.channel = t.channel",
    "feeds" "TRUE",
    "import_rows" "o.import_id = t.import_id AND o.external_id = t.external_id",
};

impl Writer {
    /// Gives what is stored under the old names to the sources, all or none, in one transaction.
    /// Returns the renames for which something was stored. Only before the writer runs: nothing may
    /// know an event by its old source.
    pub async fn rename_sources(
        &mut self,
        renames: Vec<Rename>,
    ) -> Result<Vec<Rename>, RenameError> {
        self.first(|tx| {
            Box::pin(async move {
                let due = match due(tx, renames).await {
                    Err(RenameError::Store(error)) => return Err(error),
                    due => due,
                };
                for Rename { from, to, .. } in due.iter().flatten() {
                    // All tables or none: a half renamed source would lose its mappings from view.
                    for statement in RENAMES.iter().flat_map(|(_, statements)| statements) {
                        tx.run(statement, args![from, to]).await?;
                    }
                    tx.run(end_channel::RENAME_SOURCE, args![from, to]).await?;
                }
                Ok(due)
            })
        })
        .await?
    }
}

/// The renames for which something is stored. They do not touch each other: no name is old and new at
/// once.
async fn due(tx: &mut Tx, renames: Vec<Rename>) -> Result<Vec<Rename>, RenameError> {
    let mut due = Vec::new();
    for rename in renames {
        if rename.is_due(tx.connection().await?).await? {
            due.push(rename);
        }
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::store::Store;

    #[test]
    fn a_source_takes_what_is_of_its_kind_and_only_under_a_free_name() {
        let rename = Rename {
            from: "old".parse().unwrap(),
            to: "new".parse().unwrap(),
            is_of_kind: Box::new(|id| id.as_str().starts_with("id-")),
        };
        for (old_is_used, new_is_used, first, last, expected) in [
            (false, false, None, None, "nothing"),
            (false, true, None, None, "nothing"),
            (true, false, None, None, "due"),
            (true, true, None, None, "both"),
            (true, false, Some("id-1"), Some("id-2"), "due"),
            (true, true, Some("id-1"), Some("id-2"), "both"),
            (true, false, Some("1"), Some("id-2"), "other kind"),
            (true, false, Some("id-1"), Some("z"), "other kind"),
            (true, true, Some("1"), Some("2"), "other kind"),
        ] {
            let names = Names {
                old_is_used,
                new_is_used,
                first: first.map(ExternalId::checked),
                last: last.map(ExternalId::checked),
            };
            let decided = match rename.decide(&names) {
                Ok(true) => "due",
                Ok(false) => "nothing",
                Err(RenameError::Both { .. }) => "both",
                Err(RenameError::OtherKind { .. }) => "other kind",
                Err(error) => panic!("{error}"),
            };
            assert_eq!(
                decided, expected,
                "{old_is_used} {new_is_used} {first:?} {last:?}"
            );
        }
    }

    #[tokio::test]
    async fn every_table_that_names_a_source_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("x.db").display());
        let (_store, mut writer) = Store::open(&url, Timestamp::UNIX_EPOCH).await.unwrap();
        let tables: Vec<String> = writer
            .first(|tx| {
                Box::pin(async move {
                    let named =
                        "SELECT t.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                        WHERE t.type = 'table' AND c.name = 'source'";
                    tx.fetch_all(named, args![]).await
                })
            })
            .await
            .unwrap();
        let known: BTreeSet<_> = RENAMES.iter().map(|(table, _)| *table).collect();
        assert_eq!(
            tables.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            known
        );
    }
}
