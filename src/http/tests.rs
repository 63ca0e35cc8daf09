//! What a fault of ours looks like from outside, and in the log.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use jiff::Timestamp;
use tower::ServiceExt as _;

use super::*;
use crate::clock::SystemClock;
use crate::config::{Config, Environment, LogConfig, LogFormat};
use crate::delivery::{Routes, Worker};
use crate::domain::ids::SourceKind;
use crate::operator::Rules;
use crate::serval::ServalClient;
use crate::sources::{Receipt, Refused, Unreadable, Unverified, Verified};
use crate::{delivery, reload, telemetry};

const CANARY: &str = "canary-of-a-body";

/// A source with a fault: it panics, and quotes what it was given.
#[derive(Debug)]
struct Faulty;

impl Source for Faulty {
    fn kind(&self) -> SourceKind {
        SourceKind::ServiceNow
    }

    fn verify<'a>(&self, webhook: Unverified<'a>, _: Timestamp) -> Result<Verified<'a>, Refused> {
        panic!("cannot read {:?} {:?}", webhook.body, webhook.headers)
    }

    fn interpret(&self, _: &Verified<'_>) -> Result<Receipt, Unreadable> {
        unreachable!("nothing is verified")
    }
}

/// The state of a daemon whose one source is faulty.
async fn state(folder: &std::path::Path) -> AppState {
    let toml = folder.join("a.toml");
    std::fs::write(&toml, "[serval]\nbearer_token = \"unused\"\n").unwrap();
    let config = Config::load(&[toml], &Environment::default())
        .unwrap()
        .config;
    let clock: SharedClock = Arc::new(SystemClock);
    let url = format!("sqlite://{}", folder.join("a.db").display());
    let (store, _) = Store::open(&url, clock.now()).await.unwrap();
    let worker = Worker::new(
        store.clone(),
        ServalClient::new(&config.serval, Arc::clone(&clock), 0).unwrap(),
        Arc::clone(&clock),
        Routes::new(),
        delivery::Settings::new(&config.delivery, config.serval.timeout),
        Metrics::default(),
    );
    let mounted = MountedSource {
        source: Box::new(Faulty),
        drop_fields: DropFields::default(),
        park_for_ms: 1,
        keep_ignored_bodies: false,
        reconnects: false,
        disconnects_old: false,
        several_per_ticket: false,
    };
    let desk = Desk::new(
        store.clone(),
        worker.monitor(),
        Arc::clone(&clock),
        Metrics::default(),
        Rules::default(),
    );
    AppState {
        desk,
        store,
        sources: Arc::new([("faulty".parse().unwrap(), mounted)].into()),
        clock,
        body_limit: 1024,
        read_timeout: std::time::Duration::from_secs(10),
        monitor: worker.monitor(),
        metrics: Metrics::default(),
        webhook_places: Places::new("webhooks", 1, Metrics::default()),
        admin_places: Places::new("admin", 1, Metrics::default()),
        reloads: reload::channel().0,
    }
}

#[tokio::test]
#[ignore = "run by the test below, in a process of its own, whose panics it may have logged"]
async fn a_webhook_meets_a_fault() {
    let log = LogConfig {
        level: "debug".to_owned(),
        format: LogFormat::Json,
    };
    telemetry::init(&log).unwrap();
    telemetry::log_panics();
    let folder = tempfile::tempdir().unwrap();
    let router = public_router(Live::new(state(folder.path()).await));
    // More often than there are places: a fault gives its place back.
    for _ in 0..3 {
        let request = Request::post("/webhooks/faulty")
            .header("authorization", format!("Bearer {CANARY}"))
            .body(Body::from(CANARY))
            .unwrap();
        let Ok(response) = router.clone().oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(status, 500, "{body}");
        assert!(
            body.contains("a fault of ours") && !body.contains(CANARY),
            "{body}"
        );
    }
}

#[test]
fn a_panic_is_answered_500_and_logged_by_its_place_and_not_by_its_text() {
    let own = std::env::current_exe().unwrap();
    let test = "http::tests::a_webhook_meets_a_fault";
    let output = std::process::Command::new(own)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    let logged = said.matches("a fault of ours: please report").count();
    assert_eq!(logged, 3, "{said}");
    assert!(said.contains("src/http/tests.rs"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}
