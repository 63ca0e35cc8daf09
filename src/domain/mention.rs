//! A value by which a person is known, and where a text mentions it: an e-mail address, an id of a user.
//!
//! A text mentions a value if it is the value, or has it as a word, in upper or lower case. A word ends where no
//! letter, digit or underscore follows. An address is more than its words: `joe.ann@example.com` and
//! `ann@example.com.au` do not mention `ann@example.com`, and "Write to ann@example.com." does.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Shortest value, in characters. A shorter one is in too many texts.
const SHORTEST: usize = 3;
/// Longest value, in characters.
const LONGEST: usize = 320;

/// A value to look for.
#[derive(Clone, PartialEq, Eq)]
pub struct Mention {
    /// In lower case.
    value: String,
    is_address: bool,
}

/// The value is personal data, so it is not shown.
impl fmt::Debug for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mention(…)")
    }
}

impl Mention {
    /// Reads a value. An error says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text.chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) || text.chars().any(char::is_control) {
            return Err(format!(
                "a value to look for has {SHORTEST} to {LONGEST} characters in one line, such as an e-mail address \
                 or the id of a user"
            ));
        }
        Ok(Self {
            value: text.to_lowercase(),
            is_address: text.contains('@'),
        })
    }

    /// The value, in lower case.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// True if the text mentions the value.
    pub fn is_in_text(&self, text: &str) -> bool {
        // Some characters are longer in lower case, never empty.
        if text.len() < self.value.len() && text.is_ascii() {
            return false;
        }
        let text = text.to_lowercase();
        let mut places = text.match_indices(&self.value);
        places.any(|(at, value)| {
            let before = text[..at].chars().rev();
            let behind = text[at + value.len()..].chars();
            !self.goes_on(before, ".-+'") && !self.goes_on(behind, ".-")
        })
    }

    /// True if these characters beside the value belong to its word. In an address, `joints` do if a letter or
    /// digit follows.
    fn goes_on(&self, mut beside: impl Iterator<Item = char>, joints: &str) -> bool {
        match beside.next() {
            Some(next) if self.is_address && joints.contains(next) => {
                beside.next().is_some_and(is_of_a_word)
            }
            next => next.is_some_and(is_of_a_word),
        }
    }

    /// True if any text of a JSON document mentions the value, also the name of a member, or a number is the value.
    pub fn is_in<'de, D: Deserializer<'de>>(&self, document: D) -> Result<bool, D::Error> {
        self.deserialize(document)
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'de> DeserializeSeed<'de> for &Mention {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Mention {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        Ok(self.is_in_text(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<bool, E> {
        Ok(number.to_string() == self.value)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        Ok(number.to_string() == self.value)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        Ok(number.to_string() == self.value)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some(is_here) = elements.next_element_seed(self)? {
            is_found |= is_here;
        }
        Ok(is_found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some((is_name, is_value)) = members.next_entry_seed(self, self)? {
            is_found |= is_name || is_value;
        }
        Ok(is_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_text_or_a_word_in_one() {
        let address = "Ann.Lee@Example.com";
        let (user, member) = ("6816f79cc0a8016401c5a33be04be441", "U0JANE1");
        for (value, text, expected) in [
            (address, "ann.lee@example.com", true),
            (address, "ANN.LEE@EXAMPLE.COM", true),
            (address, "Write to ann.lee@example.com.", true),
            (
                address,
                "<mailto:ann.lee@example.com|ann.lee@example.com>",
                true,
            ),
            (address, "\"Ann Lee\" <ann.lee@example.com>, Bob", true),
            (address, "?user=ann.lee@example.com&x", true),
            (address, "-- ann.lee@example.com --", true),
            (address, "joann.lee@example.com", false),
            (address, "jo.ann.lee@example.com", false),
            (address, "jo+ann.lee@example.com", false),
            (address, "o'ann.lee@example.com", false),
            (address, "'ann.lee@example.com'", true),
            (address, "ann.lee@example.com.au", false),
            (address, "ann.lee@example.com-x.org", false),
            (address, "ann.lee@example.community", false),
            (address, "ann.lee@example", false),
            (address, "joann.lee@example.com ann.lee@example.com", true),
            (user, "6816F79CC0A8016401C5A33BE04BE441", true),
            (
                user,
                "sys_user.do?sys_id=6816f79cc0a8016401c5a33be04be441",
                true,
            ),
            (user, "06816f79cc0a8016401c5a33be04be441", false),
            (user, "a,6816f79cc0a8016401c5a33be04be441,b", true),
            (member, "<@U0JANE1> hello", true),
            (member, "<@U0JANE1|jane>", true),
            (member, "U0JANE12", false),
            (member, "U0JANE1_x", false),
            (member, "https://acme.slack.com/team/U0JANE1-x", true),
            ("Ann Lee", "caller: ANN LEE", true),
            ("Ann Lee", "Ann  Lee", false),
            ("Jürgen", "JÜRGEN", true),
            ("Jürgen", "Jürgens", false),
            ("ann", "", false),
        ] {
            let mention = Mention::read(value).unwrap();
            assert_eq!(mention.is_in_text(text), expected, "{value}: {text}");
        }
    }

    #[test]
    fn every_text_of_a_document_is_searched() {
        let mention = Mention::read("ann@example.com").unwrap();
        for (json, expected) in [
            (
                r#"{"caller":{"value":"x","link":["a","ann@example.com"]},"n":1}"#,
                true,
            ),
            (r#"{"caller":"ann\u0040EXAMPLE.com","n":-1.5}"#, true),
            (r#"{"by ann@example.com":null}"#, true),
            (r#"["{\"email\":\"ann@example.com\"}"]"#, true),
            (
                r#"{"a":"ann","b":"@example.com","c":[true,false,null,1,-1,0.5]}"#,
                false,
            ),
            ("\"ann@example.com\"", true),
        ] {
            let mut document = serde_json::Deserializer::from_str(json);
            assert_eq!(mention.is_in(&mut document).ok(), Some(expected), "{json}");
        }
    }

    #[test]
    fn a_number_mentions_the_value_that_it_is() {
        for (value, json, expected) in [
            ("15550100", r#"{"phone":15550100}"#, true),
            ("15550100", r#"{"phone":"15550100"}"#, true),
            ("15550100", "[[155501001],[1555010],1.15550100]", false),
            ("15550100", "-15550100", false),
            ("-15550100", "-15550100", true),
            ("0.15550100", "15550100", false),
            ("18446744073709551615", "18446744073709551615", true),
            ("12.5", "[12.5]", true),
            ("555", "1.555", false),
        ] {
            let mention = Mention::read(value).unwrap();
            let mut document = serde_json::Deserializer::from_str(json);
            let found = mention.is_in(&mut document).ok();
            assert_eq!(found, Some(expected), "{value}: {json}");
        }
    }

    #[test]
    fn a_value_is_neither_too_short_nor_too_long() {
        for (text, is_good) in [
            ("ann", true),
            (" ann ", true),
            ("an", false),
            ("", false),
            ("a\nb c", false),
        ] {
            assert_eq!(Mention::read(text).is_ok(), is_good, "{text:?}");
        }
        assert!(Mention::read(&"x".repeat(LONGEST + 1)).is_err());
        assert_eq!(format!("{:?}", Mention::read("ann").unwrap()), "Mention(…)");
    }
}
