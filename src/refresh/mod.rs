//! One derived table -> the cut: plan, change sets, derivative, checks, commit.
//!
//! Whatever the mode, rows pass the same inspector and the same consent check before the commit, and the commit
//! carries the versions of every source that they were computed from.

mod consent;
mod identity;
mod inputs;
mod inspect;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde_json::json;

use crate::clock;
use crate::definition::{Derived, Policy, Project, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::incremental;
use crate::lake::{
    CHANGING_FILE_ROWS, Change, Commit, DataWriter, LakeTable, Properties, SessionOptions, TableSpec, app, create,
    session,
};
use crate::merge;
use crate::name::TableName;
use crate::outcome::{Io, Mode, Warning, counted};
use crate::plan::{self, Decision, SourceStanding, Standing};
use crate::privacy::Privacy;
use crate::storage::{Location, Meter};
use consent::{Ended, Guard, Scope};
use inspect::Inspector;

pub use inputs::{Inputs, SourceWay};

/// A change of more rows than this is not held in memory: the table is written anew.
const DIFFERENCE_ROWS: usize = 1_000_000;

/// One refresh to be done.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The project.
    pub project: &'a Project,
    /// The table.
    pub table: &'a Table,
    /// Its query.
    pub derived: &'a Derived,
    /// Its folder.
    pub location: Location,
    /// Its sources at the cut, the grants table included.
    pub sources: BTreeMap<TableName, LakeTable>,
    /// Recompute whatever the state.
    pub full_refresh: bool,
    /// Run id, for the log.
    pub run: String,
    /// Number of the newest migration.
    pub migration: i64,
    /// How subjects appear in messages.
    pub privacy: Privacy,
}

/// What a refresh did.
#[derive(Debug)]
pub struct Refreshed {
    /// The table as it stands.
    pub table: LakeTable,
    /// Version before.
    pub version_before: Option<u64>,
    /// How.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Rows that are new.
    pub rows_inserted: u64,
    /// Rows whose primary key stayed.
    pub rows_updated: u64,
    /// Rows that are gone.
    pub rows_deleted: u64,
    /// Files and bytes.
    pub io: Io,
    /// Failed `warn` expectations.
    pub warnings: Vec<Warning>,
    /// Subjects whose grant ended, of whom no row is left.
    pub grants_ended: u64,
}

/// A derived table against the cut.
///
/// # Errors
/// When a log cannot be read.
pub async fn standing(job: &Job<'_>, table: Option<&LakeTable>) -> Result<Standing> {
    let mut sources = Vec::new();
    for (name, source) in &job.sources {
        let consumed = match table {
            Some(table) => table.consumed(&source.uuid()).await?,
            None => None,
        };
        sources.push(SourceStanding { name: name.clone(), consumed, current: source.version() });
    }
    let Some(table) = table else {
        return Ok(Standing { location: job.location.to_string(), sources, ..Standing::default() });
    };
    let state = table.state();
    let drift = state.drifted().then(|| match state.foreign.iter().find(|c| c.changes_data()) {
        Some(commit) => format!("version {} ({}) was committed by somebody else", commit.version, commit.operation()),
        None => "commits since the last sync can no longer be read".to_owned(),
    });
    Ok(Standing {
        version: Some(table.version()),
        location: job.location.to_string(),
        ours: state.head().is_some(),
        definition: state.definition(),
        drift,
        sources,
    })
}

/// A derived table as it stands, opened ahead of its refresh: all of them at once, while files are still ingested, so
/// that a store far away is waited for once and not once per table. Who commits in between makes the refresh's own
/// commit a conflict.
#[derive(Debug)]
pub struct Opened {
    meter: Arc<Meter>,
    location: Location,
    current: Option<LakeTable>,
}

impl Opened {
    /// Opens the table in this folder, if there is one.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub async fn at(location: &Location) -> Result<Self> {
        let meter = Arc::new(Meter::default());
        let location = location.metered(&meter);
        let current = LakeTable::open(&location).await?;
        Ok(Self { meter, location, current })
    }
}

