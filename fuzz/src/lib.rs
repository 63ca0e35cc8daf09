//! What must hold for every input from outside, whoever made it.
//!
//! Invariant: no function here knows how an answer is found, only what makes it a right one. Two
//! kinds of callers: the fuzz targets, which look for inputs, and `tests/it/invariants`, which
//! tries those that are kept and those of its own making in every run of the tests.

pub mod configuration;
mod events;
mod json;
pub mod servicenow;
pub mod signatures;
pub mod slack;

/// What the senders know.
mod secrets {
    pub(crate) const STANDARD_WEBHOOKS: [&[u8]; 3] = [
        b"0123456789abcdef0123456789abcdef",
        b"an older key of another length",
        b"a key that nobody has configured",
    ];
    pub(crate) const SLACK: [&str; 3] = [
        "8f742231b10e8888abcd99yyyzzz85a5",
        "an older one",
        "not configured",
    ];
    pub(crate) const BEARER: &str = "a-static-token";
    pub(crate) const BASIC: &str = "user:pass:word";
}

/// The moment at which every input arrives.
const NOW: i64 = 1_779_146_751;

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(NOW).expect("a moment of 2026")
}
