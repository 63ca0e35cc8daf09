//! The settings that every kind of source has, each once, with its default. The configuration,
//! `check`, `docs/configuration.md`, the listeners and delivery all use this one struct.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::signature::Window;
use super::invalid::InvalidKey;
use crate::edge::shapes::{Key, Shape};
use crate::edge::units;

/// The keys of `[sources.<name>]` that all kinds share.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePolicy {
    /// The name that the source had before; what is stored under it becomes this source's.
    pub renamed_from: Option<String>,
    /// The greatest age of a signature.
    #[serde(deserialize_with = "units::duration")]
    #[serde(serialize_with = "units::write_duration")]
    pub tolerance_past: Duration,
    /// The most that the sender's clock may be ahead.
    #[serde(deserialize_with = "units::duration")]
    #[serde(serialize_with = "units::write_duration")]
    pub tolerance_future: Duration,
    /// Serval's `channelTarget`, sent unchanged.
    pub channel_target: Option<Value>,
    /// A regular expression with a group `ticket_id`, for links to Serval tickets.
    pub ticket_url_pattern: Option<String>,
    /// JSON Pointers to members of the object that are neither stored nor sent to Serval.
    pub drop_fields: Vec<String>,
    /// True if ignored events keep their body.
    pub keep_ignored_bodies: bool,
    /// The time that an event waits for its mapping.
    #[serde(deserialize_with = "units::duration")]
    #[serde(serialize_with = "units::write_duration")]
    pub park_for: Duration,
    /// The longest time without a webhook, after which the source counts as silent; zero: any.
    #[serde(deserialize_with = "units::duration")]
    #[serde(serialize_with = "units::write_duration")]
    pub expect_every: Duration,
    /// True if Serval is asked about a Serval ticket id that a payload names, before it is used.
    pub verify_learned: bool,
    /// The decision when a payload names another Serval ticket than the mapping does.
    pub on_conflict: OnConflict,
    /// True if one Serval ticket may have several external tickets of this source.
    pub several_per_ticket: bool,
    /// True if Serval is asked before each connect whether the link is there already.
    pub check_existing: bool,
    /// True if a changed mapping unlinks the old pair at Serval.
    pub disconnect_on_remap: bool,
    /// Decides if changed records of a connected external ticket are sent again.
    pub reconnect: Reconnect,
    /// The Serval messages that the external ticket shows already.
    pub accounted_for: AccountedFor,
}

impl Default for SourcePolicy {
    fn default() -> Self {
        Self {
            renamed_from: None,
            tolerance_past: Duration::from_mins(5),
            tolerance_future: Duration::from_mins(1),
            channel_target: None,
            ticket_url_pattern: None,
            drop_fields: Vec::new(),
            keep_ignored_bodies: false,
            park_for: Duration::from_hours(30 * 24),
            expect_every: Duration::ZERO,
            verify_learned: true,
            on_conflict: OnConflict::default(),
            several_per_ticket: false,
            check_existing: false,
            disconnect_on_remap: false,
            reconnect: Reconnect::default(),
            accounted_for: AccountedFor::default(),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

const fn duration(min: Duration, max: Duration) -> Shape {
    Shape::Duration { min, max }
}

/// The fields of [`SourcePolicy`] and the values that they take.
pub(crate) const KEYS: &[Key] = &[
    Key::new("renamed_from", Shape::Text),
    Key::new("tolerance_past", duration(SECOND, DAY)),
    Key::new("tolerance_future", duration(Duration::ZERO, HOUR)),
    Key::new("channel_target", Shape::Object),
    Key::new("ticket_url_pattern", Shape::Text),
    Key::new("drop_fields", Shape::Texts),
    Key::new("keep_ignored_bodies", Shape::Switch),
    Key::new("park_for", duration(SECOND, YEAR)),
    Key::new("expect_every", duration(Duration::ZERO, YEAR)),
    Key::new("verify_learned", Shape::Switch),
    Key::new("on_conflict", Shape::OneOf(&["ask", "keep", "replace"])),
    Key::new("several_per_ticket", Shape::Switch),
    Key::new("check_existing", Shape::Switch),
    Key::new("disconnect_on_remap", Shape::Switch),
    Key::new("reconnect", Shape::OneOf(&["never", "on_change"])),
    Key::new("accounted_for", Shape::OneOf(&["none", "all_existing"])),
];

impl SourcePolicy {
    /// The time window for signatures.
    pub fn window(&self) -> Window {
        Window {
            past: self.tolerance_past.as_secs(),
            future: self.tolerance_future.as_secs(),
        }
    }

    /// True if changed records of a connected external ticket are sent again.
    pub fn reconnects(&self) -> bool {
        self.reconnect == Reconnect::OnChange
    }
}

/// The decision when a payload names another Serval ticket than the mapping does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// A person decides.
    #[default]
    Ask,
    /// The mapping stays.
    Keep,
    /// The payload wins.
    Replace,
}

/// Decides if changed records of a connected external ticket are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconnect {
    /// One connect for each pair.
    #[default]
    Never,
    /// One connect for every changed record.
    OnChange,
}

/// The Serval messages that the external ticket shows already, beside those that the mapping names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountedFor {
    /// None.
    #[default]
    None,
    /// All that exist when the pair is connected.
    AllExisting,
}

/// Checks that the target under `key` is an object with exactly one member (the kind of target)
/// whose value is an object. Serval decides which kinds exist. The problem never holds the value.
pub fn check_target(key: &'static str, target: Option<&Value>) -> Result<(), InvalidKey> {
    let problem = match target {
        None | Some(Value::Null) => "is missing",
        // Serval adds kinds of targets without notice, so the name of the kind and its fields are
        // not checked here. `check --online` compares them with the integrations that exist.
        Some(Value::Object(target)) => {
            let mut kinds = target.values();
            match (kinds.next(), kinds.next()) {
                (Some(Value::Object(_)), None) => return Ok(()),
                (Some(_), None) => "holds no table below its key",
                (None, _) => "is empty",
                (Some(_), Some(_)) => "has more than one key",
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            "is not a table"
        }
    };
    // Each kind of source has other targets, so no example would be right for all.
    let advice = "write one kind of target with its fields; `serval-connect discover` prints it";
    Err(InvalidKey::new(key, format!("{problem}; {advice}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check_target;

    #[test]
    fn a_target_is_one_key_with_an_object() {
        let check = |target: Option<&serde_json::Value>| check_target("channel_target", target);
        for good in [
            json!({"ticketSource": {"integrationId": "i"}}),
            json!({"email": {}}),
        ] {
            assert_eq!(check(Some(&good)), Ok(()), "{good}");
        }
        assert!(check(None).unwrap_err().problem.starts_with("is missing"));
        for (bad, problem) in [
            (json!(null), "is missing"),
            (json!({}), "is empty"),
            (json!({"a": {}, "b": {}}), "has more than one key"),
            (json!({"a": "x"}), "holds no table"),
            (json!({"a": null}), "holds no table"),
            (json!([{"a": {}}]), "is not a table"),
            (json!("s3cret"), "is not a table"),
        ] {
            let text = check(Some(&bad)).unwrap_err().problem;
            assert!(text.starts_with(problem), "{bad}: {text}");
            assert!(!text.contains("s3cret"));
        }
    }
}
