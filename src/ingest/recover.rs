//! How a landing table and its ledger stand to each other, and what an earlier run left to be finished.

use std::collections::BTreeSet;

use deltalake::datafusion::prelude::SessionContext;

use super::finish::{Finished, check_open, finish};
use super::ledger::{FOLDER as LEDGER_FOLDER, Ledger, TableLedger, Wal};
use super::shape::check_shape;
use super::{Place, Report};
use crate::clock;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::storage::Location;

/// How a landing table and its ledger stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is no table, or none any more.
    #[default]
    Fresh,
    /// The table holds every batch that the ledger decided.
    Current,
    /// The ledger decided this batch, and the table lacks it: it can be carried out.
    Unfinished(i64),
    /// The table lacks this batch and cannot get it: it was put back to a state from before.
    RolledBack(i64),
    /// The table holds a batch that the ledger lacks. Its number would be given out again, and a batch with a number
    /// that the table has counts as carried out.
    LedgerBehind,
    /// The table says that it holds this batch, which no sync can have given out.
    Forged(i64),
}

/// A landing table as it stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// How it stands to its ledger.
    pub state: State,
    /// The table, if it exists.
    pub table: Option<LakeTable>,
    /// Its id, or the one that it will get.
    pub uuid: String,
    /// Its ledger.
    pub ledger: TableLedger,
    /// The newest batch that the ledger decided for this table; [`TableLedger::newest`] is that of all tables of its name.
    pub decided: i64,
    /// Files that another table of this name ingested: the quarantine, which outlives it, may hold records of theirs.
    pub former: BTreeSet<String>,
}

/// A landing table whose state allows new batches.
#[derive(Debug)]
pub struct Recovered {
    /// As it stands now.
    pub standing: Standing,
    /// Its version before.
    pub version_before: Option<u64>,
    /// A batch of an earlier run, carried out by this one.
    pub finished: Option<(i64, Finished)>,
}

/// Looks at a landing table and its ledger. Changes nothing.
///
/// # Errors
/// `Conflict` when another sync landed a batch since the ledger was read.
pub async fn standing(place: &Place<'_>, (ledger, session): (&Ledger, &SessionContext)) -> Result<Standing> {
    let name = place.table.name.as_str();
    let Some(table) = LakeTable::open(&place.location).await? else {
        // The ledger decides on a batch before the table exists: its files show that. Where there are none, the table may
        // as well have been deleted by hand, and then it starts anew under another id: with the same one, who consumed
        // v0 of the old table would take it for v0 of the new one.
        if let Some(uuid) = ledger.newest_uuid(name) {
            let known = ledger.of(name, uuid);
            if let [only] = known.logged.as_slice() {
                let wal = ledger.wal(session, name, uuid, *only).await?;
                if !wal.landing.is_empty() && files_exist(&place.location, &wal).await {
                    let state = State::Unfinished(*only);
                    return Ok(Standing { state, uuid: uuid.to_owned(), ledger: known, ..Standing::default() });
                }
            }
        }
        let (newest, former) = ledger.all_of(name);
        let uuid = clock::random_uuid().to_string();
        let known = TableLedger { newest, ..TableLedger::default() };
        return Ok(Standing { uuid, ledger: known, former, ..Standing::default() });
    };
    table.check_files()?;
    let (uuid, batch) = (table.uuid(), table.state().batch());
    let mut known = ledger.of(name, &uuid);
    if batch > known.newest && ledger.moved().await? {
        return Err(Error::conflict(format!("another sync has landed batch {batch} of {name} meanwhile"))
            .help("run the command again; it reads the ledger anew"));
    }
    let lacking: Vec<i64> = known.logged.iter().copied().filter(|number| *number > batch).collect();
    let state = match (table.state().impossible_batch(), lacking.as_slice()) {
        (Some(number), _) => State::Forged(number),
        (None, _) if batch > known.newest => State::LedgerBehind,
        (None, []) => State::Current,
        // A copy put back from before the batch lacks its data files, too.
        (None, [only]) if files_exist(&place.location, &ledger.wal(session, name, &uuid, *only).await?).await => {
            State::Unfinished(*only)
        }
        (None, [first, ..]) => State::RolledBack(*first),
    };
    let decided = known.newest;
    // Another table of this name came later, and this one was put in its place again.
    let former = if ledger.newest(name) > known.newest { ledger.all_of(name).1 } else { BTreeSet::new() };
    known.newest = ledger.newest(name).max(batch);
    Ok(Standing { state, table: Some(table), uuid, ledger: known, decided, former })
}

