//! Calls beside the connect call: messages of a ticket, unlinking, and the search for a ticket by its
//! friendly identifier.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::ServalClient;
use super::error::ServalError;
use super::exchange::{MAX_ANSWER, MAX_LIST};
use super::records::{Listed, Team, Ticket};
use crate::domain::ids::{ExternalId, ServalTicketId};

/// Most messages in one request.
const MESSAGES_PER_REQUEST: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageRow {
    id: String,
}

impl Listed for MessageRow {
    fn is_named(&self) -> bool {
        !self.id.is_empty()
    }
}

impl ServalClient {
    /// The ids of a ticket's messages.
    pub async fn message_ids(&self, ticket: &ServalTicketId) -> Result<Vec<String>, ServalError> {
        let rows: Vec<MessageRow> = self
            .list(self.route("tickets/{ticket}/messages", &[ticket.as_str()]))
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Registers messages of a ticket as present in the external channel. A repetition does no harm:
    /// Serval updates its entries.
    pub async fn register_messages(
        &self,
        ticket: &ServalTicketId,
        channel_target: &Value,
        external_id: &ExternalId,
        message_ids: &[String],
    ) -> Result<(), ServalError> {
        let route = self.route("tickets/{ticket}/external-messages", &[ticket.as_str()]);
        for chunk in message_ids.chunks(MESSAGES_PER_REQUEST) {
            let messages: Vec<Value> = chunk
                .iter()
                .map(|id| {
                    json!({
                        "messageId": id,
                        // The external system has no message of its own for it.
                        "externalMessageId": format!("{external_id}:{id}"),
                    })
                })
                .collect();
            let body = json!({ "channelTarget": channel_target, "messages": messages });
            let body = Bytes::from(body.to_string());
            self.call(self.post(route.clone(), body), MAX_LIST).await?;
        }
        Ok(())
    }

    /// Removes all links of a ticket to the source with this id. `is_wanted` is asked before each request; `None`:
    /// it was not any more.
    pub async fn disconnect<Wanted: Future<Output = bool>>(
        &self,
        ticket: &ServalTicketId,
        source_id: &str,
        is_wanted: impl Fn() -> Wanted,
    ) -> Result<Option<()>, ServalError> {
        let ids = [ticket.as_str(), source_id];
        let route = self.route("tickets/{ticket}/disconnect/{source}", &ids);
        let answered = self.call_if(self.delete(route), MAX_ANSWER, is_wanted);
        Ok(answered.await?.map(drop))
    }

    /// Searches the ticket with a friendly identifier such as `ACM-10` in the lists of these teams, since
    /// Serval has no filter for it. After `patience` no further page is requested, so that a long list
    /// cannot take forever.
    pub async fn search(
        &self,
        teams: &[Team],
        friendly: &str,
        patience: Duration,
    ) -> Result<Search, ServalError> {
        let started = Instant::now();
        let mut search = Search::default();
        for team in teams {
            // Not with `list`, since the time is checked between two pages.
            let mut next: Option<String> = None;
            loop {
                if started.elapsed() >= patience {
                    search.is_cut_short = true;
                    return Ok(search);
                }
                let (tickets, token) = self.tickets_of(team, next.as_deref()).await?;
                let is_it = |t: &&Ticket| t.friendly_identifier.eq_ignore_ascii_case(friendly);
                search.found = tickets.iter().find(is_it).cloned();
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

    /// Reads a page of the tickets of a team: the first, or the one that `token` names. Returns also the
    /// token of the next page.
    pub async fn tickets_of(
        &self,
        team: &Team,
        token: Option<&str>,
    ) -> Result<(Vec<Ticket>, Option<String>), ServalError> {
        let mut route = self.route("tickets", &[]);
        route.url.query_pairs_mut().append_pair("teamId", &team.id);
        self.page::<Ticket>(&route, token, false).await
    }
}

/// Result of a search through lists of tickets.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The ticket.
    pub found: Option<Ticket>,
    /// All tickets that were read, worth to be stored.
    pub seen: Vec<Ticket>,
    /// True if `patience` ended the search.
    pub is_cut_short: bool,
}
