//! Faults: what should go wrong, where, and how often.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::response::Response;
use clap::ValueEnum;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dialect::Dialect;
use crate::edge::clock::{Clock as _, SystemClock};

/// One thing that goes wrong. As text, its parts are separated by commas:
/// `status=429,retry_after=7,count=3` answers 429 to the next three connects. The help of
/// `mock-serval` lists all parts.
///
/// If several faults fit a call, the first one with an effect decides. Latencies add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// The effect on the call.
    pub effect: Effect,
    /// A wait before it happens.
    pub latency: Duration,
    /// The header of an error answer.
    pub retry_after: Option<RetryAfter>,
    /// Format of an error answer; `None`: the one of the stand-in.
    pub dialect: Option<Dialect>,
    /// The part of the API; `None`: all parts.
    pub endpoint: Option<Endpoint>,
    /// Only calls about this ticket.
    pub ticket: Option<String>,
    /// Number of calls that are left; `None`: all calls.
    pub count: Option<u32>,
    /// The probability, 0 to 1.
    pub rate: Option<f64>,
}

/// Effect of a fault.
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

/// Value of a `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date, this number of seconds in the future.
    DateIn(u32),
    /// A given HTTP date.
    Date(Timestamp),
}

/// A part of Serval's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ValueEnum)]
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

/// Reason why a text is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} in a fault: {problem}")]
pub struct InvalidFault {
    part: String,
    problem: &'static str,
}

impl Fault {
    /// A fault with this effect on every connect call.
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

    /// True if the fault concerns such a call, chance aside.
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
            "dialect" => {
                let dialect = Dialect::from_str(value, false).ok();
                self.dialect =
                    Some(dialect.ok_or("a dialect is string, numeric, text, html, json or empty")?);
            }
            "path" if value == "all" => self.endpoint = None,
            "path" => {
                let endpoint = Endpoint::from_str(value, false).ok();
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
            // A bare number is short for `status=`.
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
        .filter(|status| (200..=599).contains(status))
        .ok_or("a status is a number from 200 to 599")
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut fault = Self::of(Effect::None);
        let invalid = |part: &str, problem| InvalidFault {
            part: part.to_owned(),
            problem,
        };
        // A second effect is refused: it would silently replace the first one.
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
                "it has no effect such as status=503 or latency=1s",
            ));
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effect {
            Effect::None => {}
            Effect::Status(status) => write!(f, "status={status},")?,
            Effect::Drop => f.write_str("drop,")?,
            Effect::Reset => f.write_str("reset,")?,
            Effect::Hang => f.write_str("hang,")?,
        }
        if !self.latency.is_zero() {
            write!(f, "latency={},", humantime::format_duration(self.latency))?;
        }
        match self.retry_after {
            None => {}
            Some(RetryAfter::Seconds(seconds)) => write!(f, "retry_after={seconds},")?,
            Some(RetryAfter::DateIn(seconds)) => write!(f, "retry_after=date:{seconds},")?,
            Some(RetryAfter::Date(date)) => write!(f, "retry_after=date:{date},")?,
        }
        if let Some(dialect) = self.dialect {
            write!(f, "dialect={},", word(&dialect))?;
        }
        write!(
            f,
            "path={}",
            self.endpoint.as_ref().map_or("all".to_owned(), word)
        )?;
        if let Some(ticket) = &self.ticket {
            write!(f, ",ticket={ticket}")?;
        }
        if let Some(count) = self.count {
            write!(f, ",count={count}")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ",rate={rate}")?;
        }
        Ok(())
    }
}

/// The word for a value in a fault.
fn word(value: &impl ValueEnum) -> String {
    let word = value.to_possible_value();
    word.expect("no value is skipped").get_name().to_owned()
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

impl RetryAfter {
    /// Adds the header to an answer.
    pub(super) fn add_to(self, response: &mut Response) {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => {
                let wait = jiff::SignedDuration::from_secs(seconds.into());
                let date = SystemClock.now().saturating_add(wait);
                httpdate::fmt_http_date(date.unwrap_or(Timestamp::UNIX_EPOCH).into())
            }
            Self::Date(date) => httpdate::fmt_http_date(date.into()),
        };
        let value = HeaderValue::try_from(text).expect("digits and HTTP dates are plain ASCII");
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}
