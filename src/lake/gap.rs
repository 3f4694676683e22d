//! Missing commits of a log. The library reports them in terms of its own structures.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::storage::Location;

/// The folder of a table's log.
const LOG: &str = "_delta_log";

/// The error for a log that lacks commits before `version`, or before its newest one; `None` if it is complete.
///
/// # Errors
/// When it cannot be listed.
pub(super) async fn gap(table: &Location, version: Option<u64>) -> Result<Option<Error>> {
    let files = table.list(LOG).await?;
    let names = files.iter().filter_map(|(path, _)| path.strip_prefix("_delta_log/"));
    let (mut commits, mut checkpoints) = (BTreeSet::new(), BTreeSet::new());
    for (number, rest) in names.filter_map(|name| name.split_once('.')) {
        let Ok(number) = number.parse::<u64>() else { continue };
        if version.is_some_and(|version| number > version) {
            continue;
        }
        match rest {
            "json" => drop(commits.insert(number)),
            rest if rest.starts_with("checkpoint") => drop(checkpoints.insert(number)),
            _ => {}
        }
    }
    let Some((from, to)) = missing(&commits, checkpoints.last().copied(), version) else { return Ok(None) };
    let what = if from == to { format!("commit {from} is") } else { format!("commits {from} to {to} are") };
    let of = version.map_or_else(String::new, |version| format!(" at version {version}"));
    Ok(Some(
        Error::failed(format!("{table} cannot be opened{of}: {what} missing in its log"))
            .fact("expected", format!("`{LOG}/{from:020}.json`, and every later one"))
            .help("restore it from a backup; or move the table's folder away and sync, which rebuilds it"),
    ))
}

/// The first range of missing numbers between a checkpoint, or the beginning, and the newest commit.
fn missing(commits: &BTreeSet<u64>, checkpoint: Option<u64>, version: Option<u64>) -> Option<(u64, u64)> {
    let newest = version.or(commits.last().copied())?;
    let first = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    let from = (first..=newest).find(|number| !commits.contains(number))?;
    let next = commits.range(from..).next().copied().unwrap_or(newest + 1);
    Some((from, next - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_after_the_newest_checkpoint_is_found() {
        let find =
            |commits: &[u64], checkpoint, version| missing(&commits.iter().copied().collect(), checkpoint, version);
        assert_eq!(find(&[0, 1, 2], None, None), None);
        assert_eq!(find(&[0, 1, 4, 6], None, None), Some((2, 3)));
        assert_eq!(find(&[2, 3], None, None), Some((0, 1)));
        assert_eq!(find(&[4, 5], Some(3), None), None);
        assert_eq!(find(&[5], Some(3), None), Some((4, 4)));
        assert_eq!(find(&[0, 1], None, Some(3)), Some((2, 3)));
        assert_eq!(find(&[], None, None), None);
    }
}