/// Brings one derived table to the cut.
///
/// # Errors
/// `Evidence` when an expectation or consent forbids the commit, `Conflict` when somebody else committed meanwhile,
/// `Failed` otherwise. Nothing was committed then.
pub async fn refresh(job: &Job<'_>, opened: Opened) -> Result<Refreshed> {
    let Opened { meter, location, current } = opened;
    let standing = standing(job, current.as_ref()).await?;
    overtaken(job, &standing).await?;
    let fingerprint = plan::fingerprint(job.project, job.table, job.derived);
    let work = Work { job, location, current, standing, fingerprint, meter };
    match plan::decide(job.table, &work.standing, fingerprint, job.full_refresh) {
        Decision::Stop(error) => Err(error),
        Decision::UpToDate => work.up_to_date(),
        Decision::Full(reason) => work.full(reason).await,
        Decision::Incremental => work.incremental().await,
    }
}

/// A table that was computed from a newer version of a source than the cut has was refreshed by another sync, unless
/// that version does not exist (any more).
async fn overtaken(job: &Job<'_>, standing: &Standing) -> Result<()> {
    for source in &standing.sources {
        let Some(consumed) = source.consumed.filter(|v| *v > source.current) else { continue };
        let Some(at_cut) = job.sources.get(&source.name) else { continue };
        let newest = LakeTable::open(at_cut.location()).await?;
        if newest.is_some_and(|t| t.uuid() == at_cut.uuid() && t.version() >= consumed) {
            return Err(Error::conflict(format!("another sync has brought {} past this cut", job.table.name))
                .help("run the command again; it pins a newer cut"));
        }
    }
    Ok(())
}

struct Work<'a> {
    job: &'a Job<'a>,
    location: Location,
    current: Option<LakeTable>,
    standing: Standing,
    fingerprint: i64,
    meter: Arc<Meter>,
}

/// A commit ready to be made, and what to say about it.
struct Ready {
    change: Change,
    mode: Mode,
    reason: String,
    seen: Inspector,
    io: Io,
    ended: u64,
    replaced: Option<u64>,
    ambiguous: Option<Warning>,
}

