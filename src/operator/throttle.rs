//! Slows down whoever guesses tokens, by address.
//!
//! An address that has not shown a right token lately has so many tries, and then one every few
//! seconds; beyond them a token is not even looked at, so that guessing gains nothing by haste. An
//! address from which a right token came is let be for an hour: an operator is not locked out by
//! somebody else's tries from elsewhere, nor by a script of their own with an old token. The price:
//! behind a proxy that hides addresses, guesses hide behind the operators' good name; such a proxy
//! has to do this itself.
//!
//! Invariant: what is remembered is bounded, whoever comes from however many addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};

/// Tries in a row.
const TRIES: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");
/// After those, between two tries.
const GAP: Duration = Duration::from_secs(3);
/// Logins in a row, of all addresses together, and the gap between two after those.
const LOGINS: NonZeroU32 = NonZeroU32::new(60).expect("it is not zero");
const LOGIN_GAP: Duration = Duration::from_secs(1);
/// For how long a right token speaks for its address.
const GOOD_NAME: SignedDuration = SignedDuration::from_hours(1);
/// Addresses that are remembered, of either kind.
const ADDRESSES: usize = 4096;
/// What addresses count as when there are too many to tell apart.
const EVERYBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Counts tries.
pub(super) struct Throttle {
    tries: DefaultKeyedRateLimiter<IpAddr>,
    logins: DefaultDirectRateLimiter,
    good: Mutex<HashMap<IpAddr, Timestamp>>,
    /// When addresses were last forgotten, in Unix seconds: it takes a look at each.
    swept: AtomicI64,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        let quota = Quota::with_period(GAP).expect("it is not zero");
        let of_all = Quota::with_period(LOGIN_GAP).expect("it is not zero");
        Self {
            tries: RateLimiter::hashmap(quota.allow_burst(TRIES)),
            logins: RateLimiter::direct(of_all.allow_burst(LOGINS)),
            good: Mutex::default(),
            swept: AtomicI64::new(i64::MIN),
        }
    }
}

impl Throttle {
    /// A token comes from `peer`. An error: it is not to be looked at before this time has passed.
    pub(super) fn try_from(&self, peer: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let peer = network(peer);
        let is_good = |at: &Timestamp| now.duration_since(*at) < GOOD_NAME;
        if self.good().get(&peer).is_some_and(is_good) {
            return Ok(());
        }
        let second = now.as_second();
        if self.tries.len() >= ADDRESSES && self.swept.swap(second, Ordering::Relaxed) != second {
            self.tries.retain_recent();
        }
        let key = if self.tries.len() >= ADDRESSES {
            EVERYBODY
        } else {
            peer
        };
        self.tries
            .check_key(&key)
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// A token comes from a form, from wherever. An error: as above.
    pub(super) fn try_of_all(&self) -> Result<(), Duration> {
        self.logins
            .check()
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// The token was right.
    pub(super) fn was_right(&self, peer: IpAddr, now: Timestamp) {
        let mut good = self.good();
        if good.len() >= ADDRESSES {
            good.retain(|_, at| now.duration_since(*at) < GOOD_NAME);
        }
        if good.len() < ADDRESSES {
            good.insert(network(peer), now);
        }
    }

    fn good(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Timestamp>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address, or of IPv6 the network that one customer has.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn tries(throttle: &Throttle, peer: IpAddr) -> usize {
        (0..100)
            .take_while(|_| throttle.try_from(peer, at(0)).is_ok())
            .count()
    }

    #[test]
    fn guesses_are_counted_by_address_and_a_right_token_clears_its_own() {
        let throttle = Throttle::default();
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(tries(&throttle, one), 20);
        let wait = throttle.try_from(one, at(0)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= GAP, "{wait:?}");
        assert_eq!(tries(&throttle, other), 20, "another address");
        throttle.was_right(one, at(0));
        assert_eq!(tries(&throttle, one), 100);
        assert!(throttle.try_from(one, at(3600)).is_err(), "an hour later");
    }

    #[test]
    fn forms_are_limited_in_all() {
        let throttle = Throttle::default();
        let passed = (0..100).take_while(|_| throttle.try_of_all().is_ok());
        assert_eq!(passed.count(), 60);
        let wait = throttle.try_of_all().unwrap_err();
        assert!(wait > Duration::ZERO && wait <= LOGIN_GAP, "{wait:?}");
    }

    #[test]
    fn a_network_counts_once_and_addresses_without_number_share_what_is_left() {
        let throttle = Throttle::default();
        let of = |n: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, host]);
        for host in 0..20 {
            assert!(throttle.try_from(of(1, host), at(0)).is_ok());
        }
        assert!(throttle.try_from(of(1, 99), at(0)).is_err());
        let passed = (0..20_000).filter(|n| throttle.try_from(of(*n, 0), at(0)).is_ok());
        assert!(passed.count() < ADDRESSES + 2 * 20);
        assert!(throttle.tries.len() <= ADDRESSES + 1);
    }
}
