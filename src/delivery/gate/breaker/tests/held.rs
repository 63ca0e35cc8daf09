//! Refused credentials: how long calls are held.

use super::*;

#[test]
fn refused_credentials_hold_everything_until_they_are_accepted() {
    let mut stage = Stage::new(5);
    assert_eq!(
        stage.fails(FailureKind::CredentialsRefused, 1),
        Change::Held
    );
    assert_eq!(
        stage.fails(FailureKind::CredentialsRefused, 2),
        Change::None,
        "said once"
    );
    assert_eq!(stage.admission(), Admission::Nothing);
    assert!(!stage.breaker.counts_tries());
    let Mode::Held(hold) = stage.breaker.mode() else {
        panic!()
    };
    assert_eq!((hold.reason.as_str(), hold.check_at), ("said", at(1_030)));
    // A call that was under way ends well: that says nothing about the token of the next one.
    stage
        .breaker
        .record(Signal::Alive, &ticket(3), CallKind::Regular, "", at(1_001));
    assert_eq!(stage.admission(), Admission::Nothing);
    let held_until = stage.breaker.held_until();
    assert_eq!(stage.breaker.release(held_until), Change::Released);
    assert_eq!(stage.admission(), Admission::Due(CONCURRENCY));
}

#[test]
fn a_check_ends_only_the_hold_that_it_began_under() {
    // When a call is refused with a wait, if at all, and whether the check that began before ends the hold.
    for (before, during, ends) in [
        (true, None, true),
        (true, Some(60), false),
        (false, Some(60), false),
        (false, None, false),
    ] {
        let mut stage = Stage::new(1);
        if before {
            stage.fails(FailureKind::CredentialsRefused, 1);
        }
        let held_until = stage.breaker.held_until();
        if let Some(wait) = during {
            let asked = Some(Duration::from_secs(wait));
            stage.breaker.hold("refused", asked, at(1_001));
        }
        let expected = if ends { Change::Released } else { Change::None };
        assert_eq!(
            stage.breaker.release(held_until),
            expected,
            "{before} {during:?}"
        );
        assert_eq!(stage.breaker.held_until().is_some(), during.is_some());
    }
}

#[test]
fn a_hold_lasts_as_long_as_serval_asked_for_in_any_of_its_answers() {
    let mut breaker = Breaker::new(5);
    for (second, asked, check_at) in [
        (0, None, 30),
        (1, Some(60), 61),
        // It was in flight. It does not shorten the wait.
        (2, None, 61),
        (61, None, 91),
        (91, Some(7_200), 3_691),
    ] {
        let asked = asked.map(Duration::from_secs);
        let (signal, kind) = (Signal::Refused(asked), CallKind::Regular);
        breaker.record(signal, &ticket(1), kind, "said", at(second));
        assert_eq!(breaker.next_at(), Some(at(check_at)), "at {second}");
    }
    // What was asked of other credentials does not count for new ones.
    breaker.hold("said", None, at(100));
    assert_eq!(breaker.next_at(), Some(at(130)));
}
