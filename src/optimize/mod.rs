//! `optimize`: merges small files, and files that overlap in `cluster_by`, sorted, in commits that change no row.
//!
//! Each commit is complete and carries the state of its table on. Tables below pass over it, and a concurrent commit that
//! does not remove the merged files is put on top of it (`lake::Commit`). After a conflict it gives up: what other writers do goes first.

mod choose;
mod rewrite;
mod share;

use std::time::Instant;

use crate::clock;
use crate::definition::Table;
use crate::error::{Kind, Result};
use crate::lake::{CHANGING_FILE_ROWS, DeltaFile, LakeTable, SessionOptions, session};
use crate::outcome::{OptimizeOutcome, OptimizedTable, counted};
use crate::progress::Progress;
use crate::storage::Location;
use crate::workspace::Workspace;
use choose::{Effort, Shape};
pub(crate) use share::{Share, share};

/// The tool's own tables whose rows are merged, under `system/`.
const SYSTEM: [&str; 3] = ["files", "runs", "pins"];
/// Their zone.
const SYSTEM_ZONE: &str = "system";

/// The options of `optimize`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of tables; empty = all.
    pub tables: Vec<String>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether every file is written again, sorted, unless it is already.
    pub full: bool,
}

/// A table in its folder, and what its files are to be like.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    name: String,
    zone: String,
    location: Location,
    rows_per_file: u64,
    cluster_by: &'a [String],
}

impl<'a> Target<'a> {
    /// A table of the project.
    pub(crate) fn table(workspace: &Workspace, table: &'a Table) -> Result<Self> {
        let rows_per_file = if table.derived().is_some() { CHANGING_FILE_ROWS } else { u64::MAX };
        Ok(Self {
            name: table.name.to_string(),
            zone: table.zone.clone(),
            location: workspace.location(table)?,
            rows_per_file,
            cluster_by: &table.cluster_by,
        })
    }

    /// The quarantine of a landing table.
    pub(crate) fn quarantine(workspace: &Workspace, table: &'a Table) -> Result<Self> {
        Ok(Self {
            name: table.name.quarantine().to_string(),
            zone: table.zone.clone(),
            location: workspace.quarantine(table)?,
            rows_per_file: u64::MAX,
            cluster_by: &[],
        })
    }

    /// A table of the tool's own.
    pub(crate) fn system(workspace: &Workspace, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            zone: SYSTEM_ZONE.to_owned(),
            location: workspace.warehouse.join(SYSTEM_ZONE).join(name),
            rows_per_file: u64::MAX,
            cluster_by: &[],
        }
    }

    /// Its folder.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The result before anything is known.
    fn untouched(&self) -> OptimizedTable {
        OptimizedTable::untouched(self.name.clone(), self.zone.clone(), self.location.to_string())
    }
}

/// Merges files of tables, one table after the other. The workspace has its tables where migrations moved them
/// (`migrate::placed`).
///
/// # Errors
/// `Usage` for the name of no table. What fails at a table is in the outcome.
pub async fn optimize(
    workspace: &Workspace,
    options: &Options,
    run: &str,
    progress: &dyn Progress,
) -> Result<OptimizeOutcome> {
    let started = clock::instant();
    let mut tables = Vec::new();
    for target in targets(workspace, &options.tables)? {
        let begun = clock::instant();
        let effort = if options.full { Effort::Full } else { Effort::Needed };
        let work = Work { workspace, effort, dry_run: options.dry_run, run, progress };
        let mut done = target.untouched();
        match LakeTable::open(&target.location).await {
            Ok(None) => continue,
            Ok(Some(table)) => drop(work.optimize(&target, table, &mut done).await),
            Err(error) => done.problem = Some(error),
        }
        done.elapsed = begun.elapsed();
        tables.push(done);
    }
    progress.done();
    let (project, target) = (workspace.project.name.clone(), workspace.target.clone());
    Ok(OptimizeOutcome { project, target, dry_run: options.dry_run, tables, elapsed: started.elapsed() })
}

