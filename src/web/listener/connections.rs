//! The places of a listener: who has one, and who gives way when all are taken.
//!
//! Invariant: a new connection is always taken in. When all places are taken, the connection that has been a
//! stranger for longest is closed; if there is none, the one that has been screened for longest; if there is
//! none, the known one that has been idle for longest. A known one that is busy is never closed.
//!
//! A connection is a stranger's until one of its requests has shown a right credential. It is screened in
//! between, if a request has shown one in the right form, which is checked before its body comes. If all places
//! are those of known ones that are busy, 32 more connections are taken in, but may call only health endpoints:
//! a probe must not mistake overload for a crash.
//!
//! A stranger keeps its place for as long as it takes a crowd to fill all places. So a sender is kept out by a
//! crowd that connects faster than the limit divided by the time from the sender's connecting to its credential.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Extensions;
use tokio_util::sync::CancellationToken;

use crate::edge::metrics::Metrics;
use crate::web::refusals::Refusals;

/// Connections beyond the limit that are taken in for health endpoints.
const SPARE: usize = 32;

/// Standing of a connection. The first of these gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Stranger,
    /// Has shown a credential in the right form. Its body is still to come, and is not verified.
    Screened,
    Idle,
    /// Over the limit: gives way only to others that are.
    Beyond,
}

/// Standing, and the order in which connections came to it.
type Key = (Standing, u64);

/// Who has a place. Connections that are known and busy are counted only.
#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: usize,
    beyond: usize,
    giving_way: BTreeMap<Key, CancellationToken>,
}

impl Seats {
    /// Adds a connection to those that give way.
    fn seat(&mut self, standing: Standing, leave: CancellationToken) -> Key {
        self.next += 1;
        let key = (standing, self.next);
        self.giving_way.insert(key, leave);
        key
    }

    /// Gives a new connection a place, and tells who has to leave for it.
    fn open(&mut self, limit: usize, leave: CancellationToken) -> (Key, Option<CancellationToken>) {
        let first = self.giving_way.first_key_value();
        let yields = first.is_some_and(|((standing, _), _)| *standing != Standing::Beyond);
        let (standing, leaving) = if self.taken < limit {
            self.taken += 1;
            (Standing::Stranger, None)
        } else if yields {
            (Standing::Stranger, self.giving_way.pop_first())
        } else if self.beyond < SPARE {
            self.beyond += 1;
            (Standing::Beyond, None)
        } else {
            (Standing::Beyond, self.giving_way.pop_first())
        };
        let key = self.seat(standing, leave);
        (key, leaving.map(|(_, leave)| leave))
    }
}

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Counter {
    listener: &'static str,
    limit: usize,
    seats: Mutex<Seats>,
    metrics: Metrics,
    refusals: Refusals,
}

/// The place of one connection, which ends with its last clone.
#[derive(Debug, Clone)]
pub(in crate::web) struct Place(Arc<Seated>);

#[derive(Debug)]
struct Seated {
    counter: Arc<Counter>,
    /// `None`: known and busy. It stays if the connection has given way.
    key: Mutex<Option<Key>>,
    /// Ends the connection.
    leave: CancellationToken,
}

impl Drop for Seated {
    fn drop(&mut self) {
        let key = *self.key.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut seats = self.counter.seats();
        // Who has given way has left its place to another.
        if key.is_none_or(|key| seats.giving_way.remove(&key).is_some()) {
            let is_beyond = key.is_some_and(|(standing, _)| standing == Standing::Beyond);
            let count = if is_beyond {
                &mut seats.beyond
            } else {
                &mut seats.taken
            };
            *count = count.saturating_sub(1);
        }
        drop(seats);
        self.counter
            .metrics
            .connection_closed(self.counter.listener);
    }
}

