//! Says what may be the cause where no event was found.
//!
//! It is advice below an answer, so a fault here never fails the command.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde::Deserialize as _;
use serde_json::Value;

use crate::cli::backend::{Backend, Call};
use crate::domain::silence::{Account, UNHEARD, absent};
use crate::edge::clock::{Clock as _, SystemClock};

/// The lines for a list of a source, or of all, and of an external ticket, if one is named.
pub(super) async fn lines(
    backend: &Backend,
    source: Option<&str>,
    external_id: Option<&str>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(id) = external_id {
        lines.extend(of_ticket(backend, source, id).await);
    }
    lines.extend(heard(backend, source).await);
    lines
}

/// Says what was heard of each source, or of one: a line for each.
pub(super) async fn heard(backend: &Backend, only: Option<&str>) -> Vec<String> {
    let Ok(answer) = backend.call(&Call::new(Method::GET, &["stats"])).await else {
        return Vec::new();
    };
    let feeds: BTreeMap<String, Account> =
        BTreeMap::deserialize(&answer.body["feeds"]).unwrap_or_default();
    let now = SystemClock.now();
    let wanted = feeds.iter();
    let wanted = wanted.filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    let mut lines: Vec<String> = wanted.map(|(name, feed)| feed.words(name, now)).collect();
    if !matches!(backend, Backend::Remote(_)) {
        lines.push(UNHEARD.to_owned());
    }
    lines
}

/// Says why an external ticket has no event; `None`: it has some, which do not match.
async fn of_ticket(backend: &Backend, source: Option<&str>, id: &str) -> Option<String> {
    let call = Call::new(Method::GET, &["events"]).with("external_id", Some(id));
    let found = backend.call(&call).await.ok()?.body;
    let events = found["data"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |event: &Value| event["source"].as_str().map(str::to_owned);
    let sources: BTreeSet<String> = events.iter().filter_map(of).collect();
    let sources: Vec<String> = sources.into_iter().collect();
    absent(source, &sources)
}
