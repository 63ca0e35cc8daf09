//! A configured source: its settings, and the source that is built from them.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::auth::request::{Refused, Unverified, Verified};
use super::hint::HintReader;
use super::invalid::{InvalidKey, InvalidSource};
use super::json::drop_fields::DropFields;
use super::kind::{KindConfig, SourceKind};
use super::policy::SourcePolicy;
use super::source::{Receipt, Source, StoredBody, Unreadable};
use crate::domain::event::NewEvent;
use crate::domain::feed::Sign;
use crate::domain::ids::{ExternalId, ServalTicketId, SourceName};

/// The configuration of one source, `[sources.<name>]`.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// The system behind the source.
    pub kind: SourceKind,
    /// The keys that all kinds share.
    pub policy: Arc<SourcePolicy>,
    own: Arc<dyn KindConfig>,
}

impl SourceConfig {
    /// A configuration from its two halves.
    pub fn new(kind: SourceKind, policy: SourcePolicy, own: impl KindConfig) -> Self {
        Self {
            kind,
            policy: Arc::new(policy),
            own: Arc::new(own),
        }
    }

    /// Reads the values of all keys but `kind`; an error is the path of the value that does not fit.
    pub(crate) fn read(kind: SourceKind, values: Map<String, Value>) -> Result<Self, String> {
        // The two structs refuse unknown fields, so each gets its own keys only.
        let own_keys = kind.own_keys();
        let is_own = |name: &str| own_keys.keys.iter().any(|key| key.name == name);
        let (own, shared) = values.into_iter().partition(|(name, _)| is_own(name));
        let policy = serde_path_to_error::deserialize(Value::Object(shared))
            .map_err(|error| error.path().to_string())?;
        Ok(Self {
            kind,
            policy: Arc::new(policy),
            own: (own_keys.read)(own)?,
        })
    }

    /// The keys that only this kind has, if `C` is its struct.
    pub fn own<C: KindConfig>(&self) -> Option<&C> {
        let own: &dyn Any = &*self.own;
        own.downcast_ref()
    }

    /// See [`KindConfig::advice`].
    pub fn advice(&self) -> Option<(&'static str, &'static str)> {
        self.own.advice()
    }

    /// The ticket in the address of a Serval ticket, by the source's `ticket_url_pattern`.
    pub fn ticket_of(&self, url: &str) -> Option<ServalTicketId> {
        HintReader::try_new(&self.policy).ok()?.url(url)
    }

    /// The configured targets by key.
    pub fn targets(&self) -> Vec<(&'static str, &Value)> {
        let target = self.policy.channel_target.as_ref();
        let mut targets: Vec<_> = target.map(|t| ("channel_target", t)).into_iter().collect();
        targets.extend(self.own.targets());
        targets
    }

    /// Reads a stored body again; `None`: it does not give one event.
    pub fn interpret_again(&self, stored: &StoredBody<'_>) -> Option<NewEvent> {
        let source = self.own.build(&self.policy).ok()?;
        match source.interpret_again(stored) {
            Ok(Receipt::Events(events)) => {
                let [event] = <[NewEvent; 1]>::try_from(events).ok()?;
                Some(event)
            }
            Ok(Receipt::Challenge(_)) | Err(_) => None,
        }
    }

    /// Builds the source.
    pub fn build(&self, name: &SourceName) -> Result<MountedSource, InvalidSource> {
        let mounted = drop_fields(&self.policy).and_then(|drop_fields| {
            let source = self.own.build(&self.policy)?;
            Ok(MountedSource {
                drop_fields,
                ..MountedSource::new(self.kind, Arc::clone(&self.policy), source)
            })
        });
        mounted.map_err(|invalid| InvalidSource {
            source_name: name.clone(),
            invalid,
        })
    }
}

