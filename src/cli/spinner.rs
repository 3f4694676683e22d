//! Progress on a terminal: one line that says which tables are being worked on, and goes away at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::Progress;

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(120);

/// A spinner on standard error. Appears with the first message.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress for Spinner {
    fn table(&self, name: &str, what: &str) {
        if self.0.is_finished() {
            return;
        }
        self.0.set_message(format!("{name}  {what}"));
        self.0.enable_steady_tick(FRAME);
    }

    fn done(&self) {
        if !self.0.is_finished() {
            self.0.finish_and_clear();
        }
    }
}
