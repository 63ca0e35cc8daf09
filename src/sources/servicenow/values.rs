//! The value of a column as ServiceNow writes it: a plain string, number, boolean or null, or an
//! object of `value`, `display_value` and `link`.
//!
//! Invariant: a value that cannot be read counts as absent. The only error is a key that stands
//! twice.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::sources::json::field::Field;
use crate::sources::json::members::object;

/// The separators of thousands that display values have, by locale.
const THOUSANDS: [char; 7] = [',', '.', ' ', '\'', '\u{2019}', '\u{a0}', '\u{202f}'];

/// The value of one column.
#[derive(Debug, Default)]
pub(super) struct Column {
    value: Option<String>,
    display: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair<'a> {
    #[serde(borrow)]
    value: Field<'a>,
    display_value: Field<'a>,
}

/// The keys of a value object: an object of these only, or an empty one, is a column's value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueObject {
    #[serde(rename = "value")]
    _value: Option<IgnoredAny>,
    #[serde(rename = "display_value")]
    _display_value: Option<IgnoredAny>,
    #[serde(rename = "link")]
    _link: Option<IgnoredAny>,
    #[serde(rename = "display_value_internal")]
    _display_value_internal: Option<IgnoredAny>,
    #[serde(rename = "currency_display_value")]
    _currency_display_value: Option<IgnoredAny>,
}

impl Column {
    /// Reads a column; an error names a key that stands twice in a value object.
    pub(super) fn read(field: Field<'_>) -> Result<Self, serde_json::Error> {
        let Some(json) = field.object_json() else {
            return Ok(Self {
                value: scalar(field),
                display: None,
            });
        };
        let pair: Pair<'_> = object(json)?;
        Ok(Self {
            value: scalar(pair.value),
            display: scalar(pair.display_value),
        })
    }

    /// The stored value; the label only where there is no value.
    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_deref().or(self.display.as_deref())
    }

    /// The stored value, never the label.
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The stored value and the label, those that exist.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.value.iter().chain(&self.display).map(String::as_str)
    }
}

/// The JSON of an object that can be a record: not the value of a column, not empty.
pub(super) fn record_json(field: Field<'_>) -> Option<&str> {
    let is_record = |json: &&str| serde_json::from_str::<ValueObject>(json).is_err();
    field.object_json().filter(is_record)
}

/// A string, number or boolean as text. Whole numbers lose a fraction of zeros: `12.0` is `12`.
fn scalar(field: Field<'_>) -> Option<String> {
    let json = field.json()?;
    match json.as_bytes().first()? {
        b'"' => field.string().map(Cow::into_owned),
        b'{' | b'[' | b'n' => None,
        b't' | b'f' => Some(json.to_owned()),
        _ => Some(number(json)),
    }
}

fn number(json: &str) -> String {
    match json.parse::<f64>() {
        // Beyond 2^53 a float would not be the number that was sent.
        Ok(float)
            if json.contains(['.', 'e', 'E']) && float.abs() < 9e15 && float.fract() == 0.0 =>
        {
            format!("{float:.0}")
        }
        Ok(_) | Err(_) => json.to_owned(),
    }
}

/// Reads a count such as `sys_mod_count`: `12`, `12.0`, or with separators of thousands (`2,000`).
pub(super) fn count(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(text) {
        return text.parse().ok();
    }
    // The first separator decides; a text with two kinds of them is not a whole number.
    let separator = text.chars().find(|c| THOUSANDS.contains(c))?;
    let (first, rest) = text.split_once(separator)?;
    if digits(first) && first.len() <= 3 && rest.split(separator).all(|p| p.len() == 3 && digits(p))
    {
        return text.replace(separator, "").parse().ok();
    }
    // The fraction of zeros that a float has: `12.0`.
    let zeros = separator == '.' && !rest.is_empty() && rest.bytes().all(|b| b == b'0');
    if zeros && digits(first) {
        first.parse().ok()
    } else {
        None
    }
}

