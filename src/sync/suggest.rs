//! Suggests a vacuum. A table's folder is listed once in many versions, so that a usual sync costs nothing more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Purpose, Work};
use crate::clock;
use crate::error::Result;
use crate::lake::{LakeTable, outside_of_log};
use crate::name::TableName;
use crate::outcome::{Files, SyncOutcome};

/// Versions between two looks at a folder.
const EVERY: u64 = 256;
/// Old files, or bytes of them, that are worth a word.
const WORTH_FILES: u64 = 1_000;
const WORTH_BYTES: u64 = 1 << 30;

impl Work<'_> {
    /// Counts what a vacuum could free at most of tables whose folders are due. A folder that cannot be listed is passed over.
    pub(super) async fn suggest_vacuum(&self, outcome: &mut SyncOutcome, standing: &BTreeMap<TableName, LakeTable>) {
        if self.purpose != Purpose::Apply {
            return;
        }
        for entry in &outcome.tables {
            let Some((before, after)) = entry.version_before.zip(entry.version_after) else { continue };
            let Some(table) = standing.get(&entry.table).filter(|_| is_due(before, after)) else { continue };
            let history = self.workspace.project.history_of(self.workspace.project.table(&entry.table));
            let Ok(old) = old_files(table, history).await else { continue };
            let live = table.files().iter().map(|file| file.size).sum();
            if is_worth_it(old, live) {
                outcome.freeable += old;
            }
        }
    }
}

fn is_due(before: u64, after: u64) -> bool {
    before / EVERY < after / EVERY
}

/// Whether old files are many, and more than those of the newest version.
fn is_worth_it(old: Files, live: u64) -> bool {
    (old.files >= WORTH_FILES || old.bytes >= WORTH_BYTES) && old.bytes > live
}

/// Files of a table's folder that were written before this time and are not in its newest version. Those that left it only
/// lately are among them, which a vacuum leaves.
async fn old_files(table: &LakeTable, history: Duration) -> Result<Files> {
    let before = clock::now_ms().saturating_sub(i64::try_from(history.as_millis()).unwrap_or(i64::MAX));
    let (listed, live) = (table.location().list("").await?, table.paths());
    let mut old = Files::default();
    for (path, meta) in outside_of_log(&listed) {
        if meta.last_modified.timestamp_millis() <= before && !live.contains(path) {
            old.take(meta.size);
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at_once_in_many_versions() {
        assert!(!is_due(0, 255) && is_due(255, 256) && !is_due(256, 256) && is_due(200, 900));
    }

    #[test]
    fn few_old_files_or_fewer_than_live_ones_are_not_worth_a_word() {
        let files = |files, bytes| Files { files, bytes };
        assert!(is_worth_it(files(1_000, 11), 10) && is_worth_it(files(3, 2 << 30), 1 << 30));
        assert!(!is_worth_it(files(999, 11), 10) && !is_worth_it(files(5_000, 10), 10));
    }
}
