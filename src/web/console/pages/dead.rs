//! Dead events, grouped by source and reason, and their replay.

use askama::Template;
use axum::response::Response;

use super::events::tickets;
use crate::domain::event::EventState;
use crate::operators::{Operators, Refusal, Why};
use crate::store::{DeadGroup, EventFilter, EventRow};
use crate::web::console::frame::{
    Action, Fault, Flash, List, Numbers, Page, ROWS, Tab, View, count, grouped, href, render,
    sentence, words,
};

#[derive(Template)]
#[template(path = "dead.html", config = "src/web/console/askama.toml")]
struct DeadPage {
    page: Page,
    groups: Vec<DeadGroup>,
}

#[derive(Template)]
#[template(path = "dead_group.html", config = "src/web/console/askama.toml")]
struct GroupPage<'a> {
    page: Page,
    list: List<'a, 2>,
    meaning: &'static str,
    advice: &'static str,
    rows: Vec<EventRow>,
    numbers: Numbers,
    replay_all: String,
    is_final: bool,
}

#[derive(Template)]
#[template(path = "dead_confirm.html", config = "src/web/console/askama.toml")]
struct ConfirmPage<'a> {
    page: Page,
    source: &'a str,
    reason: &'a str,
    n: u64,
    what: String,
    /// Sentences about what happens to them.
    outlook: Vec<String>,
    back: String,
}

/// The groups, or the events of one.
pub(crate) async fn show(view: View) -> Result<Response, Fault> {
    let list = List::read(&view.fields, "/dead", ["source", "reason"]);
    if let [Some(source), Some(reason)] = list.set {
        return group(&view, list, source, reason).await;
    }
    let page = DeadPage {
        groups: view.operators().store().dead_groups().await?,
        page: view.page("Dead", Tab::Dead).await?,
    };
    Ok(render(&page))
}

/// The address of a page about a group.
fn group_at(path: &str, source: &str, reason: &str) -> String {
    href::list(path, &[("source", Some(source)), ("reason", Some(reason))])
}

/// The dead events of a group.
fn filter(operators: &Operators, source: &str, reason: &str) -> Result<EventFilter, Fault> {
    // A source that is no longer configured can have dead events, too.
    let source = source.parse().or_else(|_| operators.source(source))?;
    Ok(EventFilter {
        state: Some(EventState::Dead),
        source: Some(source),
        reason: Some(reason.to_owned()),
        // A replay of the group takes all of its events. The list sets its own limit.
        limit: u32::MAX,
        ..EventFilter::default()
    })
}

async fn group(
    view: &View,
    mut list: List<'_, 2>,
    source: &str,
    reason: &str,
) -> Result<Response, Fault> {
    let operators = view.operators();
    let filter = EventFilter {
        before: list.after()?,
        limit: ROWS + 1,
        ..filter(operators, source, reason)?
    };
    let mut rows = operators.store().events(&filter).await?;
    list.cut(&mut rows, |row| row.id.to_string());
    let numbers = view.numbers(tickets(&rows)).await?;
    let page = GroupPage {
        page: view.page(format!("Dead: {reason}"), Tab::Dead).await?,
        meaning: words::dead(reason).0,
        advice: words::dead(reason).1,
        list,
        rows,
        numbers,
        replay_all: group_at("/dead/replay", source, reason),
        is_final: words::is_final(Some(reason)),
    };
    Ok(render(&page))
}

/// Asks for a confirmation, with the number of events.
pub(crate) async fn confirm(view: View) -> Result<Response, Fault> {
    let [source, reason] =
        ["source", "reason"].map(|name| view.fields.get(name).unwrap_or_default());
    let filter = filter(view.operators(), source, reason)?;
    let outlook = view.operators().outlook(&filter).await?;
    let n = outlook.fates.matched;
    let page = ConfirmPage {
        page: view.page("Replay", Tab::Dead).await?,
        n,
        what: count(i64::try_from(n).unwrap_or(i64::MAX), "event", "events"),
        outlook: outlook.words(),
        back: group_at("/dead", source, reason),
        source,
        reason,
    };
    Ok(render(&page))
}

/// Replays all events of a group.
pub(crate) async fn replay_all(Action(view): Action) -> Result<Response, Fault> {
    let (source, reason) = chosen(&view);
    let operators = view.operators();
    let filter = filter(operators, source, reason)?;
    let done = async {
        let why = view.why()?;
        operators.replay_many(view.who(), filter, &why).await
    };
    let flash = Flash::of(done.await, |n| Flash::done(format!("{}.", queued(n))))?;
    Ok(flash.at("/dead"))
}

/// Replays the selected events.
pub(crate) async fn replay_selected(Action(view): Action) -> Result<Response, Fault> {
    let (source, reason) = chosen(&view);
    let flash = match view.why() {
        Ok(why) => replay_each(&view, &why).await?,
        Err(refusal) => Flash::of_refusal(refusal)?,
    };
    Ok(flash.at(&group_at("/dead", source, reason)))
}

/// Source and reason of the group in a form. Its field `reason` is the operator's reason.
fn chosen(view: &View) -> (&str, &str) {
    let field = |name| view.fields.get(name).unwrap_or_default();
    (field("source"), field("event_reason"))
}

/// Replays one event after the other. The message has the first refusal.
async fn replay_each(view: &View, why: &Why) -> Result<Flash, Fault> {
    let operators = view.operators();
    let (mut n, mut fault) = (0, None);
    for name in view.fields.all("event") {
        let done = match operators.event_id(name) {
            Ok(id) => operators.replay(view.who(), id, why).await,
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(()) => n += 1,
            // If the database fails, all the others would fail, too.
            Err(refusal @ Refusal::Store(_)) => return Err(refusal.into()),
            Err(refusal) => {
                fault.get_or_insert_with(|| sentence(&format!("{name}: {refusal}")));
            }
        }
    }
    Ok(match (n, fault) {
        (0, None) => Flash::refused("No event was selected, so nothing was replayed."),
        (n, None) => Flash::done(format!("{}.", queued(n))),
        (n, Some(fault)) => Flash::refused(format!("{}; others were refused. {fault}", queued(n))),
    })
}

fn queued(n: u64) -> String {
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    let events = count(n, "event is", "events are");
    format!("{events} in the queue again")
}
