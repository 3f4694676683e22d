//! `catalog check` and `catalog register`: for every table of the project, its log, its definition and its entry.

use std::collections::BTreeMap;

use super::{Described, Listing, all, elsewhere, left, list, moved, place, tell_put};
use crate::catalog::{Put, hive};
use crate::definition::Column;
use crate::error::Result;
use crate::lake::LakeTable;
use crate::outcome::{CatalogOutcome, EntryOutcome, EntryState, Pin};
use crate::pins::{self, Pins};
use crate::progress::Progress;
use crate::storage::Location;
use crate::workspace::Workspace;

/// Additional repairs of `catalog register`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repairs {
    /// Point entries here that belong to other tables.
    pub relocate: bool,
    /// Drop entries of tables that left the project.
    pub prune: bool,
}

/// Compares the catalog with logs and definitions. Writes nothing.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn check(workspace: &Workspace) -> Result<CatalogOutcome> {
    let listing = list(workspace).await?;
    let mut outcome = blank(workspace);
    for (table, described, location) in all(workspace)? {
        let stands = match LakeTable::open(&location).await {
            Ok(stands) => stands,
            Err(error) => {
                let mut found = entry(&described.name, &location, EntryState::Unreadable);
                found.notes.push(error.to_string());
                outcome.entries.push(found);
                continue;
            }
        };
        let is_quarantine = described.name != table.name.as_str();
        if stands.is_none() && is_quarantine && !listing.contains_key(&described.name) {
            continue; // Nothing is in quarantine.
        }
        outcome.entries.push(compare(workspace, &described, &location, stands.as_ref(), &listing).await?);
    }
    for pin in Pins::read(workspace).await?.all.into_values().filter(|pin| pin.in_catalog) {
        outcome.entries.push(pinned(workspace, &pin, &listing));
    }
    outcome.entries.extend(left(workspace, &listing).into_iter().map(|name| gone(&name, &listing, EntryState::Left)));
    Ok(outcome)
}

/// Compares the entry of a pin with the pin.
fn pinned(workspace: &Workspace, pin: &Pin, listing: &Listing) -> EntryOutcome {
    let wanted = pins::entry(workspace, pin);
    let (location, state) = (wanted.location().trim_end_matches('/').to_owned(), EntryState::Missing);
    let mut found = EntryOutcome { table: pin.name.clone(), location, state, drift: Vec::new(), notes: Vec::new() };
    if let Some(existing) = listing.get(&pin.name) {
        found.drift = wanted.drift(existing);
        found.state = if wanted.differs(existing) { EntryState::Differs } else { EntryState::Equal };
    }
    found
}

