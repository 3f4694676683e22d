//! Versions `(from, to]` of a table -> the change set of its rows, as a relation with a weight column.
//!
//! The ladder, from the exact and cheap to the last resort:
//!
//! 1. Per commit: its change data files where they are exact, still there, and not belied by its data files
//!    (`feeds`), else the data files that it added (+1) and removed (-1). Over the whole range each file is counted: one
//!    that came and went counts nothing, one that a feed commit removed and a later RESTORE brings back counts twice.
//! 2. The data files by which the two snapshots differ: where the log no longer holds a commit, where files in between
//!    are vacuumed, where somebody added a file that was there or removed one that was not (`course`), and where a data
//!    file alone does not say what its rows are (partition columns, column mapping, deletion vectors, changed columns).
//! 3. Nothing: the caller computes in full, and says why.
//!
//! Rows that were only rewritten cancel when the change is consolidated. Nothing is read here but the log, and one
//! column of other writers' change data files: the relation streams.

mod across;
mod course;
mod feeds;
mod files;
mod readable;
mod relation;
mod rung;
mod size;
mod snapshots;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::Result;
use crate::lake::{CommitFacts, LakeTable, MovedRows};
use course::replay_anomaly;
use files::{all_there, look_up};
pub use size::size;
use snapshots::by_snapshots;
use tally::{Unfit, tally};

pub use readable::readable_at;
pub use rung::{ChangeSource, since_by};

/// How a change was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// No row changed.
    Nothing,
    /// Files were only added.
    Appends,
    /// Every change of rows that were there is told by change data files.
    Feed,
    /// Whole data files are compared.
    Files,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Appends => "appends",
            Self::Feed => "feed",
            Self::Files => "file diff",
        })
    }
}

/// What happened to a table between two versions.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    table: LakeTable,
    from: u64,
    way: Way,
    why: Option<String>,
    parts: Vec<Part>,
    feed: Vec<String>,
    /// Size of the data files, and of the change data files.
    bytes: (u64, u64),
    /// Rows of the change data files, where somebody counted them.
    rows_fed: Option<u64>,
    /// Rows of data files of the range, by path, where its commits say so.
    rows: BTreeMap<String, u64>,
    /// Files that the cut does not hold and that were seen in the store.
    seen: BTreeSet<String>,
    /// Columns, or fields (`s.a`, `items.[].sku`), that a migration within the range changed: what the rows of the change
    /// have in them means nothing.
    touched: BTreeSet<String>,
}

/// Data files whose rows count with the same weight.
#[derive(Clone, Debug)]
struct Part {
    weight: i64,
    files: Vec<String>,
    reading: Reading,
}

/// How the rows of data files are read.
#[derive(Clone, Debug)]
enum Reading {
    /// As they stand in the files.
    Plain,
    /// Through a version that has them.
    Through(Box<LakeTable>),
}

impl ChangeSet {
    fn nothing(table: &LakeTable, from: u64) -> Self {
        Self {
            table: table.clone(),
            from,
            way: Way::Nothing,
            why: None,
            parts: Vec::new(),
            feed: Vec::new(),
            bytes: (0, 0),
            rows_fed: Some(0),
            rows: BTreeMap::new(),
            seen: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Columns, or fields within them, that a migration within the range changed. The rows of the change are right only in
    /// the others.
    #[must_use]
    pub fn touched(&self) -> &BTreeSet<String> {
        &self.touched
    }

    /// The version since which.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Whether no row changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.feed.is_empty()
    }

    /// Whether rows were only added.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        self.feed.is_empty() && self.parts.iter().all(|part| part.weight > 0)
    }

    /// Number of files that the relation reads.
    #[must_use]
    pub fn files(&self) -> u64 {
        (self.feed.len() + self.parts.iter().map(|part| part.files.len()).sum::<usize>()) as u64
    }

    /// How it was found out.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Why whole files are compared, where they are.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Whether whole files are compared although the table should have told its change.
    #[must_use]
    pub fn misses_feed(&self) -> bool {
        self.way == Way::Files && self.table.has_change_feed()
    }