/// The tables of these names, or all.
fn targets<'a>(workspace: &'a Workspace, names: &[String]) -> Result<Vec<Target<'a>>> {
    let mut all = Vec::new();
    for table in &workspace.project.tables {
        all.push(Target::table(workspace, table)?);
        if table.landing().is_some() {
            all.push(Target::quarantine(workspace, table)?);
        }
    }
    all.extend(SYSTEM.map(|name| Target::system(workspace, name)));
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|target| target.name != **name)) {
        return Err(workspace.unknown(unknown));
    }
    all.retain(|target| names.is_empty() || names.contains(&target.name));
    Ok(all)
}

/// One run over tables.
struct Work<'a> {
    workspace: &'a Workspace,
    effort: Effort,
    dry_run: bool,
    run: &'a str,
    progress: &'a dyn Progress,
}

impl Work<'_> {
    /// Merges files of a table; returns it as it is then.
    async fn optimize(&self, target: &Target<'_>, mut table: LakeTable, done: &mut OptimizedTable) -> LakeTable {
        let version = table.version();
        (done.version_before, done.version_after) = (Some(version), Some(version));
        (done.files_before, done.files_after) = (table.size().0, table.size().0);
        let sizes = (self.workspace.project.target_file_size, target.rows_per_file);
        let shape = Shape::new(sizes, target.cluster_by, &table.schema());
        let groups = shape.choose(&table.files(), self.effort);
        if groups.is_empty() {
            return table;
        }
        if let Some(why) = table.unoptimizable() {
            done.skipped = Some(why);
            return table;
        }
        for files in groups {
            if self.dry_run {
                let written = shape.estimate(&files);
                done.files_merged += files.len() as u64;
                done.files_written += written;
                done.files_after = done.files_after + written - files.len() as u64;
                done.bytes_read += files.iter().map(|file| file.size).sum::<u64>();
                done.rows += files.iter().filter_map(|file| file.rows).sum::<u64>();
                continue;
            }
            self.progress.table(&target.name, &format!("merging {}", counted(files.len() as u64, "file")));
            match self.merge(&table, &files, &shape, done).await {
                Ok(Some(merged)) => table = merged,
                Ok(None) => {}
                Err(error) if error.kind() == Kind::Conflict => {
                    done.skipped = Some("another writer committed meanwhile".to_owned());
                    break;
                }
                Err(error) => {
                    done.problem = Some(self.workspace.told(error));
                    break;
                }
            }
        }
        if !self.dry_run {
            (done.version_after, done.files_after) = (Some(table.version()), table.size().0);
        }
        table
    }

    /// One commit; `None` if nothing would be gained by it.
    async fn merge(
        &self,
        table: &LakeTable,
        files: &[DeltaFile],
        shape: &Shape,
        done: &mut OptimizedTable,
    ) -> Result<Option<LakeTable>> {
        let started: Instant = clock::instant();
        let session = session(SessionOptions::of(&self.workspace.project), &[table.location()])?;
        let (compacted, rows) = rewrite::rewrite(table, files, shape, &session).await?;
        let after: Vec<DeltaFile> = compacted.written.iter().map(DeltaFile::from).collect();
        if !shape.gains(files, &after) {
            rewrite::discard(table, &compacted).await;
            return Ok(None);
        }
        let written: Vec<String> = after.iter().map(|file| file.path.clone()).collect();
        let committed = match table.commit_compacted(compacted, self.run).await {
            Err(error) if error.kind() == Kind::Conflict => {
                rewrite::discard_after_conflict(table, &written).await;
                return Err(error);
            }
            other => other?,
        };
        done.commits += 1;
        done.files_merged += files.len() as u64;
        done.files_written += after.len() as u64;
        done.bytes_read += files.iter().map(|file| file.size).sum::<u64>();
        done.bytes_written += after.iter().map(|file| file.size).sum::<u64>();
        done.rows += rows;
        self.progress.event(&share::event(done, committed.version(), (files.len(), after.len()), started));
        Ok(Some(committed))
    }
}
