//! Freshly signed, unique webhooks, made cheaply: a body is a template with a few bytes to fill in.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Which sender is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare record of 4 KiB under Standard Webhooks.
    ServiceNow,
    /// An `event_callback` of 1 KiB.
    Slack,
}

/// How a request proves who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// As its sender does.
    Own,
    /// By an HMAC of the body and nothing else, for receivers that know no more.
    BodyAlone,
}

pub(crate) const SERVICENOW_KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
pub(crate) const SLACK_SECRET: &str = "8f1d20c9a7b34e65d01f9b7c2a6e4d38";
const CHANNEL: &str = "C0BENCH01";

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceNow => "ServiceNow 4 KiB",
            Self::Slack => "Slack 1 KiB",
        }
    }

    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::ServiceNow => "servicenow",
            Self::Slack => "slack",
        }
    }

    /// The external ticket of the webhook numbered `index`, as the daemon names it.
    pub(crate) fn external_id(self, index: u64) -> String {
        match self {
            Self::ServiceNow => sys_id(index),
            Self::Slack => format!("{CHANNEL}:{}", slack_ts(index)),
        }
    }
}

/// The Serval ticket that the webhook numbered `index` is mapped to.
pub(crate) fn ticket_id(index: u64) -> String {
    format!("tkt-{index}")
}

/// 32 hexadecimal digits without order, as a sender's ids have none.
fn sys_id(index: u64) -> String {
    format!(
        "{:016x}{:016x}",
        mix(index),
        mix(index ^ 0x5bd1_e995_0000_0000)
    )
}

