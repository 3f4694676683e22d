//! The system table `runs`: one row per sync that committed something, with the versions of all tables.
//!
//! For people and audits. A sync reads its newest commit's `txn`s, to check whether that row is still current; with a key for
//! digests, one that adds a row also reads the newest row.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::Schema;

use super::digests::digests;
use crate::clock;
use crate::definition::{Column, ColumnType};
use crate::digest::DigestKey;
use crate::error::{Context, Result};
use crate::lake::{Commit, LakeTable, SystemTable, app, newest_commit};
use crate::name::TableName;
use crate::outcome::DigestNotice;
use crate::retry;
use crate::storage::Location;
use crate::version_digest::Entry;
use crate::workspace::Workspace;

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
    /// Whether it has committed to no table.
    pub is_still: bool,
    /// The tables at their current versions.
    pub standing: &'a BTreeMap<TableName, LakeTable>,
}

/// Records the run unless the newest row already has the current versions, with their digests if there is a key. Returns
/// the table if it did, and what should be said of digests.
///
/// # Errors
/// When the table cannot be read or written.
pub(super) async fn record(workspace: &Workspace, run: &Run<'_>) -> Result<(Option<LakeTable>, Vec<DigestNotice>)> {
    let location = workspace.warehouse.join(FOLDER);
    let mark = mark(run);
    let key = DigestKey::of(&workspace.privacy);
    let is_current = |txns: &BTreeMap<String, i64>| {
        let has = |app_id: &str, value: i64| txns.get(app_id) == Some(&value);
        has(app::STANDING, mark) && key.as_ref().is_none_or(|key| has(app::DIGESTS, key.number()))
    };
    // The usual end of a sync without work: the table need not be opened.
    if run.is_still
        && let Some(newest) = newest_commit(&location).await?
        && newest.is_ours()
        && is_current(&newest.txns)
    {
        return Ok((None, Vec::new()));
    }
    let add = || async {
        let table = LakeTable::open(&location).await?;
        if table.as_ref().is_some_and(|table| is_current(&table.state().txns)) {
            return Ok((None, Vec::new()));
        }
        let (entries, notices) = match &key {
            Some(key) => digests(workspace, run.standing, table.as_ref(), key).await?,
            None => Default::default(),
        };
        let digests = key.as_ref().map(|key| (key, &entries));
        write(&location, table, run, (mark, digests)).await.map(|table| (Some(table), notices))
    };
    let added = retry::RUN.until_no_conflict(add).await;
    // With that many conflicts, another sync's row has newer versions than ours would.
    if retry::is_conflict(&added) { Ok((None, Vec::new())) } else { added }
}

/// Digests by table, and their key.
type KeyedDigests<'a> = (&'a DigestKey, &'a BTreeMap<String, Entry>);

async fn write(
    location: &Location,
    table: Option<LakeTable>,
    run: &Run<'_>,
    (mark, digests): (i64, Option<KeyedDigests<'_>>),
) -> Result<LakeTable> {
    let doing = || "a run cannot be recorded".to_owned();
    let fields: Vec<_> = columns().iter().map(Column::field).collect();
    let schema = Arc::new(Schema::new(fields));
    let versions: BTreeMap<&str, u64> = run.standing.iter().map(|(name, t)| (name.as_str(), t.version())).collect();
    let versions = serde_json::to_string(&versions).context(doing)?;
    let ids: BTreeMap<&str, String> = run.standing.iter().map(|(name, t)| (name.as_str(), t.uuid())).collect();
    let ids = serde_json::to_string(&ids).context(doing)?;
    let told = digests.map(|(_, entries)| serde_json::to_string(entries)).transpose().context(doing)?;
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
            Arc::new(StringArray::from(vec![told])),
        ],
    );
    let mut txns = BTreeMap::from([(app::STANDING.to_owned(), mark)]);
    let key = digests.map(|(key, _)| key);
    // Also if there are none: a checkpoint keeps the value of an earlier commit.
    if key.is_some() || table.as_ref().is_some_and(|t| t.state().txns.contains_key(app::DIGESTS)) {
        txns.insert(app::DIGESTS.to_owned(), key.map_or(0, DigestKey::number));
    }
    let commit = Commit {
        txns,
        info: BTreeMap::from([("stediDelta".to_owned(), serde_json::json!({"run": run.id}))]),
        ..Commit::default()
    };
    let runs = SystemTable {
        name: "runs",
        description: "Syncs that changed something",
        columns: columns(),
        digests: key.cloned(),
    };
    runs.append((location, table.as_ref()), &row.context(doing)?, commit, run.id).await
}

/// 63 bits over the current versions.
fn mark(run: &Run<'_>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for (name, table) in run.standing {
        hasher.update(format!("{name} {} {}\n", table.uuid(), table.version()).as_bytes());
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
        // Nor without a key for digests.
        Column::new("digests", ColumnType::String),
    ]
}
