//! A daemon in the test's own process, whose clock can be set.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use serval_connect::config::{Config, Environment};
use serval_connect::edge::clock::{Clock, ManualClock, SystemClock};
use serval_connect::process::App;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::conservation::daemon::{Settings, Site};
use crate::conservation::sender::Sender;
use crate::support::{PATIENCE, eventually};

pub(super) const HOUR_MS: i64 = 3_600_000;
/// Longer than anything is kept or waited for by default, but the history of events.
pub(super) const DAYS_MS: i64 = 40 * 24 * HOUR_MS;
/// A retry comes within 2 s, and the worker notices within one that the clock was set.
pub(super) const SOON: Duration = Duration::from_secs(4);

/// A daemon in this process, whose clock can be set and else goes on as time does.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) sender: Sender,
    pub(super) clock: Arc<ManualClock>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let settings = Settings {
            breaker_threshold: 0,
            ..Settings::default()
        };
        let site = Site::new(&settings).await;
        Self::begin(site, ManualClock::at(SystemClock.now())).await
    }

    async fn begin(site: Site, clock: Arc<ManualClock>) -> Self {
        let none: Environment = std::iter::empty::<(String, String)>().collect();
        let loaded = Config::load(&[site.config()], &none).unwrap();
        // A child that another test starts at this moment may still have the lock of the last turn.
        let app = eventually("the database is free", async || {
            let own: Arc<ManualClock> = Arc::clone(&clock);
            App::bind(&loaded.config, own).await.ok()
        })
        .await;
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
    pub(super) async fn arrives(&self, n: u32) {
        let id = format!("{n:032x}");
        assert!(self.sender.map(&id, &format!("T-{n}")).await.is_some());
        self.sends(n).await;
    }

    /// `pause` or `resume`.
    pub(super) async fn act(&self, what: &str) {
        let answer = self.sender.act(&format!("connects/{what}")).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(200));
    }

    pub(super) async fn sends(&self, n: u32) {
        let body = format!(r#"{{"sys_id":"{n:032x}","sys_class_name":"incident"}}"#);
        let second = self.clock.now().as_second();
        let delivery = format!("msg_{n}");
        let answer = self.sender.webhook_at(second, &delivery, &body).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(202));
    }

    pub(super) async fn connects(&self, count: u64, within: Duration) -> bool {
        let came = self
            .site
            .mock
            .wait_for(within, |journal| journal.connect_count >= count);
        came.await
    }

    /// External ids and states of the events, in the order of their arrival.
    pub(super) async fn states(&self) -> Vec<(u32, String)> {
        let page = self.sender.get("events?limit=10").await;
        let events = page["data"].as_array().unwrap().iter().rev();
        let state = |event: &Value| {
            let id = event["external_id"].as_str().unwrap();
            let state = event["state"].as_str().unwrap();
            (u32::from_str_radix(id, 16).unwrap(), state.to_owned())
        };
        events.map(state).collect()
    }

    /// Calls that were made for the event that fails.
    pub(super) async fn failures(&self) -> i64 {
        let page = self.sender.get("events?state=queued").await;
        page["data"][0]["attempts"].as_i64().unwrap_or_default()
    }

    /// Milliseconds until the parked event of the page expires.
    pub(super) async fn left_of_parking(&self) -> i64 {
        let page = self.sender.get("parked").await;
        let expires: Timestamp = page["data"][0]["expires_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        expires.as_millisecond() - self.clock.now().as_millisecond()
    }

    /// What `/readyz` says of the clock, once it says so.
    pub(super) async fn clock_in_readyz(&self) -> String {
        eventually("readyz tells of the clock", async || {
            let (status, _, body) = self.sender.ready().await?;
            assert_eq!(status, 200, "{body}");
            Some(body["clock"].as_str()?.to_owned())
        })
        .await
    }

    async fn halt(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// The daemon stops, and starts again with its clock set by `jump` milliseconds.
    pub(super) async fn restarts(mut self, jump: i64) -> Self {
        self.halt().await;
        self.clock.jump(jump);
        Self::begin(self.site, self.clock).await
    }

    pub(super) async fn end(mut self) {
        self.halt().await;
    }
}

/// An event whose calls fail, a dead one, and a parked one.
pub(super) async fn with_an_event_of_each_kind() -> Stage {
    let stage = Stage::new().await;
    stage.site.faults(&["500,ticket=T-1", "400,ticket=T-2"]);
    stage.arrives(1).await;
    stage.arrives(2).await;
    stage.sends(3).await;
    eventually("Serval refuses one for good", async || {
        (stage.states().await == unchanged()).then_some(())
    })
    .await;
    stage
}

pub(super) fn unchanged() -> Vec<(u32, String)> {
    let states = [(1, "queued"), (2, "dead"), (3, "parked")];
    states.map(|(n, state)| (n, state.to_owned())).to_vec()
}

/// One more failure, so that the ages were looked at by now.
pub(super) async fn goes_on_as_before(stage: &Stage, parked_for: i64, case: &str) {
    let made = stage.failures().await;
    eventually("the next try", async || {
        (stage.failures().await > made).then_some(())
    })
    .await;
    assert_eq!(stage.states().await, unchanged(), "{case}");
    let passed = parked_for - stage.left_of_parking().await;
    // The last sign of life is up to a minute old.
    assert!((-60_000..60_000).contains(&passed), "{case}: {passed}");
}

/// The dead one has its body and can be sent again, and a mapping releases the parked one.
pub(super) async fn all_arrive(stage: Stage, case: &str) {
    stage.site.faults(&[]);
    let page = stage.sender.get("events?state=dead").await;
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    let answer = stage.sender.act(&format!("events/{id}/replay")).await;
    assert!(answer.is_some_and(|(status, ..)| status < 300), "{case}");
    let parked = format!("{:032x}", 3);
    assert!(stage.sender.map(&parked, "T-3").await.is_some());
    // To another Serval ticket it goes at once.
    let failed = format!("{:032x}", 1);
    assert!(stage.sender.map(&failed, "T-4").await.is_some());
    let all = stage.site.connected(3, PATIENCE).await;
    assert!(all.is_some(), "{case}");
    stage.end().await;
}
