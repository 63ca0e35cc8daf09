//! The senders: they send records and messages, and again what was not acknowledged.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use serde_json::{Value, json};
use serval_connect::edge::clock::{Clock as _, SystemClock};
use sha2::Sha256;

use super::daemon::{SERVICENOW_KEY, SLACK_SECRET};
use super::model::{Model, Sent, Source, Ticket, TicketNo};

/// Webhooks that each sender repeats when nothing is wrong any more.
const REPEATED: usize = 4;
/// Further tries of a webhook when nothing is wrong any more.
const STUBBORN: usize = 400;

/// One sender.
pub(crate) struct Sender {
    pub(crate) model: Model,
    pub(crate) client: Client,
    pub(crate) dice: Rng,
    pub(crate) pause: Duration,
    pub(crate) name: usize,
}

/// What a webhook says.
#[derive(Debug, Clone, Copy)]
enum What {
    /// The save or message with this index.
    Post(usize),
    /// The record was deleted.
    Deletion,
    /// The message with this index was deleted.
    MessageDeletion(usize),
    /// The channel was deleted, with all that was acknowledged by this time.
    ChannelDeletion(Duration),
}

/// A webhook.
struct Webhook {
    ticket: TicketNo,
    what: What,
    source: Source,
    delivery: String,
    body: String,
}

