//! Webhooks that are authentic and hold no event: the daemon verifies and answers them, and stores nothing.

use anyhow::Context as _;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;

use super::sender;
use super::signer::{InvalidSigning, Signer, Stamp};
use crate::edge::outbound;
use crate::sources::{SourceConfig, servicenow, slack};

/// `ServiceNow`: a batch without a record.
const NO_RECORDS: &str = r#"{"records":[]}"#;
/// Slack: the question of a new request URL.
const CHALLENGE: &str = r#"{"type":"url_verification","challenge":"serval-connect-check"}"#;

/// A webhook under one secret.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The key that holds the secret, with its place in the list.
    pub(crate) key: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A webhook for each secret of a source; none for a kind that this program cannot play.
pub(crate) fn of(source: &SourceConfig) -> anyhow::Result<Vec<Probe>> {
    let mut probes = Vec::new();
    if let Some(own) = source.own::<servicenow::Config>() {
        probes.extend(each(
            "secrets",
            &own.secrets,
            NO_RECORDS,
            Signer::standard_webhooks,
        )?);
        let bearer = |token: &SecretString| Ok(Signer::bearer(token));
        probes.extend(each(
            "bearer_tokens",
            &own.bearer_tokens,
            NO_RECORDS,
            bearer,
        )?);
        probes.extend(each(
            "basic_auth",
            &own.basic_auth,
            NO_RECORDS,
            Signer::basic,
        )?);
    }
    if let Some(own) = source.own::<slack::Config>() {
        probes.extend(each(
            "signing_secrets",
            &own.signing_secrets,
            CHALLENGE,
            Signer::slack,
        )?);
    }
    Ok(probes)
}

fn each(
    key: &str,
    secrets: &[SecretString],
    body: &'static str,
    signer: impl Fn(&SecretString) -> Result<Signer, InvalidSigning>,
) -> anyhow::Result<Vec<Probe>> {
    let numbered = secrets.iter().zip(1..);
    let probes = numbered.map(|(secret, place)| {
        let id = sender::delivery_id()?;
        let stamp = Stamp {
            id: &id,
            seconds: sender::unix_seconds(),
        };
        let signer = signer(secret).context("a secret cannot sign")?;
        let mut headers = signer.sign(stamp, body.as_bytes())?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(outbound::CHECK, HeaderValue::from_static("1"));
        Ok(Probe {
            key: format!("{key} {place}"),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        })
    });
    probes.collect()
}
