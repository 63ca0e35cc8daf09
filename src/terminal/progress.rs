//! Progress bars. Nothing is shown if the standard error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Pause between two movements of a bar without a known end.
const TICK: Duration = Duration::from_millis(120);

/// Steps of a bar for a share.
const SHARES: u64 = 1000;

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

    /// A bar for `total` rows; the message says what becomes of them.
    pub(crate) fn of_rows(total: u64, message: &'static str) -> Self {
        let template = "{bar:32} {human_pos} of {human_len} {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is ours");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        Self(bar.with_style(style).with_message(message))
    }

    /// A bar for a share of the whole.
    pub(crate) fn of_share(message: &'static str) -> Self {
        let style = ProgressStyle::with_template("{bar:32} {percent} % {msg}");
        let style = style.expect("the template is ours");
        let bar = ProgressBar::with_draw_target(Some(SHARES), ProgressDrawTarget::stderr());
        Self(bar.with_style(style).with_message(message))
    }

    /// Sets the share that is done, 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it is clamped"
    )]
    pub(crate) fn is_at_share(&self, share: f64) {
        self.0
            .set_position((share.clamp(0.0, 1.0) * SHARES as f64) as u64);
    }

    /// True if nobody sees it.
    pub(crate) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// Sets the number of rows that are done.
    pub(crate) fn is_at(&self, done: u64) {
        self.0.set_position(done);
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
