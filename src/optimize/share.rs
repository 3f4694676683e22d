//! A sync's share: after its work it merges small files of tables to which it has committed, as far as a budget goes.

use std::time::Instant;

use super::choose::Effort;
use super::{Target, Work};
use crate::lake::LakeTable;
use crate::outcome::OptimizedTable;
use crate::progress::{Event, Progress};
use crate::workspace::Workspace;

/// What a sync may still spend on merging files.
pub(crate) struct Share<'a> {
    /// The lake.
    pub workspace: &'a Workspace,
    /// Id of the run.
    pub run: &'a str,
    /// Listens.
    pub progress: &'a dyn Progress,
    /// Bytes of files that may be read.
    pub bytes: u64,
}

impl<'a> Share<'a> {
    /// Two full data files, or half of the bytes that the run has read and written if that is more.
    pub(crate) fn new(workspace: &'a Workspace, (run, spent): (&'a str, u64), progress: &'a dyn Progress) -> Self {
        let bytes = workspace.project.target_file_size.saturating_mul(2).max(spent / 2);
        Self { workspace, run, progress, bytes }
    }
}

/// Merges files of one table within the budget: what was done, if anything, and the table as it is then. It fails nothing:
/// another sync, or another command, does what is left.
pub(crate) async fn share(
    share: &mut Share<'_>,
    target: &Target<'_>,
    table: LakeTable,
) -> (Option<OptimizedTable>, LakeTable) {
    let effort = Effort::Share(share.bytes);
    let work = Work { workspace: share.workspace, effort, dry_run: false, run: share.run, progress: share.progress };
    let started = crate::clock::instant();
    let mut done = target.untouched();
    let table = work.optimize(target, table, &mut done).await;
    done.elapsed = started.elapsed();
    share.bytes = share.bytes.saturating_sub(done.bytes_read);
    let is_told = done.commits > 0 || done.skipped.is_some() || done.problem.is_some();
    (is_told.then_some(done), table)
}

/// Files of a table were merged.
pub(super) fn event(done: &OptimizedTable, version: u64, (merged, written): (usize, usize), started: Instant) -> Event {
    Event::info("table.optimized")
        .with("table", &done.table)
        .with("zone", &done.zone)
        .with("version_after", version)
        .with("files_merged", merged)
        .with("files_written", written)
        .with("bytes_read", done.bytes_read)
        .with("bytes_written", done.bytes_written)
        .seconds(started.elapsed())
}
