//! Turns a verified body into a receipt.
//!
//! Invariant: a body that is JSON is one event, whatever its shape. Only a handshake without a
//! challenge and a repeated key are refused.

use std::ops::Range;

use super::envelope::{Envelope, Inner};
use super::message::{self, Announced, Rules, Verdict};
use super::{channel, named, reference};
use crate::domain::event::{Disposition, NewEvent};
use crate::domain::report::Report;
use crate::sources::json::field::place_of;
use crate::sources::source::{Receipt, Unreadable};

/// The longest part of a key taken from the envelope, in characters.
const MAX_ID_CHARS: usize = 128;
/// The longest `event_type`, in characters.
const MAX_TYPE_CHARS: usize = 64;

/// Reads an authentic body.
pub(super) fn interpret(body: &[u8], rules: &Rules) -> Result<Receipt, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let byte = error.valid_up_to();
        Unreadable::Body(format!("the body is not UTF-8: byte {byte}"))
    })?;
    let json = text.trim_matches([' ', '\t', '\r', '\n']);
    let whole = place_of(json, body);
    let Some(envelope) = Envelope::parse(json)? else {
        let verdict = Verdict::ignore("not_an_event");
        return Ok(receipt(&Envelope::default(), verdict, "", whole));
    };
    // Only two types of envelope say more than that they came. All others are stored as ignored, so
    // that an operator sees them and Slack gets its 200.
    let kind = envelope.kind.text().unwrap_or_default();
    let reason = match &*kind {
        "event_callback" => return callback(&envelope, whole, body, rules),
        "url_verification" => return challenge(&envelope),
        "app_rate_limited" => "app_rate_limited",
        _ => "unknown_type",
    };
    Ok(receipt(&envelope, Verdict::ignore(reason), &kind, whole))
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
    whole: Range<usize>,
    body: &[u8],
    rules: &Rules,
) -> Result<Receipt, Unreadable> {
    let inner = Inner::read(envelope.event)?;
    // Without an object to point at, the event points at the whole envelope.
    let (Some(event), Some(object)) = (inner, envelope.event.object_json()) else {
        let verdict = Verdict::ignore("no_event");
        return Ok(receipt(envelope, verdict, "event_callback", whole));
    };
    let kind = event.kind.text().unwrap_or_default();
    let mut verdict = match &*kind {
        "message" => message::sort(Announced::Message, envelope, &event, rules)?,
        "app_mention" => message::sort(Announced::Mention, envelope, &event, rules)?,
        other => reference::sort(other, &event)?,
    };
    let takes_direct = rules.config.direct_messages;
    let is_kept = !matches!(verdict.disposition, Disposition::Ignore(_))
        || verdict.report == Report::MessageEdit;
    verdict.channel = channel::news(&kind, envelope, &event, is_kept, takes_direct);
    let event_type = match event.subtype.text() {
        Some(subtype) => format!("{kind}.{subtype}"),
        None => kind.into_owned(),
    };
    // The ticket is looked for last and only for events that connect: it is the costly part.
    if verdict.disposition == Disposition::Connect && message::may_name_ticket(&event, rules)? {
        verdict.hint = named::ticket(object, rules);
    }
    // An edit stands for the message as it is now; what is around that has the old text, too.
    let edited = event.message.object_json();
    let object = edited
        .filter(|_| verdict.report == Report::MessageEdit)
        .unwrap_or(object);
    let place = place_of(object, body);
    Ok(receipt(envelope, verdict, &event_type, place))
}

fn receipt(
    envelope: &Envelope<'_>,
    verdict: Verdict,
    event_type: &str,
    object: Range<usize>,
) -> Receipt {
    Receipt::Events(vec![NewEvent {
        hint: verdict.hint,
        number: None,
        channel: verdict.channel,
        question: verdict.question,
        disposition: verdict.disposition,
        external_id: verdict.external_id,
        subtype: None,
        event_type: printable(event_type),
        delivery_key: delivery_key(envelope),
        content_key: verdict.content_key,
        rank: verdict.rank,
        report: verdict.report,
        object,
    }])
}

/// The `event_id` is the same in every retry. A rate limit notice has none: Slack sends one for each
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

/// The type with only those characters that a log line and a metric may hold.
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
