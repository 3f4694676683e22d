//! Files of ours from before their bounds were right: added once more, with the bounds that their footers give.
//!
//! Such a commit changes no row (`dataChange` is false), and is known by its `txn`, [`app::BOUNDS`].

use std::collections::BTreeMap;

use deltalake::kernel::Add;
use deltalake::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use futures::StreamExt;

use super::commit::{Change, Commit};
use super::read::StoreReader;
use super::state::app;
use super::statistics::{describe, is_marked, marks};
use super::table::LakeTable;
use crate::error::Result;

/// Footers that are read at once.
const AT_ONCE: usize = 64;
/// Bytes that are read from the end of a file at first: most footers are shorter.
const FOOTER_BYTES: usize = 64 << 10;
/// How the `created_by` of our data files begins, in every version.
const OURS: &str = "stedi-delta/";

impl LakeTable {
    /// The table with right bounds of all files of ours, if some were not: a new version, and how many files those were. A
    /// file that cannot be read is left as it is: whoever needs it says so. Nothing is done to a table that we could not
    /// write to.
    ///
    /// # Errors
    /// `Conflict` when somebody else commits meanwhile; as [`Commit::commit`].
    pub async fn mended(&self, run: &str) -> Result<Option<(Self, u64)>> {
        if !self.may_lack_bounds() || self.check_writable().is_err() || self.indirection().is_some() {
            return Ok(None);
        }
        let older: Vec<Add> = self.adds().into_iter().filter(|add| !is_marked(add)).collect();
        let adds: Vec<Add> = futures::stream::iter(older)
            .map(|add| async move {
                let footer = self.footer(&add).await?;
                let by = footer.file_metadata().created_by()?;
                by.starts_with(OURS).then_some(())?;
                // Whether it holds NaN only its rows know.
                let stats = Some(describe(&footer, None).ok()?);
                Some(Add { stats, tags: Some(marks()), data_change: false, ..add })
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        if adds.is_empty() {
            return Ok(None);
        }
        let files = adds.len() as u64;
        let mut txns = self.state().txns.clone();
        txns.insert(app::BOUNDS.to_owned(), i64::try_from(self.version() + 1).unwrap_or(i64::MAX));
        let facts = serde_json::json!({"mode": "bounds", "run": run, "files": files});
        let commit = Commit {
            operation: "COMPUTE STATS",
            change: Change { adds, ..Change::default() },
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
            metrics: BTreeMap::new(),
        };
        commit.commit(self).await.map(|table| Some((table, files)))
    }

    /// Whether files of ours may be described by an earlier version: none that was there when somebody looked last.
    #[must_use]
    pub fn may_lack_bounds(&self) -> bool {
        let state = self.state();
        let looked = state.txns.contains_key(app::BOUNDS) && state.readable && state.foreign.is_empty();
        !looked && self.adds().iter().any(|add| !is_marked(add))
    }

    async fn footer(&self, add: &Add) -> Option<ParquetMetaData> {
        let location = self.location();
        let size = add.size.unsigned_abs();
        let mut reader = StoreReader::new(location.store.clone(), location.join(&add.path).path, size);
        let footer = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
        footer.load_and_finish(&mut reader, size).await.ok()
    }
}
