//! What a refresh took: told in `commitInfo`, and read back by the next ones to choose between incremental and full.

use std::time::Instant;

use serde_json::{Value, json};

use super::Work;
use crate::clock;
use crate::definition::Policy;
use crate::lake::HISTORY;
use crate::outcome::{Io, Mode};
use crate::plan::history::{History, Took};

/// Measures phases one after the other.
pub(super) struct Watch(Instant);

impl Watch {
    /// Starts the first phase.
    pub(super) fn start() -> Self {
        Self(clock::instant())
    }

    /// Ends a phase, starts the next one, and returns the phase's microseconds.
    pub(super) fn lap(&mut self) -> u64 {
        let now = clock::instant();
        let phase = now.saturating_duration_since(std::mem::replace(&mut self.0, now));
        u64::try_from(phase.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Work<'_> {
    /// Adds the work of this refresh, and the history of refreshes that it continues.
    pub(super) fn tell_work(&self, facts: &mut Value, mode: Mode, io: &Io) {
        let ms = |us: u64| us.div_ceil(1000);
        facts["work"] = json!({
            "computeMs": ms(io.phases.compute), "writeMs": ms(io.phases.write), "checkMs": ms(io.phases.check),
            "rowsRead": io.rows_read, "bytesRead": io.bytes_read, "bytesWritten": io.bytes_written,
        });
        // Where the definition has decided, nothing is chosen.
        if self.job.derived.refresh != Policy::Auto {
            return;
        }
        // That of another query says nothing of this one.
        let current = self.current.as_ref().filter(|_| self.fingerprint.is(self.standing.definition));
        let history = current.map(|table| table.state().history.clone()).unwrap_or_default();
        let took = self.expected(mode).map(|expected| Took { mode, ms: ms(io.phases.total()), expected });
        let history = took.map_or(history.clone(), |took| history.and(took));
        if history != History::default() {
            facts[HISTORY] = history.told();
        }
    }
}
