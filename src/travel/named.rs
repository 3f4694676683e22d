//! Tables by the names that people have for them.

use std::collections::BTreeSet;

use super::point::{Point, Zone, split};
use super::times::{CommitTime, times, version_at};
use crate::changes;
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::horizons::{self, FOLDER as VACUUMS_FOLDER};
use crate::ingest::LEDGER_FOLDER;
use crate::lake::LakeTable;
use crate::migrate::JOURNAL_FOLDER;
use crate::pins::FOLDER as PINS_FOLDER;
use crate::storage::Location;
use crate::sync::RUNS_FOLDER;
use crate::workspace::Workspace;

/// Names of system tables -> their folders under the warehouse root.
const SYSTEM: [(&str, &str); 5] = [
    ("files", LEDGER_FOLDER),
    ("migrations", JOURNAL_FOLDER),
    ("pins", PINS_FOLDER),
    ("runs", RUNS_FOLDER),
    ("vacuums", VACUUMS_FOLDER),
];

/// The names of the system tables.
pub(crate) fn system_tables() -> impl Iterator<Item = &'static str> {
    SYSTEM.iter().map(|(name, _)| *name)
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedKind {
    /// A table of the project.
    Table,
    /// The quarantine of a landing table.
    Quarantine,
    /// A system table.
    System,
    /// A table that a migration dropped.
    Dropped,
}

/// A table that was found by a name.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its present name, or its last one.
    pub name: String,
    /// What it is.
    pub kind: NamedKind,
    /// Its newest version.
    pub newest: LakeTable,
    /// What should be said of the name.
    pub notes: Vec<String>,
    workspace: Workspace,
}

/// Where a name leads.
struct Place {
    name: String,
    kind: NamedKind,
    location: Location,
    notes: Vec<String>,
}

/// Finds a table by its name. The workspace has its tables where migrations moved them (`migrate::placed`).
///
/// # Errors
/// `Usage` if no table has or had that name; `Failed` if it does not exist yet or its log cannot be read.
pub async fn find(workspace: &Workspace, name: &str) -> Result<Named> {
    let place = place(workspace, name)?;
    if let Some(found) = place.open(workspace).await? {
        return Ok(found);
    }
    let Place { name, kind, location, .. } = place;
    Err(match kind {
        NamedKind::Dropped => {
            Error::failed(format!("{name} was dropped, and its folder is gone")).fact("folder", location.to_string())
        }
        _ => {
            let error = Error::failed(format!("{name} does not exist yet"));
            match (kind, name.as_str()) {
                (NamedKind::Quarantine, _) => error.fact("because", "no record was put into it"),
                (NamedKind::System, "migrations") => error.fact("because", "no sync has had a migration"),
                (NamedKind::System, "pins") => error.fact("because", "no version is pinned"),
                _ => error.help("stedi-delta sync"),
            }
        }
    })
}

/// The same; `None` if the table does not exist.
///
/// # Errors
/// `Usage` if no table has or had that name; `Failed` if its log cannot be read.
pub async fn find_existing(workspace: &Workspace, name: &str) -> Result<Option<Named>> {
    place(workspace, name)?.open(workspace).await
}

impl Place {
    async fn open(&self, workspace: &Workspace) -> Result<Option<Named>> {
        let Self { name, kind, location, notes } = self;
        let newest = LakeTable::open(location).await?;
        let named = |newest| Named {
            name: name.clone(),
            kind: *kind,
            newest,
            notes: notes.clone(),
            workspace: workspace.clone(),
        };
        Ok(newest.map(named))
    }
}

/// Opens a table as `t`, `t@v12`, `t@2026-11-20` or `t@2026-11-20T10:00:00Z` name it: its newest version, or that one.
///
/// # Errors
/// As [`find`]; `Usage` for a version that the table does not have; `Failed` for one that can no longer be read.
pub async fn open(workspace: &Workspace, text: &str, zone: &Zone) -> Result<(Named, LakeTable)> {
    let (name, point) = split(text);
    let named = find(workspace, name).await?;
    let Some(point) = point else {
        let table = named.newest.clone();
        return Ok((named, table));
    };
    let version = named.version(&Point::parse(point, zone)?).await?;
    let table = named.at(version).await?;
    Ok((named, table))
}

