//! A third kind of source, added from outside of the program: all that a system needs stands behind
//! the traits of `sources`. Ticketbox signs JSON and sends one ticket in each webhook.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use serval_connect::config::{Config, Environment};
use serval_connect::domain::event::{Disposition, NewEvent, Rank};
use serval_connect::domain::feed::{Sign, Trouble};
use serval_connect::domain::ids::{ExternalId, InvalidId};
use serval_connect::domain::report::Report;
use serval_connect::edge::metrics::SourceCounter;
use serval_connect::edge::shapes::{Key, Shape};
use serval_connect::rehearsal::mock_serval::SERVICENOW_INTEGRATION;
use serval_connect::sources::auth::signature::{mac, mac_matches};
use serval_connect::sources::policy::check_target;
use serval_connect::sources::{
    Acknowledgement, InvalidKey, Kind, KindConfig, Kinds, OwnKeys, Receipt, Refused, Source,
    SourcePolicy, Title, Unreadable, Unverified, Verified, first_line, place_of, servicenow, slack,
};

use crate::support::{Delivery, TestApp};

const KINDS: Kinds = &[servicenow::KIND, slack::KIND, &Ticketbox];
const SECRET: &str = "the-signing-key-of-a-ticketbox";
const ID: &str = "box:2f09a1";

#[derive(Debug)]
struct Ticketbox;

static RETRIES: SourceCounter = SourceCounter {
    name: "ticketbox_retries",
    help: "Webhooks that Ticketbox sent again",
    label: "round",
    words: &["second", "later"],
};

impl Kind for Ticketbox {
    fn name(&self) -> &'static str {
        "ticketbox"
    }

    fn own_keys(&self) -> OwnKeys {
        const KEYS: &[Key] = &[
            Key::new("signing_secrets", Shape::Secrets),
            Key::new("queues", Shape::Texts),
            Key::new("vip_target", Shape::Object),
        ];
        OwnKeys::of::<Keys>(KEYS)
    }

    fn policy(&self) -> SourcePolicy {
        SourcePolicy {
            park_for: Duration::from_hours(24),
            ..SourcePolicy::default()
        }
    }

    fn parse_external_id(&self, text: &str) -> Result<ExternalId, InvalidId> {
        let is_hex = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        match text.to_ascii_lowercase().strip_prefix("box:") {
            Some(id) if is_hex(id) => Ok(ExternalId::checked(format!("box:{id}"))),
            _ => Err(InvalidId::new(
                "a Ticketbox id is box: and hexadecimal digits",
            )),
        }
    }

    fn title(&self, object: &str) -> Title {
        let ticket: Ticket<'_> = serde_json::from_str(object).unwrap();
        Title {
            number: Some(ticket.label.to_owned()),
            title: first_line(&ticket.subject),
        }
    }

    fn number_member(&self) -> &'static str {
        "label"
    }

    fn is_number(&self, word: &str) -> bool {
        word.starts_with("BOX/")
    }

    fn linked(&self, url: &str) -> Option<ExternalId> {
        let id = url.strip_prefix("https://box.example/tickets/")?;
        self.parse_external_id(&format!("box:{id}")).ok()
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::ListOfEvents
    }

    fn statuses(&self) -> &'static [u16] {
        &[202, 401]
    }

    fn counter(&self) -> Option<&'static SourceCounter> {
        Some(&RETRIES)
    }

    fn sign(&self, reason: &str) -> Sign {
        match reason {
            "other_queue" => Sign::Trouble(Trouble::ForeignInstance),
            _ => Sign::Alive,
        }
    }

    fn targets(&self, integration_id: &str) -> Vec<(&'static str, Value)> {
        let target = json!({ "ticketSource": { "integrationId": integration_id } });
        vec![("channel_target", target)]
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Keys {
    #[serde(skip_serializing, default)]
    signing_secrets: Vec<SecretString>,
    queues: Vec<String>,
    vip_target: Option<Value>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            signing_secrets: Vec::new(),
            queues: vec!["help".to_owned()],
            vip_target: None,
        }
    }
}

impl KindConfig for Keys {
    fn build(&self, policy: &SourcePolicy) -> Result<Box<dyn Source>, InvalidKey> {
        check_target("channel_target", policy.channel_target.as_ref())?;
        let key = self.signing_secrets.first();
        let key = key.ok_or_else(|| InvalidKey::new("signing_secrets", "is empty"))?;
        Ok(Box::new(Tickets {
            key: key.clone(),
            queues: self.queues.clone(),
            vip_target: self.vip_target.clone().map(Arc::new),
        }))
    }

    fn targets(&self) -> Vec<(&'static str, &Value)> {
        let vip = self.vip_target.iter();
        vip.map(|target| ("vip_target", target)).collect()
    }
}

