//! `erase --mentions`: removes all external tickets whose stored bodies mention a person.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::backend::{Backend, Call};
use crate::cli::mentions::{Search, Searched};
use crate::cli::source::source;
use crate::config::Config;
use crate::terminal::progress::Progress;
use crate::terminal::{Failure, Form, Outcome, output};

/// Number of events without an external ticket that are erased with one call.
const STEP: usize = 1000;
/// Number of names that texts are searched for with one call.
const NAMES: usize = 100;

/// External tickets and events that are to be erased.
#[derive(Debug, Default)]
struct Doomed {
    /// External tickets by source and external id, with the number of events that mention the value.
    tickets: BTreeMap<(String, String), usize>,
    /// Ids of events without an external ticket.
    loose: Vec<String>,
}

pub(super) async fn run(
    config: &Config,
    value: &str,
    name: Option<&str>,
    is_sure: bool,
    form: Form,
) -> Outcome {
    if let Some(name) = name {
        source(config, name)?;
    }
    let search = Search::new(value, &[("source", name)]);
    // The database is not held while a person thinks: no daemon could start.
    let (doomed, searched) = find(config, &search).await?;
    if !form.json {
        doomed.show(&searched);
    }
    let answer = if is_sure {
        Ok(true)
    } else {
        confirmed(&doomed, &searched)
    };
    // One document, whatever the answer.
    if form.json && !doomed.is_empty() && !matches!(answer, Ok(true)) {
        output::json(&json!({ "found": doomed.json() }));
    }
    if !answer? {
        return Err(Failure::failed("nothing was erased"));
    }
    let erased = Backend::with(config, async |backend: &Backend| {
        erase(backend, &doomed, value).await
    })
    .await?;
    let (_, left) = find(config, &search).await?;
    if form.json {
        output::json(&json!({ "found": doomed.json(), "erased": erased, "left": left.events }));
    } else {
        report(&erased);
    }
    verdict(&doomed, &erased, &left)
}

async fn find(config: &Config, search: &Search) -> Result<(Doomed, Searched), Failure> {
    Backend::with(config, async |backend: &Backend| {
        let mut doomed = Doomed::default();
        let take = |event| doomed.add(&event);
        let searched = search.run(backend, None, take).await?;
        Ok((doomed, searched))
    })
    .await
}

impl Doomed {
    /// Keeps of an event only what is needed: there may be very many.
    fn add(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        if event["external_id"].is_string() {
            let ticket = (text("source"), text("external_id"));
            *self.tickets.entry(ticket).or_default() += 1;
        } else {
            self.loose.push(text("id"));
        }
    }

    fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.loose.is_empty()
    }

    fn show(&self, searched: &Searched) {
        if !self.tickets.is_empty() {
            let rows = self.tickets.iter().map(|((source, external_id), events)| {
                vec![
                    output::shown(source),
                    output::shown(external_id),
                    events.to_string(),
                ]
            });
            output::table(["SOURCE", "EXTERNAL ID", "EVENTS THAT MENTION IT"], rows);
        }
        output::line(format_args!(
            "{} in {} bodies",
            self.in_words(),
            searched.bodies
        ));
    }

    fn in_words(&self) -> String {
        let count =
            |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let tickets = count(self.tickets.len(), "external ticket", "external tickets");
        match self.loose.len() {
            0 => tickets,
            n => format!(
                "{tickets} and {}",
                count(n, "event without one", "events without one")
            ),
        }
    }

    fn json(&self) -> Value {
        let tickets = self.tickets.iter().map(|((source, external_id), events)| {
            json!({ "source": source, "external_id": external_id, "events": events })
        });
        json!({ "tickets": tickets.collect::<Vec<_>>(), "events": self.loose })
    }
}

