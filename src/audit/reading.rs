//! Errors of reading rows of a version: of a data file that is missing or damaged, its name.

use crate::error::Error;
use crate::lake::LakeTable;
use crate::refresh;
use crate::travel::{Named, NamedKind};
use crate::workspace::Workspace;

/// An error of reading rows of these versions of a table, as it is shown.
pub(super) async fn told(workspace: &Workspace, table: &Named, versions: &[&LakeTable], error: Error) -> Error {
    let defined = if table.kind == NamedKind::Table { workspace.table(&table.name).ok() } else { None };
    for version in versions {
        // Only the newest version can be made anew.
        let found = match defined.filter(|_| version.version() == table.newest.version()) {
            Some(defined) => refresh::unreadable(&error, defined, version).await,
            None => refresh::unreadable_file(&error, &table.name, version).await,
        };
        if let Some(found) = found {
            return workspace.told(found);
        }
    }
    workspace.told(error)
}
