//! Facts that a server tells about itself, the reasons to refuse it, and warnings.

use crate::store::engine::{Server, Via};
use crate::store::error::StoreError;
use crate::store::sql::{self, args, row};

/// The oldest version that is known to do, as the server counts.
const OLDEST: i64 = 140_000;

/// A server, as it says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version, such as `15.4`.
    pub version: String,
    number: i64,
    encoding: String,
    syncs: bool,
    writes_full_pages: bool,
    standbys: Standbys,
}

row! {
    /// Settings of a server.
    struct Settings {
        version: String,
        number: i64,
        encoding: String,
        syncs: bool,
        writes_full_pages: bool,
    }
}

/// The standbys that stream from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standbys {
    /// Names of those that the server does not wait for.
    Asynchronous(Vec<String>),
    /// Their number. The user may not see more.
    Hidden(usize),
}

impl ServerFacts {
    /// Asks a server.
    pub(super) async fn read(server: &mut Server) -> Result<Self, StoreError> {
        const SETTINGS: &str = "\
            -- store::facts::settings
            SELECT split_part(current_setting('server_version'), ' ', 1),
                CAST(current_setting('server_version_num') AS BIGINT),
                current_setting('server_encoding'),
                current_setting('fsync') = 'on',
                current_setting('full_page_writes') = 'on'";
        let via = Via::Postgres(server.connection());
        let settings: Settings = sql::fetch_one(via, SETTINGS, args![]).await?;
        let standbys = if settings.number < OLDEST {
            Standbys::Hidden(0)
        } else {
            Standbys::read(server).await?
        };
        Ok(Self {
            version: settings.version,
            number: settings.number,
            encoding: settings.encoding,
            syncs: settings.syncs,
            writes_full_pages: settings.writes_full_pages,
            standbys,
        })
    }

    /// Reason why acknowledged webhooks would not be safe on the server, or could not be stored.
    pub(super) fn refusal(&self) -> Option<String> {
        let version = &self.version;
        if self.number < OLDEST {
            return Some(format!(
                "the server has version {version}, and 14 is the oldest that will do: update it"
            ));
        }
        if self.encoding != "UTF8" {
            let encoding = &self.encoding;
            return Some(format!(
                "the database has the encoding {encoding}, which cannot hold every text: make one with CREATE \
                 DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            ));
        }
        if !self.syncs {
            return Some(
                "the server has fsync = off, so a power cut takes webhooks that were acknowledged: set fsync = on in \
                 its postgresql.conf, and reload it"
                    .to_owned(),
            );
        }
        if !self.writes_full_pages {
            return Some(
                "the server has full_page_writes = off, so a power cut may damage the database: set full_page_writes \
                 = on in its postgresql.conf, and reload it"
                    .to_owned(),
            );
        }
        None
    }

    /// Warnings for the administrator: acknowledged webhooks may not be safe.
    pub fn warnings(&self) -> Vec<String> {
        match &self.standbys {
            Standbys::Hidden(0) => Vec::new(),
            Standbys::Asynchronous(names) if names.is_empty() => Vec::new(),
            Standbys::Asynchronous(names) => vec![format!(
                "the server does not wait for its standby {}: an acknowledged webhook may be lost by a failover to \
                 it; name it in synchronous_standby_names, or accept that",
                names.join(", ")
            )],
            Standbys::Hidden(many) => vec![format!(
                "the server has standbys ({many}), and it cannot be told whether it waits for them: an acknowledged \
                 webhook may be lost by a failover; to have this looked at, GRANT pg_monitor to the user of database.url"
            )],
        }
    }
}

impl Standbys {
    async fn read(server: &mut Server) -> Result<Self, StoreError> {
        const SEES: &str = "\
            -- store::facts::sees_standbys
            SELECT pg_has_role('pg_read_all_stats', 'USAGE')";
        // A logical subscriber takes no part in a failover.
        const STANDBYS: &str = "\
            -- store::facts::standbys
            SELECT COALESCE(r.application_name, ''), COALESCE(r.sync_state, '') = 'async'
            FROM pg_stat_replication AS r
            WHERE NOT EXISTS (
                SELECT 1 FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical'
            )
            ORDER BY 1";
        let via = Via::Postgres(server.connection());
        let sees: bool = sql::fetch_one(via, SEES, args![]).await?;
        let via = Via::Postgres(server.connection());
        let standbys: Vec<(String, bool)> = sql::fetch_all(via, STANDBYS, args![]).await?;
        if !sees {
            return Ok(Self::Hidden(standbys.len()));
        }
        let asynchronous = standbys.into_iter().filter(|(_, is_async)| *is_async);
        Ok(Self::Asynchronous(
            asynchronous.map(|(name, _)| name).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ServerFacts {
        ServerFacts {
            version: "15.4".to_owned(),
            number: 150_004,
            encoding: "UTF8".to_owned(),
            syncs: true,
            writes_full_pages: true,
            standbys: Standbys::Asynchronous(Vec::new()),
        }
    }

    #[test]
    fn a_server_that_may_lose_what_was_acknowledged_is_refused_with_what_to_set() {
        let old = ServerFacts {
            version: "13.9".to_owned(),
            number: 130_009,
            ..good()
        };
        let oldest = ServerFacts {
            number: 140_000,
            ..good()
        };
        let latin = ServerFacts {
            encoding: "LATIN1".to_owned(),
            ..good()
        };
        let unsynced = ServerFacts {
            syncs: false,
            ..good()
        };
        let torn = ServerFacts {
            writes_full_pages: false,
            ..good()
        };
        for (facts, expected) in [
            (good(), None),
            (oldest, None),
            (old, Some(["13.9", "14 is the oldest"])),
            (latin, Some(["LATIN1", "ENCODING 'UTF8'"])),
            (unsynced, Some(["fsync = off", "set fsync = on"])),
            (
                torn,
                Some(["full_page_writes = off", "set full_page_writes"]),
            ),
        ] {
            let refusal = facts.refusal();
            assert_eq!(refusal.is_some(), expected.is_some(), "{refusal:?}");
            for part in expected.into_iter().flatten() {
                assert!(
                    refusal.as_ref().is_some_and(|text| text.contains(part)),
                    "{refusal:?}"
                );
            }
        }
    }

    #[test]
    fn a_failover_that_may_lose_something_is_warned_of() {
        let named =
            |names: &[&str]| Standbys::Asynchronous(names.iter().map(|&n| n.into()).collect());
        for (standbys, expected) in [
            (named(&[]), None),
            (
                named(&["two", "three"]),
                Some("its standby two, three: an acknowledged webhook may be lost"),
            ),
            (Standbys::Hidden(0), None),
            (Standbys::Hidden(2), Some("GRANT pg_monitor")),
        ] {
            let warnings = ServerFacts { standbys, ..good() }.warnings();
            assert_eq!(
                warnings.len(),
                usize::from(expected.is_some()),
                "{warnings:?}"
            );
            assert!(
                warnings
                    .iter()
                    .all(|w| w.contains(expected.unwrap_or_default())),
                "{warnings:?}"
            );
        }
    }
}
