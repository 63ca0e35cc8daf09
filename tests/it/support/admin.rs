//! The operator: a client of the admin listener.

use std::net::SocketAddr;

use http::Method;
use reqwest::Client;
use serde_json::{Value, json};

use super::{Answer, Browser, eventually};

/// The token of the admin API.
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-that-nobody-guesses";

/// A client of the admin listener, with its token.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    client: Client,
    base: String,
}

impl Admin {
    pub(super) fn new(client: Client, addr: SocketAddr) -> Self {
        Self {
            client,
            base: format!("http://{addr}"),
        }
    }

    /// Where a path is, for clients of other kinds.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A browser that nobody has logged in with.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.client.clone(), self.base.clone())
    }

    /// One request, with whatever `Authorization` there should be.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method, url).body(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    /// `GET` of a path of the listener, in a format.
    pub(crate) async fn accepting(&self, path: &str, accept: &str) -> Answer {
        let request = self.client.get(self.url(path)).header("accept", accept);
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    /// A `POST` as a browser makes it for a page of another site.
    pub(crate) async fn post_across_sites(&self, path: &str) -> Answer {
        let request = self
            .client
            .post(format!("{}/api/v1{path}", self.base))
            .header("origin", "https://evil.example")
            .header("sec-fetch-site", "cross-site");
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Answer {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let path = format!("/api/v1{path}");
        self.request(method, &path, Some(&bearer), body).await
    }

    /// `GET` of a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, String::new()).await
    }

    /// `DELETE` of a path below `/api/v1`.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, String::new()).await
    }

    /// `PUT` to a path below `/api/v1`.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, body.to_string()).await
    }

    /// `POST` to a path below `/api/v1`; `null` sends nothing.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.call(Method::POST, path, body).await
    }

    /// Imports mappings from a CSV file, given without its header line.
    pub(crate) async fn import(&self, rows: &str) -> Answer {
        self.import_with("", rows).await
    }

    /// The same with a query, such as `?disconnect_others=true`.
    pub(crate) async fn import_with(&self, query: &str, rows: &str) -> Answer {
        let url = format!("{}/api/v1/mappings/import{query}", self.base);
        let request = self.client.post(url).bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "text/csv");
        let file = format!("source,external_id,ticket_id\n{rows}");
        let answer = request.body(file).send().await.unwrap();
        Answer::read(answer).await.unwrap()
    }

    /// Imports mappings from lines of JSON.
    pub(crate) async fn import_ndjson(&self, lines: &str) -> Answer {
        let url = format!("{}/api/v1/mappings/import", self.base);
        let request = self.client.post(url).bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "application/x-ndjson");
        let answer = request.body(lines.to_owned()).send().await.unwrap();
        Answer::read(answer).await.unwrap()
    }

    /// Maps an external ticket.
    pub(crate) async fn map(&self, source: &str, external_id: &str, ticket_id: &str) {
        let path = format!("/mappings/{source}/{external_id}");
        let answer = self.put(&path, &json!({ "ticket_id": ticket_id })).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// The mapping of an external ticket; `null` when there is none.
    pub(crate) async fn mapping(&self, source: &str, external_id: &str) -> Value {
        let answer = self.get(&format!("/mappings/{source}/{external_id}")).await;
        match answer.status {
            200 => answer.json(),
            404 => Value::Null,
            _ => panic!("{answer:?}"),
        }
    }

    /// The elements of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json()["data"].take()).unwrap()
    }

    /// The events that match a query, newest first.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/events?limit=1000&{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json()["data"].take()).unwrap()
    }

    /// One event with its history.
    pub(crate) async fn event(&self, id: &str) -> Value {
        let answer = self.get(&format!("/events/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// `GET /stats`
    pub(crate) async fn stats(&self) -> Value {
        let answer = self.get("/stats").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// `GET /readyz`, which needs no token.
    pub(crate) async fn readyz(&self) -> Answer {
        self.request(Method::GET, "/readyz", None, "").await
    }

    /// Waits until an event is in a state, and answers the event.
    pub(crate) async fn wait_for_state(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        let found = eventually_or_none(async || {
            last = self.event(id).await;
            (last["state"] == state).then(|| last.clone())
        })
        .await;
        found.unwrap_or_else(|| panic!("{id} did not become {state}: {last:#}"))
    }

    /// Waits until nothing is queued.
    pub(crate) async fn drained(&self) {
        eventually("nothing is queued any more", async || {
            (self.stats().await["totals"]["queued"] == 0).then_some(())
        })
        .await;
    }
}

async fn eventually_or_none<T>(mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let search = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, search).await.ok()
}
