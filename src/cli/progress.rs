//! How far something is, for people at a terminal; elsewhere nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between movements of what has no known end.
const TICK: Duration = Duration::from_millis(120);

/// A bar on the standard error, gone when the last of its clones is.
#[derive(Debug, Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of so many bytes that are to be read, if that is known.
    pub(super) fn of_bytes(total: Option<u64>) -> Self {
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

    /// So many bytes more.
    pub(super) fn moved(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// All is read; the rest takes a while, too.
    pub(super) fn is_read(&self) {
        self.0.set_message("read, being written");
    }

    /// Takes it from the screen.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
