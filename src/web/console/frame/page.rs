//! The frame of every page: navigation with counts, the operator, and numbers of external tickets.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::assets;
use super::fault::{Fault, sentence};
use super::fields::Fields;
use super::time::When;
use super::viewer::Viewer;
use crate::domain::event::EventState;
use crate::edge::window::Window;
use crate::operators::{Operator, Operators, Refusal, Why};
use crate::web::console::state::Console;

/// Most conflicts that are counted; more are "99+".
const MAX_COUNTED: u32 = 100;

/// A part of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Parked,
    Dead,
    Conflicts,
    Events,
    Mappings,
    Audit,
    /// No part of the navigation.
    Elsewhere,
}

/// The navigation.
const TABS: [(Tab, &str, &str); 7] = [
    (Tab::Overview, "Overview", "/"),
    (Tab::Parked, "Parked", "/parked"),
    (Tab::Dead, "Dead", "/dead"),
    (Tab::Conflicts, "Conflicts", "/conflicts"),
    (Tab::Events, "Events", "/events"),
    (Tab::Mappings, "Mappings", "/mappings"),
    (Tab::Audit, "Audit", "/audit"),
];

/// A link to a part.
#[derive(Debug)]
pub(crate) struct NavLink {
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) is_here: bool,
    /// Number of waiting items, if any.
    pub(crate) count: Option<String>,
    /// True if the waiting items need a person.
    pub(crate) is_urgent: bool,
}

/// The frame of a page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) assets: &'static assets::Names,
    pub(crate) title: String,
    pub(crate) nav: Vec<NavLink>,
    pub(crate) viewer: Viewer,
    pub(crate) may_act: bool,
    /// Names of the configured sources.
    pub(crate) sources: Vec<String>,
    /// Text in the search box.
    pub(crate) query: String,
    pub(crate) version: &'static str,
    now: Timestamp,
}

impl Page {
    /// The time `at`, relative to the time of the page.
    pub(crate) fn when(&self, at: &Timestamp) -> When {
        When::at(*at, self.now)
    }
}

/// The numbers by which people know external tickets.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<(String, String), String>);

impl Numbers {
    /// The number of one external ticket.
    pub(crate) fn one(source: &str, external_id: &str, number: Option<&str>) -> Self {
        let name = (source.to_owned(), external_id.to_owned());
        Self(
            number
                .map(|number| (name, number.to_owned()))
                .into_iter()
                .collect(),
        )
    }

    /// Name of an external ticket for people: its number, else its id.
    pub(crate) fn name(&self, source: &str, external_id: &str) -> String {
        let key = (source.to_owned(), external_id.to_owned());
        self.0.get(&key).unwrap_or(&key.1).clone()
    }
}

/// A request for a page, or a form that is answered with one.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) console: Console,
    pub(crate) viewer: Viewer,
    pub(crate) fields: Fields,
}

impl FromRequestParts<Console> for View {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Fault> {
        let viewer = parts.extensions.get::<Viewer>().cloned();
        Self::new(console, viewer, Fields::of_address(&parts.uri)?)
    }
}

impl View {
    /// A request of the operator that the guard found.
    pub(crate) fn new(
        console: &Console,
        viewer: Option<Viewer>,
        fields: Fields,
    ) -> Result<Self, Fault> {
        Ok(Self {
            console: console.clone(),
            viewer: viewer.ok_or_else(|| Fault::forbidden("Nobody is logged in."))?,
            fields,
        })
    }

    pub(crate) fn who(&self) -> &Operator {
        &self.viewer.operator
    }

    /// The reason that the operator gave.
    pub(crate) fn why(&self) -> Result<Why, Refusal> {
        Why::read(self.fields.get("reason"))
    }

    pub(crate) fn operators(&self) -> &Operators {
        self.console.operators()
    }

    /// The range of time between these two texts.
    pub(crate) fn window(&self, since: Option<&str>, until: Option<&str>) -> Result<Window, Fault> {
        let window = Window::read(since, until, self.operators().now());
        window.map_err(|fault| Fault::malformed(sentence(&fault)))
    }

    /// Refuses to show payloads if the configuration forbids it.
    pub(crate) fn check_payloads(&self) -> Result<(), Fault> {
        if self.operators().shows_payloads() {
            return Ok(());
        }
        Err(Fault::forbidden("admin.show_payloads is off."))
    }

    /// The numbers of external tickets, given as source and external id.
    pub(crate) async fn numbers<'a>(
        &self,
        tickets: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Numbers, Fault> {
        let mut named: Vec<(&str, &str)> = tickets
            .filter_map(|(source, id)| Some((source, id?)))
            .collect();
        named.sort_unstable();
        named.dedup();
        Ok(Numbers(self.operators().store().numbers(&named).await?))
    }

    /// The frame of a page.
    pub(crate) async fn page(&self, title: impl Into<String>, tab: Tab) -> Result<Page, Fault> {
        let store = self.operators().store();
        let now = self.operators().now();
        let levels = store.levels(now).await?;
        // The states are counted by the store as it writes; open conflicts are read, so they have a limit.
        let conflicts = store.conflicts(false, None, MAX_COUNTED).await?.len();
        let conflicts = i64::try_from(conflicts).unwrap_or(i64::MAX);
        let waiting = |tab| match tab {
            Tab::Parked => levels.total(EventState::Parked),
            Tab::Dead => levels.total(EventState::Dead),
            Tab::Conflicts => conflicts,
            Tab::Overview | Tab::Events | Tab::Mappings | Tab::Audit | Tab::Elsewhere => 0,
        };
        let nav = TABS.map(|(of, name, href)| {
            let n = waiting(of);
            // Conflicts are counted only up to the limit of the query.
            let text = if of == Tab::Conflicts && n >= i64::from(MAX_COUNTED) {
                "99+".to_owned()
            } else {
                grouped(n)
            };
            NavLink {
                name,
                href,
                is_here: of == tab,
                count: (n > 0).then_some(text),
                is_urgent: matches!(of, Tab::Dead | Tab::Conflicts),
            }
        });
        let sources = self.operators().source_names();
        Ok(Page {
            assets: assets::names(),
            title: title.into(),
            nav: nav.into(),
            viewer: self.viewer.clone(),
            may_act: self.viewer.may_act(),
            sources: sources.iter().map(ToString::to_string).collect(),
            query: String::new(),
            version: env!("CARGO_PKG_VERSION"),
            now,
        })
    }
}

/// A number with thin spaces between its thousands.
pub(crate) fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// `1 event`, `2 events`.
pub(crate) fn count(n: i64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1\u{202f}000"),
            (-1_234_567, "-1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(count(1, "event", "events"), "1 event");
        assert_eq!(count(2, "event", "events"), "2 events");
    }
}
