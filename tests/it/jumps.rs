//! The clock is set while events wait: waits keep their length.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serval_connect::app::App;
use serval_connect::clock::{Clock, ManualClock, SystemClock};
use serval_connect::config::{Config, Environment};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::conservation::daemon::{Settings, Site};
use crate::conservation::sender::Sender;

const HOUR_MS: i64 = 3_600_000;
/// A retry comes within 2 s, and the worker notices within one that the clock was set.
const SOON: Duration = Duration::from_secs(4);

/// A daemon in this process, whose clock can be set and else goes on as time does.
struct Stage {
    site: Site,
    sender: Sender,
    clock: Arc<ManualClock>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Stage {
    async fn new() -> Self {
        let settings = Settings {
            breaker_threshold: 0,
            ..Settings::default()
        };
        let site = Site::new(&settings).await;
        let clock = ManualClock::at(SystemClock.now());
        let none: Environment = std::iter::empty::<(String, String)>().collect();
        let loaded = Config::load(&[site.config()], &none).unwrap();
        let own: Arc<ManualClock> = Arc::clone(&clock);
        let app = App::bind(&loaded.config, own).await.unwrap();
        site.serves_here(app.public_addr().unwrap(), app.admin_addr().unwrap());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stopped = stop.clone();
        tasks.spawn(async move {
            app.run(stopped.cancelled_owned()).await.unwrap();
        });
        let (goes, stopped) = (Arc::clone(&clock), stop.clone());
        tasks.spawn(async move {
            let mut last = Instant::now();
            while !stopped.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let now = Instant::now();
                goes.advance(now - last);
                last = now;
            }
        });
        let sender = site.sender();
        Self {
            site,
            sender,
            clock,
            tasks,
            stop,
        }
    }

    /// Maps an external ticket and has an event about it arrive.
    async fn arrives(&self, n: u32) {
        let id = format!("{n:032x}");
        assert!(self.sender.map(&id, &format!("T-{n}")).await.is_some());
        self.sends(n).await;
    }

    /// `pause` or `resume`.
    async fn act(&self, what: &str) {
        let answer = self.sender.act(&format!("connects/{what}")).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(200));
    }

    async fn sends(&self, n: u32) {
        let body = format!(r#"{{"sys_id":"{n:032x}","sys_class_name":"incident"}}"#);
        let second = self.clock.now().as_second();
        let delivery = format!("msg_{n}");
        let answer = self.sender.webhook_at(second, &delivery, &body).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(202));
    }

    async fn connects(&self, count: u64, within: Duration) -> bool {
        let came = self
            .site
            .mock
            .wait_for(within, |journal| journal.connect_count >= count);
        came.await
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_an_hour_costs_no_event_an_hour() {
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
