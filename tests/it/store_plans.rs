//! How the store's reads for people find their rows: by an index, never by going over a table that
//! keeps a history. The statements are those that really ran, as sqlx tells them.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use serval_connect::domain::event::{Disposition, EventState, Question, Rank};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::report::Report;
use serval_connect::edge::window::Window;
use serval_connect::sources::{BUILT_IN, find};
use serval_connect::store::{AuditFilter, EventFilter, MappingFilter, Range, Settlement};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use crate::store::{Bench, at, ticket, url, webhook};
use crate::support::needs_a_file;

/// Every statement that ran in this process since somebody listens.
static HEARD: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(|| {
    // The readers run on threads of their own, which only a subscriber for all hears.
    let listener = tracing_subscriber::registry()
        .with(Listener.with_filter(Targets::new().with_target("sqlx::query", LevelFilter::DEBUG)));
    tracing::subscriber::set_global_default(listener).unwrap();
    Mutex::default()
});

/// Whoever listens holds this: another one would take away what it has heard.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let text = if statement.whole.is_empty() {
            statement.summary
        } else {
            statement.whole
        };
        // The set is made by whoever asks first, who holds no lock then.
        if let Some(heard) = LazyLock::get(&HEARD) {
            heard.lock().unwrap().insert(text.trim().to_owned());
        }
    }
}

