//! The store under random interleavings of webhooks, mappings, workers, crashes and clocks.

mod rules;
mod stage;
mod workers;

use proptest::prelude::*;

use stage::Stage;

/// External tickets that take part: few, so that they meet themselves.
const TICKETS: u8 = 2;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A webhook with one event, of a rank; perhaps a delivery that was stored before.
    Deliver {
        ticket: u8,
        rank: i64,
        again: bool,
    },
    /// Several webhooks at the same time, which share a commit.
    Crowd {
        tickets: Vec<u8>,
    },
    Map {
        ticket: u8,
        target: u8,
    },
    Unmap {
        ticket: u8,
    },
    /// Two workers claim at the same time.
    Claim {
        limits: (usize, usize),
        probe: bool,
    },
    /// A worker claims what is due, and offers the places that are left to the webhooks that come.
    ClaimOrOffer {
        limit: usize,
    },
    /// No more webhooks are handed to it.
    CloseHandOff,
    /// A call ends.
    Settle {
        which: usize,
        end: End,
    },
    /// The process dies and starts again.
    Crash,
    /// Time passes, in seconds.
    Pass {
        seconds: u64,
    },
    /// The clock is set, by seconds, and delivery follows it.
    Jump {
        seconds: i64,
    },
    /// An outage is over.
    Hasten,
    /// An operator replays the dead.
    Replay,
    /// Parked events whose time is over expire.
    Expire,
}

/// How a call ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Connected,
    AlreadyLinked,
    Retry {
        seconds: i64,
        asked: bool,
        counts: bool,
    },
    Held,
    Dead,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Connected),
        1 => Just(End::AlreadyLinked),
        3 => (0_i64..120, any::<bool>(), any::<bool>())
            .prop_map(|(seconds, asked, counts)| End::Retry { seconds, asked, counts }),
        1 => Just(End::Held),
        3 => Just(End::Dead),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ticket = 0..TICKETS;
    prop_oneof![
        4 => (ticket.clone(), 0_i64..4, prop::bool::weighted(0.2))
            .prop_map(|(ticket, rank, again)| Step::Deliver { ticket, rank, again }),
        1 => prop::collection::vec(ticket.clone(), 2..6).prop_map(|tickets| Step::Crowd { tickets }),
        4 => (ticket.clone(), 0_u8..2).prop_map(|(ticket, target)| Step::Map { ticket, target }),
        2 => ticket.prop_map(|ticket| Step::Unmap { ticket }),
        6 => ((0_usize..3, 0_usize..3), prop::bool::weighted(0.2))
            .prop_map(|(limits, probe)| Step::Claim { limits, probe }),
        5 => (1_usize..4).prop_map(|limit| Step::ClaimOrOffer { limit }),
        1 => Just(Step::CloseHandOff),
        6 => (0_usize..8, end()).prop_map(|(which, end)| Step::Settle { which, end }),
        1 => Just(Step::Crash),
        2 => (0_u64..200).prop_map(|seconds| Step::Pass { seconds }),
        1 => prop_oneof![Just(3600_i64), Just(-3600), -300_i64..300]
            .prop_map(|seconds| Step::Jump { seconds }),
        1 => Just(Step::Hasten),
        1 => Just(Step::Replay),
        1 => Just(Step::Expire),
    ]
}

fn play(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stage = Stage::open().await;
        for step in steps {
            stage.play(step).await;
            stage.check().await;
        }
        stage.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_interleaving_loses_an_event_or_calls_twice_at_once(
        steps in prop::collection::vec(step(), 10..80),
    ) {
        play(steps);
    }
}

#[test]
#[ignore = "long: run with --ignored"]
fn no_interleaving_of_many_loses_an_event_or_calls_twice_at_once() {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1000)
    };
    let steps = prop::collection::vec(step(), 1..120);
    proptest!(config, |(steps in steps)| play(steps));
}
