//! Whether the files of a change still exist, and how many rows they hold.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::lake::LakeTable;

/// Whether the data files of `old`, an earlier version of the table, all exist; those in `seen` do.
pub(super) async fn all_there(table: &LakeTable, old: &LakeTable, seen: &BTreeSet<String>) -> Result<bool> {
    let files = old.files();
    let asked = files.iter().map(|file| file.path.as_str()).filter(|path| !seen.contains(*path));
    Ok(look_up(table, asked).await?.gone.is_empty())
}

/// Files outside of the cut.
pub(super) struct Found {
    /// Existing files, with their size.
    pub(super) there: BTreeMap<String, u64>,
    /// Missing files.
    pub(super) gone: BTreeSet<String>,
}

/// Looks for the files that the newest version does not hold: a vacuumed one would otherwise only fail while the query
/// runs.
pub(super) async fn look_up<'a>(table: &LakeTable, paths: impl Iterator<Item = &'a str>) -> Result<Found> {
    let current = table.paths();
    let location = table.location();
    let outside: Vec<String> = paths.filter(|path| !current.contains(*path)).map(str::to_owned).collect();
    let answers: Vec<(String, Option<u64>)> = futures::stream::iter(outside)
        .map(|path| async move {
            let found = location.find(&path).await?;
            Ok::<_, Error>((path, found.map(|meta| meta.size)))
        })
        .buffered(8)
        .try_collect()
        .await?;
    let mut found = Found { there: BTreeMap::new(), gone: BTreeSet::new() };
    for (path, size) in answers {
        match size {
            Some(size) => drop(found.there.insert(path, size)),
            None => drop(found.gone.insert(path)),
        }
    }
    Ok(found)
}

/// Rows of data files by path. Counts that neither `known` nor the cut has are taken from the version `from`.
pub(super) async fn rows_of<'a>(
    table: &LakeTable,
    from: u64,
    known: &BTreeMap<String, u64>,
    wanted: impl Iterator<Item = &'a String> + Clone,
) -> BTreeMap<&'a str, u64> {
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    let add = |rows: &mut BTreeMap<&'a str, u64>, of: &BTreeMap<String, u64>| {
        for path in wanted.clone() {
            if let Some(count) = of.get(path) {
                rows.entry(path).or_insert(*count);
            }
        }
    };
    add(&mut rows, known);
    for version in [table.version(), from] {
        if wanted.clone().all(|path| rows.contains_key(path.as_str())) {
            break;
        }
        // If a version can no longer be read, an estimate stays coarse, or a check is skipped.
        let Ok(at) = table.at(version).await else { continue };
        let files = at.files().into_iter();
        add(&mut rows, &files.filter_map(|file| Some((file.path, file.rows?))).collect());
    }
    rows
}
