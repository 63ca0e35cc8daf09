//! Entries of a list of admin tokens: a token, or a name and a token.

/// Longest name of a token, in characters.
const MAX_NAME: usize = 32;
/// Name of the operator if no tokens are configured. No token may have it.
pub const LOCAL: &str = "local";

/// Why an entry of a list of tokens is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// The part before the blank is not a name.
    #[error(
        "the name before the blank has 1 to 32 letters, digits, dots, hyphens, underscores or @, \
         and is not \"local\""
    )]
    Name,
    /// The entry has more than one blank.
    #[error("expected a token, or a name and a token with one blank between them")]
    Blanks,
}

/// The parts of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitToken<'a> {
    /// The name, if the entry has one.
    pub name: Option<&'a str>,
    /// The token itself.
    pub token: &'a str,
}

/// Splits `token` or `name token`. A bearer token holds no blank (RFC 6750), so the two forms cannot be
/// confused.
pub fn split(entry: &str) -> Result<SplitToken<'_>, InvalidToken> {
    let mut words = entry.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    if words.next().is_some() {
        return Err(InvalidToken::Blanks);
    }
    let Some(token) = second else {
        return Ok(SplitToken {
            name: None,
            token: first,
        });
    };
    // The name appears in the log and in the audit, so it is kept short and printable. `LOCAL`
    // stands there for the command line, and nobody else may bear that name.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_@".contains(&b);
    let is_name = first.len() <= MAX_NAME && first.bytes().all(allowed) && first != LOCAL;
    is_name
        .then_some(SplitToken {
            name: Some(first),
            token,
        })
        .ok_or(InvalidToken::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_token_or_a_name_and_a_token() {
        let parts = |entry| split(entry).map(|split| (split.name, split.token));
        assert_eq!(parts("change-me"), Ok((None, "change-me")));
        assert_eq!(parts("a:b"), Ok((None, "a:b")));
        assert_eq!(parts("ann s3cret=="), Ok((Some("ann"), "s3cret==")));
        assert_eq!(parts("a b c"), Err(InvalidToken::Blanks));
        assert_eq!(parts("Ann! s"), Err(InvalidToken::Name));
        assert_eq!(parts("local s"), Err(InvalidToken::Name));
        assert_eq!(
            parts(&format!("{} s", "n".repeat(33))),
            Err(InvalidToken::Name)
        );
    }
}
