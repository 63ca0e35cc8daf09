//! Clears the texts that hold a name: errors, answers of Serval, and the words of people.

use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, json};

/// Number of ids that an engine searches together.
const STEP: i64 = 50_000;
/// Number of ids whose texts are read together: the engines know no lower case outside A to Z.
const READ_STEP: i64 = 2000;

/// A column of texts.
struct Place {
    /// Reads the last id.
    last: &'static str,
    /// Finds the texts that hold one of the names.
    find: &'static str,
    clear: &'static str,
}

macro_rules! place {
    ($table:literal, $text:literal, $only:literal, $set:literal) => {
        Place {
            last: concat!("SELECT COALESCE(MAX(id), 0) FROM ", $table),
            find: concat!(
                "SELECT id, ",
                $text,
                " FROM ",
                $table,
                " WHERE id > $1 AND id <= $2 AND ",
                $only,
                " AND EXISTS (SELECT 1 FROM json_each($3) AS n WHERE instr(lower(",
                $text,
                "), n.atom) > 0)"
            ),
            // The row may have changed since it was found.
            clear: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $set,
                " WHERE ",
                $only,
                " AND id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))"
            ),
        }
    };
}

/// A reason is a word of ours, or these words of a person.
macro_rules! by_a_person {
    ($table:literal) => {
        place!(
            $table,
            "reason",
            "substr(reason, 1, 10) = 'replayed: '",
            "reason = 'replayed'"
        )
    };
}

const PLACES: [Place; 7] = [
    place!(
        "audit",
        "subject",
        "subject IS NOT NULL",
        "subject = NULL, reason = NULL"
    ),
    place!(
        "audit",
        "reason",
        "reason IS NOT NULL",
        "subject = NULL, reason = NULL"
    ),
    place!(
        "events",
        "last_error",
        "last_error IS NOT NULL",
        "last_error = NULL"
    ),
    by_a_person!("events"),
    by_a_person!("changes"),
    place!("attempts", "answer", "answer IS NOT NULL", "answer = NULL"),
    place!(
        "disconnects",
        "last_error",
        "last_error IS NOT NULL",
        "last_error = NULL"
    ),
];

impl Store {
    /// Clears the errors and answers about other external tickets, and the words of people, that hold one of these
    /// names, in upper or lower case. Returns their number.
    pub(super) async fn clear_mentions(&self, names: &[&str]) -> Result<u64, StoreError> {
        // Every text holds an empty name.
        let names = names.iter().filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(|name| name.to_lowercase()).collect();
        let (step, sought) = if names.iter().all(|name| name.is_ascii()) {
            (STEP, json(&names))
        } else {
            (READ_STEP, json(&[""]))
        };
        let mut cleared = 0;
        for place in PLACES {
            let last: i64 = sql::fetch_one(&self.readers, place.last, args![]).await?;
            let mut from = 0;
            while from < last {
                let until = from.saturating_add(step);
                let args = args![from, until, &sought];
                let texts: Vec<(i64, String)> =
                    sql::fetch_all(&self.readers, place.find, args).await?;
                from = until;
                let found = texts.iter().filter(|(_, text)| holds(text, &names));
                let found: Vec<i64> = found.map(|(id, _)| *id).collect();
                if !found.is_empty() {
                    let found = json(&found);
                    cleared += self.run(place.clear, move || args![&found]).await?;
                }
            }
        }
        Ok(cleared)
    }
}

/// True if a text holds one of the names, which are in lower case.
fn holds(text: &str, names: &[String]) -> bool {
    let text = text.to_lowercase();
    names.iter().any(|name| text.contains(name))
}
