//! Sources: how each external system authenticates its webhooks and what they mean.
//!
//! Invariant: synchronous and pure. No store, no client; of HTTP only the header map. Bytes are
//! verified before anything parses them, by type: [`Source::interpret`] takes a [`Verified`], and
//! only [`Source::verify`] makes one.
//!
//! A further system is one more folder here, one [`SourceConfig`] variant and one arm in [`build`].

mod drop_fields;
mod hint;
pub mod linking;
mod lookup;
pub mod request;
pub mod schemes;
pub mod servicenow;
pub mod signature;
pub mod slack;
mod target;
mod title;

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::event::NewEvent;
use crate::domain::ids::{SourceKind, SourceName};
pub use drop_fields::DropFields;
pub use request::{Unverified, Verified};
pub use title::{Title, title};

/// A configured sender of webhooks.
pub trait Source: Send + Sync + fmt::Debug {
    /// The system behind it.
    fn kind(&self) -> SourceKind;

    /// Authenticates a request over its raw bytes, in constant time.
    fn verify<'a>(&self, request: Unverified<'a>, now: Timestamp) -> Result<Verified<'a>, Refused>;

    /// Says what an authentic request means.
    fn interpret(&self, request: &Verified<'_>) -> Result<Receipt, Unreadable>;
}

/// What an authentic request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// Events to store, all or none. May be empty (an empty batch).
    Events(Vec<NewEvent>),
    /// Slack's `url_verification`: answer with this challenge, store nothing.
    Challenge(String),
}

/// Why a request is not authentic. The text goes to the log and to the sender; it never holds a
/// secret, a signature or a part of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No credential that this source accepts.
    #[error("no credential: expected {expected}")]
    Missing {
        /// The headers that would have been looked at.
        expected: &'static str,
    },
    /// A header that cannot be read.
    #[error("the {header} header is malformed")]
    Malformed {
        /// Its name.
        header: &'static str,
    },
    /// The timestamp is too old.
    #[error("the timestamp is {seconds} s in the past, more than the {tolerance} s allowed")]
    Stale {
        /// Age in seconds.
        seconds: i64,
        /// The source's limit in seconds.
        tolerance: u64,
    },
    /// The timestamp is from the future.
    #[error("the timestamp is {seconds} s in the future, more than the {tolerance} s allowed")]
    Future {
        /// How far ahead, in seconds.
        seconds: i64,
        /// The source's limit in seconds.
        tolerance: u64,
    },
    /// The signature, token or password is not one of the configured ones.
    #[error("the {what} does not match any configured secret")]
    Mismatch {
        /// `signature`, `bearer token` or `user and password`.
        what: &'static str,
    },
}

impl Refused {
    /// All words that [`cause`](Self::cause) may answer.
    pub const CAUSES: [&'static str; 5] = ["missing", "malformed", "stale", "future", "mismatch"];

    /// One word for metrics and logs.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Malformed { .. } => "malformed",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::Mismatch { .. } => "mismatch",
        }
    }
}

/// Why an authentic body is not understood. Nothing of it is stored. The text names the place,
/// never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not in a shape that holds an event: 400.
    #[error("{0}")]
    Body(String),
    /// A record without a usable external id: 422.
    #[error("{detail}")]
    Record {
        /// Its place in a batch, from 0; `None` outside of a batch.
        index: Option<usize>,
        /// What is wrong with it, naming the index in a batch.
        detail: String,
    },
}

/// The configuration of one source, `[sources.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceConfig {
    /// A `ServiceNow` instance.
    ServiceNow(servicenow::Config),
    /// A Slack workspace.
    Slack(slack::Config),
}

impl SourceConfig {
    /// The system behind the source.
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::ServiceNow(_) => SourceKind::ServiceNow,
            Self::Slack(_) => SourceKind::Slack,
        }
    }
}

/// Why a source cannot be built from its configuration; names the key and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sources.{source_name}.{key}: {problem}")]
pub struct InvalidSource {
    /// The source's name.
    pub source_name: SourceName,
    /// The key below it.
    pub key: &'static str,
    /// What is wrong, without the value.
    pub problem: String,
}

/// The members of its objects that the source drops.
pub fn drop_fields(name: &SourceName, config: &SourceConfig) -> Result<DropFields, InvalidSource> {
    let (pointers, keeps_ignored) = match config {
        SourceConfig::ServiceNow(config) => (&config.drop_fields, config.keep_ignored_bodies),
        SourceConfig::Slack(config) => (&config.drop_fields, config.keep_ignored_bodies),
    };
    let invalid = |key, problem| InvalidSource {
        source_name: name.clone(),
        key,
        problem,
    };
    let fields =
        DropFields::try_new(pointers).map_err(|problem| invalid("drop_fields", problem))?;
    if keeps_ignored && !fields.is_empty() {
        let problem = "cannot be true beside drop_fields: what is ignored may be of any shape, so \
                       the fields may stand anywhere in it";
        return Err(invalid("keep_ignored_bodies", problem.to_owned()));
    }
    Ok(fields)
}

/// Builds the source that `config` describes; refuses one without any way to authenticate.
pub fn build(name: &SourceName, config: &SourceConfig) -> Result<Box<dyn Source>, InvalidSource> {
    drop_fields(name, config)?;
    Ok(match config {
        SourceConfig::ServiceNow(config) => {
            Box::new(servicenow::ServiceNow::try_new(name, config)?)
        }
        SourceConfig::Slack(config) => Box::new(slack::Slack::try_new(name, config)?),
    })
}
