//! The time that counts for ages, although the clock may be wrong.
//!
//! At a start nobody can tell a daemon that was off for 40 days from a clock that is 40 days ahead. So neither
//! counts: an age is the time in which the daemon was up, by a clock that went on as time does. Only a short
//! pause counts as time. To wait longer than necessary does little harm; what expired or was deleted is gone.
//!
//! Times stay wall-clock times in the database. After a step, waiting events are moved by it, so that they
//! keep what is left of their time. What is finished keeps its times: [`Uptime::cut_off`] counts back over the
//! steps, and [`Uptime::on_this_clock`] counts on over them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::retry::moved;

/// Longest pause between two runs that counts as time: a restart, or a new version.
const PAUSE_MS: i64 = 600_000;
/// Smaller differences come from a clock that is being adjusted slowly.
const TOLERANCE_MS: i64 = 5_000;
/// Number of earlier stretches that are kept. The oldest one has no beginning.
const KEPT: usize = 256;

/// Longest time after the last sign of life in which something was still written.
const BEAT_MS: i64 = 120_000;

/// Decides whether a clock that went on by `shown` is plausible where between `least` and `most` have passed.
/// `None`: it is. Else it made a step: all that it shows beyond `least`; negative: back. In milliseconds.
pub fn step(shown: i64, least: i64, most: i64) -> Option<i64> {
    let beyond = shown.saturating_sub(shown.clamp(least, most));
    (beyond.saturating_abs() > TOLERANCE_MS).then(|| shown.saturating_sub(least))
}

/// Milliseconds from `earlier` to `later`; negative if they are in the other order.
pub fn millis_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later
        .as_millisecond()
        .saturating_sub(earlier.as_millisecond())
}

/// A time in which the clock went on as time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    began: Timestamp,
    /// The last sign of life, if it is the current one.
    ended: Timestamp,
}

/// The stretches of a database. Between two of them is a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// The oldest first.
    earlier: Vec<Stretch>,
    current: Stretch,
}

/// The rows that retention deletes: those from before a moment, except those of a time in which the clock was behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff {
    /// Rows from then on stay.
    pub before: Timestamp,
    /// Rows of this time stay, too. They are younger than they say.
    pub spared: Option<(Timestamp, Timestamp)>,
}

impl From<Timestamp> for CutOff {
    fn from(before: Timestamp) -> Self {
        Self {
            before,
            spared: None,
        }
    }
}

impl CutOff {
    /// True if a row of this time is deleted.
    pub fn takes(&self, at: Timestamp) -> bool {
        let is_spared = |(from, until)| from <= at && at <= until;
        at < self.before && !self.spared.is_some_and(is_spared)
    }
}

impl Uptime {
    /// Begins to count. `alive_at`: the last known sign of life.
    pub fn new(alive_at: Timestamp) -> Self {
        Self {
            earlier: Vec::new(),
            current: Stretch {
                began: alive_at,
                ended: alive_at,
            },
        }
    }

    /// Goes on after a pause of unknown length. Returns the step of the clock, in milliseconds.
    pub fn resume(&mut self, now: Timestamp) -> Option<i64> {
        let step = step(millis_between(self.current.ended, now), 0, PAUSE_MS);
        match step {
            Some(step) => self.follow(step, now),
            None => self.beat(now),
        }
        step
    }

    /// The clock made a step, and shows `now` after it.
    pub fn follow(&mut self, step: i64, now: Timestamp) {
        self.beat(moved(now, step.saturating_neg()));
        self.earlier.push(self.current);
        if self.earlier.len() > KEPT {
            self.earlier.remove(0);
        }
        self.current = Stretch {
            began: now,
            ended: now,
        };
    }

    /// A sign of life.
    pub fn beat(&mut self, now: Timestamp) {
        self.current.ended = now;
    }

    /// The last step: when the clock showed what after it, and its length in milliseconds.
    pub fn last_step(&self) -> Option<(Timestamp, i64)> {
        let before = self.earlier.last()?;
        let at = self.current.began;
        Some((at, millis_between(before.ended, at)))
    }

    /// Returns what this clock would have shown at a time that was written by the clock of that time.
    pub fn on_this_clock(&self, at: Timestamp) -> Timestamp {
        // From the newest stretch on, since the clock may have shown the time more than once.
        let mut steps = 0_i64;
        let mut later_began = None;
        for stretch in std::iter::once(&self.current).chain(self.earlier.iter().rev()) {
            let step = later_began.map_or(0, |began| millis_between(stretch.ended, began));
            steps = steps.saturating_add(step);
            if stretch.began <= at && at <= moved(stretch.ended, BEAT_MS) {
                return moved(at, steps);
            }
            later_began = Some(stretch.began);
        }
        at
    }

