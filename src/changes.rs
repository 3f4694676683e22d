//! Versions `(from, to]` of a table -> the change set of its rows, as a relation with a weight column.
//!
//! The sources of a change, from exact and cheap to the last resort:
//!
//! 1. Per commit: its change data files, if they are exact, present, and consistent with its data files (`feeds`); else
//!    the data files that it added (+1) and removed (-1). Each file is counted over the whole range: one that was added
//!    and removed counts 0, one that a commit with a feed removed and a later RESTORE adds again counts 2.
//! 2. The data files by which the two snapshots differ: if the log no longer holds a commit, if files in between are
//!    vacuumed, if another writer added a present file or removed a missing one (`file_history`), and if a data file
//!    alone does not determine its rows (partition columns, column mapping, deletion vectors, changed columns).
//! 3. None: the caller computes in full, with the reason.
//!
//! Rows that were only rewritten cancel when the change is consolidated. Only the log is read here, and one column of
//! other writers' change data files: the relation streams.

mod across;
mod change_source;
mod commit;
mod feeds;
mod file_history;
mod files;
mod readable;
mod relation;
mod size;
mod snapshots;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::Result;
use crate::lake::{CommitFacts, Evidence, LakeTable, MovedRows};
use file_history::replay_anomaly;
use files::{all_there, look_up};
pub(crate) use size::size;
use snapshots::by_snapshots;
use tally::{Unfit, tally};

pub(crate) use across::touched;
pub use change_source::{ChangeSource, since_by};
pub(crate) use commit::of_commit;
pub(crate) use readable::{oldest as oldest_readable, readable_at};
pub(crate) use snapshots::DifferingFiles;

/// The source of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// No row changed.
    Nothing,
    /// Files were only added.
    Appends,
    /// Change data files cover every change of existing rows.
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

/// The change of a table between two versions.
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
    /// Rows of the change data files, if they were counted.
    rows_fed: Option<u64>,
    /// Rows of the range's data files, by path, if its commits record them.
    rows: BTreeMap<String, u64>,
    /// The most bytes of texts and lists in one of its rows, as far as the log says that there are wide ones.
    widest: u64,
    /// Files outside of the cut that exist in the store.
    seen: BTreeSet<String>,
    /// Columns, or fields (`s.a`, `items.[].sku`), that a migration within the range changed: what the rows of the change
    /// have in them means nothing.
    touched: BTreeSet<String>,
}

/// The changes of a table since a version.
#[derive(Debug)]
pub enum Changes {
    /// Its change set.
    Known(Box<ChangeSet>),
    /// They can no longer be computed, for this reason.
    Lost(String),
}

impl From<ChangeSet> for Changes {
    fn from(change: ChangeSet) -> Self {
        Self::Known(Box::new(change))
    }
}

/// Data files whose rows have the same weight.
#[derive(Clone, Debug)]
struct Part {
    weight: i64,
    files: Vec<String>,
    reading: Reading,
}

/// How the rows of data files are read.
#[derive(Clone, Debug)]
enum Reading {
    /// Directly from the files.
    Plain,
    /// Through a version that contains them.
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
            widest: 0,
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

    /// Bytes of the files that the relation reads.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.0 + self.bytes.1
    }

    /// Its source.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Why whole files are compared, if they are.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Whether whole files are compared although the table should have an exact feed.
    #[must_use]
    pub fn misses_feed(&self) -> bool {
        self.way == Way::Files && self.table.has_change_feed()
    }

    /// Whether the data files of `old`, an earlier version of the table, all exist.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn can_read(&self, old: &LakeTable) -> Result<bool> {
        all_there(&self.table, old, &self.seen).await
    }
}

