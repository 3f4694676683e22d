//! The document `infer/1`.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::error::{Error, Result};
use crate::infer::{Action, Fate, Inferred};
use crate::shape::document;

document! {
/// A drafted definition, or an edit of one.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct InferReport {
    /// `infer/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// The table; `null` = nothing was inferred.
    table: Option<String>,
    /// Its zone.
    zone: Option<String>,
    /// Its definition, relative to the project's folder.
    file: Option<String>,
    /// `path` of its files.
    path: Option<String>,
    /// `written`, `edited`, `proposed`, `unchanged`, `printed`.
    action: Option<&'static str>,
    /// The definition.
    text: Option<String>,
    /// Files that match.
    files_matching: u64,
    /// How many were read.
    files_read: u64,
    /// How many of them only in part.
    files_partly: u64,
    /// Decompressed bytes read.
    bytes: u64,
    /// The columns.
    columns: Vec<ColumnReport>,
    /// Fields, alone or in pairs, that are unique and never missing in the sample.
    keys: Vec<Vec<String>>,
    /// What a definition that existed lacked.
    changes: Vec<ChangeReport>,
    /// What becomes of the sample's records.
    fate: Option<FateReport>,
    /// What becomes of them without the edit; `null` if there was no definition.
    fate_before: Option<FateReport>,
    /// Why there is no answer.
    error: Option<ErrorReport>,
}
}

document! {
/// A column.
#[derive(Debug, Serialize)]
struct ColumnReport {
    /// Its name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    column_type: String,
    /// What should be said of it.
    notes: Vec<String>,
}
}

document! {
/// What a definition lacked.
#[derive(Debug, Serialize)]
struct ChangeReport {
    /// The column, or the path to a field.
    path: String,
    /// Its type; `null` = it is new.
    from: Option<String>,
    /// Its type with the edit.
    to: String,
    /// Whether the edit is left to a person.
    by_hand: bool,
}
}

document! {
/// What becomes of records.
#[derive(Debug, Serialize)]
struct FateReport {
    /// Records read.
    records: u64,
    /// Those that land.
    landed: u64,
    /// Those that go to quarantine.
    quarantined: u64,
    /// Why.
    reasons: Vec<RefusedReport>,
}
}

document! {
/// Records that go to quarantine for one reason.
#[derive(Debug, Serialize)]
struct RefusedReport {
    /// The reason.
    reason: String,
    /// How many.
    count: u64,
    /// The file of the first one.
    file: String,
    /// Its byte offset in the decompressed file.
    offset: i64,
}
}

fn fate(fate: &Fate) -> FateReport {
    let reasons = fate.reasons.iter().map(|refused| RefusedReport {
        reason: refused.reason.clone(),
        count: refused.count,
        file: refused.file.clone(),
        offset: refused.offset,
    });
    FateReport { records: fate.records, landed: fate.landed, quarantined: fate.quarantined, reasons: reasons.collect() }
}

pub(super) fn document(result: Result<&Inferred, &Error>) -> InferReport {
    let found = result.ok();
    let action = |action: Action| match action {
        Action::Written => "written",
        Action::Edited => "edited",
        Action::Proposed => "proposed",
        Action::Unchanged => "unchanged",
        Action::Printed => "printed",
    };
    let [files_matching, files_read, files_partly] = found.map_or([0; 3], |found| found.files);
    let column = |(name, column_type, notes): &(String, String, Vec<String>)| ColumnReport {
        name: name.clone(),
        column_type: column_type.clone(),
        notes: notes.clone(),
    };
    let changes = found.into_iter().flat_map(|found| &found.changes).map(|change| ChangeReport {
        path: change.path.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        by_hand: change.by_hand,
    });
    InferReport {
        report: "infer/1",
        exit_code: result.err().map_or(exit::DONE, |error| exit::of(error.kind())),
        table: found.map(|found| found.table.clone()),
        zone: found.map(|found| found.zone.clone()),
        file: found.map(|found| found.file.display().to_string()),
        path: found.map(|found| found.path.clone()),
        action: found.map(|found| action(found.action)),
        text: found.map(|found| found.text.clone()),
        files_matching,
        files_read,
        files_partly,
        bytes: found.map_or(0, |found| found.bytes),
        columns: found.into_iter().flat_map(|found| &found.columns).map(column).collect(),
        keys: found.map(|found| found.keys.clone()).unwrap_or_default(),
        changes: changes.collect(),
        fate: found.map(|found| fate(&found.fate)),
        fate_before: found.and_then(|found| found.before.as_ref()).map(fate),
        error: result.err().map(ErrorReport::from),
    }
}
