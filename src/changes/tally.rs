//! Counts the files of a range of commits over the whole range.

use std::collections::{BTreeMap, BTreeSet};

use super::files::Found;
use super::{ChangeSet, Part, Reading, Way};
use crate::lake::{CommitFacts, LakeTable};

/// Versions whose change data files are not used although they should be exact, with the reason.
pub(super) type Unfit = BTreeMap<u64, String>;

/// The net count of each file of a range.
#[derive(Default)]
pub(super) struct Tally {
    /// Data files with their weight.
    pub(super) net: BTreeMap<String, i64>,
    /// Change data files.
    pub(super) feed: Vec<String>,
    /// Why a commit that changed rows has no change data files.
    pub(super) why: Option<String>,
    bytes: BTreeMap<String, u64>,
    /// Versions whose change data files are used.
    fed: BTreeSet<u64>,
}

/// Whether the change of a commit is taken from its change data files.
pub(super) fn is_fed(commit: &CommitFacts, unfit: &Unfit) -> bool {
    !commit.files.cdc.is_empty() && commit.cdc_is_exact() && !unfit.contains_key(&commit.version)
}

/// Counts the files of `commits`.
pub(super) fn tally(commits: &[CommitFacts], unfit: &Unfit) -> std::result::Result<Tally, String> {
    let mut tally = Tally::default();
    for commit in commits {
        let version = commit.version;
        for (path, bytes) in &commit.files.bytes {
            if tally.bytes.insert(path.clone(), *bytes).is_some_and(|known| known != *bytes) {
                return Err(format!("v{version} has a file under the name of another one"));
            }
        }
        let files = &commit.files;
        if is_fed(commit, unfit) {
            tally.feed.extend(files.cdc.iter().cloned());
            tally.fed.insert(version);
            continue;
        }
        let why = match unfit.get(&version) {
            Some(why) => why.clone(),
            None if files.cdc.is_empty() && commit.is_ours() => format!("v{version} moved most rows of its files"),
            None if files.cdc.is_empty() => format!("v{version} ({}) has no change feed", commit.operation()),
            None => format!("the change feed of v{version} ({}) is not exact", commit.operation()),
        };
        if !commit.only_adds() && (tally.why.is_none() || !files.cdc.is_empty()) {
            tally.why = Some(why);
        }
        for (path, weight) in
            files.added.iter().map(|(path, _)| (path, 1)).chain(files.removed.iter().map(|path| (path, -1)))
        {
            *tally.net.entry(path.clone()).or_insert(0) += weight;
        }
    }
    // A file that was added and removed within the range changed nothing.
    tally.net.retain(|_, weight| *weight != 0);
    Ok(tally)
}

impl Tally {
    /// The change set, once every file has been found. `counted`: rows of the feeds that were read, by version.
    pub(super) fn into_change(
        self,
        table: &LakeTable,
        from: u64,
        found: Found,
        commits: &[CommitFacts],
        counted: &BTreeMap<u64, u64>,
    ) -> ChangeSet {
        let only_adds = self.net.values().all(|weight| *weight > 0);
        let way = match (self.net.is_empty(), self.feed.is_empty(), &self.why) {
            (true, true, _) => Way::Nothing,
            (_, false, None) => Way::Feed,
            (false, true, _) if only_adds => Way::Appends,
            (true, false, Some(_)) => Way::Feed,
            _ => Way::Files,
        };
        let size = |path: &String| self.bytes.get(path).or_else(|| found.there.get(path)).copied().unwrap_or(0);
        let bytes = (self.net.keys().map(size).sum(), self.feed.iter().map(size).sum());
        let fed = commits.iter().filter(|commit| self.fed.contains(&commit.version));
        let rows_fed = fed.map(|commit| counted.get(&commit.version).copied().or_else(|| commit.rows_fed())).sum();
        let added = commits.iter().flat_map(|commit| &commit.files.added);
        let rows = added.filter_map(|(path, rows)| Some((path.clone(), (*rows)?))).collect();
        let mut by_weight: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (path, weight) in self.net {
            by_weight.entry(weight).or_default().push(path);
        }
        let part = |(weight, files)| Part { weight, files, reading: Reading::Plain };
        ChangeSet {
            way,
            why: self.why.filter(|_| way == Way::Files),
            parts: by_weight.into_iter().map(part).collect(),
            feed: self.feed,
            bytes,
            rows_fed,
            rows,
            widest: commits.iter().map(|commit| commit.files.widest).max().unwrap_or(0),
            seen: found.there.into_keys().collect(),
            ..ChangeSet::nothing(table, from)
        }
    }
}
