//! Whether the commits of a range add files that are not there and remove files that are, which is what counting files
//! takes for granted.
//!
//! An `add` of a file that the table holds already replaces the earlier one, and a `remove` of one that it does not hold
//! removes nothing: neither changes a row. A registration of a file that is tried again does the first.
//! Source: Delta protocol, "Action Reconciliation".

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Unfit, is_fed};
use crate::lake::{CommitFacts, DataFiles, LakeTable};

/// How the files of a range come and go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHistory {
    /// In turns: their counts are the change.
    InTurns,
    /// That depends on what the table held before the range.
    Depends,
    /// Not in turns, and why that is.
    Odd(String),
}

/// Why the files of these commits must not be counted; `None` where they may.
///
/// What the table held at `from` takes a look at that snapshot. Commits of ours need none, each having been computed
/// from the very snapshot before it; nor do those that are told by their change data files.
pub(super) async fn replay_anomaly(
    table: &LakeTable,
    from: u64,
    commits: &[CommitFacts],
    unfit: &Unfit,
) -> Option<String> {
    let mut found = course(commits, unfit, None);
    if found == FileHistory::Depends {
        let Ok(old) = table.at(from).await else { return Some(format!("v{from} cannot be read")) };
        // With a deletion vector it is another file, which no action without one means.
        let plain = old.files().into_iter().filter(|file| file.deletion_vector.is_none());
        found = course(commits, unfit, Some(&plain.map(|file| file.path).collect()));
    }
    match found {
        FileHistory::Odd(why) => Some(why),
        FileHistory::InTurns | FileHistory::Depends => None,
    }
}

/// Follows every file through the range; `before` are those that the table held.
pub(super) fn course(commits: &[CommitFacts], unfit: &Unfit, before: Option<&BTreeSet<String>>) -> FileHistory {
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

/// A file comes or goes.
struct Event<'c> {
    path: &'c str,
    comes: bool,
    /// Whether its rows come or go with it.
    counts: bool,
}

fn events(files: &DataFiles) -> impl Iterator<Item = Event<'_>> {
    let event = |comes, counts| move |path| Event { path, comes, counts };
    let added = files.added.iter().map(|(path, _)| path.as_str()).map(event(true, true));
    let removed = files.removed.iter().map(String::as_str).map(event(false, true));
    let moved_in = files.moved_in.iter().map(|(path, _)| path.as_str()).map(event(true, false));
    let moved_out = files.moved_out.iter().map(String::as_str).map(event(false, false));
    added.chain(removed).chain(moved_in).chain(moved_out)
}
