//! `vacuum`: deletes files that no version within the retention needs.
//!
//! Nothing else deletes what a version names. It is safe beside syncs of other machines: what they write is younger than the
//! grace period, and what they read is the newest version, or one that a table below was computed from.

mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deltalake::datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::horizons::{self, Horizon};
use crate::ingest::{self, Ledger};
use crate::lake::{AT_ONCE, LakeTable};
use crate::outcome::{VacuumOutcome, VacuumTable, counted};
use crate::pins::Pins;
use crate::retry;
use crate::storage::Location;
use crate::travel::{self, Named, NamedKind};
use crate::workspace::Workspace;
use folder::{Found, Needed, Plan, Times};

/// What is vacuumed.
#[derive(Clone, Debug, Default)]
pub struct VacuumOptions {
    /// Tables.
    pub tables: Vec<String>,
    /// All of the lake.
    pub lake: bool,
    /// Dropped tables of which nothing stays.
    pub purge: Vec<String>,
    /// How long versions stay, instead of what the project says.
    pub history: Option<Duration>,
    /// How long new files stay, instead of what the project says.
    pub grace: Option<Duration>,
    /// Deletes; else it only says what it would delete.
    pub delete: bool,
}

/// Vacuums. The workspace has its tables where migrations moved them (`migrate::placed`).
///
/// # Errors
/// `Usage` for a name that no table has, and for a table to be purged that was not dropped; `Failed` if the tables cannot be
/// read. What fails at one table is in the outcome.
pub async fn vacuum(workspace: &Workspace, options: &VacuumOptions, run: &str) -> Result<VacuumOutcome> {
    let purged = purged(workspace, &options.purge).await?;
    let names = names(workspace, options)?;
    let pins = Pins::read(workspace).await?;
    let consumed = consumed(workspace).await?;
    let ledger_session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &ledger_session, &workspace.places).await?;
    let mut known = horizons::read(workspace).await?;
    let mut outcome = VacuumOutcome { deleted: options.delete, ..VacuumOutcome::default() };
    let mut ended = Vec::new();
    for name in names {
        let Some(named) = travel::find_existing(workspace, &name).await? else { continue };
        let uuid = named.newest.uuid();
        let mut files: BTreeSet<String> = BTreeSet::new();
        for pin in pins.all.values().filter(|pin| pin.uuid == uuid) {
            files.extend(pin.files.keys().cloned());
        }
        let mut table = VacuumTable { table: name.clone(), ..VacuumTable::default() };
        match promised(workspace, &name, (&ledger, &ledger_session), run).await {
            Ok(promised) => files.extend(promised),
            Err(error) => {
                table.left_alone = Some(format!("its batches cannot be read: {}", error.message()));
                outcome.tables.push(table);
                continue;
            }
        }
        let needed = Needed { consumed: consumed.get(&uuid).cloned(), files };
        let times = times(workspace, &named, options);
        match one(&named.newest, &needed, times, options.delete).await {
            Ok(Found::LeftAlone(why)) => table.left_alone = Some(why),
            Ok(Found::Plan(plan)) => {
                let before = known.get(&uuid).map_or(plan.oldest, |before| before.version.max(plan.oldest));
                table.ends = (plan.horizon > before).then(|| (before, plan.horizon - 1));
                table.horizon = Some(plan.horizon);
                table.freed = plan.freed;
                table.kept_for = plan.kept_for;
                if table.ends.is_some() {
                    let all = plan.freed.all();
                    let at_ms = clock::now_ms();
                    let horizon =
                        Horizon { table: name, uuid, version: plan.horizon, files: all.files, bytes: all.bytes, at_ms };
                    known.insert(horizon.uuid.clone(), horizon.clone());
                    ended.push(horizon);
                }
            }
            Err(error) => table.problem = Some(error),
        }
        outcome.tables.push(table);
    }
    for (name, location) in purged {
        outcome.tables.push(purge(&name, &location, &pins, options.delete).await?);
    }
    if options.delete && !ended.is_empty() {
        let record = || horizons::record(workspace, &ended, run);
        outcome.problem = retry::RUN.until_no_conflict(record).await.err();
    }
    Ok(outcome)
}

/// Every table of the lake by its name: those of the project, their quarantines, and the tool's own.
fn names(workspace: &Workspace, options: &VacuumOptions) -> Result<Vec<String>> {
    let tables = workspace.project.tables.iter();
    let quarantines = tables.clone().filter(|table| table.landing().is_some());
    let quarantines = quarantines.map(|table| table.name.quarantine().as_str().to_owned());
    let all: Vec<String> = tables
        .map(|table| table.name.as_str().to_owned())
        .chain(quarantines)
        .chain(travel::system_tables().map(str::to_owned))
        .collect();
    if options.lake {
        return Ok(all);
    }
    match options.tables.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(workspace.unknown(unknown)),
        None => Ok(options.tables.clone()),
    }
}

/// Files that are going to be added to a landing table or a quarantine.
async fn promised(
    workspace: &Workspace,
    name: &str,
    ledger: (&Ledger, &SessionContext),
    run: &str,
) -> Result<BTreeSet<String>> {
    let landing = workspace.landing_table(name);
    let landing = landing.or_else(|_| workspace.landing_table(name.strip_suffix("_quarantine").unwrap_or_default()));
    let Ok(table) = landing else { return Ok(BTreeSet::new()) };
    ingest::promised(&workspace.place(table, run)?, ledger).await
}

