//! Faults: what should go wrong, where, and how often.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reply::Dialect;

/// One thing that goes wrong. As text, its parts separated by commas: an effect, and where and when
/// it strikes. `status=429,retry_after=7,count=3` answers 429 to the next three connects.
///
/// | part | means |
/// |---|---|
/// | `status=503`, or just `503` | that status, in the dialect in force; nothing is stored |
/// | `conflict` | 409 `already_exists`; nothing is stored |
/// | `drop` | carried out and stored, then the connection is closed without an answer |
/// | `reset` | the connection is reset before anything is stored |
/// | `hang` | no answer until the stand-in ends or the caller gives up; nothing is stored |
/// | `latency=250ms` | wait first; alone, or beside one of the above |
/// | `retry_after=7` | with a status: a `Retry-After` header in seconds |
/// | `retry_after=date:7` | the same as an HTTP date, so many seconds ahead |
/// | `retry_after=date:2030-01-01T00:00:00Z` | the same as a given HTTP date |
/// | `dialect=string`, `numeric`, `text` | how the error is written, for this fault |
/// | `path=connect` | where: `connect` (the default), `token`, `external-tickets`, `tickets`, `messages`, `directory`, `all` |
/// | `ticket=<id>` | only calls about this Serval ticket |
/// | `count=3` | only so many times, then the fault is gone |
/// | `rate=0.3` | with this probability |
///
/// Of several faults that fit, the first with an effect decides; latencies add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// What happens.
    pub effect: Effect,
    /// A wait before it happens.
    pub latency: Duration,
    /// The header of an error answer.
    pub retry_after: Option<RetryAfter>,
    /// How an error answer is written; else as the stand-in does.
    pub dialect: Option<Dialect>,
    /// Where; `None`: everywhere.
    pub endpoint: Option<Endpoint>,
    /// Only calls about this ticket.
    pub ticket: Option<String>,
    /// How many more times.
    pub count: Option<u32>,
    /// The probability, 0 to 1.
    pub rate: Option<f64>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing but the latency.
    None,
    /// Answers this status.
    Status(u16),
    /// Carries the call out, then closes the connection.
    Drop,
    /// Resets the connection.
    Reset,
    /// Never answers.
    Hang,
}

/// What a `Retry-After` header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date so many seconds ahead.
    DateIn(u32),
    /// A given HTTP date.
    Date(Timestamp),
}

/// A part of Serval's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The token.
    Token,
    /// Connect and disconnect.
    Connect,
    /// The links of a ticket.
    ExternalTickets,
    /// A ticket, and lists of them.
    Tickets,
    /// The messages of a ticket, Serval's and external ones.
    Messages,
    /// Teams, app instances, integrations.
    Directory,
}

impl Endpoint {
    const ALL: [Self; 6] = [
        Self::Token,
        Self::Connect,
        Self::ExternalTickets,
        Self::Tickets,
        Self::Messages,
        Self::Directory,
    ];

    /// The word in a fault.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Connect => "connect",
            Self::ExternalTickets => "external-tickets",
            Self::Tickets => "tickets",
            Self::Messages => "messages",
            Self::Directory => "directory",
        }
    }
}

/// Why a text is no fault; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} in a fault: {problem}")]
pub struct InvalidFault {
    part: String,
    problem: &'static str,
}

impl Fault {
    /// A fault of connect calls with this effect, every time.
    pub fn of(effect: Effect) -> Self {
        Self {
            effect,
            latency: Duration::ZERO,
            retry_after: None,
            dialect: None,
            endpoint: Some(Endpoint::Connect),
            ticket: None,
            count: None,
            rate: None,
        }
    }

