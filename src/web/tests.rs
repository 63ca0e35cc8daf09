//! Answer and log of a panic.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use jiff::Timestamp;
use tower::ServiceExt as _;

use super::admission::bodies::Bodies;
use super::*;
use crate::edge::clock::{SharedClock, SystemClock};
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::edge::telemetry::{self, LogConfig, LogFormat};
use crate::operators::{Operators, Rules};
use crate::sources::{
    MountedSource, Receipt, Refused, Source, Unreadable, Unverified, Verified, servicenow,
};
use crate::store::Store;

const CANARY: &str = "canary-of-a-body";

/// A source with a fault: it panics, and quotes what it was given.
#[derive(Debug)]
struct Faulty;

impl Source for Faulty {
    fn verify<'a>(&self, webhook: Unverified<'a>, _: Timestamp) -> Result<Verified<'a>, Refused> {
        panic!("cannot read {:?} {:?}", webhook.body, webhook.headers)
    }

    fn interpret(&self, _: &Verified<'_>) -> Result<Receipt, Unreadable> {
        unreachable!("nothing is verified")
    }
}

/// The state of a daemon whose one source is faulty.
async fn state(folder: &std::path::Path) -> AppState {
    let clock: SharedClock = Arc::new(SystemClock);
    let url = format!("sqlite://{}", folder.join("a.db").display());
    let (store, _) = Store::open(&url, clock.now()).await.unwrap();
    let mounted = MountedSource::new(servicenow::KIND, Arc::default(), Box::new(Faulty));
    let operators = Operators::new(
        store.clone(),
        Arc::clone(&clock),
        Metrics::default(),
        Rules::default(),
    );
    AppState {
        operators,
        store,
        sources: Arc::new([("faulty".parse().unwrap(), mounted)].into()),
        clock,
        body_limit: 1024,
        bodies: Bodies::new(1 << 20),
        read_timeout: std::time::Duration::from_secs(10),
        metrics: Metrics::default(),
        refusals: Refusals::default(),
        webhook_limit: RequestLimit::new("webhooks", 1, Metrics::default()),
        admin_limit: RequestLimit::new("admin", 1, Metrics::default()),
        reloads: tokio::sync::mpsc::channel(1).0,
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
    let test = "web::tests::a_webhook_meets_a_fault";
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
    assert!(said.contains("src/web/tests.rs"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}
