//! The digests that the system table `runs` records.

use std::collections::{BTreeMap, HashMap};

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::VersionDigest;
use crate::digest::{DigestKey, Place, RowDigest, Sealed};
use crate::error::{Context, Result};
use crate::lake::{DeltaFile, LakeTable, app, rows};
use crate::outcome::Begun;

/// The digest of one version, as a row of `runs` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The table's id.
    id: String,
    /// The version.
    version: u64,
    #[serde(flatten)]
    sealed: Sealed,
    /// The scan on which it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
}

impl Entry {
    /// The digest of a version of a table.
    pub(crate) fn of(table: &LakeTable, digest: VersionDigest, key: &DigestKey) -> Self {
        let (id, version) = (table.uuid(), table.version());
        let sealed = key.seal(&digest.rows, &Place::Version(&id, version));
        Self { id, version, sealed, begun: digest.begun }
    }
}

/// Recorded digests by table id and version.
#[derive(Debug, Default)]
pub(crate) struct Recorded(HashMap<String, BTreeMap<u64, Vec<Entry>>>);

fn doing() -> String {
    "the recorded digests cannot be read".into()
}

impl Recorded {
    /// All that `runs` records; nothing without that table.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn all(runs: Option<&LakeTable>, session: &SessionContext) -> Result<Self> {
        let mut recorded = Self::default();
        let Some(runs) = runs.filter(|runs| runs.schema().field_with_name("digests").is_ok()) else {
            return Ok(recorded);
        };
        let frame = session.read_table(runs.provider(session, None).await?).context(doing)?;
        let mut batches = frame.select_columns(&["digests"]).context(doing)?.execute_stream().await.context(doing)?;
        while let Some(batch) = batches.try_next().await.context(doing)? {
            recorded.take(&batch);
        }
        Ok(recorded)
    }

    /// What its newest row records, if that has digests with this key, which is one small file; else all.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn newest(runs: Option<&LakeTable>, session: &SessionContext, key: &DigestKey) -> Result<Self> {
        if let Some(table) = runs.filter(|runs| runs.state().txns.get(app::DIGESTS) == Some(&key.number()))
            && let Some(newest) = Self::of_newest(table).await?
        {
            return Ok(newest);
        }
        Self::all(runs, session).await
    }

    /// `None` if the newest row has no file of its own any more.
    async fn of_newest(runs: &LakeTable) -> Result<Option<Self>> {
        for version in (0..=runs.version()).rev() {
            let Some(commit) = runs.commit_at(version).await? else { return Ok(None) };
            let Some((path, _)) = commit.files.added.first() else { continue };
            let Some(file) = runs.files().into_iter().find(|file: &DeltaFile| file.path == *path) else {
                return Ok(None);
            };
            let mut recorded = Self::default();
            let mut batches = rows(runs.location(), &file, None).await?;
            while let Some(batch) = batches.try_next().await.context(doing)? {
                recorded.take(&batch);
            }
            return Ok((!recorded.0.is_empty()).then_some(recorded));
        }
        Ok(None)
    }

    fn take(&mut self, batch: &RecordBatch) {
        let Some(column) = batch.column_by_name("digests").and_then(|column| column.as_string_opt::<i32>()) else {
            return;
        };
        for row in (0..batch.num_rows()).filter(|row| column.is_valid(*row)) {
            // What another writer wrote there records nothing.
            let entries: BTreeMap<String, Entry> = serde_json::from_str(column.value(row)).unwrap_or_default();
            for entry in entries.into_values() {
                self.add(entry);
            }
        }
    }

    fn add(&mut self, entry: Entry) {
        let known = self.0.entry(entry.id.clone()).or_default().entry(entry.version).or_default();
        if !known.contains(&entry) {
            known.push(entry);
        }
    }

    /// Adds the digest of a version that is recorded elsewhere.
    pub(crate) fn add_sealed(&mut self, id: &str, version: u64, sealed: &Sealed) {
        self.add(Entry { id: id.to_owned(), version, sealed: sealed.clone(), begun: None });
    }

    /// The digest of a version with this key.
    pub(super) fn of(&self, id: &str, version: u64, key: &DigestKey) -> Option<(RowDigest, Option<Begun>)> {
        let entries = self.0.get(id)?.get(&version)?;
        entries.iter().find_map(|entry| {
            let rows = key.open(&entry.sealed, &Place::Version(id, version))?;
            Some((rows, entry.begun.clone()))
        })
    }
}
