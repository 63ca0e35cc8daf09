//! The clock is set while events wait, or is wrong at a start: waits keep their length, and nothing is over.

mod stage;

use std::time::Duration;

use serval_connect::edge::clock::{Clock as _, SystemClock};
use stage::{
    DAYS_MS, HOUR_MS, SOON, Stage, all_arrive, goes_on_as_before, with_an_event_of_each_kind,
};

use crate::support::{PATIENCE, eventually, needs_a_file};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_an_hour_costs_no_event_an_hour() {
    needs_a_file!();
    let stage = Stage::new().await;
    stage.site.faults(&["500,count=1"]);
    stage.arrives(1).await;
    assert!(stage.connects(1, SOON).await);
    stage.clock.jump(-HOUR_MS);
    assert!(stage.connects(2, SOON).await, "the retry comes in its time");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_before_the_clock_was_set_back_stays_due() {
    needs_a_file!();
    let stage = Stage::new().await;
    stage.act("pause").await;
    stage.arrives(1).await;
    stage.clock.jump(-HOUR_MS);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(stage.site.mock.look(|journal| journal.connect_count), 0);
    stage.act("resume").await;
    assert!(stage.connects(1, SOON).await);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_forward_an_hour_shortens_no_wait_that_serval_asked_for() {
    needs_a_file!();
    let stage = Stage::new().await;
    stage.site.faults(&["503,retry_after=30,count=1"]);
    stage.arrives(1).await;
    assert!(stage.connects(1, SOON).await);
    // The attempt is on record before the clock is set.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.clock.jump(HOUR_MS);
    assert!(
        !stage.connects(2, SOON).await,
        "not before the 30 s are over"
    );
    stage.clock.advance(Duration::from_secs(28));
    assert!(stage.connects(2, SOON).await, "and not an hour later");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_right_after_the_clock_was_set_goes_at_once() {
    needs_a_file!();
    for jump in [HOUR_MS, -HOUR_MS] {
        let stage = Stage::new().await;
        assert!(
            stage
                .sender
                .map(&format!("{:032x}", 1), "T-1")
                .await
                .is_some()
        );
        // The worker looks at the clock once a second, and when something arrives.
        stage.clock.jump(jump);
        stage.sends(1).await;
        assert!(stage.connects(1, SOON).await, "{jump}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_at_the_start_expires_kills_and_deletes_nothing() {
    needs_a_file!();
    let to_1970 = -SystemClock.now().as_millisecond();
    for (jump, told) in [
        (DAYS_MS, "the clock went ahead by 40 d 0 h 0 min to"),
        (-DAYS_MS, "the clock went back by 40 d 0 h 0 min to"),
        (to_1970, "the clock went back by"),
    ] {
        let case = format!("{jump}");
        let stage = with_an_event_of_each_kind().await;
        let parked_for = stage.left_of_parking().await;
        let stage = stage.restarts(jump).await;
        goes_on_as_before(&stage, parked_for, &case).await;
        let says = stage.clock_in_readyz().await;
        assert!(says.starts_with(told), "{says}");
        // Signatures are compared with what the clock shows.
        let true_time = SystemClock.now().as_second();
        let body = format!(r#"{{"sys_id":"{:032x}","sys_class_name":"incident"}}"#, 4);
        let answer = stage.sender.webhook_at(true_time, "msg_4", &body).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(401), "{case}");
        // It is set right while the daemon runs, or before the next start.
        let stage = if jump > 0 {
            stage.restarts(-jump).await
        } else {
            stage.clock.jump(-jump);
            stage
        };
        goes_on_as_before(&stage, parked_for, &case).await;
        all_arrive(stage, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_by_days_while_it_runs_makes_nothing_older() {
    needs_a_file!();
    for jump in [DAYS_MS, -DAYS_MS] {
        let case = format!("{jump}");
        let stage = with_an_event_of_each_kind().await;
        let parked_for = stage.left_of_parking().await;
        stage.clock.jump(jump);
        let says = stage.clock_in_readyz().await;
        assert!(says.contains("by 40 d 0 h 0 min to"), "{says}");
        goes_on_as_before(&stage, parked_for, &case).await;
        all_arrive(stage, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_too_new_for_serval_is_tried_on_after_a_start_with_a_wrong_clock() {
    needs_a_file!();
    let stage = Stage::new().await;
    stage.site.faults(&["404,ticket=T-1"]);
    stage.arrives(1).await;
    assert!(stage.connects(1, SOON).await);
    let stage = stage.restarts(DAYS_MS).await;
    let made = stage.failures().await;
    eventually("the next try", async || {
        (stage.failures().await > made).then_some(())
    })
    .await;
    stage.site.faults(&[]);
    assert!(stage.site.connected(1, PATIENCE).await.is_some());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_in_flight_while_the_clock_is_set_gives_no_event_up() {
    needs_a_file!();
    let stage = Stage::new().await;
    stage.site.faults(&["500,latency=3s,count=1"]);
    stage.arrives(1).await;
    stage.clock.jump(DAYS_MS);
    stage.clock_in_readyz().await;
    assert_eq!(stage.failures().await, 0, "the call is in flight");
    assert!(stage.site.connected(1, PATIENCE).await.is_some());
    stage.end().await;
}
