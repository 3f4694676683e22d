//! The sources of a change one by one: all that apply must give the same change (docs/proof/law.md).

use std::collections::BTreeMap;

use super::tally::Unfit;
use super::{Changes, Commits, by_snapshots, commits_since, look_up, replay_anomaly, tally};
use crate::error::Result;
use crate::lake::LakeTable;

/// A source of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// Change data files, and data files only of commits that only add files.
    Feed,
    /// The data files that each commit added and removed, ignoring its change data files.
    Commits,
    /// By the data files of the two snapshots.
    Snapshots,
}

/// [`since`](super::since) by one source alone.
///
/// # Errors
/// When the log is broken.
pub async fn since_by(table: &LakeTable, from: u64, source: ChangeSource) -> Result<Changes> {
    if source == ChangeSource::Snapshots {
        return by_snapshots(table, from, "no other way was asked for").await;
    }
    let commits = match commits_since(table, from).await? {
        Commits::Countable(commits) => commits,
        Commits::Uncountable(why) => return Ok(Changes::Lost(why)),
        Commits::Migrated(_) => return Ok(Changes::Lost("a migration changed its columns".into())),
    };
    let unused = match source {
        ChangeSource::Commits => {
            commits.iter().map(|commit| (commit.version, "it was not asked for".to_owned())).collect()
        }
        ChangeSource::Feed | ChangeSource::Snapshots => Unfit::new(),
    };
    if let Some(why) = replay_anomaly(table, from, &commits, &unused).await {
        return Ok(Changes::Lost(why));
    }
    let tally = match tally(&commits, &unused) {
        Ok(tally) => tally,
        Err(why) => return Ok(Changes::Lost(why)),
    };
    if let (ChangeSource::Feed, Some(why)) = (source, &tally.why) {
        return Ok(Changes::Lost(why.clone()));
    }
    let found = look_up(table, tally.net.keys().chain(&tally.feed).map(String::as_str)).await?;
    if !found.gone.is_empty() {
        return Ok(Changes::Lost("files between the two versions are gone".into()));
    }
    Ok(tally.into_change(table, from, found, &commits, &BTreeMap::new()).into())
}
