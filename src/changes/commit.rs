//! The change of one commit by the log alone: a walk over many versions loads no snapshot for it.

use std::collections::{BTreeMap, BTreeSet};

use super::file_history::{FileHistory, file_history};
use super::files::Found;
use super::tally::{Unfit, tally};
use super::{ChangeSet, beyond_files};
use crate::lake::{CommitFacts, LakeTable};

/// What `commit` changed in a version with exactly the files `before`; `None` if its files alone do not determine it.
/// `table` is any version with the columns of this one, through which rows are read; `there` are the files that exist.
///
/// Change data files are used only where they are ours. The declaration of another writer that no row changed is not
/// relied on: rows that were only rewritten cancel.
pub(crate) fn of_commit(
    table: &LakeTable,
    commit: &CommitFacts,
    before: &BTreeSet<String>,
    there: &BTreeSet<String>,
) -> Option<ChangeSet> {
    let commit = if commit.is_ours() { commit.clone() } else { commit.clone().not_only_moving() };
    let mut unfit = Unfit::new();
    if !commit.is_ours() {
        unfit.insert(commit.version, "another writer has committed it".to_owned());
    } else if !commit.files.cdc.iter().all(|file| there.contains(file)) {
        unfit.insert(commit.version, format!("the change feed of v{} is vacuumed", commit.version));
    }
    let (from, commits) = (commit.version.checked_sub(1)?, [commit]);
    if beyond_files(table, &commits).is_some() {
        return None;
    }
    if let FileHistory::Odd(_) = file_history(&commits, &unfit, Some(before)) {
        return None;
    }
    let tally = tally(&commits, &unfit).ok()?;
    if !tally.net.keys().chain(&tally.feed).all(|file| there.contains(file)) {
        return None;
    }
    let found = Found { there: BTreeMap::new(), gone: BTreeSet::new() };
    Some(tally.into_change(table, from, found, &commits, &BTreeMap::new()))
}
