//! Plans in files: `plan --out` writes one, and `sync --plan` applies it if nothing of it has changed.

use std::collections::BTreeMap;

use super::plan::{Entries, PlanOptions, planned};
use crate::clock;
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::ingest::Files;
use crate::lake::ENGINE;
use crate::migrate::Pending;
use crate::migration::Parsed;
use crate::name::TableName;
use crate::outcome::{Action, PlanOutcome, SavedMigration, SavedPlan, SavedTable, counted};
use crate::privacy::word;
use crate::source::checksum;
use crate::sync::{self, Planned};
use crate::workspace::Workspace;

/// Changes that are named in the message about a stale plan.
const NAMED: usize = 5;

/// The plan for a file.
pub(super) fn saved(workspace: &Workspace, select: &[String], pending: &Pending, tables: Vec<SavedTable>) -> SavedPlan {
    let migration = |parsed: &Parsed| SavedMigration {
        migration: parsed.name(),
        checksum: parsed.checksum(),
        statements: pending.of(parsed.migration.number).map(|lacking| lacking.number).collect(),
    };
    SavedPlan {
        format: SavedPlan::FORMAT.to_owned(),
        program: ENGINE.to_owned(),
        made_at: clock::rfc3339(clock::now_ms()),
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        landing: workspace.landing.url.to_string(),
        warehouse: workspace.warehouse.url.to_string(),
        select: select.to_vec(),
        migrations: pending.unrecorded().map(migration).collect(),
        tables,
    }
}

/// BLAKE3 of the text of a table's definition and query, line ends aside.
pub(super) fn definition(table: &Table) -> String {
    let files = std::iter::once(&table.file).chain(table.derived().map(|derived| &derived.sql_file));
    checksum(files.map(|file| file.text.replace("\r\n", "\n")))
}

/// The text of a file with a plan.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn plan_text(plan: &SavedPlan) -> Result<String> {
    let text = serde_json::to_string_pretty(plan);
    text.map(|text| text + "\n")
        .map_err(|cause| Error::new(Kind::Internal, "a plan cannot be written as JSON").because(cause))
}

/// Parses the text of a file with a plan.
///
/// # Errors
/// If it is not such a file, or of a format that this version does not know.
pub fn parse_plan(text: &str) -> Result<SavedPlan> {
    let again = "stedi-delta plan --out plan.json   (makes one)";
    let no_plan = |found: String| {
        Error::failed("this file is not a plan of `plan --out`")
            .fact("found", found)
            .fact("expected", format!("`\"format\": \"{}\"`", SavedPlan::FORMAT))
            .help(again)
    };
    let any: serde_json::Value = serde_json::from_str(text).map_err(|error| no_plan(where_of(&error)))?;
    match any.get("format").and_then(serde_json::Value::as_str) {
        Some(SavedPlan::FORMAT) => {}
        Some(other) if other.starts_with("stedi-delta-plan/") => {
            return Err(no_plan(format!("`{other}`: another version of this program made it")));
        }
        _ => return Err(no_plan("it has no known `format`".to_owned())),
    }
    serde_json::from_str(text).map_err(|error| no_plan(error.to_string()))
}

fn where_of(error: &serde_json::Error) -> String {
    format!("no JSON at line {}, column {}", error.line(), error.column())
}

/// Compares a saved plan with the project and the lake. Writes nothing.
///
/// # Errors
/// `Usage` for a plan of another project or target; `Conflict` if anything of the plan has changed or is missing; else as
/// [`super::plan()`].
pub async fn bind(workspace: &Workspace, saved: &SavedPlan) -> Result<Planned> {
    check_lake(workspace, saved)?;
    let changed = definitions(workspace, saved);
    if !changed.is_empty() {
        return Err(stale(saved, &changed));
    }
    let planned_files = Planned::of(saved);
    let options = PlanOptions { select: saved.select.clone(), ..PlanOptions::default() };
    let now = planned(workspace, &options, Files::Planned(planned_files.files()), Entries::Unread).await?;
    let changed = states(saved, &now);
    if changed.is_empty() { Ok(planned_files) } else { Err(stale(saved, &changed)) }
}

fn check_lake(workspace: &Workspace, saved: &SavedPlan) -> Result<()> {
    let (landing, warehouse) = (workspace.landing.url.to_string(), workspace.warehouse.url.to_string());
    let sides = [
        ("project", &saved.project, &workspace.project.name),
        ("target", &saved.target, &workspace.target),
        ("landing", &saved.landing, &landing),
        ("warehouse", &saved.warehouse, &warehouse),
    ];
    let Some((what, planned, here)) = sides.into_iter().find(|(_, planned, here)| planned != here) else {
        return Ok(());
    };
    Err(Error::new(Kind::Usage, format!("the plan was made for another {what}"))
        .fact("planned", planned.clone())
        .fact("here", here.clone())
        .help("name the target and roots of the plan, or make one for these: stedi-delta plan --out plan.json"))
}

