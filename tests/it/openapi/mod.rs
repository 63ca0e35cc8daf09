//! The OpenAPI document: that it is up to date, and that the program answers as it says.

mod schema;

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::api_daemon::{ADMIN, Daemon, MAPPER, incident, sys_id};

fn document() -> Value {
    serde_json::from_str(serval_connect::web::document()).unwrap()
}

#[test]
fn the_checked_in_document_is_the_one_that_the_program_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == serval_connect::web::document(),
        "docs/openapi.json is stale; make it anew: cargo run -- openapi > docs/openapi.json"
    );
}

/// `POST /webhooks/{source}` and its description, of all operations.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "servers" {
                all.push((
                    format!("{} {path}", method.to_uppercase()),
                    operation.clone(),
                ));
            }
        }
    }
    all
}

#[test]
fn every_operation_says_what_the_standard_asks_for() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(operation["summary"].is_string(), "{name}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].is_string(), "{name} {status}");
        }
        let declared: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        assert_eq!(name.matches('{').count(), declared.len(), "{name}");
        assert!(declared.iter().all(|place| name.contains(place)), "{name}");
    }
    // Each reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

/// A request and the status that it should get.
struct Example {
    operation: &'static str,
    path: String,
    token: Option<&'static str>,
    content_type: &'static str,
    body: String,
    expected: u16,
}

/// A body as text or as JSON.
struct Body(String);

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self(value.to_string())
    }
}

fn example(operation: &'static str, path: &str, body: impl Into<Body>, expected: u16) -> Example {
    Example {
        operation,
        path: path.to_owned(),
        token: Some(ADMIN),
        content_type: "application/json",
        body: body.into().0,
        expected,
    }
}

