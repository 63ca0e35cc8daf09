//! The newest save of a record is the only one that is sent, whatever happens in between.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use serval_connect::domain::event::{EventState, Rank, foremost};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::store::{
    Claim, ClaimScope, Decision, Lesson, Origin, Precondition, PutMapping, Recorded, Removal,
    Replay, Settlement,
};

use crate::store::{Bench, LEASE, at, ticket, webhook};
use crate::support::bodies::{incident_with, naming, sys_id};
use crate::support::{TestApp, eventually};

const UNKNOWN: i64 = Rank::UNKNOWN;
const RECONNECT: &str = "[sources.servicenow]\nreconnect = \"on_change\"";

/// One thing that happens to the record.
#[derive(Debug, Clone)]
enum Step {
    /// A save arrives; its payload may name a Serval ticket.
    Save {
        time: i64,
        count: i64,
        names: Option<u8>,
    },
    Map(u8),
    Unmap,
    Pause,
    Resume,
    /// What is parked expires.
    Expire,
    /// The event is claimed, and waits for its turn.
    Claim,
    /// Its turn has come. The call fails, or Serval has the pair.
    Call {
        fails: bool,
    },
    /// A person replays what was given up or expired.
    Replay,
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![1 => Just(UNKNOWN), 4 => 0_i64..4];
    let count = prop_oneof![1 => Just(UNKNOWN), 4 => 0_i64..4];
    let names = prop_oneof![4 => Just(None), 1 => (0_u8..2).prop_map(Some)];
    prop_oneof![
        6 => (time, count, names).prop_map(|(time, count, names)| Step::Save { time, count, names }),
        4 => (0_u8..2).prop_map(Step::Map),
        2 => Just(Step::Unmap),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Expire),
        5 => Just(Step::Claim),
        5 => any::<bool>().prop_map(|fails| Step::Call { fails }),
        1 => Just(Step::Replay),
    ]
}

/// The store, a worker, and what Serval has.
struct Model {
    bench: Bench,
    reconnects: bool,
    is_paused: bool,
    in_hand: Option<Claim>,
    saves: Vec<(EventId, Rank)>,
    /// The save that each Serval ticket was sent last.
    serval: BTreeMap<String, EventId>,
    now: i64,
}

impl Model {
    async fn play(steps: &[Step], reconnects: bool) {
        let mut model = Self {
            bench: Bench::open().await,
            reconnects,
            is_paused: false,
            in_hand: None,
            saves: Vec::new(),
            serval: BTreeMap::new(),
            now: 1,
        };
        for step in steps {
            model.now += 1;
            model.step(step).await;
        }
        model.finish().await;
    }

    async fn step(&mut self, step: &Step) {
        let now = at(self.now);
        let store = &self.bench.store;
        match *step {
            Step::Save { time, count, names } => {
                let mut webhook = webhook(1, now);
                webhook.reconnects = self.reconnects;
                webhook.events[0].rank = Rank(time, count);
                webhook.events[0].hint = names.map(|n| format!("tkt-{n}").parse().unwrap());
                let recorded: Recorded = store.record(webhook).await.unwrap().remove(0);
                self.saves.push((recorded.id, Rank(time, count)));
            }
            Step::Map(n) => self.map(n).await,
            Step::Unmap => {
                let removed = store
                    .delete_mapping(&ticket(1), Precondition::None, Removal::KeepLink, now)
                    .await;
                removed.unwrap().unwrap();
            }
            Step::Pause => self.is_paused = true,
            Step::Resume => self.is_paused = false,
            Step::Expire => {
                store.expire_parked(at(self.now + 100)).await.unwrap();
            }
            Step::Claim if self.is_paused || self.in_hand.is_some() => {}
            Step::Claim => {
                let claims = store.claim(ClaimScope::Due, 1, now, LEASE).await.unwrap();
                self.in_hand = claims.into_iter().next();
            }
            Step::Call { fails } => self.call(fails).await,
            Step::Replay => {
                for (id, _) in &self.saves {
                    let state = self.bench.state(*id).await;
                    if matches!(state, EventState::Dead | EventState::Expired) {
                        let replay = store.replay(*id, "mended".to_owned(), now).await.unwrap();
                        let may = matches!(
                            replay,
                            Some(Replay::Queued | Replay::Superseded | Replay::NewerQueued)
                        );
                        assert!(may, "{replay:?}");
                    }
                }
            }
        }
    }