    /// Whether the data files of `old`, an earlier version of the table, are all there.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn can_read(&self, old: &LakeTable) -> Result<bool> {
        all_there(&self.table, old, &self.seen).await
    }
}

/// The change set of `table` since version `from`, or why it cannot be told any more.
///
/// # Errors
/// When the log is broken or names a file that must not be read.
pub async fn since(table: &LakeTable, from: u64) -> Result<std::result::Result<ChangeSet, String>> {
    if from == table.version() {
        return Ok(Ok(ChangeSet::nothing(table, from)));
    }
    table.check_files()?;
    let commits = table.commits(from, table.version()).await?;
    if let Some(commits) = &commits
        && commits.iter().any(CommitFacts::is_migration)
    {
        return Box::pin(across::migrations(table, from, commits)).await;
    }
    let commits = match told_by_files(table, commits).await? {
        Ok(commits) => commits,
        Err(why) => return by_snapshots(table, from, &why).await,
    };
    let (mut unfit, mut counted) = (Unfit::new(), None);
    loop {
        // Asked anew each time: a commit whose feed turns out unfit is told by its files.
        if let Some(why) = replay_anomaly(table, from, &commits, &unfit).await {
            return by_snapshots(table, from, &why).await;
        }
        let tally = match tally(&commits, &unfit) {
            Ok(tally) => tally,
            Err(why) => return Ok(Err(why)),
        };
        let found = look_up(table, tally.net.keys().chain(&tally.feed).map(String::as_str)).await?;
        let vacuumed = feeds::vacuumed(&commits, &unfit, &found.gone);
        if !vacuumed.is_empty() {
            unfit.extend(vacuumed);
        } else if !found.gone.is_empty() {
            return by_snapshots(table, from, "files between the two versions are vacuumed").await;
        } else if let Some(rows) = &counted {
            return Ok(Ok(tally.into_change(table, from, found, &commits, rows)));
        } else {
            let (rows, wrong) = feeds::count(table, from, &commits, &unfit).await?;
            counted = Some(rows);
            unfit.extend(wrong);
        }
    }
}

/// The commits of a range, as far as the log holds them, or why their files do not tell what they did.
async fn told_by_files(
    table: &LakeTable,
    commits: Option<Vec<CommitFacts>>,
) -> Result<std::result::Result<Vec<CommitFacts>, String>> {
    let Some(commits) = commits else {
        return Ok(Err("the log no longer holds every commit since".into()));
    };
    if let Some(why) = beyond_files(table, &commits) {
        return Ok(Err(why));
    }
    let commits = believed(table, commits).await?;
    Ok(match beyond_files(table, &commits) {
        Some(why) => Err(why),
        None => Ok(commits),
    })
}

/// The commits, with the files of those that changed rows without saying so among their changes. Where the files that
/// went are vacuumed, the log's own count of the rows has to do.
async fn believed(table: &LakeTable, commits: Vec<CommitFacts>) -> Result<Vec<CommitFacts>> {
    let mut believed = Vec::with_capacity(commits.len());
    for commit in commits {
        let is_believed = commit.is_ours()
            || match table.moved(&commit, true).await? {
                MovedRows::Same => true,
                MovedRows::Others => false,
                MovedRows::Unknown { same_count, .. } => same_count,
            };
        believed.push(if is_believed { commit } else { commit.not_only_moving() });
    }
    Ok(believed)
}

/// Why the data files of these commits, taken alone, do not say what their rows are.
fn beyond_files(table: &LakeTable, commits: &[CommitFacts]) -> Option<String> {
    if let Some(why) = table.indirection() {
        return Some(why);
    }
    if table.is_spelled_otherwise() {
        return Some("the log spells the path of a file in another way than ours".into());
    }
    commits.iter().find_map(|commit| {
        let version = commit.version;
        if commit.files.deletion_vectors {
            Some(format!("v{version} has deletion vectors"))
        } else if commit.changes_metadata {
            Some(format!("v{version} changed the table's columns, properties or protocol"))
        } else {
            commit.files.odd_path.as_ref().map(|odd| format!("v{version} {odd}"))
        }
    })
}

#[cfg(test)]
mod tests;
