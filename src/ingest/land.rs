//! One landing table in a sync: recovers it, reads and writes its files, and carries out the batch after the ledger's
//! commit.

use deltalake::datafusion::prelude::SessionContext;

use super::finish::{Finished, finish};
use super::format::quarantine_layout;
use super::ledger::{Batch, Ledger};
use super::pending::{Asked, pending};
use super::recover::{LandedFiles, Recovered, TableState, recover};
use super::schema_diff::{check_schema, evolve_schema};
use super::write::{Prepared, write};
use super::{LandingContext, Patience, Report};
use crate::error::{Error, Kind, Result};
use crate::lake::{LakeTable, Layout, bounds_mended};
use crate::outcome::{Io, Rows, Warning};

/// A landing table, possibly with a batch that waits for the ledger's decision.
#[derive(Debug)]
pub(crate) struct Landing<'a> {
    context: LandingContext<'a>,
    current: TableState,
    version_before: Option<u64>,
    finished: Option<(i64, Finished)>,
    prepared: Option<Prepared>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    left_out: Vec<Error>,
    warnings: Vec<Warning>,
    unloads: bool,
}

/// The result for a landing table.
#[derive(Debug)]
pub(crate) struct Landed {
    /// The current table.
    pub table: LakeTable,
    /// Its version before; `None` = it did not exist.
    pub version_before: Option<u64>,
    /// Why it changed; empty if there is nothing to report.
    pub reason: String,
    /// Rows that landed, rows removed, and records that could not land.
    pub rows: Rows,
    /// Files and bytes.
    pub io: Io,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Files that could not be read although they should be.
    pub left_out: Vec<Error>,
    /// Other warnings.
    pub warnings: Vec<Warning>,
}

/// Recovers a landing table, lists and reads its files and writes their rows. Nothing is decided by that.
///
/// # Errors
/// As those of the steps; `Conflict` if another sync is running.
pub(crate) async fn land<'a>(
    (context, current): (LandingContext<'a>, TableState),
    (ledger, session): (&Ledger, &SessionContext),
    asked: Asked<'_>,
    report: &Report<'_>,
) -> Result<Landing<'a>> {
    let name = context.table.name.as_str();
    let Some(landing) = context.table.landing() else {
        return Err(Error::new(Kind::Internal, format!("{name} is no landing table")));
    };
    let landed = if asked.reloads_all(name) { LandedFiles::AreReloaded } else { LandedFiles::Stay };
    let recovered = recover(&context, current, (ledger, session), landed, report).await?;
    let Recovered { current, version_before, finished } = recovered;
    let mut pending = pending(&context, landing, &current, (ledger, session), asked, Patience::Waits).await?;
    let (mut left_out, warnings) = (std::mem::take(&mut pending.left_out), std::mem::take(&mut pending.warnings));
    let (waiting, unloads) = (pending.waiting.clone(), !pending.unloaded.is_empty());
    report.found(&pending);
    let (prepared, denied) = write(&context, &current, pending).await?;
    left_out.extend(denied);
    Ok(Landing { context, current, version_before, finished, prepared, waiting, left_out, warnings, unloads })
}

impl Landing<'_> {
    /// The batch for the ledger to decide.
    #[must_use]
    pub(crate) fn batch(&self) -> Option<&Batch> {
        self.prepared.as_ref().map(|prepared| &prepared.batch)
    }

    /// The table from which `--unload` will remove rows of files.
    #[must_use]
    pub(crate) fn unloads_from(&self) -> Option<&LakeTable> {
        self.current.table.as_ref().filter(|_| self.unloads)
    }

    /// Carries out the decided batch.
    ///
    /// # Errors
    /// As the commits. The next sync carries out the rest.
    pub(crate) async fn carry_out(self) -> Result<Landed> {
        let Self { context, current, version_before, finished, prepared, waiting, left_out, mut warnings, .. } = self;
        let files_before = current.table.as_ref().map_or(0, |t| t.size().0);
        let (mut rows, mut io) = (Rows::default(), Io::default());
        let mut reasons = Vec::new();
        if let Some((number, done)) = finished {
            reasons.push(format!("finished batch {number} of an earlier run"));
            rows += done.rows;
            io += done.io;
        }
        let mut table = current.table;
        if let Some(prepared) = prepared {
            io.files_read = prepared.files_read;
            io.bytes_read = prepared.bytes_read;
            warnings.extend(prepared.warnings);
            if !prepared.reason.is_empty() {
                reasons.push(prepared.reason);
            }
            if let Some(wal) = &prepared.batch.wal {
                let (after, done) = finish(&context, &current.uuid, prepared.batch.number, wal).await?;
                table = Some(after);
                rows += done.rows;
                io += done.io;
            }
        }
        let shaped = evolve_schema(&context, &current.uuid, table.clone()).await?;
        let table = match (shaped, table) {
            (Some((shaped, reason)), _) => {
                reasons.push(reason);
                shaped
            }
            (None, Some(table)) => table,
            (None, None) => return Err(Error::new(Kind::Internal, "a landing table was not created")),
        };
        if table.is_told_otherwise(&Layout::defined(context.table))
            && let Some(quarantine) = LakeTable::open(&context.quarantine).await?
        {
            quarantine.mended(&quarantine_layout(), &context.run).await?;
        }
        let table = match table.mended(&Layout::defined(context.table), &context.run).await? {
            Some((mended, files)) => {
                reasons.push(bounds_mended(files));
                mended
            }
            None => table,
        };
        // Undeclared columns are reported with rows that landed, and not again while nothing lands.
        if rows.inserted > 0 {
            warnings.extend(check_schema(&context, Some(&table))?.warning(context.table.name.as_str()));
        }
        io.files_before = files_before;
        let reason = reasons.join(", ");
        Ok(Landed { table, version_before, reason, rows, io, waiting, left_out, warnings })
    }
}
