//! The results of operations: plain facts, in the order in which people need them. `cli` formats them as text and JSON;
//! nothing here prints.

mod audit;
mod digest;
mod history;
mod pin;
mod lineage;
mod membership;
mod optimize;
mod plan;
mod report;
mod vacuum;
mod testing;
mod versions;

use std::ops::AddAssign;
use std::time::Duration;

pub use crate::definition::column_lineage::ColumnUse;
use crate::error::Error;
use crate::migration::Move;
use crate::name::TableName;
use crate::shape::document;
pub use audit::{
    ConsentAudit, ConsentAudits, ConsentVerdict, ConsentVersion, Offender, VerifyAudit, VerifyAudits, VerifyVerdict,
};
pub use digest::{Begun, DigestAudit, DigestNotice};
pub use history::{History, HistoryEntry, RestoreOutcome};
pub use lineage::{ColumnInput, ColumnLineage, LandingFile, LineageEdge, LineageOutcome, LineageTable};
pub use membership::{
    Explained, MembershipOutcome, Record, Role, SourceRow, SourceRows, Stretch, Subject, Unknown, VersionRows,
    VersionTime,
};
pub use optimize::{OptimizeOutcome, OptimizedTable};
pub use pin::{Pin, PinNotice, PinOutcome, PinStatus};
pub use plan::{
    Action, CatalogChange, CatalogPlan, Computed, EntryChange, Estimate, Explanation, ModeTime, Operator, PlanOutcome,
    PlannedFile, Rewrite, SavedMigration, SavedPlan, SavedTable, SchemaChange, SchemaChangeKind, TablePlan, Verdict,
};
pub use report::{
    LakeReport, ReportedConsent, ReportedMigration, ReportedPin, ReportedTable, ReportedVerification, ReportedVersion,
};
pub use testing::{RowDifference, TestFailure, TestOutcome, TestResult, TestedChange};
pub use vacuum::{Files, Freed, VacuumOutcome, VacuumTable};
pub use versions::{
    DescribeOutcome, DescribedColumn, DescribedExpectation, DiffColumn, DiffFiles, DiffOutcome, DiffRows, DiffVersion,
    LakeDiffOutcome, LakeDiffTable,
};

document! {
/// How a table was brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing was committed.
    None,
    /// Files were ingested.
    Ingest,
    /// The query was recomputed.
    Full,
    /// The change was computed from the inputs' changes.
    Incremental,
    /// All rows were checked by changed expectations; none changed.
    Check,
    /// The log says something else of the table, such as a comment of a column; no row changed.
    Metadata,
}
}

document! {
/// Rows changed by an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rows {
    /// New rows.
    #[serde(rename = "rows_inserted")]
    pub inserted: u64,
    /// Rows whose primary key stayed and whose values changed.
    #[serde(rename = "rows_updated")]
    pub updated: u64,
    /// Deleted rows.
    #[serde(rename = "rows_deleted")]
    pub deleted: u64,
    /// Records put into quarantine.
    #[serde(rename = "rows_quarantined")]
    pub quarantined: u64,
}
}

impl AddAssign for Rows {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.quarantined += other.quarantined;
    }
}

/// Files and bytes read and written by an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Landing files (ingest) or data files of sources (refresh) read.
    pub files_read: u64,
    /// Data files added.
    pub files_added: u64,
    /// Data files removed: rewritten or dropped.
    pub files_removed: u64,
    /// Data files of the table before this run.
    pub files_before: u64,
    /// Rows of data files that a refresh decoded.
    pub rows_read: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes of data files written.
    pub bytes_written: u64,
    /// Time of a refresh, by phase.
    pub phases: Phases,
}

/// Time of a refresh, by phase, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Reading and computing: the change, or the whole result and its difference to the table.
    pub compute: u64,
    /// Writing: files of the table that change, new files, and the change data feed.
    pub write: u64,
    /// Expectations, primary keys and consent.
    pub check: u64,
}

