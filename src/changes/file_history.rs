//! Checks that the commits of a range only add missing files and only remove present ones, which counting files
//! assumes.
//!
//! An `add` of a present file replaces the earlier one, and a `remove` of a missing file removes nothing: neither
//! changes a row. A repeated registration of a file does the former.
//! Source: Delta protocol, "Action Reconciliation".

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Unfit, is_fed};
use crate::lake::{CommitFacts, DataFiles, LakeTable};

/// The order of adds and removes of a range's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHistory {
    /// Alternating: the counts are the change.
    InTurns,
    /// It depends on the table's files before the range.
    Depends,
    /// Not alternating, with the reason.
    Odd(String),
}

/// Why the files of these commits must not be counted; `None` if they may.
///
/// The table's files at `from` require that snapshot. Commits of ours do not need the check, since each was computed
/// from the snapshot before it; neither do commits whose change data files are used.
pub(super) async fn replay_anomaly(
    table: &LakeTable,
    from: u64,
    commits: &[CommitFacts],
    unfit: &Unfit,
) -> Option<String> {
    let mut found = file_history(commits, unfit, None);
    if found == FileHistory::Depends {
        let Ok(old) = table.at(from).await else { return Some(format!("v{from} cannot be read")) };
        // With a deletion vector it is another file, which actions without one do not refer to.
        let plain = old.files().into_iter().filter(|file| file.deletion_vector.is_none());
        found = file_history(commits, unfit, Some(&plain.map(|file| file.path).collect()));
    }
    match found {
        FileHistory::Odd(why) => Some(why),
        FileHistory::InTurns | FileHistory::Depends => None,
    }
}

/// Follows every file through the range; `before` are the table's files before it.
pub(super) fn file_history(commits: &[CommitFacts], unfit: &Unfit, before: Option<&BTreeSet<String>>) -> FileHistory {
    let mut held: BTreeMap<&str, bool> = BTreeMap::new();
    let mut depends = false;
    for commit in commits {
        let version = commit.version;
        let goes: BTreeSet<&str> = events(&commit.files).filter(|e| !e.comes).map(|e| e.path).collect();
        // Readers differ in which of the two is the later one.
        if events(&commit.files).any(|e| e.comes && goes.contains(e.path)) {
            return FileHistory::Odd(format!("v{version} adds and removes one and the same file"));
        }
        let mut here = BTreeSet::new();
        for event in events(&commit.files) {
            let first_here = here.insert(event.path);
            let known = held.insert(event.path, event.comes).or_else(|| Some(before?.contains(event.path)));
            match known {
                _ if !event.counts => {}
                Some(held) if held == event.comes => {
                    let odd = match (event.comes, first_here) {
                        (true, true) => "adds a file that is there already",
                        (true, false) => "adds a file twice",
                        (false, true) => "removes a file that is not there",
                        (false, false) => "removes a file twice",
                    };
                    return FileHistory::Odd(format!("v{version} {odd}"));
                }
                Some(_) => {}
                None => depends |= !commit.is_ours() && !is_fed(commit, unfit),
            }
        }
    }
    if depends { FileHistory::Depends } else { FileHistory::InTurns }
}

/// An add or remove of a file.
struct Event<'c> {
    path: &'c str,
    comes: bool,
    /// Whether it counts towards the change.
    counts: bool,
}

fn events(files: &DataFiles) -> impl Iterator<Item = Event<'_>> {
    let added = files.added.iter().map(|(path, _)| Event { path, comes: true, counts: true });
    let removed = files.removed.iter().map(|path| Event { path, comes: false, counts: true });
    let moved_in = files.moved_in.iter().map(|(path, _)| Event { path, comes: true, counts: false });
    let moved_out = files.moved_out.iter().map(|path| Event { path, comes: false, counts: false });
    added.chain(removed).chain(moved_in).chain(moved_out)
}
