//! How a command reaches the inbox and the mappings: in the database itself while no daemon has it,
//! through the daemon's admin API while one does. The user need not know which.
//!
//! Invariant: both ways end in the handlers of the admin API, so their answers are the same.

#[cfg(test)]
mod tests;
mod transfer;

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::direct::Direct;
use super::remote::Remote;
use super::{Failure, output};
use crate::config::Config;
use crate::store::{DatabaseLock, OpenError, file_of};
pub(super) use transfer::{Answer, broke_off};

/// Elements that are asked for at once.
const PAGE: u32 = 500;
/// How long a database may be in other hands without an API: a daemon that starts, or another
/// command that is about to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A way to the data.
#[derive(Debug)]
pub(super) enum Backend {
    /// No daemon has the database: this process does.
    Direct(Direct),
    /// The daemon's admin API.
    Remote(Remote),
}

/// What a command does when there is no database yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Makes one, and says so.
    Create,
    /// Fails: an empty list would be a false answer to a wrong path.
    Refuse,
}

/// A call of the admin API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Call {
    /// A call of `/api/v1/{path}`.
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(ToString::to_string).collect(),
            query: Vec::new(),
            body: None,
        }
    }

    /// The same with a parameter, where there is a value for it.
    pub(super) fn with(mut self, key: &'static str, value: Option<&str>) -> Self {
        self.query
            .extend(value.map(|value| (key, value.to_owned())));
        self
    }

    /// The same with a JSON body.
    pub(super) fn body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// Its URL below `base`, every segment encoded.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// How many elements of a list are wanted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Extent {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Extent {
    fn elements(self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }
}

impl Backend {
    /// Does `work` over the way that is open now, and closes it again.
    pub(super) async fn with<T>(
        config: &Config,
        missing: Missing,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let backend = Self::choose(config, missing, PATIENCE).await?;
        let result = work(&backend).await;
        if let Self::Direct(direct) = backend {
            direct.close().await;
        }
        result
    }

    async fn choose(
        config: &Config,
        missing: Missing,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let url = &config.database.url;
        let path = file_of(url).map_err(|error| Failure::Usage(error.to_string()))?;
        let exists = path.exists();
        if !exists && missing == Missing::Refuse {
            return Err(Failure::Failed(anyhow::anyhow!(
                "there is no database at {} yet: give the daemon's configuration with --config, \
                 and mind that a relative database.url counts from the working directory; \
                 `serve` and `migrate` make a new one",
                std::path::absolute(&path).unwrap_or(path).display()
            )));
        }
        let until = Instant::now() + patience;
        loop {
            let locked = match DatabaseLock::acquire(url) {
                Ok(lock) => {
                    if !exists {
                        output::warn(format_args!("there was no database at {url}, made one"));
                    }
                    return Ok(Self::Direct(Direct::open(config, lock).await?));
                }
                Err(error) if may_be_the_daemons(&error) => error,
                Err(error) => return Err(Failure::Failed(error.into())),
            };
            let remote = Remote::new(&config.admin)?;
            match remote.probe().await {
                Ok(()) => return Ok(Self::Remote(remote)),
                Err(_) if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
                Err(why) => return Err(unanswered(&locked, &remote, &why)),
            }
        }
    }

    /// Makes a call; an answer other than 2xx is a failure.
    pub(super) async fn call(&self, call: &Call) -> Result<(StatusCode, Value), Failure> {
        let (status, body) = match self {
            Self::Direct(direct) => direct.call(call).await?,
            Self::Remote(remote) => remote.call(call).await?,
        };
        if status.is_success() {
            return Ok((status, body));
        }
        Err(refused(status, &body))
    }

    /// Follows a list's cursors: `{"data": […], "next_cursor": …}`, as the API has it.
    pub(super) async fn list(
        &self,
        call: impl Fn() -> Call,
        extent: Extent,
    ) -> Result<Value, Failure> {
        let mut data = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let so_far = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let page = extent
                .elements()
                .map_or(PAGE, |limit| limit.saturating_sub(so_far).min(PAGE));
            if page == 0 {
                break;
            }
            let call = call()
                .with("limit", Some(&page.to_string()))
                .with("cursor", cursor.as_deref());
            let (_, mut body) = self.call(&call).await?;
            if let Value::Array(items) = body["data"].take() {
                data.extend(items);
            }
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(json!({ "data": data, "next_cursor": cursor }))
    }

    /// What to add to a report about something that the daemon will do: while it is down, nothing
    /// happens.
    pub(super) fn once_it_runs(&self) -> &'static str {
        match self {
            Self::Direct(_) => "; the daemon is not running, Serval is told once it is",
            Self::Remote(_) => "",
        }
    }
}

/// What an answer other than 2xx means.
fn refused(status: StatusCode, body: &Value) -> Failure {
    let detail = body["detail"].as_str().unwrap_or("no explanation");
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::PAYLOAD_TOO_LARGE => Failure::Usage(detail.to_owned()),
        StatusCode::UNAUTHORIZED => Failure::Failed(anyhow::anyhow!(
            "the daemon refused the first of admin.tokens: it was started with others; give this \
             command the daemon's configuration with --config"
        )),
        _ => Failure::Failed(anyhow::anyhow!("{detail}")),
    }
}

/// A lock that is held, or that belongs to another user: the daemon may be behind it.
fn may_be_the_daemons(error: &OpenError) -> bool {
    match error {
        OpenError::Locked { .. } => true,
        OpenError::File { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        OpenError::Url { .. }
        | OpenError::Migrate { .. }
        | OpenError::Damaged { .. }
        | OpenError::Database { .. } => false,
    }
}

fn unanswered(locked: &OpenError, remote: &Remote, why: &str) -> Failure {
    let held = match locked {
        OpenError::Locked { path } => format!("{path} is in use by a running serval-connect"),
        OpenError::Url { .. }
        | OpenError::File { .. }
        | OpenError::Migrate { .. }
        | OpenError::Damaged { .. }
        | OpenError::Database { .. } => locked.to_string(),
    };
    Failure::Failed(anyhow::anyhow!(
        "{held}, and its admin API does not answer at {remote} ({why}): give this command the \
         daemon's configuration with --config, so that admin.listen is the same, or stop the \
         daemon and try again"
    ))
}
