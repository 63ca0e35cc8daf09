//! Reads the names that people have for Serval tickets: ids, identifiers, addresses. All doors of operators
//! read them here, one or many at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::{Directory, Named, NoAnswer};
use crate::domain::find::{TypedTicket, Wanted, prefix};
use crate::domain::ids::{ServalTicketId, SourceName};
use crate::operators::refusal::Refusal;
use crate::operators::service::Operators;
use crate::sources::SourceConfig;
use crate::store::{Found, StoreError};

/// A Serval ticket that a person named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTicket {
    /// Its id.
    pub id: ServalTicketId,
    /// Remark about a name that is taken all the same.
    pub warning: Option<String>,
}

/// Reads a text without looking anything up. The address of a ticket may have the form of one of these
/// sources.
pub fn read_serval_ticket<'s>(
    sources: impl Iterator<Item = &'s SourceConfig>,
    typed: &str,
) -> Result<TypedTicket, String> {
    let mut sources = sources;
    let linked = |url: &str| sources.find_map(|source| source.ticket_of(url));
    let linked = typed.contains("://").then(|| typed.trim()).and_then(linked);
    TypedTicket::read(typed, |_| linked.as_ref().map(ToString::to_string))
        .map_err(|error| format!("ticket_id: {error}"))
}

fn unknown(named: &ServalTicketId) -> String {
    format!(
        "ticket_id: Serval has no ticket {named}; its identifier and its id stand in the address of its page"
    )
}

fn no_team(named: &ServalTicketId) -> String {
    let prefix = prefix(named.as_str());
    format!(
        "{named} is taken as an id: it looks like an identifier, but no team of Serval has the prefix {prefix}"
    )
}

fn unanswered(named: &dyn std::fmt::Display, error: NoAnswer) -> Refusal {
    match error {
        NoAnswer::Store(error) => error.into(),
        NoAnswer::Serval(why) => Refusal::NoAnswer(format!(
            "ticket_id: only Serval can tell which ticket {named} is, and it gave no answer ({why}); try \
             again, or give the ticket's id"
        )),
    }
}

impl Operators {
    /// Finds the Serval ticket that a person named for an external ticket of `source`.
    pub async fn serval_ticket(
        &self,
        source: Option<&SourceName>,
        typed: &str,
    ) -> Result<NamedTicket, Refusal> {
        let named = match self.read_typed(source, typed)? {
            TypedTicket::Id(id) => return Ok(NamedTicket { id, warning: None }),
            TypedTicket::Identifier(identifier) => {
                let asked = self.directory(&identifier)?.identifier(&identifier).await;
                match asked.map_err(|error| unanswered(&identifier, error))? {
                    Named::Id(id) => Ok(id),
                    Named::NoTeam => {
                        let warning = Some(no_team(&identifier));
                        return Ok(NamedTicket {
                            id: identifier,
                            warning,
                        });
                    }
                    Named::Unknown => Err(unknown(&identifier)),
                    Named::TooMany(n) => Err(format!(
                        "ticket_id: {identifier} is not among the first {n} tickets of its team, and there was no \
                         time to read more; give the ticket's id"
                    )),
                }
            }
            TypedTicket::Linked(id) => {
                let asked = self.directory(&id)?.ticket(&id).await;
                let found = asked.map_err(|error| unanswered(&id, error))?;
                found.ok_or_else(|| unknown(&id))
            }
        };
        let id = named.map_err(Refusal::Invalid)?;
        Ok(NamedTicket { id, warning: None })
    }

    /// Finds the Serval ticket by which a list is filtered. What is stored exactly so is meant first.
    pub async fn serval_filter(
        &self,
        source: Option<&SourceName>,
        typed: &str,
    ) -> Result<ServalTicketId, Refusal> {
        if let TypedTicket::Identifier(id) = self.read_typed(source, typed)? {
            let found = self.store.find(&[Wanted::Serval(id.clone())]).await?;
            let is_it = |found: &Found| match found {
                Found::Ticket(ticket) => ticket.mapped_to.as_deref() == Some(id.as_str()),
                Found::Event { .. } => false,
            };
            if found.iter().any(is_it) {
                return Ok(id);
            }
        }
        Ok(self.serval_ticket(source, typed).await?.id)
    }

