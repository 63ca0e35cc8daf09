//! Progress bars. Nothing is shown if the standard error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Pause between two movements of a bar without a known end.
const TICK: Duration = Duration::from_millis(120);

/// A bar on the standard error. It disappears with its last clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for reading `total` bytes, or for an unknown number.
    pub(crate) fn of_bytes(total: Option<u64>) -> Self {
        let template = if total.is_some() {
            "{bar:32} {bytes} of {total_bytes} {msg}"
        } else {
            "{spinner} {bytes} {msg}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is ours");
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let bar = bar.with_style(style).with_message("read");
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Adds bytes that were read.
    pub(crate) fn moved(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Shows that everything is read, and that the import still runs.
    pub(crate) fn is_read(&self) {
        self.0.set_message("read, being written");
    }

    /// Removes the bar from the screen.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
