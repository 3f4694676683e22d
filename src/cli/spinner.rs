//! Progress on a terminal: one line with the current table, removed at the end.

use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::render::duration;
use crate::privacy::{one_line, redacted};
use crate::progress::Progress;

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// Shorter work shows nothing: a flickering line is useless.
const SILENCE: Duration = Duration::from_secs(1);
const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];

/// An animated line on standard error.
pub(super) struct Spinner {
    bar: ProgressBar,
    doing: Arc<Mutex<String>>,
    /// `3 of 16  `, or nothing.
    turn: Mutex<String>,
    ticking: Once,
}

impl Spinner {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let doing = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&doing);
        let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let elapsed = state.elapsed();
            if elapsed < SILENCE {
                return;
            }
            let frame = elapsed.as_millis() / FRAME.as_millis() % FRAMES.len() as u128;
            let glyph = usize::try_from(frame).ok().and_then(|frame| FRAMES.get(frame)).unwrap_or(&"");
            let doing = shown.lock().unwrap_or_else(PoisonError::into_inner);
            // A failure to show the line is ignored.
            let _ = write!(out, "{glyph} {}  {doing}", duration(elapsed));
        };
        if let Ok(style) = ProgressStyle::with_template("{line}") {
            bar.set_style(style.with_key("line", line));
        }
        Self { bar, doing, turn: Mutex::default(), ticking: Once::new() }
    }
}

/// A library draws the line, bypassing the outlet.
fn shown(name: &str, what: &str) -> String {
    one_line(&redacted(&format!("{name}  {what}"))).into_owned()
}

impl Progress for Spinner {
    fn table(&self, name: &str, what: &str) {
        if self.bar.is_finished() {
            return;
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = format!("{turn}{}", shown(name, what));
        self.ticking.call_once(|| self.bar.enable_steady_tick(FRAME));
    }

    fn turn(&self, number: usize, of: usize) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = format!("{number} of {of}  ");
    }

    fn done(&self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_turn() {
        let spinner = Spinner::new();
        spinner.table("notes", "reading 1 file");
        spinner.turn(3, 16);
        spinner.table("people", "refreshing");
        assert_eq!(*spinner.doing.lock().expect("not poisoned"), "3 of 16  people  refreshing");
        spinner.done();
    }
}
