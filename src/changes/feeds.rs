//! Whether change data files can be trusted: ours can. In those of other writers, inserts minus deletes must equal the
//! rows that the commit's data files gained. That detects a feed with lost or duplicate rows, but not one with wrong
//! values.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::AsArray;
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::DataType;
use futures::TryStreamExt;

use super::files::rows_of;
use super::relation::GONE;
use super::tally::{Unfit, is_fed};
use crate::error::{Context, Result};
use crate::lake::{CHANGE_TYPE, CommitFacts, DeltaFile, LakeTable, rows};

/// Commits with some change data files in `gone`.
pub(super) fn vacuumed(commits: &[CommitFacts], unfit: &Unfit, gone: &BTreeSet<String>) -> Unfit {
    let is_gone = |commit: &&CommitFacts| is_fed(commit, unfit) && commit.files.cdc.iter().any(|p| gone.contains(p));
    let version = |commit: &CommitFacts| commit.version;
    let why = |version| (version, format!("the change feed of v{version} is vacuumed"));
    commits.iter().filter(is_gone).map(version).map(why).collect()
}

/// Counts the rows of other writers' change data files, reading one column: their number by version, and the versions
/// that contradict the data files of their commit.
pub(super) async fn count(
    table: &LakeTable,
    from: u64,
    commits: &[CommitFacts],
    unfit: &Unfit,
) -> Result<(BTreeMap<u64, u64>, Unfit)> {
    let (mut counted, mut wrong) = (BTreeMap::new(), Unfit::new());
    let mut added: BTreeMap<String, u64> = BTreeMap::new();
    for commit in commits {
        added.extend(commit.files.added.iter().filter_map(|(path, rows)| Some((path.clone(), (*rows)?))));
        if !is_fed(commit, unfit) || commit.is_ours() {
            continue;
        }
        let (version, operation) = (commit.version, commit.operation());
        let feed = match read_feed(table, commit).await? {
            FeedRows::Counted { rows, net } => match gained(table, from, commit, &added).await {
                Some(held) if held != net => Err(format!("has {net:+} rows, its files {held:+}")),
                _ => Ok(rows),
            },
            FeedRows::Unfit(why) => Err(why),
        };
        match feed {
            Ok(rows) => drop(counted.insert(version, rows)),
            Err(why) => {
                drop(wrong.insert(version, format!("the change feed of v{version} ({operation}) {why}")));
            }
        }
    }
    Ok((counted, wrong))
}

/// The change data files of a commit.
enum FeedRows {
    /// Their row counts.
    Counted {
        rows: u64,
        /// Inserts minus deletes.
        net: i64,
    },
    /// They cannot be used, for this reason.
    Unfit(String),
}

/// Reads the change data files of a commit.
async fn read_feed(table: &LakeTable, commit: &CommitFacts) -> Result<FeedRows> {
    let (mut count, mut net) = (0, 0);
    for path in &commit.files.cdc {
        let doing = || format!("the change feed `{path}` of {} cannot be read", table.location());
        let size = commit.files.bytes.get(path).copied().unwrap_or(0);
        let file = DeltaFile::bare(path.clone(), size);
        let mut stream = rows(table.location(), &file, Some(CHANGE_TYPE)).await?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            let Some(types) = batch.columns().first() else {
                return Ok(FeedRows::Unfit(format!("has no column `{CHANGE_TYPE}`")));
            };
            let types = cast(types, &DataType::Utf8).context(doing)?;
            for change in types.as_string::<i32>() {
                let Some(weight) = weight_of(change) else {
                    let other = change.unwrap_or("NULL");
                    return Ok(FeedRows::Unfit(format!("has a change of type `{other}`")));
                };
                (count, net) = (count + 1, net + weight);
            }
        }
    }
    Ok(FeedRows::Counted { rows: count, net })
}

/// How a row with this `_change_type` counts.
fn weight_of(change: Option<&str>) -> Option<i64> {
    match change? {
        "insert" | "update_postimage" => Some(1),
        gone if GONE.contains(&gone) => Some(-1),
        _ => None,
    }
}

/// Rows added minus rows removed by a commit's data files; `None` if the log does not have the counts.
async fn gained(table: &LakeTable, from: u64, commit: &CommitFacts, added: &BTreeMap<String, u64>) -> Option<i64> {
    let came: Option<u64> = commit.files.added.iter().map(|(_, rows)| *rows).sum();
    let came = came?;
    let removed = commit.files.removed.iter();
    let rows = rows_of(table, from, added, removed.clone()).await;
    let went: Option<u64> = removed.map(|path| rows.get(path.as_str()).copied()).sum();
    i64::try_from(came).ok()?.checked_sub(i64::try_from(went?).ok()?)
}
