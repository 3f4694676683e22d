//! Carries out a batch that the ledger holds: the quarantine commit, then the landing commit. Reads no source file.

use std::collections::{BTreeMap, HashSet};

use deltalake::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::Int64Type;
use serde_json::json;

use super::Place;
use super::ledger::Wal;
use super::read::quarantine_columns;
use crate::definition::{Column, ColumnType, SOURCE_FILE, SOURCE_OFFSET};
use crate::error::{Error, Kind, Result};
use crate::lake::{Add, Change, Commit, LakeTable, Properties, TableSpec, app, create};
use crate::merge::{self, Applied};

/// How often a commit is planned again after somebody else's.
const ATTEMPTS: usize = 4;

/// What carrying out a batch did.
#[derive(Debug, Default)]
pub struct Finished {
    /// Rows that landed.
    pub rows_inserted: u64,
    /// Older rows of replaced files that went.
    pub rows_deleted: u64,
    /// Records put into quarantine.
    pub rows_quarantined: u64,
    /// Data files added to the landing table.
    pub files_added: u64,
    /// Data files removed from it.
    pub files_removed: u64,
    /// Bytes of data files added to both tables.
    pub bytes_written: u64,
}

/// Commits what batch `number` of the table `uuid` still lacks.
///
/// # Errors
/// `Conflict` when other writers win again and again; else as the commits.
pub async fn finish(place: &Place<'_>, uuid: &str, number: i64, wal: &Wal) -> Result<(LakeTable, Finished)> {
    let mut finished = Finished::default();
    if !wal.quarantine.is_empty() || !wal.replaced.is_empty() || !wal.replayed.is_empty() {
        again(|| quarantine(place, number, wal)).await?;
        finished.rows_quarantined = wal.rows_quarantined;
        finished.bytes_written += wal.quarantine.iter().map(|a| a.size.unsigned_abs()).sum::<u64>();
    }
    let (table, applied) = again(|| landing(place, uuid, number, wal)).await?;
    finished.rows_inserted = wal.rows_landed;
    finished.rows_deleted = applied.rows_deleted;
    finished.files_added = (wal.landing.len() as u64) + applied.change.adds.len() as u64;
    finished.files_removed = applied.files_touched;
    finished.bytes_written += applied.bytes_written + wal.landing.iter().map(|a| a.size.unsigned_abs()).sum::<u64>();
    Ok((table, finished))
}

/// Runs a commit until nobody else's comes in between: every attempt plans from the newest version.
async fn again<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match attempt().await {
            Err(error) if error.kind() == Kind::Conflict && left > 0 => {}
            other => return other,
        }
    }
}

async fn quarantine(place: &Place<'_>, number: i64, wal: &Wal) -> Result<()> {
    let table = LakeTable::open(&place.quarantine).await?;
    if table.as_ref().is_some_and(|t| t.state().batch() >= number) {
        return Ok(());
    }
    let applied = match &table {
        Some(table) => without(place, table, &wal.replaced, &wal.replayed, None).await?,
        None if wal.quarantine.is_empty() => return Ok(()),
        None => Applied::default(),
    };
    let rows = (wal.rows_quarantined, applied.rows_deleted);
    let commit = commit(place, number, "quarantine", applied.change, wal.quarantine.clone(), rows);
    match table {
        Some(table) => commit.commit(&table).await.map(drop),
        None => {
            let spec = TableSpec {
                uuid: wal.quarantine_uuid.clone(),
                name: place.table.name.quarantine().to_string(),
                description: format!("Records of {} that could not land", place.table.name),
                columns: quarantine_columns(),
                properties: Properties { change_data_feed: false },
            };
            create(&place.quarantine, &spec, commit).await.map(drop)
        }
    }
}

async fn landing(place: &Place<'_>, uuid: &str, number: i64, wal: &Wal) -> Result<(LakeTable, Applied)> {
    let Some(table) = LakeTable::open(&place.location).await? else {
        let commit = commit(place, number, "ingest", Change::default(), wal.landing.clone(), (wal.rows_landed, 0));
        let table = create(&place.location, &spec(place, uuid), commit).await?;
        return Ok((table, Applied::default()));
    };
    if table.state().batch() >= number && table.uuid() == uuid {
        return Ok((table, Applied::default()));
    }
    let evolved = evolved(&table, place)?;
    // Rows of another schema than the table's do not fit into its change feed.
    let landed = (!evolved).then_some(wal.landing.as_slice());
    let mut applied = without(place, &table, &wal.replaced, &[], landed).await?;
    let mut change = std::mem::take(&mut applied.change);
    if evolved {
        change.schema = Some(place.table.columns.clone());
    }
    let files = (change.adds.len(), change.removes.len());
    let rows = (wal.rows_landed, applied.rows_deleted);
    let commit = commit(place, number, "ingest", change, wal.landing.clone(), rows);
    let table = commit.commit(&table).await?;
    // Only the counts are of use from here on.
    applied.change.adds = Vec::with_capacity(files.0);
    Ok((table, applied))
}