/// Tables, definitions and migrations of the project that are not those of the plan.
fn definitions(workspace: &Workspace, saved: &SavedPlan) -> Vec<String> {
    let mut changed = Vec::new();
    if saved.program != ENGINE {
        changed.push(format!("{} made it, and this is {ENGINE}", saved.program));
    }
    let options = sync::Options { select: saved.select.clone(), ..sync::Options::default() };
    // A selector that selects nothing any more: its tables are missing below.
    let selected = sync::checked(workspace, &options).map(|selection| selection.tables).unwrap_or_default();
    for planned in &saved.tables {
        let name = TableName::parse(&planned.table).ok();
        match name.and_then(|name| workspace.project.table(&name)) {
            None => changed.push(format!("{} is not in this project any more", planned.table)),
            Some(table) if definition(table) != planned.definition => {
                changed.push(format!("the definition of {} changed", planned.table));
            }
            Some(_) => {}
        }
    }
    let is_planned = |name: &&TableName| saved.tables.iter().any(|planned| planned.table == name.as_str());
    changed.extend(
        selected.iter().filter(|name| !is_planned(name)).map(|name| format!("{name} is selected, and not in the plan")),
    );
    let migrations = crate::migration::parsed(&workspace.project).unwrap_or_default();
    for planned in &saved.migrations {
        match migrations.iter().find(|parsed| parsed.name() == planned.migration) {
            None => changed.push(format!("migration {} is gone", planned.migration)),
            Some(parsed) if parsed.checksum() != planned.checksum => {
                changed.push(format!("migration {} changed", planned.migration));
            }
            Some(_) => {}
        }
    }
    changed
}

/// Tables, files and pending migrations of the lake that are not those of the plan.
fn states(saved: &SavedPlan, now: &PlanOutcome) -> Vec<String> {
    let mut changed = Vec::new();
    let old: BTreeMap<&str, &SavedMigration> = saved.migrations.iter().map(|m| (m.migration.as_str(), m)).collect();
    let new: BTreeMap<&str, &SavedMigration> = now.saved.migrations.iter().map(|m| (m.migration.as_str(), m)).collect();
    for (name, planned) in &old {
        match new.get(name) {
            None => changed.push(format!("migration {name} was applied")),
            Some(found) if found.statements != planned.statements => {
                changed.push(format!("statements of migration {name} were applied"));
            }
            Some(_) => {}
        }
    }
    changed.extend(new.keys().filter(|name| !old.contains_key(*name)).map(|name| format!("migration {name} is new")));
    for planned in &saved.tables {
        let Some(found) = now.saved.tables.iter().find(|found| found.table == planned.table) else { continue };
        if let Some(difference) = difference(planned, found) {
            changed.push(difference);
            continue;
        }
        // Files are compared where they are listed.
        let problem = now.tables.iter().find(|table| table.table.as_str() == planned.table);
        match problem.and_then(|table| table.problem.as_ref()).filter(|error| error.kind() == Kind::Conflict) {
            Some(error) => changed.push(error.message().to_owned()),
            // What stops the table above is named there.
            None if planned.action != found.action && found.action != Action::Skip.name() => {
                changed.push(format!("{} would be `{}`, planned `{}`", planned.table, found.action, planned.action));
            }
            None => {}
        }
    }
    changed
}

fn difference(planned: &SavedTable, found: &SavedTable) -> Option<String> {
    let name = &planned.table;
    Some(match (&planned.id, &found.id) {
        _ if planned.location != found.location => {
            format!("{name} is in {}, planned in {}", found.location, planned.location)
        }
        (None, Some(_)) => format!("{name} was created"),
        (Some(_), None) => format!("{name} is gone"),
        (Some(old), Some(new)) if old != new => format!("{name} is another table"),
        _ if planned.version != found.version => {
            let at = |version: Option<u64>| version.map_or_else(|| "nothing".to_owned(), |v| format!("v{v}"));
            format!("{name} is at {}, planned at {}", at(found.version), at(planned.version))
        }
        _ if planned.batch != found.batch => format!("{name} has ingested files"),
        _ => return None,
    })
}

fn stale(saved: &SavedPlan, changed: &[String]) -> Error {
    let things = counted(changed.len() as u64, "change");
    let mut error = Error::conflict(format!("the plan is stale: {things} since it was made"));
    for change in changed.iter().take(NAMED) {
        error = error.fact("changed", change.clone());
    }
    if changed.len() > NAMED {
        error = error.fact("also", format!("{} more", changed.len() - NAMED));
    }
    let select: String =
        saved.select.iter().filter_map(|selector| word(selector)).map(|s| format!(" -s {s}")).collect();
    error
        .fact("made", saved.made_at.clone())
        .fact("meanwhile", "nothing was written")
        .help(format!("stedi-delta plan{select} --out plan.json   (makes a new one)"))
}