    async fn map(&self, n: u8) {
        let put = PutMapping {
            disconnects_others: false,
            ticket: ticket(1),
            ticket_id: format!("tkt-{n}").parse().unwrap(),
            accounted_for: Vec::new(),
            origin: Origin::Api,
            taught_by: None,
            unlinks_old: false,
            several_per_ticket: true,
            reconnects: self.reconnects,
        };
        let put = self
            .bench
            .store
            .put_mapping(put, Precondition::None, at(self.now));
        put.await.unwrap().unwrap();
    }

    /// What a step of the worker does, from the slot on.
    async fn call(&mut self, fails: bool) {
        let Some(claim) = self.in_hand.take() else {
            return;
        };
        let (store, now) = (&self.bench.store, at(self.now));
        if let Some(hint) = &claim.hint {
            let lesson = Lesson::Names {
                ticket_id: hint.clone(),
                on_conflict: Some(Decision::Replace),
                unlinks_old: false,
                several_per_ticket: true,
                reconnects: self.reconnects,
            };
            store.learn(&claim, lesson, now).await.unwrap();
            return;
        }
        let settlement = match claim.mapped_to.clone() {
            None => Settlement::Park {
                until: at(self.now + 50),
            },
            Some(_) if claim.is_connected && !self.reconnects => Settlement::Skip {
                reason: Reason::AlreadyConnected,
            },
            Some(_) if !store.is_current(&claim).await.unwrap() => Settlement::Release {
                in_doubt: false,
                error: None,
            },
            Some(_) if fails => Settlement::Retry {
                at: now,
                asked: false,
                counts: true,
                in_doubt: false,
                error: "a fault was asked for".to_owned(),
            },
            Some(ticket_id) => {
                let newest = self.newest().unwrap();
                assert_eq!(
                    claim.event, newest,
                    "an older save is sent: {:?}",
                    self.saves
                );
                self.serval.insert(ticket_id.as_str().to_owned(), newest);
                Settlement::Connected {
                    ticket_id,
                    reason: None,
                    reconnects: self.reconnects,
                }
            }
        };
        store.settle(&claim, None, settlement, now).await.unwrap();
    }

    fn newest(&self) -> Option<EventId> {
        foremost(self.saves.iter().copied()).map(|(id, _)| id)
    }

    /// Serval is well, and the record is mapped: it has the newest save.
    async fn finish(mut self) {
        self.is_paused = false;
        if self
            .bench
            .store
            .mapping(&ticket(1))
            .await
            .unwrap()
            .is_none()
        {
            self.map(0).await;
        }
        for _ in 0..100 {
            self.now += 1;
            self.step(&Step::Call { fails: false }).await;
            self.step(&Step::Claim).await;
        }
        assert!(self.in_hand.is_none(), "the queue comes to its end");
        let mapping = self.bench.store.mapping(&ticket(1)).await.unwrap().unwrap();
        let has = self.serval.get(&mapping.ticket_id).copied();
        if self.reconnects {
            assert_eq!(has, self.newest(), "{:?}", self.saves);
        } else {
            assert_eq!(has.is_some(), !self.saves.is_empty(), "{:?}", self.saves);
        }
        for (id, _) in &self.saves {
            let state = self.bench.state(*id).await;
            assert!(state.is_terminal(), "{id} is {state:?}");
        }
        self.bench.close().await;
    }
}

fn play(steps: &[Step], reconnects: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Model::play(steps, reconnects));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_interleaving_sends_an_older_save_or_leaves_the_newest_unsent(
        steps in prop::collection::vec(step(), 3..40),
        reconnects in any::<bool>(),
    ) {
        play(&steps, reconnects);
    }
}

fn save(count: u32) -> String {
    incident_with(1, count, &json!({}))
}

/// The objects that Serval was sent, in their order.
fn sent(app: &TestApp) -> Vec<String> {
    let connects = app.mock.connects().into_iter();
    connects.filter_map(|connect| connect.object).collect()
}

async fn is_superseded(app: &TestApp, id: &str) {
    let event = app.admin.wait_for_state(id, "skipped").await;
    assert_eq!(event["reason"], "superseded");
}

