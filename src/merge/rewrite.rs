//! Copy-on-write: each touched file is read in order and rewritten separately without the deleted rows, which keeps the
//! clustering. Row groups that cannot hold one are copied.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::arrow::array::{BooleanArray, RecordBatch};
use deltalake::arrow::compute::{filter_record_batch, not};
use deltalake::arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt};

use super::feed::{CdcChange, Feed};
use super::prune::Probe;
use super::rows::{At, DeletePredicate};
use super::sift::sift;
use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Error, Result};
use crate::lake::{
    Add, CHANGING_FILE_ROWS, DataWriter, DeltaFile, Groups, LakeTable, Remove, Splice, adapt, rewritten_at_once,
};

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
    let mut sieve = Sieve::new(table, file, (probe, goes), deleted);
    let groups = Groups::open(table.location(), file).await?;
    if let Some(wanted) = probe.wanted().filter(|_| groups.can_be_copied(table)) {
        let mut hits = Vec::new();
        for group in 0..groups.rows().len() {
            let may = groups.may_hold(group, &wanted);
            hits.push(may && has_hit(groups.stream(Some(group), Some(wanted.column))?, file, probe).await?);
        }
        match (hits.contains(&true), hits.contains(&false)) {
            (false, _) => return Ok(None),
            (true, true) => return spliced(table, &groups, &hits, sieve).await,
            (true, false) => {}
        }
    } else if let Some(column) = probe.column()
        && !has_hit(groups.stream(None, Some(column))?, file, probe).await?
    {
        return Ok(None);
    }
    let mut stream = groups.stream(None, None)?;
    let mut writer = DataWriter::new(table, target_file_size).rows_per_file(CHANGING_FILE_ROWS);
    while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
        let kept = sieve.kept(&batch).await?;
        if kept.num_rows() > 0 {
            writer.write(&kept).await?;
        }
    }
    let written = writer.close().await?;
    if sieve.gone == 0 {
        for add in &written.adds {
            table.location().remove(&add.path).await;
        }
    }
    sieve.end(written.adds, written.rows).await
}

/// The same for a file of which the probe has a hit in these row groups: the others are copied.
async fn spliced(table: &LakeTable, groups: &Groups, hits: &[bool], mut sieve: Sieve<'_>) -> Result<Option<Rewritten>> {
    let mut new = Splice::new(table, groups)?;
    if let Err(error) = splice(&mut new, groups, hits, &mut sieve).await {
        new.abandon().await;
        return Err(error);
    }
    let rows = new.rows();
    if sieve.gone == 0 {
        new.abandon().await;
        return sieve.end(Vec::new(), rows).await;
    }
    let add = new.close().await?;
    sieve.end(add.into_iter().collect(), rows).await
}

async fn splice(new: &mut Splice<'_>, groups: &Groups, hits: &[bool], sieve: &mut Sieve<'_>) -> Result<()> {
    let file = sieve.file;
    for (group, (rows, is_hit)) in groups.rows().into_iter().zip(hits).enumerate() {
        if !is_hit {
            sieve.row += rows;
            new.copy(group).await?;
            continue;
        }
        let mut stream = groups.stream(Some(group), None)?;
        while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
            let kept = sieve.kept(&batch).await?;
            if kept.num_rows() > 0 {
                new.write(&kept)?;
            }
        }
        new.end_group().await?;
    }
    Ok(())
}

/// Takes the deleted rows out of the rows of a file.
struct Sieve<'a> {
    file: &'a DeltaFile,
    schema: SchemaRef,
    probe: &'a Probe,
    goes: &'a dyn DeletePredicate,
    digests: Option<&'a DigestKey>,
    feed: Option<Feed>,
    digest: RowDigest,
    /// Rows taken out.
    gone: u64,
    /// The next row in the file.
    row: usize,
}

impl<'a> Sieve<'a> {
    fn new(
        table: &LakeTable,
        file: &'a DeltaFile,
        (probe, goes): (&'a Probe, &'a dyn DeletePredicate),
        deleted: &'a DeletedRows,
    ) -> Self {
        let feed = deleted.write_cdc.then(|| Feed::new(table));
        let (schema, digests) = (table.schema(), deleted.digests.as_ref());
        Self { file, schema, probe, goes, digests, feed, digest: RowDigest::default(), gone: 0, row: 0 }
    }

    /// The rows of the next batch that stay.
    async fn kept(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let doing = || self.file.unreadable();
        let batch = complete(batch, &self.schema)?;
        let keep = keep(At { path: &self.file.path, row: self.row }, &batch, self.probe, self.goes)?;
        self.row += batch.num_rows();
        let Some(keep) = keep else { return Ok(batch) };
        let kept = filter_record_batch(&batch, &keep).context(doing)?;
        if self.feed.is_some() || self.digests.is_some() {
            let goes = not(&keep).and_then(|goes| filter_record_batch(&batch, &goes)).context(doing)?;
            if let Some(feed) = &mut self.feed {
                feed.write(&goes, CdcChange::Delete).await?;
            }
            if let Some(key) = self.digests {
                self.digest += key.rows(&goes)?;
            }
        }
        self.gone += (batch.num_rows() - kept.num_rows()) as u64;
        Ok(kept)
    }

    /// The result; `None` if no row was taken out: the probe's column may match although every whole row differs.
    async fn end(self, adds: Vec<Add>, rows_kept: u64) -> Result<Option<Rewritten>> {
        let feed = match self.feed {
            Some(feed) => feed.close().await?,
            None => Vec::new(),
        };
        let (removes, rows_gone, digest) = (Vec::new(), self.gone, self.digest);
        Ok((rows_gone > 0).then_some(Rewritten { adds, removes, rows_kept, rows_gone, feed, digest }))
    }
}

/// Whether the only column of a stream, the probe's, has a match; it is read up to the first one.
async fn has_hit<E: std::error::Error + Send + Sync + 'static>(
    mut stream: impl Stream<Item = std::result::Result<RecordBatch, E>> + Unpin,
    file: &DeltaFile,
    probe: &Probe,
) -> Result<bool> {
    while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
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
