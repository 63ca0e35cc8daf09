//! Tests of the choice between the two ways, and of what each says.

use http::Method;
use reqwest::Url;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Environment;
use crate::edge::clock::{Clock as _, SystemClock};

fn config(folder: &Path) -> Config {
    // Nobody listens on port 1.
    let variables = [
        (
            "SERVAL_CONNECT__DATABASE__URL",
            format!("sqlite://{}/x.db", folder.display()),
        ),
        ("SERVAL_CONNECT__ADMIN__LISTEN", "127.0.0.1:1".to_owned()),
    ];
    let environment: Environment = variables.into_iter().collect();
    Config::load(&[], &environment).unwrap().config
}

/// Makes the database.
async fn made(config: &Config) {
    let opened = Store::open_database(&database(config), SystemClock.now()).await;
    let (store, writer) = opened.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    store.close_readers().await;
    drop(store);
    writer.run(stop).await;
}

#[tokio::test]
async fn a_free_database_is_worked_on_directly_and_left_free() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    made(&config).await;
    for _ in 0..2 {
        let list = Backend::with(&config, async |backend: &Backend| {
            assert!(matches!(backend, Backend::Direct(_)));
            backend.call(&Call::new(Method::GET, &["mappings"])).await
        });
        let empty = json!({ "data": [], "next_cursor": null });
        assert_eq!(list.await.unwrap().body, empty);
    }
    assert!(
        !folder.path().join("x.db-wal").exists(),
        "closed, with nothing left to recover"
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let refused = Backend::choose(&config, Duration::ZERO).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("x.db yet"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_held_database_without_an_api_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    made(&config).await;
    let _held = DatabaseLock::acquire(config.database.url.expose_secret()).unwrap();
    let refused = Backend::choose(&config, Duration::ZERO).await;
    let text = refused.unwrap_err().to_string();
    for part in ["x.db is in use", "http://127.0.0.1:1", "--config"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[tokio::test]
async fn a_command_waits_for_another_one_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    made(&config).await;
    let held = DatabaseLock::acquire(config.database.url.expose_secret()).unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        drop(held);
    };
    let (chosen, ()) = tokio::join!(Backend::choose(&config, PATIENCE), release);
    assert!(matches!(chosen.unwrap(), Backend::Direct(_)));
}

#[test]
fn ids_cannot_leave_their_place_in_the_path() {
    let base = Url::parse("http://127.0.0.1:8081").unwrap();
    let call = Call::new(Method::GET, &["mappings", "slack", "C1/../x?y=1"])
        .with("limit", Some("5"))
        .with("cursor", None);
    assert_eq!(
        call.url(&base).as_str(),
        "http://127.0.0.1:8081/api/v1/mappings/slack/C1%2F..%2Fx%3Fy=1?limit=5"
    );
}