impl Work<'_> {
    fn up_to_date(self) -> Result<Refreshed> {
        let Some(table) = self.current else {
            return Err(Error::new(Kind::Internal, "a table that does not exist is up to date"));
        };
        let io = Io { files_before: table.size().0, ..Io::default() };
        Ok(Refreshed {
            version_before: Some(table.version()),
            table,
            mode: Mode::None,
            reason: String::new(),
            rows_inserted: 0,
            rows_updated: 0,
            rows_deleted: 0,
            io,
            warnings: Vec::new(),
            grants_ended: 0,
        })
    }

    /// A session for this table's queries. Half of the limit is left to writers, snapshots and Parquet buffers.
    fn session(&self, hash_joins: bool) -> Result<SessionContext> {
        let metered: Vec<Location> = self.job.sources.values().map(|t| t.location().metered(&self.meter)).collect();
        let stores: Vec<&Location> = metered.iter().chain([&self.location]).collect();
        session(SessionOptions { memory_limit: self.job.project.memory_limit / 2, hash_joins }, &stores)
    }

    fn inputs(&self, hash_joins: bool) -> Result<Inputs> {
        let tables = self.job.sources.iter().map(|(name, table)| (name.as_str(), table));
        Ok(Inputs::at_cut(self.session(hash_joins)?, tables))
    }

    fn guard(&self) -> Option<Guard<'_>> {
        let table = self.job.table;
        let consent = table.consent.as_ref()?;
        let record = self.job.project.table(&consent.grants)?;
        Some(Guard { table, consent, record, grants: record.landing()?.grants.as_ref()? })
    }

    async fn incremental(self) -> Result<Refreshed> {
        let mut inputs = self.inputs(true)?;
        let consumed: HashMap<String, u64> =
            self.standing.sources.iter().filter_map(|s| Some((s.name.to_string(), s.consumed?))).collect();
        if let Err(reason) = inputs.since(&consumed).await? {
            return self.instead(reason).await;
        }
        let program = match incremental::differentiate(&self.job.derived.plan) {
            Ok(program) => program,
            Err(why) => return self.instead(why.to_string()).await,
        };
        match self.change(&program, &inputs).await {
            Ok(ready) => self.commit(ready).await,
            Err(error) if out_of_memory(&error) => {
                let inputs = inputs.with_session(self.session(false)?);
                let ready = self.change(&program, &inputs).await?;
                self.commit(ready).await
            }
            Err(error) => match inputs.gone() {
                Some(reason) => self.instead(reason).await,
                None => Err(error),
            },
        }
    }

    /// A full refresh where an incremental one was due, if the definition allows it.
    async fn instead(self, reason: String) -> Result<Refreshed> {
        if self.job.derived.refresh == Policy::Incremental {
            return Err(plan::not_incremental(self.job.table, &self.standing, &reason));
        }
        self.full(reason).await
    }

    async fn change(&self, program: &incremental::Program, inputs: &Inputs) -> Result<Ready> {
        let Some(current) = &self.current else {
            return Err(Error::new(Kind::Internal, "a table that does not exist cannot change"));
        };
        let scope = match self.guard() {
            Some(guard) => Scope::Change(guard.ended(inputs).await?),
            None => Scope::Change(Ended::default()),
        };
        let change = evaluate::run(program, inputs.session(), &inputs.beside(current).await?).await?;
        let mut io = Io { files_read: inputs.changed_files(), files_before: current.size().0, ..Io::default() };
        let ended = match &scope {
            Scope::Change(ended) => ended.count(),
            Scope::All => 0,
        };
        let (delta, mut seen) = if change.insert_only {
            let stream = rows::sorted(change.into_stream(), &self.job.table.cluster_by, inputs.session()).await?;
            self.append(stream, true, &mut io).await?
        } else {
            let batches = change.collect().await?;
            self.merge(current, &batches, inputs.session(), &mut io).await?
        };
        self.admit(&delta, self.judge(inputs, &mut seen, &scope, false).await).await?;
        let ambiguous = self.ambiguous(inputs).await?;
        let reason = inputs.what_changed();
        Ok(Ready { change: delta, mode: Mode::Incremental, reason, seen, io, ended, replaced: None, ambiguous })
    }

    /// Writes rows into new files.
    async fn append(
        &self,
        mut stream: SendableRecordBatchStream,
        weighted: bool,
        io: &mut Io,
    ) -> Result<(Change, Inspector)> {
        let mut seen = Inspector::new(self.job.table)?;
        let store = deltalake::logstore::object_store::prefix::PrefixStore::new(
            self.location.store.clone(),
            self.location.path.clone(),
        );
        let schema = self.job.table.schema();
        let mut writer = DataWriter::over(Arc::new(store), schema, self.job.project.target_file_size)
            .rows_per_file(CHANGING_FILE_ROWS);
        while let Some(batch) = stream.try_next().await.context(|| "the query stopped".into())? {
            let rows = if weighted { rows::spread(&batch)?.0 } else { batch };
            let rows = seen.inserts(&rows)?;
            writer.write(&rows).await?;
        }
        let written = writer.close().await?;
        io.files_added += written.adds.len() as u64;
        io.bytes_written += written.bytes();
        Ok((Change { adds: written.adds, ..Change::default() }, seen))
    }

    /// Applies rows that come and go.
    async fn merge(
        &self,
        current: &LakeTable,
        batches: &[deltalake::arrow::array::RecordBatch],
        session: &SessionContext,
        io: &mut Io,
    ) -> Result<(Change, Inspector)> {
        let mut rows = rows::row_change(batches)?;
        let mut seen = Inspector::new(self.job.table)?;
        for batch in &mut rows.deleted {
            *batch = seen.deletes(batch)?;
        }
        for batch in &mut rows.inserted {
            *batch = seen.inserts(batch)?;
        }
        rows.inserted = rows::sort_batches(rows.inserted, &self.job.table.cluster_by, session).await?;
        let applied = merge::apply(current, &rows, self.job.project.target_file_size).await?;
        io.files_added += applied.change.adds.len() as u64;
        io.files_removed += applied.files_touched;
        io.bytes_written += applied.bytes_written;
        Ok((applied.change, seen))
    }

    /// Passes a verdict on. The files of a refused change go at once: no version names them, and they hold rows of
    /// people who have not consented.
    async fn admit(&self, change: &Change, verdict: Result<()>) -> Result<()> {
        if verdict.is_err() {
            let files =
                change.adds.iter().map(|a| a.path.as_str()).chain(change.cdc.iter().map(|(path, _)| path.as_str()));
            for file in files {
                self.location.remove(file).await;
            }
        }
        verdict
    }

    /// Expectations, primary key and consent: nothing is committed against them.
    async fn judge(&self, inputs: &Inputs, seen: &mut Inspector, scope: &Scope, whole: bool) -> Result<()> {
        seen.verdict(&self.job.privacy).map_err(|error| match scope {
            Scope::Change(ended) if ended.count() > 0 => {
                error.fact("holds back", format!("the withdrawal of {}", counted(ended.count(), "person")))
            }
            _ => error,
        })?;
        let before = if whole { None } else { self.current.as_ref() };
        let all = matches!(scope, Scope::All);
        if let (Some(current), true) = (before, seen.asks_who_stays(all)) {
            self.keys_are_new(current, inputs.session(), seen, all).await?;
        }
        if let Some(guard) = self.guard() {
            guard.check(inputs, before, seen, scope, &self.job.privacy).await?;
        }
        Ok(())
    }

    /// Subjects that identify nobody, when the record of consent moved.
    async fn ambiguous(&self, inputs: &Inputs) -> Result<Option<Warning>> {
        let Some(guard) = self.guard() else { return Ok(None) };
        if !inputs.moved(guard.record.name.as_str()) {
            return Ok(None);
        }
        let count = guard.ambiguous(inputs).await?;
        Ok((count > 0).then(|| guard.ambiguity(count)))
    }

    /// No row that comes may have the primary key of a row that stays. Read are the key columns, of files that may hold
    /// one of the new keys; in a full refresh of all: rows that stay may never have been looked at, under another
    /// definition or somebody else's.
    async fn keys_are_new(
        &self,
        current: &LakeTable,
        session: &SessionContext,
        seen: &mut Inspector,
        all: bool,
    ) -> Result<()> {
        let doing = || format!("the primary keys of {} cannot be compared", self.job.table.name);
        let mut frame = session.read_table(current.provider(session, None).await?).context(doing)?;
        if let Some(range) = seen.range_of_new_keys().filter(|_| !all) {
            frame = frame.filter(range).context(doing)?;
        }
        let keys = self.job.table.primary_key.iter().map(deltalake::datafusion::logical_expr::ident);
        let mut stream =
            frame.select(keys.collect::<Vec<_>>()).context(doing)?.execute_stream().await.context(doing)?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            seen.stays(&batch, all)?;
        }
        seen.verdict(&self.job.privacy)
    }

    async fn full(self, reason: String) -> Result<Refreshed> {
        let inputs = self.inputs(true)?;
        let ready = match self.recompute(&inputs, reason.clone()).await {
            Err(error) if out_of_memory(&error) => self.recompute(&self.inputs(false)?, reason).await?,
            other => other?,
        };
        self.commit(ready).await
    }

    /// The whole result: as a difference where the table stands in the same shape, so that its readers see only what
    /// changed; else as a new set of files.
    async fn recompute(&self, inputs: &Inputs, reason: String) -> Result<Ready> {
        let mut io = Io { files_read: inputs.files(), ..Io::default() };
        let plan: &LogicalPlan = &self.job.derived.plan;
        if let Some(current) = self.current.as_ref().filter(|t| t.schema() == self.job.table.schema()) {
            io.files_before = current.size().0;
            let session = inputs.session();
            let old = current.provider(session, None).await?;
            let change = evaluate::difference(plan, old, session, inputs).await?;
            if let Some(batches) = up_to(change.into_stream(), DIFFERENCE_ROWS).await? {
                let (change, mut seen) = self.merge(current, &batches, session, &mut io).await?;
                self.admit(&change, self.judge(inputs, &mut seen, &Scope::All, false).await).await?;
                let ambiguous = self.ambiguous(inputs).await?;
                let mode = Mode::Full;
                return Ok(Ready { change, mode, reason, seen, io, ended: 0, replaced: None, ambiguous });
            }
        }
        let ordered = rows::ordered(plan, &self.job.table.cluster_by)?;
        let stream = evaluate::full(&ordered, inputs.session(), inputs).await?;
        let (mut change, mut seen) = self.append(stream, false, &mut io).await?;
        self.admit(&change, self.judge(inputs, &mut seen, &Scope::All, true).await).await?;
        let mut replaced = None;
        if let Some(current) = &self.current {
            change.removes = current.removes(|_| true);
            io.files_removed = change.removes.len() as u64;
            replaced = current.rows();
            if current.schema() != self.job.table.schema() {
                change.schema = Some(self.job.table.columns.clone());
            }
        }
        let ambiguous = self.ambiguous(inputs).await?;
        Ok(Ready { change, mode: Mode::Full, reason, seen, io, ended: 0, replaced, ambiguous })
    }

    async fn commit(self, ready: Ready) -> Result<Refreshed> {
        let Ready { change, mode, reason, seen, mut io, ended, replaced, ambiguous } = ready;
        let job = self.job;
        let updated = seen.updated();
        let inserted = seen.inserted - updated;
        let deleted = replaced.unwrap_or(seen.deleted - updated);
        let mut txns: BTreeMap<String, i64> = BTreeMap::from([
            (app::DEFINITION.to_owned(), self.fingerprint),
            (app::MIGRATION.to_owned(), job.migration),
        ]);
        for source in job.sources.values() {
            txns.insert(app::source(&source.uuid()), i64::try_from(source.version()).unwrap_or(i64::MAX));
        }
        let cut: BTreeMap<&str, u64> = job.sources.iter().map(|(name, t)| (name.as_str(), t.version())).collect();
        let mode_name = if mode == Mode::Full { "full" } else { "incremental" };
        let facts = json!({
            "mode": mode_name, "reason": reason, "run": job.run, "sources": cut,
            "rowsInserted": inserted, "rowsUpdated": updated, "rowsDeleted": deleted,
        });
        let commit = Commit {
            operation: if change.removes.is_empty() { "WRITE" } else { "MERGE" },
            metrics: BTreeMap::from([("numOutputRows", seen.inserted), ("numDeletedRows", seen.deleted)]),
            change,
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
        };
        let version_before = self.current.as_ref().map(LakeTable::version);
        let table = match &self.current {
            Some(current) => commit.commit(current).await?,
            None => {
                let spec = TableSpec {
                    uuid: clock::random_uuid().to_string(),
                    name: job.table.name.to_string(),
                    description: job.table.description.clone(),
                    columns: job.table.columns.clone(),
                    properties: Properties { change_data_feed: true },
                };
                create(&self.location, &spec, commit).await?
            }
        };
        io.bytes_read = self.meter.bytes_read();
        Ok(Refreshed {
            table,
            version_before,
            mode,
            reason,
            rows_inserted: inserted,
            rows_updated: updated,
            rows_deleted: deleted,
            io,
            warnings: seen.warnings().into_iter().chain(ambiguous).collect(),
            grants_ended: ended,
        })
    }
}

/// All rows of a stream, or `None` when there are more than `limit`.
async fn up_to(
    mut stream: SendableRecordBatchStream,
    limit: usize,
) -> Result<Option<Vec<deltalake::arrow::array::RecordBatch>>> {
    let mut batches = Vec::new();
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await.context(|| "the query stopped".into())? {
        rows += batch.num_rows();
        if rows > limit {
            return Ok(None);
        }
        batches.push(batch);
    }
    Ok(Some(batches))
}

/// Hash joins cannot spill; merge joins can.
fn out_of_memory(error: &Error) -> bool {
    error.causes().iter().any(|cause| cause.contains("Resources exhausted"))
}