/// Asks on a terminal. Elsewhere the answer has to be given before.
fn confirmed(doomed: &Doomed, searched: &Searched) -> Result<bool, Failure> {
    if doomed.is_empty() {
        return Err(Failure::failed(format_args!(
            "none of {} stored bodies mentions it: check the spelling; with --yes, errors and answers that hold it \
             are cleared all the same",
            searched.bodies
        )));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nothing was erased: say --yes to erase these, each with all its events, its mapping and its history".to_owned(),
        ));
    }
    let question = format!(
        "Erase {}, with all events, mappings and history? [y/N] ",
        doomed.in_words()
    );
    output::ask(&question);
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::Failed(error.into()))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Erases ticket by ticket, then what is beside them.
async fn erase(backend: &Backend, doomed: &Doomed, value: &str) -> Result<Value, Failure> {
    let mut gone = Gone::default();
    let broke_off = erase_tickets(backend, doomed, &mut gone).await;
    // Texts that name the tickets are found by these names only now.
    erase_beside(backend, doomed, value, &mut gone).await?;
    broke_off?;
    Ok(json!({
        "tickets": gone.tickets,
        "events": gone.events,
        "mentions_cleared": gone.cleared,
        "in_flight": gone.busy,
        "log_emptied": gone.is_log_empty,
    }))
}

/// Counts of what is erased so far.
#[derive(Debug, Default)]
struct Gone {
    tickets: u64,
    events: u64,
    /// Number of external tickets with a call in flight. They stay.
    busy: u64,
    /// Ids and numbers of the erased external tickets.
    names: Vec<Value>,
    cleared: u64,
    is_log_empty: Value,
}

async fn erase_tickets(backend: &Backend, doomed: &Doomed, gone: &mut Gone) -> Outcome {
    let progress = Progress::of_rows(doomed.tickets.len() as u64, "external tickets are erased");
    for (done, (source, external_id)) in doomed.tickets.keys().enumerate() {
        progress.is_at(done as u64);
        let body = json!({ "source": source, "external_id": external_id, "one_of_many": true });
        let call = Call::new(Method::POST, &["erase"])
            .body(body)
            .transfer(None);
        let mut answer = backend.answer(&call).await?;
        if answer.status == StatusCode::CONFLICT {
            gone.busy += 1;
            continue;
        }
        if let Some(refusal) = answer.refusal() {
            progress.end();
            return Err(refusal);
        }
        gone.tickets += 1;
        gone.events += answer.body["removed"]["events"]
            .as_u64()
            .unwrap_or_default();
        if let Value::Array(names) = answer.body["names"].take() {
            gone.names.extend(names);
        }
    }
    progress.end();
    Ok(())
}

/// Erases the events that have no external ticket, clears texts, and empties the log.
async fn erase_beside(backend: &Backend, doomed: &Doomed, value: &str, gone: &mut Gone) -> Outcome {
    let (mut events, mut names) = (doomed.loose.as_slice(), gone.names.as_slice());
    loop {
        let (some_events, other_events) = events.split_at(events.len().min(STEP));
        let (some_names, other_names) = names.split_at(names.len().min(NAMES));
        let body = json!({ "value": value, "names": some_names, "events": some_events });
        let call = Call::new(Method::POST, &["erase", "mentions"])
            .body(body)
            .transfer(None);
        let mut answer = backend.call(&call).await?.body;
        gone.events += answer["events"].as_u64().unwrap_or_default();
        gone.cleared += answer["mentions_cleared"].as_u64().unwrap_or_default();
        gone.is_log_empty = answer["log_emptied"].take();
        (events, names) = (other_events, other_names);
        if events.is_empty() && names.is_empty() {
            return Ok(());
        }
    }
}

fn report(erased: &Value) {
    let [tickets, events, cleared] =
        ["tickets", "events", "mentions_cleared"].map(|name| output::cell(erased, name));
    output::line(format_args!(
        "erased {tickets} external tickets, {events} events in all; cleared {cleared} errors, answers and reasons that \
         held it or named one of these"
    ));
    if erased["log_emptied"] == false {
        output::warn(
            "the write-ahead log could not be emptied, because another process reads it (a backup?): \
             run the same command again later",
        );
    }
}

/// Fails if something is left, and if there was nothing: the value may be mistyped.
fn verdict(doomed: &Doomed, erased: &Value, left: &Searched) -> Outcome {
    if left.events > 0 {
        return Err(Failure::failed(format_args!(
            "{} events still mention it: a call about them was under way, or they were stored meanwhile; run the same \
             command again",
            left.events
        )));
    }
    if doomed.is_empty() && erased["mentions_cleared"] == 0 {
        return Err(Failure::failed(
            "nothing that is stored mentions it: check the spelling",
        ));
    }
    Ok(())
}
