//! Compares a landing table with its ledger, and finishes the batch of an interrupted run.

use std::collections::BTreeSet;

use deltalake::datafusion::prelude::SessionContext;

use super::finish::{Finished, check_open, finish};
use super::ledger::{FOLDER as LEDGER_FOLDER, Ledger, TableLedger, Wal};
use super::schema_diff::check_schema;
use super::{LandingContext, Report};
use crate::clock;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::storage::Location;

/// The state of a landing table relative to its ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BatchState {
    /// There is no table, or it was deleted.
    #[default]
    Fresh,
    /// The table holds every batch that the ledger decided.
    Current,
    /// The ledger decided this batch, and the table lacks it: it can be carried out.
    Unfinished(i64),
    /// The table lacks this batch and cannot get it: it was restored to an older state.
    RolledBack(i64),
    /// The table holds a batch that the ledger lacks. Its number would be assigned again, and a batch with a number
    /// that the table has counts as carried out.
    LedgerBehind,
    /// The table claims to hold this batch, which no sync can have assigned.
    Forged(i64),
}

/// A landing table and its state.
#[derive(Debug, Default)]
pub(crate) struct TableState {
    /// Its state relative to the ledger.
    pub state: BatchState,
    /// The table, if it exists.
    pub table: Option<LakeTable>,
    /// Its id, or the one with which it will be created.
    pub uuid: String,
    /// Its ledger.
    pub ledger: TableLedger,
    /// The newest batch that the ledger decided for this table; [`TableLedger::newest`] is that of all tables of its name.
    pub decided: i64,
    /// Files that another table of this name ingested: the quarantine, which outlives it, may hold their records.
    pub previous_files: BTreeSet<String>,
}

/// A landing table whose state allows new batches.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The table now.
    pub current: TableState,
    /// Its version before.
    pub version_before: Option<u64>,
    /// A batch of an earlier run that this run carried out.
    pub finished: Option<(i64, Finished)>,
}

/// Reads a landing table and its ledger. Changes nothing.
///
/// # Errors
/// `Conflict` if another sync has landed a batch since the ledger was read.
pub(crate) async fn state_of(
    context: &LandingContext<'_>,
    (ledger, session): (&Ledger, &SessionContext),
) -> Result<TableState> {
    let name = context.table.name.as_str();
    let Some(table) = LakeTable::open(&context.location).await? else {
        // The ledger decides a batch before the table exists; then its data files exist. If there are none, the table
        // may have been deleted by hand, and it starts anew under another id: with the same one, a consumer of v0 of
        // the old table would take the new v0 for it.
        if let Some(uuid) = ledger.newest_uuid(name) {
            let known = ledger.of(name, uuid);
            if let [only] = known.logged.as_slice() {
                let wal = ledger.wal(session, name, uuid, *only).await?;
                if !wal.landing.is_empty() && files_exist(&context.location, &wal).await? {
                    let state = BatchState::Unfinished(*only);
                    return Ok(TableState { state, uuid: uuid.to_owned(), ledger: known, ..TableState::default() });
                }
            }
        }
        let (newest, previous_files) = ledger.all_of(name);
        let uuid = clock::random_uuid().to_string();
        let known = TableLedger { newest, ..TableLedger::default() };
        return Ok(TableState { uuid, ledger: known, previous_files, ..TableState::default() });
    };
    table.check_files()?;
    let (uuid, batch) = (table.uuid(), table.state().batch());
    let mut known = ledger.of(name, &uuid);
    if batch > known.newest && ledger.moved().await? {
        return Err(Error::conflict(format!("another sync has landed batch {batch} of {name} meanwhile"))
            .help("run the command again; it reads the ledger again"));
    }
    let missing_batches: Vec<i64> = known.logged.iter().copied().filter(|number| *number > batch).collect();
    let state = match (table.state().impossible_batch(), missing_batches.as_slice()) {
        (Some(number), _) => BatchState::Forged(number),
        (None, _) if batch > known.newest => BatchState::LedgerBehind,
        (None, []) => BatchState::Current,
        // A copy put back from before the batch lacks its data files, too.
        (None, [only]) if files_exist(&context.location, &ledger.wal(session, name, &uuid, *only).await?).await? => {
            BatchState::Unfinished(*only)
        }
        (None, [first, ..]) => BatchState::RolledBack(*first),
    };
    let decided = known.newest;
    // A newer table of this name existed, and this one was restored in its place.
    let previous_files = if ledger.newest(name) > known.newest { ledger.all_of(name).1 } else { BTreeSet::new() };
    known.newest = ledger.newest(name).max(batch);
    Ok(TableState { state, table: Some(table), uuid, ledger: known, decided, previous_files })
}

