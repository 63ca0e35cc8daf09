//! Finds the events that arrived within a range of time. No index has the time of arrival, but ids are in its order.

use jiff::Timestamp;

use crate::edge::window::Window;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis};

/// Longest time by which a clock may have been set back, in milliseconds. Events of that time have ids out of the
/// order of time.
const MARGIN: i64 = 24 * 60 * 60 * 1000;

/// Events that arrived within a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Ids of the first one, and of the one behind the last. Between them are others, too.
    pub(crate) ids: [i64; 2],
    /// First moment, and first moment behind the range, in milliseconds.
    pub(crate) times: [i64; 2],
    window: Window,
}

impl Store {
    /// Looks up which events arrived within a range of time; `None` if the range has no end.
    pub async fn arrived(&self, window: &Window) -> Result<Option<Arrived>, StoreError> {
        if window.is_open() {
            return Ok(None);
        }
        let times @ [since, until] = bounds(window);
        let first = self.first_since(since.saturating_sub(MARGIN)).await?;
        let behind = self.first_since(until.saturating_add(MARGIN)).await?;
        Ok(Some(Arrived {
            ids: [first, behind],
            times,
            window: *window,
        }))
    }

    /// Id before which all events are older. Some behind it may be older, too, if the clock was set back.
    async fn first_since(&self, at: i64) -> Result<i64, StoreError> {
        const LAST: &str = "\
            -- store::arrived::last
            SELECT COALESCE(MAX(id), 0) FROM events";
        const NEXT: &str = "\
            -- store::arrived::next
            SELECT id, received_at FROM events WHERE id >= $1 ORDER BY id LIMIT 1";
        let last: i64 = sql::fetch_one(&self.readers, LAST, args![]).await?;
        let (mut low, mut high) = (0, last.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let next: Option<(i64, Timestamp)> =
                sql::fetch_optional(&self.readers, NEXT, args![middle]).await?;
            match next {
                Some((id, received_at)) if millis(received_at) < at => low = id.saturating_add(1),
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }
}

/// The range in stored times.
pub(in crate::store) fn bounds(window: &Window) -> [i64; 2] {
    // A moment between two milliseconds begins with the later one.
    let first = |at: Timestamp| {
        let is_between = at.subsec_nanosecond() % 1_000_000 != 0;
        millis(at).saturating_add(i64::from(is_between))
    };
    [
        window.since.map_or(i64::MIN, first),
        window.until.map_or(i64::MAX, first),
    ]
}

impl Arrived {
    /// Describes the range for the audit.
    pub(crate) fn in_words(&self) -> String {
        let side = |word, at: Option<Timestamp>| at.map(|at| format!("{word} {at:.0}"));
        let sides = [
            side("since", self.window.since),
            side("until", self.window.until),
        ];
        let sides: Vec<_> = sides.into_iter().flatten().collect();
        format!("arrived {}", sides.join(" "))
    }
}
