//! Copy-on-write: each touched file is read in order and rewritten separately without the deleted rows, which keeps the
//! clustering.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::arrow::array::{BooleanArray, RecordBatch};
use deltalake::arrow::compute::{filter_record_batch, not};
use deltalake::arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt};

use super::feed::{CdcChange, Feed};
use super::prune::Probe;
use super::rows::{At, DeletePredicate};
use super::sift::sift;
use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Error, Result};
use crate::lake::{Add, CHANGING_FILE_ROWS, DataWriter, DeltaFile, LakeTable, Remove, adapt, rewritten_at_once, rows};
use crate::storage::Location;

/// Rewritten files and the files that they replace.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// New files; a file without remaining rows has none.
    pub adds: Vec<Add>,
    /// Files to remove.
    pub removes: Vec<Remove>,
    /// Rows kept.
    pub rows_kept: u64,
    /// Rows deleted.
    pub rows_gone: u64,
    /// Change data files with the deleted rows, if requested.
    pub feed: Vec<(String, u64)>,
    /// The digest of the deleted rows, if requested.
    pub digest: RowDigest,
}

/// The treatment of deleted rows.
#[derive(Clone, Debug, Default)]
pub(super) struct DeletedRows {
    /// Whether they are written to change data files.
    pub write_cdc: bool,
    /// The key with which they are digested, if they are.
    pub digests: Option<DigestKey>,
}

/// Rewrites the files of `table`, which is [`removable`], that hold a deleted row. Files are pruned by `probe` in the
/// log, then by `ends` in the ends of files.
pub(super) async fn rewrite_without(
    table: &LakeTable,
    (probe, ends): (&Arc<Probe>, &[Probe]),
    goes: Arc<dyn DeletePredicate>,
    deleted: DeletedRows,
    target_file_size: u64,
) -> Result<Rewritten> {
    let may_hold = |file: &DeltaFile| probe.may_be_in(file) && goes.may_be_in(&file.path);
    let candidates = table.files().into_iter().filter(may_hold).collect();
    let candidates = sift(table, ends, candidates).await;
    let outcomes = each(candidates, |file| {
        let (table, probe, goes, deleted) = (table.clone(), probe.clone(), goes.clone(), deleted.clone());
        async move { rewrite(&table, &file, &probe, goes.as_ref(), &deleted, target_file_size).await }
    });
    let mut rewritten = Rewritten::default();
    let mut touched = HashSet::new();
    for (path, outcome) in outcomes.await? {
        if let Some(outcome) = outcome {
            rewritten.adds.extend(outcome.adds);
            rewritten.rows_kept += outcome.rows_kept;
            rewritten.rows_gone += outcome.rows_gone;
            rewritten.feed.extend(outcome.feed);
            rewritten.digest += outcome.digest;
            touched.insert(path);
        }
    }
    rewritten.removes = table.removes(|path| touched.contains(path));
    Ok(rewritten)
}

/// The result of `work` for each file, by path; as many at once as there are processors, unless their rows are wide.
pub(super) async fn each<T, F>(files: Vec<DeltaFile>, work: impl Fn(DeltaFile) -> F) -> Result<Vec<(String, T)>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let at_once = rewritten_at_once(&files);
    let mut results = futures::stream::iter(files)
        .map(|file| {
            let path = file.path.clone();
            let work = work(file);
            tokio::spawn(async move { Ok::<_, Error>((path, work.await?)) })
        })
        .buffer_unordered(at_once);
    let mut found = Vec::new();
    while let Some(result) = results.next().await {
        found.push(result.context(|| "the work on a data file was cut short".into())??);
    }
    Ok(found)
}

/// Refuses tables whose files cannot be rewritten.
///
/// # Errors
/// The reason.
pub(crate) fn removable(table: &LakeTable) -> Result<()> {
    table.check_removable()?;
    whole_in_files(table)
}

/// Files are read without the log: values that the log adds would be lost, and rows that it hides would return.
fn whole_in_files(table: &LakeTable) -> Result<()> {
    let hidden = || table.files().iter().any(|f| f.deletion_vector.is_some()).then(|| "it has deletion vectors".into());
    let Some(why) = table.indirection().or_else(hidden) else { return Ok(()) };
    Err(Error::failed(format!("files of {} cannot be rewritten: {why}", table.location()))
        .fact("table", format!("v{}, unchanged", table.version()))
        .help("undo it in the engine that did it, or move the table's folder away and sync"))
}

