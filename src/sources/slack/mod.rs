//! Slack: events of the Events API.
//!
//! Invariant: every authentic JSON body is an event, wanted or not: Slack ends the subscription of an
//! app that answers with errors.

mod channel;
mod config;
mod envelope;
mod ids;
mod interpret;
mod message;
mod named;
mod reference;
mod signing;
mod thread;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::message::Rules;
use self::signing::Signing;
use super::auth::request::{Refused, Unverified, Verified};
use super::hint::HintReader;
use super::invalid::InvalidKey;
use super::json::lookup::member;
use super::kind::{Acknowledgement, Kind, KindConfig, OwnKeys, SourceKind, TypedId};
use super::policy::{SourcePolicy, check_target};
use super::source::{Receipt, Source, Unreadable};
use super::title::{Title, first_line};
use crate::domain::feed::{Sign, Trouble};
use crate::domain::ids::{ExternalId, InvalidId};
use crate::edge::metrics::SourceCounter;
pub use config::Config;
pub use ids::is_channel;

/// Slack.
pub const KIND: SourceKind = &SlackKind;

#[derive(Debug)]
struct SlackKind;

/// The reasons that Slack documents for `X-Slack-Retry-Reason`, and one for all others.
static RETRIES: SourceCounter = SourceCounter {
    name: "slack_retries",
    help: "Authentic webhooks that Slack sent again, by the reason it gave",
    label: "reason",
    words: &[
        "http_timeout",
        "too_many_redirects",
        "connection_failed",
        "ssl_error",
        "http_error",
        "unknown_error",
        "other",
    ],
};

impl Kind for SlackKind {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn own_keys(&self) -> OwnKeys {
        OwnKeys::of::<Config>(config::KEYS)
    }

    fn policy(&self) -> SourcePolicy {
        SourcePolicy {
            park_for: Duration::from_hours(7 * 24),
            ..SourcePolicy::default()
        }
    }

    fn parse_external_id(&self, text: &str) -> Result<ExternalId, InvalidId> {
        ids::parse(text)
    }

    fn read_typed(&self, text: &str) -> Result<TypedId, InvalidId> {
        ids::read_typed(text)
    }

    fn external_id_pattern(&self) -> &'static str {
        ids::PATTERN
    }

    /// The first line of a message. Messages have no number.
    fn title(&self, object: &str) -> Title {
        let text = member(object, "text").unwrap_or_default().string();
        Title {
            number: None,
            title: text.and_then(|text| first_line(&named::unescaped(&text))),
        }
    }

    fn linked(&self, url: &str) -> Option<ExternalId> {
        ids::linked(url)
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Empty
    }

    fn statuses(&self) -> &'static [u16] {
        &[200, 400, 401, 503]
    }

    fn counter(&self) -> Option<&'static SourceCounter> {
        Some(&RETRIES)
    }

    fn sign(&self, reason: &str) -> Sign {
        match reason {
            "app_uninstalled" => Sign::Trouble(Trouble::Uninstalled),
            "tokens_revoked" => Sign::Trouble(Trouble::TokensRevoked),
            "app_rate_limited" => Sign::Trouble(Trouble::RateLimited),
            // A removal revokes the tokens of users, too, and an unknown envelope may tell of anything.
            "user_tokens_revoked" | "unknown_type" | "no_event" | "not_an_event" => Sign::Notice,
            _ => Sign::Alive,
        }
    }

    fn first_lines(&self, _random: &[u8; 32]) -> String {
        "\
# From the Slack app's page *Basic Information*: only Slack can make it.
signing_secrets = [\"replace-me-with-the-signing-secret\"]
"
        .to_owned()
    }

    fn targets(&self, integration_id: &str) -> Vec<(&'static str, Value)> {
        let direct = json!({ "slackDm": {
            "integrationId": integration_id,
            "targetUserType": "CHANNEL_SYNC_TARGET_USER_TICKET_REQUESTOR",
        } });
        let channel = json!({ "slackChannel": { "integrationId": integration_id } });
        vec![
            ("channel_target", channel),
            ("direct_message_target", direct),
        ]
    }
}

impl KindConfig for Config {
    fn build(&self, policy: &SourcePolicy) -> Result<Box<dyn Source>, InvalidKey> {
        let signing = Signing::try_new(&self.signing_secrets, policy.window())
            .map_err(|problem| InvalidKey::new("signing_secrets", problem))?;
        check_target("channel_target", policy.channel_target.as_ref())?;
        let direct = self.direct_message_target.as_ref();
        // Checked also when it is not used yet: a fault must show before the switch is turned.
        if self.direct_messages || direct.is_some() {
            check_target("direct_message_target", direct)?;
        }
        Ok(Box::new(Slack {
            signing,
            rules: Rules {
                hints: HintReader::try_new(policy)?,
                config: self.clone(),
            },
            direct_message_target: direct.cloned().map(Arc::new),
        }))
    }

    fn targets(&self) -> Vec<(&'static str, &Value)> {
        let direct = self.direct_message_target.as_ref();
        direct
            .map(|target| ("direct_message_target", target))
            .into_iter()
            .collect()
    }
}

/// A Slack workspace that sends us events.
#[derive(Debug)]
struct Slack {
    signing: Signing,
    rules: Rules,
    direct_message_target: Option<Arc<Value>>,
}

impl Source for Slack {
    fn screen(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refused> {
        self.signing.screen(headers, now)
    }

    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused> {
        self.signing.verify(request, now)
    }

    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        interpret::interpret(request.body(), &self.rules)
    }

    fn target(&self, external_id: &ExternalId, is_direct: bool) -> Option<Arc<Value>> {
        let is_direct = is_direct || external_id.as_str().starts_with(channel::DIRECT);
        self.direct_message_target.clone().filter(|_| is_direct)
    }

    /// Slack numbers its repetitions and says why it makes them.
    fn counted(&self, headers: &HeaderMap) -> Option<&'static str> {
        let reason = headers.get("x-slack-retry-reason");
        if reason.is_none() && !headers.contains_key("x-slack-retry-num") {
            return None;
        }
        let reason = reason.and_then(|reason| reason.to_str().ok());
        let known = RETRIES.words.iter().find(|word| Some(**word) == reason);
        Some(known.copied().unwrap_or("other"))
    }
}
