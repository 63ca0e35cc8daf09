//! Serval's directory: the ticket that an identifier or an address names, for people who type one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::context::Context;
use crate::domain::find::prefix;
use crate::domain::ids::ServalTicketId;
use crate::edge::clock::SharedClock;
use crate::edge::live::Live;
use crate::serval::{Search, ServalClient, ServalError, Team, Ticket};
use crate::store::{Store, StoreError};

/// Time for which the list of teams is used.
const TEAMS_LAST: Duration = Duration::from_mins(5);
/// Longest search for one identifier. A person waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answer about an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The id of the ticket.
    Id(ServalTicketId),
    /// The team has no such ticket.
    Unknown,
    /// The ticket is not among this number of tickets, and there was no time to read more.
    TooMany(usize),
    /// No team has the prefix.
    NoTeam,
}

/// Why Serval could not be asked, in one line.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// Serval gave no answer, or refused one.
    #[error("{0}")]
    Serval(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ServalError> for NoAnswer {
    fn from(error: ServalError) -> Self {
        Self::Serval(error.brief())
    }
}

/// Serval's directory. Clones share what was read.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    client: Client,
    store: Store,
    clock: SharedClock,
    teams: Mutex<Option<Known>>,
}

enum Client {
    /// That of the worker, which a reload may replace.
    OfWorker(Live<Context>),
    Own(Box<ServalClient>),
}

/// The teams, and when they were read.
struct Known {
    at: Instant,
    teams: Arc<[Team]>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    pub(super) fn of_worker(live: Live<Context>) -> Self {
        let context = live.now();
        let (store, clock) = (context.store.clone(), Arc::clone(&context.clock));
        Self::new(Client::OfWorker(live), store, clock)
    }

    /// A directory without a worker.
    pub fn alone(serval: ServalClient, store: Store, clock: SharedClock) -> Self {
        Self::new(Client::Own(Box::new(serval)), store, clock)
    }

    fn new(client: Client, store: Store, clock: SharedClock) -> Self {
        let teams = Mutex::default();
        Self(Arc::new(Inner {
            client,
            store,
            clock,
            teams,
        }))
    }

    fn serval(&self) -> ServalClient {
        match &self.0.client {
            Client::OfWorker(live) => live.now().serval.clone(),
            Client::Own(serval) => ServalClient::clone(serval),
        }
    }

    /// Looks an identifier up: in what is known of earlier lists, then in the lists of its team.
    pub async fn identifier(&self, identifier: &ServalTicketId) -> Result<Named, NoAnswer> {
        if let Some(id) = self.0.store.friendly_id(identifier.as_str()).await? {
            return Ok(Named::Id(id));
        }
        let teams = self.teams_with(prefix(identifier.as_str())).await?;
        if teams.is_empty() {
            return Ok(Named::NoTeam);
        }
        let serval = self.serval();
        let Search {
            found,
            seen,
            is_cut_short,
        } = serval.search(&teams, identifier.as_str(), PATIENCE).await?;
        let n = seen.len();
        remember(&self.0.store, seen, self.0.clock.now()).await;
        Ok(match found.as_ref().and_then(id_of) {
            Some(id) => Named::Id(id),
            None if is_cut_short => Named::TooMany(n),
            None => Named::Unknown,
        })
    }

    /// Asks for the ticket with an id; `None`: Serval does not know it.
    pub async fn ticket(&self, id: &ServalTicketId) -> Result<Option<ServalTicketId>, NoAnswer> {
        let ticket = self.serval().ticket(id).await?;
        Ok(ticket.map(|ticket| id_of(&ticket).unwrap_or_else(|| id.clone())))
    }

    /// Reads the whole lists of the teams with this prefix, so that all their identifiers are known to the
    /// store. `false`: there is no such team.
    pub async fn read_team(&self, prefix: &str) -> Result<bool, NoAnswer> {
        let teams = self.teams_with(prefix).await?;
        let serval = self.serval();
        for team in &teams {
            let (mut n, mut next) = (0, None);
            loop {
                let (tickets, token) = serval.tickets_of(team, next.as_deref()).await?;
                n += tickets.len();
                remember(&self.0.store, tickets, self.0.clock.now()).await;
                tracing::info!(prefix, tickets = n, "reading the tickets of a team");
                if token.is_none() {
                    break;
                }
                next = token;
            }
        }
        Ok(!teams.is_empty())
    }

    /// The teams with this prefix.
    async fn teams_with(&self, prefix: &str) -> Result<Vec<Team>, NoAnswer> {
        let has_it = |team: &&Team| team.prefix.eq_ignore_ascii_case(prefix);
        Ok(self.teams().await?.iter().filter(has_it).cloned().collect())
    }

    async fn teams(&self) -> Result<Arc<[Team]>, NoAnswer> {
        let mut known = self.0.teams.lock().await;
        if let Some(Known { at, teams }) = &*known
            && at.elapsed() < TEAMS_LAST
        {
            return Ok(Arc::clone(teams));
        }
        match (self.serval().teams().await, &*known) {
            (Ok(teams), _) => {
                let (at, teams) = (Instant::now(), Arc::from(teams));
                *known = Some(Known {
                    at,
                    teams: Arc::clone(&teams),
                });
                Ok(teams)
            }
            // Prefixes hardly ever change, so an old list is better than none.
            (Err(error), Some(old)) => {
                tracing::debug!(%error, "the list of teams is an old one");
                Ok(Arc::clone(&old.teams))
            }
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// Stores the identifiers that were read on the way: others will be asked for.
pub(super) async fn remember(store: &Store, seen: Vec<Ticket>, now: jiff::Timestamp) {
    let known = |ticket: Ticket| {
        let friendly: ServalTicketId = ticket.friendly_identifier.parse().ok()?;
        Some((friendly, id_of(&ticket)?))
    };
    let known: Vec<_> = seen.into_iter().filter_map(known).collect();
    if !known.is_empty()
        && let Err(error) = store.remember_friendly_ids(known, now).await
    {
        tracing::debug!(%error, "friendly identifiers could not be remembered");
    }
}

/// The id of a ticket.
pub(super) fn id_of(ticket: &Ticket) -> Option<ServalTicketId> {
    ticket.id.parse().ok()
}
