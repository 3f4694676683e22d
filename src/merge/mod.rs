//! The change set of a table -> data files to add and to remove: the copy-on-write half of a MERGE.
//!
//! `DeltaTable::merge` is not used: it writes the key range by which it pruned into the log, commits nothing if nothing
//! changes, and destroys the clustering. Here only files that hold a deleted row are rewritten (copy-on-write), each
//! into files of its own. Rows are matched as a whole, as multisets: of a row with two copies, one delete removes one.

mod change;
mod feed;
mod marks;
mod prune;
mod rewrite;
mod rows;
mod sift;

use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;

pub use change::Taking;
pub(crate) use change::{RowChange, RowStream};
pub use feed::CdcChange;
pub(crate) use rewrite::{complete, removable};
pub(crate) use rows::{grouped, hashed};

use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Result};
use crate::lake::{Add, Change, DeltaFile, LakeTable, worked_at_once};
use crate::outcome::counted;
use marks::Marks;
use prune::Probe;
use rewrite::{DeletedRows, Rewritten};
use rows::{COUNTED_BYTES, Floats, Part, RowMultiset};

/// The result of applying a change, before the commit.
#[derive(Debug, Default)]
pub struct Applied {
    /// For the commit.
    pub change: Change,
    /// Data files rewritten or dropped.
    pub files_touched: u64,
    /// Data files written in their place.
    pub files_rewritten: u64,
    /// Rows of rewritten files that were kept.
    pub rows_copied: u64,
    /// Rows deleted.
    pub rows_deleted: u64,
    /// Bytes of new data files, including change data files.
    pub bytes_written: u64,
    /// The digest of the rows that [`delete_where`] deleted, if it was asked to digest them.
    pub digest_deleted: Option<RowDigest>,
}

/// The result of deleting rows from a table.
#[derive(Debug)]
pub enum Merged<T> {
    /// The table contained them.
    Done(T),
    /// The table does not contain all of them: it has drifted since our last commit.
    Drifted(MissingRows),
}

/// How many rows to be deleted a table does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRows(pub u64);

impl fmt::Display for MissingRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.0 == 1 { "is" } else { "are" };
        write!(f, "{} that must go {is} not in it", counted(self.0, "row"))
    }
}

/// Writes what `change` makes of `table`: its files without the deleted rows, change data files if rows are deleted (without
/// them the data files are the change of a commit), and the inserted rows, which `come` writes. All at once, unless the
/// change is too large to be held in memory, or has rows so wide that files with them are written in turn. If the table
/// lacks some of the deleted rows or one of the three fails, what the others wrote is removed again.
///
/// # Errors
/// When a file cannot be read or written, or `come` fails.
pub async fn apply(
    table: &LakeTable,
    change: RowChange,
    target_file_size: u64,
    come: impl Future<Output = Result<Change>>,
) -> Result<Merged<Applied>> {
    let has_deletes = change.deletes() > 0;
    // A task of its own: it may compute for a second before its first `await`, and in one task the others would not begin.
    let (of, rows) = (table.clone(), change.clone());
    let remove = async move {
        let remove = tokio::spawn(async move { remove(&of, &rows, target_file_size).await });
        remove.await.context(|| "removing rows was cut short".into())?
    };
    let rows = change.clone();
    let told = async move {
        if !has_deletes {
            return Ok(Vec::new());
        }
        let told = tokio::spawn(rows.told());
        told.await.context(|| "writing the change feed was cut short".into())?
    };
    let outcome = if change.is_written() || worked_at_once(Some(change.widest())) == 1 {
        // Each of them holds as much as it may.
        match remove.await {
            Ok(Merged::Done(applied)) => (Ok(Merged::Done(applied)), come.await, told.await),
            stopped => (stopped, Ok(Change::default()), Ok(Vec::new())),
        }
    } else {
        tokio::join!(remove, come, told)
    };
    match outcome {
        (Ok(Merged::Done(mut applied)), Ok(come), Ok(told)) => {
            if !has_deletes {
                change.forget().await;
            }
            tell(&mut applied, told);
            applied.change.adds.extend(come.adds);
            applied.change.digest = come.digest;
            Ok(Merged::Done(applied))
        }
        (removed, come, told) => {
            if let Ok(Merged::Done(applied)) = &removed {
                discard(table, &applied.change.adds).await;
            }
            if let Ok(come) = &come {
                discard(table, &come.adds).await;
            }
            feed::forget(table, told.as_deref().unwrap_or_default()).await;
            change.forget().await;
            let removed = removed?;
            if let Merged::Done(_) = &removed {
                come?;
                told?;
            }
            Ok(removed)
        }
    }
}

/// Writes the files that remove the deleted rows of `change` from `table`. If the table lacks some of them, all written
/// files are removed again.
async fn remove(table: &LakeTable, change: &RowChange, target_file_size: u64) -> Result<Merged<Applied>> {
    let mut applied = Applied::default();
    if change.deletes() == 0 {
        return Ok(Merged::Done(applied));
    }
    let (mut rewritten, mut left) = rewrite_without(table, change, Floats::Exact, target_file_size).await?;
    if left > 0 && table.schema().fields().iter().any(|f| f.data_type().is_floating()) {
        discard(table, &rewritten.adds).await;
        (rewritten, left) = rewrite_without(table, change, Floats::Grouped, target_file_size).await?;
    }
    if left > 0 {
        discard(table, &rewritten.adds).await;
        return Ok(Merged::Drifted(MissingRows(left)));
    }
    take(&mut applied, rewritten);
    Ok(Merged::Done(applied))
}

