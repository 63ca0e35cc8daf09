use super::*;
use crate::domain::ids::SourceKind;

const CONCURRENCY: usize = 4;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ticket(n: u32) -> ExternalTicket {
    ExternalTicket {
        source: "servicenow".parse().unwrap(),
        external_id: SourceKind::ServiceNow
            .parse_external_id(&format!("{n:032x}"))
            .unwrap(),
    }
}

/// A line, and the second it is.
struct Stage {
    line: Line,
    second: i64,
}

impl Stage {
    fn new(threshold: usize) -> Self {
        Self {
            line: Line::new(threshold),
            second: 1_000,
        }
    }

    fn fails(&mut self, kind: FailureKind, n: u32) -> Turn {
        self.line.note(
            Signal::Failing(kind),
            &ticket(n),
            false,
            "said",
            at(self.second),
        )
    }

    fn admission(&self) -> Admission {
        self.line.admission(0, CONCURRENCY, at(self.second))
    }

    fn probe(&mut self, signal: Signal, n: u32) -> Turn {
        assert_eq!(self.admission(), Admission::Probe);
        self.line.probe_sent();
        assert_ne!(self.admission(), Admission::Probe, "one probe at a time");
        self.line
            .note(signal, &ticket(n), true, "said", at(self.second))
    }
}

const DOWN: Signal = Signal::Failing(FailureKind::Unavailable);

#[test]
fn failures_over_different_tickets_open_the_line_and_a_success_closes_it() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
    assert_eq!(stage.fails(FailureKind::Faulty, 1), Turn::Same);
    assert_eq!(stage.fails(FailureKind::Faulty, 2), Turn::Same);
    assert!(stage.line.counts_tries());
    assert_eq!(stage.fails(FailureKind::Faulty, 3), Turn::Opened);
    assert!(!stage.line.counts_tries(), "an outage costs no event a try");
    assert_eq!(stage.admission(), Admission::Nothing);
    stage.second += 1;
    assert_eq!(stage.probe(DOWN, 4), Turn::Same);
    stage.second += 8;
    assert_eq!(stage.probe(Signal::Alive, 5), Turn::Recovered);
    assert!(stage.line.counts_tries());
}

#[test]
fn a_success_in_between_forgets_the_run() {
    let mut stage = Stage::new(3);
    for round in 0..10 {
        stage.fails(FailureKind::Unavailable, round * 2);
        stage.fails(FailureKind::Unavailable, round * 2 + 1);
        assert_eq!(stage.line.mode(), &Mode::Flowing, "{round}");
        stage
            .line
            .note(Signal::Alive, &ticket(0), false, "", at(stage.second));
    }
}

#[test]
fn one_ticket_that_serval_chokes_on_is_no_outage() {
    let mut stage = Stage::new(3);
    for _ in 0..50 {
        stage.fails(FailureKind::Faulty, 7);
    }
    assert_eq!(stage.line.mode(), &Mode::Flowing);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
}

#[test]
fn silence_over_few_tickets_is_probed_while_others_flow() {
    let mut stage = Stage::new(5);
    for _ in 0..5 {
        stage.fails(FailureKind::Unreachable, 1);
    }
    assert!(matches!(stage.line.mode(), Mode::Suspect(_)));
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
    stage.second += 1;
    assert_eq!(stage.probe(Signal::Alive, 1), Turn::Recovered);
}

#[test]
fn the_gaps_between_probes_grow_but_an_outage_of_hours_ends_within_15_s() {
    let mut stage = Stage::new(1);
    assert_eq!(stage.fails(FailureKind::Unreachable, 1), Turn::Opened);
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
        stage
            .line
            .note(Signal::Alive, &ticket(2), false, "", at(stage.second));
    }
    assert_eq!(allowed, [1, 2, 4, 4]);
}

#[test]
fn refused_credentials_hold_everything_until_they_are_accepted() {
    let mut stage = Stage::new(5);
    assert_eq!(stage.fails(FailureKind::CredentialsRefused, 1), Turn::Held);
    assert_eq!(
        stage.fails(FailureKind::CredentialsRefused, 2),
        Turn::Same,
        "said once"
    );
    assert_eq!(stage.admission(), Admission::Nothing);
    assert!(!stage.line.counts_tries());
    let Mode::Held(hold) = stage.line.mode() else {
        panic!()
    };
    assert_eq!((hold.reason.as_str(), hold.check_at), ("said", at(1_030)));
    // A call that was under way ends well: that says nothing about the token of the next one.
    stage
        .line
        .note(Signal::Alive, &ticket(3), false, "", at(1_001));
    assert_eq!(stage.admission(), Admission::Nothing);
    assert_eq!(stage.line.release(), Turn::Recovered);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
}

#[test]
fn a_429_is_a_matter_of_pace_not_of_outage() {
    let mut stage = Stage::new(1);
    for n in 0..10 {
        assert_eq!(stage.fails(FailureKind::Throttled, n), Turn::Same);
    }
    assert_eq!(stage.line.mode(), &Mode::Flowing);
}

#[test]
fn a_paused_line_takes_nothing_not_even_a_probe() {
    let mut stage = Stage::new(1);
    stage.fails(FailureKind::Unreachable, 1);
    stage.second += 100;
    stage.line.set_paused(true);
    assert_eq!(stage.admission(), Admission::Nothing);
    stage.line.set_paused(false);
    assert_eq!(stage.admission(), Admission::Probe);
}

#[test]
fn without_a_threshold_the_line_never_opens() {
    let mut stage = Stage::new(0);
    for n in 0..100 {
        assert_eq!(stage.fails(FailureKind::Unreachable, n), Turn::Same);
    }
    assert_eq!(stage.line.mode(), &Mode::Flowing);
}

#[test]
fn what_waits_for_its_turn_is_not_called_once_the_line_stands() {
    let mut stage = Stage::new(1);
    assert!(stage.line.takes(false));
    stage.fails(FailureKind::Unreachable, 1);
    assert!(!stage.line.takes(false) && stage.line.takes(true), "open");
    stage.line.set_paused(true);
    assert!(!stage.line.takes(true), "paused");
    stage.line.set_paused(false);
    stage.line.hold("said", at(stage.second));
    assert!(!stage.line.takes(true), "held");
}

#[test]
fn only_free_places_are_admitted() {
    let line = Line::new(5);
    for (in_flight, expected) in [
        (0, Admission::Due(4)),
        (3, Admission::Due(1)),
        (4, Admission::Nothing),
        (9, Admission::Nothing),
    ] {
        assert_eq!(line.admission(in_flight, CONCURRENCY, at(0)), expected);
    }
}
