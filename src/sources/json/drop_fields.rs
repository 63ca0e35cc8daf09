//! `drop_fields`: members of an external object that are neither sent to Serval nor stored.
//!
//! Invariant: bytes are cut, none is written. The rest of an object is, byte for byte, what arrived,
//! and of the body only the objects are left.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::lookup::Pointer;
use super::members::{each_member, is_key};
use crate::domain::event::NewEvent;

/// The members that a source drops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropFields(Vec<Pointer>);

impl DropFields {
    /// Reads JSON Pointers into the object; the text of an error says what is wrong with one.
    pub fn try_new(pointers: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            Pointer::parse(text)
                .filter(|pointer| !pointer.parts().is_empty())
                .ok_or_else(|| {
                    format!("{text:?} is no JSON Pointer to a member, such as \"/u_salary\"")
                })
        };
        pointers
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// True if nothing is dropped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the member `name` of an object, or a part of it, is dropped.
    pub fn drops(&self, name: &str) -> bool {
        let mut firsts = self.0.iter().filter_map(|pointer| pointer.parts().first());
        firsts.any(|first| first == name)
    }

    /// The body as it may be stored: the objects of `events` one after the other, without the
    /// members to drop; the events then point into it. With nothing to drop it is the body itself.
    /// `None`: an object is not JSON, and nothing of it may be stored.
    pub fn apply(&self, body: Bytes, events: &mut [NewEvent]) -> Option<Bytes> {
        if self.is_empty() {
            return Some(body);
        }
        // The object is not parsed and printed again: all that remains must be byte for byte what
        // the sender wrote. So the ranges to drop are cut out of the text.
        let mut kept = Vec::with_capacity(body.len());
        for event in events {
            let object = body.get(event.object.clone())?;
            let start = kept.len();
            let mut from = 0;
            for cut in self.cuts(object)? {
                kept.extend_from_slice(object.get(from..cut.start)?);
                from = cut.end;
            }
            kept.extend_from_slice(object.get(from..)?);
            event.object = start..kept.len();
        }
        Some(kept.into())
    }

    /// The bytes to leave out, in their order: members and a comma for each.
    fn cuts(&self, json: &[u8]) -> Option<Vec<Range<usize>>> {
        // Checks the JSON once, so that the walk below can trust it, and trims white space.
        let object: &RawValue = serde_json::from_slice(json).ok()?;
        let pointers: Vec<&[String]> = self.0.iter().map(Pointer::parts).collect();
        let mut cuts = Vec::new();
        cut_members(object.get(), &pointers, &mut cuts)?;
        let start = json.as_ptr().addr();
        let mut ranges: Vec<_> = cuts
            .into_iter()
            .map(|cut| cut.start - start..cut.end - start)
            .collect();
        // A comma that is cut for the last member stands before earlier cuts.
        ranges.sort_unstable_by_key(|cut| cut.start);
        Some(ranges)
    }
}

/// A member of an object that is looked through. Places are addresses.
struct Member<'a> {
    place: Range<usize>,
    value: &'a str,
    /// The pointers that lead to this member, without its own part.
    below: Vec<&'a [String]>,
}

