//! What holds for the events of every source.

use bytes::Bytes;
use serval_connect::domain::event::{Disposition, NewEvent};
use serval_connect::domain::ids::ServalTicketId;
use serval_connect::sources::{DropFields, SourceKind, title};

use super::json;

/// What is dropped of objects here: members, one below another, and two that need escapes.
const DROPPED: [&str; 4] = ["/text", "/work_notes", "/caller_id/value", "/a~1b"];
const DROPPED_PARTS: [&[&str]; 4] = [
    &["text"],
    &["work_notes"],
    &["caller_id", "value"],
    &["a/b"],
];

/// Long words of refusals that may also stand in a body.
const WORDS: [&str; 2] = ["short_description", "url_verification"];

/// What holds for the one or many events that `body` became.
pub(crate) fn check(kind: SourceKind, body: &[u8], events: &[NewEvent]) {
    for event in events {
        check_one(kind, body, event);
    }
    check_dropping(body, events);
}

fn check_one(kind: SourceKind, body: &[u8], event: &NewEvent) {
    let object = object(body, event);
    assert!(json::is_value_of(object, document(body)), "{object}");
    if let Some(id) = &event.external_id {
        let again = kind.parse_external_id(id.as_str());
        assert_eq!(again.as_ref(), Ok(id), "an external id has one spelling");
    }
    if let Some(hint) = &event.hint {
        assert_eq!(hint.as_str().parse::<ServalTicketId>().as_ref(), Ok(hint));
    }
    assert!((1..=64).contains(&event.event_type.len()), "{event:?}");
    assert!(event.event_type.bytes().all(|b| b.is_ascii_graphic()));
    if event.disposition == Disposition::Connect {
        assert!(event.external_id.is_some(), "{event:?}");
        assert!(object.starts_with('{'), "{object}");
    } else {
        assert_eq!(event.content_key, None, "only what connects is compared");
    }
    for key in event.delivery_key.iter().chain(&event.content_key) {
        assert!((1..=1024).contains(&key.len()), "{key:?}");
    }
    let title = title(kind, object.as_bytes());
    for line in title.number.iter().chain(&title.title) {
        assert!(
            !line.contains('\n') && line.chars().count() <= 120,
            "{line:?}"
        );
        assert!(!line.trim().is_empty());
    }
}

/// What is dropped is gone, and nothing else is.
fn check_dropping(body: &[u8], events: &[NewEvent]) {
    let fields = DropFields::try_new(&DROPPED.map(str::to_owned)).expect("pointers");
    let mut moved = events.to_vec();
    let kept = fields.apply(Bytes::copy_from_slice(body), &mut moved);
    let kept = kept.expect("objects are JSON");
    assert_eq!(moved.len(), events.len());
    for (before, after) in events.iter().zip(&moved) {
        let left = object(&kept, after);
        serde_json::from_str::<&serde_json::value::RawValue>(left).expect("still JSON");
        for pointer in DROPPED_PARTS {
            assert!(!json::has(left, pointer), "{pointer:?} is still in {left}");
        }
        // Written once more, so that white space between members does not count.
        let expected = json::without(object(body, before), &DROPPED_PARTS);
        assert_eq!(json::without(left, &DROPPED_PARTS), expected);
    }
}

/// The object of an event.
pub(crate) fn object<'b>(body: &'b [u8], event: &NewEvent) -> &'b str {
    let object = body.get(event.object.clone());
    std::str::from_utf8(object.expect("the object lies in the body")).expect("an object is text")
}

/// The body as text, without a byte order mark.
fn document(body: &[u8]) -> &str {
    let text = std::str::from_utf8(body).expect("a body that became events is text");
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A refusal tells where the fault is, on one line, and nothing of what stands there.
pub(crate) fn check_refusal(refusal: &str, body: &[u8]) {
    assert!(refusal.len() < 300 && !refusal.contains('\n'), "{refusal}");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in refusal.split(|c| !is_part(c)) {
        let is_ours = word.len() < 16 || WORDS.contains(&word);
        assert!(
            is_ours || !contains(body, word.as_bytes()),
            "quoted: {word}"
        );
    }
}

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|part| part == word)
}
