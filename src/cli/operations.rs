//! What the commands ask of the lake.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;

use crate::error::Result;
use crate::look::Answer;
use crate::outcome::{CatalogOutcome, HistoryEntry, PlanOutcome, StatusOutcome, SyncOutcome, TableOutcome};
use crate::progress::Progress;

/// Which lake to open.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Project folder.
    pub root: PathBuf,
    /// Target name; `None` = the project's default.
    pub target: Option<String>,
    /// Landing root instead of the target's.
    pub landing: Option<String>,
    /// Warehouse root instead of the target's.
    pub warehouse: Option<String>,
    /// Print personal data in clear.
    pub reveal: bool,
    /// Id of this run: of its events, commits and document.
    pub run: String,
}

/// What a sync is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// Tables, with all that they read; empty = all.
    pub select: Vec<String>,
    /// Compute derived tables from scratch.
    pub full_refresh: bool,
    /// Compare every derived table with its query.
    pub verify: bool,
    /// `TABLE` or `TABLE:PATH` to read again.
    pub reload: Vec<String>,
    /// `TABLE:PATH` to take out.
    pub unload: Vec<String>,
}

/// Opens a lake: loads and checks the project and connects to its stores.
#[async_trait]
pub trait Open: Send + Sync {
    /// The operations of a lake, which report to `progress` while they run.
    ///
    /// # Errors
    /// The project has faults, there is no such target, or its stores cannot be reached.
    async fn open(&self, settings: Settings, progress: Arc<dyn Progress>) -> Result<Box<dyn Operations>>;
}

/// One open lake.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Brings tables to the newest cut. Failures are in the outcome.
    async fn sync(&self, options: SyncOptions) -> SyncOutcome;

    /// Where every table stands.
    ///
    /// # Errors
    /// The stores cannot be read.
    async fn status(&self) -> Result<StatusOutcome>;

    /// What a sync of these tables would do; with `explain`, also by which rules. Writes nothing.
    ///
    /// # Errors
    /// A selector selects nothing, or the stores cannot be read.
    async fn plan(&self, select: &[String], explain: bool) -> Result<PlanOutcome>;

    /// The rows of a query, as they come.
    ///
    /// # Errors
    /// The query is wrong or cannot be run.
    async fn query(&self, sql: &str) -> Result<Answer>;

    /// The newest versions of a table, newest first.
    ///
    /// # Errors
    /// There is no such table, or its log cannot be read.
    async fn history(&self, table: &str, limit: usize) -> Result<Vec<HistoryEntry>>;

    /// Quarantined records of one table or of all.
    ///
    /// # Errors
    /// There is no such table, or its quarantine cannot be read.
    async fn quarantine(&self, table: Option<&str>, limit: usize) -> Result<Vec<RecordBatch>>;

    /// The catalog compared with logs and definitions.
    ///
    /// # Errors
    /// The catalog or a log cannot be read.
    async fn catalog_check(&self) -> Result<CatalogOutcome>;

    /// Makes the catalog equal to the logs; `relocate` points entries here that lead to other tables, `prune` drops
    /// those of tables that left the project.
    ///
    /// # Errors
    /// The catalog or a log cannot be read, or an entry cannot be dropped.
    async fn catalog_register(&self, relocate: bool, prune: bool) -> Result<CatalogOutcome>;

    /// Reads the quarantined records of a landing table again.
    ///
    /// # Errors
    /// There is no such table, or its stores cannot be reached.
    async fn replay(&self, table: &str) -> Result<TableOutcome>;
}
