//! Checks a presented token.
//!
//! Invariant: a right token is admitted whatever came before it, from whatever address. So wrong ones are
//! refused and counted, and nothing else: a limit for them would either lock out an operator or slow down
//! nobody who guesses. What defends a token is its length.

use super::access::{Fingerprint, Operator};
use super::service::Operators;

impl Operators {
    /// True if no token is needed.
    pub fn is_open(&self) -> bool {
        self.rules.now().tokens.is_open()
    }

    /// Finds the holder of a token under the current configuration.
    pub fn holder(&self, presented: &Fingerprint) -> Option<Operator> {
        self.rules.now().tokens.holder(presented)
    }

    /// Finds the operator who presents this token.
    pub fn admit(&self, presented: Option<&str>) -> Option<Operator> {
        let operator = self.rules.now().tokens.bearer(presented);
        // A request without a token guesses nothing.
        if operator.is_none() && presented.is_some() {
            self.metrics.token_refused();
        }
        operator
    }
}