/// `None` if no row is deleted.
async fn rewrite(
    table: &LakeTable,
    file: &DeltaFile,
    probe: &Probe,
    goes: &dyn DeletePredicate,
    deleted: &DeletedRows,
    target_file_size: u64,
) -> Result<Option<Rewritten>> {
    if !holds_a_hit(table.location(), file, probe).await? {
        return Ok(None);
    }
    let schema = table.schema();
    let mut stream = rows(table.location(), file, None).await?;
    let mut writer = DataWriter::new(table, target_file_size).rows_per_file(CHANGING_FILE_ROWS);
    let mut feed = deleted.write_cdc.then(|| Feed::new(table));
    let mut digest = RowDigest::default();
    let (mut gone, mut row) = (0_u64, 0);
    while let Some(batch) = stream.try_next().await.context(|| unreadable(file))? {
        let batch = complete(&batch, &schema)?;
        let keep = keep(At { path: &file.path, row }, &batch, probe, goes)?;
        row += batch.num_rows();
        let kept = match &keep {
            None => batch.clone(),
            Some(keep) => filter_record_batch(&batch, keep).context(|| unreadable(file))?,
        };
        if let Some(keep) = keep.as_ref().filter(|_| feed.is_some() || deleted.digests.is_some()) {
            let goes = not(keep).and_then(|goes| filter_record_batch(&batch, &goes)).context(|| unreadable(file))?;
            if let Some(feed) = &mut feed {
                feed.write(&goes, CdcChange::Delete).await?;
            }
            if let Some(key) = &deleted.digests {
                digest += key.rows(&goes)?;
            }
        }
        gone += (batch.num_rows() - kept.num_rows()) as u64;
        if kept.num_rows() > 0 {
            writer.write(&kept).await?;
        }
    }
    let written = writer.close().await?;
    let feed = match feed {
        Some(feed) => feed.close().await?,
        None => Vec::new(),
    };
    // The probe's column may match although every whole row differs.
    if gone == 0 {
        for add in &written.adds {
            table.location().remove(&add.path).await;
        }
        return Ok(None);
    }
    let (adds, removes, rows_kept) = (written.adds, Vec::new(), written.rows);
    Ok(Some(Rewritten { adds, removes, rows_kept, rows_gone: gone, feed, digest }))
}

/// Reads only the probe's column, and stops at the first match.
async fn holds_a_hit(location: &Location, file: &DeltaFile, probe: &Probe) -> Result<bool> {
    let Some(column) = probe.column() else { return Ok(true) };
    let mut stream = rows(location, file, Some(column)).await?;
    while let Some(batch) = stream.try_next().await.context(|| unreadable(file))? {
        let hit = match batch.columns().first() {
            Some(column) => probe.hits(column)?.true_count() > 0,
            // Written before the column was added: all NULL.
            None => true,
        };
        if hit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rows to keep; `None` = all.
fn keep(at: At<'_>, batch: &RecordBatch, probe: &Probe, goes: &dyn DeletePredicate) -> Result<Option<BooleanArray>> {
    let hits = match probe.column().and_then(|c| batch.column_by_name(c)) {
        Some(column) => probe.hits(column)?,
        None => BooleanArray::from(vec![true; batch.num_rows()]),
    };
    if hits.true_count() == 0 {
        return Ok(None);
    }
    let candidates = filter_record_batch(batch, &hits).context(|| "rows cannot be filtered".into())?;
    let goes = goes.goes(at, &candidates)?;
    if goes.true_count() == 0 {
        return Ok(None);
    }
    let mut next = goes.values().iter();
    let gone: BooleanArray = hits.values().iter().map(|hit| Some(hit && next.next().unwrap_or(false))).collect();
    Ok(Some(not(&gone).context(|| "rows cannot be filtered".into())?))
}

/// Columns in the table's order; one, or a field of one, that the file does not have yet is NULL.
pub(crate) fn complete(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => adapt(column, field.data_type()),
        None => Ok(deltalake::arrow::array::new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns: std::result::Result<Vec<_>, _> = columns.collect();
    RecordBatch::try_new(schema.clone(), columns.context(|| "a data file does not fit its table".into())?)
        .context(|| "a data file does not fit its table".into())
}

pub(super) fn unreadable(file: &DeltaFile) -> String {
    format!("data file `{}` cannot be read", file.path)
}
