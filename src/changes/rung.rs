//! The ladder rung by rung: wherever several can tell a change, they must tell the same one (docs/law.md).

use std::collections::BTreeMap;

use super::tally::Unfit;
use super::{ChangeSet, by_snapshots, look_up, replay_anomaly, tally, told_by_files};
use crate::error::Result;
use crate::lake::LakeTable;

/// A way to find a change out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// By change data files, and by data files only of commits that add nothing but files.
    Feed,
    /// By the data files that each commit added and removed, whatever its change data files say.
    Commits,
    /// By the data files of the two snapshots.
    Snapshots,
}

/// [`since`](super::since) by one rung alone, or why that one cannot tell the change.
///
/// # Errors
/// When the log is broken.
pub async fn since_by(
    table: &LakeTable,
    from: u64,
    rung: ChangeSource,
) -> Result<std::result::Result<ChangeSet, String>> {
    if rung == ChangeSource::Snapshots {
        return by_snapshots(table, from, "no other way was asked for").await;
    }
    let commits = match told_by_files(table, table.commits(from, table.version()).await?).await? {
        Ok(commits) => commits,
        Err(why) => return Ok(Err(why)),
    };
    let unused = match rung {
        ChangeSource::Commits => {
            commits.iter().map(|commit| (commit.version, "it was not asked for".to_owned())).collect()
        }
        ChangeSource::Feed | ChangeSource::Snapshots => Unfit::new(),
    };
    if let Some(why) = replay_anomaly(table, from, &commits, &unused).await {
        return Ok(Err(why));
    }
    let tally = match tally(&commits, &unused) {
        Ok(tally) => tally,
        Err(why) => return Ok(Err(why)),
    };
    if let (ChangeSource::Feed, Some(why)) = (rung, &tally.why) {
        return Ok(Err(why.clone()));
    }
    let found = look_up(table, tally.net.keys().chain(&tally.feed).map(String::as_str)).await?;
    if !found.gone.is_empty() {
        return Ok(Err("files between the two versions are vacuumed".into()));
    }
    Ok(Ok(tally.into_change(table, from, found, &commits, &BTreeMap::new())))
}
