//! The checked definition of a project: the values that the rest of the tool uses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::datafusion::logical_expr::LogicalPlan;

use super::notes::Note;
use super::notify::Notify;
use super::reading::Reading;
use super::retention::Retention;
use crate::name::TableName;
use crate::source::{Fault, Place, SourceFile};
pub(crate) use crate::sql::Condition;
pub use crate::types::ColumnType;

/// A whole project. `tables` are in topological order: a table follows every table that it reads.
#[derive(Debug)]
pub struct Project {
    /// `name` of `stedi-delta.toml`.
    pub name: String,
    /// The project's folder.
    pub root: PathBuf,
    /// Zones in the order of data flow; every table is in one.
    pub zones: Vec<String>,
    /// Targets by name.
    pub targets: BTreeMap<String, Target>,
    /// By target, its environment variables that are not set.
    pub unset: BTreeMap<String, Vec<Fault>>,
    /// The default target.
    pub default_target: String,
    /// Most memory that the query engine and the writers may hold, in bytes.
    pub memory_limit: u64,
    /// Size at which a data file is closed and the next one started, in bytes.
    pub target_file_size: u64,
    /// The folder for spill files; `None` = the temporary folder of the operating system.
    pub spill_folder: Option<PathBuf>,
    /// Whether a sync merges small files of tables that do not say so themselves.
    pub auto_optimize: bool,
    /// Whether a sync unpins versions with rows of people whose consent has ended.
    pub unpin_on_withdrawal: bool,
    /// How long old versions stay, by `vacuum`.
    pub retention: Retention,
    /// Whom a sync tells of its result.
    pub notify: Option<Notify>,
    /// Landing and derived tables, and the `<table>_quarantine` tables of quarantining expectations on derived tables.
    pub tables: Vec<Table>,
    /// Files of `migrations/` by number.
    pub migrations: Vec<Migration>,
    /// Checksum of the paths and texts of all files of the project.
    pub checksum: String,
    /// `migrations/schema.json`, if there is one.
    pub schema: Option<Arc<SourceFile>>,
    /// Notes on queries and columns that Athena reads differently; empty if no target is in Glue. They are not faults.
    pub notes: Vec<Note>,
}

impl Project {
    /// The table of a name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|t| &t.name == name)
    }

    /// How long old versions of a table stay: by its own setting, that of its zone, or that of the project. The tool's own
    /// tables are none of the project's.
    #[must_use]
    pub fn history_of(&self, table: Option<&Table>) -> Duration {
        let own = table.and_then(|table| table.history);
        let of_zone = || self.retention.zones.get(&table?.zone).copied();
        own.or_else(of_zone).unwrap_or(self.retention.history)
    }

    /// Whether any column is classified `pii`.
    #[must_use]
    pub fn has_personal_data(&self) -> bool {
        self.tables.iter().any(|t| t.columns.iter().any(|c| c.pii))
    }
}

/// The roots of a project: a landing root and a warehouse root, each a folder or a URL, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Root of the landing files.
    pub landing: String,
    /// Root of the tables.
    pub warehouse: String,
    /// Database in the catalog.
    pub database: String,
    /// Access to its buckets.
    pub aws: AwsTarget,
    /// Set when the tables are registered in AWS Glue instead of the local catalog.
    pub glue: Option<Glue>,
}

/// Access to the buckets of a target. Credentials come from the environment, never from the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsTarget {
    /// AWS region.
    pub region: Option<String>,
    /// URL of a store like S3, if it is not Amazon's.
    pub endpoint: Option<String>,
    /// Encryption by the store: `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub sse: Option<String>,
    /// KMS key for it.
    pub kms_key_id: Option<String>,
}

/// `[targets.<name>.catalog.glue]`. Credentials come from the environment, never from the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glue {
    /// Glue database, if it is not the target's database.
    pub database: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// Account id of the catalog.
    pub catalog_id: Option<String>,
    /// URL of the service, for private endpoints and tests.
    pub endpoint: Option<String>,
}

