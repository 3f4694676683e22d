//! The landing tables of another target, at its cut: `sync --defer prod` computes this target's derived tables from them.
//! Nothing of the other target is written; its stores refuse it.

use std::collections::BTreeMap;

use crate::clock;
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migrate::{Pending, refused};
use crate::privacy::Privacy;
use crate::storage::Storage;
use crate::sync::Deferred;
use crate::travel::{self, Cut};
use crate::workspace::{ResolvedTarget, Workspace, WorkspaceOptions};

/// The landing tables of target `other` as its newest complete sync left them. `workspace` is at the target that is written.
///
/// # Errors
/// `Usage` if there is no such target, or both would write one folder; `Failed` if it has no cut, or lacks a migration.
pub async fn landing_tables(workspace: &Workspace, other: &str, storage: Storage) -> Result<Deferred> {
    let options = WorkspaceOptions {
        root: workspace.project.root.clone(),
        target: Some(other.to_owned()),
        landing: None,
        warehouse: None,
    };
    let there =
        Workspace::connect(ResolvedTarget::find(&options)?, storage.read_only(), Privacy::new(None, false)).await?;
    apart(workspace, &there)?;
    let pending = Pending::find(&there).await?;
    if let Some(error) = refused(&pending) {
        return Err(error
            .fact("target", other.to_owned())
            .help(format!("stedi-delta sync --target {other}   (it comes first there)")));
    }
    let there = pending.workspace;
    let cut = Cut::newest(&there, clock::now_ms()).await?.ok_or_else(|| {
        Error::failed(format!("target `{other}` has no complete sync to read"))
            .fact("warehouse", there.warehouse.to_string())
            .help(format!("stedi-delta sync --target {other}"))
    })?;
    let mut tables: BTreeMap<_, LakeTable> = BTreeMap::new();
    for table in there.project.tables.iter().filter(|table| table.landing().is_some()) {
        let named = travel::find(&there, table.name.as_str()).await?;
        let version = cut.version(&there, &named).await?;
        tables.insert(table.name.clone(), named.newest.at(version).await?.with_own_state().await?);
    }
    let run = cut.run().unwrap_or_default().to_owned();
    Ok(Deferred { target: other.to_owned(), run, ended: rfc3339(cut.time()), tables })
}

/// Checks that what is written is not what is read.
fn apart(here: &Workspace, there: &Workspace) -> Result<()> {
    let error =
        |what: String| Error::new(Kind::Usage, what).fact("targets", format!("{}, {}", here.target, there.target));
    if here.target == there.target {
        return Err(error(format!("`--defer {}` names the target that is written", there.target))
            .help("name the other one with --target"));
    }
    if here.warehouse.url == there.warehouse.url {
        return Err(error("both targets have one warehouse".to_owned())
            .fact("warehouse", here.warehouse.to_string())
            .help("name another one with --warehouse"));
    }
    // A `location` is the same folder at every target.
    let shared = here.project.tables.iter().find(|table| table.derived().is_some() && table.location.is_some());
    match shared {
        Some(table) => Err(error(format!("{} has a `location`, which both targets share", table.name))
            .help("leave `location` out: a table is then in the warehouse of its target")),
        None => Ok(()),
    }
}
