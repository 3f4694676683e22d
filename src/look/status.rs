//! Every table as it stands: version, rows, what a sync would do about it, and why it is behind.

use std::collections::BTreeMap;

use super::plan::unchecked;
use super::quarantine;
use crate::definition::{Derived, Landing, Table, TableKind};
use crate::error::Result;
use crate::ingest::{self, Asked, Ledger, Patience};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{StatusOutcome, TableStatus};
use crate::plan::{self, Decision};
use crate::refresh;
use crate::site::Site;

/// Where every landing and derived table stands. Changes nothing.
///
/// # Errors
/// When the ledger cannot be read; a table that cannot is reported with its problem.
pub async fn status(site: &Site) -> Result<StatusOutcome> {
    let session = site.session()?;
    let ledger = Ledger::read(&site.warehouse, &session).await?;
    let mut standing: BTreeMap<TableName, LakeTable> = BTreeMap::new();
    let mut tables: Vec<TableStatus> = Vec::new();
    for table in &site.project.tables {
        let mut status = blank(site, table)?;
        match LakeTable::open(&site.location(table)?).await {
            Ok(Some(found)) => {
                fill(&mut status, &found);
                let personal = table.columns.iter().filter(|column| column.pii).map(|column| column.name.clone());
                status.personal_log_entries = found.entries_with_bounds_of(&personal.collect()).await?;
                standing.insert(table.name.clone(), found);
            }
            Ok(None) => {}
            Err(error) => status.problem = Some(error.to_string()),
        }
        let found = match &table.kind {
            TableKind::Landing(landing) => of_landing(site, table, landing, &ledger, &session, &mut status).await,
            TableKind::Derived(derived) => of_derived(site, table, derived, &standing, &mut status).await,
        };
        if let Err(error) = found {
            status.problem.get_or_insert(error.to_string());
        }
        let late = |name: &TableName| {
            let of = tables.iter().find(|t: &&TableStatus| &t.table == name);
            of.is_some_and(|t| !t.pending.is_empty() || !t.behind.is_empty() || t.problem.is_some())
        };
        status.behind = site.sources(table).into_iter().filter(late).collect();
        tables.push(status);
    }
    fold_quarantines(site, &mut tables);
    tables.retain(|t| site.project.table(&t.table).and_then(Table::derived).is_none_or(|d| d.quarantine_of.is_none()));
    // By zone, and within a zone as data flows.
    tables.sort_by_key(|t| site.project.zones.iter().position(|z| z == &t.zone));
    Ok(StatusOutcome {
        project: site.project.name.clone(),
        target: site.target.clone(),
        landing: site.landing_text.clone(),
        warehouse: site.warehouse_text.clone(),
        tables,
    })
}

/// What is in the quarantine of a derived table is told with that table, and so is what keeps it from the cut.
fn fold_quarantines(site: &Site, tables: &mut [TableStatus]) {
    for table in &site.project.tables {
        let Some(quarantine) = quarantine::of(site, table) else { continue };
        let Some(found) = tables.iter().find(|t| t.table == quarantine.name) else { continue };
        let rows = found.rows.unwrap_or(0);
        let pending: Vec<String> = found.pending.iter().map(|what| format!("{}: {what}", found.table)).collect();
        let problem = found.problem.as_ref().map(|problem| format!("{}: {problem}", found.table));
        let Some(owner) = tables.iter_mut().find(|t| t.table == table.name) else { continue };
        owner.rows_in_quarantine = rows;
        // Both move together: what is pending for both is said once.
        if owner.pending.is_empty() {
            owner.pending = pending;
        }
        owner.problem = owner.problem.take().or(problem);
    }
}

async fn of_landing(
    site: &Site,
    table: &Table,
    landing: &Landing,
    ledger: &Ledger,
    session: &deltalake::datafusion::prelude::SessionContext,
    status: &mut TableStatus,
) -> Result<()> {
    let place = site.place(table, "")?;
    status.rows_in_quarantine = ingest::count_quarantined(&place).await?;
    let standing = ingest::standing(&place, (ledger, session)).await?;
    standing.check(&place)?;
    if let Some(number) = standing.open() {
        status.pending.push(format!("batch {number} of an earlier run is to be finished"));
    }
    let pending =
        ingest::pending(&place, landing, &standing, (ledger, session), Asked::default(), Patience::Hurries).await?;
    status.problem = pending.left_out.first().map(|error| error.message().to_owned());
    let (new, replaced) = pending.counts();
    let files = |count: usize| if count == 1 { "file" } else { "files" };
    for (count, what) in [(new, "new"), (replaced, "replaced")] {
        if count > 0 {
            status.pending.push(format!("{count} {what} {}", files(count)));
        }
    }
    if unchecked(table, standing.table.as_ref()) {
        status.pending.push(format!("check: {}", plan::EXPECTATIONS_CHANGED));
    }
    let young = pending.waiting.len();
    if young > 0 {
        status.pending.push(format!("{young} {} too young to be read, waiting", files(young)));
    }
    if status.version.is_none() && status.pending.is_empty() {
        status.pending.push("to be created".into());
    }
    Ok(())
}

async fn of_derived(
    site: &Site,
    table: &Table,
    derived: &Derived,
    tables: &BTreeMap<TableName, LakeTable>,
    status: &mut TableStatus,
) -> Result<()> {
    let sources: BTreeMap<TableName, LakeTable> =
        site.sources(table).into_iter().filter_map(|name| Some((name.clone(), tables.get(&name)?.clone()))).collect();
    let complete = sources.len() == site.sources(table).len();
    let job = site.job(table, sources, "")?;
    let standing = refresh::standing(&job, tables.get(&table.name), refresh::Evidence::Log).await?;
    let fingerprint = plan::fingerprint(&site.project, table, derived);
    match plan::decide(table, &standing, fingerprint, false) {
        Decision::UpToDate | Decision::Adopt(_) if complete => {}
        Decision::UpToDate | Decision::Adopt(_) => status.pending.push("a source does not exist yet".into()),
        Decision::Check => status.pending.push(format!("check: {}", plan::EXPECTATIONS_CHANGED)),
        Decision::Full(reason) | Decision::Repair(reason) => status.pending.push(format!("full: {reason}")),
        Decision::Stop(error) => status.problem = Some(error.to_string()),
        Decision::Incremental(_) => {
            for source in standing.sources.iter().filter(|s| s.consumed != Some(s.current)) {
                let consumed = source.consumed.map_or_else(|| "nothing".to_owned(), |v| format!("v{v}"));
                status.pending.push(format!("{} is at v{}, consumed {consumed}", source.name, source.current));
            }
        }
    }
    Ok(())
}

fn blank(site: &Site, table: &Table) -> Result<TableStatus> {
    Ok(TableStatus {
        table: table.name.clone(),
        zone: table.zone.clone(),
        location: site.location(table)?.to_string(),
        version: None,
        rows: None,
        files: 0,
        bytes: 0,
        committed_ms: None,
        rows_in_quarantine: 0,
        personal_log_entries: 0,
        pending: Vec::new(),
        behind: Vec::new(),
        problem: None,
    })
}

fn fill(status: &mut TableStatus, table: &LakeTable) {
    status.version = Some(table.version());
    status.rows = table.rows();
    (status.files, status.bytes) = table.size();
    status.committed_ms = table.committed_ms();
}