/// Id of a table -> the oldest version that a table below was computed from, and the name of that.
async fn consumed(workspace: &Workspace) -> Result<BTreeMap<String, (u64, String)>> {
    let mut sources: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut consumed: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for table in &workspace.project.tables {
        if table.derived().is_none() {
            continue;
        }
        let Some(open) = LakeTable::open(&workspace.location(table)?).await? else { continue };
        for source in workspace.sources(table) {
            let id = match sources.get(source.as_str()) {
                Some(id) => id.clone(),
                None => {
                    let location = workspace.location(workspace.table(source.as_str())?)?;
                    let id = LakeTable::open(&location).await?.map(|table| table.uuid());
                    sources.insert(source.as_str().to_owned(), id.clone());
                    id
                }
            };
            let Some(id) = id else { continue };
            let Some(found) = open.consumed(&id).await? else { continue };
            let oldest = consumed.entry(id).or_insert_with(|| (found.version, table.name.to_string()));
            if found.version < oldest.0 {
                *oldest = (found.version, table.name.to_string());
            }
        }
    }
    Ok(consumed)
}

/// By the settings of a table, or of its zone, or of the project.
fn times(workspace: &Workspace, named: &Named, options: &VacuumOptions) -> Times {
    let project = &workspace.project;
    let owner = named.name.strip_suffix("_quarantine").filter(|_| named.kind == NamedKind::Quarantine);
    let table = project.tables.iter().find(|table| table.name.as_str() == owner.unwrap_or(&named.name));
    let history = options.history.unwrap_or_else(|| project.history_of(table));
    let grace = options.grace.unwrap_or(project.retention.grace);
    let ago =
        |duration: Duration| clock::now_ms().saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    // A query that has begun may read what was removed since.
    Times { history: ago(history.max(grace)), grace: ago(grace) }
}

async fn one(newest: &LakeTable, needed: &Needed, times: Times, delete: bool) -> Result<Found> {
    let found = Plan::of(newest, needed, times).await?;
    let Found::Plan(plan) = &found else { return Ok(found) };
    if delete {
        if plan.checkpoint {
            newest.checkpoint().await?;
        }
        removed(newest.location(), &plan.data).await?;
        removed(newest.location(), &plan.log).await?;
    }
    Ok(found)
}

/// Deletes files; those that are gone already are no failure.
async fn removed(location: &Location, paths: &[String]) -> Result<()> {
    let deletes =
        futures::stream::iter(paths.to_vec()).map(|path| async move { location.delete(&path).await }).buffered(AT_ONCE);
    let failed: Vec<Error> = deletes.filter_map(|done| std::future::ready(done.err())).collect().await;
    let count = failed.len() as u64;
    match failed.into_iter().next() {
        Some(first) => Err(first.fact("failed", format!("{} of {}", counted(count, "file"), paths.len()))),
        None => Ok(()),
    }
}

/// The folders of dropped tables, with those of their quarantines.
async fn purged(workspace: &Workspace, names: &[String]) -> Result<Vec<(String, Location)>> {
    let mut folders = Vec::new();
    for name in names {
        let Some(named) = travel::find_existing(workspace, name).await? else {
            return Err(Error::new(Kind::Usage, format!("there is nothing left of {name}")));
        };
        if named.kind != NamedKind::Dropped {
            return Err(Error::new(Kind::Usage, format!("{name} was not dropped"))
                .fact("expected", "a table that a migration dropped")
                .help(drop_first(workspace, name)));
        }
        folders.push((name.clone(), named.newest.location().clone()));
        let quarantine = format!("{name}_quarantine");
        let beside = travel::find_existing(workspace, &quarantine).await.ok().flatten();
        if let Some(beside) = beside.filter(|beside| beside.kind == NamedKind::Dropped) {
            folders.push((quarantine, beside.newest.location().clone()));
        }
    }
    Ok(folders)
}

/// How a table is dropped.
fn drop_first(workspace: &Workspace, name: &str) -> String {
    let table = workspace.project.tables.iter().find(|table| table.name.as_str() == name);
    let file = table.map(|table| format!("remove {}, ", table.file.path.display())).unwrap_or_default();
    format!("{file}then drop it by a migration: stedi-delta migrate new drop_it; stedi-delta sync")
}

/// Deletes a folder, the log last, so that what is left can be purged again.
async fn purge(name: &str, location: &Location, pins: &Pins, delete: bool) -> Result<VacuumTable> {
    let mut table = VacuumTable { table: name.to_owned(), ..VacuumTable::default() };
    let here = location.to_string();
    if let Some(pin) = pins.all.values().find(|pin| pin.location.trim_end_matches('/') == here) {
        table.left_alone = Some(format!("the pin {0} needs it: stedi-delta unpin {0}", pin.name));
        return Ok(table);
    }
    let listed = location.list("").await?;
    let (log, data): (Vec<_>, Vec<_>) = listed.iter().partition(|(path, _)| path.starts_with("_delta_log/"));
    for (_, meta) in &data {
        table.freed.data.take(meta.size);
    }
    for (_, meta) in &log {
        table.freed.log.take(meta.size);
    }
    if delete {
        for files in [data, log] {
            let paths: Vec<String> = files.into_iter().map(|(path, _)| path.clone()).collect();
            if let Err(error) = removed(location, &paths).await {
                table.problem = Some(error);
                break;
            }
        }
    }
    Ok(table)
}
