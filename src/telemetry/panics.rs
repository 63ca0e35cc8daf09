//! A panic is a fault of ours: it is logged where people look, and without what it was about.
//!
//! Invariant: a text that was put together at run time is not shown, since it may quote a body or a
//! secret; one that stands in the source is.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};

/// Has the panics of this process logged by the subscriber, in the place of the standard error.
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

/// The text of a panic, as far as it may be shown.
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