/// A file `migrations/NNNN_label.sql`.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The number in its name, unique.
    pub number: u32,
    /// The rest of its name.
    pub label: String,
    /// Its text and place.
    pub file: Arc<SourceFile>,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// The file stem.
    pub name: TableName,
    /// The folder under `tables/`.
    pub zone: String,
    /// For people and for the catalog.
    pub description: String,
    /// Free labels to select by.
    pub tags: Vec<String>,
    /// `[properties]`: for other engines, in the log and in the catalog.
    pub properties: BTreeMap<String, String>,
    /// All columns, in order. A landing table's end with `source_file` and `source_offset`, and
    /// before these [`RESCUED`], if it has one.
    pub columns: Vec<Column>,
    /// Columns that identify a row; empty if none is declared.
    pub primary_key: Vec<String>,
    /// Columns by which rows are sorted within and across files.
    pub cluster_by: Vec<String>,
    /// Whether a sync merges its small files; `None` = as the project says.
    pub auto_optimize: Option<bool>,
    /// Checks on rows.
    pub expectations: Vec<Expectation>,
    /// Whose consent this table requires.
    pub consent: Option<Consent>,
    /// Folder or URL of the table when it is not `<warehouse>/<zone>/<table>`.
    pub location: Option<String>,
    /// How long its old versions stay, if it says so itself.
    pub history: Option<Duration>,
    /// The source of its rows.
    pub kind: TableKind,
    /// The `.toml` that defines it.
    pub file: Arc<SourceFile>,
}

impl Table {
    /// The Arrow schema of the table's rows.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// The landing part, if this is a landing table.
    #[must_use]
    pub fn landing(&self) -> Option<&Landing> {
        match &self.kind {
            TableKind::Landing(landing) => Some(landing),
            TableKind::Derived(_) => None,
        }
    }

    /// The derived part, if this is a derived table.
    #[must_use]
    pub fn derived(&self) -> Option<&Derived> {
        match &self.kind {
            TableKind::Derived(derived) => Some(derived),
            TableKind::Landing(_) => None,
        }
    }

    /// The derived table whose quarantine this is.
    #[must_use]
    pub fn quarantine_of(&self) -> Option<&TableName> {
        self.derived()?.quarantine_of.as_ref()
    }
}

/// The source of a table's rows.
#[derive(Debug)]
pub enum TableKind {
    /// Files. Boxed, as queries are: plans are large.
    Landing(Box<Landing>),
    /// A query.
    Derived(Box<Derived>),
}

/// Name of the landing and quarantine column that holds the file's path under the landing root.
pub(crate) const SOURCE_FILE: &str = "source_file";
/// Name of the landing and quarantine column that holds the record's byte offset in the decompressed file.
pub(crate) const SOURCE_OFFSET: &str = "source_offset";

pub(crate) use crate::name::RESCUED;

/// A landing table's source.
#[derive(Debug)]
pub struct Landing {
    /// Glob under the landing root; `*` stays within one folder, `**` crosses folders.
    pub path: String,
    /// Globs of excluded files.
    pub exclude: Vec<String>,
    /// The format of the files.
    pub format: Format,
    /// Files younger than this wait for the next sync; `None` = the store's default.
    pub min_age: Option<Duration>,
    /// How to treat a changed file.
    pub on_overwrite: OnOverwrite,
    /// Records of one sync that may go to quarantine; above it nothing of the table lands. `None` = any number.
    pub max_quarantined: Option<MaxQuarantined>,
    /// What becomes of fields that no column takes.
    pub on_new_field: OnNewField,
    /// How the declared columns come in records, in their order: all but those that are appended.
    pub readings: Vec<Reading>,
    /// Set on the table that is the record of consent.
    pub grants: Option<Grants>,
}

/// How many of a sync's records may go to quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxQuarantined {
    /// This many.
    Records(u64),
    /// This many millionths of the records read.
    Share(u64),
}

impl MaxQuarantined {
    /// Whether `quarantined` of `records` exceed it.
    #[must_use]
    pub fn is_exceeded(self, quarantined: u64, records: u64) -> bool {
        match self {
            Self::Records(most) => quarantined > most,
            Self::Share(millionths) => {
                u128::from(quarantined) * 1_000_000 > u128::from(records) * u128::from(millionths)
            }
        }
    }
}

