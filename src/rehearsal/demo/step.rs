//! The steps of the demo. A step sends a webhook, checks every consequence, and records what is not
//! as expected.

use std::fmt::{Debug, Display};

use anyhow::Context as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::account::{Account, event_line, excerpt, header_lines};
use super::samples::{INCIDENT, Sample};
use super::stage::{Delivery, Stage, target};
use crate::rehearsal::mock_serval::RecordedConnect;
use crate::rehearsal::sender::Answer;

/// Values that later steps need from earlier ones.
#[derive(Debug, Default)]
pub(super) struct Memory {
    incident: Option<(Delivery, String)>,
}

/// An answer that names an event.
struct Acknowledged {
    id: String,
    state: String,
    duplicate: bool,
}

/// A step that is being played.
pub(super) struct Step<'a> {
    stage: &'a Stage,
    account: &'a mut Account,
}

impl<'a> Step<'a> {
    pub(super) fn new(stage: &'a Stage, account: &'a mut Account) -> Self {
        Self { stage, account }
    }

    fn tell(&mut self, label: &'static str, text: impl Display) {
        self.account.tell(label, text);
    }

    fn expect<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, found: &T) {
        self.account.expect(what, expected, found);
    }

    /// Maps an external ticket; its first event connects.
    pub(super) async fn connects(
        &mut self,
        sample: Sample,
        memory: &mut Memory,
    ) -> anyhow::Result<()> {
        self.map(sample).await?;
        let delivery = self.stage.sign(sample)?;
        let answer = self.send(&delivery).await?;
        let id = self.accepted(sample, &answer, "queued").await?;
        self.settled(&id, "connected", None).await?;
        self.connect(sample).await;
        if sample.external_id == INCIDENT.external_id {
            memory.incident = Some((delivery, id));
        }
        Ok(())
    }

    /// Sends a later event of a connected external ticket, for which Serval is not called.
    pub(super) async fn is_skipped(&mut self, sample: Sample, reason: &str) -> anyhow::Result<()> {
        let before = self.connect_count();
        let delivery = self.stage.sign(sample)?;
        let answer = self.send(&delivery).await?;
        let id = self.accepted(sample, &answer, "skipped").await?;
        self.settled(&id, "skipped", Some(reason)).await?;
        self.no_connect(before).await
    }

    /// Sends the request of an earlier delivery again.
    pub(super) async fn is_duplicate(&mut self, memory: &Memory) -> anyhow::Result<()> {
        let (delivery, id) = memory
            .incident
            .as_ref()
            .context("the first delivery did not come to its end")?;
        let before = self.connect_count();
        let answer = self.send(delivery).await?;
        self.expect("the status", &StatusCode::ACCEPTED, &answer.status);
        let again = acknowledged(&answer)?;
        self.expect("duplicate", &true, &again.duplicate);
        self.expect("the event", id, &again.id);
        self.settled(id, "connected", None).await?;
        self.no_connect(before).await
    }

    /// Sends a webhook that is signed with another key.
    pub(super) async fn is_refused(&mut self, sample: Sample) -> anyhow::Result<()> {
        let before = self.connect_count();
        // The answer names no event, so the inbox is compared before and after.
        let newest = self.stage.newest_event(sample.source).await?;
        let delivery = self.stage.forge(sample)?;
        let answer = self.send(&delivery).await?;
        self.expect("the status", &StatusCode::UNAUTHORIZED, &answer.status);
        let after = self.stage.newest_event(sample.source).await?;
        self.expect("the newest event", &newest["id"], &after["id"]);
        if newest["id"] == after["id"] {
            self.tell("event", "none: nothing of it was stored");
        }
        self.no_connect(before).await
    }

    /// Sends an event without a mapping, and maps it afterwards.
    pub(super) async fn waits_for_its_mapping(&mut self, sample: Sample) -> anyhow::Result<()> {
        let before = self.connect_count();
        let delivery = self.stage.sign(sample)?;
        let answer = self.send(&delivery).await?;
        let id = self.accepted(sample, &answer, "parked").await?;
        self.settled(&id, "parked", Some("no_mapping")).await?;
        self.no_connect(before).await?;
        self.map(sample).await?;
        self.settled(&id, "connected", None).await?;
        self.connect(sample).await;
        Ok(())
    }

    /// Maps the external ticket through the admin API.
    async fn map(&mut self, sample: Sample) -> anyhow::Result<()> {
        let path = format!("mappings/{}/{}", sample.source, sample.external_id);
        let body = json!({"ticket_id": sample.ticket_id});
        let (status, mapping) = self.stage.admin(Method::PUT, &path, Some(&body)).await?;
        self.tell("mapping", format!("PUT /api/v1/{path}"));
        self.tell("", format!("{body} -> {status}"));
        self.expect("the mapping's status", &StatusCode::CREATED, &status);
        let found = mapping["ticket_id"].as_str().unwrap_or_default();
        self.expect("the mapping's ticket", &sample.ticket_id, &found);
        Ok(())
    }

    async fn send(&mut self, delivery: &Delivery) -> anyhow::Result<Answer> {
        self.tell("sent", format!("POST {}", delivery.url));
        for line in header_lines(&delivery.headers) {
            self.account.detail(line);
        }
        let body = delivery.sample.body;
        self.account
            .detail(format!("{} bytes: {}", body.len(), excerpt(body)));
        let answer = self.stage.post(delivery).await?;
        let text = String::from_utf8_lossy(&answer.body);
        self.tell(
            "answer",
            format!("{} after {} ms", answer.status, answer.took.as_millis()),
        );
        self.tell("", if text.is_empty() { "empty body" } else { &text });
        Ok(answer)
    }

    /// Checks the acknowledgement, and returns the id of the event.
    async fn accepted(
        &mut self,
        sample: Sample,
        answer: &Answer,
        state: &str,
    ) -> anyhow::Result<String> {
        if sample.source == "slack" {
            // The answer to Slack is always empty, so the inbox is asked for the event.
            self.expect("the status", &StatusCode::OK, &answer.status);
            self.expect("the answer's length", &0, &answer.body.len());
            let event = self.stage.newest_event(sample.source).await?;
            let about = event["external_id"].as_str().unwrap_or_default();
            self.expect("the external ticket", &sample.external_id, &about);
            return Ok(event["id"].as_str().unwrap_or_default().to_owned());
        }
        self.expect("the status", &StatusCode::ACCEPTED, &answer.status);
        let new = acknowledged(answer)?;
        self.expect("the state in the answer", &state, &new.state.as_str());
        self.expect("duplicate", &false, &new.duplicate);
        Ok(new.id)
    }

    /// Waits until the event is in the expected state.
    async fn settled(&mut self, id: &str, state: &str, reason: Option<&str>) -> anyhow::Result<()> {
        let event = self.stage.event_in(id, state).await?;
        self.tell("event", event_line(id, &event));
        let found = event["state"].as_str().unwrap_or_default();
        self.expect("the event's state", &state, &found);
        self.expect("its reason", &reason, &event["reason"].as_str());
        Ok(())
    }

    /// Waits for the connect, and checks every part of it.
    async fn connect(&mut self, sample: Sample) {
        // A missing connect is recorded as a fault, not returned as an error: the next steps still run.
        let came = self.stage.connect_arrives(sample.ticket_id).await;
        let connects = connects_of(self.stage, sample.ticket_id);
        let Some(connect) = connects.first().filter(|_| came) else {
            self.tell("connect", "none arrived at Serval");
            self.account.fault("no connect arrived at Serval");
            return;
        };
        self.expect("connects of this ticket", &1, &connects.len());
        self.tell_connect(connect, sample);
        self.expect("Serval's answer", &Some(200), &connect.answered);
        self.expect(
            "externalTicketId",
            &sample.external_id,
            &connect.external_id.as_str(),
        );
        self.expect(
            "externalTicketSubtype",
            &sample.subtype,
            &connect.subtype.as_deref(),
        );
        self.expect("channelTarget", &target(sample.source), &connect.target);
        if !is_identical(connect, sample) {
            self.account
                .fault("externalTicketData differs from what was sent");
        }
    }

    fn tell_connect(&mut self, connect: &RecordedConnect, sample: Sample) {
        let answered = match connect.answered {
            Some(status) => status.to_string(),
            None => "no answer".to_owned(),
        };
        let path = format!("/v2/tickets/{}/connect", connect.ticket_id);
        self.tell("connect", format!("POST {path} -> {answered}"));
        self.account
            .detail(format!("channelTarget          {}", connect.target));
        self.tell(
            "",
            format!("externalTicketId       {}", connect.external_id),
        );
        let subtype = connect.subtype.as_deref().unwrap_or("(left out)");
        self.tell("", format!("externalTicketSubtype  {subtype}"));
        let bytes = connect.object.as_ref().map_or(0, String::len);
        let verdict = if is_identical(connect, sample) {
            "identical to"
        } else {
            "NOT"
        };
        let sender = sample.sender();
        let text = format!("externalTicketData     {bytes} bytes, {verdict} what {sender} sent");
        self.tell("", text);
    }

    fn connect_count(&self) -> u64 {
        self.stage.mock.look(|journal| journal.connect_count)
    }

    /// Waits until no event is queued, then checks that Serval was not called.
    async fn no_connect(&mut self, before: u64) -> anyhow::Result<()> {
        if !self.stage.nothing_queued().await? {
            self.account.fault("an event is still queued");
        }
        let new = self.connect_count().saturating_sub(before);
        let text = if new == 0 {
            "none: Serval is not called".to_owned()
        } else {
            format!("{new} arrived at Serval")
        };
        self.tell("connect", text);
        self.expect("connects", &0, &new);
        Ok(())
    }
}

/// The connects of a Serval ticket that arrived.
pub(super) fn connects_of(stage: &Stage, ticket_id: &str) -> Vec<RecordedConnect> {
    let mut connects = stage.mock.connects();
    connects.retain(|connect| connect.ticket_id == ticket_id);
    connects
}

/// True if Serval got the sender's object byte for byte.
pub(super) fn is_identical(connect: &RecordedConnect, sample: Sample) -> bool {
    connect.object.as_deref() == Some(sample.object())
}

fn acknowledged(answer: &Answer) -> anyhow::Result<Acknowledged> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let event = &body["events"][0];
    let read = || {
        Some(Acknowledged {
            id: event["id"].as_str()?.to_owned(),
            state: event["state"].as_str()?.to_owned(),
            duplicate: event["duplicate"].as_bool()?,
        })
    };
    read().context("the answer names no event")
}
