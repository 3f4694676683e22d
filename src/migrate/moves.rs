//! Tables that pending migrations rename or drop: where they are in the lake, and by which name a project knows them.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::Journal;
use crate::definition::Table;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::migration::{Action, Home, Move, Parsed, Places, Statement};
use crate::workspace::Workspace;

/// A statement of a migration with both of its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered<'a> {
    pub migration: u32,
    pub number: usize,
    pub statement: &'a Statement,
}

/// All statements of a project in their order.
pub(super) fn all(migrations: &[Parsed]) -> Vec<Numbered<'_>> {
    let mut all = Vec::new();
    for parsed in migrations {
        let migration = parsed.migration.number;
        all.extend((1..).zip(&parsed.statements).map(|(number, statement)| Numbered { migration, number, statement }));
    }
    all
}

/// The name that a table of this name has after these statements; `None` = it is dropped.
pub(super) fn name_after(later: &[Numbered<'_>], name: &str) -> Option<String> {
    let mut name = name.to_owned();
    for Numbered { statement, .. } in later.iter().filter(|n| n.statement.action.moves()) {
        if statement.table.value == name {
            match &statement.action {
                Action::RenameTable { to, .. } => name.clone_from(&to.value),
                _ => return None,
            }
        }
    }
    Some(name)
}

/// A table that a pending statement moves.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    /// What the journal will have.
    pub step: Move,
    /// The table.
    pub table: LakeTable,
    /// The folder of a table that has the new name already.
    pub occupied: Option<String>,
}

/// Where the tables are after all migrations of the project, and the pending statements that move a table of this lake.
///
/// # Errors
/// If the lake cannot be read; if it is unknown which of several folders a statement means.
pub(super) async fn moves(
    workspace: &Workspace,
    journal: &Journal,
    migrations: &[Parsed],
) -> Result<(Places, BTreeMap<(u32, usize), Moved>)> {
    let (mut places, mut found) = (journal.places(), BTreeMap::new());
    let statements = all(migrations);
    for (at, Numbered { migration, number, statement }) in statements.iter().enumerate() {
        let is_recorded = journal.has(*migration, *number) || journal.is_done(*migration);
        if !statement.action.moves() || is_recorded {
            continue;
        }
        let later = statements.get(at + 1..).unwrap_or_default();
        let to = match &statement.action {
            Action::RenameTable { to, .. } => Some(to.value.clone()),
            _ => None,
        };
        let becomes = to.as_ref().and_then(|to| name_after(later, to));
        let becomes = becomes.and_then(|name| workspace.project.tables.iter().find(|t| t.name.as_str() == name));
        let Some((home, table)) = find(workspace, &places, statement, becomes).await? else { continue };
        let occupied = match (&to, becomes) {
            (Some(to), Some(becomes)) if *to != statement.table.value && becomes.location.is_none() => {
                let home = folder_of(workspace, &places, to, &becomes.zone, &BTreeSet::new()).await?;
                let folder = workspace.folder(&home);
                let is_there = places.is_moved(to) || folder.holds("_delta_log").await?;
                is_there.then(|| folder.to_string())
            }
            _ => None,
        };
        let step = Move { from: statement.table.value.clone(), to, home, ids: vec![table.uuid()] };
        places.take(step.clone());
        found.insert((*migration, *number), Moved { step, table, occupied });
    }
    Ok((settled(workspace, places).await?, found))
}

/// The places of tables, with those folders that only the lake can tell.
///
/// # Errors
/// If a table in one of them cannot be read.
pub(super) async fn settled(workspace: &Workspace, mut places: Places) -> Result<Places> {
    let own = |table: &&Table| {
        table.location.is_none() && table.quarantine_of().is_none() && !places.is_moved(table.name.as_str())
    };
    let tables: Vec<&Table> = workspace.project.tables.iter().filter(own).collect();
    let natural = |table: &&Table| Home { zone: table.zone.clone(), name: table.name.to_string() };
    let mut found = BTreeMap::new();
    for table in tables.iter().filter(|table| places.is_unsure(table.name.as_str(), &table.zone)) {
        let others = tables.iter().filter(|other| other.name != table.name).map(natural).collect();
        let home = folder_of(workspace, &places, table.name.as_str(), &table.zone, &others).await?;
        found.insert(table.name.to_string(), home);
    }
    places.settle(found);
    Ok(places)
}

