//! The number and the title of an external ticket, for a person who has to map it.
//!
//! Invariant: nothing is decided by them, and what cannot be read is left out.

/// The longest title, in characters.
const WIDTH: usize = 120;

/// The name of an external ticket for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Title {
    /// The number in the system itself, such as `INC0081927`.
    pub number: Option<String>,
    /// One line that says what it is about.
    pub title: Option<String>,
}

/// The first line of `text` that is not blank, shortened.
pub fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.chars().count() <= WIDTH {
        return Some(line.to_owned());
    }
    let kept: String = line.chars().take(WIDTH - 1).collect();
    Some(format!("{}…", kept.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let full = "ä".repeat(WIDTH);
        assert_eq!(first_line(&full), Some(full));
        let cut = first_line(&"ä".repeat(WIDTH + 1)).unwrap();
        assert_eq!(cut.chars().count(), WIDTH);
        assert!(cut.ends_with('…'));
    }
}
