//! What watches the daemon: alert rules, the dashboard and the documents name numbers that exist, and
//! each alert has a panel that shows its cause, a section that says what to do, and a test.
#![cfg(feature = "tls")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use http::Method;
use regex::Regex;
use serde_json::Value;
use serval_connect::rehearsal::mock_serval::MockConfig;
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::bodies::{incident, naming, sys_id};
use crate::support::{TestApp, eventually};
use crate::tls::write_pair;

const NAMED_AGE: &str = "serval_connect_oldest_named_parked_age_seconds";
const NAMED_EXPIRED: &str = "serval_connect_named_expired_total";

const DASHBOARD: &str = "deploy/grafana/serval-connect.json";

/// Those that people may have routed: none of them goes or gets another name by accident.
const ALERTS: [&str; 17] = [
    "Down",
    "NotReady",
    "Held",
    "BreakerOpen",
    "DueNotMoving",
    "ParkedTooLong",
    "DeadLetters",
    "StoreFailing",
    "Crowded",
    "ReloadRefused",
    "SlowAcknowledgements",
    "VerificationFailures",
    "SlackRetries",
    "DiskGrowing",
    "SourceTrouble",
    "Expired",
    "CertificateEnds",
];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The rules that alert: by name what they ask for, and the section that they send people to.
fn alerts() -> BTreeMap<String, (String, String)> {
    let rules = YamlLoader::load_from_str(&read("deploy/prometheus/alerts.yaml")).unwrap();
    let rules = rules[0]["groups"][0]["rules"].as_vec().unwrap();
    let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
    rules
        .iter()
        .map(|rule| {
            let section = text(&rule["annotations"]["runbook_url"]);
            (text(&rule["alert"]), (text(&rule["expr"]), section))
        })
        .collect()
}

/// What the panels ask for.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// The series that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:serval_connect|process)_[a-z_]*[a-z]\b|\bup\b").unwrap();
    name.find_iter(text)
        .map(|found| found.as_str().to_owned())
        .collect()
}

/// The labels by which a query chooses or sums up.
fn labels(query: &str) -> BTreeSet<String> {
    let chosen = Regex::new(r#"([a-z_]+)=~?""#).unwrap();
    let by = Regex::new(r"\b(?:by|on) \(([a-z_, ]+)\)").unwrap();
    let lists = by
        .captures_iter(query)
        .flat_map(|found| found[1].split(", ").map(str::to_owned).collect::<Vec<_>>());
    let chosen = chosen.captures_iter(query).map(|found| found[1].to_owned());
    chosen.chain(lists).collect()
}

/// Each series of a daemon with its labels, and those that Prometheus adds.
async fn series() -> BTreeMap<String, BTreeSet<String>> {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("own.crt"), folder.path().join("own.key"));
    write_pair(&cert, &key, 2100);
    let tls = format!(
        "[server]\ntls_cert_file = {:?}\ntls_key_file = {:?}",
        cert.display(),
        key.display()
    );
    let app = TestApp::builder().config(&tls).start().await;
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    app.stop().await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    let mut series = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = label.captures_iter(line).map(|found| found[1].to_owned());
        series.entry(name.to_owned()).or_default().extend(labels);
    }
    for labels in series.values_mut() {
        labels.extend(["job".to_owned(), "instance".to_owned()]);
    }
    series
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alerts_panels_and_documents_ask_for_is_there() {
    let series = series().await;
    let alerts = alerts().into_values().map(|(query, _)| query);
    let mut queries: Vec<String> = alerts.chain(panels()).collect();
    assert!(queries.len() > 40, "the search has lost its way");
    // Only Linux says so much of a process.
    queries.retain(|query| cfg!(target_os = "linux") || !query.contains("process_"));
    for query in &queries {
        let names = named(query);
        assert!(!names.is_empty(), "{query}");
        let mut known = BTreeSet::new();
        for name in &names {
            known.extend(
                series
                    .get(name)
                    .unwrap_or_else(|| panic!("{name}: {query}")),
            );
        }
        for label in &labels(query) {
            assert!(known.contains(label), "{label}: {query}");
        }
    }
    for document in [DASHBOARD, "docs/operations.md", "docs/security.md"] {
        let text = read(document);
        for name in named(&text).iter().filter(|name| name.contains("serval")) {
            // A histogram goes by the name of its family.
            let is_there = [name.clone(), format!("{name}_bucket")]
                .iter()
                .any(|name| series.contains_key(name));
            assert!(is_there, "{document}: {name}");
        }
    }
}

