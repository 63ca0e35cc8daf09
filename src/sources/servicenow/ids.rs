//! Names of records: the `sys_id`, and the number that people use.

use crate::domain::ids::{ExternalId, InvalidId};
use crate::sources::kind::TypedId;

/// The form of a `sys_id`, as a regular expression.
pub(super) const PATTERN: &str = "[0-9a-fA-F]{32}";

/// Reads a `sys_id`; its one spelling is in lower case.
pub(super) fn parse(text: &str) -> Result<ExternalId, InvalidId> {
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(ExternalId::checked(text.to_ascii_lowercase()));
    }
    Err(InvalidId::new(
        "a ServiceNow external id is a sys_id: 32 hexadecimal digits",
    ))
}

/// Reads what a person has: a `sys_id`, which some tools write with hyphens, or a number.
pub(super) fn read_typed(text: &str) -> Result<TypedId, InvalidId> {
    let text = text.trim();
    if let Ok(id) = parse(&text.replace('-', "")) {
        return Ok(TypedId::Id(id));
    }
    if is_number(text) {
        return Ok(TypedId::Number(text.to_ascii_uppercase()));
    }
    Err(InvalidId::new(
        "a ServiceNow external id is a sys_id (32 hexadecimal digits) or the number of a record, such \
         as INC0010421",
    ))
}

/// True if `word` looks like the number of a record: letters, then at least four digits.
pub(super) fn is_number(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = word.len() - letters;
    (2..=16).contains(&letters)
        && (4..=16).contains(&digits)
        && word.bytes().skip(letters).all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sys_id_has_one_spelling() {
        let id = parse("6F1D0C93DB2A6410C7E3F4A2CE9619AA").unwrap();
        assert_eq!(id.as_str(), "6f1d0c93db2a6410c7e3f4a2ce9619aa");
        for bad in [
            "",
            "6f1d",
            "6f1d0c93db2a6410c7e3f4a2ce9619ag",
            "6f1d0c93-db2a-6410-c7e3-f4a2ce9619a",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_person_names_a_record_by_its_id_or_by_its_number() {
        let id = "6f1d0c93db2a6410c7e3f4a2ce9619aa";
        for (typed, expected) in [
            (id, Some(id)),
            ("6F1D0C93DB2A6410C7E3F4A2CE9619AA", Some(id)),
            ("6f1d0c93-db2a-6410-c7e3-f4a2ce9619aa", Some(id)),
            (" 6F1D0C93-DB2A-6410-C7E3-F4A2CE9619AA ", Some(id)),
            ("INC0010421", Some("INC0010421")),
            ("inc0010421", Some("INC0010421")),
            ("RITM0012345\n", Some("RITM0012345")),
            ("INC123", None),
            ("INC", None),
            ("0010421", None),
            ("INC0010421x", None),
            ("6f1d0c93-db2a-6410-c7e3-f4a2ce9619a", None),
            ("6f1d0c93db2a6410c7e3f4a2ce9619ag", None),
            ("C9DDYQ1B4:1779146751.061339", None),
            ("---", None),
            ("", None),
        ] {
            let read = read_typed(typed).ok().map(|typed| typed.to_string());
            assert_eq!(read.as_deref(), expected, "{typed:?}");
        }
    }
}
