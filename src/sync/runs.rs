//! The system table `runs`: one row per sync that committed something, with the versions of all tables.
//!
//! For people and audits. A sync reads only its newest commit's `txn`, to check whether that row is still current.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::Schema;

use crate::clock;
use crate::definition::{Column, ColumnType};
use crate::error::{Context, Result};
use crate::lake::{Commit, LakeTable, SystemTable, app};
use crate::retry;
use crate::storage::Location;

/// Under the warehouse root.
pub const FOLDER: &str = "system/runs";

/// One run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// Its id.
    pub id: &'a str,
    /// Start time, ms since the epoch.
    pub started_ms: i64,
    /// `ok` or `failed`.
    pub status: &'a str,
    /// Table -> id and current version.
    pub standing: &'a BTreeMap<String, (String, u64)>,
}

/// Records the run unless the newest row already has the current versions; returns the table if it did.
///
/// # Errors
/// When the table cannot be read or written.
pub(super) async fn record(warehouse: &Location, run: &Run<'_>) -> Result<Option<LakeTable>> {
    let location = warehouse.join(FOLDER);
    let mark = mark(run);
    let add = || async {
        let table = LakeTable::open(&location).await?;
        if table.as_ref().is_some_and(|t| t.state().txns.get(app::STANDING) == Some(&mark)) {
            return Ok(None);
        }
        write(&location, table, run, mark).await.map(Some)
    };
    let added = retry::RUN.until_no_conflict(add).await;
    // With that many conflicts, another sync's row has newer versions than ours would.
    if retry::is_conflict(&added) { Ok(None) } else { added }
}

async fn write(location: &Location, table: Option<LakeTable>, run: &Run<'_>, mark: i64) -> Result<LakeTable> {
    let doing = || "a run cannot be recorded".to_owned();
    let fields: Vec<_> = columns().iter().map(Column::field).collect();
    let schema = Arc::new(Schema::new(fields));
    let versions: BTreeMap<&str, u64> = run.standing.iter().map(|(name, (_, v))| (name.as_str(), *v)).collect();
    let versions = serde_json::to_string(&versions).context(doing)?;
    let ids: BTreeMap<&str, &str> = run.standing.iter().map(|(name, (id, _))| (name.as_str(), id.as_str())).collect();
    let ids = serde_json::to_string(&ids).context(doing)?;
    let time = |ms: i64| Arc::new(TimestampMicrosecondArray::from(vec![ms * 1000]).with_timezone("UTC"));
    let row = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from(vec![run.id])),
            time(run.started_ms),
            time(clock::now_ms()),
            Arc::new(StringArray::from(vec![run.status])),
            Arc::new(StringArray::from(vec![versions])),
            Arc::new(StringArray::from(vec![ids])),
        ],
    );
    let commit = Commit {
        txns: BTreeMap::from([(app::STANDING.to_owned(), mark)]),
        info: BTreeMap::from([("stediDelta".to_owned(), serde_json::json!({"run": run.id}))]),
        ..Commit::default()
    };
    let runs = SystemTable { name: "runs", description: "Syncs that changed something", columns: columns() };
    runs.append((location, table.as_ref()), &row.context(doing)?, commit, run.id).await
}

/// 63 bits over the current versions.
fn mark(run: &Run<'_>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for (name, (uuid, version)) in run.standing {
        hasher.update(format!("{name} {uuid} {version}\n").as_bytes());
    }
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first) & i64::MAX
}

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type| Column { nullable: false, ..Column::new(name, column_type) };
    vec![
        column("run", ColumnType::String),
        column("started_at", ColumnType::Timestamp),
        column("ended_at", ColumnType::Timestamp),
        column("status", ColumnType::String),
        column("versions", ColumnType::String),
        // Rows of older versions of this tool have none.
        Column::new("ids", ColumnType::String),
    ]
}
