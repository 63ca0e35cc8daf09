//! Pages of lists by cursor.

use super::fault::Fault;
use super::href;
use std::str::FromStr;

/// Rows of a page.
pub(super) const ROWS: u32 = 50;

/// The way to the other pages of a list.
#[derive(Debug, Default)]
pub(super) struct Pager {
    /// Back to the first page, when this is another.
    pub(super) first: Option<String>,
    /// The next page.
    pub(super) next: Option<String>,
}

/// Cuts `rows`, of which one more than a page was asked for, and says where the next page begins.
pub(super) fn cut<R>(
    rows: &mut Vec<R>,
    path: &str,
    filters: &[(&str, Option<&str>)],
    cursor: Option<&str>,
    name: impl Fn(&R) -> String,
) -> Pager {
    let has_more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let next = rows.last().filter(|_| has_more).map(|row| {
        let cursor = name(row);
        let mut all = filters.to_vec();
        all.push(("cursor", Some(&cursor)));
        href::list(path, &all)
    });
    Pager {
        first: cursor.map(|_| href::list(path, filters)),
        next,
    }
}

/// Reads a cursor.
pub(super) fn cursor<C: FromStr>(text: Option<&str>) -> Result<Option<C>, Fault> {
    let wrong = |_| Fault::malformed("The address of this page has a wrong cursor.");
    text.map(str::parse).transpose().map_err(wrong)
}

/// A filter that is set.
pub(super) fn set(filter: Option<&String>) -> Option<&str> {
    filter
        .map(|filter| filter.trim())
        .filter(|filter| !filter.is_empty())
}
