//! Versions `(from, to]` of a table -> the change set of its rows, as a relation with a weight column.
//!
//! The ladder, from the exact and cheap to the last resort:
//!
//! 1. Per commit: its change data files where they are exact and still there, else the data files that it added (+1)
//!    and removed (-1). Over the whole range each file is counted: one that came and went counts nothing, one that a
//!    feed commit removed and a later RESTORE brings back counts twice.
//! 2. The data files by which the two snapshots differ: where the log no longer holds a commit, where files in between
//!    are vacuumed, and where a data file alone does not say what its rows are (partition columns, column mapping,
//!    deletion vectors, changed columns).
//! 3. Nothing: the caller computes in full, and says why.
//!
//! Rows that were only rewritten cancel when the change is consolidated. Nothing is read here but the log: the relation
//! streams.

mod relation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deltalake::logstore::object_store;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::error::{Context, Result};
use crate::lake::{CommitFacts, DeltaFile, LakeTable};
use crate::storage::Location;

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
    way: Way,
    why: Option<String>,
    parts: Vec<Part>,
    feed: Vec<String>,
    bytes: u64,
    /// Files that the cut does not hold and that were seen in the store.
    seen: BTreeSet<String>,
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
    Through(LakeTable),
    /// All rows of a version, because its scan cannot be told the names of these files.
    Whole(LakeTable),
}

impl ChangeSet {
    fn nothing(table: &LakeTable) -> Self {
        let (table, seen) = (table.clone(), BTreeSet::new());
        Self { table, way: Way::Nothing, why: None, parts: Vec::new(), feed: Vec::new(), bytes: 0, seen }
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

    /// Their size, as far as log and store know it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
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
        let files = old.files();
        let asked = files.iter().map(|f| f.path.as_str()).filter(|path| !self.seen.contains(*path));
        Ok(look_up(&self.table, asked).await?.gone.is_empty())
    }
}

/// The change set of `table` since version `from`, or why it cannot be told any more.
///
/// # Errors
/// When the log is broken.
pub async fn since(table: &LakeTable, from: u64) -> Result<std::result::Result<ChangeSet, String>> {
    if from == table.version() {
        return Ok(Ok(ChangeSet::nothing(table)));
    }
    let Some(commits) = table.commits(from, table.version()).await? else {
        return by_snapshots(table, from, "the log no longer holds every commit since").await;
    };
    if let Some(why) = beyond_files(table, &commits) {
        return by_snapshots(table, from, &why).await;
    }
    let mut gone = BTreeSet::new();
    loop {
        let tally = match tally(&commits, &gone) {
            Ok(tally) => tally,
            Err(why) => return Ok(Err(why)),
        };
        let found = look_up(table, tally.net.keys().chain(&tally.feed).map(String::as_str)).await?;
        if found.gone.is_empty() {
            return Ok(Ok(tally.into_change(table, found)));
        }
        let without_feed: Vec<String> = tally.feed.into_iter().filter(|path| found.gone.contains(path)).collect();
        if without_feed.is_empty() {
            return by_snapshots(table, from, "files between the two versions are vacuumed").await;
        }
        gone.extend(without_feed);
    }
}

/// Why the data files of these commits, taken alone, do not say what their rows are.
fn beyond_files(table: &LakeTable, commits: &[CommitFacts]) -> Option<String> {
    if let Some(why) = table.indirection() {
        return Some(why);
    }
    commits.iter().find_map(|commit| {
        let version = commit.version;
        let elsewhere = || commit.files.bytes.keys().any(|path| path.contains("://"));
        if commit.files.deletion_vectors {
            Some(format!("v{version} has deletion vectors"))
        } else if commit.changes_metadata {
            Some(format!("v{version} changed the table's columns, properties or protocol"))
        } else if elsewhere() {
            Some(format!("v{version} has files outside of the table's folder"))
        } else {
            None
        }
    })
}

