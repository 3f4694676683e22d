//! The differences of all tables of a lake between two cuts.

use super::{DiffOptions, compare, doing};
use crate::error::{Context, Kind, Result};
use crate::lake::LakeTable;
use crate::migrate::{self, ColumnNames, Journal, Moves};
use crate::outcome::{DiffRows, LakeDiffOutcome, LakeDiffTable};
use crate::travel::{self, AsOf, Cut, Named, Point};
use crate::workspace::Workspace;

/// The counts of all tables and quarantines of the project between two times or runs; `to`: `None` = as they are now.
///
/// # Errors
/// `Usage` if there is no such run; if the system tables cannot be read. A table that cannot be compared has its own error.
pub async fn diff_lake(workspace: &Workspace, from: &AsOf, to: Option<&AsOf>) -> Result<LakeDiffOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let before = Cut::find(workspace, from).await?;
    let after = match to {
        Some(to) => Some(Cut::find(workspace, to).await?),
        None => None,
    };
    let journal = Journal::read(workspace).await?;
    let mut outcome = LakeDiffOutcome { project: workspace.project.name.clone(), tables: Vec::new() };
    for table in &workspace.project.tables {
        let quarantine = table.landing().map(|_| table.name.quarantine().to_string());
        for name in [Some(table.name.to_string()), quarantine].into_iter().flatten() {
            let mut found = LakeDiffTable { table: name, zone: table.zone.clone(), ..LakeDiffTable::default() };
            let compared = Box::pin(one(workspace, &journal, (&before, after.as_ref()), &mut found)).await;
            found.problem = compared.err();
            // Neither cut has it.
            if found.problem.is_some() || found.from.is_some() || found.to.is_some() {
                outcome.tables.push(found);
            }
        }
    }
    Ok(outcome)
}

async fn one(
    workspace: &Workspace,
    journal: &Journal,
    (before, after): (&Cut, Option<&Cut>),
    found: &mut LakeDiffTable,
) -> Result<()> {
    let Some(table) = travel::find_existing(workspace, &found.table).await? else { return Ok(()) };
    found.from = version(workspace, &table, before).await?;
    found.to = match after {
        Some(cut) => version(workspace, &table, cut).await?,
        None => Some(table.newest.version()),
    };
    match (found.from, found.to) {
        (Some(from), Some(to)) => {
            let names = ColumnNames::of(journal, &table.newest.uuid());
            let options = DiffOptions {
                table: table.name.clone(),
                from: Point::Version(from),
                to: None,
                columns: Vec::new(),
                condition: None,
                counts_only: true,
            };
            let compared = compare(workspace, &table, (from, to), names, &options).await?.count().await?;
            (found.rows, found.files) = (compared.rows, compared.files);
        }
        (None, Some(to)) => found.rows.inserted = rows(workspace, &table.at(to).await?).await?,
        (Some(from), None) => found.rows.deleted = rows(workspace, &table.at(from).await?).await?,
        (None, None) => found.rows = DiffRows::default(),
    }
    Ok(())
}

/// The version of a table in a cut; `None` if it did not exist then.
async fn version(workspace: &Workspace, table: &Named, cut: &Cut) -> Result<Option<u64>> {
    let error = match cut.version(workspace, table).await {
        Ok(version) => return Ok(Some(version)),
        Err(error) if error.kind() == Kind::Usage => error,
        Err(error) => return Err(error),
    };
    // Else the log no longer reaches back to that time.
    let is_complete = table.commits().await?.first().is_some_and(|commit| commit.facts.version == 0);
    if is_complete { Ok(None) } else { Err(error) }
}

/// The number of rows of a version.
async fn rows(workspace: &Workspace, table: &LakeTable) -> Result<u64> {
    if let Some(rows) = table.rows() {
        return Ok(rows);
    }
    let session = workspace.session()?;
    let frame = session.read_table(table.provider(&session, None).await?).context(doing)?;
    Ok(frame.count().await.context(doing)? as u64)
}
