//! Entries of names that tables had before a migration renamed or dropped them.

use std::collections::BTreeMap;

use super::Listing;
use crate::catalog::Entry;
use crate::error::Result;
use crate::storage::Location;
use crate::workspace::Workspace;

/// The folders of a table, and of its quarantine, by a name that it had.
struct Former {
    name: String,
    folder: Location,
    quarantine: Location,
}

fn all(workspace: &Workspace) -> Result<Vec<Former>> {
    let mut all = Vec::new();
    for (name, home, now) in workspace.places.former() {
        let mut folders = vec![workspace.folder(home)];
        let table = now.and_then(|now| workspace.project.tables.iter().find(|table| table.name.as_str() == now));
        if let Some(table) = table.filter(|table| table.location.is_some()) {
            folders.push(workspace.location(table)?);
        }
        all.extend(folders.into_iter().map(|folder| {
            let quarantine = folder.sibling(&home.quarantine().name);
            Former { name: name.to_owned(), folder, quarantine }
        }));
    }
    Ok(all)
}

/// Entries that point to a table by a name that it had before it was renamed or dropped. `put`: names whose entries have
/// been updated since the listing.
pub(super) fn away(workspace: &Workspace, listing: &Listing, put: &[&str]) -> Result<Vec<String>> {
    let own: BTreeMap<String, Location> =
        super::all(workspace)?.into_iter().map(|(_, described, location)| (described.name, location)).collect();
    let mut names = Vec::new();
    for former in all(workspace)? {
        for (name, folder) in
            [(former.name.clone(), &former.folder), (format!("{}_quarantine", former.name), &former.quarantine)]
        {
            let points_there = |entry: &Entry| entry.is_delta() && entry.is_at(&folder.to_string());
            let is_its_own = own.get(&name).is_some_and(|own| own.to_string() == folder.to_string());
            let is_put = put.contains(&name.as_str());
            if !is_its_own && !is_put && listing.get(&name).is_some_and(points_there) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Whether an entry points to the folder of a table that was renamed or dropped, or of its quarantine.
pub(super) fn is_ours(workspace: &Workspace, entry: &Entry) -> Result<bool> {
    let is_at = |former: &Former| [&former.folder, &former.quarantine].iter().any(|f| entry.is_at(&f.to_string()));
    Ok(all(workspace)?.iter().any(is_at))
}
