//! How often a token may be tried in the login form: by each peer, and by all together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

const PEER_BURST: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
const PEER_GAP: Duration = Duration::from_secs(6);
const ALL_BURST: NonZeroU32 = NonZeroU32::new(60).expect("it is not zero");
const ALL_GAP: Duration = Duration::from_secs(1);
/// Peers that are remembered before those that may try freely again are forgotten.
const MAX_PEERS: usize = 10_000;

/// Counts tries.
pub(super) struct Throttle {
    peers: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultDirectRateLimiter,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        let quota = |burst, gap| {
            Quota::with_period(gap)
                .expect("the gap is not zero")
                .allow_burst(burst)
        };
        Self {
            peers: RateLimiter::keyed(quota(PEER_BURST, PEER_GAP)),
            all: RateLimiter::direct(quota(ALL_BURST, ALL_GAP)),
        }
    }
}

impl Throttle {
    /// Counts a try; refused, it says how long to wait. A peer that is refused costs the others
    /// nothing.
    pub(super) fn try_now(&self, peer: IpAddr) -> Result<(), Duration> {
        if self.peers.len() > MAX_PEERS {
            self.peers.retain_recent();
        }
        let now = DefaultClock::default().now();
        self.peers
            .check_key(&network(peer))
            .map_err(|refused| refused.wait_time_from(now))?;
        self.all
            .check()
            .map_err(|refused| refused.wait_time_from(now))
    }
}

/// Whoever has one IPv6 address has all of its network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(throttle: &Throttle, peer: &str) -> usize {
        let peer = peer.parse().unwrap();
        (0..1000)
            .take_while(|_| throttle.try_now(peer).is_ok())
            .count()
    }

    #[test]
    fn a_peer_has_some_tries_and_all_together_have_more() {
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, "10.0.0.1"), 10);
        assert_eq!(tries(&throttle, "10.0.0.1"), 0);
        assert_eq!(tries(&throttle, "::ffff:10.0.0.1"), 0);
        let others: usize = (2..20)
            .map(|n| tries(&throttle, &format!("10.0.0.{n}")))
            .sum();
        assert_eq!(others, 50);
        let wait = throttle.try_now("10.0.0.99".parse().unwrap()).unwrap_err();
        assert!(wait <= ALL_GAP, "{wait:?}");
    }

    #[test]
    fn the_addresses_of_one_network_are_one_peer() {
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, "2001:db8::1"), 10);
        assert_eq!(tries(&throttle, "2001:db8::ffff:2"), 0);
        assert_eq!(tries(&throttle, "2001:db8:0:1::1"), 10);
    }
}
