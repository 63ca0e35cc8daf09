//! The position of a request in a trace: W3C's `traceparent`.
//!
//! Invariant: a value is well-formed, so it can stand in a header, a column and a log line.

use std::fmt;
use std::str::FromStr;

/// A `traceparent` in the form of version 00: 55 lower-case characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

/// The text is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context")]
pub struct NoTraceParent;

impl TraceParent {
    /// The length of version 00.
    const LEN: usize = 55;

    /// The text, as in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace id: 32 hex digits, not all zero.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The span id: 16 hex digits, not all zero.
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// True if the sender records the trace.
    pub fn is_sampled(&self) -> bool {
        // The flag is the lowest bit of the last digit.
        matches!(
            self.0.as_bytes()[Self::LEN - 1],
            b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'
        )
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Parses every version except the forbidden `ff`. Parts that a later version adds are ignored.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let is_hex = |part: &str| (part.bytes()).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
        let known = text.get(..Self::LEN).ok_or(NoTraceParent)?;
        let rest = &text[Self::LEN..];
        let parts: Vec<&str> = known.split('-').collect();
        let [version, trace, span, flags] = parts[..] else {
            return Err(NoTraceParent);
        };
        let lengths = [version, trace, span, flags].map(str::len);
        // Version 00 has exactly four parts. A later version may append parts, but only behind
        // another hyphen.
        let is_whole = rest.is_empty() || (version != "00" && rest.starts_with('-'));
        // The W3C standard forbids version ff and ids of zeros. Capital letters are no valid hex
        // digits there, either.
        if lengths != [2, 32, 16, 2]
            || !parts.iter().all(|part| is_hex(part))
            || version == "ff"
            || is_zero(trace)
            || is_zero(span)
            || !is_whole
        {
            return Err(NoTraceParent);
        }
        Ok(Self(format!("00-{trace}-{span}-{flags}")))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_into_its_parts() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.as_str(), GOOD);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert!(parent.is_sampled());
        let quiet: TraceParent = GOOD.replace("-01", "-00").parse().unwrap();
        assert!(!quiet.is_sampled());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GOOD.replacen("00", "cc", 1) + "-what-the-future-brings";
        assert_eq!(later.parse::<TraceParent>().unwrap().as_str(), GOOD);
    }

    #[test]
    fn anything_else_is_refused() {
        let zero_trace = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}x"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace('-', "_"),
            &GOOD.replacen("4bf9", "é-9", 1),
            &zero_trace,
            &zero_span,
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(NoTraceParent), "{bad:?}");
        }
    }
}