#[derive(Debug)]
struct Tickets {
    key: SecretString,
    queues: Vec<String>,
    vip_target: Option<Arc<Value>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    delivery: &'a str,
    #[serde(borrow)]
    ticket: &'a RawValue,
}

#[derive(Deserialize)]
struct Ticket<'a> {
    id: &'a str,
    label: &'a str,
    subject: String,
    queue: &'a str,
    serval: Option<&'a str>,
}

impl Source for Tickets {
    fn verify<'a>(&self, request: Unverified<'a>, _: Timestamp) -> Result<Verified<'a>, Refused> {
        let header = "x-ticketbox-mac";
        let value = request.headers.get(header);
        let value = value.ok_or(Refused::Missing { expected: header })?;
        let candidate = hex::decode(value).map_err(|_| Refused::Malformed { header })?;
        if mac_matches(
            self.key.expose_secret().as_bytes(),
            &[request.body],
            &candidate,
        ) {
            Ok(request.vouched(None))
        } else {
            Err(Refused::Mismatch { what: "signature" })
        }
    }

    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        let broken = |_| Unreadable::Body("the body is not a ticket".to_owned());
        let body: Body<'_> = serde_json::from_slice(request.body()).map_err(broken)?;
        if body.delivery == "hello" {
            return Ok(Receipt::Challenge("good day".to_owned()));
        }
        let ticket: Ticket<'_> = serde_json::from_str(body.ticket.get()).map_err(broken)?;
        let named = request.table().unwrap_or(ticket.queue);
        let is_ours = self.queues.iter().any(|queue| queue == named);
        let id = Ticketbox.parse_external_id(ticket.id);
        Ok(Receipt::Events(vec![NewEvent {
            disposition: if is_ours {
                Disposition::Connect
            } else {
                Disposition::Ignore("other_queue")
            },
            external_id: Some(id.map_err(|error| Unreadable::Body(error.to_string()))?),
            subtype: None,
            event_type: "ticket.saved".to_owned(),
            delivery_key: Some(body.delivery.to_owned()),
            content_key: None,
            rank: Rank::default(),
            report: Report::Save,
            hint: ticket.serval.and_then(|id| id.parse().ok()),
            number: Some(ticket.label.to_owned()),
            channel: None,
            question: None,
            object: place_of(body.ticket.get(), request.body()),
        }]))
    }

    fn target(&self, external_id: &ExternalId, _is_direct: bool) -> Option<Arc<Value>> {
        let is_vip = external_id.as_str().starts_with("box:f");
        self.vip_target.clone().filter(|_| is_vip)
    }

    fn counted(&self, headers: &HeaderMap) -> Option<&'static str> {
        headers
            .contains_key("x-ticketbox-again")
            .then_some("second")
    }
}

fn ticket(id: &str, label: &str, queue: &str) -> Value {
    json!({ "id": id, "label": label, "subject": "No toner\nsince noon", "queue": queue,
        "salary": 7, "serval": null })
}

fn config() -> String {
    format!(
        "[sources.ticketbox]\nsigning_secrets = ['{SECRET}']\ndrop_fields = ['/salary']\n\
         channel_target = {{ ticketSource = {{ integrationId = '{SERVICENOW_INTEGRATION}' }} }}\n\
         vip_target = {{ email = {{}} }}"
    )
}

async fn start() -> TestApp {
    TestApp::builder()
        .kinds(KINDS)
        .config(&config())
        .start()
        .await
}

/// A signed delivery.
fn delivery(app: &TestApp, name: &str, ticket: &Value) -> Delivery {
    let body = json!({ "delivery": name, "ticket": ticket }).to_string();
    let signature = hex::encode(mac(SECRET.as_bytes(), &[body.as_bytes()]));
    let plain = app.webhooks.plain(Method::POST, "/webhooks/ticketbox");
    plain.altered(body).header("x-ticketbox-mac", &signature)
}

