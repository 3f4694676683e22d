//! Carries out a batch that the ledger holds: the quarantine commit, then the landing commit. Reads no source file.

use std::collections::{BTreeMap, HashSet};

use deltalake::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::Int64Type;
use serde_json::json;

use super::LandingContext;
use super::format::{quarantine_columns, quarantine_layout};
use super::ledger::Wal;
use super::schema_diff::{Declared, SchemaDiff, declaring_also};
use crate::definition::{Column, SOURCE_FILE, SOURCE_OFFSET};
use crate::digest::{ChangeDigest, DigestKey, Place, RowDigest, Sealed};
use crate::error::{Error, Result};
use crate::lake::{
    Add, Annotations, Change, Commit, LakeTable, Layout, NewColumns, Properties, TableSpec, app, create,
};
use crate::merge::{self, Applied};
use crate::outcome::{Io, Rows};
use crate::retry;

/// The effect of carrying out a batch.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Rows that landed, older rows of replaced files that were removed, and records put into quarantine.
    pub rows: Rows,
    /// Data files added to the landing table and removed from it; bytes of those added to both tables.
    pub io: Io,
}

/// Commits the missing part of batch `number` of the table `uuid`.
///
/// # Errors
/// `Conflict` if concurrent commits keep winning; else as the commits.
pub(super) async fn finish(
    context: &LandingContext<'_>,
    uuid: &str,
    number: i64,
    wal: &Wal,
) -> Result<(LakeTable, Finished)> {
    let mut finished = Finished::default();
    if !wal.quarantine.is_empty() || !wal.replaced.is_empty() || !wal.replayed.is_empty() {
        retry::COMMIT.until_no_conflict(|| quarantine(context, (uuid, number), wal)).await?;
        finished.rows.quarantined = wal.rows_quarantined;
        finished.io.bytes_written += wal.quarantine.iter().map(|a| a.size.unsigned_abs()).sum::<u64>();
    }
    let columns = wal.columns(&context.table.columns)?;
    let land = || landing(context, uuid, number, wal, &columns);
    let (table, applied) = retry::COMMIT.until_no_conflict(land).await?;
    finished.rows.inserted = wal.rows_landed;
    finished.rows.deleted = applied.rows_deleted;
    finished.io.files_added = wal.landing.len() as u64 + applied.files_rewritten;
    finished.io.files_removed = applied.files_touched;
    finished.io.bytes_written += applied.bytes_written + wal.landing.iter().map(|a| a.size.unsigned_abs()).sum::<u64>();
    Ok((table, finished))
}

/// Checks that a batch in the ledger can be carried out on the current table.
///
/// # Errors
/// If its data files have columns that do not fit the table's.
pub(super) fn check_open(
    context: &LandingContext<'_>,
    table: Option<&LakeTable>,
    number: i64,
    wal: &Wal,
) -> Result<()> {
    let Some(table) = table else { return Ok(()) };
    written(context, &wal.columns(&context.table.columns)?, table, number).map(drop)
}

fn written(context: &LandingContext<'_>, columns: &[Column], table: &LakeTable, number: i64) -> Result<SchemaDiff> {
    let name = &context.table.name;
    SchemaDiff::of(context, Declared::by_batch(columns), table).map_err(|misfit| {
        Error::failed(format!("batch {number} of {name} does not fit the table any more"))
            .fact("found", misfit.message())
            .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
            .fact("because", "its data files were written, and then the table got other columns")
            .help(format!("stedi-delta sync --reload {name}   (reads its landing files again)"))
    })
}