/// Deletes files that no version will name.
async fn discard(table: &LakeTable, adds: &[Add]) {
    for add in adds {
        table.location().remove(&add.path).await;
    }
}

/// The files without the deleted rows, and the number of rows not found.
async fn rewrite_without(
    table: &LakeTable,
    change: &RowChange,
    floats: Floats,
    target_file_size: u64,
) -> Result<(Rewritten, u64)> {
    rewrite::removable(table)?;
    let at_once = (change.limit() / COUNTED_BYTES).max(1) as u64;
    let parts = change.deletes().div_ceil(at_once);
    if parts > 1 {
        let (marks, left) = Marks::find(table, change, floats, parts).await?;
        if left > 0 {
            return Ok((Rewritten::default(), left));
        }
        let probe = Arc::new(Probe::none());
        let deleted = DeletedRows::default();
        let rewritten = rewrite::rewrite_without(table, (&probe, &[]), Arc::new(marks), deleted, target_file_size);
        return Ok((rewritten.await?, 0));
    }
    let schema = table.schema();
    let (probe, ends) = match change.held_deletes() {
        Some(batches) => {
            (Probe::best(&schema, batches, &table.files())?, Probe::of_ends(&schema, batches, &table.layout())?)
        }
        None => (Probe::none(), Vec::new()),
    };
    let counted = Arc::new(RowMultiset::new(table, change, floats, Part::WHOLE).await?);
    let (probe, deleted) = (Arc::new(probe), DeletedRows::default());
    let rewritten = rewrite::rewrite_without(table, (&probe, &ends), counted.clone(), deleted, target_file_size);
    Ok((rewritten.await?, counted.left()))
}

/// Writes the files that remove the rows for which `goes` is true from `table`. In each of these rows `column` has one
/// of `values`; files without such a value are not touched.
///
/// `beside` are files with new rows that the same commit adds: with them, and if the table has a change feed, the
/// commit writes its change row by row if that is smaller than its data files. Without change data files, the change of
/// a commit is its added and removed data files.
///
/// The deleted rows are digested with `digests`.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) async fn delete_where(
    table: &LakeTable,
    column: &str,
    values: impl IntoIterator<Item = String>,
    goes: impl Fn(&RecordBatch) -> Result<deltalake::arrow::array::BooleanArray> + Send + Sync + 'static,
    beside: Option<&[Add]>,
    target_file_size: u64,
    digests: Option<&DigestKey>,
) -> Result<Applied> {
    rewrite::removable(table)?;
    let probe = Arc::new(Probe::of_strings(column, values));
    let mut applied = Applied::default();
    let landed: Option<Vec<DeltaFile>> = beside.map(|adds| adds.iter().map(DeltaFile::from).collect());
    let comes = landed.as_ref().and_then(|files| files.iter().map(|file| file.rows).sum::<Option<u64>>());
    // With at least as many inserted rows as the table has, the feed cannot be smaller: the deleted rows need not be
    // written.
    let write_cdc = table.has_change_feed() && comes.zip(table.rows()).is_some_and(|(comes, rows)| comes < rows);
    let digests = digests.and_then(|key| key.clone().for_rows_of(&table.schema()));
    let is_digested = digests.is_some();
    let deleted = DeletedRows { write_cdc, digests };
    let goes = Arc::new(rows::Predicate(goes));
    let mut rewritten = rewrite::rewrite_without(table, (&probe, &[]), goes, deleted, target_file_size).await?;
    let gone = std::mem::take(&mut rewritten.feed);
    applied.digest_deleted = is_digested.then_some(rewritten.digest);
    let (kept, went) = (rewritten.rows_kept, rewritten.rows_gone);
    take(&mut applied, rewritten);
    let (Some(landed), Some(comes), true) = (landed, comes, write_cdc) else { return Ok(applied) };
    if went > 0 && went + comes <= kept {
        tell(&mut applied, gone);
        tell(&mut applied, feed::of_files(table, &landed).await?);
    } else {
        feed::forget(table, &gone).await;
    }
    Ok(applied)
}

fn tell(applied: &mut Applied, feed: Vec<(String, u64)>) {
    applied.bytes_written += feed.iter().map(|(_, size)| size).sum::<u64>();
    applied.change.cdc.extend(feed);
}

fn take(applied: &mut Applied, rewritten: Rewritten) {
    applied.files_touched += rewritten.removes.len() as u64;
    applied.files_rewritten += rewritten.adds.len() as u64;
    applied.rows_copied += rewritten.rows_kept;
    applied.rows_deleted += rewritten.rows_gone;
    applied.bytes_written += rewritten.adds.iter().map(|a| a.size.unsigned_abs()).sum::<u64>();
    applied.change.adds.extend(rewritten.adds);
    applied.change.removes.extend(rewritten.removes);
}

#[cfg(test)]
mod tests;