/// Creates a landing table that has no row yet, or adds newly declared columns to one that stands.
///
/// # Errors
/// When the definition asks for more than new columns.
pub async fn shape(place: &Place<'_>, uuid: &str, table: Option<LakeTable>) -> Result<Option<LakeTable>> {
    let Some(table) = table else {
        let commit = commit(place, 0, "ingest", Change::default(), Vec::new(), (0, 0));
        return create(&place.location, &spec(place, uuid), commit).await.map(Some);
    };
    if !evolved(&table, place)? {
        return Ok(None);
    }
    let change = Change { schema: Some(place.table.columns.clone()), ..Change::default() };
    let commit = commit(place, table.state().batch(), "ingest", change, Vec::new(), (0, 0));
    commit.commit(&table).await.map(Some)
}

fn spec(place: &Place<'_>, uuid: &str) -> TableSpec {
    TableSpec {
        uuid: uuid.to_owned(),
        name: place.table.name.to_string(),
        description: place.table.description.clone(),
        columns: place.table.columns.clone(),
        properties: Properties { change_data_feed: true },
    }
}

/// `rows`: that come, that go.
fn commit(place: &Place<'_>, number: i64, mode: &str, mut change: Change, adds: Vec<Add>, rows: (u64, u64)) -> Commit {
    change.adds.extend(adds);
    let (come, go) = rows;
    let facts = json!({"mode": mode, "run": place.run, "batch": number, "rowsInserted": come, "rowsDeleted": go});
    Commit {
        operation: if change.removes.is_empty() { "WRITE" } else { "MERGE" },
        metrics: BTreeMap::from([("numOutputRows", come), ("numDeletedRows", go)]),
        change,
        txns: BTreeMap::from([(app::BATCH.to_owned(), number), (app::MIGRATION.to_owned(), place.migration)]),
        info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
    }
}

/// The table without the rows of whole files and without single records. `beside`: new rows, where the commit shall tell
/// its change.
async fn without(
    place: &Place<'_>,
    table: &LakeTable,
    files: &[String],
    records: &[(String, i64)],
    beside: Option<&[Add]>,
) -> Result<Applied> {
    if files.is_empty() && records.is_empty() {
        return Ok(Applied::default());
    }
    let paths: HashSet<String> = files.iter().cloned().collect();
    let single: HashSet<(String, i64)> = records.iter().cloned().collect();
    let values: Vec<String> = files.iter().chain(records.iter().map(|(path, _)| path)).cloned().collect();
    let goes = move |batch: &RecordBatch| gone(batch, &paths, &single);
    merge::replace_where(table, SOURCE_FILE, values, goes, beside, place.target_file_size).await
}

fn gone(batch: &RecordBatch, files: &HashSet<String>, records: &HashSet<(String, i64)>) -> Result<BooleanArray> {
    let missing = || Error::failed(format!("the table lacks `{SOURCE_FILE}` or `{SOURCE_OFFSET}`"));
    let file = batch.column_by_name(SOURCE_FILE).and_then(|c| c.as_string_opt::<i32>()).ok_or_else(missing)?;
    let offset =
        batch.column_by_name(SOURCE_OFFSET).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(missing)?;
    Ok((0..batch.num_rows())
        .map(|row| {
            if file.is_null(row) {
                return Some(false);
            }
            let path = file.value(row);
            Some(
                files.contains(path)
                    || (!records.is_empty() && records.contains(&(path.to_owned(), offset.value(row)))),
            )
        })
        .collect())
}

/// Finds out whether the table can hold what the definition asks for, before anything is read or written: true where
/// it gains columns.
///
/// # Errors
/// When the definition asks for more than new columns.
pub fn check_shape(place: &Place<'_>, table: Option<&LakeTable>) -> Result<bool> {
    table.map_or(Ok(false), |table| evolved(table, place))
}

/// Whether the definition has new columns, or lets a column be NULL that could not be.
fn evolved(table: &LakeTable, place: &Place<'_>) -> Result<bool> {
    let stored = table.schema();
    let name = &place.table.name;
    let refuse = |problem: String, help: String| {
        Err(Error::failed(problem)
            .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
            .help(format!("{help}, or move the table's folder away and sync")))
    };
    let mut loosened = false;
    for field in stored.fields() {
        let column = field.name();
        let back = || format!("a definition may only gain columns; put `{column}` back");
        match place.table.columns.iter().find(|c| c.name == *column) {
            None => {
                return refuse(
                    format!("column `{column}` of {name} is in the table, but not in its definition"),
                    back(),
                );
            }
            Some(declared) if declared.column_type.arrow() != *field.data_type() => {
                let wanted = declared.column_type.delta_name();
                let problem = format!(
                    "column `{column}` of {name} is `{wanted}` in its definition, the table stores {}",
                    ColumnType::name_of(field.data_type())
                );
                return refuse(problem, back());
            }
            Some(declared) if !declared.nullable && field.is_nullable() => {
                let problem = format!("column `{column}` of {name} may be NULL in the table, not in its definition");
                return refuse(problem, format!("drop `nullable = false` from `{column}`"));
            }
            Some(declared) => loosened |= declared.nullable && !field.is_nullable(),
        }
    }
    let added = |column: &&Column| stored.field_with_name(&column.name).is_err();
    if let Some(column) = place.table.columns.iter().filter(added).find(|c| !c.nullable) {
        let problem = format!("column `{}` of {name} is new and cannot be NULL, but older rows lack it", column.name);
        return refuse(problem, format!("drop `nullable = false` from `{}`", column.name));
    }
    Ok(loosened || place.table.columns.len() > stored.fields().len())
}
