//! Which versions of a table are there, by one listing of its folder.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::lake::LakeTable;

/// The folder of a log.
const LOG: &str = "_delta_log/";

/// The versions and files of a table that are there.
#[derive(Debug)]
pub(super) struct History {
    /// The oldest version that the log can still tell.
    pub oldest: u64,
    /// All files of the folder.
    pub there: BTreeSet<String>,
}

impl History {
    /// Of a table, by its newest version.
    ///
    /// # Errors
    /// When its folder cannot be listed.
    pub(super) async fn of(newest: &LakeTable) -> Result<Self> {
        let there: BTreeSet<String> = newest.location().list("").await?.into_iter().map(|(path, _)| path).collect();
        let mut oldest = oldest(&there, newest.version());
        // A checkpoint may be incomplete.
        while oldest < newest.version() && newest.at(oldest).await.is_err() {
            oldest += 1;
        }
        Ok(Self { oldest, there })
    }

    /// Why versions before the oldest one are unknown.
    pub(super) fn why_gone(&self) -> String {
        format!("the log begins at v{}: older entries were removed", self.oldest)
    }
}

/// The oldest version that the files of a log can give: the first commit of the unbroken row up to the newest one if that
/// created the table, else the first checkpoint from which on all commits are there.
fn oldest(there: &BTreeSet<String>, newest: u64) -> u64 {
    let named = |path: &str, suffix: &str| {
        let (version, rest) = path.strip_prefix(LOG)?.split_once('.')?;
        let is_it = version.len() == 20 && rest.starts_with(suffix);
        version.parse::<u64>().ok().filter(|_| is_it)
    };
    let listed = || there.range(LOG.to_owned()..).take_while(|path| path.starts_with(LOG));
    let commits: BTreeSet<u64> = listed().filter_map(|path| named(path, "json")).collect();
    let first = (0..=newest).rev().take_while(|version| commits.contains(version)).last();
    match first {
        Some(0) => 0,
        first => {
            let floor = first.map_or(newest, |first| first - 1);
            let checkpoints = listed().filter_map(|path| named(path, "checkpoint"));
            checkpoints.filter(|version| (floor..=newest).contains(version)).min().unwrap_or(newest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_version_needs_its_commits_or_a_checkpoint() {
        let log = |commits: &[u64], checkpoints: &[u64]| {
            let commits = commits.iter().map(|v| format!("{LOG}{v:020}.json"));
            let checkpoints = checkpoints.iter().map(|v| format!("{LOG}{v:020}.checkpoint.parquet"));
            commits.chain(checkpoints).chain(["a.parquet".to_owned()]).collect::<BTreeSet<_>>()
        };
        assert_eq!(oldest(&log(&[0, 1, 2], &[]), 2), 0);
        assert_eq!(oldest(&log(&[1, 2, 3], &[0]), 3), 0);
        assert_eq!(oldest(&log(&[3, 4, 5, 6], &[4]), 6), 4);
        assert_eq!(oldest(&log(&[0, 1, 3, 4], &[3]), 4), 3);
        assert_eq!(oldest(&log(&[3, 4], &[]), 4), 4);
    }
}
