//! Names of records: the `sys_id`, and the number that people use.

use crate::domain::ids::{ExternalId, InvalidId};

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
}
