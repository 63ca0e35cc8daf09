//! The least that is durable: verifies and parses a ServiceNow webhook, and stores it under a unique key, in one
//! synced commit with all that arrived meanwhile. It has no mappings, states, limits, metrics or log, so no
//! receiver that keeps its word does less.

use std::path::Path;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::webhooks::SERVICENOW_KEY;

/// Largest number of webhooks that share a commit.
const GROUP: usize = 512;
/// Rows of an insert: few sizes, so that all stay prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];
/// Seconds that a signature is good for.
const WINDOW: u64 = 300;

const TABLE: &str = "\
    CREATE TABLE events (
        id          INTEGER PRIMARY KEY,
        delivery    TEXT NOT NULL UNIQUE,
        external_id TEXT NOT NULL,
        body        BLOB NOT NULL
    ) STRICT";

struct Webhook {
    delivery: String,
    external_id: String,
    body: Bytes,
    stored: oneshot::Sender<()>,
}

/// The part of a record that is read.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    sys_id: &'a str,
}

/// Returns the routes. The database is written anew in `folder`.
pub(crate) async fn router(folder: &Path) -> anyhow::Result<Router> {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder)?;
    let options = SqliteConnectOptions::new()
        .filename(folder.join("least.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
    sqlx::query(TABLE).execute(&mut connection).await?;
    let (sender, receiver) = mpsc::channel(4096);
    tokio::spawn(async move {
        if let Err(error) = write(connection, receiver).await {
            println!("the writer failed: {error}");
            std::process::exit(1);
        }
    });
    let receive = post(receive).with_state(sender);
    Ok(Router::new().route("/webhooks/servicenow", receive))
}

async fn receive(
    State(writer): State<mpsc::Sender<Webhook>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(delivery) = verify(&headers, &body) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(record) = serde_json::from_slice::<Record<'_>>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let (stored, answer) = oneshot::channel();
    let webhook = Webhook {
        delivery,
        external_id: record.sys_id.to_owned(),
        body: body.clone(),
        stored,
    };
    if writer.send(webhook).await.is_ok() && answer.await.is_ok() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Returns the id of the delivery, if it is signed.
fn verify(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signature = header("webhook-signature")?.strip_prefix("v1,")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SERVICENOW_KEY).ok()?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.verify_slice(&STANDARD.decode(signature).ok()?).ok()?;
    let now = std::time::UNIX_EPOCH.elapsed().ok()?.as_secs();
    (now.abs_diff(timestamp.parse().ok()?) <= WINDOW).then(|| id.to_owned())
}

async fn write(
    mut connection: SqliteConnection,
    mut webhooks: mpsc::Receiver<Webhook>,
) -> anyhow::Result<()> {
    let inserts = SIZES.map(|size| {
        let rows = vec!["(?, ?, ?)"; size].join(", ");
        format!(
            "INSERT INTO events (delivery, external_id, body) VALUES {rows} ON CONFLICT DO NOTHING"
        )
    });
    let mut group = Vec::with_capacity(GROUP);
    while webhooks.recv_many(&mut group, GROUP).await > 0 {
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut rest = group.as_slice();
        while !rest.is_empty() {
            let size = SIZES.iter().position(|size| *size <= rest.len());
            let size = size.context("one row fits")?;
            let (rows, later) = rest.split_at(SIZES[size]);
            let mut insert = sqlx::query(AssertSqlSafe(inserts[size].as_str()));
            for row in rows {
                insert = insert
                    .bind(&row.delivery)
                    .bind(&row.external_id)
                    .bind(&row.body[..]);
            }
            insert.execute(&mut *tx).await?;
            rest = later;
        }
        tx.commit().await?;
        for webhook in group.drain(..) {
            webhook.stored.send(()).ok();
        }
    }
    Ok(())
}