impl Sender {
    /// Sends until told to be quiet.
    pub(crate) async fn run(mut self) {
        let mut number = 0;
        let mut taken: Vec<Webhook> = Vec::new();
        while !self.model.lock().is_quiet {
            number += 1;
            let tries = self.dice.usize(1..40);
            if let Some(webhook) = self.make(number)
                && self.deliver(&webhook, tries).await
            {
                taken.push(webhook);
            }
            // Some senders repeat what was acknowledged.
            if self.dice.u8(0..4) == 0 && !taken.is_empty() {
                let again = self.dice.usize(0..taken.len());
                self.send(&taken[again]).await;
            }
            let pause = u64::try_from(self.pause.as_millis()).unwrap_or(1);
            let pause = self.dice.u64(0..=pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        for webhook in taken.iter().rev().take(REPEATED) {
            self.deliver(webhook, 1).await;
        }
    }

    /// Sends it until it is acknowledged; true if it was. While things go wrong it may be given up.
    async fn deliver(&mut self, webhook: &Webhook, tries: usize) -> bool {
        for tried in 1..tries + STUBBORN {
            let is_taken = if self.dice.u8(0..6) == 0 {
                let both = tokio::join!(self.send(webhook), self.send(webhook));
                both.0 || both.1
            } else {
                self.send(webhook).await
            };
            if is_taken {
                return true;
            }
            if tried >= tries && !self.model.lock().is_quiet {
                return false;
            }
            let pause = self.dice.u64(20..1500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let delivery = &webhook.delivery;
        let what = format!("{delivery} is not taken, though nothing is wrong");
        self.model.violation(&what);
        false
    }

    /// Writes the next save or message.
    fn make(&mut self, number: usize) -> Option<Webhook> {
        let mut state = self.model.lock();
        // Some external tickets have many events, most have few.
        let most = self.dice.usize(1..=state.tickets.len());
        let mut no = self.dice.usize(0..most);
        // Some channels are deleted while a call is under way.
        let is_channel = |no: &TicketNo| state.tickets[*no].source == Source::Slack;
        let ends = (state.called.filter(is_channel)).filter(|_| self.dice.u8(0..10) == 0);
        no = ends.unwrap_or(no);
        // Nobody writes in a channel that was deleted.
        if state.tickets[no].source == Source::Slack && state.tickets[no].is_going {
            return None;
        }
        let ticket = &mut state.tickets[no];
        let index = ticket.sent.len();
        let name = format!("{}-{number}", self.name);
        if index > 0
            && (ends.is_some() || self.dice.u8(0..16) == 0)
            && let Some(deletion) = deletion(no, ticket, &name, ends.is_some(), &mut self.dice)
        {
            return Some(deletion);
        }
        let last = u32::try_from(index).unwrap_or_default();
        // Some saves arrive after newer ones.
        let rank = 2 * last + if self.dice.u8(0..4) == 0 { 0 } else { 5 };
        let (id, delivery) = (&ticket.id, format!("d-{name}"));
        let text = format!("{no}/{index} \\u00e9 1.0");
        let (object, body) = match ticket.source {
            Source::Once | Source::Again => {
                let object = format!(
                    r#"{{"sys_id":"{id}","sys_class_name":"incident","short_description":"{text}", "sys_mod_count":"{rank}","n":1.50}}"#
                );
                (object.clone(), object)
            }
            Source::Slack => {
                let (channel, root) = id.split_once(':').unwrap_or_default();
                let ts = if index == 0 {
                    root.to_owned()
                } else {
                    format!("1773748900.{index:06}")
                };
                let thread = if index == 0 {
                    String::new()
                } else {
                    format!(r#""thread_ts":"{root}","#)
                };
                let object = format!(
                    r#"{{"type":"message","channel":"{channel}","channel_type":"channel","user":"U061F7AUR","text":"{text}",{thread}"ts":"{ts}","event_ts":"{ts}"}}"#
                );
                let body = envelope(&name, &object);
                (object, body)
            }
        };
        let was_mapped = ticket.mapped.is_some();
        ticket.sent.push(Sent {
            rank,
            object,
            tried: sim_machine::elapsed(),
            acknowledged: None,
            event: None,
            is_going: false,
            gone: None,
            was_mapped,
        });
        Some(Webhook {
            ticket: no,
            what: What::Post(index),
            source: ticket.source,
            delivery,
            body,
        })
    }

    /// Sends it once; true if it was acknowledged.
    async fn send(&self, webhook: &Webhook) -> bool {
        let Some(address) = self.model.lock().addresses.webhooks else {
            return false;
        };
        let at = SystemClock.now().as_second().to_string();
        let body = &webhook.body;
        let url = format!("http://{address}/webhooks/{}", webhook.source.name());
        let request = self.client.post(url);
        let request = if webhook.source == Source::Slack {
            let mac = mac(SLACK_SECRET.as_bytes(), &["v0:", &at, ":", body]);
            request
                .header("x-slack-request-timestamp", &at)
                .header("x-slack-signature", format!("v0={}", hex::encode(mac)))
        } else {
            let mac = mac(SERVICENOW_KEY, &[&webhook.delivery, ".", &at, ".", body]);
            request
                .header("webhook-id", &webhook.delivery)
                .header("webhook-timestamp", &at)
                .header("webhook-signature", format!("v1,{}", STANDARD.encode(mac)))
        };
        let request = request.header("content-type", "application/json");
        let Ok(answer) = request.body(body.clone()).send().await else {
            return false;
        };
        let status = answer.status().as_u16();
        let Ok(said) = answer.text().await else {
            return false;
        };
        let mut state = self.model.lock();
        state.note(|| {
            let (delivery, ticket) = (&webhook.delivery, webhook.ticket);
            format!("{delivery} {ticket}/{:?} {status}", webhook.what)
        });
        match status {
            200 | 202 => {}
            // 401: the clock of its machine is wrong, so the signature seems to be old.
            401 | 429 | 503 => return false,
            _ => {
                state.violation(&format!("a webhook was answered {status}: {said}"));
                return false;
            }
        }
        let event = event_of(&said);
        let ticket = &mut state.tickets[webhook.ticket];
        let now = sim_machine::elapsed();
        let index = match webhook.what {
            What::Post(index) => index,
            What::Deletion => {
                ticket.gone = ticket.gone.or(Some(now));
                return true;
            }
            What::MessageDeletion(index) => {
                let gone = &mut ticket.sent[index].gone;
                *gone = gone.or(Some(now));
                return true;
            }
            What::ChannelDeletion(begun) => {
                let is_earlier = |sent: &&mut Sent| sent.acknowledged.is_some_and(|at| at < begun);
                for sent in ticket.sent.iter_mut().filter(is_earlier) {
                    sent.gone = sent.gone.or(Some(now));
                }
                return true;
            }
        };
        let sent = &mut ticket.sent[index];
        let known = sent.event;
        sent.event = sent.event.or(event);
        sent.acknowledged = sent.acknowledged.or(Some(now));
        if known.is_some() && event != known {
            let delivery = &webhook.delivery;
            let what = format!("{delivery} became another event: {known:?} and {event:?}");
            state.violation(&what);
        }
        true
    }
}

/// The webhook that says that a record or a message was deleted, if there is one to delete.
fn deletion(
    no: TicketNo,
    ticket: &mut Ticket,
    name: &str,
    of_channel: bool,
    dice: &mut Rng,
) -> Option<Webhook> {
    let (what, body) = if of_channel {
        ticket.is_going = true;
        for sent in &mut ticket.sent {
            sent.is_going = true;
        }
        let (channel, _) = ticket.id.split_once(':')?;
        let event =
            json!({ "type": "channel_deleted", "channel": channel, "event_ts": "1773749900.1" });
        let what = What::ChannelDeletion(sim_machine::elapsed());
        (what, envelope(name, &event))
    } else if ticket.source == Source::Slack {
        let all = ticket.sent.iter().enumerate();
        let all = all.filter(|(_, sent)| sent.acknowledged.is_some() && !sent.is_going);
        let all: Vec<usize> = all.map(|(index, _)| index).collect();
        let index = *all.get(dice.usize(0..all.len().max(1)))?;
        let sent = &mut ticket.sent[index];
        sent.is_going = true;
        let (channel, _) = ticket.id.split_once(':')?;
        let message: Value = serde_json::from_str(&sent.object).ok()?;
        let ts = &message["ts"];
        let event = json!({
            "type": "message", "subtype": "message_deleted", "hidden": true, "channel": channel,
            "channel_type": "channel", "deleted_ts": ts, "previous_message": message,
            "ts": format!("1773749900.{index:06}"), "event_ts": format!("1773749900.{index:06}"),
        });
        (What::MessageDeletion(index), envelope(name, &event))
    } else if ticket.is_going {
        return None;
    } else {
        ticket.is_going = true;
        let id = &ticket.id;
        // After all saves.
        let body = format!(
            r#"{{"table":"incident","operation":"delete","record":{{"sys_id":"{id}","sys_class_name":"incident","sys_mod_count":"100000"}}}}"#
        );
        (What::Deletion, body)
    };
    ticket.deletions += 1;
    Some(Webhook {
        ticket: no,
        what,
        source: ticket.source,
        delivery: format!("d-{name}"),
        body,
    })
}

/// What Slack puts around an event.
fn envelope(name: &str, event: &impl Display) -> String {
    format!(
        r#"{{"type":"event_callback","token":"t","team_id":"T0BRIDGE1","api_app_id":"A0BRIDGE1","event_id":"Ev{name}","event_time":1773749900,"event":{event}}}"#
    )
}

fn event_of(said: &str) -> Option<i64> {
    let said: Value = serde_json::from_str(said).ok()?;
    number_of(said["events"][0]["id"].as_str()?)
}

/// The number in `evt_42`.
pub(crate) fn number_of(id: &str) -> Option<i64> {
    id.strip_prefix("evt_")?.parse().ok()
}

fn mac(key: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is right");
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().to_vec()
}
