//! The whole project to one consistent cut: ingest, pin, refresh in topological order, register, record the run.
//!
//! Consumed versions never go back and no table is computed from inputs of two cuts: after a concurrent commit a new
//! cut is pinned and the attempt starts again, a few times, then the sync gives up with a conflict.

mod derived;
mod digests;
mod events;
mod expectations;
mod landing;
mod optimize;
mod planned;
mod runs;
mod select;
mod suggest;
mod duplicate_table_ids;
mod inputs;
mod unchanged;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
pub use runs::FOLDER as RUNS_FOLDER;

use crate::clock;
use crate::error::{Error, Kind, Result};
pub use crate::ingest::Reload;
use crate::ingest::{self, Files};
use crate::lake::{LakeTable, SpillFolder};
use crate::migrate::{self, Asked, Moves, Pending, Requests};
use crate::name::TableName;
use crate::outcome::{DigestNotice, Io, Mode, Problem, Rows, SyncOutcome, TableOutcome, Warning};
use crate::progress::{Progress, Silent};
use crate::register::{Registered, register};
use crate::retry;
use crate::workspace::Workspace;
use derived::Fate;
pub(crate) use duplicate_table_ids::one_id;
pub use planned::Planned;
pub use select::{Selection, checked};
use unchanged::Lookup;

/// The options of a sync.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Selectors; empty = all tables.
    pub select: Vec<String>,
    /// Recompute the named derived tables.
    pub full_refresh: bool,
    /// Compare every selected derived table with its query.
    pub verify: bool,
    /// Files to be read again.
    pub reload: Vec<Reload>,
    /// Files whose rows are to be removed; each names a path.
    pub unload: Vec<Reload>,
    /// Stop where a migration is pending, rather than carry it out.
    pub no_migrate: bool,
    /// The plan to apply: nothing else is done, and `select` are its selectors.
    pub plan: Option<Arc<Planned>>,
    /// Landing tables of another target, instead of this one's.
    pub deferred: Option<Arc<Deferred>>,
    /// Id of the run; `None` = a new one.
    pub run: Option<String>,
    /// A folder of this machine for what a sync can do without; `None` = it keeps nothing.
    pub cache: Option<PathBuf>,
}

/// The landing tables of another target at its cut. They are only read.
#[derive(Debug)]
pub struct Deferred {
    /// The target.
    pub target: String,
    /// The run that left the cut.
    pub run: String,
    /// When it ended.
    pub ended: String,
    /// The tables.
    pub tables: BTreeMap<TableName, LakeTable>,
}

impl Options {
    fn asked(&self, purpose: Purpose) -> ingest::Asked<'_> {
        let files = match (purpose, self.planned()) {
            (Purpose::Rehearse, _) => Files::None,
            (Purpose::Apply, Some(planned)) => Files::Planned(planned.files()),
            (Purpose::Apply, None) => Files::All,
        };
        ingest::Asked { files, reload: &self.reload, unload: &self.unload, rescue: &[] }
    }
}

/// What a sync is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To bring the tables to the cut.
    Apply,
    /// To know what that would do: over a scratch copy, without landing files, catalog and system tables for people.
    Rehearse,
}

/// The result for one table.
#[derive(Debug)]
struct Done {
    table: LakeTable,
    version_before: Option<u64>,
    mode: Mode,
    reason: String,
    rows: Rows,
    io: Io,
    elapsed: Duration,
    waiting: Vec<String>,
    warnings: Vec<Warning>,
    left_out: Vec<Error>,
    grants_ended: u64,
}

/// One attempt at one cut.
struct Attempt<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    requests: &'a Requests,
    selection: &'a Selection,
    run: &'a str,
    progress: &'a dyn Progress,
    purpose: Purpose,
    /// Versions that migrations of this sync have made.
    migrated: BTreeMap<String, u64>,
    /// Tables whose result is known.
    finished: AtomicUsize,
    /// The ledger's table, once it has recorded batches.
    ledger: &'a Mutex<Option<LakeTable>>,
}

