//! The Serval that is played: it keeps links, is slow, fails and lies, and looks at every call that the promise
//! speaks about.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ledger::{Effect, Ledger, Mood};
use super::model::Model;
use super::plan::Strike;

#[derive(Debug, Clone)]
pub(crate) struct Serval {
    ledger: Arc<Mutex<Ledger>>,
    model: Model,
}

type Answer = Response<Full<Bytes>>;

/// The connection closes without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed")
    }
}

impl std::error::Error for Closed {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    external_ticket_id: String,
    #[serde(borrow)]
    external_ticket_data: &'a RawValue,
}

/// A call that is under way.
struct InFlight<'a> {
    serval: &'a Serval,
    external_id: String,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.serval.ledger().in_flight.remove(&self.external_id);
    }
}

impl Serval {
    /// Starts it; it runs with `tasks`.
    pub(crate) async fn start(
        model: Model,
        dice: Rng,
        refuses_repeats: bool,
        tasks: &mut JoinSet<()>,
    ) -> (Self, SocketAddr) {
        let serval = Self {
            ledger: Arc::new(Mutex::new(Ledger {
                dice,
                refuses_repeats,
                ..Ledger::default()
            })),
            model,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tasks.spawn(serval.clone().serve(listener));
        (serval, address)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how it is.
    pub(crate) fn feel(&self, mood: Mood) {
        self.model.note(|| format!("Serval: {mood:?}"));
        self.ledger().mood = mood;
    }

    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let serval = self.clone();
            connections.spawn(async move {
                let answer = service_fn(|request| serval.answer(request));
                let connection = hyper::server::conn::http1::Builder::new();
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), answer)
                        .await,
                );
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Closed> {
        let path = request.uri().path().to_owned();
        let is_connect = request.method() == Method::POST && path.ends_with("/connect");
        let is_disconnect = request.method() == Method::DELETE;
        let body = request.into_body().collect().await.map_err(|_| Closed)?;
        let body = body.to_bytes();
        let ticket = path.split('/').nth(3).unwrap_or_default().to_owned();
        let (effect, retry_after, latency) = {
            let ledger = &mut *self.ledger();
            let mood = &ledger.mood;
            let (effect, percent) = if is_connect {
                (mood.connect, mood.connect_percent)
            } else {
                (mood.look, mood.look_percent)
            };
            let strikes = ledger.dice.u8(0..100) < percent;
            let latency = ledger.dice.u64(0..30);
            (
                if strikes { effect } else { Effect::None },
                mood.retry_after,
                Duration::from_millis(latency),
            )
        };
        if is_disconnect && effect != Effect::Reset {
            self.disconnect(&ticket);
        }
        if is_connect {
            self.connect(&ticket, &body, effect, retry_after, latency)
                .await
        } else {
            self.look(&ticket, effect, retry_after, latency).await
        }
    }

    async fn connect(
        &self,
        ticket: &str,
        body: &[u8],
        effect: Effect,
        retry_after: Option<u64>,
        latency: Duration,
    ) -> Result<Answer, Closed> {
        let Ok(call) = serde_json::from_slice::<Call<'_>>(body) else {
            self.model
                .violation(&format!("a call that is none: {body:?}"));
            return Err(Closed);
        };
        let object = call.external_ticket_data.get();
        let external_id = call.external_ticket_id;
        let _in_flight = self.arrived(ticket, &external_id, object, effect);
        // What decides about the call comes at any time within its latency.
        tokio::time::sleep(latency / 2).await;
        let takes = matches!(
            effect,
            Effect::None | Effect::Lost | Effect::Slow | Effect::Late
        );
        let was_linked = takes && self.take(ticket, &external_id, object);
        tokio::time::sleep(latency / 2).await;
        if let Some(answer) = self.end(effect, retry_after, Some(object)).await? {
            return Ok(answer);
        }
        if was_linked && self.ledger().refuses_repeats {
            return Ok(json(409, r#"{"code":"ALREADY_EXISTS","message":"it is"}"#));
        }
        Ok(json(200, "{}"))
    }

    /// Looks at a call that arrives.
    fn arrived(
        &self,
        ticket: &str,
        external_id: &str,
        object: &str,
        effect: Effect,
    ) -> InFlight<'_> {
        let mut state = self.model.lock();
        let ledger = &mut *self.ledger();
        ledger.calls += 1;
        let is_linked = ledger.is_linked(ticket, external_id);
        state.note(|| format!("call {ticket} {external_id} {object} {effect:?}"));
        if !ledger.in_flight.insert(external_id.to_owned()) {
            state.violation(&format!("two calls at once about {external_id}"));
        }
        super::rules::on_call(&mut state, ledger, (ticket, external_id), object, is_linked);
        match state.at_call.take() {
            Some(Strike::Kill) => sim_machine::kill(state.life),
            Some(Strike::Cut(how)) => sim_machine::cut(state.life, how),
            Some(Strike::Stall(time)) => state.stall(time),
            None => {}
        }
        InFlight {
            serval: self,
            external_id: external_id.to_owned(),
        }
    }

    /// Carries the call out; true if the pair was linked before.
    fn take(&self, ticket: &str, external_id: &str, object: &str) -> bool {
        let ledger = &mut *self.ledger();
        ledger.told.entry(object.to_owned()).or_default().is_taken = true;
        let pair = (ticket.to_owned(), external_id.to_owned());
        ledger.links.insert(pair, object.to_owned()).is_some()
    }

    /// Ends a call as the effect says; `None`: with a true answer.
    async fn end(
        &self,
        effect: Effect,
        retry_after: Option<u64>,
        object: Option<&str>,
    ) -> Result<Option<Answer>, Closed> {
        match effect {
            Effect::None => Ok(None),
            Effect::Lost | Effect::Reset => Err(Closed),
            Effect::Hang | Effect::Late => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                Err(Closed)
            }
            Effect::Slow => {
                let millis = self.ledger().dice.u64(100..4000);
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(None)
            }
            Effect::Status(status) => {
                if let (Some(seconds), Some(object)) = (retry_after, object) {
                    self.asks_to_wait(object, seconds);
                }
                let code = match status {
                    401 => "UNAUTHENTICATED",
                    429 => "RESOURCE_EXHAUSTED",
                    503 => "UNAVAILABLE",
                    _ => "INTERNAL",
                };
                let mut answer = json(status, &format!(r#"{{"code":"{code}","message":"no"}}"#));
                if let Some(seconds) = retry_after {
                    answer.headers_mut().insert("retry-after", seconds.into());
                }
                Ok(Some(answer))
            }
            Effect::Page => {
                let mut answer = Response::new(Full::from("<html>not here</html>"));
                *answer.status_mut() = http::StatusCode::NOT_FOUND;
                Ok(Some(answer))
            }
            Effect::ErrorInside => {
                let inside = r#"{"error":{"message":"something is wrong"}}"#;
                Ok(Some(json(200, inside)))
            }
        }
    }

    fn asks_to_wait(&self, object: &str, seconds: u64) {
        let life = self.model.lock().life;
        let until = sim_machine::elapsed() + Duration::from_secs(seconds);
        let ledger = &mut *self.ledger();
        ledger.told.entry(object.to_owned()).or_default().wait = Some((until, life));
    }

    /// Removes the links of a ticket.
    fn disconnect(&self, ticket: &str) {
        let mut state = self.model.lock();
        state.note(|| format!("unlink {ticket}"));
        if let Some(own) = state.tickets.iter().find(|own| own.serval == ticket) {
            let what = format!("{} is unlinked from {ticket}, where it belongs", own.id);
            state.violation(&what);
        }
        self.ledger()
            .links
            .retain(|(linked, _), _| linked != ticket);
    }

    async fn look(
        &self,
        ticket: &str,
        effect: Effect,
        retry_after: Option<u64>,
        latency: Duration,
    ) -> Result<Answer, Closed> {
        self.model.note(|| format!("look {ticket} {effect:?}"));
        tokio::time::sleep(latency).await;
        if let Some(answer) = self.end(effect, retry_after, None).await? {
            return Ok(answer);
        }
        let links: Vec<_> = (self.ledger().links.keys())
            .filter(|(linked, _)| linked == ticket)
            .map(|(_, external)| {
                serde_json::json!({"id": format!("l-{external}"), "externalTicketId": external,
                    "sourceType": "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW", "sourceId": "x", "isOrigin": false})
            })
            .collect();
        Ok(json(200, &serde_json::json!({ "data": links }).to_string()))
    }
}

fn json(status: u16, body: &str) -> Answer {
    let mut answer = Response::new(Full::from(body.to_owned()));
    *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    let kind = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", kind);
    answer
}