impl Counter {
    pub(super) fn new(
        listener: &'static str,
        limit: usize,
        metrics: Metrics,
        refusals: Refusals,
    ) -> Arc<Self> {
        Arc::new(Self {
            listener,
            limit,
            seats: Mutex::default(),
            metrics,
            refusals,
        })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection a place. `leave` is cancelled when it has to give way.
    pub(super) fn open(self: &Arc<Self>, leave: CancellationToken) -> Place {
        let (key, leaving) = self.seats().open(self.limit, leave.clone());
        self.metrics.connection_opened(self.listener);
        if let Some(leaving) = leaving {
            leaving.cancel();
            self.metrics.turned_away(self.listener, "connection");
            let detail = "connection_limit is reached: a connection was closed for a new one";
            self.refusals
                .connection(self.listener, "connection_limit", detail);
        }
        Place(Arc::new(Seated {
            counter: Arc::clone(self),
            key: Mutex::new(Some(key)),
            leave,
        }))
    }
}

impl Place {
    /// Where the connection stands; `None`: it is known and busy.
    fn key(&self) -> MutexGuard<'_, Option<Key>> {
        self.0.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the connection may call only health endpoints.
    pub(in crate::web) fn is_over_limit(&self) -> bool {
        self.key()
            .is_some_and(|(standing, _)| standing == Standing::Beyond)
    }

    /// A request has shown a right credential, so the connection gives way last.
    fn keep(&self) {
        self.stay(&[Standing::Stranger, Standing::Screened]);
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        self.stay(&[Standing::Idle]);
    }

    /// Gives way no longer if it stands so, unless it has done so already.
    fn stay(&self, standings: &[Standing]) {
        let mut key = self.key();
        if let Some(given) = *key
            && standings.contains(&given.0)
            && self.0.counter.seats().giving_way.remove(&given).is_some()
        {
            *key = None;
        }
    }

    /// A request has shown a credential in the right form, so the connection gives way after strangers.
    fn screened(&self) {
        let mut key = self.key();
        let mut seats = self.0.counter.seats();
        if let Some(given) = *key
            && given.0 == Standing::Stranger
            && let Some(leave) = seats.giving_way.remove(&given)
        {
            *key = Some(seats.seat(Standing::Screened, leave));
        }
    }

    /// A request was answered.
    pub(super) fn end(&self) {
        let mut key = self.key();
        if key.is_none() {
            let leave = self.0.leave.clone();
            *key = Some(self.0.counter.seats().seat(Standing::Idle, leave));
        }
    }

    /// Waits until the connection has to leave: it has given way, or the listener stops.
    pub(super) async fn left(&self) {
        self.0.leave.cancelled().await;
    }