async fn files_exist(location: &Location, wal: &Wal) -> Result<bool> {
    for add in &wal.landing {
        if location.find(&add.path).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl TableState {
    /// The batch to be finished.
    #[must_use]
    pub(crate) fn open(&self) -> Option<i64> {
        match self.state {
            BatchState::Unfinished(number) => Some(number),
            _ => None,
        }
    }

    /// Refuses a state in which the landed files are unknown: only `--reload` of all of them repairs it.
    ///
    /// # Errors
    /// The state found.
    pub(crate) fn check(&self, context: &LandingContext<'_>) -> Result<()> {
        let name = &context.table.name;
        let Some(table) = &self.table else { return Ok(()) };
        let unchanged = format!("{} (v{}, unchanged)", table.location(), table.version());
        let batches = || format!("batch {} in the table, {} in the ledger", table.state().batch(), self.decided);
        let reload = format!("stedi-delta sync --reload {name}");
        Err(match self.state {
            BatchState::Fresh | BatchState::Current | BatchState::Unfinished(_) => return Ok(()),
            BatchState::RolledBack(first) => {
                Error::failed(format!("{name} was restored to a state before batch {first}"))
                    .fact("found", batches())
                    .fact("because", "the ledger says that these files have landed, and the table does not hold them")
                    .help(reload)
            }
            BatchState::LedgerBehind => {
                let batch = table.state().batch();
                Error::failed(format!("the ledger of ingested files lacks batch {batch} of {name}"))
                    .fact("found", batches())
                    .fact("table", unchanged)
                    .fact(
                        "because",
                        format!(
                            "`{LEDGER_FOLDER}` was deleted or put back, or the table's folder came from elsewhere: \
                             it is unknown which files have landed"
                        ),
                    )
                    .help(format!("{reload}   (swaps the rows of every landing file)"))
            }
            BatchState::Forged(number) => Error::failed(format!("batch {number} of {name} was not assigned by a sync"))
                .fact("table", unchanged)
                .fact(
                    "because",
                    "another writer wrote it into the table's log: it is unknown which batches have landed",
                )
                .help(format!("{reload}   (swaps the rows of every landing file)")),
        })
    }
}

/// The data files that batches of the ledger are going to add to a landing table or its quarantine: the commits of an
/// interrupted run, which the next one carries out, however old its files are.
///
/// # Errors
/// As [`state_of`]; if a batch cannot be read.
pub(crate) async fn promised(
    context: &LandingContext<'_>,
    (ledger, session): (&Ledger, &SessionContext),
) -> Result<BTreeSet<String>> {
    let current = state_of(context, (ledger, session)).await?;
    let (name, batch) = (context.table.name.as_str(), current.table.as_ref().map_or(0, |table| table.state().batch()));
    let mut files = BTreeSet::new();
    for number in current.ledger.logged.iter().copied().filter(|number| *number > batch) {
        let wal = ledger.wal(session, name, &current.uuid, number).await?;
        files.extend(wal.landing.into_iter().chain(wal.quarantine).map(|add| add.path));
    }
    Ok(files)
}

/// The treatment of files that have landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LandedFiles {
    /// Their rows stay.
    Stay,
    /// Every one is read again.
    AreReloaded,
}

/// Prepares a landing table for new batches: carries out a batch that an earlier run decided and did not finish.
///
/// # Errors
/// If its state allows no batch, or if its columns differ from those of its definition; `Conflict` if another sync is
/// running; else as the commits.
pub(super) async fn recover(
    context: &LandingContext<'_>,
    mut current: TableState,
    (ledger, session): (&Ledger, &SessionContext),
    landed: LandedFiles,
    report: &Report<'_>,
) -> Result<Recovered> {
    let name = context.table.name.as_str();
    if landed == LandedFiles::Stay {
        current.check(context)?;
    }
    let version_before = current.table.as_ref().map(LakeTable::version);
    // Once the ledger has decided a batch, it must be possible to carry it out.
    check_schema(context, current.table.as_ref())?;
    let mut finished = None;
    if let Some(number) = current.open() {
        report.says("finishing an earlier run's batch");
        let wal = ledger.wal(session, name, &current.uuid, number).await?;
        match check_open(context, current.table.as_ref(), number, &wal) {
            // Abandoned: its landing files are read again, under a higher number.
            Err(_) if landed == LandedFiles::AreReloaded => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let (table, done) = finish(context, &current.uuid, number, &wal).await?;
                // The definition may have changed since the batch was written.
                check_schema(context, Some(&table))?;
                (current.table, current.state) = (Some(table), BatchState::Current);
                finished = Some((number, done));
            }
        }
    }
    Ok(Recovered { current, version_before, finished })
}

/// Carries out what the ledger decided and an earlier run did not finish, by the columns that the batch was written with:
/// before a migration, the definition has others already. Whether there was a batch.
///
/// # Errors
/// When the table's state allows no batch; else as the commits.
pub(crate) async fn settle(
    context: &LandingContext<'_>,
    (ledger, session): (&Ledger, &SessionContext),
) -> Result<bool> {
    let current = state_of(context, (ledger, session)).await?;
    current.check(context)?;
    let Some(number) = current.open() else { return Ok(false) };
    let wal = ledger.wal(session, context.table.name.as_str(), &current.uuid, number).await?;
    check_open(context, current.table.as_ref(), number, &wal)?;
    finish(context, &current.uuid, number, &wal).await?;
    Ok(true)
}
