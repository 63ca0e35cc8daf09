//! Calls around a connect: the messages of a ticket, taking a pair apart, finding a ticket by its
//! friendly identifier.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::ServalClient;
use super::error::ServalError;
use super::exchange;
use super::records::Ticket;
use crate::domain::ids::{ExternalId, ServalTicketId};

/// Messages that one request registers.
const MESSAGES_PER_REQUEST: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageRow {
    id: String,
}

impl ServalClient {
    /// The ids of a ticket's messages.
    pub async fn message_ids(&self, ticket: &ServalTicketId) -> Result<Vec<String>, ServalError> {
        let rows: Vec<MessageRow> = self
            .list(self.url(&["tickets", ticket.as_str(), "messages"]))
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| row.id)
            .filter(|id| !id.is_empty())
            .collect())
    }

    /// Registers messages of a ticket as present in the external channel, in as many requests as
    /// it takes. Serval updates what it has, so a repetition does no harm.
    pub async fn register_messages(
        &self,
        ticket: &ServalTicketId,
        channel_target: &Value,
        external_id: &ExternalId,
        message_ids: &[String],
    ) -> Result<(), ServalError> {
        let url = self.url(&["tickets", ticket.as_str(), "external-messages"]);
        for chunk in message_ids.chunks(MESSAGES_PER_REQUEST) {
            let messages: Vec<Value> = chunk
                .iter()
                .map(|id| {
                    json!({
                        "messageId": id,
                        // There is no message of its own over there; the pair is its name.
                        "externalMessageId": format!("{external_id}:{id}"),
                    })
                })
                .collect();
            let body = json!({ "channelTarget": channel_target, "messages": messages });
            let body = Bytes::from(body.to_string());
            let response = self.call(Method::POST, &url, Some(body)).await?;
            exchange::read_empty_or_json(response, exchange::MAX_LIST).await?;
        }
        Ok(())
    }

    /// Has Serval let go of a ticket's external ticket in the source with this id.
    pub async fn disconnect(
        &self,
        ticket: &ServalTicketId,
        source_id: &str,
    ) -> Result<(), ServalError> {
        let url = self.url(&["tickets", ticket.as_str(), "disconnect", source_id]);
        let response = self.call(Method::DELETE, &url, None).await?;
        exchange::read_empty_or_json(response, exchange::MAX_ANSWER).await
    }

    /// Looks for the ticket with a friendly identifier such as `ACM-10` in the lists of the teams
    /// with its prefix: Serval has no filter for it. No further page is asked for once `patience` is
    /// over, so that a long list has an end, too.
    pub async fn ticket_by_friendly_identifier(
        &self,
        friendly: &str,
        patience: Duration,
    ) -> Result<Search, ServalError> {
        let started = Instant::now();
        let mut search = Search::default();
        let Some((prefix, _)) = friendly.rsplit_once('-') else {
            return Ok(search);
        };
        for team in self.teams().await? {
            if !team.prefix.eq_ignore_ascii_case(prefix) {
                continue;
            }
            let mut url = self.url(&["tickets"]);
            url.query_pairs_mut().append_pair("teamId", &team.id);
            let mut next: Option<String> = None;
            loop {
                if started.elapsed() >= patience {
                    search.is_cut_short = true;
                    return Ok(search);
                }
                let (tickets, token) = self.page::<Ticket>(&url, next.as_deref()).await?;
                let is_it = |t: &Ticket| t.friendly_identifier.eq_ignore_ascii_case(friendly);
                search.found = tickets.iter().find(|ticket| is_it(ticket)).cloned();
                search.seen.extend(tickets);
                if search.found.is_some() {
                    return Ok(search);
                }
                if token.is_none() {
                    break;
                }
                next = token;
            }
        }
        Ok(search)
    }
}

/// What a search through lists of tickets came to.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The ticket that was looked for.
    pub found: Option<Ticket>,
    /// All that were seen on the way, worth to be remembered.
    pub seen: Vec<Ticket>,
    /// Whether there would have been more to read.
    pub is_cut_short: bool,
}
