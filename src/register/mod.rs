//! Tables' newest versions -> catalog entries equal to their logs.
//!
//! After the commit, never before: an entry without a version leads readers to nothing, while a version without an
//! entry is found and registered by the next sync. One listing of the database reads the entries; other calls are made
//! only for differences.

mod check;
mod ddl;
mod described;
mod foresee;
mod moved;

pub use check::{Repairs, check, departed, repair};
pub use ddl::ddl;
pub use described::Described;
pub use foresee::{Expected, foresee};

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join, join_all};

use crate::catalog::{Entry, Put, put_once};
use crate::definition::Table;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::progress::{Event, Progress};
use crate::retry;
use crate::storage::Location;
use crate::workspace::Workspace;

/// The entries of the target's database by table name, from one listing.
pub(crate) type Listing = BTreeMap<String, Entry>;

/// The catalog changes of a sync.
#[derive(Debug, Default)]
pub struct Registered {
    /// Tables whose entry was created or updated.
    pub changed: Vec<(String, Put)>,
    /// Names that tables no longer have, and of dropped tables: their entries were removed.
    pub removed: Vec<String>,
    /// Tables that the catalog has under this warehouse, but the project no longer has.
    pub left: Vec<String>,
    /// The first failure; the remaining tables were still processed.
    pub problem: Option<Error>,
}

impl Registered {
    fn note(&mut self, name: &str, put: Result<Put>) {
        match put {
            Ok(Put::Unchanged) => {}
            Ok(put) => self.changed.push((name.to_owned(), put)),
            Err(error) => {
                self.problem.get_or_insert(error);
            }
        }
    }
}

/// Registers the current tables, and the quarantines of landing tables among them.
///
/// # Errors
/// When the catalog cannot be listed.
pub async fn register(
    workspace: &Workspace,
    standing: &BTreeMap<TableName, LakeTable>,
    progress: &dyn Progress,
) -> Result<Registered> {
    let mut done = Registered::default();
    if standing.is_empty() && workspace.places.is_empty() {
        return Ok(done);
    }
    let listing = list(workspace).await?;
    let quarantines = quarantines(workspace, standing, &listing);
    let tables = async {
        let mut puts = Vec::new();
        for table in &workspace.project.tables {
            let Some(stands) = standing.get(&table.name) else { continue };
            progress.table(table.name.as_str(), "registering");
            let described = Described::table(table);
            puts.push((described.name.clone(), place(workspace, &described, stands, &listing, false).await));
        }
        puts
    };
    let (tables, quarantines) = join(tables, quarantines).await;
    for (name, put) in tables.into_iter().chain(quarantines) {
        if let Ok(put) = &put {
            tell_put(workspace, &name, *put, progress);
        }
        done.note(&name, put);
    }
    // Last, so that a renamed table always has an entry.
    let put: Vec<&str> = done.changed.iter().map(|(name, _)| name.as_str()).collect();
    for name in moved::away(workspace, &listing, &put)? {
        match workspace.catalog.remove(&workspace.database, &name).await {
            Ok(_) => {
                tell(workspace, &name, "removed", progress);
                done.removed.push(name);
            }
            Err(error) => {
                done.problem.get_or_insert(error);
            }
        }
    }
    done.left = left(workspace, &listing);
    done.left.retain(|name| !done.removed.contains(name));
    Ok(done)
}

/// A catalog entry was written.
fn tell_put(workspace: &Workspace, table: &str, put: Put, progress: &dyn Progress) {
    match put {
        Put::Created => tell(workspace, table, "created", progress),
        Put::Updated => tell(workspace, table, "updated", progress),
        Put::Unchanged => {}
    }
}

/// A catalog entry changed.
fn tell(workspace: &Workspace, table: &str, change: &str, progress: &dyn Progress) {
    let event = Event::info("catalog.registered").with("table", table).with("change", change);
    progress.event(&event.with("database", &workspace.database));
}

/// The entries of the target's database.
///
/// # Errors
/// When the catalog cannot be listed.
pub(crate) async fn list(workspace: &Workspace) -> Result<Listing> {
    Ok(workspace
        .catalog
        .list(&workspace.database)
        .await?
        .into_iter()
        .map(|entry| (entry.name.clone(), entry))
        .collect())
}

/// Registers the quarantines of the landing tables among `standing`. Their columns are always the same, so a log is
/// read only if the entry must change.
async fn quarantines(
    workspace: &Workspace,
    standing: &BTreeMap<TableName, LakeTable>,
    listing: &Listing,
) -> Vec<(String, Result<Put>)> {
    let tables = workspace.project.tables.iter().filter(|t| t.landing().is_some() && standing.contains_key(&t.name));
    let puts = join_all(tables.map(|table| async move {
        let described = Described::quarantine(table);
        let put = async {
            let location = workspace.quarantine(table)?;
            let as_declared = described.entry_as_declared(&location);
            if listing.get(&described.name).is_some_and(|existing| !as_declared.differs(existing)) {
                return Ok(Put::Unchanged);
            }
            match LakeTable::open(&location).await? {
                Some(stands) => place(workspace, &described, &stands, listing, false).await,
                None => Ok(Put::Unchanged),
            }
        };
        let put = put.await;
        (described.name, put)
    }));
    puts.await
}