/// The folder of a table that no migration moved: of those that it can have, the one in which a table of its name was made, or
/// else the first that is free. `others`: folders that further tables of the project have unless something is in them.
async fn folder_of(
    workspace: &Workspace,
    places: &Places,
    name: &str,
    zone: &str,
    others: &BTreeSet<Home>,
) -> Result<Home> {
    if !places.is_unsure(name, zone) {
        return Ok(places.home(name, zone));
    }
    let begins = |home: &&Home| home.name.starts_with(name);
    // One of so many is free, and one behind a gap is found.
    let most = others.iter().filter(begins).count() + 4;
    let mut free = None;
    for home in places.candidates(name, zone).take(most) {
        match LakeTable::open(&workspace.folder(&home)).await? {
            Some(table) if table.made_as().is_none_or(|made| made == name) => return Ok(home),
            None if free.is_none() && !others.contains(&home) => free = Some(home),
            _ => {}
        }
    }
    Ok(free.unwrap_or_else(|| places.home(name, zone)))
}

/// The table that a statement renames or drops. A project no longer has its definition, and so its zone: if no migration has
/// moved it before, it is looked for in the zone of its new definition and then in all.
async fn find(
    workspace: &Workspace,
    places: &Places,
    statement: &Statement,
    becomes: Option<&Table>,
) -> Result<Option<(Home, LakeTable)>> {
    let name = statement.table.value.as_str();
    if let Some(table) = becomes.filter(|table| table.location.is_some()) {
        let stands = LakeTable::open(&workspace.location(table)?).await?;
        let home = folder_of(workspace, places, name, &table.zone, &BTreeSet::new()).await?;
        return Ok(stands.map(|stands| (home, stands)));
    }
    if places.is_moved(name) {
        let home = places.home(name, "");
        return Ok(LakeTable::open(&workspace.folder(&home)).await?.map(|stands| (home, stands)));
    }
    let mut found: Vec<(Home, LakeTable)> = Vec::new();
    let first = becomes.map(|table| &table.zone);
    for zone in first.into_iter().chain(workspace.project.zones.iter().filter(|zone| Some(*zone) != first)) {
        let home = folder_of(workspace, places, name, zone, &BTreeSet::new()).await?;
        if let Some(stands) = LakeTable::open(&workspace.folder(&home)).await? {
            let is_sure = Some(zone) == first;
            found.push((home, stands));
            if is_sure {
                break;
            }
        }
    }
    if let [(one, _), (other, _), ..] = found.as_slice() {
        return Err(Error::failed(format!("`{}` can be one of two tables", statement.text()))
            .fact("table", workspace.folder(one).to_string())
            .fact("other", workspace.folder(other).to_string())
            .help("move the folder of the one that is not in use out of the warehouse"));
    }
    Ok(found.pop())
}

/// Which migrations have moved the tables of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// Those that the lake has.
    Recorded,
    /// The pending ones, too: then the tables are found by the names that the project has for them.
    Pending,
}

/// The workspace with its tables where migrations moved them.
///
/// # Errors
/// If the journal, or a table of which a pending migration is, cannot be read.
pub async fn placed(workspace: &Workspace, by: Moves) -> Result<Workspace> {
    let journal = Journal::read(workspace).await?;
    if by == Moves::Recorded {
        return workspace.with_places(settled(workspace, journal.places()).await?);
    }
    // Its faults are those of other commands.
    let migrations = crate::migration::parsed(&workspace.project).unwrap_or_default();
    workspace.with_places(moves(workspace, &journal, &migrations).await?.0)
}
