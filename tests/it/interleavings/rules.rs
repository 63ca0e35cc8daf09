//! What must hold after every step.

use std::collections::BTreeMap;

use serval_connect::domain::event::EventState;

use super::TICKETS;
use super::stage::{Stage, ticket};

/// An event, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) state: EventState,
    pub(super) external_id: String,
    pub(super) tries: i64,
}

impl Stage {
    async fn rows(&mut self) -> BTreeMap<i64, Row> {
        let all = "SELECT e.id, e.state, x.external_id, e.tries FROM events AS e \
            JOIN external_tickets AS x ON x.id = e.external ORDER BY e.id";
        let rows: Vec<(i64, String, String, i64)> = self.looking.rows(all).await;
        let row = |(id, state, external_id, tries): (i64, String, String, i64)| {
            let state = EventState::parse(&state).unwrap();
            (
                id,
                Row {
                    state,
                    external_id,
                    tries,
                },
            )
        };
        rows.into_iter().map(row).collect()
    }

    async fn number_of(&mut self, sql: &'static str) -> i64 {
        self.looking.value(sql).await
    }

    /// What must hold after every step.
    pub(super) async fn check(&mut self) {
        let rows = self.rows().await;
        assert_eq!(
            rows.len() as u64,
            self.deliveries,
            "every event is there, once"
        );
        for (id, row) in &rows {
            let Some(before) = self.before.get(id) else {
                continue;
            };
            let left = before.state.is_terminal() && before.state != row.state;
            assert!(
                !left || self.is_moved_by_hand,
                "{id}: {before:?} became {row:?} by itself"
            );
        }
        self.check_counts(&rows).await;
        for n in 0..TICKETS {
            self.check_ticket(n, &rows);
        }
        self.before = rows;
    }

    async fn check_counts(&mut self, rows: &BTreeMap<i64, Row>) {
        let all = "SELECT state, n FROM counts WHERE n <> 0 ORDER BY state";
        let counts: Vec<(String, i64)> = self.looking.rows(all).await;
        let mut real: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows.values() {
            *real.entry(row.state.as_str().to_owned()).or_default() += 1;
        }
        assert_eq!(counts.into_iter().collect::<BTreeMap<_, _>>(), real);
        let orphans = "SELECT COUNT(*) FROM claims AS c \
            JOIN events AS e ON e.id = c.event_id WHERE e.state <> 'queued'";
        assert_eq!(
            self.number_of(orphans).await,
            0,
            "a claim on what is not queued"
        );
        let claims = "SELECT COUNT(*) - COUNT(DISTINCT external) FROM claims";
        assert_eq!(self.number_of(claims).await, 0, "two claims on one ticket");
    }

    fn check_ticket(&self, n: u8, rows: &BTreeMap<i64, Row>) {
        let of = |state| {
            let name = ticket(n).external_id;
            let its = rows
                .values()
                .filter(move |row| row.external_id == name.as_str());
            its.filter(move |row| row.state == state).count()
        };
        assert!(of(EventState::Parked) <= 1, "one is parked for a ticket");
        let all: usize = EventState::ALL.into_iter().map(of).sum();
        let Some(to) = self.mapped.get(&n) else {
            return;
        };
        assert_eq!(
            of(EventState::Parked),
            0,
            "a mapping releases what is parked: {n}"
        );
        let is_moving = of(EventState::Queued) > 0;
        let is_done = self.linked.contains(&(n, *to));
        let is_dead = of(EventState::Dead) > 0 && self.refused.contains(&(n, *to));
        assert!(
            all == 0 || is_moving || is_done || is_dead,
            "lost: {n} {rows:?}"
        );
    }
}