#[test]
fn every_alert_has_a_panel_a_section_and_a_test() {
    let alerts = alerts();
    for alert in ALERTS {
        let name = format!("ServalConnect{alert}");
        assert!(alerts.contains_key(&name), "{name} is gone");
    }
    let shown: BTreeSet<String> = panels().iter().flat_map(|query| named(query)).collect();
    let guide = read("docs/operations.md");
    let tests = read("deploy/prometheus/alerts_test.yaml");
    for (alert, (query, section)) in &alerts {
        for name in named(query) {
            assert!(shown.contains(&name), "no panel shows {name} of {alert}");
        }
        let expected = format!("docs/operations.md#{}", alert.to_lowercase());
        assert_eq!(*section, expected, "{alert}");
        assert!(guide.contains(&format!("\n### {alert}\n")), "{alert}");
        let test = format!("\n  - name: {alert} fires\n");
        assert!(tests.contains(&test), "{alert}");
    }
    let sections = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### ServalConnect"));
    for section in sections {
        let alert = format!("ServalConnect{section}");
        assert!(alerts.contains_key(&alert), "no rule alerts as {alert}");
    }
}

/// The value of a series without labels.
fn value(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn only_events_that_name_a_serval_ticket_count_as_somebodys() {
    let known = MockConfig {
        known_tickets: Some(BTreeSet::new()),
        ..MockConfig::default()
    };
    let app = TestApp::builder()
        .serval(known)
        .config("[sources.servicenow]\npark_for = \"1s\"")
        .config("ticket_id_pointers = [\"/correlation_id\"]")
        .config("[sources.servicenow-eu]\npark_for = \"1h\"")
        .config("ticket_id_pointers = [\"/correlation_id\"]")
        .start()
        .await;
    let page = async || {
        let page = app.admin.request(Method::GET, "/metrics", None, "").await;
        String::from_utf8(page.body.to_vec()).unwrap()
    };
    app.save(incident(1)).await;
    let expired = async || (app.admin.events("state=expired").await.len() == 1).then_some(());
    eventually("nobody's event expires", expired).await;
    let nobodys = page().await;
    assert!(value(&nobodys, NAMED_AGE).abs() < f64::EPSILON, "{nobodys}");
    assert!(
        value(&nobodys, NAMED_EXPIRED).abs() < f64::EPSILON,
        "{nobodys}"
    );
    // One that names a ticket which Serval does not know is parked, and then expires.
    let eu = app.webhooks.servicenow(naming(2, 1, "tkt-unknown"));
    assert_eq!(eu.to("/webhooks/servicenow-eu").send().await.status, 202);
    let is_old = async || (value(&page().await, NAMED_AGE) > 0.0).then_some(());
    eventually("a named event is parked", is_old).await;
    app.save(naming(3, 1, "tkt-unknown")).await;
    let is_counted = async || (value(&page().await, NAMED_EXPIRED) > 0.5).then_some(());
    eventually("a named event expires", is_counted).await;
    app.stop().await;
}

#[tokio::test]
async fn an_event_that_failed_before_it_was_parked_names_no_serval_ticket() {
    let app = TestApp::start().await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.faults(&["status=403,path=connect"]);
    let id = app.save(incident(1)).await;
    let event = app.admin.wait_for_state(&id, "dead").await;
    assert!(event["last_error"].is_string(), "{event}");
    assert_eq!(app.admin.delete(&path).await.status, 204);
    let replay = format!("/events/{id}/replay");
    assert_eq!(app.admin.post(&replay, &Value::Null).await.status, 202);
    let event = app.admin.wait_for_state(&id, "parked").await;
    assert_eq!(event["last_error"], Value::Null);
    let page = app.admin.request(Method::GET, "/metrics", None, "").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(value(&page, NAMED_AGE).abs() < f64::EPSILON, "{page}");
    app.stop().await;
}