impl Phases {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.compute.saturating_add(self.write).saturating_add(self.check)
    }
}

impl AddAssign for Io {
    /// Adds later work on the same table: `files_before` is that of the later one.
    fn add_assign(&mut self, other: Self) {
        self.files_read += other.files_read;
        self.files_added += other.files_added;
        self.files_removed += other.files_removed;
        self.files_before = other.files_before;
        self.rows_read += other.rows_read;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.phases.compute += other.phases.compute;
        self.phases.write += other.phases.write;
        self.phases.check += other.phases.check;
    }
}

/// The result of a sync for one table.
#[derive(Debug)]
pub struct TableOutcome {
    /// Its name.
    pub table: TableName,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Version before this run; `None` = it did not exist.
    pub version_before: Option<u64>,
    /// Version after this run; `None` = it does not exist yet.
    pub version_after: Option<u64>,
    /// How it was brought up to date.
    pub mode: Mode,
    /// Why this mode: `first build`, `the query changed`, `3 new files`, ...; may be empty.
    pub reason: String,
    /// Rows inserted, updated, deleted and quarantined.
    pub rows: Rows,
    /// Files and bytes.
    pub io: Io,
    /// Wall-clock time.
    pub elapsed: Duration,
    /// Files that wait because they are younger than `min_age`, or another reason to sync again.
    pub waiting: Vec<String>,
    /// Warnings: unknown fields, quarantined records, failed `warn` expectations, ... Each one line, no personal data.
    pub warnings: Vec<Warning>,
    /// Landing files that could not be read although they should be. The table is at the cut of the others; the run
    /// fails.
    pub left_out: Vec<Error>,
    /// The comparison of its rows with its query, if requested.
    pub verified: Option<Verified>,
    /// Why the table is not at the cut, if it is not.
    pub problem: Option<Problem>,
}

impl TableOutcome {
    /// The outcome of a table that was not processed.
    #[must_use]
    pub fn untouched(table: TableName, zone: impl Into<String>, location: impl Into<String>) -> Self {
        Self {
            table,
            zone: zone.into(),
            location: location.into(),
            version_before: None,
            version_after: None,
            mode: Mode::None,
            reason: String::new(),
            rows: Rows::default(),
            io: Io::default(),
            elapsed: Duration::ZERO,
            waiting: Vec::new(),
            warnings: Vec::new(),
            left_out: Vec::new(),
            verified: None,
            problem: None,
        }
    }
}

document! {
/// A derived table compared with its query over the versions that it records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Rows of its query that it lacks.
    pub rows_missing: u64,
    /// Rows that it holds and its query does not.
    pub rows_extra: u64,
    /// How the query was planned for the comparison.
    pub planner: VerifiedBy,
}
}

document! {
/// The kind of plan with which a table was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedBy {
    /// As written, without the optimizer's optional rules and without pushdown: another plan than the refresh's.
    PlainPlan,
    /// By the planner of the refresh, since this query cannot run without its rules.
    SamePlanner,
    /// The two plans disagree: the query engine is wrong in one of them. The counts are those of the plain plan.
    PlannersDisagree,
}
}

impl Verified {
    /// Whether table and query have the same rows.
    #[must_use]
    pub fn is_equal(self) -> bool {
        self.rows_missing + self.rows_extra == 0
    }
}

/// A problem that did not stop the table.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What happened, as a lower-case fragment.
    pub message: String,
    /// Details, one per line.
    pub details: Vec<String>,
    /// The next thing to type.
    pub help: Option<String>,
}

/// Part of the warning about quarantined records of a table with `[grants]`.
pub const UNREAD_CONSENT: &str = "of the record of consent could not land";

impl Warning {
    /// Whether it is reported before all others: consent may have ended without effect.
    #[must_use]
    pub fn comes_first(&self) -> bool {
        self.message.contains(UNREAD_CONSENT)
    }
}

/// Why a table is not at the cut.
#[derive(Debug)]
pub enum Problem {
    /// It failed.
    Failed(Error),
    /// A table that it reads failed or was skipped; that table's name.
    Skipped(TableName),
}

