//! A kind of source: everything about a system that needs no configured source.
//!
//! Each kind is one folder that implements [`Kind`], [`KindConfig`] and [`Source`]. The rest of the
//! program knows only these traits.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::invalid::InvalidKey;
use super::policy::{self, SourcePolicy};
use super::source::Source;
use super::title::Title;
use crate::domain::feed::Sign;
use crate::domain::ids::{ExternalId, InvalidId};
use crate::edge::metrics::SourceCounter;
use crate::edge::shapes::{Key, Shape};

/// Name of an external ticket as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedId {
    /// Its id, in the one spelling.
    Id(ExternalId),
    /// Its number, such as `INC0081927`. Only what webhooks said tells the id.
    Number(String),
}

impl fmt::Display for TypedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Number(number) => f.write_str(number),
        }
    }
}

/// A kind, shared by all its sources. Two are equal if they have the same name.
pub type SourceKind = &'static dyn Kind;

/// All kinds that a program knows, in the order in which they are shown.
pub type Kinds = &'static [SourceKind];

/// A system that sends webhooks.
pub trait Kind: fmt::Debug + Send + Sync {
    /// The kind's word in the configuration and in answers, also the name of Serval's service.
    fn name(&self) -> &'static str;

    /// The keys of `[sources.<name>]` that only this kind has.
    fn own_keys(&self) -> OwnKeys;

    /// The defaults of the keys that all kinds share.
    fn policy(&self) -> SourcePolicy {
        SourcePolicy::default()
    }

    /// Reads an external id as webhooks have it, and brings it into its one spelling.
    fn parse_external_id(&self, text: &str) -> Result<ExternalId, InvalidId>;

    /// Reads what a person types or pastes to name an external ticket.
    fn read_typed(&self, text: &str) -> Result<TypedId, InvalidId> {
        self.parse_external_id(text).map(TypedId::Id)
    }

    /// The form of its external ids, as a regular expression without anchors.
    fn external_id_pattern(&self) -> &'static str {
        ".+"
    }

    /// The number and the title of an object that a source of this kind sent.
    fn title(&self, object: &str) -> Title;

    /// The member of an object that holds the number; a source may be told to drop it.
    fn number_member(&self) -> &'static str {
        "number"
    }

    /// True if the word looks like a number of this system, such as `INC0081927`, and like no word
    /// of a sentence.
    fn is_number(&self, _word: &str) -> bool {
        false
    }

    /// The external ticket that a link into this system certainly leads to.
    fn linked(&self, _url: &str) -> Option<ExternalId> {
        None
    }

    /// The answer to a webhook that is stored.
    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::ListOfEvents
    }

    /// The statuses with which webhooks are usually answered; their counters begin at 0.
    fn statuses(&self) -> &'static [u16];

    /// A counter of this kind's own; see [`Source::counted`].
    fn counter(&self) -> Option<&'static SourceCounter> {
        None
    }

    /// Tells the state of the source by an event that is ignored for this reason.
    fn sign(&self, _reason: &str) -> Sign {
        Sign::Alive
    }

    /// The first lines of a new `[sources.<name>]`, in TOML: how its webhooks are authenticated. `random`: for a
    /// secret that we choose.
    fn first_lines(&self, _random: &[u8; 32]) -> String {
        String::new()
    }

    /// The targets with which an integration can be configured, by key.
    fn targets(&self, integration_id: &str) -> Vec<(&'static str, Value)>;
}

impl PartialEq for dyn Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Kind {}

/// The values of the keys that only one kind has, for one source.
pub trait KindConfig: Any + fmt::Debug + Send + Sync {
    /// Builds the source; refuses a configuration that could authenticate nobody, or whose events
    /// Serval could not take.
    fn build(&self, policy: &SourcePolicy) -> Result<Box<dyn Source>, InvalidKey>;

    /// A key that is not set and should be, and why.
    fn advice(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Further targets, beside `channel_target`, by key.
    fn targets(&self) -> Vec<(&'static str, &Value)> {
        Vec::new()
    }
}

/// Reads the values of a kind's own keys; an error is the path of the value that does not fit.
type Read = fn(Map<String, Value>) -> Result<Arc<dyn KindConfig>, String>;

/// The keys that only one kind has: their shapes, their defaults, and how they are read.
#[derive(Debug)]
pub struct OwnKeys {
    pub(super) keys: &'static [Key],
    defaults: Value,
    pub(super) read: Read,
}

impl OwnKeys {
    /// The fields of `C`, in the order in which they are shown. `C` is serialized for its defaults.
    pub fn of<C>(keys: &'static [Key]) -> Self
    where
        C: KindConfig + Default + Serialize + DeserializeOwned,
    {
        Self {
            keys,
            defaults: serde_json::to_value(C::default()).unwrap_or_default(),
            read: |values| {
                serde_path_to_error::deserialize::<_, C>(Value::Object(values))
                    .map(|config| Arc::new(config) as Arc<dyn KindConfig>)
                    .map_err(|error| error.path().to_string())
            },
        }
    }
}

/// The number and the title of `object`, which a source of this kind sent.
pub fn title(kind: SourceKind, object: &[u8]) -> Title {
    let object: Option<&RawValue> = serde_json::from_slice(object).ok();
    object.map_or_else(Title::default, |object| kind.title(object.get()))
}

/// All keys of a source of this kind.
pub(crate) fn keys_of(kind: SourceKind) -> Vec<Key> {
    let mut keys = vec![Key::new("kind", Shape::Text)];
    keys.extend(kind.own_keys().keys);
    keys.extend(policy::KEYS);
    keys
}

/// The defaults of all keys of a source of this kind; `null` for a key without a default.
pub(crate) fn defaults_of(kind: SourceKind) -> Map<String, Value> {
    let policy = serde_json::to_value(kind.policy()).unwrap_or_default();
    let mut all = Map::from_iter([("kind".to_owned(), kind.name().into())]);
    for defaults in [kind.own_keys().defaults, policy] {
        if let Value::Object(defaults) = defaults {
            all.extend(defaults);
        }
    }
    all
}

/// The answer to a webhook that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// 200 without a body.
    Empty,
    /// 202 with the stored events.
    ListOfEvents,
}
