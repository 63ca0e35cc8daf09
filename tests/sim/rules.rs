//! The promise, as far as it can be seen from outside: what must hold at every call, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::ledger::Ledger;
use super::model::{Model, Sent, Source, State, Ticket};
use super::operators::Operator;
use super::senders::number_of;
use super::serval::Serval;

/// What a wait may be shorter by: the daemon counts in milliseconds.
const ROUNDING: Duration = Duration::from_millis(5);

/// How long a call may have been under way: it asks Serval first if it is in doubt.
const UNDER_WAY: Duration = Duration::from_secs(12);

/// Longest time until refused credentials, which are accepted again, are tried: 5 s after the longest wait that
/// Serval asks for. The daemon tries them even if no event waits.
const HOLD: Duration = Duration::from_secs(65);

/// True if a call that arrives at `now` may have begun before the daemon stood still.
fn has_stood_still(state: &State, now: Duration) -> bool {
    let moves_from = state.moves_from;
    !moves_from.is_zero() && now <= moves_from + UNDER_WAY
}

/// True if a call that arrives at `now` may have begun before `change` was known.
fn may_precede(state: &State, change: Duration, now: Duration) -> bool {
    now <= change + UNDER_WAY || has_stood_still(state, now)
}

/// True if a ticket is mapped to this Serval ticket, or was when the call began.
fn may_go_to(state: &State, ticket: &Ticket, serval: &str, now: Duration) -> bool {
    let was_mapped = |(old, until): &(String, Option<Duration>)| {
        old == serval && until.is_none_or(|until| may_precede(state, until, now))
    };
    ticket.serval == serval || ticket.before.as_ref().is_some_and(was_mapped)
}

/// Looks at a call that arrives at Serval.
pub(crate) fn on_call(
    state: &mut State,
    ledger: &Ledger,
    (serval, external_id): (&str, &str),
    object: &str,
    is_linked: bool,
) {
    let now = sim_machine::elapsed();
    let mut wrong = Vec::new();
    if state.is_paused && !has_stood_still(state, now) {
        wrong.push(format!("a call about {external_id} during a pause"));
    }
    if let Some(until) = ledger.waits(object, state.life)
        && now + ROUNDING < until
    {
        wrong.push(format!(
            "a call about {object} at {now:?}; Serval asked to wait until {until:?}"
        ));
    }
    state.called = state.find(external_id);
    match state.called.map(|no| &state.tickets[no]) {
        None => wrong.push(format!("a call about {external_id}, which nobody has")),
        Some(ticket) => {
            if !may_go_to(state, ticket, serval, now) {
                wrong.push(format!(
                    "{external_id} goes to {serval}, not to {}",
                    ticket.serval
                ));
            }
            let message = ticket.sent.iter().find(|sent| sent.object == object);
            let gone = message.and_then(|sent| sent.gone).or(ticket.gone);
            if gone.is_some_and(|gone| !may_precede(state, gone, now)) {
                wrong.push(format!("{external_id} was deleted, and is sent"));
            }
            if is_linked && ticket.source != Source::Again {
                wrong.push(format!("{external_id} is connected twice to {serval}"));
            }
            match ticket.sent.iter().find(|sent| sent.object == object) {
                None => wrong.push(format!("not as it was sent: {object}")),
                Some(sent) => wrong.extend(out_of_order(ticket, sent, ledger, is_linked)),
            }
        }
    }
    for wrong in wrong {
        state.violation(&wrong);
    }
}

/// The oldest event of an external ticket is first, and no save follows a newer one.
fn out_of_order(ticket: &Ticket, sent: &Sent, ledger: &Ledger, is_linked: bool) -> Option<String> {
    let (id, rank) = (&ticket.id, sent.rank);
    // Another mapping sends what was finished again, and a deletion makes room for what was.
    if ticket.before.is_some() || ticket.deletions > 0 {
        return None;
    }
    match ticket.source {
        // Of saves that wait only the newest is sent. It may come during the call.
        Source::Once => None,
        Source::Again => {
            let pair = (ticket.serval.clone(), id.clone());
            let last = ledger.links.get(&pair)?;
            let last = ticket.sent.iter().find(|other| other.object == *last)?;
            let is_older = last.rank > rank;
            is_older.then(|| format!("{id}: save {rank} is sent after save {}", last.rank))
        }
        // What came before a mapping waits for it, and one of that is sent first.
        Source::Slack if is_linked || !sent.was_mapped => None,
        Source::Slack => {
            let is_older = |other: &&Sent| other.acknowledged.is_some_and(|at| at < sent.tried);
            let older = ticket.sent.iter().find(is_older)?;
            Some(format!(
                "{id}: message {rank} is sent before message {}",
                older.rank
            ))
        }
    }
}

