//! Health: webhooks are stored, and stored events move on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::calls::Calls;
use super::feeds::Feeds;
use super::service::Operators;
use crate::domain::feed::Feed;
use crate::domain::ids::SourceName;
use crate::domain::retry::later;
use crate::store::{Levels, StoreError};

/// Time for which a step of the clock is told.
const STEP_TOLD: Duration = Duration::from_hours(24);

impl Operators {
    /// Reasons why the daemon is not ready; empty if it is.
    pub async fn problems(
        &self,
        levels: &Result<Levels, StoreError>,
        now: Timestamp,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.can_store(now).await {
            problems.push(format!("nothing can be stored: {error}"));
        }
        if let Some(problem) = self.store.damage() {
            problems.push(format!(
                "the database is damaged: {problem}; restore a backup"
            ));
        }
        if let Some(error) = self.store.stuck_import() {
            problems.push(format!(
                "an import of mappings cannot be written further, and no call is made before it is: {error}"
            ));
        }
        problems.extend(self.fenced());
        let (calls, own) = (self.calls(), self.own_calls());
        // A replica whose own credentials are refused could not take over.
        let mut holds: Vec<&str> = [&calls, &own]
            .map(Calls::held_for)
            .into_iter()
            .flatten()
            .collect();
        holds.dedup();
        for reason in holds {
            problems.push(format!("calls to Serval are held: {reason}"));
        }
        if own.is_silent() {
            problems.push("the delivery worker has stopped looking at its queue".to_owned());
        }
        // A queue that stands still although Serval answers is our own fault. While Serval is down,
        // waiting is right, and no restart would help.
        let oldest_due = levels.as_ref().ok().and_then(|levels| levels.oldest_due);
        if calls.is_stuck(oldest_due, now) {
            problems.push("due events do not move although Serval answers".to_owned());
        }
        if let Err(error) = levels {
            problems.push(format!("the database cannot be read: {error}"));
        }
        problems
    }

    /// Fails if nothing can be stored.
    async fn can_store(&self, now: Timestamp) -> Result<(), StoreError> {
        // The answer must not wait for another process that holds the database.
        if let Some(refused) = self.store.refuses() {
            return Err(refused);
        }
        // A probe writes to the database. It is made only while writes fail, so that a healthy
        // daemon does not write for each question.
        if self.store.is_failing() {
            return self.store.probe(now).await;
        }
        Ok(())
    }

    /// Says that another program wrote to the database within the last day.
    pub fn other_writer(&self) -> Option<&'static str> {
        const FOUND: &str = "another program wrote to the database within the last day; only the daemon may: find that \
                             program and end it";
        self.store.has_other_writer().then_some(FOUND)
    }

    /// A step that the clock made within the last day, and what waits because of it.
    pub fn clock_step(&self, now: Timestamp) -> Option<String> {
        let (at, step) = self.store.last_step()?;
        (now < later(at, STEP_TOLD)).then(|| in_words(at, step))
    }

    /// Arrivals and refusals of the sources.
    pub fn heard(&self) -> &Feeds {
        &self.feeds
    }

    /// Returns the feeds of the configured sources at `now`.
    pub async fn feeds(&self, now: Timestamp) -> Result<BTreeMap<SourceName, Feed>, StoreError> {
        let kept = self.store.feeds().await?;
        Ok(self.feeds.of(&self.rules.now().sources, &kept, now))
    }
}

fn in_words(at: Timestamp, step_ms: i64) -> String {
    let minutes = step_ms.unsigned_abs().saturating_add(30_000) / 60_000;
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    let length = format!("{days} d {hours} h {} min", minutes % 60);
    let happened = if step_ms < 0 {
        format!("the clock went back by {length} to {at:.0}")
    } else {
        format!(
            "the clock went ahead by {length} to {at:.0}, or the daemon was off for so long; retention keeps \
             what came before longer by as much"
        )
    };
    format!(
        "{happened}; waiting events keep what is left of their time; while the clock is wrong, signed webhooks \
         are refused"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    #[test]
    fn a_step_of_the_clock_is_told_with_its_length() {
        let at = Timestamp::from_second(NOW).unwrap();
        let day = 86_400_000;
        for (step, expected) in [
            (
                40 * day + 61_000,
                "the clock went ahead by 40 d 0 h 1 min to 1970-01-12T13:46:40Z, or the daemon was \
                 off for so long; retention keeps what came before longer by as much; waiting events ",
            ),
            (
                -3_600_000,
                "the clock went back by 0 d 1 h 0 min to 1970-01-12T13:46:40Z; waiting events ",
            ),
        ] {
            let words = in_words(at, step);
            assert!(words.starts_with(expected), "{words}");
        }
    }
}
