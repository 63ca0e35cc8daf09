//! What customers take out of `contrib/` and put into `ServiceNow` and Slack: in the form that those
//! systems read, and up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::support::node;

const UPDATE_SET: &str = "contrib/servicenow/serval_connect_update_set.xml";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The scripts that run in an instance.
fn scripts() -> [String; 3] {
    let names = ["business_rule", "business_rule_scoped", "outbox_job"];
    names.map(|name| format!("contrib/servicenow/serval_connect_{name}.js"))
}

/// A script without its comments and without what stands in quotes.
fn code_of(script: &str) -> String {
    let aside = Regex::new(r"(?s)/\*.*?\*/|//[^\n]*|'(?:\\.|[^'\\\n])*'").unwrap();
    aside.replace_all(script, "''").into_owned()
}

/// What in a script is newer than ES5.
fn newer_than_es5(script: &str) -> Option<String> {
    let newer = Regex::new(
        r"\b(?:let|const|class|extends|super|import|export|async|await|yield|of)\b|=>|`|\.\.\.|\*\*|\?\.|\?\?|,\s*\)",
    );
    let code = code_of(script);
    let found = newer.unwrap().find(&code)?;
    Some(found.as_str().to_owned())
}

#[tokio::test]
async fn the_scripts_for_servicenow_are_es5_and_plain_ascii() {
    for (script, expected) in [
        ("let a = 1;", Some("let")),
        ("var f = (a) => a;", Some("=>")),
        ("var a = `x`;", Some("`")),
        ("for (var a of b) {}", Some("of")),
        ("f(a,)", Some(",)")),
        (
            "// let it be, say `of` => nothing\nvar a = 'const' /* class */;",
            None,
        ),
    ] {
        assert_eq!(newer_than_es5(script).as_deref(), expected, "{script}");
    }
    for name in scripts() {
        let script = read(&name);
        assert_eq!(newer_than_es5(&script), None, "{name}");
        assert!(script.is_ascii(), "{name}");
        let Some(output) = node(&["--check", &name], "").await else {
            continue;
        };
        let fault = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {fault}");
    }
}

#[tokio::test]
async fn the_update_set_is_what_its_generator_writes_today() {
    let Some(output) = node(&["contrib/servicenow/make_update_set.js"], "").await else {
        return;
    };
    assert!(output.status.success());
    assert!(
        output.stdout == read(UPDATE_SET).as_bytes(),
        "stale: node contrib/servicenow/make_update_set.js > {UPDATE_SET}"
    );
}

/// An element with what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> &Self {
        let mut found = self.children.iter().filter(|child| child.name == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "two {name} in {}", self.name);
        first.unwrap_or_else(|| panic!("no {name} in {}", self.name))
    }
}

/// Reads the XML that the generator can write: elements, attributes, text, the five entities.
fn xml(text: &str) -> Element {
    let text = text
        .strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#)
        .unwrap();
    let tag = Regex::new(r#"<(/?)([A-Za-z_]+)((?: [a-z_]+="[^"<&]*")*)(/?)>|<"#).unwrap();
    let mut open = vec![Element::default()];
    let mut at = 0;
    for found in tag.captures_iter(text) {
        let whole = found.get(0).unwrap();
        open.last_mut()
            .unwrap()
            .text
            .push_str(&unescaped(&text[at..whole.start()]));
        at = whole.end();
        let name = found
            .get(2)
            .unwrap_or_else(|| panic!("a stray < before {:.60}", &text[at..]));
        if found[1].is_empty() {
            open.push(Element {
                name: name.as_str().to_owned(),
                ..Element::default()
            });
        }
        if !found[1].is_empty() || !found[4].is_empty() {
            let done = open.pop().unwrap();
            assert_eq!(done.name, name.as_str(), "closed in another order");
            open.last_mut().unwrap().children.push(done);
        }
    }
    assert_eq!(text[at..].trim(), "", "text after the end");
    let [document] = <[Element; 1]>::try_from(open).unwrap();
    let [root] = <[Element; 1]>::try_from(document.children).unwrap();
    root
}

fn unescaped(text: &str) -> String {
    let entity = Regex::new("&([a-z]*;?)").unwrap();
    let plain = entity.replace_all(text, |found: &regex::Captures<'_>| match &found[1] {
        "lt;" => "<",
        "gt;" => ">",
        "quot;" => "\"",
        "apos;" => "'",
        "amp;" => "&",
        other => panic!("no entity: &{other}"),
    });
    plain.into_owned()
}