fn examples() -> Vec<Example> {
    const PUT: &str = "PUT /api/v1/mappings/{source}/{external_id}";
    const IMPORT: &str = "POST /api/v1/mappings/import";
    const WEBHOOK: &str = "POST /webhooks/{source}";
    let one = format!("/api/v1/mappings/servicenow/{}", sys_id(7));
    let typed = |content_type, body, expected| Example {
        content_type,
        ..example(IMPORT, "/api/v1/mappings/import", body, expected)
    };
    let with = |token, example| Example { token, ..example };
    let csv = "source,external_id,ticket_id\n";
    vec![
        example(WEBHOOK, "/webhooks/servicenow", incident(&sys_id(1)), 202),
        example(WEBHOOK, "/webhooks/servicenow", "{", 400),
        example(WEBHOOK, "/webhooks/servicenow", incident("x"), 422),
        example(WEBHOOK, "/webhooks/slack", "{}", 401),
        example(WEBHOOK, "/webhooks/nobody", "{}", 404),
        example(
            "POST /webhooks/{source}/{table}",
            "/webhooks/servicenow/incident",
            incident(&sys_id(2)),
            202,
        ),
        example("GET /healthz", "/healthz", "", 200),
        example("GET /readyz", "/readyz", "", 200),
        example("GET /metrics", "/metrics", "", 200),
        example("GET /openapi.json", "/openapi.json", "", 200),
        example(PUT, &one, json!({ "ticket_id": "t" }), 201),
        example(PUT, &one, json!({ "ticket_id": "u" }), 200),
        example(PUT, &one, "{", 400),
        example(PUT, &one, json!({ "ticket_id": "null" }), 422),
        example(
            PUT,
            "/api/v1/mappings/nobody/x",
            json!({ "ticket_id": "t" }),
            404,
        ),
        with(None, example(PUT, &one, "{}", 401)),
        example("GET /api/v1/mappings/{source}/{external_id}", &one, "", 200),
        example("GET /api/v1/mappings", "/api/v1/mappings?limit=1", "", 200),
        example("GET /api/v1/mappings", "/api/v1/mappings?limit=0", "", 400),
        typed("text/csv", csv, 200),
        typed("application/x-ndjson", "{}", 422),
        typed("application/json", "[]", 415),
        example(
            "GET /api/v1/mappings/export",
            "/api/v1/mappings/export",
            "",
            200,
        ),
        example(
            "GET /api/v1/mappings/export",
            "/api/v1/mappings/export?format=ndjson",
            "",
            200,
        ),
        example(
            "GET /api/v1/mappings/export",
            "/api/v1/mappings/export?format=xml",
            "",
            400,
        ),
        example(
            "DELETE /api/v1/mappings/{source}/{external_id}",
            &one,
            "",
            204,
        ),
        example(
            "DELETE /api/v1/mappings/{source}/{external_id}",
            &one,
            "",
            404,
        ),
        example("GET /api/v1/events", "/api/v1/events?state=parked", "", 200),
        example("GET /api/v1/events", "/api/v1/events?state=lost", "", 400),
        example("GET /api/v1/events/{id}", "/api/v1/events/evt_1", "", 200),
        example("GET /api/v1/events/{id}", "/api/v1/events/evt_99", "", 404),
        example(
            "POST /api/v1/events/{id}/replay",
            "/api/v1/events/evt_1/replay",
            "",
            409,
        ),
        example(
            "POST /api/v1/events/replay",
            "/api/v1/events/replay",
            json!({ "state": "dead", "dry_run": true }),
            200,
        ),
        example(
            "POST /api/v1/events/replay",
            "/api/v1/events/replay",
            json!({ "state": "parked" }),
            422,
        ),
        example(
            "POST /api/v1/erase",
            "/api/v1/erase",
            json!({ "source": "servicenow", "external_id": sys_id(2) }),
            200,
        ),
        example(
            "POST /api/v1/erase/mentions",
            "/api/v1/erase/mentions",
            json!({ "value": "ann@example.com", "events": ["evt_99"] }),
            200,
        ),
        example(
            "POST /api/v1/events/mentioning",
            "/api/v1/events/mentioning",
            json!({ "value": "ann@example.com" }),
            200,
        ),
        example(
            "POST /api/v1/events/mentioning",
            "/api/v1/events/mentioning",
            json!({ "value": "an" }),
            422,
        ),
        example("GET /api/v1/parked", "/api/v1/parked?limit=10", "", 200),
        example(
            "GET /api/v1/links/{source}/{external_id}",
            &format!("/api/v1/links/servicenow/{}", sys_id(1)),
            "",
            200,
        ),
        example(
            "DELETE /api/v1/links/{source}/{external_id}/{ticket_id}",
            &format!("/api/v1/links/servicenow/{}/nobody?force=true", sys_id(1)),
            "",
            404,
        ),
        example(
            "GET /api/v1/conflicts",
            "/api/v1/conflicts?decided=true",
            "",
            200,
        ),
        example(
            "POST /api/v1/conflicts/{id}",
            "/api/v1/conflicts/1",
            json!({ "decision": "keep" }),
            404,
        ),
        example("GET /api/v1/stats", "/api/v1/stats", "", 200),
        example("GET /api/v1/replicas", "/api/v1/replicas", "", 200),
        example("GET /api/v1/audit", "/api/v1/audit?limit=5", "", 200),
        example("GET /api/v1/audit", "/api/v1/audit?cursor=x", "", 400),
        example("GET /api/v1/audit/export", "/api/v1/audit/export", "", 200),
        example(
            "GET /api/v1/audit/export",
            "/api/v1/audit/export?since=x",
            "",
            400,
        ),
        with(
            Some(MAPPER),
            example("GET /api/v1/stats", "/api/v1/stats", "", 403),
        ),
        example(
            "POST /api/v1/connects/pause",
            "/api/v1/connects/pause",
            "",
            200,
        ),
        example(
            "POST /api/v1/connects/resume",
            "/api/v1/connects/resume",
            "",
            200,
        ),
        example("POST /api/v1/reload", "/api/v1/reload", "", 200),
    ]
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let document = document();
    let operations = operations(&document);
    let mut untried: BTreeSet<&str> = operations.iter().map(|(name, _)| name.as_str()).collect();
    let daemon = Daemon::start().await;
    for example in examples() {
        let name = example.operation;
        let found = operations.iter().find(|(operation, _)| operation == name);
        let (_, operation) = found.unwrap_or_else(|| panic!("{name} is not described"));
        untried.remove(name);
        let method: Method = name.split(' ').next().unwrap().parse().unwrap();
        let request = match example.path.strip_prefix("/webhooks/servicenow") {
            Some(rest) => daemon.webhook(rest, example.body),
            None if example.path.starts_with("/webhooks/") => {
                let url = format!("{}{}", daemon.public, example.path);
                reqwest_at(&daemon, method, &url).body(example.body)
            }
            None => {
                let request = daemon.admin(method, &example.path).body(example.body);
                match example.token {
                    Some(token) => request.bearer_auth(token),
                    None => request,
                }
            }
        };
        let request = request.header("content-type", example.content_type);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").cloned();
        let text = answer.text().await.unwrap();
        assert_eq!(status, example.expected, "{name} {}: {text}", example.path);
        let described = &operation["responses"][status.to_string()];
        assert!(described.is_object(), "{name}: {status} is not described");
        let kinds = described["content"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let Some(kind) = kind else {
            assert!(kinds.is_empty(), "{name}: {status} has no content");
            continue;
        };
        let kind = kind.to_str().unwrap().split(';').next().unwrap().to_owned();
        let content = kinds.get(&kind);
        let content = content.unwrap_or_else(|| panic!("{name}: {status} is {kind}"));
        if kind.ends_with("json") && kind != "application/x-ndjson" {
            let value: Value = serde_json::from_str(&text).unwrap();
            schema::check(&document, &content["schema"], &value, name);
        }
    }
    assert!(untried.is_empty(), "without an example: {untried:?}");
    daemon.stop().await;
}

fn reqwest_at(daemon: &Daemon, method: Method, url: &str) -> reqwest::RequestBuilder {
    let (client, request) = daemon.admin(method, "/").build_split();
    let mut request = request.unwrap();
    *request.url_mut() = url.parse().unwrap();
    reqwest::RequestBuilder::from_parts(client, request)
}
