//! The whole lake at a time: the versions of all tables as one sync left them.
//!
//! The row of that sync in `runs` names them. Where there is none, or a row does not say whose version it names, the logs
//! of the tables do: each table's newest version of the time, without the commits of a sync that was at work then.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::datatypes::TimestampMicrosecondType;
use futures::TryStreamExt;

use super::named::{Named, NamedKind};
use super::point::Point;
use super::times::{times, version_at};
use crate::clock::rfc3339;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::LakeTable;
use crate::sync::RUNS_FOLDER;
use crate::workspace::Workspace;

/// What a cut is asked by.
#[derive(Clone, Debug)]
pub enum AsOf {
    /// A time.
    Time(Point),
    /// The id of a run, or its beginning.
    Run(String),
}

/// One sync, as `runs` has it.
#[derive(Clone, Debug)]
struct Run {
    id: String,
    started_ms: i64,
    ended_ms: i64,
    status: String,
    /// Table -> version.
    versions: BTreeMap<String, u64>,
    /// Table -> id; rows of older versions of this tool have none.
    ids: Option<BTreeMap<String, String>>,
}

/// The lake as one sync left it.
#[derive(Debug)]
pub struct Cut {
    run: Option<Run>,
    /// The time of it, and as it was asked for.
    ms: i64,
    text: String,
    /// Runs that were at work at that time, if tables' own logs had to be asked.
    at_work: tokio::sync::OnceCell<BTreeSet<String>>,
}

impl Cut {
    /// Finds a cut.
    ///
    /// # Errors
    /// `Usage` if there is no such run, or if it failed: it left no cut.
    pub async fn find(workspace: &Workspace, by: &AsOf) -> Result<Self> {
        let runs = runs(workspace).await?;
        let at_work = tokio::sync::OnceCell::new();
        match by {
            AsOf::Run(id) => {
                let mut found = runs.iter().filter(|run| run.id.starts_with(id.as_str()));
                let (one, other) = (found.next(), found.next());
                let run = match (one, other) {
                    (Some(run), None) => run,
                    (Some(run), Some(_)) if run.id == *id => run,
                    (Some(_), Some(_)) => {
                        return Err(Error::new(Kind::Usage, format!("several runs begin with `{id}`"))
                            .help("write the whole id: stedi-delta query \"select run, ended_at from runs\""));
                    }
                    (None, _) => {
                        return Err(Error::new(Kind::Usage, format!("there is no run `{id}`"))
                            .help("stedi-delta query \"select run, ended_at, status from runs order by ended_at\""));
                    }
                };
                check(run, &runs)?;
                Ok(Self { ms: run.ended_ms, text: format!("run {}", run.id), run: Some(run.clone()), at_work })
            }
            AsOf::Time(Point::Time { ms, text }) => {
                let run = runs.iter().rfind(|run| run.ended_ms <= *ms);
                run.map_or(Ok(()), |run| check(run, &runs))?;
                Ok(Self { ms: *ms, text: text.clone(), run: run.cloned(), at_work })
            }
            AsOf::Time(point) => {
                Err(Error::new(Kind::Usage, format!("`{}` is the version of one table", point.text()))
                    .fact("expected", "a time, which the whole lake has")
                    .help(format!("write \"table@{}\" in the query", point.text())))
            }
        }
    }

    /// The run that left it, if `runs` has it.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.run.as_ref().map(|run| run.id.as_str())
    }

    /// The version of a table in it.
    ///
    /// # Errors
    /// `Usage` if the table did not exist then.
    pub async fn version(&self, workspace: &Workspace, table: &Named) -> Result<u64> {
        if let (Some(run), NamedKind::Table | NamedKind::Dropped) = (&self.run, table.kind)
            && let Some(version) = run.version(workspace, table).await?
        {
            return Ok(version);
        }
        let at_work = self.at_work.get_or_try_init(|| at_work(workspace, self.time())).await?;
        let (ms, text) = (self.time(), self.text.as_str());
        if at_work.is_empty() {
            return version_at(&table.newest, &table.name, (ms, text)).await;
        }
        let commits = times(&table.newest).await?;
        let before = commits.iter().filter(|commit| commit.ms <= ms);
        let found = before.rev().find(|commit| commit.facts.run().is_none_or(|run| !at_work.contains(run)));
        match found {
            Some(found) => version_at(&table.newest, &table.name, (found.ms, text)).await,
            // Says what the oldest one is.
            None => version_at(&table.newest, &table.name, (i64::MIN, text)).await,
        }
    }

    /// The time at which tables stood as in this cut.
    fn time(&self) -> i64 {
        self.run.as_ref().map_or(self.ms, |run| run.ended_ms)
    }
}

