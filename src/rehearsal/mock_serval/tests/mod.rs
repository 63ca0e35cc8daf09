//! The stand-in over real sockets, without the client that it is a stand-in for.

mod api;
mod faults;

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::{MockConfig, MockServal};
use crate::edge::outbound;

const TOKEN: &str = "fixed-token";
const CONNECT: &str = r#"{"channelTarget":{"ticketSource":{"integrationId":"i"}},"externalTicketId":"x","externalTicketData":{"n":1.0}}"#;

/// A running stand-in with a fixed token, and a plain client.
struct Stage {
    mock: MockServal,
    http: reqwest::Client,
}

impl Stage {
    async fn set(config: MockConfig) -> Self {
        outbound::install_tls_provider();
        let http = outbound::client(outbound::Limits {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_millis(600),
            idle_connections: 4,
            is_local: true,
        })
        .unwrap();
        let mock = MockServal::start(MockConfig {
            bearer_token: Some(SecretString::from(TOKEN.to_owned())),
            ..config
        })
        .await
        .unwrap();
        Self { mock, http }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.mock.base_url());
        self.http
            .request(method.parse().unwrap(), url)
            .bearer_auth(TOKEN)
    }

    async fn connect(&self, ticket: &str, body: &str) -> reqwest::Result<reqwest::Response> {
        self.request("POST", &format!("/v2/tickets/{ticket}/connect"))
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.request("GET", path).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }
}
