//! What decides whether a sync has anything to do, by listings alone.
//!
//! That is the program, the project's files, the landing files, the logs of all tables and the catalog. Data files are not
//! looked at: a log names what they hold.

use std::collections::BTreeMap;

use futures::future::{try_join, try_join3};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::RUNS_FOLDER;
use super::digests::SYSTEM_TABLES;
use crate::digest::DigestKey;
use crate::error::{Context, Error, Result};
use crate::ingest;
use crate::lake::LogTail;
use crate::name::TableName;
use crate::program;
use crate::register;
use crate::source::checksum;
use crate::storage::Location;
use crate::workspace::Workspace;

/// Listings at once.
const AT_ONCE: usize = 16;

/// The inputs of a sync, as hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    /// Of the program, the definitions, the target and the key for digests.
    configuration: String,
    /// The newest files of each log, by the URL of its table's folder, also of tables that do not exist.
    logs: BTreeMap<String, LogTail>,
    /// Of the files in the folders of landing files.
    landing: String,
    /// Of the entries of the catalog.
    catalog: String,
}

impl Inputs {
    /// The inputs now. `workspace`: after all migrations.
    ///
    /// # Errors
    /// When something cannot be listed, or the build of the program is unknown.
    pub(super) async fn now(workspace: &Workspace) -> Result<Self> {
        let configuration = configuration(workspace)?;
        let tail =
            async |location: Location| Ok::<_, Error>((location.url.to_string(), LogTail::of(&location, None).await?));
        let tails: Vec<_> = logs(workspace)?.into_iter().map(tail).collect();
        let logs = stream::iter(tails).buffer_unordered(AT_ONCE).try_collect();
        let (logs, catalog, landing) = try_join3(logs, catalog(workspace), landing(workspace)).await?;
        Ok(Self { configuration, logs, landing, catalog })
    }

    /// Whether the inputs now are these. `workspace`: tables may be in it where they were before migrations moved them.
    ///
    /// # Errors
    /// When something cannot be listed.
    pub(super) async fn are_current(&self, workspace: &Workspace) -> Result<bool> {
        if self.configuration != configuration(workspace)? {
            return Ok(false);
        }
        // After a sync that changed something, one listing tells that.
        let runs = workspace.warehouse.join(RUNS_FOLDER);
        let Some(tail) = self.logs.get(runs.url.as_str()) else { return Ok(false) };
        if LogTail::of(&runs, Some(tail)).await? != *tail {
            return Ok(false);
        }
        // The first difference ends what is still being listed.
        let same = |is_same: bool| if is_same { Ok(()) } else { Err(None) };
        let logs = self.logs.iter().map(|(url, tail)| async move {
            let location = workspace.place_at(url).map_err(Some)?;
            same(LogTail::of(&location, Some(tail)).await.map_err(Some)? == *tail)
        });
        let logs: Vec<_> = logs.collect();
        let logs = stream::iter(logs).buffer_unordered(AT_ONCE).try_collect::<()>();
        let others = try_join(async { same(self.catalog == catalog(workspace).await.map_err(Some)?) }, async {
            same(self.landing == landing(workspace).await.map_err(Some)?)
        });
        match try_join(logs, others).await {
            Ok(_) => Ok(true),
            Err(None) => Ok(false),
            Err(Some(error)) => Err(error),
        }
    }
}

/// The folders of all tables whose logs a sync reads.
fn logs(workspace: &Workspace) -> Result<Vec<Location>> {
    let mut all = vec![workspace.warehouse.join(RUNS_FOLDER)];
    all.extend(SYSTEM_TABLES.map(|(_, folder)| workspace.warehouse.join(folder)));
    for table in &workspace.project.tables {
        all.push(workspace.location(table)?);
        if table.landing().is_some() {
            all.push(workspace.quarantine(table)?);
        }
    }
    Ok(all)
}

fn configuration(workspace: &Workspace) -> Result<String> {
    let program = program::identity().ok_or_else(|| Error::failed("the build of this program is unknown"))?;
    let key = DigestKey::of(&workspace.privacy);
    Ok(checksum([
        program,
        workspace.project.checksum.clone(),
        workspace.target.clone(),
        workspace.landing.url.to_string(),
        workspace.warehouse.url.to_string(),
        workspace.database.clone(),
        workspace.catalog.name(),
        key.map(|key| key.id().to_owned()).unwrap_or_default(),
    ]))
}

async fn landing(workspace: &Workspace) -> Result<String> {
    let sources = workspace.project.tables.iter().filter_map(|table| table.landing());
    let listed: Vec<_> = sources.map(|source| ingest::list_folder(&workspace.landing, source)).collect();
    let listed: Vec<_> = stream::iter(listed).buffered(AT_ONCE).try_collect().await?;
    Ok(checksum(listed.iter().map(|listing| listing.metadata_lines())))
}

/// Of the entries that a sync would change: others may share the database.
async fn catalog(workspace: &Workspace) -> Result<String> {
    let mut entries = register::list(workspace).await?;
    let is_named = |name: &str| {
        let of = |table: &TableName| name == table.as_str() || name == table.quarantine().as_str();
        workspace.project.tables.iter().any(|table| of(&table.name))
    };
    entries.retain(|name, entry| is_named(name) || register::is_below(workspace, entry));
    let entries = serde_json::to_string(&entries);
    Ok(checksum([entries.context(|| "the entries of the catalog cannot be compared".to_owned())?]))
}
