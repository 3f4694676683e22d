//! The system table `vacuums`: from which version on a table can be read since files of older ones were deleted.
//!
//! For people and messages: whether a version can be read is found in its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::{Int64Type, Schema, TimestampMicrosecondType};

use crate::definition::{Column, ColumnType};
use crate::digest::DigestKey;
use crate::error::{Context, Result};
use crate::lake::{Commit, LakeTable, SystemTable};
use crate::workspace::Workspace;

/// Under the warehouse root.
pub(crate) const FOLDER: &str = "system/vacuums";

/// What a vacuum left of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Horizon {
    /// The table's name then.
    pub table: String,
    /// Its id.
    pub uuid: String,
    /// The oldest version that stayed.
    pub version: u64,
    /// Files that were deleted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When, ms since the epoch.
    pub at_ms: i64,
}

/// The newest horizon of each table, by its id.
///
/// # Errors
/// If the table of vacuums cannot be read.
pub(crate) async fn read(workspace: &Workspace) -> Result<BTreeMap<String, Horizon>> {
    let doing = || "the table of vacuums cannot be read".to_owned();
    let Some(table) = LakeTable::open(&workspace.warehouse.join(FOLDER)).await? else { return Ok(BTreeMap::new()) };
    let session = workspace.session()?;
    let frame = session.read_table(table.provider(&session, None).await?).context(doing)?;
    let mut newest: BTreeMap<String, Horizon> = BTreeMap::new();
    for batch in frame.collect().await.context(doing)? {
        for row in 0..batch.num_rows() {
            let Some(found) = horizon(&batch, row) else { continue };
            let is_newer = newest.get(&found.uuid).is_none_or(|known| known.version <= found.version);
            if is_newer {
                newest.insert(found.uuid.clone(), found);
            }
        }
    }
    Ok(newest)
}

/// Adds rows, in one commit.
///
/// # Errors
/// `Conflict` after a concurrent commit; if the store fails.
pub(crate) async fn record(workspace: &Workspace, horizons: &[Horizon], run: &str) -> Result<()> {
    let doing = || "the vacuum cannot be recorded".to_owned();
    let location = workspace.warehouse.join(FOLDER);
    let table = LakeTable::open(&location).await?;
    let schema = Arc::new(Schema::new(columns().iter().map(Column::field).collect::<Vec<_>>()));
    let texts = |of: fn(&Horizon) -> &str| Arc::new(StringArray::from_iter_values(horizons.iter().map(of)));
    let numbers = |of: fn(&Horizon) -> u64| {
        let number = |horizon| i64::try_from(of(horizon)).unwrap_or(i64::MAX);
        Arc::new(Int64Array::from_iter_values(horizons.iter().map(number)))
    };
    let times = TimestampMicrosecondArray::from_iter_values(horizons.iter().map(|h| h.at_ms.saturating_mul(1000)));
    let runs = StringArray::from_iter_values(horizons.iter().map(|_| run));
    let rows = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(runs),
            Arc::new(times.with_timezone("UTC")),
            texts(|h| &h.table),
            texts(|h| &h.uuid),
            numbers(|h| h.version),
            numbers(|h| h.files),
            numbers(|h| h.bytes),
        ],
    );
    let info = BTreeMap::from([("stediDelta".to_owned(), serde_json::json!({"run": run}))]);
    let commit = Commit { info, ..Commit::default() };
    let vacuums = SystemTable {
        name: "vacuums",
        description: "Versions that vacuum ended",
        columns: columns(),
        digests: DigestKey::of(&workspace.privacy),
    };
    vacuums.append((&location, table.as_ref()), &rows.context(doing)?, commit, run).await.map(drop)
}

fn horizon(batch: &RecordBatch, row: usize) -> Option<Horizon> {
    let text = |name: &str| Some(batch.column_by_name(name)?.as_string_opt::<i32>()?.value(row).to_owned());
    let number = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        u64::try_from(column.value(row)).ok()
    };
    let at = batch.column_by_name("ended_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(Horizon {
        table: text("table_name")?,
        uuid: text("table_uuid")?,
        version: number("horizon")?,
        files: number("files")?,
        bytes: number("bytes")?,
        at_ms: at.value(row) / 1000,
    })
}

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type| Column { nullable: false, ..Column::new(name, column_type) };
    vec![
        column("run", ColumnType::String),
        column("ended_at", ColumnType::Timestamp),
        column("table_name", ColumnType::String),
        column("table_uuid", ColumnType::String),
        column("horizon", ColumnType::Long),
        column("files", ColumnType::Long),
        column("bytes", ColumnType::Long),
    ]
}