/// Collects the addresses to cut of `object`; nothing if it is not an object. The depth of the
/// recursion is the length of the longest pointer.
fn cut_members(object: &str, pointers: &[&[String]], cuts: &mut Vec<Range<usize>>) -> Option<()> {
    if !object.starts_with('{') {
        return Some(());
    }
    let mut members = Vec::new();
    let pointers = pointers.iter().filter_map(|pointer| pointer.split_first());
    each_member(object, |key, value| {
        let mine = pointers.clone().filter(|(first, _)| is_key(key, first));
        members.push(Member {
            place: key.as_ptr().addr()..value.get().as_bytes().as_ptr_range().end.addr(),
            value: value.get(),
            below: mine.map(|(_, rest)| rest).collect(),
        });
    })
    .ok()?;
    let mut kept_comma = None;
    for (n, member) in members.iter().enumerate() {
        let comma = members.get(n + 1).and_then(|next| {
            let start = object.as_ptr().addr();
            let between = object.get(member.place.end - start..next.place.start - start)?;
            Some(member.place.end + between.find(',')?)
        });
        if member.below.iter().any(|rest| rest.is_empty()) {
            cuts.push(member.place.clone());
            // The comma after the member; after the last one there is none, so the one before the
            // members that are cut at the end.
            cuts.extend(comma.or(kept_comma).map(|comma| comma..comma + 1));
        } else {
            kept_comma = comma;
            if !member.below.is_empty() {
                cut_members(member.value, &member.below, cuts)?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::domain::event::{Disposition, Rank};
    use crate::domain::report::Report;

    fn fields(pointers: &[&str]) -> DropFields {
        let pointers: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        DropFields::try_new(&pointers).unwrap()
    }

    fn event(object: Range<usize>) -> NewEvent {
        NewEvent {
            disposition: Disposition::Connect,
            external_id: None,
            subtype: None,
            event_type: "incident.update".to_owned(),
            delivery_key: None,
            content_key: None,
            report: Report::Save,
            rank: Rank::default(),
            hint: None,
            number: Some("INC0081927".to_owned()),
            channel: None,
            question: None,
            object,
        }
    }

    fn without(pointers: &[&str], json: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(json.as_bytes());
        let mut events = [event(0..json.len())];
        let kept = fields(pointers).apply(body, &mut events)?;
        assert_eq!(events[0].object, 0..kept.len());
        Some(String::from_utf8(kept.to_vec()).unwrap())
    }

    #[test]
    fn members_are_cut_with_one_comma_and_nothing_else() {
        let rows: [(&[&str], &str, &str); 15] = [
            (&["/a"], r#"{"a":1}"#, "{}"),
            (&["/a"], r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
            (&["/b"], r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
            (&["/b"], r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,"c":3}"#),
            (&["/b", "/c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1}"#),
            (&["/a", "/c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2}"#),
            (&["/a", "/b"], "{ \"a\" : 1 , \"b\":2 }", "{    }"),
            (
                &["/b"],
                "{\"a\":1.0 ,\n \"b\": [1,{\"b\":2}]\n}",
                "{\"a\":1.0 \n \n}",
            ),
            (
                &["/x/y"],
                r#"{"x":{"y":1,"z":{"y":2}},"y":3}"#,
                r#"{"x":{"z":{"y":2}},"y":3}"#,
            ),
            (&["/x", "/x/y"], r#"{"x":{"y":1},"z":2}"#, r#"{"z":2}"#),
            (&["/é"], r#"{"\u00e9":"a\"}","b":"\\"}"#, r#"{"b":"\\"}"#),
            (&["/a~1b"], r#"{"a\/b":1,"a~1b":2}"#, r#"{"a~1b":2}"#),
            // Whichever of the two a reader would believe, it is gone.
            (&["/a"], r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2}"#),
            (
                &["/a/0", "/b"],
                r#"{"a":[1,2],"\ud800":1}"#,
                r#"{"a":[1,2],"\ud800":1}"#,
            ),
            (&["/a"], "[1]", "[1]"),
        ];
        for (pointers, json, expected) in rows {
            assert_eq!(without(pointers, json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn of_the_body_nothing_is_left_but_the_objects() {
        let body = r#"{"records":[{"a":1,"b":"x"},{"b":"y"}],"previous":{"b":"old"}}"#;
        let place = |part: &str| {
            let start = body.find(part).unwrap();
            start..start + part.len()
        };
        let mut events = [
            event(place(r#"{"a":1,"b":"x"}"#)),
            event(place(r#"{"b":"y"}"#)),
        ];
        let kept = fields(&["/b"])
            .apply(Bytes::from_static(body.as_bytes()), &mut events)
            .unwrap();
        assert_eq!(kept, r#"{"a":1}{}"#);
        assert_eq!(events.map(|event| event.object), [0..7, 7..9]);
    }

    #[test]
    fn with_nothing_to_drop_the_body_is_the_same_memory() {
        let body = Bytes::from_static(br#"{"result":{"a":1}}"#);
        let mut events = [event(10..17)];
        let kept = fields(&[]).apply(body.clone(), &mut events).unwrap();
        assert_eq!(kept.as_ptr(), body.as_ptr());
        assert_eq!(events[0].object, 10..17);
    }

    #[test]
    fn pointers_that_name_no_member_are_refused() {
        for bad in ["", "a", "/a~", "/a~2"] {
            let problem = DropFields::try_new(&[bad.to_owned()]).unwrap_err();
            assert!(problem.contains("JSON Pointer"), "{problem}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            Just(json!("\"},{\\,:")),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]|\\PC{0,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn remove(value: &mut Value, pointer: &[&str]) {
        let (Some(object), Some((first, rest))) = (value.as_object_mut(), pointer.split_first())
        else {
            return;
        };
        if rest.is_empty() {
            object.remove(*first);
        } else if let Some(below) = object.get_mut(*first) {
            remove(below, rest);
        }
    }

    proptest! {
        #[test]
        fn what_is_left_parses_and_equals_the_original_without_the_fields(
            members in prop::collection::btree_map("[abc]|\\PC{0,3}", value(), 0..6),
            pointers in prop::collection::vec("(/[abc]){1,3}", 1..4),
            pretty in any::<bool>(),
        ) {
            let mut expected = Value::Object(members.into_iter().collect::<Map<_, _>>());
            let json = if pretty {
                serde_json::to_string_pretty(&expected).unwrap()
            } else {
                expected.to_string()
            };
            let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
            let kept = without(&pointers, &json).unwrap();
            for pointer in &pointers {
                let parts: Vec<&str> = pointer.split('/').skip(1).collect();
                remove(&mut expected, &parts);
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
            // The rest is the original with ranges left out, each a member or a comma.
            let mut from = 0;
            let mut rest = String::new();
            for cut in fields(&pointers).cuts(json.as_bytes()).unwrap() {
                let text = &json[cut.clone()];
                prop_assert!(text == "," || text.starts_with('"'), "{}", text);
                rest.push_str(&json[from..cut.start]);
                from = cut.end;
            }
            rest.push_str(&json[from..]);
            prop_assert_eq!(rest, kept);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut events = [event(0..bytes.len())];
            drop(fields(&["/a", "/a/b"]).apply(Bytes::from(bytes), &mut events));
        }

        #[test]
        fn no_almost_json_makes_it_panic(text in r#"[{}\[\]",:\\a ]{0,40}"#) {
            drop(without(&["/a", "/a/a"], &text));
        }
    }
}