impl Attempt<'_> {
    fn selected(&self, name: &TableName) -> bool {
        self.selection.tables.contains(name)
    }

    /// Why the table is to be computed whole, if it is.
    fn full_refresh(&self, name: &TableName) -> Option<&'static str> {
        if self.options.full_refresh && self.selection.named.contains(name) {
            return Some("--full-refresh");
        }
        // The quarantine of a table has the other rows of its query.
        let owner = self.workspace.project.table(name).and_then(|table| table.quarantine_of()).unwrap_or(name);
        self.requests.refresh.contains(owner).then_some("a migration refreshes it")
    }
}

/// Syncs a workspace. Failures of tables and of the run are part of the outcome.
pub async fn sync(workspace: &Workspace, options: &Options, progress: &Arc<dyn Progress>) -> SyncOutcome {
    run(workspace, options, Purpose::Apply, progress.as_ref()).boxed().await
}

/// What a sync would do, by the same code over a scratch copy of the lake: every write goes into a local folder, which is
/// removed afterwards. Landing files are not read.
///
/// # Errors
/// If there is no such folder. Failures of tables and of the run are part of the outcome.
pub async fn rehearse(workspace: &Workspace, options: &Options) -> Result<SyncOutcome> {
    let folder = SpillFolder::create(workspace.project.spill_folder.as_deref())?;
    let scratch = workspace.in_scratch(folder.path())?;
    Ok(Box::pin(run(&scratch, options, Purpose::Rehearse, &Silent)).await)
}

async fn run(workspace: &Workspace, options: &Options, purpose: Purpose, progress: &dyn Progress) -> SyncOutcome {
    let started = clock::instant();
    let started_ms = clock::now_ms();
    let run = options.run.clone().unwrap_or_else(clock::run_id);
    let mut outcome = SyncOutcome {
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        landing: workspace.landing_text.clone(),
        warehouse: workspace.warehouse_text.clone(),
        run: run.clone(),
        started_ms,
        elapsed: Duration::ZERO,
        tables: Vec::new(),
        grants_ended: 0,
        grants_ended_tables: 0,
        problem: None,
        registered: 0,
        left: Vec::new(),
        catalog: workspace.catalog.name(),
        migrations: Vec::new(),
        pins: Vec::new(),
        digests: Vec::new(),
        optimized: Vec::new(),
        freeable: Default::default(),
    };
    match checked(workspace, options) {
        Ok(selection) => {
            let mut work = Work {
                workspace: workspace.clone(),
                options,
                requests: Requests::default(),
                selection,
                purpose,
                run: &run,
                started_ms,
                progress,
                ledger: Mutex::default(),
            };
            if let Err(error) = work.go(&mut outcome).await {
                outcome.problem = Some(workspace.told(error));
            }
            work.fill_in(&mut outcome).await;
        }
        Err(error) => outcome.problem = Some(error),
    }
    events::consent(progress, &outcome);
    fold_quarantines(workspace, &mut outcome);
    progress.done();
    outcome.elapsed = started.elapsed();
    outcome
}

/// The options of the next attempt. Files reloaded before the conflict are in the ledger and need not be reloaded again.
/// Unloaded files likewise: if there was nothing else to unload, they would not be found any more.
fn left_to_do(mut options: Options, outcome: &SyncOutcome) -> Options {
    let done = |asked: &Reload, rows: fn(&Rows) -> u64| {
        outcome.tables.iter().any(|t| t.table.as_str() == asked.table && rows(&t.rows) > 0)
    };
    options.reload.retain(|reload| !done(reload, |rows| rows.inserted));
    options.unload.retain(|unload| !done(unload, |rows| rows.deleted));
    options
}

struct Work<'a> {
    workspace: Workspace,
    options: &'a Options,
    requests: Requests,
    selection: Selection,
    purpose: Purpose,
    run: &'a str,
    started_ms: i64,
    progress: &'a dyn Progress,
    /// The ledger's table, once this run has recorded batches in it.
    ledger: Mutex<Option<LakeTable>>,
}

