//! Landing files -> rows of a landing table, each file exactly once, although landing, quarantine and ledger are
//! different tables.
//!
//! | step | action | module |
//! |---|---|---|
//! | recover | carries out a batch that an earlier run decided and did not finish | [`recover`] |
//! | plan | compares landing files with the ledger | [`pending`] |
//! | write | reads files; rows and quarantined records become uncommitted data files | `write`, [`format`](mod@format) |
//! | decide | one ledger commit with the rows of all files, and a write-ahead log of each batch | [`Ledger`] |
//! | carry out | the quarantine commit, then the landing commit | `finish` |
//!
//! A crash before the fourth step leaves orphan files only; after it the next run first recovers. [`land`] takes a
//! table through a sync, [`replay`] reads quarantined records again.

mod discover;
mod expect;
mod fields;
mod finish;
pub(crate) mod format;
mod json;
mod land;
mod ledger;
mod locate;
mod notes;
mod parse;
mod pending;
mod quarantine;
mod recover;
mod replay;
mod schema_diff;
mod write;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub(crate) use discover::{Patience, covers, list_folder, matching};
pub(crate) use json::fits;
pub(crate) use land::{Landed, land};
pub(crate) use ledger::FOLDER as LEDGER_FOLDER;
pub use ledger::{Batch, FileRow, Ledger};
pub(crate) use locate::{Located, locate};
pub(crate) use parse::workers;
pub use pending::Reload;
pub(crate) use pending::{Asked, Files, Pending, PlannedFiles, pending};
pub use quarantine::{count as count_quarantined, list as list_quarantined};
pub(crate) use recover::{TableState, promised, settle, state_of};
pub(crate) use replay::replay;
pub(crate) use schema_diff::{Declared, SchemaDiff, check_schema, lacking_migration};

use crate::definition::{Format, Table};
use crate::privacy::Privacy;
use crate::progress::{Event, Progress};
use crate::storage::Location;

/// A landing table with its locations and settings.
#[derive(Clone, Debug)]
pub struct LandingContext<'a> {
    /// Its definition.
    pub table: &'a Table,
    /// Root of the landing files.
    pub root: Location,
    /// Folder of the table.
    pub location: Location,
    /// Folder of its quarantine table.
    pub quarantine: Location,
    /// Size at which data files are closed.
    pub target_file_size: u64,
    /// One permit per file that may be read at a time, see [`workers`].
    pub workers: Arc<Semaphore>,
    /// Run id, for the log.
    pub run: String,
    /// Number of the newest migration.
    pub migration: i64,
    /// How names of fields appear in warnings.
    pub privacy: Privacy,
}

impl LandingContext<'_> {
    /// The format of its files.
    fn format(&self) -> Format {
        self.table.landing().map_or(Format::Json, |landing| landing.format)
    }
}

/// Reports the progress of a landing table.
pub(crate) struct Report<'a> {
    /// The table.
    pub table: &'a Table,
    /// The receiver.
    pub progress: &'a dyn Progress,
}

impl Report<'_> {
    /// Reports that there is no file that the table has not.
    pub(crate) fn found_nothing(&self) {
        self.counted((0, 0), 0);
    }

    fn counted(&self, (new, replaced): (usize, usize), waiting: usize) {
        let event = Event::info("files.found").with("table", self.table.name.as_str()).with("zone", &self.table.zone);
        self.progress.event(&event.with("new", new).with("replaced", replaced).with("waiting", waiting));
    }

    fn says(&self, what: &str) {
        self.progress.table(self.table.name.as_str(), what);
    }

    /// Reports the files found under the table's path.
    fn found(&self, pending: &Pending) {
        let (new, replaced) = pending.counts();
        self.counted((new, replaced), pending.waiting.len());
        if new + replaced > 0 {
            self.says(&format!("reading {} files", new + replaced));
        }
    }
}
