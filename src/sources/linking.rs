//! What a source's configuration says about its links to Serval: choices that every kind has.

use serde::Deserialize;

/// What happens when a payload names another Serval ticket than the mapping does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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

/// Whether changed records of a connected external ticket are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconnect {
    /// One connect for each pair.
    #[default]
    Never,
    /// Every changed record.
    OnChange,
}

/// Which messages of the Serval ticket the external ticket shows already, beside those that the
/// mapping names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountedFor {
    /// None.
    #[default]
    None,
    /// All that there are when the pair is connected.
    AllExisting,
}
