//! The state of every table: version, rows, what a sync would do, and why it is behind.

use std::collections::BTreeMap;

use deltalake::datafusion::prelude::SessionContext;

use super::plan::unchecked;
use super::quarantine;
use crate::definition::{Derived, Landing, Table, TableKind};
use crate::error::Result;
use crate::ingest::{self, Asked, Ledger, Patience};
use crate::lake::{Evidence, LakeTable};
use crate::migrate::{self, Moves, Pending};
use crate::name::TableName;
use crate::outcome::{StatusOutcome, TableStatus};
use crate::pin;
use crate::plan::{self, Decision};
use crate::refresh;
use crate::workspace::Workspace;

/// The state of every landing and derived table. Changes nothing.
///
/// # Errors
/// If the ledger cannot be read; an unreadable table is reported with its problem.
pub async fn status(workspace: &Workspace) -> Result<StatusOutcome> {
    let (workspace, pending, problem) = match Pending::find(workspace).await {
        Ok(pending) => (pending.workspace.clone(), Some(pending), None),
        // Their faults stop a sync; the tables are there.
        Err(error) => (migrate::placed(workspace, Moves::Pending).await?, None, Some(error)),
    };
    let problem = problem.or_else(|| pending.as_ref().and_then(|pending| pending.check().err()));
    let workspace = &workspace;
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    let mut standing: BTreeMap<TableName, LakeTable> = BTreeMap::new();
    let mut tables: Vec<TableStatus> = Vec::new();
    for table in &workspace.project.tables {
        let mut status = blank(workspace, table)?;
        match LakeTable::open(&workspace.location(table)?).await {
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
            TableKind::Landing(landing) => {
                let read = (&ledger, &session);
                let is_pending = pending.as_ref().is_none_or(|pending| pending.rewrites(&table.name) > 0);
                of_landing(workspace, (table, landing), read, is_pending, &mut status).await
            }
            TableKind::Derived(derived) => of_derived(workspace, table, derived, &standing, &mut status).await,
        };
        if let Err(error) = found {
            status.problem.get_or_insert(error.to_string());
        }
        let late = |name: &TableName| {
            let of = tables.iter().find(|t: &&TableStatus| &t.table == name);
            of.is_some_and(|t| !t.pending.is_empty() || !t.behind.is_empty() || t.problem.is_some())
        };
        status.behind = workspace.sources(table).into_iter().filter(late).collect();
        tables.push(status);
    }
    fold_quarantines(workspace, &mut tables);
    tables.retain(|t| {
        workspace.project.table(&t.table).and_then(Table::derived).is_none_or(|d| d.quarantine_of.is_none())
    });
    // By zone, and within a zone in the order of data flow.
    tables.sort_by_key(|t| workspace.project.zones.iter().position(|z| z == &t.zone));
    Ok(StatusOutcome {
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        landing: workspace.landing_text.clone(),
        warehouse: workspace.warehouse_text.clone(),
        tables,
        pins: pin::pins_of(workspace).await?,
        migrations: pending.map(|pending| pending.outcomes()).unwrap_or_default(),
        problem,
    })
}

/// Reports the quarantine of a derived table, and the problem that keeps it from the cut, with that table.
fn fold_quarantines(workspace: &Workspace, tables: &mut [TableStatus]) {
    for table in &workspace.project.tables {
        let Some(quarantine) = quarantine::of(workspace, table) else { continue };
        let Some(found) = tables.iter().find(|t| t.table == quarantine.name) else { continue };
        let rows = found.rows.unwrap_or(0);
        let pending: Vec<String> = found.pending.iter().map(|what| format!("{}: {what}", found.table)).collect();
        let problem = found.problem.as_ref().map(|problem| format!("{}: {problem}", found.table));
        let Some(owner) = tables.iter_mut().find(|t| t.table == table.name) else { continue };
        owner.rows_in_quarantine = rows;
        owner.quarantine = Some(quarantine.name.clone());
        // Both change together: a common reason is reported once.
        if owner.pending.is_empty() {
            owner.pending = pending;
        }
        owner.problem = owner.problem.take().or(problem);
    }
}

async fn of_landing(
    workspace: &Workspace,
    (table, landing): (&Table, &Landing),
    (ledger, session): (&Ledger, &SessionContext),
    is_pending: bool,
    status: &mut TableStatus,
) -> Result<()> {
    let place = workspace.place(table, "")?;
    status.rows_in_quarantine = ingest::count_quarantined(&place).await?;
    let current = ingest::state_of(&place, (ledger, session)).await?;
    current.check(&place)?;
    if !is_pending {
        // As a sync does before anything is read.
        ingest::check_schema(&place, current.table.as_ref())?;
    }
    if let Some(number) = current.open() {
        status.pending.push(format!("batch {number} of an earlier run is to be finished"));
    }
    let pending =
        ingest::pending(&place, landing, &current, (ledger, session), Asked::default(), Patience::Hurries).await?;
    status.left_out = pending.left_out.first().map(|error| error.message().to_owned());
    let (new, replaced) = pending.counts();
    let files = |count: usize| if count == 1 { "file" } else { "files" };
    for (count, what) in [(new, "new"), (replaced, "replaced")] {
        if count > 0 {
            status.pending.push(format!("{count} {what} {}", files(count)));
        }
    }
    if unchecked(table, current.table.as_ref()) {
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
    workspace: &Workspace,
    table: &Table,
    derived: &Derived,
    tables: &BTreeMap<TableName, LakeTable>,
    status: &mut TableStatus,
) -> Result<()> {
    let sources: BTreeMap<TableName, LakeTable> = workspace
        .sources(table)
        .into_iter()
        .filter_map(|name| Some((name.clone(), tables.get(&name)?.clone())))
        .collect();
    let complete = sources.len() == workspace.sources(table).len();
    let job = workspace.job(table, sources, "")?;
    let standing = refresh::standing(&job, tables.get(&table.name), Evidence::Log).await?;
    let fingerprint = plan::fingerprint(&workspace.project, table, derived, &workspace.places);
    match plan::decide(table, &standing, &fingerprint) {
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

fn blank(workspace: &Workspace, table: &Table) -> Result<TableStatus> {
    Ok(TableStatus {
        table: table.name.clone(),
        zone: table.zone.clone(),
        location: workspace.location(table)?.to_string(),
        version: None,
        rows: None,
        files: 0,
        bytes: 0,
        committed_ms: None,
        rows_in_quarantine: 0,
        quarantine: None,
        personal_log_entries: 0,
        pending: Vec::new(),
        behind: Vec::new(),
        left_out: None,
        problem: None,
    })
}

fn fill(status: &mut TableStatus, table: &LakeTable) {
    status.version = Some(table.version());
    status.rows = table.rows();
    (status.files, status.bytes) = table.size();
    status.committed_ms = table.committed_ms();
}