impl Run {
    /// The version that it names of a table; `None` if it does not say whose version that is.
    async fn version(&self, workspace: &Workspace, table: &Named) -> Result<Option<u64>> {
        let (id, names) = table.known_as(workspace);
        if let Some(ids) = &self.ids {
            let name = ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name);
            if let Some(version) = name.and_then(|name| self.versions.get(name)) {
                return Ok(Some(*version));
            }
            return Err(Error::new(Kind::Usage, format!("{} did not exist then", table.name))
                .fact("run", format!("{}, which ended at {}", self.id, rfc3339(self.ended_ms)))
                .help(format!("versions: stedi-delta history {}", table.name)));
        }
        let Some(version) = names.iter().find_map(|name| self.versions.get(name)).copied() else { return Ok(None) };
        let commits = times(&table.newest).await?;
        let commit = commits.iter().find(|commit| commit.facts.version == version);
        let is_within = commit.is_some_and(|commit| (self.started_ms..=self.ended_ms).contains(&commit.ms));
        Ok(is_within.then_some(version))
    }
}

/// Refuses a run that failed: some of its tables are at the cut before, others at its own.
fn check(run: &Run, runs: &[Run]) -> Result<()> {
    if run.status == "ok" {
        return Ok(());
    }
    let error = Error::new(Kind::Usage, format!("run {} failed: it left no cut", run.id))
        .fact("ended", rfc3339(run.ended_ms))
        .fact("because", "some tables were left behind by it, and others were not");
    let whole = runs.iter().rfind(|other| other.status == "ok" && other.ended_ms <= run.ended_ms);
    let whole = whole.or_else(|| runs.iter().find(|other| other.status == "ok"));
    Err(match whole {
        Some(whole) => error.help(format!("--cut {}   (ended at {})", whole.id, rfc3339(whole.ended_ms))),
        None => error.help("name versions of single tables: \"table@v0\""),
    })
}

/// The runs that had committed to some tables at a time, and to others after it.
async fn at_work(workspace: &Workspace, ms: i64) -> Result<BTreeSet<String>> {
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for table in &workspace.project.tables {
        let Some(table) = LakeTable::open(&workspace.location(table)?).await? else { continue };
        for commit in times(&table).await? {
            let side = if commit.ms <= ms { &mut before } else { &mut after };
            side.extend(commit.facts.run().map(str::to_owned));
        }
    }
    Ok(before.intersection(&after).cloned().collect())
}

/// All rows of `runs`, by the time of their end.
async fn runs(workspace: &Workspace) -> Result<Vec<Run>> {
    let doing = || "the table of runs cannot be read".to_owned();
    let Some(table) = LakeTable::open(&workspace.warehouse.join(RUNS_FOLDER)).await? else { return Ok(Vec::new()) };
    let session = workspace.session()?;
    let frame = session.read_table(table.provider(&session, None).await?).context(doing)?;
    // Without the digests, which are most of it.
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != "digests");
    let frame = frame.select_columns(&columns.collect::<Vec<_>>()).context(doing)?;
    let mut batches = frame.execute_stream().await.context(doing)?;
    let mut runs = Vec::new();
    while let Some(batch) = batches.try_next().await.context(doing)? {
        runs.extend((0..batch.num_rows()).filter_map(|row| run(&batch, row)));
    }
    runs.sort_by(|a, b| (a.ended_ms, &a.id).cmp(&(b.ended_ms, &b.id)));
    Ok(runs)
}

fn run(batch: &RecordBatch, row: usize) -> Option<Run> {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let ms = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row).div_euclid(1000))
    };
    Some(Run {
        id: text("run")?.to_owned(),
        started_ms: ms("started_at")?,
        ended_ms: ms("ended_at")?,
        status: text("status")?.to_owned(),
        versions: serde_json::from_str(text("versions")?).ok()?,
        ids: text("ids").and_then(|ids| serde_json::from_str(ids).ok()),
    })
}