#[derive(Default)]
struct Statement {
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// What each read for people asks for.
pub(crate) async fn look_at_everything(bench: &Bench) {
    let store = &bench.store;
    let (one, source) = (ticket(1), ticket(1).source);
    for range in [Range::Hour, Range::Day] {
        store.activity(at(0), range).await.unwrap();
    }
    store.levels(at(0)).await.unwrap();
    store.connects_last_minute(at(0)).await.unwrap();
    let words = format!("evt_1 {} INC0081927 C9DDYQ1B4:1.2", one.external_id);
    for text in [words.as_str(), "ACM-10"] {
        store.find(&find::read(BUILT_IN, text)).await.unwrap();
    }
    for before in [None, Some(EventId(2))] {
        store.ticket_page(&one, before, 10).await.unwrap();
    }
    let during = at(0)..=at(9);
    store.first_not_found(EventId(1), during).await.unwrap();
    store.dead_groups().await.unwrap();
    store.failures(10).await.unwrap();
    for source in [None, Some(&source)] {
        store.parked(source, Some(EventId(1)), 10).await.unwrap();
    }
    for is_of_source in [false, true] {
        for is_of_id in [false, true] {
            let filter = AuditFilter {
                source: is_of_source.then(|| source.clone()),
                external_id: is_of_id.then(|| one.external_id.clone()),
                before: Some(7),
                limit: 10,
                ..AuditFilter::default()
            };
            store.audit(&filter).await.unwrap();
        }
    }
    store.conflicts(false, Some(7), 10).await.unwrap();
    let mappings = MappingFilter {
        source: Some(source.clone()),
        limit: 10,
        ..MappingFilter::default()
    };
    store.mappings(&mappings).await.unwrap();
    for state in EventState::ALL {
        let filter = EventFilter {
            state: Some(state),
            before: Some(EventId(9)),
            limit: 10,
            ..EventFilter::default()
        };
        store.events(&filter).await.unwrap();
    }
    let dead = EventFilter {
        state: Some(EventState::Dead),
        source: Some(source),
        reason: Some("not_found".to_owned()),
        before: Some(EventId(9)),
        limit: 10,
        ..EventFilter::default()
    };
    store.events(&dead).await.unwrap();
    store.count_replayable(&dead).await.unwrap();
    let window = Window {
        since: Some(at(0)),
        until: Some(at(9)),
    };
    let of_a_range = EventFilter {
        arrived: store.arrived(&window).await.unwrap(),
        limit: 10,
        ..EventFilter::default()
    };
    store.events(&of_a_range).await.unwrap();
    let dead = EventFilter {
        arrived: of_a_range.arrived,
        ..dead
    };
    store.count_replayable(&dead).await.unwrap();
    let actions = AuditFilter {
        window,
        limit: 10,
        ..AuditFilter::default()
    };
    store.audit(&actions).await.unwrap();
}

/// What a save, a mapping and a question about a message ask for, while the record has a history.
async fn write_everything(bench: &Bench) {
    bench.map(1, "tkt-1").await;
    for count in [1, 3, 2] {
        let mut webhook = webhook(1, at(0));
        webhook.events[0].rank = Rank(count, count);
        webhook.events[0].delivery_key = Some(format!("wh:{count}"));
        bench.store.record(webhook).await.unwrap();
    }
    let claim = bench.claim(1, at(1)).await.remove(0);
    bench.map(1, "tkt-2").await;
    assert!(!bench.store.is_current(&claim).await.unwrap());
    let mut newer = webhook(1, at(1));
    newer.events[0].rank = Rank(4, 4);
    bench.store.record(newer).await.unwrap();
    let release = Settlement::Release {
        in_doubt: false,
        error: None,
    };
    let settled = bench.store.settle(&claim, None, release, at(1));
    settled.await.unwrap();
    let channel = "C9DDYQ1B4".to_owned();
    let (content_key, rank) = ("edited".to_owned(), Rank(1, -5));
    for (report, question) in [
        (Report::MessageDeletion, Question::WhichTicket { channel }),
        (Report::MessageEdit, Question::IsNew { content_key, rank }),
    ] {
        let mut webhook = webhook(1, at(2));
        let event = &mut webhook.events[0];
        (event.report, event.rank) = (report, Rank(0, -5));
        event.question = Some(question);
        event.disposition = Disposition::Ignore("deleted");
        bench.store.record(webhook).await.unwrap();
    }
}

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Whether a step of a plan goes over a whole table or index that grows with the history.
fn goes_over_all(step: &str) -> bool {
    // Small by what they are: an index over the dead alone, what is under way, a line for each
    // source and state, a list in the statement itself.
    let small = [
        "events_dead",
        "SCAN counts",
        "SCAN claims",
        "SCAN disconnects",
        "VIRTUAL TABLE",
        "CONSTANT ROW",
        "SCAN s",
        // Rows of the statement's own.
        "SCAN g",
        "SCAN p",
        "SCAN (",
        "SCAN found",
    ];
    step.starts_with("SCAN ") && !small.iter().any(|small| step.contains(small))
}

#[tokio::test]
async fn what_people_look_at_is_found_by_an_index() {
    needs_a_file!();
    let _turn = TURN.lock().await;
    let bench = Bench::open().await;
    HEARD.lock().unwrap().clear();
    look_at_everything(&bench).await;
    let heard: Vec<String> = HEARD.lock().unwrap().iter().cloned().collect();
    let folder = bench.close().await;
    let options: SqliteConnectOptions = url(&folder).parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let modules = [
        "activity",
        "arrived",
        "find",
        "ticket_rows",
        "dead",
        "parked",
        "audit",
        "tickets",
        "levels",
        "conflicts",
    ];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for statement in heard {
        let named = modules.iter().find(|module| {
            let mark = format!("-- store::{module}::");
            statement.starts_with(&mark)
        });
        let is_list = statement.starts_with("SELECT e.id, e.source")
            || statement.starts_with("SELECT COUNT(*) FROM (SELECT 1 FROM events")
            || statement.starts_with("SELECT m.source");
        // Daemons of other tests in this process run retention, which nobody waits for.
        let is_retention = statement.starts_with("-- store::audit::old");
        if (named.is_none() && !is_list) || is_retention {
            continue;
        }
        let is_read = statement
            .lines()
            .any(|line| line.trim_start().starts_with("SELECT"))
            && !statement.contains("INSERT")
            && !statement.contains("UPDATE")
            && !statement.contains("DELETE");
        if !is_read {
            continue;
        }
        seen.extend(named);
        let steps = plan(&mut connection, &statement).await;
        for step in &steps {
            assert!(!goes_over_all(step), "{statement}\n{steps:#?}");
        }
        if statement.contains("e.reason = ") {
            let by_reason = steps.iter().any(|step| step.contains("events_dead"));
            assert!(by_reason, "{statement}\n{steps:#?}");
        }
    }
    assert_eq!(seen.len(), modules.len(), "all were heard: {seen:?}");
}

#[tokio::test]
async fn what_a_save_and_a_question_cost_does_not_grow_with_the_history() {
    needs_a_file!();
    let _turn = TURN.lock().await;
    let bench = Bench::open().await;
    HEARD.lock().unwrap().clear();
    write_everything(&bench).await;
    let heard: Vec<String> = HEARD.lock().unwrap().iter().cloned().collect();
    let folder = bench.close().await;
    let options: SqliteConnectOptions = url(&folder).parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let marks = [
        "-- store::look_up::known",
        "-- store::on_mapped::newest",
        "-- store::current::event",
        "-- store::questions::is_known",
        "-- store::questions::ticket_of",
    ];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    // Several statements may go in one round trip.
    for statement in heard.iter().flat_map(|texts| texts.split(";\n")) {
        let Some(mark) = marks.iter().find(|mark| statement.starts_with(**mark)) else {
            continue;
        };
        seen.insert(mark);
        let steps = plan(&mut connection, statement).await;
        for step in &steps {
            // All events of an external ticket, or all events.
            let reads_history = step.ends_with("INDEX events_external (external=?)")
                || (step.starts_with("SCAN ") && step.contains("events"));
            assert!(!reads_history, "{statement}\n{steps:#?}");
        }
    }
    assert_eq!(seen.len(), marks.len(), "all were heard: {seen:?}");
}
