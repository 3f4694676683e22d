//! Log entries from before columns were hidden: only log cleanup removes them.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::AsArray;
use deltalake::kernel::Add;
use futures::TryStreamExt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::read::rows;
use super::state::app;
use super::table::{DeltaFile, LakeTable};
use crate::error::{Context, Result};
use crate::storage::ObjectMeta;

impl LakeTable {
    /// How many log entries, in commits and in checkpoints, hold bounds of these columns. Reads as much of the log as
    /// exists, and nothing if the table has always hidden its columns.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn entries_with_bounds_of(&self, columns: &BTreeSet<String>) -> Result<u64> {
        let told = self.state().txns.get(app::BOUNDS).and_then(|version| u64::try_from(*version).ok());
        if columns.is_empty() || told == Some(0) {
            return Ok(0);
        }
        let doing = || format!("the log of {} cannot be read", self.location());
        let folder = self.location().join("_delta_log").path;
        let listed: Vec<ObjectMeta> = self.location().store.list(Some(&folder)).try_collect().await.context(doing)?;
        let mut entries = 0;
        for object in listed {
            let name = object.location.filename().unwrap_or_default().to_owned();
            let version = name.get(..20).and_then(|digits| digits.parse::<u64>().ok());
            let is_later = |version: u64| told.is_some_and(|told| version > told);
            let Some(version) = version.filter(|version| !is_later(*version)) else { continue };
            if name.ends_with(".checkpoint.parquet") {
                entries += self.entries_of_checkpoint(&name, object.size, columns).await?;
            } else if name.len() == 25 && name.ends_with(".json") {
                let Some(bytes) = self.log_store().read_commit_entry(version).await.context(doing)? else { continue };
                let lines = Deserializer::from_slice(&bytes).into_iter::<Line>();
                let adds = lines.filter_map(std::result::Result::ok).filter_map(|line| line.add);
                entries +=
                    adds.filter(|add| add.stats.as_deref().is_some_and(|stats| tells(stats, columns))).count() as u64;
            }
        }
        Ok(entries)
    }

    async fn entries_of_checkpoint(&self, name: &str, size: u64, columns: &BTreeSet<String>) -> Result<u64> {
        let doing = || format!("the checkpoint `{name}` of {} cannot be read", self.location());
        let path = format!("_delta_log/{name}");
        let file = DeltaFile::bare(path, size);
        let mut stream = rows(self.location(), &file, Some("add.stats")).await?;
        let mut entries = 0;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            let stats =
                batch.column_by_name("add").and_then(|add| add.as_struct_opt()?.column_by_name("stats").cloned());
            let texts = stats.as_ref().and_then(|stats| stats.as_string_opt::<i32>());
            entries += texts.into_iter().flatten().flatten().filter(|stats| tells(stats, columns)).count() as u64;
        }
        Ok(entries)
    }
}

/// Whether statistics hold bounds of one of these columns.
fn tells(stats: &str, columns: &BTreeSet<String>) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Bounds {
        min_values: BTreeMap<String, IgnoredAny>,
        max_values: BTreeMap<String, IgnoredAny>,
    }
    let bounds: Bounds = serde_json::from_str(stats).unwrap_or_default();
    bounds.min_values.keys().chain(bounds.max_values.keys()).any(|name| columns.contains(name))
}

#[derive(Deserialize)]
struct Line {
    add: Option<Add>,
}