#[tokio::test]
async fn it_receives_parks_maps_and_connects() {
    let app = start().await;
    let saved = delivery(&app, "d1", &ticket("BOX:2F09A1", "BOX/7", "help"));
    let event = saved.send().await.event();
    assert_eq!(
        (&event["state"], &event["external_id"]),
        (&json!("parked"), &json!(ID))
    );
    assert_eq!(saved.send().await.event()["duplicate"], true);
    assert_eq!(
        saved
            .clone()
            .header("x-ticketbox-mac", "00")
            .send()
            .await
            .status,
        401
    );
    assert_eq!(
        delivery(&app, "hello", &Value::Null).send().await.text(),
        "good day"
    );
    let other = delivery(&app, "d2", &ticket(ID, "BOX/7", "sales"));
    assert_eq!(other.send().await.event()["state"], "ignored");

    app.admin.map("ticketbox", "BOX:2f09a1", "tkt-1").await;
    let id = event["id"].as_str().unwrap();
    app.admin.wait_for_state(id, "connected").await;
    let vip = ticket("box:f1", "BOX/8", "help");
    let vip = delivery(&app, "d3", &vip).send().await.id();
    app.admin.map("ticketbox", "box:f1", "tkt-2").await;
    app.admin.wait_for_state(&vip, "connected").await;
    let connects = app.mock.connects();
    assert_eq!(connects[0].external_id, ID);
    let object: Value = serde_json::from_str(connects[0].object.as_deref().unwrap()).unwrap();
    assert_eq!(
        (&object["label"], &object["salary"]),
        (&json!("BOX/7"), &Value::Null)
    );
    let types: Vec<_> = app
        .mock
        .links()
        .into_iter()
        .map(|link| link.source_type)
        .collect();
    assert!(
        types[0].ends_with("SERVICENOW") && types[1].ends_with("EMAIL"),
        "{types:?}"
    );
    app.stop().await;
}

#[tokio::test]
async fn it_sees_a_table_of_the_path_only_where_the_path_names_one() {
    let app = start().await;
    for (n, (rest, queue, state)) in [
        ("", "help", "parked"),
        ("/", "help", "parked"),
        ("//", "help", "parked"),
        ("//", "sales", "ignored"),
        ("/sales", "help", "ignored"),
        ("/sales/", "help", "ignored"),
        ("/help", "sales", "parked"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("box:{n:06x}");
        let saved = delivery(&app, &format!("d{n}"), &ticket(&id, "BOX/7", queue));
        let path = format!("/webhooks/ticketbox{rest}");
        let event = saved.to(&path).send().await.event();
        assert_eq!(event["state"], state, "{path} {queue}");
    }
    app.stop().await;
}

#[tokio::test]
async fn it_is_found_and_shown_by_what_people_call_it() {
    let app = start().await;
    delivery(&app, "d1", &ticket(ID, "BOX/7", "help"))
        .send()
        .await
        .id();
    let path = format!("/tickets/ticketbox/{ID}");
    let mut browser = app.admin.browser().logged_in().await;
    for text in [
        "BOX/7",
        "please+see+BOX/7+today",
        "BOX:2F09A1",
        "see+BOX:2f09a1,+please",
        "https://box.example/tickets/2f09a1",
    ] {
        let answer = browser.get(&format!("/find?q={text}")).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, &*path),
            "{text}"
        );
    }
    let ahead = browser.page("/find?q=box:ffff").await;
    assert!(ahead.contains("/tickets/ticketbox/box:ffff"), "{ahead}");
    for page in [&path, "/parked"] {
        let page = browser.page(page).await;
        assert!(
            page.contains("BOX/7") && page.contains("No toner"),
            "{page}"
        );
        assert!(!page.contains("salary"));
    }
    // Its one spelling is the kind's own.
    assert_eq!(app.admin.events("external_id=BOX:2F09A1").await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn it_has_metrics_and_configuration_of_its_own() {
    let app = start().await;
    let again = delivery(&app, "d1", &ticket(ID, "BOX/7", "help"));
    again.header("x-ticketbox-again", "1").send().await.id();
    let metrics = app
        .admin
        .request(Method::GET, "/metrics", None, "")
        .await
        .text();
    for line in [
        r#"serval_connect_ticketbox_retries_total{source="ticketbox",round="second"} 1"#,
        r#"serval_connect_ticketbox_retries_total{source="ticketbox",round="later"} 0"#,
        r#"serval_connect_webhooks_total{source="ticketbox",status="202"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    app.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let load = |toml: &str| {
        let file = folder.path().join("a.toml");
        std::fs::write(&file, toml).unwrap();
        Config::load_with(KINDS, &[file], &Environment::default())
    };
    let loaded = load(&config()).unwrap();
    let shown = loaded.redacted();
    for line in [
        "signing_secrets = (set, 1 value)",
        "queues = [\"help\"]",
        "park_for = \"1d\"",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let wrong = load("[sources.ticketbox]\nsecrets = ['x']\n[sources.x]\nkind = 'y'").unwrap_err();
    let wrong = wrong.to_string();
    assert!(
        wrong.contains("a key of servicenow sources, and this is a ticketbox source"),
        "{wrong}"
    );
    assert!(
        wrong.contains("expected one of servicenow, slack, ticketbox"),
        "{wrong}"
    );
    let unready = load("[sources.ticketbox]")
        .unwrap()
        .validate_for_serve()
        .unwrap_err();
    assert!(
        unready
            .to_string()
            .contains("sources.ticketbox.channel_target"),
        "{unready}"
    );
}
