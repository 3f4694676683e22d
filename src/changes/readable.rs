//! Older versions of a table, as long as they can be read completely. The log of a version outlives its files: a scan
//! would miss vacuumed files, and a count from the log would still include them.

use std::collections::BTreeSet;

use super::files::all_there;
use crate::error::{Error, Result};
use crate::lake::LakeTable;

/// `table`, called `name`, at an older version.
///
/// # Errors
/// If the log or the files of that version are gone; names the oldest version that can be read.
pub(crate) async fn readable_at(table: &LakeTable, name: &str, version: u64) -> Result<LakeTable> {
    if version == table.version() {
        return Ok(table.clone());
    }
    let (what, cause) = match table.at(version).await {
        Ok(old) if is_whole(table, &old).await? => return Ok(old),
        Ok(_) => ("was vacuumed", None),
        Err(error) => ("can no longer be opened", Some(error)),
    };
    let oldest = oldest(table).await?;
    let error = Error::failed(format!("version {version} of {name} {what}, the oldest readable is {oldest}"))
        .help(format!("read \"{name}@v{oldest}\" or a later one; versions: stedi-delta history {name}"));
    Err(match cause {
        Some(cause) => error.because(cause),
        None => error,
    })
}

/// Whether the data files of an older version all exist.
async fn is_whole(table: &LakeTable, old: &LakeTable) -> Result<bool> {
    // Files that must not be read are reported when they are read.
    if old.check_files().is_err() {
        return Ok(true);
    }
    all_there(table, old, &BTreeSet::new()).await
}

/// The oldest version from which all later ones can be read. Commits are undone one by one from the newest, over the
/// files in a listing of the folder; then the version found is tried.
///
/// # Errors
/// If the folder or the log cannot be read.
pub(crate) async fn oldest(table: &LakeTable) -> Result<u64> {
    let newest = table.version();
    let there: BTreeSet<String> = table.location().list("").await?.into_iter().map(|(path, _)| path).collect();
    let mut missing = BTreeSet::new();
    let mut oldest = newest;
    for version in (0..newest).rev() {
        let Some(commit) = table.commit_at(version + 1).await? else { break };
        for (path, _) in commit.files.added.iter().chain(&commit.files.moved_in) {
            missing.remove(path);
        }
        let went = commit.files.removed.iter().chain(&commit.files.moved_out);
        missing.extend(went.filter(|path| !there.contains(*path)).cloned());
        if !missing.is_empty() {
            break;
        }
        oldest = version;
    }
    // The log may end before the files do.
    while oldest < newest {
        match table.at(oldest).await {
            Ok(old) if is_whole(table, &old).await? => break,
            _ => oldest += 1,
        }
    }
    Ok(oldest)
}
