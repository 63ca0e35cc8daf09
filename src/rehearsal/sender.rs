//! Posts webhooks and calls the admin API, for commands that play the other side of the daemon.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;

use crate::edge::clock::{Clock as _, SystemClock};
use crate::edge::outbound::{self, Limits};

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

/// Time limit of a request, as long as a patient sender waits.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for `url`.
pub(crate) fn client(url: &str) -> anyhow::Result<reqwest::Client> {
    outbound::client(Limits {
        connect_timeout: Duration::from_secs(5),
        timeout: TIMEOUT,
        idle_connections: 4,
        is_local: outbound::is_local(url),
    })
    .context("cannot make an HTTP client")
}

/// Sends one request and reads its answer.
pub(crate) async fn call(
    client: &reqwest::Client,
    method: Method,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<Answer> {
    let started = Instant::now();
    let exchange = async {
        let request = client.request(method, url.clone()).headers(headers);
        let response = request.body(body).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?;
        Ok((status, headers, body))
    };
    let (status, headers, body) = exchange
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("no answer from {url}"))?;
    Ok(Answer {
        status,
        headers,
        body,
        took: started.elapsed(),
    })
}

/// The present time as signatures contain it.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(SystemClock.now().as_second()).unwrap_or_default()
}

/// Unpredictable random bytes.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(bytes)
}

/// A new id of a delivery for `webhook-id`.
pub(crate) fn delivery_id() -> anyhow::Result<String> {
    Ok(format!("msg_{}", hex::encode(random::<12>()?)))
}
