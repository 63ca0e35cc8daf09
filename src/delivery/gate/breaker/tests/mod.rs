mod held;

use super::*;
use crate::domain::delivery::Failure;
use crate::sources::servicenow;

const CONCURRENCY: usize = 4;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ticket(n: u32) -> ExternalTicket {
    ExternalTicket {
        source: "servicenow".parse().unwrap(),
        external_id: servicenow::KIND
            .parse_external_id(&format!("{n:032x}"))
            .unwrap(),
    }
}

/// A breaker, and the current second.
struct Stage {
    breaker: Breaker,
    second: i64,
}

impl Stage {
    fn new(threshold: usize) -> Self {
        Self {
            breaker: Breaker::new(threshold),
            second: 1_000,
        }
    }

    fn fails(&mut self, kind: FailureKind, n: u32) -> Change {
        let failure = Failure {
            kind,
            in_doubt: false,
            retry_after: None,
        };
        self.breaker.record(
            failure.into(),
            &ticket(n),
            CallKind::Regular,
            "said",
            at(self.second),
        )
    }

    fn admission(&self) -> Admission {
        self.breaker.admission(0, CONCURRENCY, at(self.second))
    }

    fn probe(&mut self, signal: Signal, n: u32) -> Change {
        assert_eq!(self.admission(), Admission::Probe);
        self.breaker.probe_sent();
        assert_ne!(self.admission(), Admission::Probe, "one probe at a time");
        self.breaker
            .record(signal, &ticket(n), CallKind::Probe, "said", at(self.second))
    }
}

const DOWN: Signal = Signal::Failing(FailureKind::Unavailable);

#[test]
fn failures_over_different_tickets_open_the_line_and_a_success_closes_it() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
    assert_eq!(stage.fails(FailureKind::Faulty, 1), Change::None);
    assert_eq!(stage.fails(FailureKind::Faulty, 2), Change::None);
    assert!(stage.breaker.counts_tries());
    assert_eq!(stage.fails(FailureKind::Faulty, 3), Change::Opened);
    assert!(
        !stage.breaker.counts_tries(),
        "an outage costs no event a try"
    );
    assert_eq!(stage.admission(), Admission::Nothing);
    stage.second += 1;
    assert_eq!(stage.probe(DOWN, 4), Change::None);
    stage.second += 8;
    assert_eq!(stage.probe(Signal::Alive, 5), Change::Recovered);
    assert!(stage.breaker.counts_tries());
}

#[test]
fn a_success_in_between_forgets_the_run() {
    let mut stage = Stage::new(3);
    for round in 0..10 {
        stage.fails(FailureKind::Unavailable, round * 2);
        stage.fails(FailureKind::Unavailable, round * 2 + 1);
        assert_eq!(stage.breaker.mode(), &Mode::Closed, "{round}");
        stage.breaker.record(
            Signal::Alive,
            &ticket(0),
            CallKind::Regular,
            "",
            at(stage.second),
        );
    }
}

#[test]
fn one_ticket_that_serval_chokes_on_is_no_outage() {
    let mut stage = Stage::new(3);
    for _ in 0..50 {
        stage.fails(FailureKind::Faulty, 7);
    }
    assert_eq!(stage.breaker.mode(), &Mode::Closed);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
}

#[test]
fn silence_over_few_tickets_is_probed_while_others_flow() {
    let mut stage = Stage::new(5);
    for _ in 0..5 {
        stage.fails(FailureKind::Unreachable, 1);
    }
    assert!(matches!(stage.breaker.mode(), Mode::Suspect(_)));
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
    stage.second += 1;
    assert_eq!(stage.probe(Signal::Alive, 1), Change::Recovered);
}

#[test]
fn without_an_event_to_probe_with_it_closes_until_the_next_failure() {
    for (tickets, is_open) in [([1, 2], true), ([1, 1], false)] {
        let mut stage = Stage::new(2);
        for n in tickets {
            stage.fails(FailureKind::Unreachable, n);
        }
        for round in 0..2 {
            let mode = stage.breaker.mode();
            assert_eq!(matches!(mode, Mode::Open(_)), is_open, "{round} {mode:?}");
            assert_eq!(matches!(mode, Mode::Suspect(_)), !is_open, "{round}");
            stage.breaker.nothing_waits();
            assert_eq!(stage.breaker.mode(), &Mode::Closed);
            assert_eq!(stage.breaker.fault(), Some("said"));
            let allowed = if is_open { 1 } else { CONCURRENCY };
            assert_eq!(stage.admission(), Admission::Due(allowed), "{round}");
            stage.fails(FailureKind::Throttled, tickets[0]);
            assert_eq!(stage.breaker.mode(), &Mode::Closed, "a 429");
            stage.fails(FailureKind::Unreachable, tickets[0]);
        }
    }
    let mut stage = Stage::new(1);
    stage.fails(FailureKind::CredentialsRefused, 1);
    stage.breaker.nothing_waits();
    assert!(
        matches!(stage.breaker.mode(), Mode::Held(_)),
        "that is asked"
    );
}