/// The changes of `table` since version `from`.
///
/// # Errors
/// If the log is broken or names a file that must not be read.
pub async fn since(table: &LakeTable, from: u64) -> Result<Changes> {
    if from == table.version() {
        return Ok(ChangeSet::nothing(table, from).into());
    }
    table.check_files()?;
    let commits = match commits_since(table, from).await? {
        Commits::Migrated(commits) => return Box::pin(across::migrations(table, from, &commits)).await,
        Commits::Countable(commits) => commits,
        Commits::Uncountable(why) => return by_snapshots(table, from, &why).await,
    };
    let (mut unfit, mut counted) = (Unfit::new(), None);
    loop {
        // Checked in each round: a commit with an unusable feed uses its files.
        if let Some(why) = replay_anomaly(table, from, &commits, &unfit).await {
            return by_snapshots(table, from, &why).await;
        }
        let tally = match tally(&commits, &unfit) {
            Ok(tally) => tally,
            Err(why) => return Ok(Changes::Lost(why)),
        };
        let found = look_up(table, tally.net.keys().chain(&tally.feed).map(String::as_str)).await?;
        let vacuumed = feeds::vacuumed(&commits, &unfit, &found.gone);
        if !vacuumed.is_empty() {
            unfit.extend(vacuumed);
        } else if !found.gone.is_empty() {
            return by_snapshots(table, from, "files between the two versions are gone").await;
        } else if let Some(rows) = &counted {
            return Ok(tally.into_change(table, from, found, &commits, rows).into());
        } else {
            let (rows, wrong) = feeds::count(table, from, &commits, &unfit).await?;
            counted = Some(rows);
            unfit.extend(wrong);
        }
    }
}

/// The changes of the commit of `at`, an older version of `newest`. [`since`] takes the files that a version itself holds to
/// be there; of an older one they may be vacuumed.
///
/// # Errors
/// As [`since`].
pub(crate) async fn of_older(newest: &LakeTable, at: &LakeTable) -> Result<Changes> {
    let change = match since(at, at.version().saturating_sub(1)).await? {
        Changes::Known(change) => change,
        lost @ Changes::Lost(_) => return Ok(lost),
    };
    let files = change.parts.iter().flat_map(|part| &part.files).chain(&change.feed);
    let files = files.filter(|file| !change.seen.contains(*file)).map(String::as_str);
    let found = look_up(newest, files).await?;
    match found.gone.is_empty() {
        true => Ok(Changes::Known(change)),
        false => Ok(Changes::Lost(format!("files of v{} are gone", at.version()))),
    }
}

/// The changes of `table` since version `from` without the files that commits only rewrote, if there are such commits and
/// the log alone tells. Another writer's claim that a commit changed no row is checked: its rows are read.
///
/// # Errors
/// If the log is broken.
pub(crate) async fn without_rewrites(table: &LakeTable, from: u64) -> Result<Option<ChangeSet>> {
    let commits = table.commits(from, table.version()).await?;
    if !commits.is_some_and(|commits| commits.iter().any(CommitFacts::moves_files)) {
        return Ok(None);
    }
    Ok(match since_by(table, from, ChangeSource::Commits).await? {
        Changes::Known(change) => Some(*change),
        Changes::Lost(_) => None,
    })
}

/// The commits since a version.
enum Commits {
    /// Their data files determine their changes.
    Countable(Vec<CommitFacts>),
    /// They do not, for this reason.
    Uncountable(String),
    /// Some are statements of migrations, which change no row but in one column.
    Migrated(Vec<CommitFacts>),
}

/// The commits since `from`.
async fn commits_since(table: &LakeTable, from: u64) -> Result<Commits> {
    let Some(commits) = table.commits(from, table.version()).await? else {
        return Ok(Commits::Uncountable("the log no longer holds every commit since".into()));
    };
    if commits.iter().any(CommitFacts::is_migration) {
        return Ok(Commits::Migrated(commits));
    };
    if let Some(why) = beyond_files(table, &commits) {
        return Ok(Commits::Uncountable(why));
    }
    let commits = believed(table, commits).await?;
    Ok(match beyond_files(table, &commits) {
        Some(why) => Commits::Uncountable(why),
        None => Commits::Countable(commits),
    })
}

/// The commits; files of commits that changed rows without declaring it are moved to their changes. If the removed
/// files are vacuumed, the log's row counts must suffice.
async fn believed(table: &LakeTable, commits: Vec<CommitFacts>) -> Result<Vec<CommitFacts>> {
    let mut believed = Vec::with_capacity(commits.len());
    for commit in commits {
        let is_believed = commit.is_ours()
            || match table.moved(&commit, Evidence::Rows).await? {
                MovedRows::Same => true,
                MovedRows::Others => false,
                MovedRows::Unknown { same_count, .. } => same_count,
            };
        believed.push(if is_believed { commit } else { commit.not_only_moving() });
    }
    Ok(believed)
}

/// Why the data files of these commits alone do not determine their rows.
fn beyond_files(table: &LakeTable, commits: &[CommitFacts]) -> Option<String> {
    if let Some(why) = table.indirection() {
        return Some(why);
    }
    if table.is_spelled_otherwise() {
        return Some("the log spells the path of a file differently than ours".into());
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
