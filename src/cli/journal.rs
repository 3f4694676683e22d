//! The journal: one line on standard error per event, as JSON for machines or, with `--verbose`, as text beside the
//! usual output.

use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::document::ErrorReport;
use super::outlet::{Gate, Sink};
use super::verbs::sync::Totals;
use crate::clock;
use crate::error::{Error, Kind};
use crate::name::TableName;
use crate::outcome::Warning;
use crate::progress::{Event, Level, Progress};

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object.
    Json,
    /// `key=value`. Warnings and errors are printed in full elsewhere, so the journal omits them.
    Text,
}

/// Writes events, each with the known facts about the command.
pub(super) struct Journal {
    form: Form,
    least: Level,
    run: String,
    began: Instant,
    state: Mutex<State>,
    sink: Sink,
}

/// The facts about the command known so far.
#[derive(Default)]
struct State {
    verb: Option<String>,
    project: Option<String>,
    target: Option<String>,
    /// `run.started` waits for the names of project and target, but not beyond the next event.
    starting: bool,
    sums: Vec<(&'static str, Value)>,
    ended: bool,
}

impl Journal {
    /// Writes events of at least this level; `target` = the requested one.
    pub(super) fn new(form: Form, least: Level, run: &str, target: Option<String>, sink: Sink) -> Self {
        let state = Mutex::new(State { target, ..State::default() });
        Self { form, least, run: run.to_owned(), began: clock::instant(), state, sink }
    }

    /// The command starts.
    pub(super) fn begin(&self, verb: &str) {
        let mut state = self.state();
        (state.verb, state.starting) = (Some(verb.to_owned()), true);
    }

    /// Stores the totals of a sync for the last line.
    pub(super) fn sums(&self, totals: &Totals) {
        self.state().sums = vec![
            ("tables_changed", totals.tables_changed.into()),
            ("tables_unchanged", totals.tables_unchanged.into()),
            ("tables_failed", totals.tables_failed.into()),
            ("tables_skipped", totals.tables_skipped.into()),
            ("rows_inserted", totals.rows.inserted.into()),
            ("rows_updated", totals.rows.updated.into()),
            ("rows_deleted", totals.rows.deleted.into()),
            ("rows_quarantined", totals.rows.quarantined.into()),
            ("files_read", totals.files_read.into()),
            ("bytes_read", totals.bytes_read.into()),
            ("bytes_written", totals.bytes_written.into()),
            ("entries_registered", totals.entries_registered.into()),
            ("tables_verified", totals.tables_verified.into()),
        ];
    }

    /// An error; `table` = the one that failed. Each fault of the project's files is an event of its own.
    pub(super) fn error(&self, table: Option<&TableName>, error: &Error) {
        let report = ErrorReport::from(error);
        if report.faults.is_empty() {
            self.event(&self.problem(table, report));
            return;
        }
        for fault in report.faults {
            let event = Event::error("error")
                .with("verb", self.verb())
                .with("table", table.map(TableName::as_str))
                .with("kind", report.kind)
                .with("message", fault.message)
                .with("causes", Value::Array(Vec::new()))
                .with("facts", Value::Array(Vec::new()))
                .with("help", fault.help)
                .with("file", fault.file)
                .with("line", fault.line)
                .with("column", fault.column)
                .with("label", fault.label);
            self.event(&event);
        }
    }

    fn problem(&self, table: Option<&TableName>, report: ErrorReport) -> Event {
        Event::error("error")
            .with("verb", self.verb())
            .with("table", table.map(TableName::as_str))
            .with("kind", report.kind)
            .with("message", report.message)
            .with("causes", report.causes)
            .with("facts", report.facts)
            .with("help", report.help)
    }

    /// A warning about a table.
    pub(super) fn warning(&self, table: &TableName, warning: &Warning) {
        let event = Event::warn("warning")
            .with("verb", self.verb())
            .with("table", table.as_str())
            .with("message", &warning.message)
            .with("details", &warning.details)
            .with("help", &warning.help);
        self.event(&event);
    }

    /// A warning without a table, as text: the message, then details line by line.
    pub(super) fn said(&self, text: &str) {
        let mut lines = text.trim().lines().map(str::trim);
        let first = lines.next().unwrap_or_default();
        let event = Event::warn("warning")
            .with("verb", self.verb())
            .with("table", Value::Null)
            .with("message", first.strip_prefix("warning: ").unwrap_or(first))
            .with("details", lines.collect::<Vec<_>>())
            .with("help", Value::Null);
        self.event(&event);
    }

    /// The command was interrupted. The work continues in the background, so no line of it comes between these two.
    pub(super) fn interrupt(&self, exit_code: u8) {
        let mut state = self.state();
        let event = Event::warn("run.interrupted").with("verb", &state.verb);
        self.write(&mut state, &event);
        self.end(&mut state, exit_code);
    }