/// Waits until the daemon has nothing left to do; false: it does not come to an end.
pub(crate) async fn drained(operator: &Operator, patience: Duration) -> bool {
    let waits = async {
        let mut pause = Duration::from_millis(500);
        loop {
            if let Some((200, stats)) = operator.ask(Method::GET, "/stats", "").await
                && stats["totals"]["queued"] == 0
            {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_mins(2));
        }
    };
    tokio::time::timeout(patience, waits).await.is_ok()
}

/// Waits until the pairs of changed mappings are unlinked; false: they stay.
pub(crate) async fn unlinked(serval: &Serval, model: &Model) -> bool {
    let is_left = || {
        let state = model.lock();
        let ledger = serval.ledger();
        let mut tickets = state.tickets.iter();
        tickets.any(|ticket| {
            let old = ticket.before.as_ref().map(|(old, _)| old.as_str());
            ticket.source == Source::Once
                && old.is_some_and(|old| ledger.is_linked(old, &ticket.id))
        })
    };
    for _ in 0..60 {
        if !is_left() {
            return true;
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    false
}

/// Asks whether it is ready, until the last hold must have ended.
async fn readiness(operator: &Operator) -> Option<(u16, Value)> {
    let until = sim_machine::elapsed() + HOLD;
    loop {
        let answer = operator.ask_at(Method::GET, "/readyz", "").await;
        let is_held = matches!(&answer, Some((_, ready)) if ready["held"] == true);
        if !is_held || until <= sim_machine::elapsed() {
            return answer;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What must hold when all is done, and nothing is wrong any more.
pub(crate) async fn at_the_end(model: &Model, serval: &Serval, operator: &Operator) {
    match readiness(operator).await {
        Some((200, _)) => {}
        answer => model.violation(&format!("it is not ready: {answer:?}")),
    }
    let Some(events) = all_events(operator).await else {
        return model.violation("the events cannot be listed");
    };
    let counted = operator.ask(Method::GET, "/stats", "").await;
    let mut state = model.lock();
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut of_ticket: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for event in &events {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        *counts.entry(text("state")).or_default() += 1;
        *of_ticket.entry(text("external_id")).or_default() += 1;
        ids.extend(number_of(&text("id")));
        let is_deletion = matches!(text("reason").as_str(), "deleted" | "channel_notice");
        if !matches!(text("state").as_str(), "connected" | "skipped") && !is_deletion {
            wrong.push(format!("left at the end: {event}"));
        }
    }
    for (name, count) in counted
        .iter()
        .filter_map(|(_, said)| said["totals"].as_object())
        .flatten()
    {
        let found = counts.get(name).copied().unwrap_or_default();
        if count.as_i64() != Some(found) {
            wrong.push(format!(
                "{found} events are {name}, but {count} are counted"
            ));
        }
    }
    let ledger = serval.ledger();
    for ticket in &state.tickets {
        let found = of_ticket.get(&ticket.id).copied().unwrap_or_default();
        wrong.extend(of_one(ticket, &ledger, found, &ids));
    }
    for wrong in wrong {
        state.violation(&wrong);
    }
}

/// All stored events, page by page.
async fn all_events(operator: &Operator) -> Option<Vec<Value>> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/events?limit=1000{cursor}");
        let (200, list) = operator.ask(Method::GET, &path, "").await? else {
            return None;
        };
        events.extend_from_slice(list["data"].as_array()?);
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(events),
        }
    }
}

fn of_one(ticket: &Ticket, ledger: &Ledger, found: usize, ids: &BTreeSet<i64>) -> Vec<String> {
    let mut wrong = Vec::new();
    let id = &ticket.id;
    let acknowledged: Vec<&Sent> = (ticket.sent.iter())
        .filter(|sent| sent.acknowledged.is_some())
        .collect();
    for sent in &acknowledged {
        if let Some(event) = sent.event
            && !ids.contains(&event)
        {
            wrong.push(format!(
                "event {event} of {id} was acknowledged and is lost"
            ));
        }
    }
    let most = ticket.sent.len() + ticket.deletions;
    if found < acknowledged.len() || found > most {
        wrong.push(format!(
            "{id}: {found} events are stored, {} were acknowledged and {} were sent",
            acknowledged.len(),
            ticket.sent.len(),
        ));
    }
    if ticket.is_going || acknowledged.iter().all(|sent| sent.is_going) {
        return wrong;
    }
    let Some(newest) = acknowledged.iter().map(|sent| sent.rank).max() else {
        return wrong;
    };
    let pair = (ticket.serval.clone(), id.clone());
    let Some(object) = ledger.links.get(&pair) else {
        wrong.push(format!("{id} was acknowledged, and is not connected"));
        return wrong;
    };
    let last = ticket.sent.iter().find(|sent| sent.object == *object);
    let rank = last.map_or(0, |sent| sent.rank);
    if ticket.source == Source::Again && rank < newest {
        wrong.push(format!(
            "{id}: Serval has save {rank}, and save {newest} was acknowledged"
        ));
    }
    wrong
}