impl Work<'_> {
    async fn go(&mut self, outcome: &mut SyncOutcome) -> Result<()> {
        let found = Box::pin(self.look_up()).await;
        if let Lookup::Hit(tables) = &found {
            self.report_unchanged(outcome, tables);
            return Ok(());
        }
        Box::pin(self.work(outcome)).await?;
        Box::pin(self.update_cache(outcome, found)).await;
        Ok(())
    }

    async fn work(&mut self, outcome: &mut SyncOutcome) -> Result<()> {
        // Before anything is read of the landing files.
        Box::pin(self.migrate(outcome)).await?;
        let mut standing: BTreeMap<TableName, LakeTable> = BTreeMap::new();
        let work = &*self;
        let mut attempts = 1;
        let again = |tried: &Result<()>| {
            attempts += 1;
            if let Err(conflict) = tried {
                events::retried(work.progress, attempts, conflict);
            }
        };
        let mut options = work.options.clone();
        options.reload.extend(work.requests.reloads());
        let state = (&mut *outcome, &mut standing, options);
        // With another state than the plan's, there is nothing to try again.
        let policy = if self.options.plan.is_some() { retry::ONCE } else { retry::CUT };
        let tried = policy.with(
            state,
            |(outcome, standing, options)| async move {
                let tried = work.attempt(&options, outcome, standing).await;
                let options = left_to_do(options, outcome);
                ((outcome, standing, options), tried)
            },
            |tried| !retry::is_conflict(tried),
            again,
        );
        tried.await?;
        if self.purpose == Purpose::Rehearse {
            return Ok(());
        }
        if self.options.verify {
            self.verify(outcome, &standing).await;
        }
        if self.options.deferred.is_some() {
            standing.retain(|name, _| !self.is_landing(name));
        }
        // Before the run is recorded: its row has the versions that the next sync finds.
        Box::pin(self.optimize(outcome, &mut standing)).await;
        Box::pin(self.suggest_vacuum(outcome, &standing)).await;
        // Commits are recorded even if the catalog fails.
        let registered = register(&self.workspace, &standing, self.progress);
        let (registered, recorded) = join(registered, self.record(outcome, &standing)).await;
        // Of a run that is recorded, even if the catalog fails.
        let recorded = recorded.map(|(runs, digests)| {
            outcome.digests = digests;
            runs
        });
        Self::note_registered(outcome, registered?)?;
        if let Some(runs) = recorded? {
            Box::pin(self.optimize_runs(outcome, runs)).await;
        }
        Box::pin(self.fulfil(outcome)).await
    }

    /// Carries out pending migrations, or stops at them. From then on the tables are where they moved them.
    async fn migrate(&mut self, outcome: &mut SyncOutcome) -> Result<()> {
        let found = self.migrated(outcome).await;
        if found.is_err()
            && let Ok(placed) = migrate::placed(&self.workspace, Moves::Recorded).await
        {
            self.workspace = placed;
        }
        found
    }

    async fn migrated(&mut self, outcome: &mut SyncOutcome) -> Result<()> {
        if self.options.deferred.is_some() {
            // Landing tables are the other target's to migrate, and derived ones are computed from their definitions.
            self.workspace = migrate::placed(&self.workspace, Moves::Recorded).await?;
            return Ok(());
        }
        if self.options.no_migrate {
            let pending = Pending::find(&self.workspace).await?;
            if let Some(refused) = migrate::refused(&pending) {
                return Err(refused);
            }
            self.workspace = pending.workspace;
            return Ok(());
        }
        let applied = migrate::carry_out(&self.workspace, Asked { run: self.run, dry_run: false }).await?;
        (self.workspace, self.requests, outcome.migrations) = (applied.workspace, applied.requests, applied.migrations);
        Ok(())
    }

    /// Records the statements of migrations that asked for what this sync has done.
    async fn fulfil(&self, outcome: &mut SyncOutcome) -> Result<()> {
        let asked =
            |table: &TableName| self.requests.refresh.contains(table) || self.requests.reload.contains_key(table);
        let is_done = |t: &&TableOutcome| asked(&t.table) && t.problem.is_none() && t.version_after.is_some();
        let done = outcome.tables.iter().filter(is_done).filter(|t| self.selection.tables.contains(&t.table));
        let done: BTreeMap<TableName, (Option<u64>, Option<u64>)> =
            done.map(|t| (t.table.clone(), (t.version_before, t.version_after))).collect();
        if done.is_empty() {
            return Ok(());
        }
        for migration in migrate::fulfilled(&self.workspace, &done, self.run).await? {
            migrate::add(&mut outcome.migrations, migration);
        }
        Ok(())
    }

    /// One try: what was done is in `outcome` even when it ends with a conflict.
    async fn attempt(
        &self,
        options: &Options,
        outcome: &mut SyncOutcome,
        standing: &mut BTreeMap<TableName, LakeTable>,
    ) -> Result<()> {
        let attempt = Attempt {
            workspace: &self.workspace,
            options,
            requests: &self.requests,
            selection: &self.selection,
            run: self.run,
            progress: self.progress,
            purpose: self.purpose,
            migrated: planned::migrated(outcome),
            finished: AtomicUsize::new(0),
            ledger: &self.ledger,
        };
        let mut behind = BTreeSet::new();
        let mut conflict = None;
        let (ingested, mut ahead) = match &options.plan {
            None if let Some(deferred) = &options.deferred => (attempt.deferred(deferred), attempt.open_all().await),
            // Before the first batch is decided.
            Some(_) => {
                let ahead = attempt.open_all().await;
                attempt.check_derived(&ahead)?;
                (attempt.ingest().await, ahead)
            }
            None => join(attempt.ingest(), attempt.open_all()).await,
        };
        for (name, result) in ingested? {
            match result {
                Ok(done) => {
                    standing.insert(name.clone(), done.table.clone());
                    self.note(outcome, &name, done);
                }
                Err(error) => {
                    behind.insert(name.clone());
                    if error.kind() == Kind::Conflict {
                        conflict = Some(error);
                    } else {
                        self.note_problem(outcome, &name, Problem::Failed(error));
                    }
                }
            }
        }
        if let Some(conflict) = conflict {
            return Err(conflict);
        }
        let cut: BTreeMap<TableName, LakeTable> =
            standing.iter().filter(|(name, _)| self.is_landing(name)).map(|(n, t)| (n.clone(), t.clone())).collect();
        for (name, error) in duplicate_table_ids::twins(&cut, &ahead) {
            if self.is_landing(&name) {
                behind.insert(name.clone());
                self.note_problem(outcome, &name, Problem::Failed(error));
            } else {
                ahead.insert(name, Err(error));
            }
        }
        let (mut fates, conflict) = attempt.refresh_all(cut, behind, ahead).await;
        for name in self.workspace.project.tables.iter().map(|t| t.name.clone()) {
            let Some(fate) = fates.remove(&name) else { continue };
            match fate {
                Fate::Done(done) => {
                    standing.insert(name.clone(), done.table.clone());
                    self.note(outcome, &name, *done);
                }
                Fate::Failed(error) => self.note_problem(outcome, &name, Problem::Failed(error)),
                Fate::Skipped(source) => self.note_problem(outcome, &name, Problem::Skipped(source)),
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    fn is_landing(&self, name: &TableName) -> bool {
        self.workspace.project.table(name).is_some_and(|t| t.landing().is_some())
    }

    /// Adds the result of a table to those of earlier attempts of this run.
    fn note(&self, outcome: &mut SyncOutcome, name: &TableName, done: Done) {
        let said: BTreeSet<String> =
            outcome.tables.iter().flat_map(|t| &t.warnings).map(|w| w.message.clone()).collect();
        let Some(entry) = self.entry(outcome, name) else { return };
        if self.options.deferred.is_some() {
            entry.location = done.table.location().to_string();
        }
        if entry.version_after.is_none() {
            entry.version_before = done.version_before;
        }
        entry.version_after = Some(done.table.version());
        if done.mode != Mode::None {
            entry.mode = done.mode;
        }
        if !done.reason.is_empty() {
            entry.reason = done.reason;
        }
        entry.rows += done.rows;
        entry.io += done.io;
        entry.elapsed += done.elapsed;
        entry.waiting = done.waiting;
        entry.left_out = done.left_out;
        entry.problem = None;
        // A warning about a source is reported once, not by every table that reads it.
        let new = |w: &Warning| !said.contains(&w.message);
        entry.warnings.extend(done.warnings.into_iter().filter(new));
        if done.grants_ended > 0 {
            outcome.grants_ended = outcome.grants_ended.max(done.grants_ended);
            outcome.grants_ended_tables += 1;
        }
    }

    fn note_problem(&self, outcome: &mut SyncOutcome, name: &TableName, problem: Problem) {
        if let Some(entry) = self.entry(outcome, name) {
            entry.problem = Some(problem);
        }
    }

    /// Fills in the current version of tables that were not processed, or failed.
    async fn fill_in(&self, outcome: &mut SyncOutcome) {
        for table in self.workspace.project.tables.iter().filter(|t| self.selection.tables.contains(&t.name)) {
            if outcome.tables.iter().any(|t| t.table == table.name && t.version_after.is_some()) {
                continue;
            }
            let opened = match self.workspace.location(table) {
                Ok(location) => LakeTable::open(&location).await,
                Err(error) => Err(error),
            };
            if let Some(entry) = self.entry(outcome, &table.name) {
                // A table that cannot be opened has reported its error.
                let version = opened.ok().flatten().map(|stands| stands.version());
                (entry.version_before, entry.version_after) = (version, version);
            }
        }
    }

    /// The table's entry in the outcome, in the order of the project.
    fn entry<'o>(&self, outcome: &'o mut SyncOutcome, name: &TableName) -> Option<&'o mut TableOutcome> {
        if let Some(at) = outcome.tables.iter().position(|t| &t.table == name) {
            return outcome.tables.get_mut(at);
        }
        // By zone, and within a zone in the order of data flow.
        let rank = |wanted: &TableName| {
            let at = self.workspace.project.tables.iter().position(|t| &t.name == wanted)?;
            let zone = &self.workspace.project.tables.get(at)?.zone;
            Some((self.workspace.project.zones.iter().position(|z| z == zone), at))
        };
        let table = self.workspace.project.table(name)?;
        let at = outcome.tables.partition_point(|t| rank(&t.table) < rank(name));
        let location = self.workspace.location(table).map(|location| location.to_string()).unwrap_or_default();
        outcome.tables.insert(at, TableOutcome::untouched(table.name.clone(), &table.zone, location));
        outcome.tables.get_mut(at)
    }

    fn note_registered(outcome: &mut SyncOutcome, registered: Registered) -> Result<()> {
        outcome.registered += registered.changed.len() as u64;
        outcome.left = registered.left;
        registered.problem.map_or(Ok(()), Err)
    }

    /// The table of runs, if it has a new row, and what should be said of digests.
    async fn record(
        &self,
        outcome: &SyncOutcome,
        standing: &BTreeMap<TableName, LakeTable>,
    ) -> Result<(Option<LakeTable>, Vec<DigestNotice>)> {
        // A sync of some tables does not know the versions of the others, and one without tables has nothing to record.
        if standing.is_empty() || self.selection.tables.len() < self.workspace.project.tables.len() {
            return Ok((None, Vec::new()));
        }
        let failed = outcome.tables.iter().any(|t| t.problem.is_some() || !t.left_out.is_empty());
        let run = runs::Run {
            id: self.run,
            started_ms: self.started_ms,
            status: if failed { "failed" } else { "ok" },
            is_still: outcome.tables.iter().all(|t| t.version_before == t.version_after),
            standing,
        };
        runs::record(&self.workspace, &run).await
    }
}

/// Counts the quarantine tables of derived tables with their tables, unless something is wrong, or only the quarantine
/// changed.
fn fold_quarantines(workspace: &Workspace, outcome: &mut SyncOutcome) {
    let of = |t: &TableOutcome| workspace.project.table(&t.table)?.derived()?.quarantine_of.clone();
    let rows: Vec<(TableName, u64)> = outcome.tables.iter().filter_map(|t| Some((of(t)?, t.rows.inserted))).collect();
    for (name, rows) in rows {
        if let Some(table) = outcome.tables.iter_mut().find(|t| t.table == name) {
            table.rows.quarantined += rows;
        }
    }
    let still = |t: &&TableOutcome| t.mode == Mode::None && t.version_before == t.version_after;
    let still: BTreeSet<TableName> = outcome.tables.iter().filter(still).map(|t| t.table.clone()).collect();
    let is_own_line = |t: &TableOutcome, owner: &TableName| {
        t.problem.is_some() || (still.contains(owner) && !still.contains(&t.table))
    };
    outcome.tables.retain(|t| of(t).is_none_or(|owner| is_own_line(t, &owner)));
}
