//! Reads the names that people have for external tickets: ids in any spelling, links, numbers. All doors
//! of operators read them here.
//!
//! A number is looked up in what webhooks said. A question to the system itself would have its place after
//! that.

use std::collections::BTreeSet;

use crate::domain::find::Wanted;
use crate::domain::ids::{ExternalId, ExternalTicket, InvalidId, SourceName};
use crate::domain::silence::elsewhere;
use crate::operators::refusal::Refusal;
use crate::operators::service::Operators;
use crate::sources::{SourceKind, TypedId};
use crate::store::{Found, FoundTicket};

/// Refusal of a number that no webhook has named.
pub fn unheard(number: &str) -> String {
    format!(
        "no webhook has named {number} yet, so nothing tells which record that is; give its sys_id, which \
         stands in the record's address in the browser"
    )
}

/// Refusal of a number that several records have.
pub fn of_several(number: &str, ids: &[String]) -> String {
    format!(
        "{number} is the number of {} records: {}; give the id of the one that is meant",
        ids.len(),
        ids.join(", ")
    )
}

impl Operators {
    /// Reads an external ticket of a configured source. An id that a channel left stands for the present one.
    pub async fn ticket(&self, name: &str, typed: &str) -> Result<ExternalTicket, Refusal> {
        let (source, kind) = self.configured(name)?;
        let read = kind.read_typed(typed);
        if read.is_err() {
            // Of what a webhook named the form is right, whatever it is.
            let ticket = self.store.present(as_typed(source.clone(), typed)).await?;
            if self.store.has_events(&ticket).await? {
                return Ok(ticket);
            }
        }
        self.named(source, read).await
    }

    /// Reads an external ticket of a configured source that may be stored. One that is stored in a spelling
    /// that nobody may write any more can still be seen and removed.
    pub async fn known_ticket(&self, name: &str, typed: &str) -> Result<ExternalTicket, Refusal> {
        let (source, kind) = self.configured(name)?;
        self.stored_or_named(source, &[kind], typed).await
    }

    /// Reads an external ticket that may be stored. If its source is no longer configured, any kind may
    /// read the id, so that the ticket can still be shown and erased.
    pub async fn stored_ticket(&self, name: &str, typed: &str) -> Result<ExternalTicket, Refusal> {
        match name.parse() {
            Ok(source) if self.kind(name).is_none() => {
                self.stored_or_named(source, self.kinds(), typed).await
            }
            Ok(_) | Err(_) => self.known_ticket(name, typed).await,
        }
    }

    /// Reads an external id by which a list is filtered, of any source if none is named. The refusal of a number
    /// that nobody has heard of also says who has gone silent.
    pub async fn external_filter(
        &self,
        source: Option<&SourceName>,
        typed: &str,
    ) -> Result<ExternalId, Refusal> {
        let read = self.filtered_by(source, typed).await;
        let Err(Refusal::Invalid(text)) = read else {
            return read;
        };
        let is_number = matches!(read_by_any(self.kinds(), typed), Ok(TypedId::Number(_)));
        let mut lines = vec![text];
        if is_number {
            lines.push("what retention has deleted is not found any more".to_owned());
            lines.extend(self.heard_of(source).await?);
        }
        Err(Refusal::Invalid(lines.join("\n")))
    }

    async fn filtered_by(
        &self,
        source: Option<&SourceName>,
        typed: &str,
    ) -> Result<ExternalId, Refusal> {
        if let Some(source) = source {
            let ticket = self.known_ticket(source.as_str(), typed).await?;
            return Ok(ticket.external_id);
        }
        let stored = ExternalId::checked(typed.trim());
        match read_by_any(self.kinds(), typed) {
            Ok(TypedId::Id(id)) => Ok(id),
            Ok(TypedId::Number(number)) => self.numbered(None, &number).await,
            Err(_) if self.is_stored(None, &stored).await? => Ok(stored),
            Err(error) => Err(Refusal::Invalid(error.to_string())),
        }
    }

    fn configured(&self, name: &str) -> Result<(SourceName, SourceKind), Refusal> {
        let source = self.source(name)?;
        let kind = self
            .kind(name)
            .ok_or_else(|| Refusal::Missing(format!("no source is named {name:?}")))?;
        Ok((source, kind))
    }