impl std::fmt::Display for MaxQuarantined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records(most) => write!(f, "{most}"),
            Self::Share(millionths) => {
                let (whole, fraction) = (millionths / 10_000, millionths % 10_000);
                let fraction = format!("{fraction:04}");
                match fraction.trim_end_matches('0') {
                    "" => write!(f, "{whole} %"),
                    digits => write!(f, "{whole}.{digits} %"),
                }
            }
        }
    }
}

/// The format of landing files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON objects.
    Json,
}

/// What to do with fields of a record that no column takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNewField {
    /// Drop their values and say so.
    #[default]
    Warn,
    /// Put the record into quarantine.
    Quarantine,
    /// Drop their values.
    Ignore,
    /// Keep them in [`RESCUED`], as JSON.
    Rescue,
}

/// How to treat a file that changed after it was ingested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverwrite {
    /// Stop the table.
    Fail,
    /// Replace that file's rows in one commit.
    Replace,
}

/// A landing table as the record of consent.
#[derive(Clone, Debug)]
pub struct Grants {
    /// Columns by which derived tables may name a person; the first one identifies the person.
    pub subjects: Vec<String>,
    /// Condition on a record: true = the person has consented. NULL has not.
    pub granted: Condition,
    /// Columns that order a person's records; the greatest (NULL least) is the newest. On a tie the record that refuses
    /// decides.
    pub latest: Vec<String>,
}

/// A derived table's query.
#[derive(Debug)]
pub struct Derived {
    /// The text of the `.sql` file.
    pub sql: String,
    /// The query printed from its syntax tree: equal for texts that differ only in layout and comments. On
    /// `<table>_quarantine` it includes the condition of its rows.
    pub canonical_sql: String,
    /// The `.sql` file.
    pub sql_file: Arc<SourceFile>,
    /// Tables that the query names, in the order of the project's tables.
    pub sources: Vec<TableName>,
    /// What to do if the change cannot be computed incrementally.
    pub refresh: Policy,
    /// The place of `refresh` in the `.toml`.
    pub refresh_place: Option<Place>,
    /// The analysed plan of the table's rows: those of the query, and if the table has quarantining expectations, those
    /// that meet them all (on `<table>_quarantine`: the others). Its scans are bare table names over schema-only
    /// providers, and its output has exactly the names and types of the table's columns.
    pub plan: LogicalPlan,
    /// Set on `<table>_quarantine`: the table whose quarantining expectations these rows failed.
    pub quarantine_of: Option<TableName>,
}

/// How a derived table may be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Incremental where possible, else full.
    Auto,
    /// Stop rather than go full.
    Incremental,
    /// Always full.
    Full,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Lower-case name, as Athena shows it.
    pub name: String,
    /// One of the types of [`ColumnType`].
    pub column_type: ColumnType,
    /// Whether NULL may be stored.
    pub nullable: bool,
    /// For people and for the catalog.
    pub description: String,
    /// `classification = "pii"`: values never leave the data in clear.
    pub pii: bool,
    /// Of a struct that is classified for some of its fields only, the paths to the others. What queries take by these is not
    /// personal data.
    pub public: Vec<Vec<String>>,
}

impl Column {
    /// A nullable column without further properties.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self {
            name: name.into(),
            column_type,
            nullable: true,
            description: String::new(),
            pii: false,
            public: Vec::new(),
        }
    }

    /// The column as an Arrow field.
    #[must_use]
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.column_type.arrow(), self.nullable)
    }
}

/// A check on the rows of a table.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Unique within the table.
    pub name: String,
    /// Condition on a row; a row fails unless it is true.
    pub check: Condition,
    /// The action for a failing row.
    pub action: Action,
}

/// The action for a failing row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Count it and warn.
    Warn,
    /// Move the row to `<table>_quarantine`.
    Quarantine,
    /// Stop the table before the commit, exit 3.
    Fail,
}

/// The consent that a derived table requires.
#[derive(Clone, Debug)]
pub struct Consent {
    /// The column of this table that names the person.
    pub subject: String,
    /// The landing table with `[grants]`.
    pub grants: TableName,
    /// The subject column of the grants table to which the values of `subject` refer.
    pub names: String,
    /// The expression over that column whose values `subject` holds: a pseudonym. `None` = those of the column itself.
    pub by: Option<Condition>,
}