/// The result of a sync.
#[derive(Debug)]
pub struct SyncOutcome {
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// Landing root, as given.
    pub landing: String,
    /// Warehouse root, as given.
    pub warehouse: String,
    /// Run id.
    pub run: String,
    /// Start time, ms since the epoch.
    pub started_ms: i64,
    /// Wall-clock time.
    pub elapsed: Duration,
    /// Landing and derived tables in the order of the project.
    pub tables: Vec<TableOutcome>,
    /// Subjects whose grant ended between the consumed cut and this one, over all grants tables.
    pub grants_ended: u64,
    /// Tables with consent that were checked and hold no row of the subjects whose grant ended.
    pub grants_ended_tables: u64,
    /// A failure of the run that does not belong to a table.
    pub problem: Option<Error>,
    /// Catalog entries created or updated.
    pub registered: u64,
    /// Tables that the catalog has under this warehouse, but the project no longer has.
    pub left: Vec<String>,
    /// The name of the catalog.
    pub catalog: String,
    /// Migrations of which this run applied a statement.
    pub migrations: Vec<MigrationOutcome>,
    /// Pins with people whose consent has ended, if consent changed in this run.
    pub pins: Vec<PinNotice>,
    /// Digests of tables that were computed by a scan, or not at all.
    pub digests: Vec<DigestNotice>,
    /// Tables of which files were merged afterwards, or should have been.
    pub optimized: Vec<OptimizedTable>,
    /// What a vacuum could free at most, of tables whose folders were looked at.
    pub freeable: Files,
}

document! {
/// One field in which a catalog entry differs from its expected value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Drift {
    /// Path of the field in Glue's format: `StorageDescriptor.Columns.email.Type`.
    pub field: String,
    /// The value found; `None` = none.
    pub found: Option<String>,
    /// The expected value; `None` = none.
    pub expected: Option<String>,
}
}

document! {
/// The state of a catalog entry relative to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// The entry matches the log.
    Equal,
    /// The table has no entry.
    Missing,
    /// The entry differs.
    Differs,
    /// The entry points to another table.
    Elsewhere,
    /// An entry of that name describes something that is not a Delta table.
    Foreign,
    /// Neither exists yet.
    NotCreated,
    /// There is an entry, but no table.
    Gone,
    /// The table's log cannot be read.
    Unreadable,
    /// The entry's table left the project.
    Left,
    /// The entry was added by this command.
    Created,
    /// The entry was brought up to date by this command.
    Updated,
    /// The entry was dropped by this command.
    Dropped,
}
}

/// One table in a catalog.
#[derive(Clone, Debug)]
pub struct EntryOutcome {
    /// Its name.
    pub table: String,
    /// URL or absolute path of the table.
    pub location: String,
    /// The state of the entry.
    pub state: EntryState,
    /// Fields of the entry that differ.
    pub drift: Vec<Drift>,
    /// Other problems: the log differs from the declaration, or engines cannot read the table.
    pub notes: Vec<String>,
}

impl EntryOutcome {
    /// Whether nothing needs to be done.
    #[must_use]
    pub fn is_even(&self) -> bool {
        let settled = [EntryState::Equal, EntryState::Created, EntryState::Updated, EntryState::Dropped];
        settled.contains(&self.state) && self.notes.is_empty()
    }
}

/// A catalog's content for a project, compared with logs and definitions.
#[derive(Debug)]
pub struct CatalogOutcome {
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// The name of the catalog.
    pub catalog: String,
    /// Database in it.
    pub database: String,
    /// Tables in the order of the project, quarantines after their tables, then tables that left it.
    pub entries: Vec<EntryOutcome>,
    /// The error that stopped the command.
    pub problem: Option<Error>,
}

