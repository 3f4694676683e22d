//! The files of a table's folder that no version within the retention needs.
//!
//! A version of the retention needs the data files that it names, and all but the oldest of them the change data of their
//! commits; readers need the log from a checkpoint at or before it. Everything that this rests on is read, and where
//! something is not understood (deletion vectors, paths of other spellings, gaps) the folder is left as it is.

use std::collections::BTreeSet;

use deltalake::datafusion::object_store::ObjectMeta;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Kind, Result};
use crate::lake::{AT_ONCE, CommitFacts, LakeTable, LogFiles, outside_of_log};
use crate::outcome::Freed;

/// What has to stay for others.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// The oldest version that a table below was computed from, and which table.
    pub consumed: Option<(u64, String)>,
    /// Files of pinned versions, and those that a batch of the ledger is going to add.
    pub files: BTreeSet<String>,
}

/// Points in time, ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The version of that time stays, and all later ones.
    pub history: i64,
    /// Files that were written later stay.
    pub grace: i64,
}

/// What can be deleted.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Paths of data and change data files.
    pub data: Vec<String>,
    /// Paths of files of the log, oldest version first.
    pub log: Vec<String>,
    /// Whether the newest version needs a checkpoint before files of the log are deleted.
    pub checkpoint: bool,
    /// What they are.
    pub freed: Freed,
    /// The oldest version that the log has now.
    pub oldest: u64,
    /// The oldest version that stays.
    pub horizon: u64,
    /// Why older versions stay than the retention asks for.
    pub kept_for: Option<String>,
}

/// A folder that is left as it is.
#[derive(Debug)]
pub(super) enum Found {
    /// What can be deleted of it.
    Plan(Plan),
    /// Why nothing is.
    LeftAlone(String),
}

impl Plan {
    /// Of a table, by its newest version.
    ///
    /// # Errors
    /// If its folder or its log cannot be read.
    pub(super) async fn of(newest: &LakeTable, needed: &Needed, times: Times) -> Result<Found> {
        let alone = |why: &str| Ok(Found::LeftAlone(why.to_owned()));
        let listed = newest.location().list("").await?;
        let log = LogFiles::of(&listed);
        let version = newest.version();
        let oldest = log.oldest(version);
        let by_age = log.commits.range(oldest..=version).rev().find(|(_, file)| file.modified_ms <= times.history);
        let by_age = by_age.map_or(oldest, |(version, _)| *version);
        let consumed = needed.consumed.as_ref().filter(|(consumed, _)| *consumed < by_age);
        let horizon = consumed.map_or(by_age, |(consumed, _)| *consumed).max(oldest);
        let kept_for = consumed.map(|(consumed, table)| format!("{table} was computed from v{consumed}"));

        // Entries of the log from the first one that is there: those before the horizon tell which files are no orphans.
        let first = log.commits.keys().copied().find(|first| (*first..=version).all(|v| log.commits.contains_key(&v)));
        let Some(first) = first.filter(|first| *first <= horizon + 1) else {
            return alone("its log has a gap");
        };
        let Some(commits) = commits(newest, first).await? else { return alone("its log has a gap") };
        let has_vectors = |commit: &CommitFacts| commit.files.deletion_vectors || commit.files.moved_vectors;
        if commits.iter().any(has_vectors) || newest.files().iter().any(|file| file.deletion_vector.is_some()) {
            return alone("it has deletion vectors; the engine that wrote them has a VACUUM that knows them");
        }
        if newest.is_spelled_otherwise() || commits.iter().any(|commit| commit.files.odd_path.is_some()) {
            return alone("another writer named files in a way that this tool does not follow");
        }
        let Ok(at_horizon) = newest.at(horizon).await else {
            return alone(&format!("its v{horizon} cannot be opened"));
        };

        let mut keep: BTreeSet<String> = at_horizon.paths();
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for commit in &commits {
            let files = &commit.files;
            let data = || files.added.iter().chain(&files.moved_in).map(|(path, _)| path.as_str());
            let gone = files.removed.iter().chain(&files.moved_out).map(String::as_str);
            named.extend(data().chain(gone).chain(files.cdc.iter().map(String::as_str)));
            if commit.version > horizon {
                keep.extend(data().map(str::to_owned));
                keep.extend(files.cdc.iter().cloned());
            }
        }
        if !newest.paths().is_subset(&keep) {
            let what = format!("the files of {} do not follow from its log", newest.location());
            return Err(Error::new(Kind::Internal, what));
        }

        let mut plan = Self { oldest, horizon, kept_for, ..Self::default() };
        for (path, meta) in outside_of_log(&listed) {
            let is_old = meta.last_modified.timestamp_millis() <= times.grace;
            if !is_old || !is_ours(path) || keep.contains(path) || needed.files.contains(path) {
                continue;
            }
            plan.take_data(path, meta, named.contains(path.as_str()));
        }
        plan.take_log(newest, &log, times).await;
        Ok(Found::Plan(plan))
    }

    fn take_data(&mut self, path: &str, meta: &ObjectMeta, is_named: bool) {
        let kind = match (path.starts_with(CHANGE_DATA), is_named) {
            (_, false) => &mut self.freed.orphans,
            (true, true) => &mut self.freed.change_data,
            (false, true) => &mut self.freed.data,
        };
        kind.take(meta.size);
        self.data.push(path.to_owned());
    }

    /// The log before the newest checkpoint that the oldest version which stays can be read from. If only the newest version
    /// stays, it gets one.
    async fn take_log(&mut self, newest: &LakeTable, log: &LogFiles, times: Times) {
        let head = newest.state().head().unwrap_or(0);
        let wanted = self.horizon.min(head);
        let found = log.checkpoint_up_to(wanted);
        let is_last = wanted == newest.version();
        let base = if is_last && found != Some(wanted) && wanted > 0 {
            self.checkpoint = log.before(wanted).any(|file| file.modified_ms <= times.grace);
            self.checkpoint.then_some(wanted)
        } else {
            found
        };
        let Some(base) = base else { return };
        // Read from its checkpoint alone, as it will be once the entries before are gone.
        if !self.checkpoint && newest.reopened(base).await.is_err() {
            return;
        }
        let mut files: Vec<_> = log.before(base).filter(|file| file.modified_ms <= times.grace).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in files {
            self.freed.log.take(file.bytes);
            self.log.push(file.path.clone());
        }
    }
}

/// The folder of change data.
const CHANGE_DATA: &str = "_change_data/";

/// Whether a file can be a data file: engines hide what begins with `_` or `.`, and data files are Parquet.
fn is_ours(path: &str) -> bool {
    let rest = path.strip_prefix(CHANGE_DATA).unwrap_or(path);
    path.ends_with(".parquet") && rest.split('/').all(|part| !part.starts_with(['_', '.']))
}

/// The commits from `first` to the newest; `None` if one is gone meanwhile.
async fn commits(newest: &LakeTable, first: u64) -> Result<Option<Vec<CommitFacts>>> {
    let read = |version| async move { newest.commit_at(version).await };
    let versions = futures::stream::iter(first..=newest.version());
    let commits: Vec<Option<CommitFacts>> = versions.map(read).buffered(AT_ONCE).try_collect().await?;
    Ok(commits.into_iter().collect())
}
