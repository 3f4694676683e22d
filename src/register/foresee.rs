//! What `register` would do after a sync, by one listing of the catalog. Writes nothing.

use super::{Described, Listing, elsewhere, left, list, moved};
use crate::catalog::Entry;
use crate::definition::{Column, Table};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::outcome::{CatalogChange, CatalogPlan, EntryChange};
use crate::workspace::Workspace;

/// A table after a sync.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Its definition.
    pub table: &'a Table,
    /// Its log before the sync; `None` = the sync creates it.
    pub stands: Option<&'a LakeTable>,
    /// Its columns after the sync, if they are others than before.
    pub columns: Option<Vec<Column>>,
}

/// The changes of entries. A catalog that cannot be read is reported in them.
pub async fn foresee(workspace: &Workspace, expected: &[Expected<'_>]) -> CatalogPlan {
    let catalog = workspace.catalog.name();
    let mut plan = CatalogPlan { catalog, database: workspace.database.clone(), ..CatalogPlan::default() };
    if expected.is_empty() {
        return plan;
    }
    match changes(workspace, expected).await {
        Ok((changes, left)) => (plan.changes, plan.left) = (changes, left),
        Err(error) => plan.problem = Some(error),
    }
    plan
}

async fn changes(workspace: &Workspace, expected: &[Expected<'_>]) -> Result<(Vec<CatalogChange>, Vec<String>)> {
    let listing = list(workspace).await?;
    let mut changes = Vec::new();
    for Expected { table, stands, columns } in expected {
        let described = Described::table(table);
        let entry = match (columns, stands) {
            (None, Some(stands)) => described.entry(stands),
            (columns, _) => {
                let columns = columns.as_deref().unwrap_or(&table.columns);
                described.entry_with(&workspace.location(table)?, columns)
            }
        };
        changes.extend(change(workspace, &entry, &listing).await?);
        if table.landing().is_some() {
            let (described, location) = (Described::quarantine(table), workspace.quarantine(table)?);
            let as_declared = described.entry_as_declared(&location);
            if listing.get(&described.name).is_none_or(|existing| as_declared.differs(existing))
                && let Some(stands) = LakeTable::open(&location).await?
            {
                changes.extend(change(workspace, &described.entry(&stands), &listing).await?);
            }
        }
    }
    let put: Vec<&str> = changes.iter().map(|change| change.table.as_str()).collect();
    let away = moved::away(workspace, &listing, &put)?;
    changes.extend(away.iter().map(|name| CatalogChange {
        table: name.clone(),
        change: EntryChange::Remove,
        fields: Vec::new(),
    }));
    let left = left(workspace, &listing).into_iter().filter(|name| !away.contains(name)).collect();
    Ok((changes, left))
}

async fn change(workspace: &Workspace, entry: &Entry, listing: &Listing) -> Result<Option<CatalogChange>> {
    let of = |change, fields| Some(CatalogChange { table: entry.name.clone(), change, fields });
    let Some(existing) = listing.get(&entry.name) else { return Ok(of(EntryChange::Create, Vec::new())) };
    let is_foreign = entry.may_replace(&workspace.database, existing).is_err();
    Ok(match entry.differs(existing) {
        _ if is_foreign || elsewhere(workspace, entry, existing).await? => {
            of(EntryChange::Refuse, entry.drift(existing))
        }
        true => of(EntryChange::Update, entry.drift(existing)),
        false => None,
    })
}