    /// True if it has given way before it was known: nobody waits for the end of its request.
    pub(super) fn is_cut(&self) -> bool {
        self.key().is_some_and(|key| {
            key.0 != Standing::Idle && !self.0.counter.seats().giving_way.contains_key(&key)
        })
    }
}

/// Keeps the connection of a request that has shown a right credential: it gives way last.
pub(in crate::web) fn keep(request: &Extensions) {
    if let Some(place) = request.get::<Place>() {
        place.keep();
    }
}

/// Notes that a request has shown a credential in the right form: its connection gives way after strangers.
pub(in crate::web) fn screened(request: &Extensions) {
    if let Some(place) = request.get::<Place>() {
        place.screened();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener with two places. Connections are named by numbers.
    struct Room {
        counter: Arc<Counter>,
        places: BTreeMap<u32, Place>,
    }

    impl Room {
        fn new() -> Self {
            let (metrics, refusals) = (Metrics::default(), Refusals::default());
            Self {
                counter: Counter::new("webhooks", 2, metrics, refusals),
                places: BTreeMap::new(),
            }
        }

        /// `+1` comes, `?1` shows the form of a credential, `!1` shows one that is right, `.1` ends its request, `>1` begins one, `-1` goes. Returns who
        /// was told to leave by then, and who is over the limit.
        fn play(&mut self, steps: &str) -> (Vec<u32>, Vec<u32>) {
            for step in steps.split(' ') {
                let (act, name) = step.split_at(1);
                let name: u32 = name.parse().unwrap();
                match act {
                    "+" => {
                        let place = self.counter.open(CancellationToken::new());
                        self.places.insert(name, place);
                    }
                    "?" => self.places[&name].screened(),
                    "!" => self.places[&name].keep(),
                    "." => self.places[&name].end(),
                    ">" => self.places[&name].begin(),
                    _ => drop(self.places.remove(&name)),
                }
            }
            let those = |has: fn(&Place) -> bool| {
                let found = self.places.iter().filter(|(_, place)| has(place));
                found.map(|(name, _)| *name).collect()
            };
            (
                those(|place| place.0.leave.is_cancelled()),
                those(Place::is_over_limit),
            )
        }
    }

    #[test]
    fn strangers_give_way_first_then_the_idle_and_the_busy_never() {
        for (steps, leave, beyond) in [
            ("+1 +2", &[][..], &[][..]),
            ("+1 +2 +3", &[1], &[]),
            ("+1 +2 +3 +4", &[1, 2], &[]),
            ("+1 +2 -1 +3", &[], &[]),
            // A request that needs no credential makes nobody known.
            ("+1 >1 .1 +2 +3", &[1], &[]),
            ("+1 !1 +2 +3", &[2], &[]),
            ("+1 !1 .1 +2 +3 +4", &[2, 3], &[]),
            ("+1 !1 .1 +2 !2 .2 +3", &[1], &[]),
            ("+1 !1 .1 +2 !2 .2 >1 .1 +3", &[2], &[]),
            ("+1 !1 .1 +2 !2 .2 >1 +3", &[2], &[]),
            ("+1 !1 +2 !2 +3", &[], &[3]),
            // A credential in the right form counts more than none, and less than a right one.
            ("+1 ?1 +2 +3 +4", &[2, 3], &[]),
            ("+1 ?1 +2 ?2 +3 +4", &[1, 3], &[]),
            ("+1 ?1 +2 ?2 ?1 +3", &[1], &[]),
            ("+1 ?1 .1 +2 !2 .2 +3", &[1], &[]),
            ("+1 ?1 !1 +2 +3", &[2], &[]),
            ("+1 !1 .1 ?1 +2 !2 .2 +3", &[1], &[]),
            ("+1 ?1 +2 !2 +3 ?1 !1 +4", &[1, 3], &[]),
            // Who is over the limit stays so, and does not come before those who are not.
            ("+1 !1 +2 !2 +3 -1 +4", &[], &[3]),
            ("+1 !1 +2 !2 +3 .1 +4", &[1], &[3]),
            ("+1 !1 +2 !2 +3 ?3 !3 +4", &[], &[3, 4]),
            // Who has given way is known no more, and does not free a second place.
            ("+1 +2 +3 !1 +4", &[1, 2], &[]),
            ("+1 +2 +3 -1 +4", &[2], &[]),
            ("+1 !1 .1 +2 !2 +3 >1 .1 -1 +4", &[3], &[]),
        ] {
            let (left, over) = Room::new().play(steps);
            assert_eq!((&*left, &*over), (leave, beyond), "{steps}");
        }
    }

    #[test]
    fn beyond_the_limit_the_oldest_gives_way_to_the_newest() {
        let mut room = Room::new();
        room.play("+1 !1 +2 !2");
        for name in 3..3 + SPARE {
            assert_eq!(room.play(&format!("+{name}")).0, [0; 0], "{name}");
        }
        let (leave, beyond) = room.play("+100 +101");
        assert_eq!(leave, [3, 4]);
        assert_eq!(beyond.len(), SPARE + 2);
        let cut = |room: &Room, name| room.places[&name].is_cut();
        assert!(cut(&room, 3) && cut(&room, 4) && !cut(&room, 5));
        let (leave, _) = room.play(".1 +102");
        assert_eq!(leave, [1, 3, 4]);
        assert!(!cut(&room, 1), "its answer is on the way");
        // All are gone, and all places are free again.
        room.places.clear();
        let seats = room.counter.seats();
        let counts = (seats.taken, seats.beyond, seats.giving_way.len());
        assert_eq!(counts, (0, 0, 0));
    }
}
