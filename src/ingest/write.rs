//! Pending files -> a batch whose data files are written but not yet recorded.

use std::collections::BTreeSet;

use super::ledger::{Batch, FileRow, Wal};
use super::parse::{self, Parsed, Target};
use super::pending::Pending;
use super::recover::TableState;
use super::{LandingContext, notes};
use crate::clock;
use crate::digest::{DigestKey, Place};
use crate::error::{Error, Result};
use crate::lake::{LakeTable, Written};
use crate::outcome::Warning;
use crate::plan;

/// A batch whose data files are written but not yet recorded.
#[derive(Debug)]
pub(super) struct Prepared {
    /// For the ledger.
    pub batch: Batch,
    /// Source files read.
    pub files_read: u64,
    /// Bytes of source files read.
    pub bytes_read: u64,
    /// Why the table changes: `3 new files`.
    pub reason: String,
    /// Unknown fields, quarantined records, failed warnings.
    pub warnings: Vec<Warning>,
}

/// The newest batch of the quarantine table. It may be ahead of the ledger and the landing table, if these were deleted
/// or restored.
async fn quarantined(context: &LandingContext<'_>) -> Result<i64> {
    Ok(LakeTable::open(&context.quarantine).await?.map_or(0, |table| table.state().batch()))
}

/// Reads the pending files and writes their data files; no batch if there is nothing to record. Also returns the error
/// for files that may not be read.
///
/// # Errors
/// As those of reading and writing files.
pub(super) async fn write(
    context: &LandingContext<'_>,
    current: &TableState,
    pending: Pending,
) -> Result<(Option<Prepared>, Option<Error>)> {
    if pending.inputs.is_empty() && pending.refreshed.is_empty() && pending.unloaded.is_empty() {
        return Ok((None, None));
    }
    // Once the ledger has decided the batch, it must be possible to commit it.
    if let Some(table) = &current.table {
        table.check_writable()?;
    }
    let mut gone = pending.replaced;
    let in_quarantine = quarantined(context).await?;
    let newest = current.ledger.newest;
    // The quarantine may hold records of these files, from batches that are not in the ledger.
    let held = |path: &String| in_quarantine > newest || current.previous_files.contains(path);
    // A file that never landed has nothing to remove: only the ledger changes.
    let landed =
        |path: &&String| current.ledger.files.contains_key(*path) || pending.put_back.contains(*path) || held(path);
    gone.extend(pending.unloaded.iter().filter(landed).cloned());
    let known: BTreeSet<String> = gone.iter().cloned().collect();
    let inputs = pending.inputs.iter().map(|input| &input.path);
    gone.extend(inputs.filter(|path| held(path) && !known.contains(*path)).cloned());
    if let Some(table) = current.table.as_ref().filter(|_| !gone.is_empty()) {
        table.check_removable()?;
    }
    let target = Target {
        table: context.table,
        format: context.format(),
        landing: context.location.clone(),
        quarantine: context.quarantine.clone(),
        target_file_size: context.target_file_size,
        workers: context.workers.clone(),
        digests: DigestKey::of(&context.privacy),
    };
    let parsed = parse::parse(&context.root, pending.inputs, &target).await?;
    let warnings = notes::of_records(context, &parsed);
    notes::check_quarantined(context, &parsed)?;
    let Parsed { mut files, landing, quarantine, bytes_read, denied, .. } = parsed;
    let left_out = notes::denied(context.table.name.as_str(), &denied);
    if files.is_empty() && pending.refreshed.is_empty() && pending.unloaded.is_empty() {
        return Ok((None, left_out));
    }
    // Their older rows stay.
    gone.retain(|path| denied.binary_search(path).is_err());
    let files_read = files.len() as u64;
    let replaced = files.iter().filter(|file| known.contains(&file.path)).count();
    let new = files.len() - replaced;
    files.extend(pending.refreshed);
    files.extend(pending.unloaded.iter().map(|path| FileRow::unloaded(path)));
    let number = newest.max(in_quarantine) + 1;
    let sealed = |written: &Written, place: Place<'_>| Some(target.digests.as_ref()?.seal(&written.digest?, &place));
    let wal = Wal {
        digest_landing: sealed(&landing, Place::Landing(&current.uuid, number)),
        digest_quarantine: sealed(&quarantine, Place::Quarantine(&current.uuid, number)),
        rows_landed: landing.rows,
        rows_quarantined: quarantine.rows,
        landing: landing.adds,
        quarantine: quarantine.adds,
        quarantine_uuid: clock::random_uuid().to_string(),
        replaced: gone,
        replayed: Vec::new(),
        columns: Wal::written_with(&context.table.columns),
        expectations: plan::expectations(context.table),
    };
    let nothing = wal.landing.is_empty() && wal.quarantine.is_empty() && wal.replaced.is_empty();
    let prepared = Prepared {
        batch: Batch {
            table: context.table.name.to_string(),
            uuid: current.uuid.clone(),
            number,
            files,
            wal: (!nothing).then_some(wal),
        },
        files_read,
        bytes_read,
        reason: reason(&[(new, "new"), (replaced, "replaced"), (pending.unloaded.len(), "unloaded")]),
        warnings,
    };
    Ok((Some(prepared), left_out))
}

fn reason(counts: &[(usize, &str)]) -> String {
    let files = |(n, what): &(usize, &str)| format!("{n} {what} file{}", if *n == 1 { "" } else { "s" });
    counts.iter().filter(|(n, _)| *n > 0).map(files).collect::<Vec<_>>().join(", ")
}