    /// Whether the fault is about such a call, chance aside.
    pub(super) fn fits(&self, endpoint: Endpoint, ticket: Option<&str>) -> bool {
        self.endpoint.is_none_or(|wanted| wanted == endpoint)
            && self.count != Some(0)
            && self
                .ticket
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == ticket)
    }

    fn set(&mut self, part: &str) -> Result<(), &'static str> {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "status" => self.effect = Effect::Status(status(value)?),
            "conflict" if value.is_empty() => self.effect = Effect::Status(409),
            "drop" if value.is_empty() => self.effect = Effect::Drop,
            "reset" if value.is_empty() => self.effect = Effect::Reset,
            "hang" if value.is_empty() => self.effect = Effect::Hang,
            "latency" => {
                self.latency = humantime::parse_duration(value)
                    .map_err(|_| "a latency is a duration such as 250ms")?;
            }
            "retry_after" => self.retry_after = Some(value.parse()?),
            "dialect" => self.dialect = Some(value.parse()?),
            "path" if value == "all" => self.endpoint = None,
            "path" => {
                let endpoint = Endpoint::ALL.into_iter().find(|e| e.as_str() == value);
                self.endpoint = Some(endpoint.ok_or(
                    "a path is connect, token, external-tickets, tickets, messages, directory or all",
                )?);
            }
            "ticket" if !value.is_empty() => self.ticket = Some(value.to_owned()),
            "count" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                self.count = Some(count.ok_or("a count is a whole number from 1")?);
            }
            "rate" => {
                let rate = value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
                self.rate = Some(rate.ok_or("a rate is a number from 0 to 1")?);
            }
            _ if value.is_empty() && key.bytes().all(|b| b.is_ascii_digit()) => {
                self.effect = Effect::Status(status(key)?);
            }
            _ => {
                return Err(
                    "known parts: status, conflict, drop, reset, hang, latency, retry_after, dialect, path, ticket, count, rate",
                );
            }
        }
        Ok(())
    }
}

fn status(text: &str) -> Result<u16, &'static str> {
    text.parse()
        .ok()
        .filter(|status| (300..=599).contains(status))
        .ok_or("a status is a number from 300 to 599")
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut fault = Self::of(Effect::None);
        let invalid = |part: &str, problem| InvalidFault {
            part: part.to_owned(),
            problem,
        };
        for part in text.split(',').map(str::trim) {
            let before = fault.effect;
            fault.set(part).map_err(|problem| invalid(part, problem))?;
            if before != Effect::None && fault.effect != before {
                return Err(invalid(part, "a fault has one effect; use two faults"));
            }
        }
        if fault.effect == Effect::None && fault.latency.is_zero() {
            return Err(invalid(
                text,
                "it has no effect, such as status=503 or latency=1s",
            ));
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.effect {
            Effect::None => {}
            Effect::Status(status) => parts.push(format!("status={status}")),
            Effect::Drop => parts.push("drop".to_owned()),
            Effect::Reset => parts.push("reset".to_owned()),
            Effect::Hang => parts.push("hang".to_owned()),
        }
        if !self.latency.is_zero() {
            parts.push(format!(
                "latency={}",
                humantime::format_duration(self.latency)
            ));
        }
        match self.retry_after {
            None => {}
            Some(RetryAfter::Seconds(seconds)) => parts.push(format!("retry_after={seconds}")),
            Some(RetryAfter::DateIn(seconds)) => parts.push(format!("retry_after=date:{seconds}")),
            Some(RetryAfter::Date(date)) => parts.push(format!("retry_after=date:{date}")),
        }
        if let Some(dialect) = self.dialect {
            parts.push(format!("dialect={}", dialect.as_str()));
        }
        parts.push(format!(
            "path={}",
            self.endpoint.map_or("all", Endpoint::as_str)
        ));
        parts.extend(
            self.ticket
                .as_ref()
                .map(|ticket| format!("ticket={ticket}")),
        );
        parts.extend(self.count.map(|count| format!("count={count}")));
        parts.extend(self.rate.map(|rate| format!("rate={rate}")));
        f.write_str(&parts.join(","))
    }
}

impl TryFrom<String> for Fault {
    type Error = InvalidFault;

    fn try_from(text: String) -> Result<Self, InvalidFault> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl FromStr for RetryAfter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let problem = "retry_after is seconds, date:<seconds ahead> or date:<RFC 3339 time>";
        match text.strip_prefix("date:") {
            None => text.parse().map(Self::Seconds).map_err(|_| problem),
            Some(date) => date
                .parse()
                .map(Self::DateIn)
                .or_else(|_| date.parse().map(Self::Date))
                .map_err(|_: jiff::Error| problem),
        }
    }
}