/// How often each file of a range counts.
#[derive(Default)]
struct Tally {
    net: BTreeMap<String, i64>,
    feed: Vec<String>,
    why: Option<String>,
    bytes: BTreeMap<String, u64>,
}

/// Counts the files of `commits`, of whose change data files those in `gone` are no longer there.
fn tally(commits: &[CommitFacts], gone: &BTreeSet<String>) -> std::result::Result<Tally, String> {
    let mut tally = Tally::default();
    for commit in commits {
        let version = commit.version;
        for (path, bytes) in &commit.files.bytes {
            if tally.bytes.insert(path.clone(), *bytes).is_some_and(|known| known != *bytes) {
                return Err(format!("v{version} has a file under the name of another one"));
            }
        }
        let files = &commit.files;
        if !files.cdc.is_empty() && commit.cdc_is_exact() && files.cdc.iter().all(|path| !gone.contains(path)) {
            tally.feed.extend(files.cdc.iter().cloned());
            continue;
        }
        let why = if files.cdc.is_empty() && commit.is_ours() {
            format!("v{version} moved most rows of its files")
        } else if files.cdc.is_empty() {
            format!("v{version} ({}) has no change feed", commit.operation())
        } else if commit.cdc_is_exact() {
            format!("the change feed of v{version} is vacuumed")
        } else {
            format!("the change feed of v{version} ({}) is not exact", commit.operation())
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
    // A file that came and went within the range changed nothing.
    tally.net.retain(|_, weight| *weight != 0);
    Ok(tally)
}

impl Tally {
    fn into_change(self, table: &LakeTable, found: Found) -> ChangeSet {
        let only_adds = self.net.values().all(|weight| *weight > 0);
        let way = match (self.net.is_empty(), self.feed.is_empty(), &self.why) {
            (true, true, _) => Way::Nothing,
            (_, false, None) => Way::Feed,
            (false, true, _) if only_adds => Way::Appends,
            (true, false, Some(_)) => Way::Feed,
            _ => Way::Files,
        };
        let size = |path: &String| self.bytes.get(path).or_else(|| found.there.get(path)).copied().unwrap_or(0);
        let bytes = self.net.keys().chain(&self.feed).map(size).sum();
        let mut by_weight: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (path, weight) in self.net {
            by_weight.entry(weight).or_default().push(path);
        }
        let part = |(weight, files)| Part { weight, files, reading: Reading::Plain };
        ChangeSet {
            table: table.clone(),
            way,
            why: self.why.filter(|_| way == Way::Files),
            parts: by_weight.into_iter().map(part).collect(),
            feed: self.feed,
            bytes,
            seen: found.there.into_keys().collect(),
        }
    }
}

/// What one snapshot holds and the other does not.
async fn by_snapshots(table: &LakeTable, from: u64, why: &str) -> Result<std::result::Result<ChangeSet, String>> {
    let Ok(old) = table.at(from).await else {
        return Ok(Err(format!("v{from} can no longer be read")));
    };
    let now = table.stored_columns();
    let other = |(name, stored): &(String, String)| now.get(name).is_some_and(|current| current != stored);
    if let Some((name, _)) = old.stored_columns().into_iter().find(other) {
        return Ok(Err(format!("column `{name}` is stored in another way than in v{from}")));
    }
    let (before, after) = (by_identity(&old), by_identity(table));
    if after.iter().any(|(identity, file)| before.get(identity).is_some_and(|old| old.size != file.size)) {
        return Ok(Err(format!("a file of v{from} was overwritten by another one of the same name")));
    }
    let only = |here: &BTreeMap<Identity, DeltaFile>, there: &BTreeMap<Identity, DeltaFile>| {
        let only = here.iter().filter(|(identity, _)| !there.contains_key(*identity));
        only.map(|(_, file)| file.clone()).collect::<Vec<_>>()
    };
    let (added, removed) = (only(&after, &before), only(&before, &after));
    let found = look_up(table, removed.iter().map(|file| file.path.as_str())).await?;
    if !found.gone.is_empty() {
        return Ok(Err(format!("files of v{from} are vacuumed")));
    }
    let plain = table.indirection().is_none()
        && old.indirection().is_none()
        && added.iter().chain(&removed).all(|file| file.deletion_vector.is_none() && !file.path.contains("://"));
    let sides = [(1, added, table), (-1, removed, &old)].into_iter().filter(|(_, files, _)| !files.is_empty());
    let mut change = ChangeSet { seen: found.there.into_keys().collect(), ..ChangeSet::nothing(table) };
    for (weight, files, at) in sides {
        change.bytes += files.iter().map(|file| file.size).sum::<u64>();
        let files: Vec<String> = files.into_iter().map(|file| file.path).collect();
        let reading = match (plain, files.iter().all(|path| can_be_named(path))) {
            (true, _) => Reading::Plain,
            (false, true) => Reading::Through(at.clone()),
            // Either side may be read whole only together with the other: files in both would count once.
            (false, false) => return Ok(Ok(whole(table, &old, change.seen, why))),
        };
        change.parts.push(Part { weight, files, reading });
    }
    if !change.is_empty() {
        change.way = if change.only_adds() { Way::Appends } else { Way::Files };
        change.why = (change.way == Way::Files).then(|| why.to_owned());
    }
    Ok(Ok(change))
}

/// All rows of both versions: what they share cancels.
fn whole(table: &LakeTable, old: &LakeTable, seen: BTreeSet<String>, why: &str) -> ChangeSet {
    let part = |(weight, at): (i64, &LakeTable)| Part {
        weight,
        files: at.files().into_iter().map(|file| file.path).collect(),
        reading: Reading::Whole(at.clone()),
    };
    ChangeSet {
        way: Way::Files,
        why: Some(why.to_owned()),
        parts: [(1, table), (-1, old)].map(part).into(),
        bytes: table.size().1 + old.size().1,
        seen,
        ..ChangeSet::nothing(table)
    }
}

/// A file's path and its deletion vector: what its rows depend on.
type Identity = (String, Option<String>);

fn by_identity(table: &LakeTable) -> BTreeMap<Identity, DeltaFile> {
    table.files().into_iter().map(|file| ((file.path.clone(), file.deletion_vector.clone()), file)).collect()
}

/// Whether every writer spells this path in the same way in the log: scans select files by that spelling.
fn can_be_named(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=/".contains(&b))
}

/// A data file's place in the store. The log's spelling of it is the store's own: what looks like an escape in the name
/// of a partition's folder is part of that name.
fn in_store(location: &Location, file: &str) -> object_store::path::Path {
    let path = object_store::path::Path::parse(format!("{}/{file}", location.path));
    path.unwrap_or_else(|_| location.join(file).path)
}

/// Files outside of the cut.
struct Found {
    there: BTreeMap<String, u64>,
    gone: BTreeSet<String>,
}

/// Looks for the files that the newest version does not hold: a vacuumed one would only be missed while the query runs.
async fn look_up<'a>(table: &LakeTable, paths: impl Iterator<Item = &'a str>) -> Result<Found> {
    let current: BTreeSet<String> = table.files().into_iter().map(|f| f.path).collect();
    let location = table.location();
    let outside: Vec<String> = paths.filter(|path| !current.contains(*path)).map(str::to_owned).collect();
    let answers: Vec<(String, Option<u64>)> = futures::stream::iter(outside)
        .map(|path| async move {
            match location.store.head(&in_store(location, &path)).await {
                Ok(meta) => Ok((path, Some(meta.size))),
                Err(object_store::Error::NotFound { .. }) => Ok((path, None)),
                Err(cause) => Err(cause),
            }
        })
        .buffered(8)
        .try_collect()
        .await
        .context(|| format!("files of {location} cannot be looked up"))?;
    let mut found = Found { there: BTreeMap::new(), gone: BTreeSet::new() };
    for (path, size) in answers {
        match size {
            Some(size) => drop(found.there.insert(path, size)),
            None => drop(found.gone.insert(path)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
