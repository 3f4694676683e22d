//! Optimizations: commits of ours that write rows of some files into others, sorted, and change no row.
//!
//! Adds and removes have `dataChange` = false, so that every reader of changes passes over them, and the state of the table
//! stays. Such a commit is recognised by its `txn` [`app::OPTIMIZED`] with the version that it creates: no data file has to
//! be read to know that its rows are the same. A commit computed from the version before it still holds, if it removes none of
//! the moved files.
//! Source: Delta protocol, "Add File and Remove File".

use std::collections::{BTreeMap, BTreeSet};

use deltalake::kernel::Add;
use serde_json::json;

use super::commit::{Change, Commit};
use super::log::CommitFacts;
use super::paths::resolve;
use super::state::app;
use super::statistics::mark_optimized;
use super::table::LakeTable;
use crate::error::{Error, Result};

/// The operation of such a commit.
pub(super) const OPTIMIZE: &str = "OPTIMIZE";

/// Files of a table and those into which their rows were written.
#[derive(Debug, Default)]
pub(crate) struct Compacted {
    /// Paths of the former.
    pub paths: BTreeSet<String>,
    /// The latter, in the order in which they were written; all but the last one are full.
    pub written: Vec<Add>,
    /// The columns by which they are sorted.
    pub sorted_by: Vec<String>,
    /// Bytes of the former.
    pub bytes: u64,
}

impl CommitFacts {
    /// Whether it is an optimization of ours.
    #[must_use]
    pub fn is_optimization(&self) -> bool {
        let is_recorded = self.txns.get(app::OPTIMIZED).is_some_and(|of| u64::try_from(*of) == Ok(self.version));
        is_recorded && self.is_ours() && !self.changes_data() && !self.changes_metadata
    }
}

impl LakeTable {
    /// Whether every commit since version `from` is an optimization of ours: its rows are those of `from`. Reads commits
    /// only if the newest is one.
    ///
    /// # Errors
    /// When a commit cannot be read.
    pub async fn is_only_optimized_since(&self, from: u64) -> Result<bool> {
        let newest = self.state().txns.get(app::OPTIMIZED).copied();
        if newest.and_then(|of| u64::try_from(of).ok()) != Some(self.version()) {
            return Ok(false);
        }
        for version in (from + 1..=self.version()).rev() {
            if !self.commit_at(version).await?.is_some_and(|commit| commit.is_optimization()) {
                return Ok(false);
            }
        }
        Ok(from < self.version())
    }

    /// Why its files are not to be merged, if so: another writer's commits have to be examined first, or its files do not
    /// hold exactly its rows.
    #[must_use]
    pub(crate) fn unoptimizable(&self) -> Option<String> {
        let state = self.state();
        if state.head() != Some(self.version()) || !state.readable || !state.foreign.is_empty() {
            return Some("another writer has committed since the last sync".to_owned());
        }
        let refused = [self.check_writable(), self.check_removable(), self.check_files()];
        let refused = refused.into_iter().find_map(std::result::Result::err);
        let hidden = || self.files().iter().any(|file| file.deletion_vector.is_some());
        refused
            .map(|error| error.message().to_owned())
            .or_else(|| self.indirection())
            .or_else(|| hidden().then(|| "it has deletion vectors".to_owned()))
    }

    /// Commits an optimization.
    ///
    /// # Errors
    /// As [`Commit::commit`].
    pub(crate) async fn commit_compacted(&self, compacted: Compacted, run: &str) -> Result<Self> {
        let Compacted { paths, mut written, sorted_by, bytes } = compacted;
        let last = written.len().saturating_sub(1);
        for (at, add) in written.iter_mut().enumerate() {
            add.data_change = false;
            mark_optimized(add, at < last, &sorted_by);
        }
        let mut removes = self.removes(|path| paths.contains(path));
        if removes.len() != paths.len() {
            return Err(Error::failed(format!("files of {} that were merged are not in it any more", self.location())));
        }
        removes.iter_mut().for_each(|remove| remove.data_change = false);
        // Also `app::STATEMENT`: a migration that is not complete stays so.
        let txns = self.state().txns.clone();
        let written_bytes = written.iter().map(|add| add.size.unsigned_abs()).sum();
        let reason = format!("{} files into {}", removes.len(), written.len());
        let facts = json!({"mode": "optimize", "reason": reason, "run": run});
        let metrics = [
            ("numAddedFiles", written.len() as u64),
            ("numRemovedFiles", removes.len() as u64),
            ("numAddedBytes", written_bytes),
            ("numRemovedBytes", bytes),
        ];
        let commit = Commit {
            operation: OPTIMIZE,
            change: Change { adds: written, removes, ..Change::default() },
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
            metrics: BTreeMap::from(metrics),
        };
        commit.commit(self).await
    }

    /// The newest version, if every commit since this one is an optimization of ours, and none of them moved rows of the
    /// files that `change` is about.
    pub(super) async fn after_optimizations(&self, change: &Change) -> Result<Option<Self>> {
        let (mut version, mut moved) = (self.version(), BTreeSet::new());
        while let Some(commit) = self.commit_at(version + 1).await? {
            if !commit.is_optimization() {
                return Ok(None);
            }
            moved.extend(commit.files.moved_out);
            version += 1;
        }
        let touched = change.removes.iter().map(|remove| &remove.path).chain(change.adds.iter().map(|add| &add.path));
        let is_moved = |spelled: &String| resolve(self.location(), spelled).map_or(true, |path| moved.contains(&path));
        if version == self.version() || self.is_spelled_otherwise() || touched.into_iter().any(is_moved) {
            return Ok(None);
        }
        self.advanced(version).await.map(Some)
    }
}