/// Reads `YYYY-MM-DD HH:MM:SS`, which is UTC, into Unix seconds. Other forms are for people, in
/// their own time zone, so they cannot be compared.
pub(super) fn utc_seconds(text: &str) -> Option<i64> {
    let shape = b"0000-00-00 00:00:00";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape).all(|(b, &s)| match s {
            b'0' => b.is_ascii_digit(),
            punctuation => b == punctuation,
        });
    let time: DateTime = text.parse().ok().filter(|_| fits)?;
    let zoned = time.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(json: &str) -> Result<Column, serde_json::Error> {
        Column::read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_value_decides_and_the_label_stands_in_for_an_absent_one() {
        for (json, text, value) in [
            (r#""incident""#, Some("incident"), Some("incident")),
            (r#""""#, Some(""), Some("")),
            ("12", Some("12"), Some("12")),
            ("12.0", Some("12"), Some("12")),
            ("-5.0", Some("-5"), Some("-5")),
            ("1.2e1", Some("12"), Some("12")),
            ("12.5", Some("12.5"), Some("12.5")),
            (
                "9007199254740993",
                Some("9007199254740993"),
                Some("9007199254740993"),
            ),
            (
                "9007199254740993.0",
                Some("9007199254740993.0"),
                Some("9007199254740993.0"),
            ),
            ("true", Some("true"), Some("true")),
            ("null", None, None),
            ("[1]", None, None),
            ("{}", None, None),
            (
                r#"{"value":"incident","display_value":"Incident"}"#,
                Some("incident"),
                Some("incident"),
            ),
            (r#"{"value":"","display_value":"x"}"#, Some(""), Some("")),
            (r#"{"value":null,"display_value":"x"}"#, Some("x"), None),
            (r#"{"display_value":"x","link":"y"}"#, Some("x"), None),
            (r#"{"value":3,"display_value":null}"#, Some("3"), Some("3")),
            (r#"{"value":{"value":1}}"#, None, None),
            (r#""\u0000""#, Some("\0"), Some("\0")),
            (r#""\ud800""#, None, None),
        ] {
            let column = column(json).unwrap();
            assert_eq!((column.text(), column.value()), (text, value), "{json}");
        }
        assert!(Column::read(Field::default()).unwrap().text().is_none());
    }

    #[test]
    fn a_value_that_stands_twice_is_an_error() {
        assert!(column(r#"{"value":"a","value":"b"}"#).is_err());
    }

    #[test]
    fn the_value_of_a_reference_column_is_no_record() {
        for (json, expected) in [
            (r#"{"link":"https://x","value":"y"}"#, false),
            (
                r#"{"value":"1","display_value":"1","currency_display_value":"$1"}"#,
                false,
            ),
            ("{}", false),
            ("[]", false),
            ("null", false),
            (r#"{"value":"y","sys_id":"z"}"#, true),
            (r#"{"number":"INC1"}"#, true),
        ] {
            let field = serde_json::from_str(json).unwrap();
            assert_eq!(record_json(field).is_some(), expected, "{json}");
        }
    }

    #[test]
    fn counts_are_read_in_every_locale() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(12)),
            (" 12 ", Some(12)),
            ("12.0", Some(12)),
            ("2,000", Some(2000)),
            ("2.000", Some(2000)),
            ("2 000", Some(2000)),
            ("2\u{a0}000", Some(2000)),
            ("2\u{2019}000", Some(2000)),
            ("1,234,567", Some(1_234_567)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("2,00", None),
            ("2000,000", None),
            ("1,234.567", None),
            ("12.5", None),
            (".000", None),
            ("1,", None),
            ("twelve", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_the_stored_form_of_a_date_has_a_place_in_time() {
        for (text, expected) in [
            ("1970-01-01 00:00:00", Some(0)),
            ("2026-05-04 06:31:12", Some(1_777_876_272)),
            ("2026-02-30 00:00:00", None),
            ("2026-05-04T06:31:12", None),
            ("2026-05-04 06:31:12Z", None),
            ("2026-05-04", None),
            ("10/24/2023 7:07:31", None),
            ("9999-12-31 23:59:59", None),
            ("", None),
        ] {
            assert_eq!(utc_seconds(text), expected, "{text:?}");
        }
    }
}