#[tokio::test]
async fn of_the_saves_that_wait_only_the_newest_is_sent() {
    // As they arrive: in order, and in the other order; together, and one by one.
    for counts in [[1, 2], [2, 1]] {
        for together in [true, false] {
            let app = TestApp::start().await;
            app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
            app.admin.post("/connects/pause", &Value::Null).await;
            let mut ids = Vec::new();
            if together {
                let batch = format!("[{},{}]", save(counts[0]), save(counts[1]));
                let events = app.webhooks.servicenow(batch).send().await.events();
                ids.extend(
                    events
                        .iter()
                        .map(|event| event["id"].as_str().unwrap().to_owned()),
                );
            } else {
                for count in counts {
                    ids.push(app.save(save(count)).await);
                }
            }
            let older = counts.iter().position(|count| *count == 1).unwrap();
            is_superseded(&app, &ids[older]).await;
            app.admin.post("/connects/resume", &Value::Null).await;
            app.admin.wait_for_state(&ids[1 - older], "connected").await;
            assert_eq!(sent(&app), [save(2)], "{counts:?}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn of_the_saves_that_teach_a_mapping_only_the_newest_is_sent() {
    let pointers = "[sources.servicenow]\nticket_id_pointers = [\"/correlation_id\"]";
    for counts in [[1, 2], [2, 1]] {
        let app = TestApp::builder().config(pointers).start().await;
        app.admin.post("/connects/pause", &Value::Null).await;
        let mut ids = Vec::new();
        for count in counts {
            ids.push(app.save(naming(1, count, "tkt-1")).await);
        }
        app.admin.post("/connects/resume", &Value::Null).await;
        let older = counts.iter().position(|count| *count == 1).unwrap();
        app.admin.wait_for_state(&ids[1 - older], "connected").await;
        is_superseded(&app, &ids[older]).await;
        assert_eq!(sent(&app), [naming(1, 2, "tkt-1")], "{counts:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_save_that_was_missed_while_there_was_no_mapping_is_sent_when_it_is_back() {
    let app = TestApp::builder().config(RECONNECT).start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let first = app.save(save(1)).await;
    app.admin.wait_for_state(&first, "connected").await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    for (count, late, import) in [(3, 2, false), (6, 5, true)] {
        assert_eq!(app.admin.delete(&path).await.status, 204);
        let parked = app.save(save(count)).await;
        app.admin.wait_for_state(&parked, "parked").await;
        is_superseded(&app, &app.save(save(late)).await).await;
        if import {
            let row = format!("servicenow,{},tkt-1\n", sys_id(1));
            assert_eq!(app.admin.import(&row).await.status, 200);
        } else {
            app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        }
        app.admin.wait_for_state(&parked, "connected").await;
    }
    assert_eq!(sent(&app), [save(1), save(3), save(6)]);
    app.stop().await;
}

/// The first call waits for its token. What comes meanwhile decides.
#[tokio::test]
async fn an_event_that_waits_for_a_token_is_looked_at_just_before_its_call() {
    let deleted =
        |id: &str| json!({"table": "incident", "operation": "delete", "record": {"sys_id": id}});
    for is_deleted in [false, true] {
        let app = TestApp::start().await;
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        // The credentials are checked at the start, so that the token is known.
        app.faults(&[
            "401,path=connect,count=1",
            "latency=1500ms,path=token,count=1",
        ]);
        let first = app.save(save(1)).await;
        let refused = async || (app.mock.look(|journal| journal.connect_count) > 0).then_some(());
        eventually("the token is refused", refused).await;
        if is_deleted {
            let body = deleted(&sys_id(1)).to_string();
            app.webhooks.servicenow(body).send().await;
            let event = app.admin.wait_for_state(&first, "skipped").await;
            assert_eq!(event["reason"], "deleted");
            assert_eq!(app.mock.look(|journal| journal.connected_count), 0);
        } else {
            let second = app.save(save(2)).await;
            app.admin.wait_for_state(&second, "connected").await;
            is_superseded(&app, &first).await;
            assert_eq!(app.mock.look(|journal| journal.connected_count), 1);
        }
        app.stop().await;
    }
}
