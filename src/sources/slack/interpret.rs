//! From a verified body to a receipt.
//!
//! Invariant: a body that is JSON is one event, whatever its shape. Refused are only a handshake
//! without a challenge and a repeated key.

use std::borrow::Cow;
use std::ops::Range;

use super::envelope::{Envelope, Inner};
use super::message::{self, Kind, Rules, Verdict};
use super::{reference, ticket};
use crate::domain::event::{Disposition, NewEvent};
use crate::sources::{Receipt, Unreadable};

/// The longest part of a key taken from the envelope, in characters.
const MAX_ID_CHARS: usize = 128;
/// The longest `event_type`, in characters.
const MAX_TYPE_CHARS: usize = 64;

/// Says what an authentic body means.
pub(super) fn interpret(body: &[u8], rules: &Rules) -> Result<Receipt, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let byte = error.valid_up_to();
        Unreadable::Body(format!("the body is not UTF-8: byte {byte}"))
    })?;
    let json = text.trim_matches([' ', '\t', '\r', '\n']);
    let Some(envelope) = Envelope::parse(json)? else {
        let verdict = Verdict::ignore("not_an_event");
        let nothing = Envelope::default();
        return Ok(receipt(&nothing, verdict, "", place(json, text)));
    };
    let kind = envelope.kind.text().unwrap_or_default();
    let reason = match &*kind {
        "event_callback" => return callback(&envelope, json, text, rules),
        "url_verification" => return challenge(&envelope),
        "app_rate_limited" => "app_rate_limited",
        _ => "unknown_type",
    };
    let verdict = Verdict::ignore(reason);
    Ok(receipt(&envelope, verdict, &kind, place(json, text)))
}

fn challenge(envelope: &Envelope<'_>) -> Result<Receipt, Unreadable> {
    match envelope.challenge.text() {
        Some(challenge) => Ok(Receipt::Challenge(challenge.into_owned())),
        None => Err(Unreadable::Body(
            "url_verification without a challenge".to_owned(),
        )),
    }
}

fn callback(
    envelope: &Envelope<'_>,
    json: &str,
    text: &str,
    rules: &Rules,
) -> Result<Receipt, Unreadable> {
    let inner: Option<Inner<'_>> = envelope.event.object()?;
    let (Some(event), Some(object)) = (inner, envelope.event.object_json()) else {
        let verdict = Verdict::ignore("no_event");
        let object = place(json, text);
        return Ok(receipt(envelope, verdict, "event_callback", object));
    };
    let kind = event.kind.text().unwrap_or_default();
    let mut verdict = match &*kind {
        "message" => message::sort(Kind::Message, envelope, &event, rules)?,
        "app_mention" => message::sort(Kind::Mention, envelope, &event, rules)?,
        other => reference::sort(other, &event)?,
    };
    let event_type = match event.subtype.text() {
        Some(subtype) => format!("{kind}.{subtype}"),
        None => kind.into_owned(),
    };
    if verdict.disposition == Disposition::Connect && message::may_name_ticket(&event, rules)? {
        verdict.hint = ticket::named_by(object, rules);
    }
    Ok(receipt(envelope, verdict, &event_type, place(object, text)))
}

fn receipt(
    envelope: &Envelope<'_>,
    verdict: Verdict,
    event_type: &str,
    object: Range<usize>,
) -> Receipt {
    // The installation that we hear it through: of a shared channel, `team_id` may be the other's.
    let team = envelope
        .context_team_id
        .text()
        .or_else(|| envelope.team_id.text());
    Receipt::Events(vec![NewEvent {
        hint: verdict.hint,
        number: None,
        team: team
            .filter(|team| team.len() <= MAX_ID_CHARS)
            .map(Cow::into_owned),
        channel_move: verdict.channel_move,
        disposition: verdict.disposition,
        external_id: verdict.external_id,
        subtype: None,
        event_type: printable(event_type),
        delivery_key: delivery_key(envelope),
        content_key: verdict.content_key,
        rank: verdict.rank,
        object,
    }])
}

/// `event_id` is the same in every retry. A rate limit notice has none; there is one for each
/// workspace and minute.
fn delivery_key(envelope: &Envelope<'_>) -> Option<String> {
    let fits = |text: &str| text.chars().count() <= MAX_ID_CHARS;
    if envelope.kind.text().as_deref() == Some("app_rate_limited") {
        let team = envelope.team_id.text().filter(|team| fits(team))?;
        let minute = envelope.minute_rate_limited.digits()?;
        return Some(format!("rate:{team}:{minute}"));
    }
    let event_id = envelope.event_id.text().filter(|id| fits(id))?;
    Some(format!("ev:{event_id}"))
}

/// A type as it may stand in a log line and a metric.
fn printable(event_type: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if event_type.is_empty() {
        return "unknown".to_owned();
    }
    event_type
        .chars()
        .take(MAX_TYPE_CHARS)
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

/// Where `part`, a piece of `whole`, stands in it, in bytes.
fn place(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}