fn mix(index: u64) -> u64 {
    let mut z = index
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn slack_ts(index: u64) -> String {
    format!(
        "{:010}.{:06}",
        1_700_000_000 + index / 1_000_000,
        index % 1_000_000
    )
}

/// Writes requests of one kind.
#[derive(Clone)]
pub(crate) struct Sender {
    kind: Kind,
    scheme: Scheme,
    body: Vec<u8>,
    slots: Vec<usize>,
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Where the ticket's own id goes, in the templates.
const ID: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
const TS: &str = "@@@@@@@@@@.@@@@@@";
const EVENT: &str = "################";

impl Sender {
    pub(crate) fn new(kind: Kind) -> Self {
        let (body, secret): (String, &[u8]) = match kind {
            Kind::ServiceNow => (servicenow_body(), SERVICENOW_KEY),
            Kind::Slack => (slack_body(), SLACK_SECRET.as_bytes()),
        };
        let places: &[&str] = match kind {
            Kind::ServiceNow => &[ID],
            Kind::Slack => &[TS, EVENT],
        };
        let slots = places
            .iter()
            .flat_map(|place| body.match_indices(place).map(|(at, _)| at))
            .collect();
        Self {
            kind,
            scheme: Scheme::Own,
            body: body.into_bytes(),
            slots,
            key: Hmac::new_from_slice(secret).expect("any length of key will do"),
        }
    }

    /// The same sender under another scheme.
    pub(crate) fn under(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// A body as it is sent, to be used as the object of a bare call.
    pub(crate) fn body(&self, index: u64) -> Vec<u8> {
        let mut body = self.body.clone();
        self.fill_in(&mut body, index);
        body
    }

    /// Replaces `out` by the whole request of the webhook numbered `index`.
    pub(crate) fn write(&self, index: u64, out: &mut Vec<u8>) {
        use std::io::Write as _;

        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let mut body = self.body.clone();
        self.fill_in(&mut body, index);
        let mut key = self.key.clone();
        out.clear();
        match self.kind {
            _ if self.scheme == Scheme::BodyAlone => {
                key.update(&body);
                let signature = hex::encode(key.finalize().into_bytes());
                write!(
                    out,
                    "POST /webhooks/{} HTTP/1.1\r\nhost: bench\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\
                     webhook-id: msg_{index:016x}\r\n\
                     x-hub-signature-256: sha256={signature}\r\n\r\n",
                    self.kind.source(),
                    body.len()
                )
            }
            Kind::ServiceNow => {
                key.update(format!("msg_{index:016x}.{now}.").as_bytes());
                key.update(&body);
                let signature = STANDARD.encode(key.finalize().into_bytes());
                write!(
                    out,
                    "POST /webhooks/servicenow HTTP/1.1\r\nhost: bench\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\
                     webhook-id: msg_{index:016x}\r\nwebhook-timestamp: {now}\r\n\
                     webhook-signature: v1,{signature}\r\n\r\n",
                    body.len()
                )
            }
            Kind::Slack => {
                key.update(format!("v0:{now}:").as_bytes());
                key.update(&body);
                let signature = hex::encode(key.finalize().into_bytes());
                write!(
                    out,
                    "POST /webhooks/slack HTTP/1.1\r\nhost: bench\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\
                     x-slack-request-timestamp: {now}\r\n\
                     x-slack-signature: v0={signature}\r\n\r\n",
                    body.len()
                )
            }
        }
        .expect("a Vec takes all");
        out.extend_from_slice(&body);
    }

    fn fill_in(&self, body: &mut [u8], index: u64) {
        let (id, event) = match self.kind {
            Kind::ServiceNow => (sys_id(index), String::new()),
            Kind::Slack => (slack_ts(index), format!("{index:016x}")),
        };
        for &slot in &self.slots {
            let text = if body[slot] == b'@' { &id } else { &event };
            body[slot..slot + text.len()].copy_from_slice(text.as_bytes());
        }
    }
}

/// Text to fill a body up to its size with.
fn filler(length: usize) -> String {
    "The line drops every few minutes since the update; others on the floor are fine. "
        .chars()
        .cycle()
        .take(length)
        .collect()
}

fn servicenow_body() -> String {
    let reference = |name: &str| {
        format!(
            r#""{name}":{{"link":"https://northwind.example.com/api/now/table/sys_user/a81f6c3390e24b7f8d55e0c2b7146d09","value":"a81f6c3390e24b7f8d55e0c2b7146d09"}}"#
        )
    };
    let mut fields = vec![
        format!(r#""sys_id":"{ID}""#),
        r#""sys_class_name":"incident""#.to_owned(),
        r#""number":"INC0047713""#.to_owned(),
        r#""short_description":"VPN drops every few minutes on the third floor""#.to_owned(),
    ];
    for name in [
        "caller_id",
        "assigned_to",
        "assignment_group",
        "opened_by",
        "cmdb_ci",
        "company",
    ] {
        fields.push(reference(name));
    }
    for n in 0..40 {
        fields.push(format!(r#""u_field_{n:02}":"{}""#, n * 7919));
    }
    for name in ["opened_at", "sys_created_on", "sys_updated_on"] {
        fields.push(format!(r#""{name}":"2026-03-17 12:41:09""#));
    }
    fields.push(r#""sys_updated_by":"t.abara","sys_mod_count":"6","correlation_id":"""#.to_owned());
    let start = format!(r#"{{{},"description":""#, fields.join(","));
    let end = r#""}"#;
    format!("{start}{}{end}", filler(4096 - start.len() - end.len()))
}

fn slack_body() -> String {
    let start = format!(
        r#"{{"token":"none","team_id":"T0BENCH01","context_team_id":"T0BENCH01","context_enterprise_id":null,"api_app_id":"A0BENCH01","event":{{"user":"U0ASKER01","type":"message","ts":"{TS}","team":"T0BENCH01","channel":"{CHANNEL}","event_ts":"{TS}","channel_type":"channel","text":""#
    );
    let end = format!(
        r#""}},"type":"event_callback","event_id":"Ev{EVENT}","event_time":1700000000,"authorizations":[{{"enterprise_id":null,"team_id":"T0BENCH01","user_id":"U0BENCH01","is_bot":true,"is_enterprise_install":false}}],"is_ext_shared_channel":false,"event_context":"4-opaque"}}"#
    );
    format!("{start}{}{end}", filler(1024 - start.len() - end.len()))
}
