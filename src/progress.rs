//! Progress of an operation while it runs: the current table, and events. Listening is optional.
//!
//! Events are for machines. Their names, in [`EVENTS`], are a stable interface: a name never changes its meaning and no
//! field is removed; new fields and new names may be added.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// Listens to a running operation. Called from several tasks concurrently, so it must be quick.
pub trait Progress: Send + Sync {
    /// Work on a table entered a step: `reading 9 files`, `full refresh`, ... No personal data.
    fn table(&self, name: &str, what: &str);

    /// The operation is over; the progress display is removed.
    fn done(&self);

    /// Work on one of several tables entered its turn: `3 of 16`.
    fn turn(&self, _number: usize, _of: usize) {}

    /// The project was read: its name, and the target in use, if there is one.
    fn opened(&self, _project: &str, _target: Option<&str>) {}

    /// An event occurred.
    fn event(&self, _event: &Event) {}

    /// Whether events of this level are wanted: building an event for every request would be wasted otherwise.
    fn hears(&self, _level: Level) -> bool {
        false
    }
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn table(&self, _name: &str, _what: &str) {}

    fn done(&self) {}
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For finding a cause.
    Debug,
    /// Normal work.
    Info,
    /// Needs attention; the work continued.
    Warn,
    /// Something was not done.
    Error,
}

impl Level {
    /// `debug`, `info`, `warn`, `error`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// An event. Its fields hold no personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its severity.
    pub level: Level,
    /// Its name, one of [`EVENTS`].
    pub name: &'static str,
    /// Its fields, most important first.
    pub fields: Vec<(&'static str, Value)>,
}

impl Event {
    /// An event without fields.
    #[must_use]
    pub fn new(level: Level, name: &'static str) -> Self {
        Self { level, name, fields: Vec::new() }
    }

    /// An event for finding a cause.
    #[must_use]
    pub fn debug(name: &'static str) -> Self {
        Self::new(Level::Debug, name)
    }

    /// An event of normal work.
    #[must_use]
    pub fn info(name: &'static str) -> Self {
        Self::new(Level::Info, name)
    }

    /// An event that needs attention.
    #[must_use]
    pub fn warn(name: &'static str) -> Self {
        Self::new(Level::Warn, name)
    }

    /// An event of something that was not done.
    #[must_use]
    pub fn error(name: &'static str) -> Self {
        Self::new(Level::Error, name)
    }

    /// Adds a field. Values without a JSON form are `null`.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Serialize) -> Self {
        self.fields.push((field, serde_json::to_value(value).unwrap_or_default()));
        self
    }

    /// Adds `seconds`, to the millisecond, as documents have them.
    #[must_use]
    pub fn seconds(self, elapsed: Duration) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms")]
        let milliseconds = elapsed.as_millis() as f64;
        self.with("seconds", milliseconds / 1000.0)
    }
}

/// Every event with its fields, as `docs/unattended.md` explains them. `error` has `file`, `line`, `column` and `label`
/// for a fault of the project's files; the totals of `run.finished`, from `tables_changed` on, are those of a sync.
pub const EVENTS: [(&str, &[&str]); 17] = [
    ("run.started", &["verb", "version"]),
    ("files.found", &["table", "zone", "new", "replaced", "waiting"]),
    ("table.started", &["table", "zone"]),
    (
        "table.committed",
        &[
            "table",
            "zone",
            "version_before",
            "version_after",
            "mode",
            "reason",
            "rows_inserted",
            "rows_updated",
            "rows_deleted",
            "rows_quarantined",
            "files_read",
            "rows_read",
            "files_added",
            "files_removed",
            "bytes_read",
            "bytes_written",
            "seconds",
        ],
    ),
    ("table.unchanged", &["table", "zone", "version", "reason", "seconds"]),
    (
        "table.optimized",
        &["table", "zone", "version_after", "files_merged", "files_written", "bytes_read", "bytes_written", "seconds"],
    ),
    ("table.failed", &["table", "zone", "kind", "message", "causes", "seconds"]),
    ("table.skipped", &["table", "zone", "because"]),
    ("quarantine.grew", &["table", "rows"]),
    ("consent.ended", &["persons", "tables"]),
    ("catalog.registered", &["table", "change", "database"]),
    ("run.retried", &["attempt", "reason"]),
    ("warning", &["verb", "table", "message", "details", "help"]),
    ("error", &["verb", "table", "kind", "message", "causes", "facts", "help", "file", "line", "column", "label"]),
    ("run.interrupted", &["verb"]),
    (
        "run.finished",
        &[
            "verb",
            "exit_code",
            "tables_changed",
            "tables_unchanged",
            "tables_failed",
            "tables_skipped",
            "rows_inserted",
            "rows_updated",
            "rows_deleted",
            "rows_quarantined",
            "files_read",
            "bytes_read",
            "bytes_written",
            "entries_registered",
            "tables_verified",
            "seconds",
        ],
    ),
    ("request", &["store", "operation", "path", "status", "ms"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_fields_in_order() {
        let event = Event::warn("x.happened").with("n", 1_u64).with("none", None::<u64>).with("text", "a");
        let expected = vec![("n", 1.into()), ("none", Value::Null), ("text", "a".into())];
        assert_eq!((event.level, event.fields), (Level::Warn, expected));
        let timed = Event::info("x.ended").seconds(Duration::from_micros(1_234_567));
        assert_eq!(timed.fields, [("seconds", 1.234.into())]);
    }

    #[test]
    fn levels_are_ordered_by_how_much_they_matter() {
        let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        assert!(levels.is_sorted());
        assert_eq!(levels.map(Level::name), ["debug", "info", "warn", "error"]);
    }

    #[test]
    fn every_name_stands_once() {
        let mut names: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EVENTS.len());
    }
}