    fn read_typed(&self, source: Option<&SourceName>, typed: &str) -> Result<TypedTicket, Refusal> {
        let rules = self.rules();
        let sources = rules.sources.iter();
        let sources = sources.filter(|(name, _)| source.is_none_or(|source| *name == source));
        read_serval_ticket(sources.map(|(_, source)| source), typed).map_err(Refusal::Invalid)
    }

    fn directory(&self, named: &ServalTicketId) -> Result<&Directory, Refusal> {
        let why = "this configuration has no credentials for it".to_owned();
        let error = NoAnswer::Serval(why);
        self.directory
            .as_ref()
            .ok_or_else(|| unanswered(named, error))
    }
}

/// Finds many Serval tickets. The list of each team is read once.
#[derive(Debug)]
pub struct ServalNames<'o> {
    operators: &'o Operators,
    /// The prefixes that were asked for, and whether a team has them.
    teams: BTreeMap<String, bool>,
    /// The ids of addresses, and the ids that Serval gave for them.
    asked: BTreeMap<String, Option<ServalTicketId>>,
}

impl<'o> ServalNames<'o> {
    /// Nothing is read yet.
    pub fn new(operators: &'o Operators) -> Self {
        Self {
            operators,
            teams: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Finds the tickets in their order; the error of one says what is wrong with it.
    pub async fn find(
        &mut self,
        wanted: &[&TypedTicket],
    ) -> Result<Vec<Result<ServalTicketId, String>>, Refusal> {
        let known = self.identifiers(wanted).await?;
        let mut found = Vec::with_capacity(wanted.len());
        for typed in wanted {
            found.push(match typed {
                TypedTicket::Id(id) => Ok(id.clone()),
                TypedTicket::Linked(id) => self.linked(id).await?.ok_or_else(|| unknown(id)),
                TypedTicket::Identifier(named) => match known.get(&spelled(named)) {
                    Some(id) => Ok(id.clone()),
                    None if self.teams.get(&prefix_of(named)) == Some(&true) => Err(unknown(named)),
                    None => Ok(named.clone()),
                },
            });
        }
        Ok(found)
    }

    async fn linked(&mut self, id: &ServalTicketId) -> Result<Option<ServalTicketId>, Refusal> {
        if let Some(known) = self.asked.get(id.as_str()) {
            return Ok(known.clone());
        }
        let asked = self.operators.directory(id)?.ticket(id).await;
        let found = asked.map_err(|error| unanswered(id, error))?;
        self.asked.insert(id.to_string(), found.clone());
        Ok(found)
    }

    /// The ids of these identifiers, by identifier. Reads the lists of teams of which one is missing.
    async fn identifiers(
        &mut self,
        wanted: &[&TypedTicket],
    ) -> Result<BTreeMap<String, ServalTicketId>, Refusal> {
        let named = wanted.iter().filter_map(|typed| match typed {
            TypedTicket::Identifier(named) => Some(named),
            TypedTicket::Id(_) | TypedTicket::Linked(_) => None,
        });
        let spellings: BTreeSet<String> = named.clone().map(spelled).collect();
        let known = self.known(&spellings).await?;
        let mut is_read = false;
        for named in named.filter(|named| !known.contains_key(&spelled(named))) {
            let prefix = prefix_of(named);
            if self.teams.contains_key(&prefix) {
                continue;
            }
            let asked = self.operators.directory(named)?.read_team(&prefix).await;
            let is_team = asked.map_err(|error| unanswered(named, error))?;
            if !is_team {
                tracing::warn!("{}", no_team(named));
            }
            self.teams.insert(prefix, is_team);
            is_read = true;
        }
        if is_read {
            return Ok(self.known(&spellings).await?);
        }
        Ok(known)
    }

    async fn known(
        &self,
        spellings: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ServalTicketId>, StoreError> {
        if spellings.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.operators.store.friendly_ids(spellings).await
    }
}

/// The spelling in which the store has an identifier.
fn spelled(identifier: &ServalTicketId) -> String {
    identifier.as_str().to_ascii_uppercase()
}

fn prefix_of(identifier: &ServalTicketId) -> String {
    prefix(identifier.as_str()).to_ascii_uppercase()
}