    /// The command is over. Nothing is written after its last line, even if work continues in the background.
    pub(super) fn finish(&self, exit_code: u8) {
        self.end(&mut self.state(), exit_code);
    }

    fn end(&self, state: &mut State, exit_code: u8) {
        if state.ended || state.verb.is_none() {
            return;
        }
        let mut event = Event::info("run.finished").with("verb", &state.verb).with("exit_code", exit_code);
        event.fields.append(&mut state.sums);
        self.write(state, &event.seconds(self.began.elapsed()));
        state.ended = true;
    }

    fn verb(&self) -> Option<String> {
        self.state().verb.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, state: &mut State, event: &Event) {
        if state.ended || event.level < self.least {
            return;
        }
        self.start(state);
        self.line(state, event);
    }

    /// Writes `run.started`, unless it has been written.
    fn start(&self, state: &mut State) {
        if std::mem::take(&mut state.starting) && self.least <= Level::Info {
            let event = Event::info("run.started").with("verb", &state.verb);
            self.line(state, &event.with("version", env!("CARGO_PKG_VERSION")));
        }
    }

    fn line(&self, state: &State, event: &Event) {
        let time = clock::rfc3339(clock::now_ms());
        let line = Line { time: &time, run: &self.run, state, event };
        let written = match self.form {
            Form::Json => serde_json::to_string(&line).ok(),
            Form::Text if ["warning", "error"].contains(&event.name) => None,
            Form::Text => Some(line.text()),
        };
        if let Some(text) = written {
            self.sink.write(&(text + "\n"));
        }
    }
}

impl Progress for Journal {
    fn table(&self, _name: &str, _what: &str) {}

    fn done(&self) {}

    fn opened(&self, project: &str, target: Option<&str>) {
        let mut state = self.state();
        state.project = Some(project.to_owned());
        state.target = target.map(str::to_owned).or_else(|| state.target.take());
        if !state.ended {
            self.start(&mut state);
        }
    }

    fn event(&self, event: &Event) {
        self.write(&mut self.state(), event);
    }

    fn hears(&self, level: Level) -> bool {
        level >= self.least
    }
}

/// One line: the same keys come first in every one.
struct Line<'a> {
    time: &'a str,
    run: &'a str,
    state: &'a State,
    event: &'a Event,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", self.time)?;
        map.serialize_entry("level", self.event.level.name())?;
        map.serialize_entry("event", self.event.name)?;
        map.serialize_entry("run", self.run)?;
        map.serialize_entry("project", &self.state.project)?;
        map.serialize_entry("target", &self.state.target)?;
        for (field, value) in &self.event.fields {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

impl Line<'_> {
    /// `2026-11-23T08:14:02.120Z run 0193... table.committed table=people version_after=1`.
    fn text(&self) -> String {
        let mut text = format!("{} run {} {}", self.time, self.run, self.event.name);
        for (field, value) in self.event.fields.iter().filter(|(_, value)| !value.is_null()) {
            let bare = value.as_str().filter(|s| !s.is_empty() && !s.contains([' ', '"', '=']));
            let value = match bare.filter(|s| !s.chars().any(char::is_control)) {
                Some(word) => word.to_owned(),
                None => value.to_string(),
            };
            text.push_str(&format!(" {field}={value}"));
        }
        text
    }
}

/// The event of a panic, which is a mistake of this program. The panic's text may quote data, so it is shown only with
/// `--reveal`.
pub(super) fn panicked(place: Option<String>, payload: Option<&str>, reveal: bool) -> Error {
    let mut error = Error::new(Kind::Internal, "the program made a mistake and gave up")
        .fact("place", place.unwrap_or_else(|| "unknown".into()));
    if let Some(payload) = payload.filter(|_| reveal) {
        error = error.fact("panic", payload);
    }
    error.help("report it with its place; commits already made stand, and the next sync continues from there")
}

/// Turns panics into events.
pub(super) fn on_panic(journal: Arc<Journal>, reveal: bool) {
    std::panic::set_hook(Box::new(move |panic| {
        if !harmless(panic) {
            let place = panic.location().map(ToString::to_string);
            journal.error(None, &panicked(place, panic.payload_as_str(), reveal));
        }
    }));
}

/// Reports on standard error that the program made a mistake, and where, without the panic's text, which may quote
/// data.
pub fn tell_panic(panic: &PanicHookInfo<'_>) {
    let error = panicked(panic.location().map(ToString::to_string), None, false);
    Sink::new(Box::new(std::io::stderr()), Gate::default()).write(&super::render::error::error(&error, false));
}

/// Whether a panic is expected: after a failed upload the Parquet writer cleans up by a call that may panic, and
/// catches that. The failure itself is reported like any other; only the panic's text would reach standard error.
#[must_use]
pub fn harmless(panic: &PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|l| l.file().contains("object_store") && l.file().ends_with("buffered.rs"))
}

#[cfg(test)]
mod tests;
