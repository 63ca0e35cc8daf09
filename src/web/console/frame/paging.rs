//! Lists: their filters and cursor in the address, and the links to their other pages.

use std::str::FromStr;

use super::fault::Fault;
use super::fields::Fields;
use super::href;

/// Page size.
pub(crate) const ROWS: u32 = 50;

/// A list with `N` filters, at one of its pages.
#[derive(Debug)]
pub(crate) struct List<'a, const N: usize> {
    path: &'static str,
    names: [&'static str; N],
    /// Values of the filters.
    pub(crate) set: [Option<&'a str>; N],
    pub(crate) cursor: Option<&'a str>,
    pub(crate) pager: Pager,
}

/// Links to the other pages of a list.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    /// The first page, if this is another.
    pub(crate) first: Option<String>,
    /// The next page.
    pub(crate) next: Option<String>,
}

impl<'a, const N: usize> List<'a, N> {
    /// Reads the filters and the cursor.
    pub(crate) fn read(fields: &'a Fields, path: &'static str, names: [&'static str; N]) -> Self {
        Self {
            path,
            names,
            set: names.map(|name| fields.get(name)),
            cursor: fields.get("cursor"),
            pager: Pager::default(),
        }
    }

    /// Value of a filter; empty if it is not set.
    pub(crate) fn text(&self, name: &str) -> &'a str {
        let mut all = self.names.iter().zip(self.set);
        let named = all.find(|(known, _)| **known == name);
        named.and_then(|(_, value)| value).unwrap_or_default()
    }

    pub(crate) fn is_filtered(&self) -> bool {
        self.set.iter().any(Option::is_some)
    }

    /// Reads the cursor.
    pub(crate) fn after<C: FromStr>(&self) -> Result<Option<C>, Fault> {
        let wrong = |_| Fault::malformed("The address of this page has a wrong cursor.");
        self.cursor.map(str::parse).transpose().map_err(wrong)
    }

    /// Cuts `rows` to a page. The caller asked for one more row, which tells that there is a next page.
    pub(crate) fn cut<R>(&mut self, rows: &mut Vec<R>, name: impl Fn(&R) -> String) {
        let has_more = rows.len() > ROWS as usize;
        rows.truncate(ROWS as usize);
        let last = rows.last().filter(|_| has_more).map(name);
        self.pager = Pager {
            first: self.cursor.map(|_| self.href(None)),
            next: last.map(|last| self.href(Some(&last))),
        };
    }

    fn href(&self, cursor: Option<&str>) -> String {
        let filters = self.names.into_iter().zip(self.set);
        let all: Vec<_> = filters.chain([("cursor", cursor)]).collect();
        href::list(self.path, &all)
    }
}
