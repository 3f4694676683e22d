//! What a sync would do: the plan that is shown, and the one that is saved in a file.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Drift, MigrationOutcome, Mode, Rows, Warning};
use crate::error::Error;
pub use crate::migration::{SchemaChange, SchemaChangeKind};
use crate::name::TableName;
use crate::shape::{Shape, Shapes, document};

/// What a sync would do with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Stop with an error.
    Stop,
    /// Skip it, because a table that it reads stops.
    Skip,
    /// Bring it up to date in this mode.
    #[serde(untagged)]
    Do(Mode),
}

impl Shape for Action {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "anyOf": [{ "type": "string", "enum": ["stop", "skip"] }, Mode::shape(shapes)] })
    }
}

impl Action {
    /// Its name in documents and in saved plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
            Self::Do(Mode::None) => "none",
            Self::Do(Mode::Ingest) => "ingest",
            Self::Do(Mode::Full) => "full",
            Self::Do(Mode::Incremental) => "incremental",
            Self::Do(Mode::Check) => "check",
            Self::Do(Mode::Metadata) => "metadata",
        }
    }
}

/// The amount of data that a refresh would process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Inserted and deleted rows of its sources; all their rows for a full refresh. `None` = not known yet.
    pub rows: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// It is an upper bound, because it depends on tables above.
    pub at_most: bool,
}

/// One operator of a query, and its delta rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Depth in the plan, 0 for the last operator.
    pub depth: usize,
    /// Its description: `filter: o.price < 5`.
    pub operator: String,
    /// The rule.
    pub rule: String,
}

document! {
/// The time that a refresh in one mode is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModeTime {
    /// In ms, by the sizes of sources, changes and table.
    pub estimated_ms: u64,
    /// The same, corrected by recent refreshes of the table: what decides.
    pub expected_ms: u64,
    /// Recent refreshes in this mode.
    pub refreshes: u64,
    /// The mean of their times in ms; 0 without any.
    pub mean_ms: u64,
}
}

/// How a query's change is computed, or why it cannot be computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The plan, outermost operator first; empty if the query has no derivative.
    pub operators: Vec<Operator>,
    /// Why it has none.
    pub reasons: Vec<String>,
    /// Bytes that an incremental and a full refresh would read and write, if both are known.
    pub costs: Option<(u64, u64)>,
    /// The times of both.
    pub times: Option<(ModeTime, ModeTime)>,
}

document! {
/// The data files that migrations write anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    /// Pending statements on the table: each writes all of its rows.
    pub statements: u64,
    /// Bytes of the table's data files, once per statement.
    pub bytes: u64,
}
}

/// The computed change of a table, without the landing files that are pending.
#[derive(Debug)]
pub struct Computed {
    /// How it was computed.
    pub mode: Mode,
    /// Why so.
    pub reason: String,
    /// Rows inserted, updated and deleted, compared with the table as it stands.
    pub rows: Rows,
    /// Failed `warn` expectations, and drift.
    pub warnings: Vec<Warning>,
    /// Why the sync would not commit it.
    pub verdict: Verdict,
}

/// Whether a sync would commit a computed change.
#[derive(Debug)]
pub enum Verdict {
    /// Expectations, keys and consent hold.
    Holds,
    /// It would be refused, or cannot be computed.
    Refused(Error),
    /// This table, which it reads, would be refused.
    Skipped(TableName),
}

/// One table in a plan.
#[derive(Debug)]
pub struct TablePlan {
    /// Its name.
    pub table: TableName,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Current version; `None` = not created.
    pub version: Option<u64>,
    /// What a sync would do.
    pub action: Action,
    /// Tables that change first, so that the action is a prediction; in the order of the project.
    pub after: Vec<TableName>,
    /// Whether all of these are landing tables.
    pub after_ingest: bool,
    /// The reason.
    pub reason: String,
    /// The amount of data to process.
    pub estimate: Option<Estimate>,
    /// Changes of its columns; none for a table to be created.
    pub schema: Vec<SchemaChange>,
    /// What migrations write anew.
    pub rewrite: Option<Rewrite>,
    /// Its change, if requested.
    pub computed: Option<Computed>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Warnings: drift.
    pub warnings: Vec<Warning>,
    /// Files that a sync would leave out, with an error.
    pub left_out: Vec<Error>,
    /// How the change is computed, if requested.
    pub explanation: Option<Explanation>,
    /// Why it stops.
    pub problem: Option<Error>,
}

