//! Facts that the store keeps of each source.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::feed::{Kept, Trouble};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

row! {
    struct FeedRow {
        source: String,
        last_webhook_at: Timestamp,
        trouble: Option<Trouble>,
        trouble_at: Option<Timestamp>,
    }
}

impl Store {
    /// Returns what is kept of each source that ever sent something.
    pub async fn feeds(&self) -> Result<HashMap<String, Kept>, StoreError> {
        const FEEDS: &str = "\
            -- store::feeds::all
            SELECT source, last_webhook_at, trouble, trouble_at FROM feeds";
        let rows: Vec<FeedRow> = sql::fetch_all(&self.readers, FEEDS, args![]).await?;
        let kept = |row: FeedRow| {
            let kept = Kept {
                last_webhook_at: Some(row.last_webhook_at),
                trouble: row.trouble.zip(row.trouble_at),
            };
            (row.source, kept)
        };
        Ok(rows.into_iter().map(kept).collect())
    }
}