async fn files_exist(location: &Location, wal: &Wal) -> bool {
    for add in &wal.landing {
        if location.head(&add.path).await.is_err() {
            return false;
        }
    }
    true
}

impl Standing {
    /// The batch that is to be finished.
    #[must_use]
    pub fn open(&self) -> Option<i64> {
        match self.state {
            State::Unfinished(number) => Some(number),
            _ => None,
        }
    }

    /// Refuses a state in which nobody knows which files have landed: only `--reload` of all of them heals it.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, place: &Place<'_>) -> Result<()> {
        let name = &place.table.name;
        let Some(table) = &self.table else { return Ok(()) };
        let unchanged = format!("{} (v{}, unchanged)", table.location(), table.version());
        let batches = || format!("batch {} in the table, {} in the ledger", table.state().batch(), self.decided);
        let reload = format!("stedi-delta sync --reload {name}");
        Err(match self.state {
            State::Fresh | State::Current | State::Unfinished(_) => return Ok(()),
            State::RolledBack(first) => Error::failed(format!("{name} was put back to a state before batch {first}"))
                .fact("found", batches())
                .fact("because", "the ledger says that these files have landed, and the table does not hold them")
                .help(reload),
            State::LedgerBehind => {
                let batch = table.state().batch();
                Error::failed(format!("the ledger of ingested files lacks batch {batch} of {name}"))
                    .fact("found", batches())
                    .fact("table", unchanged)
                    .fact(
                        "because",
                        format!(
                            "`{LEDGER_FOLDER}` was deleted or put back, or the table's folder came from elsewhere: \
                             nobody knows which files have landed"
                        ),
                    )
                    .help(format!("{reload}   (swaps the rows of every landing file)"))
            }
            State::Forged(number) => Error::failed(format!("batch {number} of {name} is none that a sync gave out"))
                .fact("table", unchanged)
                .fact("because", "somebody else wrote it into the table's log: nobody knows which batches have landed")
                .help(format!("{reload}   (swaps the rows of every landing file)")),
        })
    }
}

/// Makes a landing table ready for new batches: carries out what the ledger decided and an earlier run did not finish.
/// `reloaded` = every file is read anew, whatever landed.
///
/// # Errors
/// When its state allows no batch, when migrations are pending, or its columns are not those of its definition;
/// `Conflict` when another sync is at work; else as the commits.
pub async fn recover(
    place: &Place<'_>,
    (ledger, session): (&Ledger, &SessionContext),
    reloaded: bool,
    report: &Report<'_>,
) -> Result<Recovered> {
    let name = place.table.name.as_str();
    let mut standing = standing(place, (ledger, session)).await?;
    if !reloaded {
        standing.check(place)?;
    }
    let version_before = standing.table.as_ref().map(LakeTable::version);
    if let Some(table) = &standing.table {
        table.check_migrations(name, place.migration)?;
    }
    // Once the ledger has decided on a batch it must be possible to carry it out.
    check_shape(place, standing.table.as_ref())?;
    let mut finished = None;
    if let Some(number) = standing.open() {
        report.says("finishing an earlier run's batch");
        let wal = ledger.wal(session, name, &standing.uuid, number).await?;
        match check_open(place, standing.table.as_ref(), number, &wal) {
            // Given up: its landing files are read anew, under a number above it.
            Err(_) if reloaded => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let (table, done) = finish(place, &standing.uuid, number, &wal).await?;
                // The definition may have changed since the batch was written.
                check_shape(place, Some(&table))?;
                (standing.table, standing.state) = (Some(table), State::Current);
                finished = Some((number, done));
            }
        }
    }
    Ok(Recovered { standing, version_before, finished })
}