fn place(workspace: &Workspace, name: &str) -> Result<Place> {
    if let Ok(table) = workspace.table(name) {
        let location = workspace.location(table)?;
        return Ok(Place { name: name.to_owned(), kind: NamedKind::Table, location, notes: Vec::new() });
    }
    if let Some((_, folder)) = SYSTEM.iter().find(|(known, _)| *known == name) {
        let location = workspace.warehouse.join(folder);
        return Ok(Place { name: name.to_owned(), kind: NamedKind::System, location, notes: Vec::new() });
    }
    let base = name.strip_suffix("_quarantine");
    if let Some(table) = base.and_then(|base| workspace.landing_table(base).ok()) {
        let location = workspace.quarantine(table)?;
        return Ok(Place { name: name.to_owned(), kind: NamedKind::Quarantine, location, notes: Vec::new() });
    }
    let former = |name: &str| workspace.places.former().into_iter().rev().find(|(known, _, _)| *known == name);
    if let Some((_, home, present)) = former(name) {
        return match present {
            Some(present) => called(place(workspace, present)?, name),
            None => Ok(dropped(name, workspace.folder(home))),
        };
    }
    if let Some((_, home, present)) = base.and_then(former) {
        return match present {
            Some(present) => called(place(workspace, &format!("{present}_quarantine"))?, name),
            None => Ok(dropped(name, workspace.folder(&home.quarantine()))),
        };
    }
    Err(workspace.unknown(name))
}

fn called(found: Place, before: &str) -> Result<Place> {
    let notes = vec![format!("`{before}` is called `{}` today", found.name)];
    Ok(Place { notes, ..found })
}

fn dropped(name: &str, location: Location) -> Place {
    let notes = vec![format!("`{name}` was dropped: it has the rows that it had then")];
    Place { name: name.to_owned(), kind: NamedKind::Dropped, location, notes }
}

impl Named {
    /// The version at a point.
    ///
    /// # Errors
    /// `Usage` if the table has none.
    pub async fn version(&self, point: &Point) -> Result<u64> {
        match point {
            Point::Version(version) if *version > self.newest.version() => {
                Err(Error::new(Kind::Usage, format!("{} has no version {version}", self.name))
                    .fact("newest", format!("v{}", self.newest.version()))
                    .help(format!("versions: stedi-delta history {}", self.name)))
            }
            Point::Version(version) => Ok(*version),
            Point::Time { ms, text } => version_at(&self.newest, &self.name, (*ms, text)).await,
        }
    }

    /// The table at a version of it.
    ///
    /// # Errors
    /// If the log or the files of that version are gone; names the oldest version that can be read.
    pub async fn at(&self, version: u64) -> Result<LakeTable> {
        match changes::readable_at(&self.newest, &self.name, version).await {
            Err(error) => Err(match self.ended().await {
                Some(ended) => error.fact("because", ended),
                None => error,
            }),
            found => found,
        }
    }

    /// Which versions a vacuum ended, for people.
    pub async fn ended(&self) -> Option<String> {
        let horizons = horizons::read(&self.workspace).await.ok()?;
        let horizon = horizons.get(&self.newest.uuid())?;
        let at = rfc3339(horizon.at_ms);
        Some(format!("`stedi-delta vacuum` ended the versions before v{} at {at}", horizon.version))
    }

    /// Its commits, oldest first, as far back as the log has them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn commits(&self) -> Result<Vec<CommitTime>> {
        times(&self.newest).await
    }

    /// The ids and names by which rows of `runs` may know it: its id, and the names that it has and had.
    pub(super) fn known_as(&self, workspace: &Workspace) -> (String, BTreeSet<String>) {
        let former = workspace.places.former().into_iter();
        let names = former.filter(|(_, _, present)| *present == Some(&self.name)).map(|(name, _, _)| name.to_owned());
        (self.newest.uuid(), names.chain([self.name.clone()]).collect())
    }
}
