//! A pin as a table of the catalog: a file that lists the data files of its version, which Hive's symlink format reads.
//!
//! Engines that cannot read old versions of Delta tables, such as Athena, read the pin so. Nothing is copied.
//! Source: Athena user guide, "Symlink-based tables"; Delta documentation, "symlink_format_manifest".

use deltalake::datafusion::object_store::{ObjectStoreExt, PutPayload};

use crate::catalog::{Entry, Put};
use crate::error::{Context, Error, Result};
use crate::outcome::Pin;
use crate::storage::Location;
use crate::workspace::Workspace;

/// Under the warehouse root.
const FOLDER: &str = "_pins";
/// The file that lists the data files.
const MANIFEST: &str = "manifest";

/// The folder of a pin's manifest.
fn folder(workspace: &Workspace, name: &str) -> Location {
    workspace.warehouse.join(FOLDER).join(name)
}

/// Writes the manifest of a pin.
///
/// # Errors
/// If the store fails.
pub(crate) async fn publish(workspace: &Workspace, pin: &Pin) -> Result<()> {
    let table = workspace.place_at(&pin.location)?;
    // Engines open these as they stand, without decoding them.
    let url = |path: &String| match table.url.scheme() {
        "file" => format!("file://{table}/{path}\n"),
        _ => format!("{table}/{path}\n"),
    };
    let text: String = pin.files.keys().map(url).collect();
    let folder = folder(workspace, &pin.name);
    let file = folder.file(MANIFEST)?;
    let put = folder.store.put(&file, PutPayload::from(text)).await;
    put.map(drop).context(|| format!("the manifest of {} cannot be written", pin.name))
}

/// Removes the manifest of a pin.
pub(crate) async fn withdraw(workspace: &Workspace, name: &str) {
    folder(workspace, name).remove(MANIFEST).await;
}

/// The catalog entry of a pin.
#[must_use]
pub(crate) fn entry(workspace: &Workspace, pin: &Pin) -> Entry {
    // The table may have another name since.
    let former = workspace.places.former();
    let present = former.iter().rev().find(|(name, _, _)| *name == pin.table).and_then(|(_, _, present)| *present);
    let table = workspace.table(&pin.table).or_else(|_| workspace.table(present.unwrap_or_default()));
    let columns = table.map(|table| table.columns.as_slice()).unwrap_or_default();
    let description = format!("{} as of version {}, pinned by stedi-delta", pin.table, pin.version);
    let location = folder(workspace, &pin.name).to_string();
    Entry::manifest(&pin.name, &location, (&description, columns), &pin.schema, &pin.table, pin.version)
}

/// Puts the entry of a pin into the catalog.
///
/// # Errors
/// If its name is taken there; if the catalog cannot be written.
pub(crate) async fn register(workspace: &Workspace, pin: &Pin) -> Result<Put> {
    let entry = entry(workspace, pin);
    let (catalog, database) = (workspace.catalog.as_ref(), &workspace.database);
    let standing = catalog.get(database, &entry.name).await?;
    let taken = |what: String, other: &Entry| {
        Error::failed(what)
            .fact("location", other.location())
            .help(format!("choose another name for the pin: stedi-delta unpin {}", pin.name))
    };
    match &standing {
        Some(other) if !other.is_pin() => {
            Err(taken(format!("`{database}.{}` is a table of the catalog", pin.name), other))
        }
        Some(other) if !other.is_at(entry.location()) => {
            Err(taken(format!("`{database}.{}` is a pin of another warehouse", pin.name), other))
        }
        Some(other) if !entry.differs(other) => Ok(Put::Unchanged),
        Some(other) => match catalog.replace(database, other, &entry.merged_into(other)).await? {
            true => Ok(Put::Updated),
            false => Err(changed(database, pin)),
        },
        None => match catalog.create(database, &entry).await? {
            true => Ok(Put::Created),
            false => Err(changed(database, pin)),
        },
    }
}

fn changed(database: &str, pin: &Pin) -> Error {
    Error::conflict(format!("`{database}.{}` was changed by somebody else meanwhile", pin.name))
        .help("run the command again")
}
