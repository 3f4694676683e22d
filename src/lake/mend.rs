//! Corrects the statistics of data files in the log: adds the files again, with the bounds of their footers and without
//! the bounds that the log must not hold.
//!
//! Such a commit changes no row (`dataChange` is false), and is recognised by its `txn`, [`app::BOUNDS`].

use std::collections::BTreeMap;

use deltalake::kernel::Add;
use futures::StreamExt;

use super::commit::{Change, Commit};
use super::layout::Layout;
use super::state::app;
use super::statistics::{describe, is_marked, marks, reduced};
use super::table::{DeltaFile, LakeTable};
use super::tail::{AT_ONCE, Tail};
use crate::error::Result;
use crate::outcome::counted;

/// Prefix of `created_by` in our data files, in every version.
pub(super) const OURS: &str = "stedi-delta/";

/// The reason of a new version without a changed row.
#[must_use]
pub(crate) fn bounds_mended(files: u64) -> String {
    format!("statistics of {} mended", counted(files, "file"))
}

impl LakeTable {
    /// Corrects the table: right bounds of all files of ours, no bounds that `wanted` hides, and matching properties.
    /// Returns the new version and the number of files described again; `None` if nothing needs correction. A file that
    /// cannot be read keeps its bounds unless they are hidden; its next reader reports the error. A table that this
    /// tool cannot write to is left as it is.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; as [`Commit::commit`].
    pub async fn mended(&self, wanted: &Layout, run: &str) -> Result<Option<(Self, u64)>> {
        if !self.is_told_otherwise(wanted) || self.check_writable().is_err() || self.indirection().is_some() {
            return Ok(None);
        }
        let layout = &self.layout().with(wanted);
        let adds: Vec<Add> = futures::stream::iter(self.adds())
            .map(|add| async move {
                match self.described(&add, layout).await {
                    Some(stats) => Some(Add { stats: Some(stats), tags: Some(marks()), data_change: false, ..add }),
                    None => {
                        let stats = Some(reduced(add.stats.as_deref()?, layout)?);
                        Some(Add { stats, data_change: false, ..add })
                    }
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let properties = if self.layout() == *layout { BTreeMap::new() } else { layout.properties() };
        if adds.is_empty() && properties.is_empty() {
            return Ok(None);
        }
        let files = adds.len() as u64;
        let mut txns = self.state().carried();
        txns.insert(app::BOUNDS.to_owned(), i64::try_from(self.version() + 1).unwrap_or(i64::MAX));
        let facts = serde_json::json!({"mode": "bounds", "run": run, "files": files});
        let commit = Commit {
            operation: "COMPUTE STATS",
            change: Change { adds, properties, ..Change::default() },
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
            metrics: BTreeMap::new(),
        };
        let table = commit.commit(self).await?;
        if layout.hides() {
            // Readers start from the checkpoint and need no earlier commit. Without a checkpoint the rows are the same.
            let _ = deltalake::checkpoints::create_checkpoint(table.inner(), None).await;
        }
        Ok(Some((table, files)))
    }

    /// Whether the log may describe files of ours as an earlier version did, or otherwise than `wanted` says; for a
    /// table that hides columns, also whether another writer has added files since.
    #[must_use]
    pub fn is_told_otherwise(&self, wanted: &Layout) -> bool {
        let (state, layout) = (self.state(), self.layout());
        let wanted = layout.with(wanted);
        let is_foreign = !state.readable || !state.foreign.is_empty();
        !state.txns.contains_key(app::BOUNDS) || layout != wanted || (is_foreign && wanted.hides())
    }

    /// The version up to which the log describes all files of ours correctly, if known.
    pub(super) fn told_since(&self) -> Option<i64> {
        let looked = self.state().txns.get(app::BOUNDS).copied();
        let now = || self.adds().iter().all(is_marked).then(|| i64::try_from(self.version()).unwrap_or(i64::MAX));
        looked.or_else(now)
    }

    /// Correct statistics for a file that an earlier version of this tool wrote.
    async fn described(&self, add: &Add, layout: &Layout) -> Option<String> {
        if is_marked(add) || self.state().txns.contains_key(app::BOUNDS) {
            return None;
        }
        let file = DeltaFile::bare(add.path.clone(), add.size.unsigned_abs());
        let tail = Tail::read(self.location(), &file).await.ok()?;
        let footer = tail.footer();
        footer.file_metadata().created_by()?.starts_with(OURS).then_some(())?;
        // Only its rows show whether it holds NaN.
        describe(footer, None, layout).ok()
    }
}
