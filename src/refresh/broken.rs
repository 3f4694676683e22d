//! Missing or corrupt data files: identifies the file and its table, and the remedy.
//!
//! The engine's own errors name neither, so if reading failed, the tables of the refresh are read once more.

use super::Work;
use super::inputs::Lost;
use crate::definition::Table;
use crate::error::{Error, Kind};
use crate::lake::LakeTable;

/// Texts by which errors of stores and of Parquet files are recognised.
const READING: [&str; 6] =
    ["data file `", "Object Store error", "Object at location", "Error performing", "Parquet", "parquet"];

/// Why reading failed.
pub(super) enum Unreadable {
    /// A data file of a current table.
    Stands(Error),
    /// A data file of a source's older version: the change cannot be computed.
    Before(Lost),
}

/// Whether an error may come from a data file.
pub(crate) fn is_of_reading(error: &Error) -> bool {
    let says = |text: &str| READING.iter().any(|reading| text.contains(reading));
    error.kind() == Kind::Failed && (says(error.message()) || error.causes().iter().any(|cause| says(cause)))
}

/// The error for a table whose reading failed with `error`, if it has a data file that cannot be read.
pub(crate) async fn unreadable(error: &Error, table: &Table, stands: &LakeTable) -> Option<Error> {
    let help = match table.derived() {
        // Tables below it may have gone on from rows that can no longer be read.
        Some(_) => format!("stedi-delta sync -s {}+ --full-refresh", table.name),
        None => "put the file back from a backup; or move the table's folder away and sync, which reads its landing \
                 files again"
            .to_owned(),
    };
    Some(unreadable_file(error, table.name.as_str(), stands).await?.help(help))
}

/// The same for any table, without a remedy.
pub(crate) async fn unreadable_file(error: &Error, name: &str, stands: &LakeTable) -> Option<Error> {
    // A refused table has its own error.
    if !is_of_reading(error) || stands.check_files().is_err() {
        return None;
    }
    let (file, cause) = stands.broken().await?;
    let error = Error::failed(format!("data file `{file}` of {name} cannot be read"))
        .because(cause.causes().join(": "))
        .fact("table", format!("{} (v{})", stands.location(), stands.version()));
    Some(error)
}

impl Work<'_> {
    /// The data file of the table itself that caused `error`.
    pub(super) async fn broken_itself(&self, error: &Error) -> Option<String> {
        if !is_of_reading(error) {
            return None;
        }
        Some(self.current.as_ref()?.broken().await?.0)
    }

    /// The cause of `error`, if it is a data file: of the table itself, of a source, or of a source's older version.
    pub(super) async fn unreadable(&self, error: &Error) -> Option<Unreadable> {
        if let Some(current) = &self.current
            && let Some(found) = unreadable(error, self.job.table, current).await
        {
            return Some(Unreadable::Stands(found));
        }
        if let Some(found) = self.unreadable_source(error).await {
            return Some(Unreadable::Stands(found));
        }
        if !is_of_reading(error) {
            return None;
        }
        for standing in &self.standing.sources {
            let Some(consumed) = standing.consumed.filter(|v| *v < standing.current) else { continue };
            let Some(source) = self.job.sources.get(&standing.name) else { continue };
            let Ok(before) = source.at(consumed).await else { continue };
            if let Some((file, _)) = before.broken().await {
                let why = format!("`{file}` of v{consumed} cannot be read");
                return Some(Unreadable::Before(Lost { source: standing.name.to_string(), why }));
            }
        }
        None
    }

    /// The same for sources at the cut.
    pub(super) async fn unreadable_source(&self, error: &Error) -> Option<Error> {
        for (name, source) in &self.job.sources {
            let Some(table) = self.job.project.table(name) else { continue };
            if let Some(found) = unreadable(error, table, source).await {
                return Some(found);
            }
        }
        None
    }
}