fn drop_fields(policy: &SourcePolicy) -> Result<DropFields, InvalidKey> {
    let fields = DropFields::try_new(&policy.drop_fields)
        .map_err(|problem| InvalidKey::new("drop_fields", problem))?;
    if policy.keep_ignored_bodies && !fields.is_empty() {
        let problem = "cannot be true beside drop_fields: what is ignored may be of any shape, so \
                       the fields may stand anywhere in it";
        return Err(InvalidKey::new("keep_ignored_bodies", problem));
    }
    Ok(fields)
}

/// The configured sources by name.
pub type Sources = Arc<BTreeMap<SourceName, MountedSource>>;

/// A source with its settings, as the listeners and delivery use it.
#[derive(Debug)]
pub struct MountedSource {
    /// The system behind the source.
    pub kind: SourceKind,
    /// The settings that all kinds share.
    pub policy: Arc<SourcePolicy>,
    source: Box<dyn Source>,
    channel_target: Arc<Value>,
    drop_fields: DropFields,
}

impl MountedSource {
    /// A source that drops no fields.
    pub fn new(kind: SourceKind, policy: Arc<SourcePolicy>, source: Box<dyn Source>) -> Self {
        Self {
            kind,
            channel_target: Arc::new(policy.channel_target.clone().unwrap_or_default()),
            policy,
            source,
            drop_fields: DropFields::default(),
        }
    }

    /// See [`Source::screen`].
    pub fn screen(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refused> {
        self.source.screen(headers, now)
    }

    /// See [`Source::verify`].
    pub fn verify<'a>(
        &self,
        request: Unverified<'a>,
        now: Timestamp,
    ) -> Result<Verified<'a>, Refused> {
        self.source.verify(request, now)
    }

    /// See [`Source::counted`].
    pub fn counted(&self, headers: &HeaderMap) -> Option<&'static str> {
        self.source.counted(headers)
    }

    /// Interprets the request, whose body is `body`, and cuts the fields to drop. The events point
    /// into the returned body, which is all that may be stored.
    pub fn interpret(
        &self,
        request: &Verified<'_>,
        body: Bytes,
    ) -> Result<(Receipt, Bytes), Unreadable> {
        match self.source.interpret(request)? {
            Receipt::Events(mut events) => {
                // From here on the dropped fields do not exist: nothing before this keeps anything.
                let kept = self.drop_fields.apply(body, &mut events).ok_or_else(|| {
                    let problem = "the object cannot be read for the fields that are dropped of it";
                    Unreadable::Body(problem.to_owned())
                })?;
                if self.drop_fields.drops(self.kind.number_member()) {
                    for event in &mut events {
                        event.number = None;
                    }
                }
                Ok((Receipt::Events(events), kept))
            }
            challenge @ Receipt::Challenge(_) => Ok((challenge, Bytes::new())),
        }
    }

    /// Tells the state of the source by the events of one webhook.
    pub fn sign(&self, events: &[NewEvent]) -> Sign {
        let signs = events.iter().map(|event| {
            let reason = event.disposition.ignored_for();
            reason.map_or(Sign::Alive, |reason| self.kind.sign(reason))
        });
        let strongest = signs.reduce(|before, sign| match (before, sign) {
            (Sign::Trouble(_), _) | (_, Sign::Notice) => before,
            _ => sign,
        });
        strongest.unwrap_or_default()
    }

    /// Serval's `channelTarget` for an external ticket.
    pub fn target(&self, external_id: &ExternalId, is_direct: bool) -> Arc<Value> {
        let own = self.source.target(external_id, is_direct);
        own.unwrap_or_else(|| Arc::clone(&self.channel_target))
    }

    /// The id of the integration behind the target, by which Serval names the source of a link.
    pub fn integration_id(&self, external_id: &ExternalId, is_direct: bool) -> Option<String> {
        let target = self.target(external_id, is_direct);
        let kind = target.as_object()?.values().next()?;
        ["integrationId", "ticketSourceId"]
            .iter()
            .find_map(|key| Some(kind.get(*key)?.as_str()?.to_owned()))
    }
}
