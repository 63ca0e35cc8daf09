//! Fields of a CSV file that a spreadsheet would run as a formula.
//!
//! Invariant: [`undone`] gives back what [`defused`] took, whatever the text. An apostrophe goes in front of
//! such a field, and in front of one that has apostrophes there already.

/// The text with an apostrophe before it, if a spreadsheet would take it for a formula.
pub(crate) fn defused(text: String) -> String {
    if is_formula(&text) {
        format!("'{text}")
    } else {
        text
    }
}

/// The text without the apostrophe that [`defused`] put before it.
pub(super) fn undone(text: &str) -> &str {
    let rest = text.strip_prefix('\'');
    rest.filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// True for a text that begins like a formula, behind any number of apostrophes.
fn is_formula(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_formula_is_defused_and_all_else_stays() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("T-1", "T-1"),
            ("'T-1'", "'T-1'"),
            ("'", "'"),
            ("", ""),
        ] {
            assert_eq!(defused(text.to_owned()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_defused_is_no_formula_and_comes_back(text in "['=+@a\t\r -]{0,6}") {
            let defused = defused(text.clone());
            prop_assert!(!defused.starts_with(['=', '+', '-', '@', '\t', '\r']));
            prop_assert_eq!(undone(&defused), text);
        }
    }
}