/// One table in `status`.
#[derive(Debug)]
pub struct TableStatus {
    /// Its name.
    pub table: TableName,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Current version; `None` = not created.
    pub version: Option<u64>,
    /// Rows at that version, from file statistics.
    pub rows: Option<u64>,
    /// Data files at that version.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// When that version was committed, ms since the epoch.
    pub committed_ms: Option<i64>,
    /// Records in quarantine.
    pub rows_in_quarantine: u64,
    /// The table that holds them, of a derived table.
    pub quarantine: Option<TableName>,
    /// Entries of its log that hold personal data as bounds, written before these were omitted.
    pub personal_log_entries: u64,
    /// What a sync would do: `2 new files`, `customer_trusted is at v4, consumed v3`, ...; empty if at the cut.
    pub pending: Vec<String>,
    /// Tables above it that are behind, so that it is behind too.
    pub behind: Vec<TableName>,
    /// Files that a sync would leave out with an error, as one line; it stops nothing.
    pub left_out: Option<String>,
    /// The problem that stops it, as one line.
    pub problem: Option<String>,
}

/// All tables in `status`.
#[derive(Debug)]
pub struct StatusOutcome {
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// Landing root, as given.
    pub landing: String,
    /// Warehouse root, as given.
    pub warehouse: String,
    /// Landing and derived tables in the order of the project.
    pub tables: Vec<TableStatus>,
    /// All pins.
    pub pins: Vec<PinStatus>,
    /// The migrations with pending statements.
    pub migrations: Vec<MigrationOutcome>,
    /// Why migrations stop a sync.
    pub problem: Option<Error>,
}

/// `81,273`.
#[must_use]
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `812 B`, `31.0 KB`, `1.9 MB`: powers of 1024.
#[must_use]
pub fn sized(value: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if value < 1024 {
        return format!("{value} B");
    }
    // Tenths of the unit, so that 1,023.97 KB becomes 1.0 MB and not 1024.0 KB.
    let mut tenths = (u128::from(value) * 10 + 512) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        unit += 1;
        let size = 1_u128 << (10 * (unit + 1));
        tenths = (u128::from(value) * 10 + size / 2) / size;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How far a migration is in a lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// Some of its statements are still to be applied, and none has been.
    Pending,
    /// It was begun, and not all of its statements are applied.
    Begun,
    /// All of its statements are applied.
    Applied,
    /// The tables were created with its changes.
    Included,
}

impl MigrationState {
    /// Whether the lake has all of the migration.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Applied | Self::Included)
    }
}

/// A statement of a migration that was applied, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementOutcome {
    /// Its number within the migration, from 1.
    pub number: usize,
    /// Its text on one line, without the expression after `using`.
    pub text: String,
    /// The table that it changes.
    pub table: String,
    /// That table's id; `None` = it does not exist yet.
    pub table_uuid: Option<String>,
    /// Its version before; `None` = not known any more.
    pub version_before: Option<u64>,
    /// The version that the statement made; `None` = it made none.
    pub version_after: Option<u64>,
    /// Bytes of the data files that it reads.
    pub bytes_read: u64,
    /// Bytes of the data files that it wrote.
    pub bytes_written: u64,
    /// The table's folder and its name from then on, of a table that is renamed or dropped.
    pub moved: Option<Move>,
    /// Whether it is pending, and a sync carries it out with its own work.
    pub needs_sync: bool,
}

/// A migration and how it stands in a lake.
#[derive(Clone, Debug)]
pub struct MigrationOutcome {
    /// Its number.
    pub number: u32,
    /// The rest of its name.
    pub label: String,
    /// How far it is.
    pub state: MigrationState,
    /// When that was recorded, ms since the epoch; `None` = it is not in the journal.
    pub recorded_ms: Option<i64>,
    /// The run that recorded it.
    pub run: Option<String>,
    /// Its statements: the pending ones of a pending migration, the applied ones of an applied one.
    pub statements: Vec<StatementOutcome>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands() {
        let texts = [0, 7, 999, 1_000, 1_234_567].map(number);
        assert_eq!(texts, ["0", "7", "999", "1,000", "1,234,567"]);
    }
}
