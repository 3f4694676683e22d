//! Events of a sync: one when the result of a table is known.
//!
//! A conflict is reported by the attempt that follows it, not by the table. The quarantine of a derived table belongs
//! to that table, here as in reports.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Attempt, Done};
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::ingest::Report;
use crate::name::TableName;
use crate::outcome::SyncOutcome;
use crate::progress::{Event, Progress};

impl Attempt<'_> {
    /// Work on the table starts.
    pub(super) fn started(&self, table: &Table) {
        if table.quarantine_of().is_none() {
            self.progress.event(&about(Event::info("table.started"), table));
            self.turn(0);
        }
    }

    /// The result of the table.
    pub(super) fn ended(&self, table: &Table, started: Instant, result: &Result<Done>) {
        match (result, table.quarantine_of()) {
            (Ok(done), Some(owner)) => self.grew(owner, done.rows.inserted),
            (Ok(done), None) => {
                self.turn(1);
                self.progress.event(&succeeded(table, done));
                self.grew(&table.name, done.rows.quarantined);
            }
            (Err(error), _) => self.failed(table, started, error),
        }
    }

    /// The table failed.
    pub(super) fn failed(&self, table: &Table, started: Instant, error: &Error) {
        if error.kind() == Kind::Conflict {
            return;
        }
        self.turn(1);
        let event = about(Event::error("table.failed"), table).with("kind", error.kind().name());
        let event = event.with("message", error.message()).with("causes", error.causes());
        self.progress.event(&event.seconds(started.elapsed()));
    }

    /// The table is unchanged, because its source failed or was skipped.
    pub(super) fn skipped(&self, table: &Table, source: &TableName) {
        self.turn(1);
        let event = about(Event::warn("table.skipped"), table);
        self.progress.event(&event.with("because", source.as_str()));
    }

    /// The results of `more` tables are known: the next one has its turn.
    fn turn(&self, more: usize) {
        let tables = &self.workspace.project.tables;
        let all = tables.iter().filter(|table| table.quarantine_of().is_none() && self.selected(&table.name)).count();
        let finished = self.finished.fetch_add(more, Ordering::Relaxed) + more;
        self.progress.turn((finished + 1).min(all), all);
    }

    fn grew(&self, table: &TableName, rows: u64) {
        if rows > 0 {
            self.progress.event(&Event::warn("quarantine.grew").with("table", table.as_str()).with("rows", rows));
        }
    }
}

/// A concurrent commit conflicted: attempt number `attempt` starts.
pub(super) fn retried(progress: &dyn Progress, attempt: usize, error: &Error) {
    progress.event(&Event::info("run.retried").with("attempt", attempt).with("reason", error.to_string()));
}

/// How many persons' consent ended, if any.
pub(super) fn consent(progress: &dyn Progress, outcome: &SyncOutcome) {
    if outcome.grants_ended > 0 {
        let event = Event::info("consent.ended").with("persons", outcome.grants_ended);
        progress.event(&event.with("tables", outcome.grants_ended_tables));
    }
}

/// All tables are as they were.
pub(super) fn nothing_to_do(progress: &dyn Progress, tables: &[(&Table, u64)]) {
    for (table, version) in tables.iter().filter(|(table, _)| table.quarantine_of().is_none()) {
        progress.event(&about(Event::info("table.started"), table));
        if table.landing().is_some() {
            Report { table, progress }.found_nothing();
        }
        progress.event(&unchanged(table, *version, "", Duration::ZERO));
    }
}

fn unchanged(table: &Table, version: u64, reason: &str, took: Duration) -> Event {
    about(Event::info("table.unchanged"), table).with("version", version).with("reason", reason).seconds(took)
}

fn succeeded(table: &Table, done: &Done) -> Event {
    let version = done.table.version();
    if done.version_before == Some(version) {
        return unchanged(table, version, &done.reason, done.elapsed);
    }
    about(Event::info("table.committed"), table)
        .with("version_before", done.version_before)
        .with("version_after", version)
        .with("mode", done.mode)
        .with("reason", &done.reason)
        .with("rows_inserted", done.rows.inserted)
        .with("rows_updated", done.rows.updated)
        .with("rows_deleted", done.rows.deleted)
        .with("rows_quarantined", done.rows.quarantined)
        .with("files_read", done.io.files_read)
        .with("rows_read", done.io.rows_read)
        .with("files_added", done.io.files_added)
        .with("files_removed", done.io.files_removed)
        .with("bytes_read", done.io.bytes_read)
        .with("bytes_written", done.io.bytes_written)
        .seconds(done.elapsed)
}

fn about(event: Event, table: &Table) -> Event {
    event.with("table", table.name.as_str()).with("zone", &table.zone)
}