/// The digest of the change by a batch: what it adds, as the ledger has it, without what the commit removed.
fn digest(
    context: &LandingContext<'_>,
    (sealed, place): (Option<&Sealed>, Place<'_>),
    applied: &Applied,
) -> Option<ChangeDigest> {
    let key = DigestKey::of(&context.privacy);
    let added = key.as_ref().and_then(|key| key.open(sealed?, &place));
    ChangeDigest::of(key.as_ref(), added, applied.digest_deleted)
}

async fn quarantine(context: &LandingContext<'_>, (uuid, number): (&str, i64), wal: &Wal) -> Result<()> {
    let table = LakeTable::open(&context.quarantine).await?;
    if table.as_ref().is_some_and(|t| t.state().batch() >= number) {
        return Ok(());
    }
    let applied = match &table {
        Some(table) => without(context, table, &wal.replaced, &wal.replayed, None).await?,
        None if wal.quarantine.is_empty() => return Ok(()),
        None => nothing(),
    };
    let place = Place::Quarantine(uuid, number);
    let digest = digest(context, (wal.digest_quarantine.as_ref(), place), &applied);
    let applied = Applied { change: Change { digest, ..applied.change }, ..applied };
    let rows = (wal.rows_quarantined, applied.rows_deleted);
    let commit = commit(context, number, "quarantine", applied.change, wal.quarantine.clone(), rows);
    match table {
        Some(table) => commit.commit(&table).await?.mended(&quarantine_layout(), &context.run).await.map(drop),
        None => {
            let spec = TableSpec {
                uuid: wal.quarantine_uuid.clone(),
                name: context.table.name.quarantine().to_string(),
                description: format!("Records of {} that could not land", context.table.name),
                columns: quarantine_columns(),
                properties: Properties { change_data_feed: false },
                layout: quarantine_layout(),
            };
            create(&context.quarantine, &spec, commit).await.map(drop)
        }
    }
}

/// The table gets the `columns` with which the files were written, as in an uninterrupted run: rows of other types than
/// its schema's would make it unreadable. Later changes of the definition are checked afterwards.
async fn landing(
    context: &LandingContext<'_>,
    uuid: &str,
    number: i64,
    wal: &Wal,
    columns: &[Column],
) -> Result<(LakeTable, Applied)> {
    let landed = (wal.digest_landing.as_ref(), Place::Landing(uuid, number));
    let Some(table) = LakeTable::open(&context.location).await? else {
        let (properties, annotations) = (declaring_also(columns, None), Some(Annotations::of(context.table)));
        let digest = digest(context, landed, &nothing());
        let change = Change { properties, annotations, digest, ..Change::default() };
        let commit = commit(context, number, "ingest", change, wal.landing.clone(), (wal.rows_landed, 0));
        let table = create(&context.location, &spec(context, uuid, columns), checked(commit, wal.expectations)).await?;
        return Ok((table, Applied::default()));
    };
    if table.state().batch() >= number && table.uuid() == uuid {
        return Ok((table, Applied::default()));
    }
    let diff = written(context, columns, &table, number)?;
    let gains = diff.changes_columns();
    // Rows of another schema than the table's do not fit into its change feed.
    let beside = (!gains).then_some(wal.landing.as_slice());
    let mut applied = without(context, &table, &wal.replaced, &[], beside).await?;
    let mut change = std::mem::take(&mut applied.change);
    change.digest = digest(context, landed, &applied);
    if gains {
        change.schema = Some(NewColumns::Among(columns.to_vec()));
        change.properties = declaring_also(columns, Some(&table));
        change.annotations = Some(Annotations::of(context.table));
    }
    let rows = (wal.rows_landed, applied.rows_deleted);
    let commit = commit(context, number, "ingest", change, wal.landing.clone(), rows);
    // Earlier rows may have been checked by other expectations than this batch: then no fingerprint covers all rows.
    let by = table.state().expectations();
    let commit = checked(commit, if by == wal.expectations { by } else { 0 });
    Ok((diff.told(commit).commit(&table).await?, applied))
}

pub(super) fn spec(context: &LandingContext<'_>, uuid: &str, columns: &[Column]) -> TableSpec {
    TableSpec {
        uuid: uuid.to_owned(),
        name: context.table.name.to_string(),
        description: context.table.description.clone(),
        columns: columns.to_vec(),
        properties: Properties { change_data_feed: true },
        layout: Layout::defined(context.table),
    }
}

/// `rows`: inserted and removed.
pub(super) fn commit(
    context: &LandingContext<'_>,
    number: i64,
    mode: &str,
    mut change: Change,
    adds: Vec<Add>,
    rows: (u64, u64),
) -> Commit {
    change.adds.extend(adds);
    let (come, go) = rows;
    let facts = json!({"mode": mode, "run": context.run, "batch": number, "rowsInserted": come, "rowsDeleted": go});
    Commit {
        operation: if change.removes.is_empty() { "WRITE" } else { "MERGE" },
        metrics: BTreeMap::from([("numOutputRows", come), ("numDeletedRows", go)]),
        change,
        txns: BTreeMap::from([(app::BATCH.to_owned(), number), (app::MIGRATION.to_owned(), context.migration)]),
        info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
    }
}

/// A commit of a landing table whose rows were all checked by the expectations of this fingerprint.
pub(super) fn checked(mut commit: Commit, expectations: i64) -> Commit {
    commit.txns.insert(app::EXPECTATIONS.to_owned(), expectations);
    commit
}

/// The table without the rows of whole files and without single records. `beside`: new rows, if the commit has to write
/// its change.
async fn without(
    context: &LandingContext<'_>,
    table: &LakeTable,
    files: &[String],
    records: &[(String, i64)],
    beside: Option<&[Add]>,
) -> Result<Applied> {
    if files.is_empty() && records.is_empty() {
        return Ok(nothing());
    }
    let paths: HashSet<String> = files.iter().cloned().collect();
    let single: HashSet<(String, i64)> = records.iter().cloned().collect();
    let values: Vec<String> = files.iter().chain(records.iter().map(|(path, _)| path)).cloned().collect();
    let goes = move |batch: &RecordBatch| gone(batch, &paths, &single);
    let digests = DigestKey::of(&context.privacy);
    merge::delete_where(table, SOURCE_FILE, values, goes, beside, context.target_file_size, digests.as_ref()).await
}

/// No row is deleted.
fn nothing() -> Applied {
    Applied { digest_deleted: Some(RowDigest::default()), ..Applied::default() }
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
                    || (!records.is_empty()
                        && offset.is_valid(row)
                        && records.contains(&(path.to_owned(), offset.value(row)))),
            )
        })
        .collect())
}
