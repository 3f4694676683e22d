//! What is newest in a log, without the snapshot that it leads to: for what only asks whether something has changed.
//!
//! Source: Delta protocol, "Last Checkpoint File" and "Delta Log Entries".

use deltalake::datafusion::object_store::{self, ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::log::{CommitFacts, read_commit};
use super::log_files::LogFiles;
use super::table::builder;
use crate::error::{Context, Result};
use crate::source::checksum;
use crate::storage::{Location, metadata_line};

/// `_last_checkpoint`, of which only the version is of interest.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

/// The commit that created the newest version of the table in this folder; `None` if there is no table, or if only a snapshot
/// can tell: the log lacks that commit, or one between the newest checkpoint and it.
///
/// # Errors
/// If the store fails, or the commit is broken.
pub(crate) async fn newest_commit(location: &Location) -> Result<Option<CommitFacts>> {
    if location.no_folder().is_some() {
        return Ok(None);
    }
    let log = LogFiles::of(&list(location, hinted_checkpoint(location).await?).await?);
    let Some((version, _)) = log.commits.last_key_value() else { return Ok(None) };
    let first = log.checkpoints.last_key_value().map_or(0, |(checkpoint, _)| checkpoint + 1);
    if first > version + 1 || (first..*version).any(|between| !log.commits.contains_key(&between)) {
        return Ok(None);
    }
    read_commit(location, &builder(location)?.build().context(|| unread(location))?.log_store(), *version).await
}

/// The newest files of a log, by a listing: every commit changes them, and so does a file that is replaced. A folder without a
/// log has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogTail {
    /// The version from which on it was listed.
    from: u64,
    /// A hash of the names, sizes, times and tags of its files.
    files: String,
}

impl LogTail {
    /// The tail of the log in this folder, from its newest checkpoint on, or from where another tail begins, to compare them.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn of(location: &Location, like: Option<&Self>) -> Result<Self> {
        let from = match like {
            Some(other) => other.from,
            None => hinted_checkpoint(location).await?,
        };
        let listed = list(location, from).await?;
        Ok(Self { from, files: checksum(listed.iter().map(|(name, meta)| metadata_line(name, meta))) })
    }
}

fn unread(location: &Location) -> String {
    format!("the log of {location} cannot be read")
}

/// The version of the newest checkpoint by `_last_checkpoint`, which may be missing, old or broken: then more is listed.
async fn hinted_checkpoint(location: &Location) -> Result<u64> {
    let hint = match location.store.get(&location.join("_delta_log").path.join("_last_checkpoint")).await {
        Ok(read) => read.bytes().await.context(|| unread(location))?,
        Err(object_store::Error::NotFound { .. }) => Default::default(),
        Err(error) => return Err(error).context(|| unread(location)),
    };
    Ok(serde_json::from_slice::<LastCheckpoint>(&hint).map_or(0, |hint| hint.version))
}

/// The files of a log from a version on.
async fn list(location: &Location, from: u64) -> Result<Vec<(String, ObjectMeta)>> {
    location.list_after("_delta_log", &format!("{from:020}")).await
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::super::test_table::{appended, empty};
    use super::super::{LakeTable, Layout, Properties};
    use super::*;
    use crate::definition::{Column, ColumnType};
    use crate::storage::Storage;

    #[tokio::test]
    async fn it_is_the_commit_of_the_snapshot_s_version_with_and_without_checkpoints_and_old_commits() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Storage::default().location("t", folder.path()).expect("a location");
        assert!(newest_commit(&location).await.expect("read").is_none(), "no folder");
        fs::create_dir_all(folder.path().join("t/_delta_log")).expect("a folder");
        assert!(newest_commit(&location).await.expect("read").is_none(), "no commit");
        let columns = vec![Column::new("k", ColumnType::Long)];
        let layout = Layout::of(&columns, &["k".into()]);
        let mut table = empty(&location, columns, layout, Properties { change_data_feed: false }).await;
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter_with_nullable([("k", rows, true)]).expect("rows");
        let log = folder.path().join("t/_delta_log");
        for version in 0..=24 {
            let newest = newest_commit(&location).await.expect("read").expect("a commit");
            assert_eq!((newest.version, table.version()), (version, version));
            assert_eq!(newest.txns, table.state().txns);
            table = appended(&table, &rows, 1).await;
        }
        // Whatever the hint says.
        for hint in ["{\"version\":7}", "no json", "{\"version\":19,\"size\":1}"] {
            fs::write(log.join("_last_checkpoint"), hint).expect("written");
            assert_eq!(newest_commit(&location).await.expect("read").expect("a commit").version, 25, "{hint}");
        }
        for version in 0..19 {
            fs::remove_file(log.join(format!("{version:020}.json"))).expect("removed");
        }
        assert_eq!(newest_commit(&location).await.expect("read").expect("a commit").version, 25);
        let between = log.join(format!("{:020}.json", 22));
        let commit = fs::read(&between).expect("read");
        fs::remove_file(&between).expect("removed");
        assert!(newest_commit(&location).await.expect("read").is_none(), "a commit is missing");
        fs::write(&between, commit).expect("written");
        table.checkpoint().await.expect("a checkpoint");
        for version in 19..=25 {
            fs::remove_file(log.join(format!("{version:020}.json"))).expect("removed");
        }
        let opened = LakeTable::open(&location).await.expect("opened").expect("a table");
        assert_eq!(opened.version(), 25);
        assert!(newest_commit(&location).await.expect("read").is_none(), "only a checkpoint has it");
    }
}
