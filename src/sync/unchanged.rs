//! A sync whose inputs are those of a sync that had nothing to do, has nothing to do.
//!
//! The first sync with nothing to do caches what its inputs were when it ended; the second, if it began with these inputs, had
//! nothing to do and left them as they were, confirms them; further ones compare their inputs and open no table. Without a
//! cache, and with one that is old, broken or of another build, a sync does all of its work.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::{Options, Purpose, Work, events};
use crate::clock;
use crate::definition::Table;
use crate::outcome::{Files, Mode, Rows, SyncOutcome, TableOutcome};
use crate::source::checksum;
use crate::workspace::Workspace;

/// Files in the cache; the least recently used ones beyond are removed.
const MAX_FILES: usize = 256;

/// What a sync with nothing to do leaves for the next ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cached {
    /// The inputs when it ended.
    inputs: Inputs,
    /// Whether a sync began with them, had nothing to do, and left them. Else a file may have come while the sync ran.
    is_confirmed: bool,
    /// Every table of the project.
    tables: BTreeMap<String, CachedTable>,
}

/// A table when the sync ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CachedTable {
    version: u64,
    location: String,
}

/// The result of looking up the inputs of a sync in the cache.
pub(super) enum Lookup {
    /// They are not in it.
    Miss,
    /// They are, and are not confirmed.
    Unconfirmed(Box<Inputs>),
    /// They are, and there is nothing to do.
    Hit(BTreeMap<String, CachedTable>),
}

impl Work<'_> {
    /// Compares the inputs with the cached ones. An error of a listing is a miss: the full sync reports it.
    pub(super) async fn look_up(&self) -> Lookup {
        let Some((path, cached)) = self.cache_file().and_then(|path| Some((path.clone(), read(&path)?))) else {
            return Lookup::Miss;
        };
        if self.tables(&cached.tables).is_none() {
            return Lookup::Miss;
        }
        match cached.inputs.are_current(&self.workspace).await {
            Ok(true) if cached.is_confirmed => {
                let _ =
                    File::options().append(true).open(path).and_then(|file| file.set_modified(clock::system_time()));
                Lookup::Hit(cached.tables)
            }
            Ok(true) => Lookup::Unconfirmed(Box::new(cached.inputs)),
            _ => Lookup::Miss,
        }
    }

    /// The outcome of a sync with nothing to do.
    pub(super) fn report_unchanged(&self, outcome: &mut SyncOutcome, tables: &BTreeMap<String, CachedTable>) {
        let tables = self.tables(tables).unwrap_or_default();
        let versions: Vec<_> = tables.iter().map(|(table, still)| (*table, still.version)).collect();
        events::nothing_to_do(self.progress, &versions);
        for (table, still) in tables {
            if let Some(entry) = self.entry(outcome, &table.name) {
                (entry.version_before, entry.version_after) = (Some(still.version), Some(still.version));
                entry.location.clone_from(&still.location);
            }
        }
    }

    /// After a sync with nothing to do, caches its inputs, or confirms them. The next sync can do without.
    pub(super) async fn update_cache(&self, outcome: &SyncOutcome, before: Lookup) {
        let Some(path) = self.cache_file() else { return };
        // Where caches do not last or cannot be written, nothing more is listed for them.
        if !path.exists() {
            let _ = create(&path);
            return;
        }
        if !had_nothing_to_do(outcome) {
            return;
        }
        let still = |t: &TableOutcome| {
            let location = t.location.clone();
            Some((t.table.to_string(), CachedTable { version: t.version_after?, location }))
        };
        let tables = outcome.tables.iter().filter_map(still).collect();
        if self.tables(&tables).is_none() || File::options().append(true).open(&path).is_err() {
            return;
        }
        let Ok(inputs) = Inputs::now(&self.workspace).await else { return };
        let is_confirmed = matches!(before, Lookup::Unconfirmed(before) if *before == inputs);
        let _ = write(&path, &Cached { inputs, is_confirmed, tables });
    }

    /// The file of the cache, if this sync uses one: one for each project, target and lake.
    fn cache_file(&self) -> Option<PathBuf> {
        let folder = self.options.cache.as_ref().filter(|_| self.is_plain())?;
        let Workspace { project, target, landing, warehouse, .. } = &self.workspace;
        let root = std::path::absolute(&project.root).ok()?.display().to_string();
        let of = [root, target.clone(), landing.url.to_string(), warehouse.url.to_string()];
        Some(folder.join("unchanged").join(format!("{}.json", checksum(of))))
    }

    /// The tables of the project with what is cached of them, if each has something.
    fn tables<'t>(&'t self, cached: &'t BTreeMap<String, CachedTable>) -> Option<Vec<(&'t Table, &'t CachedTable)>> {
        let tables = &self.workspace.project.tables;
        tables.iter().map(|table| Some((table, cached.get(table.name.as_str())?))).collect()
    }

    /// Whether it is a sync of everything in which nothing else was asked for.
    fn is_plain(&self) -> bool {
        let Options { select, full_refresh, verify, reload, unload, no_migrate: _, plan, deferred, run: _, cache: _ } =
            self.options;
        let asks = *full_refresh || *verify || plan.is_some() || deferred.is_some();
        let names = !select.is_empty() || !reload.is_empty() || !unload.is_empty();
        self.purpose == Purpose::Apply && !asks && !names
    }
}

fn read(path: &Path) -> Option<Cached> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Makes an empty file in a folder that nobody else may read.
/// Source: XDG Base Directory Specification, "Referencing this specification".
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
    }
    File::create(path).map(drop)
}

fn write(path: &Path, cached: &Cached) -> io::Result<()> {
    // A rename is atomic: readers see the old file or the new one.
    let new = path.with_extension(clock::random_uuid().simple().to_string());
    fs::write(&new, serde_json::to_vec(cached)?)?;
    fs::rename(&new, path)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap_or(path))? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    files.iter().rev().skip(MAX_FILES).try_for_each(|(_, old)| fs::remove_file(old))
}

/// Whether nothing was done, and nothing is to be said that a further sync would say again.
fn had_nothing_to_do(outcome: &SyncOutcome) -> bool {
    let is_still = |t: &TableOutcome| {
        let is_silent = t.reason.is_empty() && t.waiting.is_empty() && t.warnings.is_empty();
        let is_same = t.mode == Mode::None && t.version_before == t.version_after && t.rows == Rows::default();
        is_silent && is_same && t.left_out.is_empty() && t.problem.is_none() && t.verified.is_none()
    };
    let is_silent = outcome.left.is_empty() && outcome.pins.is_empty() && outcome.digests.is_empty();
    let is_same = outcome.registered == 0 && outcome.migrations.is_empty() && outcome.optimized.is_empty();
    let is_fine = outcome.problem.is_none() && outcome.grants_ended == 0 && outcome.freeable == Files::default();
    is_silent && is_same && is_fine && outcome.tables.iter().all(is_still)
}