#[test]
fn the_update_set_holds_rules_job_event_and_properties_and_no_secret() {
    let set = xml(&read(UPDATE_SET));
    assert_eq!(set.name, "unload");
    let head = set.child("sys_remote_update_set");
    assert_eq!(head.child("state").text, "loaded");
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut properties = BTreeMap::new();
    for update in &set.children[1..] {
        assert_eq!(update.name, "sys_update_xml");
        assert_eq!(
            update.child("remote_update_set").text,
            head.child("sys_id").text
        );
        let payload = xml(&update.child("payload").text);
        assert_eq!(payload.name, "record_update");
        let [record] = <[Element; 1]>::try_from(payload.children).unwrap();
        let id = &record.child("sys_id").text;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        assert!(id.len() == 32 && id.bytes().all(is_hex), "{id}");
        assert!(ids.insert(id.clone()), "{id} twice");
        assert_eq!(update.child("name").text, format!("{}_{id}", record.name));
        *kinds.entry(record.name.clone()).or_default() += 1;
        match record.name.as_str() {
            "sys_script" => {
                let rule = read("contrib/servicenow/serval_connect_business_rule.js");
                assert_eq!(record.child("script").text, rule);
                assert_eq!(record.child("when").text, "after");
            }
            "sysauto_script" => {
                let job = read("contrib/servicenow/serval_connect_outbox_job.js");
                assert_eq!(record.child("script").text, job);
            }
            "sys_properties" => {
                let value = record.child("value").text.clone();
                properties.insert(record.child("name").text.clone(), value);
            }
            _ => {}
        }
    }
    let expected = [
        ("sys_properties", 5),
        ("sys_script", 2),
        ("sysauto_script", 1),
        ("sysevent_register", 1),
    ];
    assert_eq!(kinds, expected.map(|(kind, n)| (kind.to_owned(), n)).into());
    // An import must neither bring a secret nor point anybody's instance anywhere.
    let set_ones = properties.iter().filter(|(_, value)| !value.is_empty());
    assert_eq!(
        set_ones.collect::<Vec<_>>(),
        [(&"x_serval_connect.outbox".to_owned(), &"true".to_owned())]
    );
    // And the scripts read no property that the set does not bring.
    let read_ones = Regex::new(r"property\('([a-z_]+)'").unwrap();
    for script in scripts() {
        for found in read_ones.captures_iter(&read(&script)) {
            let name = format!("x_serval_connect.{}", &found[1]);
            assert!(properties.contains_key(&name), "{script}: {name}");
        }
    }
}

/// The scopes of which an event needs one; empty: none. Only events that this app may ask for.
const EVENTS: [(&str, &[&str]); 14] = [
    ("app_mention", &["app_mentions:read"]),
    ("app_uninstalled", &[]),
    ("channel_id_changed", &[]),
    ("channel_shared", &["channels:read", "groups:read"]),
    ("channel_unshared", &["channels:read", "groups:read"]),
    ("link_shared", &["links:read"]),
    ("member_joined_channel", &["channels:read", "groups:read"]),
    ("member_left_channel", &["channels:read", "groups:read"]),
    ("message.channels", &["channels:history"]),
    ("message.groups", &["groups:history"]),
    ("message.im", &["im:history"]),
    ("message.mpim", &["mpim:history"]),
    ("reaction_added", &["reactions:read"]),
    ("tokens_revoked", &[]),
];