/// What a sync would do.
#[derive(Debug)]
pub struct PlanOutcome {
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// Landing root, as given.
    pub landing: String,
    /// Warehouse root, as given.
    pub warehouse: String,
    /// Selected landing and derived tables, by zone and within a zone in the order of data flow.
    pub tables: Vec<TablePlan>,
    /// Migrations with pending statements.
    pub migrations: Vec<MigrationOutcome>,
    /// What the sync would do in the catalog.
    pub catalog: CatalogPlan,
    /// The plan for a file.
    pub saved: SavedPlan,
    /// Why the changes of tables could not be computed, if they were requested.
    pub problem: Option<Error>,
}

impl PlanOutcome {
    /// Pending statements that rename or drop tables, each with its migration.
    #[must_use]
    pub fn moves(&self) -> Vec<String> {
        let of = |migration: &MigrationOutcome| {
            let name = format!("{:04}_{}", migration.number, migration.label);
            let moves = migration.statements.iter().filter(|statement| statement.moved.is_some());
            moves.map(|statement| format!("migration {name}: {}", statement.text)).collect::<Vec<_>>()
        };
        self.migrations.iter().flat_map(of).collect()
    }
}

/// What a sync would do in the catalog.
#[derive(Debug, Default)]
pub struct CatalogPlan {
    /// The name of the catalog.
    pub catalog: String,
    /// Database in it.
    pub database: String,
    /// Entries that change.
    pub changes: Vec<CatalogChange>,
    /// Entries of tables that left the project: they stay.
    pub left: Vec<String>,
    /// Why the catalog could not be read.
    pub problem: Option<Error>,
}

/// A catalog entry that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogChange {
    /// The table.
    pub table: String,
    /// What a sync does.
    pub change: EntryChange,
    /// Fields of an existing entry that differ.
    pub fields: Vec<Drift>,
}

document! {
/// What a sync does with a catalog entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryChange {
    /// It adds the entry.
    Create,
    /// It updates the entry.
    Update,
    /// It removes the entry: a migration renames or drops the table.
    Remove,
    /// It fails: the entry belongs to another table, or describes no Delta table.
    Refuse,
}
}

/// A plan in a file: what a sync has to find in order to apply it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// [`SavedPlan::FORMAT`].
    pub format: String,
    /// The version of the program that made it.
    pub program: String,
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// URL of the landing root.
    pub landing: String,
    /// URL of the warehouse root.
    pub warehouse: String,
    /// Selectors; empty = all tables.
    pub select: Vec<String>,
    /// Migrations that the lake does not record yet.
    pub migrations: Vec<SavedMigration>,
    /// Every selected table, quarantines of derived tables included.
    pub tables: Vec<SavedTable>,
}

impl SavedPlan {
    /// The format of the file. The number changes with the meaning of a key.
    pub const FORMAT: &str = "stedi-delta-plan/1";
}

/// A migration in a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedMigration {
    /// `0001_label`.
    pub migration: String,
    /// BLAKE3 of its text, as in the journal.
    pub checksum: String,
    /// Numbers of its pending statements, from 1.
    pub statements: Vec<usize>,
}

/// A table in a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTable {
    /// Its name.
    pub table: String,
    /// URL or absolute path.
    pub location: String,
    /// BLAKE3 of the text of its definition and query.
    pub definition: String,
    /// Delta id; `null` = not created.
    pub id: Option<String>,
    /// Version; `null` = not created.
    pub version: Option<u64>,
    /// Number of the newest batch in the ledger; `null` for derived tables.
    pub batch: Option<i64>,
    /// What the sync does, as in `plan/1`.
    pub action: String,
    /// Landing files, in the state in which they land.
    pub files: Vec<PlannedFile>,
}

/// A landing file in a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// Path under the landing root.
    pub path: String,
    /// Bytes, as stored.
    pub size: u64,
    /// The store's entity tag.
    pub etag: Option<String>,
    /// When the store last saw it change, ms since the epoch.
    pub modified_ms: i64,
}
