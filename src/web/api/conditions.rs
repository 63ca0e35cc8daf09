//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13) of a mapping.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::input;
use crate::store::{Mapping, Precondition, Versions};
use crate::web::problem::Problem;

/// Tag of a mapping.
pub(super) fn etag(mapping: &Mapping) -> HeaderValue {
    let tag = format!("\"{}\"", mapping.version());
    HeaderValue::from_str(&tag).expect("hexadecimal digits are visible ASCII")
}

/// Reads the condition of the caller on the existing mapping.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let matches = versions(headers, &IF_MATCH, Strength::Strong)?;
    let matches_not = versions(headers, &IF_NONE_MATCH, Strength::Weak)?;
    match (matches, matches_not) {
        (None, None) => Ok(Precondition::None),
        (Some(versions), None) => Ok(Precondition::Matches(versions)),
        (None, Some(versions)) => Ok(Precondition::MatchesNot(versions)),
        (Some(versions), Some(others)) => Ok(Precondition::Both(versions, others)),
    }
}

/// Comparison of tags: a strong one never matches `W/"…"`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    Weak,
    Strong,
}

fn versions(
    headers: &HeaderMap,
    name: &HeaderName,
    strength: Strength,
) -> Result<Option<Versions>, Problem> {
    let wrong = || {
        let detail = format!("{name} is * or a list of tags in double quotes");
        input::bad_request(detail)
    };
    let mut tags = Vec::new();
    let mut is_any = false;
    let mut is_there = false;
    for value in headers.get_all(name) {
        is_there = true;
        let text = value.to_str().map_err(|_| wrong())?;
        // Our tags hold no comma. A foreign tag with a comma is cut in two, and matches nothing.
        for item in text.split(',').map(str::trim) {
            let (is_weak, tag) = match item.strip_prefix("W/") {
                Some(tag) => (true, tag),
                None => (false, item),
            };
            match tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) {
                _ if item == "*" => is_any = true,
                Some(_) if is_weak && strength == Strength::Strong => {}
                Some(tag) => tags.push(tag.to_owned()),
                None => return Err(wrong()),
            }
        }
    }
    Ok(is_there.then_some(if is_any {
        Versions::Any
    } else {
        Versions::Of(tags)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&HeaderName, &str)]) -> Option<Precondition> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        precondition(&headers).ok()
    }

    #[test]
    fn conditions_are_read_as_the_rfc_has_them() {
        use Precondition::{Both, Matches, MatchesNot};
        let of = |tags: &[&str]| Versions::Of(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let (yes, no) = (&IF_MATCH, &IF_NONE_MATCH);
        for (fields, expected) in [
            (&[][..], Some(Precondition::None)),
            (&[(yes, "*")], Some(Matches(Versions::Any))),
            (&[(yes, "\"a\"")], Some(Matches(of(&["a"])))),
            (&[(yes, "\"a\", \"b\"")], Some(Matches(of(&["a", "b"])))),
            (
                &[(yes, "\"a\""), (yes, "\"b\"")],
                Some(Matches(of(&["a", "b"]))),
            ),
            // A weak tag is never strongly equal.
            (&[(yes, "W/\"a\"")], Some(Matches(of(&[])))),
            (&[(no, "W/\"a\"")], Some(MatchesNot(of(&["a"])))),
            (&[(no, "*")], Some(MatchesNot(Versions::Any))),
            (&[(yes, "a")], None),
            (&[(yes, "\"a")], None),
            (&[(yes, "")], None),
            (
                &[(yes, "\"a\""), (no, "W/\"b\"")],
                Some(Both(of(&["a"]), of(&["b"]))),
            ),
        ] {
            assert_eq!(read(fields), expected, "{fields:?}");
        }
    }
}