/// Puts a table's entry into the catalog, unless the existing entry of its name points to another existing table.
async fn place(
    workspace: &Workspace,
    described: &Described,
    stands: &LakeTable,
    listing: &Listing,
    relocate: bool,
) -> Result<Put> {
    let entry = described.entry(stands);
    let name = entry.name.clone();
    let mut seen = Some(listing.get(&name).cloned());
    let attempt = |mut entry: Entry| {
        let seen = seen.take();
        async move {
            let put = place_once(workspace, described, stands, &mut entry, seen, relocate).await;
            (entry, put)
        }
    };
    let put = retry::CATALOG_ENTRY.with(entry, attempt, |put| !matches!(put, Ok(None)), |_| {}).await?;
    put.ok_or_else(|| {
        let name = format!("`{}.{name}` in {}", workspace.database, workspace.catalog.name());
        Error::conflict(format!("{name}: concurrent changes kept winning")).help("stedi-delta catalog register")
    })
}

/// One attempt to put `entry`, which is replaced by the entry of a newer log if the catalog has a later version. `seen`:
/// the existing entry according to a listing; without a listing, the catalog is read. `None` = the current entry is
/// another one.
async fn place_once(
    workspace: &Workspace,
    described: &Described,
    stands: &LakeTable,
    entry: &mut Entry,
    seen: Option<Option<Entry>>,
    relocate: bool,
) -> Result<Option<Put>> {
    let standing = match seen {
        Some(standing) => standing,
        None => workspace.catalog.get(&workspace.database, &entry.name).await?,
    };
    if let Some(other) = &standing {
        if !relocate && elsewhere(workspace, entry, other).await? {
            return Err(taken(workspace, entry, other));
        }
        // The writer of a later version had a newer log than this one.
        let is_late = other.is_at(entry.location()) && other.version() > entry.version();
        if is_late && entry.differs(other) {
            let Some(newest) = LakeTable::open(stands.location()).await? else { return Ok(Some(Put::Unchanged)) };
            *entry = described.entry(&newest);
        }
    }
    put_once(workspace.catalog.as_ref(), &workspace.database, entry, standing.as_ref()).await
}

fn taken(workspace: &Workspace, entry: &Entry, other: &Entry) -> Error {
    let name = format!("`{}.{}` in {}", workspace.database, entry.name, workspace.catalog.name());
    Error::failed(format!("{name} points to another table"))
        .fact("found", other.location())
        .fact("expected", entry.location())
        .fact("because", "a table is there, or access is denied, and others may be reading it")
        .help(
            "give this target a database of its own, or point the entry here: stedi-delta catalog register --relocate",
        )
}

/// Whether an entry points to another location with an existing table. The local catalog is in the warehouse and moves
/// with it; in a shared one the entry may belong to others.
async fn elsewhere(workspace: &Workspace, entry: &Entry, other: &Entry) -> Result<bool> {
    if !workspace.catalog.is_shared() || !other.is_delta() || other.is_at(entry.location()) {
        return Ok(false);
    }
    // A table of ours that a migration gave another name.
    if moved::is_ours(workspace, other)? {
        return Ok(false);
    }
    // If we may not even read a location, we must not redirect its entry.
    match workspace.place_at(other.location()) {
        Ok(location) => Ok(location.holds("_delta_log").await.unwrap_or(true)),
        Err(_) => Ok(true),
    }
}

/// Tables in the catalog that are under this warehouse and not in the project.
fn left(workspace: &Workspace, listing: &Listing) -> Vec<String> {
    let mut known = BTreeSet::new();
    for table in &workspace.project.tables {
        known.insert(table.name.to_string());
        known.insert(table.name.quarantine().to_string());
    }
    let ours = |entry: &&Entry| entry.is_delta() && !known.contains(&entry.name) && is_below(workspace, entry);
    listing.values().filter(ours).map(|entry| entry.name.clone()).collect()
}

/// Whether an entry points to a folder of this warehouse.
pub(crate) fn is_below(workspace: &Workspace, entry: &Entry) -> bool {
    let warehouse = format!("{}/", workspace.warehouse);
    entry.location().replacen("s3a://", "s3://", 1).starts_with(&warehouse)
}

/// Every table and landing quarantine of the project with its location, in the order of zones.
fn all(workspace: &Workspace) -> Result<Vec<(&Table, Described, Location)>> {
    let mut found = Vec::new();
    for zone in &workspace.project.zones {
        for table in workspace.project.tables.iter().filter(|t| &t.zone == zone) {
            found.push((table, Described::table(table), workspace.location(table)?));
            if table.landing().is_some() {
                found.push((table, Described::quarantine(table), workspace.quarantine(table)?));
            }
        }
    }
    Ok(found)
}