/// Updates the catalog to match the logs. A failure of one table does not stop the others.
///
/// # Errors
/// When the catalog cannot be listed.
pub async fn repair(workspace: &Workspace, repairs: Repairs, progress: &dyn Progress) -> Result<CatalogOutcome> {
    let listing = list(workspace).await?;
    let mut outcome = blank(workspace);
    for (_, described, location) in all(workspace)? {
        let is_listed = listing.contains_key(&described.name);
        let mut entry = entry(&described.name, &location, EntryState::Equal);
        let put = match LakeTable::open(&location).await {
            Ok(Some(stands)) => place(workspace, &described, &stands, &listing, repairs.relocate).await,
            Ok(None) if is_listed => {
                entry.state = EntryState::Gone;
                Ok(Put::Unchanged)
            }
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        match put {
            Ok(put) => {
                tell_put(workspace, &entry.table, put, progress);
                match put {
                    Put::Created => entry.state = EntryState::Created,
                    Put::Updated => entry.state = EntryState::Updated,
                    Put::Unchanged => {}
                }
            }
            Err(error) => {
                entry.state = if is_listed { EntryState::Differs } else { EntryState::Missing };
                entry.notes.push(error.to_string());
                outcome.problem.get_or_insert(error);
            }
        }
        outcome.entries.push(entry);
    }
    for pin in Pins::read(workspace).await?.all.into_values().filter(|pin| pin.in_catalog) {
        let mut entry = pinned(workspace, &pin, &listing);
        let registered = match pins::publish(workspace, &pin).await {
            Ok(()) => pins::register(workspace, &pin).await,
            Err(error) => Err(error),
        };
        match registered {
            Ok(put) => {
                tell_put(workspace, &pin.name, put, progress);
                entry.state = match put {
                    Put::Created => EntryState::Created,
                    Put::Updated => EntryState::Updated,
                    Put::Unchanged => EntryState::Equal,
                };
                entry.drift.clear();
            }
            Err(error) => {
                entry.notes.push(error.to_string());
                outcome.problem.get_or_insert(error);
            }
        }
        outcome.entries.push(entry);
    }
    let away = moved::away(workspace, &listing, &[])?;
    for name in left(workspace, &listing) {
        let mut entry = gone(&name, &listing, EntryState::Left);
        if repairs.prune || away.contains(&name) {
            match workspace.catalog.remove(&workspace.database, &name).await {
                Ok(_) => entry.state = EntryState::Dropped,
                Err(error) => {
                    entry.notes.push(error.to_string());
                    outcome.problem.get_or_insert(error);
                }
            }
        }
        outcome.entries.push(entry);
    }
    Ok(outcome)
}

/// Tables that the catalog has under this warehouse and the project has not, each with its location. Empty if the catalog
/// cannot be read: then another command says so.
pub async fn departed(workspace: &Workspace) -> Vec<(String, String)> {
    let Ok(listing) = list(workspace).await else { return Vec::new() };
    let away = moved::away(workspace, &listing, &[]).unwrap_or_default();
    let names = left(workspace, &listing).into_iter().filter(|name| !away.contains(name));
    let place = |name: String| Some((name.clone(), listing.get(&name)?.location().to_owned()));
    names.filter_map(place).collect()
}

fn blank(workspace: &Workspace) -> CatalogOutcome {
    CatalogOutcome {
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        catalog: workspace.catalog.name(),
        database: workspace.database.clone(),
        entries: Vec::new(),
        problem: None,
    }
}

fn entry(name: &str, location: &Location, state: EntryState) -> EntryOutcome {
    let (table, location) = (name.to_owned(), location.to_string());
    EntryOutcome { table, location, state, drift: Vec::new(), notes: Vec::new() }
}

fn gone(name: &str, listing: &Listing, state: EntryState) -> EntryOutcome {
    let location = listing.get(name).map(|entry| entry.location().trim_end_matches('/').to_owned());
    let location = location.unwrap_or_default();
    EntryOutcome { table: name.to_owned(), location, state, drift: Vec::new(), notes: Vec::new() }
}

/// Compares one table: its entry with its log, its log with its definition, and its log with what engines can read.
async fn compare(
    workspace: &Workspace,
    described: &Described,
    location: &Location,
    stands: Option<&LakeTable>,
    listing: &Listing,
) -> Result<EntryOutcome> {
    let existing = listing.get(&described.name);
    let mut found = entry(&described.name, location, EntryState::Equal);
    let Some(stands) = stands else {
        found.state = if existing.is_some() { EntryState::Gone } else { EntryState::NotCreated };
        return Ok(found);
    };
    let wanted = described.entry(stands);
    match existing {
        None => found.state = EntryState::Missing,
        Some(existing) if !existing.is_delta() => found.state = EntryState::Foreign,
        Some(existing) => {
            found.drift = wanted.drift(existing);
            if elsewhere(workspace, &wanted, existing).await? {
                found.state = EntryState::Elsewhere;
            } else if !found.drift.is_empty() {
                found.state = EntryState::Differs;
            }
        }
    }
    found.notes.extend(undeclared(&described.columns, &stands.schema_string()));
    found.notes.extend(stands.obstacles().into_iter().map(|o| format!("Athena cannot read it: {}", o.found)));
    Ok(found)
}

/// Where the log's columns differ from the declared ones.
fn undeclared(declared: &[Column], schema_string: &str) -> Vec<String> {
    let in_log: BTreeMap<String, String> =
        hive::columns(schema_string).into_iter().map(|(name, r#type, _)| (name, r#type)).collect();
    let mut notes = Vec::new();
    for column in declared {
        let wanted = column.column_type.hive_name();
        match in_log.get(&column.name) {
            None => notes.push(format!("column `{}` is declared and not yet in the table", column.name)),
            Some(found) if *found != wanted => {
                notes.push(format!("column `{}` is declared {wanted} and is {found} in the table", column.name));
            }
            Some(_) => {}
        }
    }
    let is_declared = |name: &&String| declared.iter().any(|c| &&c.name == name);
    notes.extend(
        in_log
            .keys()
            .filter(|name| !is_declared(name))
            .map(|name| format!("column `{name}` is in the table and not declared")),
    );
    notes
}
