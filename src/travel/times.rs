//! When versions were committed.
//!
//! The time of a commit is its `inCommitTimestamp`, else the `timestamp` of its `commitInfo`, else the time of the object
//! in the store. Times that do not grow are made to, by one millisecond, as Delta does, so that a time means one version.
//! Source: Delta protocol, "In-Commit Timestamps"; `DeltaHistoryManager.monotonizeCommitTimestamps` of Delta Spark.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};

use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::lake::{CommitFacts, LakeTable};

/// Commits that are read together.
const TOGETHER: usize = 16;

/// The clock of a commit's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Its `inCommitTimestamp`.
    InCommit,
    /// The `timestamp` of its `commitInfo`: that of the writer.
    Writer,
    /// The object's, in the store.
    Object,
}

/// A commit and its time.
#[derive(Clone, Debug)]
pub struct CommitTime {
    /// The commit.
    pub facts: CommitFacts,
    /// Milliseconds since the epoch, later than that of the commit before.
    pub ms: i64,
    /// Its clock.
    pub clock: Clock,
}

/// The commits up to a version as far back as the log has them without a gap, oldest first.
///
/// # Errors
/// If the log cannot be read.
pub async fn times(table: &LakeTable) -> Result<Vec<CommitTime>> {
    newest_times(table, u64::MAX).await
}

/// The newest `most` of [`times`]. The first of them has its own time even if an earlier commit has a later one.
///
/// # Errors
/// If the log cannot be read.
pub async fn newest_times(table: &LakeTable, most: u64) -> Result<Vec<CommitTime>> {
    let listed = table.location().list("_delta_log").await?;
    let objects: BTreeMap<u64, i64> = listed
        .into_iter()
        .filter_map(|(path, meta)| {
            let version = path.strip_prefix("_delta_log/")?.strip_suffix(".json")?;
            (version.len() == 20).then_some(())?;
            Some((version.parse().ok()?, meta.last_modified.timestamp_millis()))
        })
        .collect();
    let newest = table.version();
    let floor = (newest + 1).saturating_sub(most);
    let oldest = (floor..=newest).rev().take_while(|version| objects.contains_key(version)).last();
    let Some(oldest) = oldest else { return Ok(Vec::new()) };
    let read = |version| async move { Ok::<_, Error>((version, table.commit_at(version).await?)) };
    let commits: Vec<(u64, Option<CommitFacts>)> =
        futures::stream::iter(oldest..=newest).map(read).buffered(TOGETHER).try_collect().await?;
    let mut times: Vec<CommitTime> = Vec::new();
    for (version, facts) in commits {
        // Removed since it was listed: the log begins behind it.
        let Some(facts) = facts else {
            times.clear();
            continue;
        };
        let is_in_commit = facts.info.as_ref().is_some_and(|info| info.in_commit_timestamp.is_some());
        let (ms, clock) = match facts.committed_ms() {
            Some(ms) if is_in_commit => (ms, Clock::InCommit),
            Some(ms) => (ms, Clock::Writer),
            None => (objects.get(&version).copied().unwrap_or_default(), Clock::Object),
        };
        let ms = times.last().map_or(ms, |before| ms.max(before.ms + 1));
        times.push(CommitTime { facts, ms, clock });
    }
    Ok(times)
}

/// The newest version of `table`, called `name`, that was committed at a time or before.
///
/// # Errors
/// `Usage` if there was none: before its oldest commit that is there, or before the first version of a table that was
/// created anew.
pub(super) async fn version_at(table: &LakeTable, name: &str, (ms, text): (i64, &str)) -> Result<u64> {
    let times = times(table).await?;
    let found = times.iter().rev().find(|time| time.ms <= ms);
    let none = |oldest: Option<&CommitTime>, why: &str| {
        let error = Error::new(Kind::Usage, format!("{name} has no version of {text}"));
        match oldest {
            Some(CommitTime { facts, ms, .. }) => error
                .fact("oldest", format!("v{}, committed at {}", facts.version, rfc3339(*ms)))
                .fact("because", why)
                .help(format!(
                    "read \"{name}@v{}\" or a later one; versions: stedi-delta history {name}",
                    facts.version
                )),
            None => error.fact("because", "its log holds no commit"),
        }
    };
    let Some(found) = found else {
        let is_first = times.first().is_some_and(|time| time.facts.version == 0);
        let why = if is_first { "the table was created then" } else { "older commits were removed from its log" };
        return Err(none(times.first(), why));
    };
    let version = found.facts.version;
    // A table that was created anew in the same log: versions before belong to another one.
    let is_later = |time: &&CommitTime| time.facts.version > version && time.facts.changes_metadata;
    let later: Vec<&CommitTime> = times.iter().filter(is_later).collect();
    if later.is_empty() || table.at(version).await?.uuid() == table.uuid() {
        return Ok(version);
    }
    for time in later {
        if table.at(time.facts.version).await?.uuid() == table.uuid() {
            return Err(none(Some(time), "the table was created anew then"));
        }
    }
    Ok(version)
}