    async fn stored_or_named(
        &self,
        source: SourceName,
        kinds: &[SourceKind],
        typed: &str,
    ) -> Result<ExternalTicket, Refusal> {
        let read = read_by_any(kinds, typed);
        if read.is_err() {
            let ticket = self.store.present(as_typed(source.clone(), typed)).await?;
            if self.is_stored(Some(&source), &ticket.external_id).await? {
                return Ok(ticket);
            }
        }
        self.named(source, read).await
    }

    async fn named(
        &self,
        source: SourceName,
        read: Result<TypedId, InvalidId>,
    ) -> Result<ExternalTicket, Refusal> {
        let external_id = match read {
            Ok(TypedId::Id(id)) => id,
            Ok(TypedId::Number(number)) => self.numbered(Some(&source), &number).await?,
            Err(error) => return Err(Refusal::Invalid(error.to_string())),
        };
        let ticket = ExternalTicket {
            source,
            external_id,
        };
        Ok(self.store.present(ticket).await?)
    }

    /// The one external id with this number.
    async fn numbered(
        &self,
        source: Option<&SourceName>,
        number: &str,
    ) -> Result<ExternalId, Refusal> {
        let found = self.stored(&[Wanted::Number(number.to_owned())]).await?;
        let (here, others) = apart(found, source);
        let ids: BTreeSet<String> = here.into_iter().map(|ticket| ticket.external_id).collect();
        let mut ids: Vec<String> = ids.into_iter().collect();
        match (ids.len(), source) {
            (0, Some(source)) if !others.is_empty() => Err(Refusal::Invalid(format!(
                "no webhook has named {number} yet under {source}; {}",
                elsewhere(&others)
            ))),
            (0, _) => Err(Refusal::Invalid(unheard(number))),
            (1, _) => Ok(ExternalId::checked(ids.remove(0))),
            _ => Err(Refusal::Conflict(of_several(number, &ids))),
        }
    }

    async fn is_stored(
        &self,
        source: Option<&SourceName>,
        id: &ExternalId,
    ) -> Result<bool, Refusal> {
        let found = self.stored(&[Wanted::External(id.clone())]).await?;
        Ok(!apart(found, source).0.is_empty())
    }

    /// The external tickets that are stored under these names.
    async fn stored(&self, wanted: &[Wanted]) -> Result<Vec<FoundTicket>, Refusal> {
        let found = self.store.find(wanted).await?.into_iter();
        let tickets = found.filter_map(|found| match found {
            Found::Ticket(ticket) => Some(ticket),
            Found::Event { .. } => None,
        });
        Ok(tickets.collect())
    }
}

/// Parts external tickets into those of this source, or of any, and the names of the other sources.
fn apart(found: Vec<FoundTicket>, source: Option<&SourceName>) -> (Vec<FoundTicket>, Vec<String>) {
    let is_here =
        |ticket: &FoundTicket| source.is_none_or(|source| source.as_str() == ticket.source);
    let (here, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_here);
    let others: BTreeSet<String> = others.into_iter().map(|ticket| ticket.source).collect();
    (here, others.into_iter().collect())
}

fn as_typed(source: SourceName, typed: &str) -> ExternalTicket {
    ExternalTicket {
        source,
        external_id: ExternalId::checked(typed.trim()),
    }
}

/// Reads a name by the first kind that can; else the refusal of the last one.
fn read_by_any(kinds: &[SourceKind], typed: &str) -> Result<TypedId, InvalidId> {
    let mut refused = None;
    for kind in kinds {
        match kind.read_typed(typed) {
            Ok(read) => return Ok(read),
            Err(error) => refused = Some((kind, error)),
        }
    }
    Err(match refused {
        Some((_, error)) if kinds.len() == 1 => error,
        _ => InvalidId::new(format!(
            "{:?} is no id, link or number of an external ticket, whatever its source is",
            typed.chars().take(SHOWN).collect::<String>()
        )),
    })
}

/// Characters of a refused text that the refusal repeats.
const SHOWN: usize = 80;