/// What Slack would refuse in a manifest, or what is more than its events need.
fn faults_of_manifest(manifest: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    // The keys that Slack knows, of those that an app without commands and shortcuts has use for.
    let known: [(&str, &[&str]); 7] = [
        (
            "",
            &[
                "_metadata",
                "display_information",
                "features",
                "oauth_config",
                "settings",
            ],
        ),
        ("/_metadata", &["major_version", "minor_version"]),
        (
            "/display_information",
            &[
                "name",
                "description",
                "long_description",
                "background_color",
            ],
        ),
        ("/features/bot_user", &["display_name", "always_online"]),
        ("/oauth_config/scopes", &["bot", "user"]),
        (
            "/settings",
            &[
                "event_subscriptions",
                "interactivity",
                "org_deploy_enabled",
                "socket_mode_enabled",
                "token_rotation_enabled",
                "allowed_ip_address_ranges",
            ],
        ),
        (
            "/settings/event_subscriptions",
            &[
                "request_url",
                "bot_events",
                "user_events",
                "metadata_subscriptions",
            ],
        ),
    ];
    for (place, keys) in known {
        let Some(object) = manifest.pointer(place).and_then(Value::as_object) else {
            faults.push(format!("{place} is no object"));
            continue;
        };
        let unknown = object.keys().filter(|key| !keys.contains(&key.as_str()));
        faults.extend(unknown.map(|key| format!("{place}/{key} is unknown")));
    }
    let lengths = [
        ("/display_information/name", 35),
        ("/display_information/description", 140),
        ("/features/bot_user/display_name", 80),
    ];
    for (place, limit) in lengths {
        let length = manifest
            .pointer(place)
            .and_then(Value::as_str)
            .map_or(0, |text| text.chars().count());
        if length == 0 || length > limit {
            faults.push(format!("{place} has {length} of 1 to {limit} characters"));
        }
    }
    let color = manifest.pointer("/display_information/background_color");
    let is_color = Regex::new("^#(?:[0-9a-fA-F]{3}){1,2}$").unwrap();
    if !color.is_none_or(|color| color.as_str().is_some_and(|text| is_color.is_match(text))) {
        faults.push("background_color is no colour".to_owned());
    }

    let list = |place: &str| -> Vec<String> {
        let list = manifest.pointer(place).cloned().unwrap_or_default();
        serde_json::from_value(list).unwrap_or_default()
    };
    let events = list("/settings/event_subscriptions/bot_events");
    let scopes = list("/oauth_config/scopes/bot");
    for (name, list, limit) in [("events", &events, 100), ("scopes", &scopes, 255)] {
        let different: BTreeSet<_> = list.iter().collect();
        if list.is_empty() || list.len() > limit || different.len() != list.len() {
            faults.push(format!(
                "{} {name}: 1 to {limit} different ones",
                list.len()
            ));
        }
    }
    let mut used = BTreeSet::new();
    for event in &events {
        match EVENTS.iter().find(|(name, _)| name == event) {
            None => faults.push(format!("{event}: unknown")),
            Some((_, any_of)) => {
                let has = any_of.iter().filter(|s| scopes.iter().any(|own| own == *s));
                let has: Vec<_> = has.copied().collect();
                if has.is_empty() && !any_of.is_empty() {
                    faults.push(format!("{event} needs one of {any_of:?}"));
                }
                used.extend(has);
            }
        }
    }
    let unused = scopes.iter().filter(|scope| !used.contains(scope.as_str()));
    faults.extend(unused.map(|scope| format!("{scope} is needed by no event")));
    let url = manifest
        .pointer("/settings/event_subscriptions/request_url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !url.starts_with("https://") {
        faults.push(format!("request_url {url:?} is not https"));
    }
    faults
}

#[test]
fn the_slack_manifest_fits_slacks_schema_and_asks_for_no_more_than_it_needs() {
    let manifest: Value = serde_json::from_str(&read("contrib/slack/manifest.json")).unwrap();
    assert_eq!(faults_of_manifest(&manifest), Vec::<String>::new());
    assert_eq!(
        manifest["settings"]["event_subscriptions"]["bot_events"],
        serde_json::json!([
            "app_uninstalled",
            "channel_id_changed",
            "message.channels",
            "message.groups",
            "tokens_revoked"
        ])
    );

    // The check can fail.
    let broken: [(&str, Value, &str); 6] = [
        ("/settings/socket_mode", Value::Bool(true), "unknown"),
        (
            "/oauth_config/scopes/bot",
            serde_json::json!(["channels:history"]),
            "message.groups needs",
        ),
        (
            "/oauth_config/scopes/bot",
            serde_json::json!(["channels:history", "groups:history", "chat:write"]),
            "chat:write is needed by no event",
        ),
        (
            "/display_information/name",
            "x".repeat(36).into(),
            "characters",
        ),
        (
            "/settings/event_subscriptions/bot_events",
            serde_json::json!([]),
            "0 events",
        ),
        (
            "/settings/event_subscriptions/request_url",
            "http://a.example".into(),
            "not https",
        ),
    ];
    for (place, value, expected) in broken {
        let mut changed = manifest.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[key] = value;
        let faults = faults_of_manifest(&changed);
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{place}: {faults:?}"
        );
    }
}
