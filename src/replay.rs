//! `quarantine replay`: records that could not land, read again by the definition as it is now.

use std::collections::BTreeMap;

use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, Ledger};
use crate::lake::LakeTable;
use crate::outcome::{Io, Mode, Problem, Rows, TableOutcome, Warning};
use crate::progress::{Progress, Silent};
use crate::register::register;
use crate::site::Site;

/// Times a replay is planned again after somebody else's commit.
const ATTEMPTS: usize = 4;

/// Lands the records of a landing table's quarantine that its definition accepts, as a batch of its own.
///
/// # Errors
/// `Usage` when there is no such landing table, `Conflict` when other syncs win again and again, else as ingest.
pub async fn replay(site: &Site, name: &str) -> Result<TableOutcome> {
    replay_as(site, name, &crate::clock::run_id(), &Silent).await
}

/// The same as the run of this id.
///
/// # Errors
/// As [`replay`].
pub async fn replay_as(site: &Site, name: &str, run: &str, progress: &dyn Progress) -> Result<TableOutcome> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match attempt(site, name, run, progress).await {
            Err(error) if error.kind() == Kind::Conflict && left > 0 => {}
            other => return other.map_err(|error| site.told(error)),
        }
    }
}

async fn attempt(site: &Site, name: &str, run: &str, progress: &dyn Progress) -> Result<TableOutcome> {
    let started = clock::instant();
    let table = site.landing_table(name)?;
    let place = site.place(table, run)?;
    let session = site.session()?;
    let ledger = Ledger::read(&site.warehouse, &session).await?;
    let mut standing = ingest::standing(&place, &ledger, &session, false).await?;
    let version_before = standing.table.as_ref().map(LakeTable::version);
    if standing.table.is_none() && standing.open.is_none() {
        return Err(Error::failed(format!("{name} does not exist yet")).help("stedi-delta sync"));
    }
    if let Some(number) = standing.open {
        let wal = ledger.wal(&session, name, &standing.uuid, number).await?;
        ingest::check_open(&place, standing.table.as_ref(), number, &wal)?;
        standing.table = Some(ingest::finish(&place, &standing.uuid, number, &wal).await?.0);
    }
    if let Some(shaped) = ingest::shape(&place, &standing.uuid, standing.table.clone()).await? {
        standing.table = Some(shaped);
    }
    let replay = ingest::replay(&place, (&ledger, &session), &standing).await?;
    let mut io = Io::default();
    let mut after = standing.table.clone();
    if let Some(batch) = &replay.batch
        && let Some(wal) = &batch.wal
    {
        ledger.commit(&site.warehouse, std::slice::from_ref(batch), run).await?;
        let (table, done) = ingest::finish(&place, &standing.uuid, batch.number, wal).await?;
        io.files_added = done.io.files_added;
        io.bytes_written = done.io.bytes_written;
        after = Some(table);
    }
    let mut problem = None;
    if let Some(after) = &after {
        let standing = BTreeMap::from([(table.name.clone(), after.clone())]);
        // The rows are in, whatever becomes of the catalog.
        problem = register(site, &standing, progress).await.map_or_else(Some, |registered| registered.problem);
    }
    let version_after = after.as_ref().map(LakeTable::version);
    let staying: u64 = replay.stay.values().sum();
    let mut warnings = Vec::new();
    if staying > 0 {
        warnings.push(Warning {
            message: match staying {
                1 => format!("1 record of {name} stays in quarantine"),
                _ => format!("{staying} records of {name} stay in quarantine"),
            },
            details: replay.stay.iter().take(5).map(|(reason, count)| format!("{count}: {reason}")).collect(),
            help: Some(format!("see them: stedi-delta quarantine ls {name}")),
        });
    }
    Ok(TableOutcome {
        table: table.name.clone(),
        zone: table.zone.clone(),
        location: place.location.to_string(),
        version_before,
        version_after,
        mode: if version_before == version_after { Mode::None } else { Mode::Ingest },
        reason: format!("{} of {} records landed from quarantine", replay.landed, replay.landed + staying),
        rows: Rows { inserted: replay.landed, ..Rows::default() },
        io,
        elapsed: started.elapsed(),
        waiting: Vec::new(),
        warnings,
        left_out: Vec::new(),
        verified: None,
        problem: problem.map(Problem::Failed),
    })
}
