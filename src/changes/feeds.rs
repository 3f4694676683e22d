//! Whether change data files can be trusted: ours can. In those of other writers, inserts minus deletes must equal the
//! rows that the commit's data files gained. That detects a feed with lost or duplicate rows, but not one with wrong
//! values.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::{AsArray, RecordBatch};
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
        let fed = match fed(table, commit).await? {
            Ok(fed) => fed,
            Err(why) => {
                wrong.insert(version, format!("the change feed of v{version} ({operation}) {why}"));
                continue;
            }
        };
        let held = gained(table, from, commit, &added).await;
        match held.filter(|held| *held != fed.net) {
            Some(held) => {
                let why = format!("has {:+} rows, its files {held:+}", fed.net);
                wrong.insert(version, format!("the change feed of v{version} ({operation}) {why}"));
            }
            None => drop(counted.insert(version, fed.rows)),
        }
    }
    Ok((counted, wrong))
}

/// Rows of the change data files of a commit.
#[derive(Default)]
struct Fed {
    rows: u64,
    /// Inserts minus deletes.
    net: i64,
}

/// The counts of a commit's change data files, or why they cannot be used.
async fn fed(table: &LakeTable, commit: &CommitFacts) -> Result<std::result::Result<Fed, String>> {
    let mut fed = Fed::default();
    for path in &commit.files.cdc {
        let doing = || format!("the change feed `{path}` of {} cannot be read", table.location());
        let size = commit.files.bytes.get(path).copied().unwrap_or(0);
        let file = DeltaFile::bare(path.clone(), size);
        let mut stream = rows(table.location(), &file, Some(CHANGE_TYPE)).await?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            if let Err(why) = add(&mut fed, &batch).context(doing)? {
                return Ok(Err(why));
            }
        }
    }
    Ok(Ok(fed))
}

fn add(fed: &mut Fed, batch: &RecordBatch) -> deltalake::arrow::error::Result<std::result::Result<(), String>> {
    let Some(types) = batch.columns().first() else { return Ok(Err(format!("has no column `{CHANGE_TYPE}`"))) };
    let types = cast(types, &DataType::Utf8)?;
    for change in types.as_string::<i32>() {
        fed.rows += 1;
        fed.net += match change {
            Some("insert" | "update_postimage") => 1,
            Some(gone) if GONE.contains(&gone) => -1,
            other => return Ok(Err(format!("has a change of type `{}`", other.unwrap_or("NULL")))),
        };
    }
    Ok(Ok(()))
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
