//! A pin as a table of the catalog: a file that lists the data files of its version, which Hive's symlink format reads.
//!
//! Engines that cannot read old versions of Delta tables, such as Athena, read the pin so. Nothing is copied.
//! Source: Athena user guide, "Symlink-based tables"; Delta documentation, "symlink_format_manifest".

use deltalake::datafusion::object_store::{ObjectStoreExt, PutPayload};

use crate::catalog::Entry;
use crate::definition::Column;
use crate::error::{Context, Result};
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

/// The catalog entry of a pin; `declared`: descriptions of the table's columns.
#[must_use]
pub(crate) fn entry(workspace: &Workspace, pin: &Pin, declared: &[Column]) -> Entry {
    let description = format!("{} as of version {}, pinned by stedi-delta", pin.table, pin.version);
    let location = folder(workspace, &pin.name).to_string();
    Entry::manifest(&pin.name, &location, (&description, declared), &pin.schema, &pin.table, pin.version)
}