#[test]
fn the_gaps_between_probes_grow_but_an_outage_of_hours_ends_within_15_s() {
    let mut stage = Stage::new(1);
    assert_eq!(stage.fails(FailureKind::Unreachable, 1), Change::Opened);
    let mut gaps = Vec::new();
    for n in 0..8 {
        let since = stage.second;
        while stage.admission() != Admission::Probe {
            stage.second += 1;
        }
        gaps.push(stage.second - since);
        stage.probe(DOWN, n);
    }
    assert_eq!(gaps, [1, 2, 4, 8, 8, 8, 8, 8]);
    let hang = i64::try_from(PROBE_TIMEOUT.as_secs()).unwrap();
    assert!(gaps.iter().all(|gap| gap + hang < 15));
    stage.second += 8;
    assert_eq!(stage.admission(), Admission::Probe);
    stage.breaker.probe_sent();
    stage.breaker.probe_unused(at(stage.second));
    assert_eq!(stage.breaker.next_at(), Some(at(stage.second + 1)));
}

#[test]
fn after_an_outage_the_calls_in_flight_grow_from_one() {
    let mut stage = Stage::new(1);
    stage.fails(FailureKind::Unreachable, 1);
    stage.second += 1;
    stage.probe(Signal::Alive, 1);
    let mut allowed = Vec::new();
    for _ in 0..4 {
        let Admission::Due(n) = stage.admission() else {
            panic!("{:?}", stage.admission())
        };
        allowed.push(n);
        stage.breaker.record(
            Signal::Alive,
            &ticket(2),
            CallKind::Regular,
            "",
            at(stage.second),
        );
    }
    assert_eq!(allowed, [1, 2, 4, 4]);
}

#[test]
fn the_fault_of_the_last_call_is_shown_until_one_succeeds() {
    let mut stage = Stage::new(5);
    for kind in [
        FailureKind::Unavailable,
        FailureKind::Throttled,
        FailureKind::CredentialsRefused,
    ] {
        assert_eq!(stage.breaker.fault(), None);
        stage.fails(kind, 1);
        assert_eq!(stage.breaker.fault(), Some("said"), "{kind:?}");
        let held_until = stage.breaker.held_until();
        stage.breaker.release(held_until);
        let alive = (Signal::Alive, CallKind::Regular);
        if kind != FailureKind::CredentialsRefused {
            assert_eq!(stage.breaker.fault(), Some("said"), "nothing was held");
            stage
                .breaker
                .record(alive.0, &ticket(1), alive.1, "", at(stage.second));
        }
        assert_eq!(stage.breaker.fault(), None, "{kind:?}");
    }
}

#[test]
fn a_429_is_a_matter_of_pace_not_of_outage() {
    let mut stage = Stage::new(1);
    for n in 0..10 {
        assert_eq!(stage.fails(FailureKind::Throttled, n), Change::None);
    }
    assert_eq!(stage.breaker.mode(), &Mode::Closed);
}

#[test]
fn a_paused_line_takes_nothing_not_even_a_probe() {
    let mut stage = Stage::new(1);
    stage.fails(FailureKind::Unreachable, 1);
    stage.second += 100;
    stage.breaker.is_paused = true;
    assert_eq!(stage.admission(), Admission::Nothing);
    stage.breaker.is_paused = false;
    assert_eq!(stage.admission(), Admission::Probe);
}

#[test]
fn without_a_threshold_the_line_never_opens() {
    let mut stage = Stage::new(0);
    for n in 0..100 {
        assert_eq!(stage.fails(FailureKind::Unreachable, n), Change::None);
    }
    assert_eq!(stage.breaker.mode(), &Mode::Closed);
}

#[test]
fn what_waits_for_its_turn_is_not_called_once_the_line_stands() {
    let mut stage = Stage::new(1);
    assert!(stage.breaker.allows(CallKind::Regular));
    stage.fails(FailureKind::Unreachable, 1);
    assert!(
        !stage.breaker.allows(CallKind::Regular) && stage.breaker.allows(CallKind::Probe),
        "open"
    );
    stage.breaker.is_paused = true;
    assert!(!stage.breaker.allows(CallKind::Probe), "paused");
    stage.breaker.is_paused = false;
    stage.breaker.hold("said", None, at(stage.second));
    assert!(!stage.breaker.allows(CallKind::Probe), "held");
}

#[test]
fn only_free_places_are_admitted() {
    let breaker = Breaker::new(5);
    for (in_flight, expected) in [
        (0, Admission::Due(4)),
        (3, Admission::Due(1)),
        (4, Admission::Nothing),
        (9, Admission::Nothing),
    ] {
        assert_eq!(breaker.admission(in_flight, CONCURRENCY, at(0)), expected);
    }
}
