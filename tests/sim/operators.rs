//! The operators: they map tickets, and map them anew, pause and resume, and replay what is dead.

use std::time::Duration;

use fastrand::Rng;
use http::Method;
use reqwest::Client;
use serde_json::{Value, json};

use super::daemon::ADMIN_TOKEN;
use super::model::Model;

/// One operator.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) model: Model,
    pub(crate) client: Client,
    pub(crate) dice: Rng,
}

impl Operator {
    /// One request below `/api/v1`; `None`: there was no answer.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &str) -> Option<(u16, Value)> {
        self.ask_at(method, &format!("/api/v1{path}"), body).await
    }

    /// One request to the admin listener; `None`: there was no answer.
    pub(crate) async fn ask_at(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Option<(u16, Value)> {
        let address = self.model.lock().addresses.admin?;
        let url = format!("http://{address}{path}");
        let request = self.client.request(method.clone(), url);
        let request = request.bearer_auth(ADMIN_TOKEN).body(body.to_owned());
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let said = answer.text().await.ok()?;
        self.model.note(|| format!("{method} {path} {status}"));
        let said = serde_json::from_str(&said).unwrap_or(Value::Null);
        Some((status, said))
    }

    /// Works until all tickets are mapped and no more webhooks come.
    pub(crate) async fn run(mut self) {
        loop {
            let pause = self.dice.u64(10..700);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let is_quiet = self.model.lock().is_quiet;
            let unmapped = self.unmapped();
            match self.dice.u8(0..10) {
                _ if is_quiet && unmapped.is_empty() => break,
                0..7 if !unmapped.is_empty() => {
                    let ticket = unmapped[self.dice.usize(0..unmapped.len())];
                    self.map(ticket).await;
                }
                7 if !is_quiet => self.pause().await,
                8 if !is_quiet => self.map_anew().await,
                _ if !is_quiet => {
                    let all = r#"{"state":"dead"}"#;
                    self.ask(Method::POST, "/events/replay", all).await;
                }
                _ => {}
            }
        }
    }

    fn unmapped(&self) -> Vec<usize> {
        let state = self.model.lock();
        let all = state.tickets.iter().enumerate();
        let all = all.filter(|(_, ticket)| ticket.mapped.is_none());
        all.map(|(no, _)| no).collect()
    }

    /// Maps a ticket to another Serval ticket.
    async fn map_anew(&mut self) {
        let chosen = {
            let mut state = self.model.lock();
            let all = state.tickets.iter_mut().enumerate();
            let all = all.filter(|(_, ticket)| ticket.mapped.is_some() && ticket.before.is_none());
            let mut all: Vec<_> = all.collect();
            if all.is_empty() {
                return;
            }
            let (no, ticket) = all.swap_remove(self.dice.usize(0..all.len()));
            let new = format!("{}-new", ticket.serval);
            let old = std::mem::replace(&mut ticket.serval, new);
            ticket.before = Some((old, None));
            no
        };
        for _ in 0..1000 {
            if self.map(chosen).await {
                let mut state = self.model.lock();
                if let Some((_, confirmed)) = &mut state.tickets[chosen].before {
                    *confirmed = Some(sim_machine::elapsed());
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.model.violation("a mapping cannot be changed");
    }

    /// Writes a mapping; true if that was confirmed.
    async fn map(&self, ticket: usize) -> bool {
        let (source, id, serval) = {
            let state = self.model.lock();
            let ticket = &state.tickets[ticket];
            (
                ticket.source.name(),
                ticket.id.clone(),
                ticket.serval.clone(),
            )
        };
        let body = json!({ "ticket_id": serval }).to_string();
        let path = format!("/mappings/{source}/{id}");
        let answer = self.ask(Method::PUT, &path, &body).await;
        match answer {
            Some((200 | 201, _)) => {
                let now = sim_machine::elapsed();
                self.model.lock().tickets[ticket].mapped = Some(now);
                return true;
            }
            Some((503, _)) | None => {}
            Some(other) => self
                .model
                .violation(&format!("a mapping was answered {other:?}")),
        }
        false
    }

    /// Pauses calls for a while.
    async fn pause(&mut self) {
        let paused = self.ask(Method::POST, "/connects/pause", "").await;
        if matches!(paused, Some((200..300, _))) {
            // A call that was about to leave may still be on its way.
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.model.lock().is_paused = true;
        }
        let pause = self.dice.u64(100..6000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.model.lock().is_paused = false;
        for _ in 0..1000 {
            if let Some((200..300, _)) = self.ask(Method::POST, "/connects/resume", "").await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.model.violation("calls cannot be resumed");
    }
}
