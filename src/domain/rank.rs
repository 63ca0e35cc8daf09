//! Ranks: which of several events stands for their external ticket.

use super::ids::EventId;

/// Rank of an event among those of its external ticket: the one that stands for the ticket is parked,
/// and is sent when the mapping is written or changed.
///
/// Each kind of source fills it: with the time and the count of a save, so that the newest save stands
/// for its record; or so that the first message stands for its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rank(pub i64, pub i64);

impl Rank {
    /// A number that cannot be read.
    pub const UNKNOWN: i64 = i64::MIN;
    /// Neither number can be read.
    pub const NONE: Self = Self(Self::UNKNOWN, Self::UNKNOWN);

    /// True if an event of this rank stands for the ticket, and not one of the rank `later` that arrived
    /// after it. The first numbers decide if both are known and differ, else the second ones, else the
    /// later arrival.
    pub fn outranks(self, later: Self) -> bool {
        let decide = |(mine, other): (i64, i64)| {
            let are_known = mine != Self::UNKNOWN && other != Self::UNKNOWN;
            (are_known && mine != other).then_some(mine > other)
        };
        let pairs = [(self.0, later.0), (self.1, later.1)];
        pairs.into_iter().find_map(decide).unwrap_or(false)
    }
}

/// True if the event `one` stands for the ticket, and not `other`. Ids are in the order of arrival.
pub fn stands_before(one: (EventId, Rank), other: (EventId, Rank)) -> bool {
    if one.0 < other.0 {
        one.1.outranks(other.1)
    } else {
        !other.1.outranks(one.1)
    }
}

/// True if the event `one` is older than `other`, as far as a payload tells what is right now. Of saves that
/// is the one that does not stand for its record; of messages the earlier one, whose second number is greater.
pub fn is_older(one: (EventId, Rank), other: (EventId, Rank)) -> bool {
    let age = |(id, rank): (EventId, Rank)| {
        let is_message = rank.1 < 0 && rank.1 != Rank::UNKNOWN;
        let sent = Rank(Rank::UNKNOWN, rank.1.saturating_neg());
        (id, if is_message { sent } else { rank })
    };
    stands_before(age(other), age(one))
}

/// Chooses what stands for an external ticket among its events in the order of arrival.
pub fn foremost<T>(events: impl IntoIterator<Item = (T, Rank)>) -> Option<(T, Rank)> {
    let later = |kept: (T, Rank), next: (T, Rank)| {
        if kept.1.outranks(next.1) { kept } else { next }
    };
    events.into_iter().reduce(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: i64 = Rank::UNKNOWN;

    #[test]
    fn the_newest_save_is_the_later_one_then_the_one_with_the_higher_count_then_the_later_arrival()
    {
        // A stored rank, that of a later arrival, and whether the stored event stays in front.
        for (kept, later, expected) in [
            (Rank(20, 1), Rank(10, 9), true),
            (Rank(10, 9), Rank(20, 1), false),
            (Rank(10, 9), Rank(10, 8), true),
            (Rank(10, 8), Rank(10, 9), false),
            (Rank(10, 9), Rank(10, 9), false),
            (Rank(UNKNOWN, 9), Rank(10, 8), true),
            (Rank(10, 9), Rank(UNKNOWN, 8), true),
            (Rank(10, 8), Rank(UNKNOWN, 9), false),
            (Rank(UNKNOWN, 8), Rank(10, 9), false),
            (Rank(UNKNOWN, 9), Rank(UNKNOWN, 8), true),
            (Rank(10, UNKNOWN), Rank(10, 8), false),
            (Rank(10, 9), Rank(10, UNKNOWN), false),
            (Rank(20, UNKNOWN), Rank(10, 8), true),
            (Rank(UNKNOWN, UNKNOWN), Rank(10, 8), false),
            (Rank(10, 8), Rank(UNKNOWN, UNKNOWN), false),
            (Rank(-1, -5), Rank(-1, -6), true),
        ] {
            assert_eq!(kept.outranks(later), expected, "{kept:?} {later:?}");
            let (kept, later) = ((EventId(1), kept), (EventId(2), later));
            assert_eq!(stands_before(kept, later), expected, "{kept:?} {later:?}");
            assert_eq!(stands_before(later, kept), !expected, "{kept:?} {later:?}");
        }
    }

    #[test]
    fn the_older_save_is_the_one_that_was_outdone_and_the_older_message_the_earlier_one() {
        // The rank of an event, that of a later arrival, and whether the first is the older one.
        for (first, later, expected) in [
            (Rank(20, 1), Rank(10, 9), false),
            (Rank(10, 9), Rank(20, 1), true),
            (Rank(10, 8), Rank(10, 9), true),
            (Rank(10, 9), Rank(10, 8), false),
            (Rank(10, 9), Rank(10, 9), true),
            (Rank(UNKNOWN, UNKNOWN), Rank(10, 8), true),
            // The first message, and a reply to it.
            (Rank(1, -100), Rank(0, -200), true),
            (Rank(0, -200), Rank(1, -100), false),
            (Rank(0, -200), Rank(0, -300), true),
            (Rank(0, -300), Rank(0, -200), false),
            (Rank(0, -200), Rank(-1, UNKNOWN), true),
        ] {
            let (first, later) = ((EventId(1), first), (EventId(2), later));
            assert_eq!(is_older(first, later), expected, "{first:?} {later:?}");
            assert_eq!(is_older(later, first), !expected, "{later:?} {first:?}");
        }
    }

    #[test]
    fn of_many_events_each_is_compared_with_the_one_that_stood_in_front_when_it_came() {
        let arrivals = |ranks: &[Rank]| foremost(ranks.iter().copied().enumerate());
        assert_eq!(arrivals(&[]), None);
        for (ranks, expected) in [
            (&[Rank(10, 1), Rank(30, 3), Rank(20, 2)][..], 1),
            (&[Rank(30, 3), Rank(UNKNOWN, 4), Rank(20, 2)], 1),
            (&[Rank(30, 3), Rank(UNKNOWN, 4), Rank(20, 5)], 2),
            (&[Rank(7, 7), Rank(7, 7)], 1),
        ] {
            assert_eq!(arrivals(ranks).map(|(n, _)| n), Some(expected), "{ranks:?}");
        }
    }
}
