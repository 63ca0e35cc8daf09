//! The client against the stand-in and against sockets that misbehave.

mod calls;
mod network;
mod refusals;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{Answer, ConnectRequest, InvalidServalConfig, ServalClient, ServalError};
use crate::config::ServalConfig;
use crate::edge::blot::Blot;
use crate::edge::clock::SystemClock;
use crate::rehearsal::mock_serval::{Fault, MockConfig, MockServal};
use crate::sources::servicenow;

const SYS_ID: &str = "6f1d0c93db2a6410c7e3f4a2ce9619aa";

async fn mock(config: MockConfig) -> MockServal {
    MockServal::start(config).await.unwrap()
}

fn faults(specs: &[&str]) -> Vec<Fault> {
    specs.iter().map(|spec| spec.parse().unwrap()).collect()
}

fn config(base_url: &str) -> ServalConfig {
    ServalConfig {
        base_url: base_url.to_owned(),
        client_id: Some("mock-client".to_owned()),
        client_secret: Some("mock-secret".to_owned().into()),
        bearer_token: None,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
    }
}

/// A client with a static token.
fn bearer_config(base_url: &str, token: &str) -> ServalConfig {
    ServalConfig {
        client_id: None,
        client_secret: None,
        bearer_token: Some(token.to_owned().into()),
        ..config(base_url)
    }
}

fn try_client(config: &ServalConfig) -> Result<ServalClient, InvalidServalConfig> {
    ServalClient::new(config, Arc::new(SystemClock), 8, Blot::default())
}

fn client(mock: &MockServal) -> ServalClient {
    try_client(&config(&mock.base_url())).unwrap()
}

async fn connect(client: &ServalClient, request: &ConnectRequest) -> Result<Answer, ServalError> {
    let answer = client.connect(request, || async { true }).await?;
    Ok(answer.expect("it was sent"))
}

fn connect_request(ticket: &str) -> ConnectRequest {
    ConnectRequest {
        ticket_id: ticket.parse().unwrap(),
        channel_target: Arc::new(json!({"ticketSource": {"integrationId": "int-1"}})),
        external_id: servicenow::KIND.parse_external_id(SYS_ID).unwrap(),
        object: Bytes::from_static(br#"{"sys_id":"x", "n":1.0}"#),
        subtype: Some("incident".to_owned()),
        accounted_for_message_ids: Vec::new(),
        traceparent: None,
    }
}
