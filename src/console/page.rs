//! What all pages have in common: who looks, where they are, and what waits for them.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::access::Viewer;
use super::fault::Fault;
use super::{Console, assets};
use crate::domain::event::EventState;
use crate::operator::Desk;

/// Conflicts that are counted; more are "99+".
const MAX_COUNTED: u32 = 100;

/// A part of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Parked,
    Dead,
    Conflicts,
    Events,
    Mappings,
    Audit,
    /// None of them.
    Elsewhere,
}

/// The parts that can be gone to.
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
pub(super) struct NavLink {
    pub(super) name: &'static str,
    pub(super) href: &'static str,
    pub(super) is_here: bool,
    /// How many wait there, for those where something waits.
    pub(super) count: Option<String>,
    /// Whether what waits there needs a person.
    pub(super) is_urgent: bool,
}

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) assets: &'static assets::Names,
    pub(super) title: String,
    pub(super) nav: Vec<NavLink>,
    pub(super) who: String,
    pub(super) may_act: bool,
    pub(super) can_log_out: bool,
    pub(super) csrf: String,
    pub(super) flash: Option<super::flash::Flash>,
    /// What was searched for.
    pub(super) query: String,
    pub(super) version: &'static str,
}

/// The numbers by which people know external tickets.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<(String, String), String>);

impl Numbers {
    /// Of one external ticket.
    pub(super) fn one(source: &str, external_id: &str, number: Option<&str>) -> Self {
        let name = (source.to_owned(), external_id.to_owned());
        Self(
            number
                .map(|number| (name, number.to_owned()))
                .into_iter()
                .collect(),
        )
    }

    /// What people call an external ticket: its number, else its id.
    pub(super) fn name(&self, source: &str, external_id: &str) -> String {
        let key = (source.to_owned(), external_id.to_owned());
        self.0.get(&key).unwrap_or(&key.1).clone()
    }
}

/// A look at a page.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) console: Console,
    pub(super) viewer: Viewer,
}

impl FromRequestParts<Console> for View {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Fault> {
        let viewer = parts.extensions.get::<Viewer>().cloned();
        let nobody = || Fault::new(StatusCode::FORBIDDEN, "Nobody is logged in.");
        Ok(Self {
            console: console.clone(),
            viewer: viewer.ok_or_else(nobody)?,
        })
    }
}

impl View {
    /// For whoever sent a form.
    pub(super) fn of(console: &Console, viewer: Viewer) -> Self {
        let console = console.clone();
        Self { console, viewer }
    }

    pub(super) fn desk(&self) -> &Desk {
        self.console.desk()
    }

    /// The numbers of external tickets, given as source and external id.
    pub(super) async fn numbers<'a>(
        &self,
        tickets: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Numbers, Fault> {
        let mut named: Vec<(&str, &str)> = tickets
            .filter_map(|(source, id)| Some((source, id?)))
            .collect();
        named.sort_unstable();
        named.dedup();
        Ok(Numbers(self.desk().store().numbers(&named).await?))
    }

    /// The frame of a page.
    pub(super) async fn page(&self, title: impl Into<String>, tab: Tab) -> Result<Page, Fault> {
        let store = self.desk().store();
        let levels = store.levels(self.desk().now()).await?;
        let sum = |state: EventState| -> i64 {
            let counts = levels.counts.iter().filter(|(_, s, _)| *s == state);
            counts.map(|(.., n)| n).sum()
        };
        let conflicts = store.conflicts(false, None, MAX_COUNTED).await?.len();
        let conflicts = i64::try_from(conflicts).unwrap_or(i64::MAX);
        let waiting = |tab| match tab {
            Tab::Parked => sum(EventState::Parked),
            Tab::Dead => sum(EventState::Dead),
            Tab::Conflicts => conflicts,
            Tab::Overview | Tab::Events | Tab::Mappings | Tab::Audit | Tab::Elsewhere => 0,
        };
        let nav = TABS.map(|(of, name, href)| {
            let n = waiting(of);
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
        Ok(Page {
            assets: assets::names(),
            title: title.into(),
            nav: nav.into(),
            who: self.viewer.operator.name().to_owned(),
            may_act: self.viewer.may_act(),
            can_log_out: self.viewer.session.is_some(),
            csrf: self.viewer.csrf.clone(),
            flash: self.viewer.flash.clone(),
            query: String::new(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// A number with thin spaces between its thousands.
pub(super) fn grouped(n: i64) -> String {
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
pub(super) fn count(n: i64, one: &str, many: &str) -> String {
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
