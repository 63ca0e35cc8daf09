//! Logs panics, which are bugs of this program.
//!
//! Invariant: the text of a panic is logged only if it is a literal of the source. A text that was
//! formatted at run time may quote a body or a secret.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};

/// Sends the panics of this process to the log instead of stderr.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(ToString::to_string);
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        tracing::error!(
            at,
            thread = thread.name(),
            said = said(info.payload()),
            backtrace = backtrace.as_ref().map(tracing::field::display),
            "a fault of ours: please report it with this line"
        );
    }));
}

/// The text of a panic, if it is a literal.
fn said(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(not shown, as it may quote what it was about)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_of_the_source_is_shown() {
        let secret = String::from("canary");
        let put_together: Box<dyn Any + Send> = Box::new(format!("cannot read {secret}"));
        assert!(!said(&*put_together).contains("canary"));
        let literal: Box<dyn Any + Send> = Box::new("it cannot be");
        assert_eq!(said(&*literal), "it cannot be");
        assert!(said(&7_u8).starts_with("(not shown"));
    }
}