    /// Decides what is older than `keep`; `None`: nothing, since zero keeps rows without end.
    pub fn cut_off(&self, keep: Duration, now: Timestamp) -> Option<CutOff> {
        let mut left = SignedDuration::try_from(keep).ok()?;
        if left.is_zero() {
            return None;
        }
        let current = Stretch {
            ended: now,
            ..self.current
        };
        let mut stretches = self.earlier.clone();
        stretches.push(current);
        // Back from now, until the time to keep is used up. The oldest stretch has no beginning.
        let mut later: Vec<Stretch> = Vec::new();
        while let Some(stretch) = stretches.pop() {
            let length = stretch.ended.duration_since(stretch.began);
            if left <= length || stretches.is_empty() {
                let before = stretch.ended.checked_sub(left).ok()?;
                return Some(CutOff {
                    before,
                    spared: hull(later.iter().filter(|later| later.began < before)),
                });
            }
            left -= length.max(SignedDuration::ZERO);
            later.push(stretch);
        }
        None
    }
}

/// The time from the first beginning to the last end.
fn hull<'a>(stretches: impl Iterator<Item = &'a Stretch>) -> Option<(Timestamp, Timestamp)> {
    stretches
        .map(|stretch| (stretch.began, stretch.ended))
        .reduce(|(from, until), (began, ended)| (from.min(began), until.max(ended)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_is_plausible_if_it_shows_what_may_have_passed() {
        let (minute, day) = (60_000, DAY * 1000);
        for (shown, least, most, expected) in [
            // A run, whose time is known.
            (minute, minute, minute, None),
            (minute + 5_000, minute, minute, None),
            (minute - 5_000, minute, minute, None),
            (minute + 5_001, minute, minute, Some(5_001)),
            (minute - 5_001, minute, minute, Some(-5_001)),
            (minute + 40 * day, minute, minute, Some(40 * day)),
            (0, 2 * day, 2 * day, Some(-2 * day)),
            // A start, whose pause may be short or long.
            (0, 0, PAUSE_MS, None),
            (2_000, 0, PAUSE_MS, None),
            (PAUSE_MS + 5_000, 0, PAUSE_MS, None),
            (-5_000, 0, PAUSE_MS, None),
            (PAUSE_MS + 5_001, 0, PAUSE_MS, Some(PAUSE_MS + 5_001)),
            (40 * day, 0, PAUSE_MS, Some(40 * day)),
            (-5_001, 0, PAUSE_MS, Some(-5_001)),
            (-40 * day, 0, PAUSE_MS, Some(-40 * day)),
            (i64::MIN, 0, PAUSE_MS, Some(i64::MIN)),
        ] {
            assert_eq!(step(shown, least, most), expected, "{shown} in {least}");
        }
    }

    /// Plays a history in seconds: the database begins at its first time, and each further entry is either a
    /// start or a step while the daemon runs. Before each, the daemon was alive until the second time.
    fn history(entries: &[(bool, i64, i64)]) -> (Uptime, Vec<i64>) {
        let mut uptime = Uptime::new(at(entries[0].1));
        let mut steps = Vec::new();
        for (is_start, alive_at, now) in entries {
            uptime.beat(at(*alive_at));
            if *is_start {
                steps.push(uptime.resume(at(*now)).unwrap_or(0) / 1000);
            } else {
                uptime.follow((now - alive_at) * 1000, at(*now));
            }
        }
        (uptime, steps)
    }

    #[test]
    fn only_a_short_pause_counts_as_time() {
        let t = 1000 * DAY;
        for (entries, steps) in [
            (&[(true, t, t)][..], &[0][..]),
            (&[(true, t, t + 600)], &[0]),
            (&[(true, t, t + 605)], &[0]),
            (&[(true, t, t + 606)], &[606]),
            (&[(true, t, t + 3600)], &[3600]),
            (&[(true, t, t - 3)], &[0]),
            (&[(true, t, t - 3600)], &[-3600]),
            (&[(true, t, 0)], &[-t]),
            // The clock was ahead for one run.
            (
                &[(true, t, t + 40 * DAY), (true, t + 40 * DAY, t + 60)],
                &[40 * DAY, 60 - 40 * DAY],
            ),
        ] {
            assert_eq!(history(entries).1, steps, "{entries:?}");
        }
    }

    #[test]
    fn the_last_step_is_told() {
        let t = 1000 * DAY;
        assert_eq!(history(&[(true, t, t + 60)]).0.last_step(), None);
        let (uptime, _) = history(&[(true, t, t + 3600), (false, t + 4000, t)]);
        assert_eq!(uptime.last_step(), Some((at(t), -4_000_000)));
    }

    #[test]
    fn retention_counts_the_time_in_which_the_daemon_was_up() {
        const KEEP: i64 = 30 * DAY;
        let t = 1000 * DAY;
        let behind = |from, until| Some((at(from), at(until)));
        for (entries, now, before, spared) in [
            // No step: what it is by the calendar.
            (&[(true, t, t)][..], t, t - KEEP, None),
            (&[(true, t, t + 300)], t + 300, t + 300 - KEEP, None),
            // Ahead by 40 days at the start, or off that long: none of it counts.
            (&[(true, t, t + 40 * DAY)], t + 40 * DAY, t - KEEP, None),
            (
                &[(true, t, t + 40 * DAY)],
                t + 60 * DAY,
                t + 20 * DAY - KEEP,
                None,
            ),
            // Once the time to keep has passed since, the step matters no more.
            (
                &[(true, t, t + 40 * DAY)],
                t + 71 * DAY,
                t + 71 * DAY - KEEP,
                None,
            ),
            // Ahead while it ran, and set right after an hour.
            (
                &[
                    (false, t, t + 40 * DAY),
                    (false, t + 40 * DAY + 3600, t + 3600),
                ],
                t + 7200,
                t + 7200 - KEEP,
                None,
            ),
            // In 1970, and then set right: what ended in 1970 is no older than the rest.
            (&[(true, t, 0)], 50, t + 50 - KEEP, behind(0, 50)),
            (
                &[(true, t, 0), (false, 100, t + 100)],
                t + DAY,
                t + DAY - KEEP,
                behind(0, 100),
            ),
            (
                &[(true, t, 0), (false, 100, t + 100)],
                t + 31 * DAY,
                t + 31 * DAY - KEEP,
                None,
            ),
            // Off each night.
            (
                &[
                    (true, t, t + 30_600),
                    (true, t + DAY, t + DAY + 30_600),
                    (true, t + 2 * DAY, t + 2 * DAY + 30_600),
                ],
                t + 3 * DAY,
                t + 3 * DAY - KEEP - 3 * 30_600,
                None,
            ),
        ] {
            let (uptime, _) = history(entries);
            let expected = CutOff {
                before: at(before),
                spared,
            };
            let keep = Duration::from_secs(KEEP.unsigned_abs());
            let cut_off = uptime.cut_off(keep, at(now));
            assert_eq!(cut_off, Some(expected), "{entries:?} at {now}");
        }
    }

    #[test]
    fn a_time_is_counted_on_over_the_steps_since() {
        let t = 1000 * DAY;
        let ahead = t + 40 * DAY;
        let (uptime, _) = history(&[(true, t, ahead)]);
        for (written, shown) in [
            (t, ahead),
            // The last sign of life is older than it.
            (t + 60, ahead + 60),
            // Moved already, or of no time that is known.
            (ahead - 5, ahead - 5),
            (ahead + 5, ahead + 5),
            (t - 5, t - 5),
            (ahead + DAY, ahead + DAY),
        ] {
            assert_eq!(uptime.on_this_clock(at(written)), at(shown), "{written}");
        }
        // Set right again.
        let (uptime, _) = history(&[(true, t, ahead), (false, ahead + 100, t + 100)]);
        for (written, shown) in [(t, t), (ahead + 70, t + 70), (t + 100, t + 100)] {
            assert_eq!(uptime.on_this_clock(at(written)), at(shown), "{written}");
        }
    }

    #[test]
    fn a_cut_off_takes_what_is_old_and_not_spared() {
        let cut_off = CutOff {
            before: at(100),
            spared: Some((at(10), at(20))),
        };
        let taken = [0, 9, 10, 20, 21, 99, 100].map(|second| cut_off.takes(at(second)));
        assert_eq!(taken, [true, true, false, false, true, true, false]);
    }

    #[test]
    fn zero_keeps_without_end() {
        let uptime = Uptime::new(at(DAY));
        assert_eq!(uptime.cut_off(Duration::ZERO, at(DAY)), None);
        assert_eq!(uptime.cut_off(Duration::MAX, at(DAY)), None);
    }

    #[test]
    fn the_number_of_stretches_is_bounded() {
        let mut uptime = Uptime::new(at(0));
        for n in 1..2000 {
            uptime.follow(1_000_000, at(n * 2000));
        }
        assert_eq!(uptime.earlier.len(), KEPT);
        assert_eq!(uptime.last_step(), Some((at(1999 * 2000), 1_000_000)));
    }
}
