//! The change set of a table -> data files to add and to remove: the copy-on-write half of a MERGE.
//!
//! `DeltaTable::merge` is not used: it writes the key range it pruned with into the log, commits nothing when nothing
//! changes, and destroys the clustering. Here only files that hold a row to be deleted are rewritten, each into files
//! of its own. Rows are matched whole, as multisets: a row that is there twice and goes once stays once.

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

pub use change::{RowChange, RowStream, Taking};
pub use feed::CdcChange;
pub use rewrite::{complete, removable};
pub use rows::{grouped, hashed};

use crate::error::Result;
use crate::lake::{Add, Change, DeltaFile, LakeTable};
use crate::outcome::counted;
use marks::Marks;
use prune::Probe;
use rewrite::Rewritten;
use rows::{COUNTED_BYTES, Floats, Part, RowMultiset};

/// What applying a change did, before the commit.
#[derive(Debug, Default)]
pub struct Applied {
    /// For the commit.
    pub change: Change,
    /// Data files rewritten or dropped.
    pub files_touched: u64,
    /// Data files written in their place.
    pub files_rewritten: u64,
    /// Rows of rewritten files that stayed.
    pub rows_copied: u64,
    /// Rows that went.
    pub rows_deleted: u64,
    /// Bytes of new data files, change data files included.
    pub bytes_written: u64,
}

/// Rows to be deleted that are not in the table: it is not what our newest commit left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking(pub u64);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.0 == 1 { "is" } else { "are" };
        write!(f, "{} that must go {is} not in it", counted(self.0, "row"))
    }
}

/// Writes the files that turn `table` into itself without the rows of `change` that go. Where it lacks some of them,
/// nothing is left written.
///
/// # Errors
/// When a file cannot be read or written.
pub async fn remove(
    table: &LakeTable,
    change: &RowChange,
    target_file_size: u64,
) -> Result<std::result::Result<Applied, Lacking>> {
    let mut applied = Applied::default();
    if change.deletes() == 0 {
        return Ok(Ok(applied));
    }
    let (mut rewritten, mut left) = rewrite_without(table, change, Floats::Exact, target_file_size).await?;
    if left > 0 && table.schema().fields().iter().any(|f| f.data_type().is_floating()) {
        discard(table, rewritten).await;
        (rewritten, left) = rewrite_without(table, change, Floats::Grouped, target_file_size).await?;
    }
    if left > 0 {
        discard(table, rewritten).await;
        return Ok(Err(Lacking(left)));
    }
    take(&mut applied, rewritten);
    Ok(Ok(applied))
}

/// Writes down row by row what goes and what comes, where rows go: without them a commit is its data files.
///
/// # Errors
/// When the store fails.
pub async fn told(applied: &mut Applied, change: RowChange) -> Result<()> {
    if change.deletes() > 0 {
        tell(applied, change.told().await?);
    } else {
        change.forget().await;
    }
    Ok(())
}

/// Deletes files that no version will name.
async fn discard(table: &LakeTable, rewritten: Rewritten) {
    for add in &rewritten.adds {
        table.location().remove(&add.path).await;
    }
}

/// Files without the rows that go, and how many of these were not found.
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
        return Ok((
            rewrite::rewrite_without(table, (&probe, &[]), Arc::new(marks), false, target_file_size).await?,
            0,
        ));
    }
    let schema = table.schema();
    let (probe, ends) = match change.held_deletes() {
        Some(batches) => {
            (Probe::best(&schema, batches, &table.files())?, Probe::of_ends(&schema, batches, &table.layout())?)
        }
        None => (Probe::none(), Vec::new()),
    };
    let counted = Arc::new(RowMultiset::new(table, change, floats, Part::WHOLE).await?);
    let rewritten =
        rewrite::rewrite_without(table, (&Arc::new(probe), &ends), counted.clone(), false, target_file_size).await?;
    Ok((rewritten, counted.left()))
}

/// Writes the files that turn `table` into itself without the rows for which `goes` is true. `column` holds one of
/// `values` in each of them; files without such a value are left alone.
///
/// `beside` are files with new rows that the same commit adds: with them, and where the table has a change feed, the
/// commit tells its change row by row, if that is less to read than its data files. A commit without change data files
/// is its data files, those that go and those that come.
///
/// # Errors
/// When a file cannot be read or written.
pub async fn delete_where(
    table: &LakeTable,
    column: &str,
    values: impl IntoIterator<Item = String>,
    goes: impl Fn(&RecordBatch) -> Result<deltalake::arrow::array::BooleanArray> + Send + Sync + 'static,
    beside: Option<&[Add]>,
    target_file_size: u64,
) -> Result<Applied> {
    rewrite::removable(table)?;
    let probe = Arc::new(Probe::of_strings(column, values));
    let mut applied = Applied::default();
    let landed: Option<Vec<DeltaFile>> = beside.map(|adds| adds.iter().map(DeltaFile::from).collect());
    let comes = landed.as_ref().and_then(|files| files.iter().map(|file| file.rows).sum::<Option<u64>>());
    // More than stays cannot come: then nobody need write down what goes.
    let write_cdc = table.has_change_feed() && comes.zip(table.rows()).is_some_and(|(comes, rows)| comes < rows);
    let goes = Arc::new(rows::Predicate(goes));
    let mut rewritten = rewrite::rewrite_without(table, (&probe, &[]), goes, write_cdc, target_file_size).await?;
    let gone = std::mem::take(&mut rewritten.feed);
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
