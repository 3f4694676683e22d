//! One case from its first file to its last sync, with all conditions checked on the way.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use stedi_delta::Privacy;
use stedi_delta::Storage;
use stedi_delta::audit;
use stedi_delta::outcome::{Mode, Problem, SyncOutcome, VerifyVerdict};
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::workspace::{self, Workspace, WorkspaceOptions};
use stedi_delta::{optimize, sync};

use super::compare::{Stored, bag, difference, feed, minus, planned, read, session};
use super::world::{Case, Derived};
use super::{duckdb, history, metamorphic};
use crate::support::Lake;

/// Counts that show that the test is not vacuous.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub syncs: usize,
    pub compared: usize,
    /// Tables whose query the plain engine cannot plan: compared with our own full evaluation, and at the end with
    /// DuckDB's.
    pub verified: usize,
    pub incremental: usize,
    pub full: usize,
    pub refused: usize,
    pub queries: usize,
    pub passed_over: usize,
    pub duckdb: usize,
    pub feeds: usize,
    pub told: metamorphic::Told,
    pub in_passing: usize,
    pub optimized: usize,
}

impl Stats {
    /// Adds another run's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.syncs += other.syncs;
        self.compared += other.compared;
        self.verified += other.verified;
        self.incremental += other.incremental;
        self.full += other.full;
        self.refused += other.refused;
        self.queries += other.queries;
        self.passed_over += other.passed_over;
        self.duckdb += other.duckdb;
        self.feeds += other.feeds;
        self.told.iter_mut().zip(other.told).for_each(|(sum, n)| *sum += n);
        self.in_passing += other.in_passing;
        self.optimized += other.optimized;
    }
}

/// Says more on stderr.
fn verbose() -> bool {
    std::env::var_os("LAW_VERBOSE").is_some()
}

fn lake_of(case: &Case) -> Lake {
    let files = case.files();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Lake::project(&files)
}

async fn opened(lake: &Lake) -> Result<Workspace, String> {
    let text = |path: PathBuf| path.to_str().map(str::to_owned);
    let options = WorkspaceOptions {
        root: lake.root().to_owned(),
        target: None,
        landing: text(lake.landing()),
        warehouse: text(lake.warehouse()),
    };
    let opened = Workspace::open(&options, Storage::default(), Privacy::new(Some("test"), false)).await;
    opened.map_err(|e| format!("{e} {:?}", e.facts()))
}

async fn synced(workspace: &Workspace) -> Result<SyncOutcome, String> {
    synced_with(workspace, &sync::Options::default()).await
}

async fn synced_with(workspace: &Workspace, options: &sync::Options) -> Result<SyncOutcome, String> {
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let outcome = sync::sync(workspace, options, &progress).await;
    if let Some(error) = &outcome.problem {
        return Err(format!("sync failed: {error} {:?}", error.facts()));
    }
    for table in &outcome.tables {
        match &table.problem {
            Some(Problem::Failed(error)) => return Err(format!("{} failed: {error} {:?}", table.table, error.facts())),
            Some(Problem::Skipped(above)) => return Err(format!("{} was skipped: {above}", table.table)),
            None => {}
        }
    }
    Ok(outcome)
}

/// Every table of the lake, by name.
async fn tables(lake: &Lake, case: &Case) -> Result<BTreeMap<String, Stored>, String> {
    let mut tables = BTreeMap::new();
    let names = case.landing.iter().map(|l| ("landing", &l.name));
    for (zone, name) in names.chain(case.derived.iter().map(|d| ("curated", &d.name))) {
        tables.insert(name.clone(), read(&lake.warehouse().join(zone).join(name)).await?);
    }
    Ok(tables)
}

/// Removes the queries that the project refuses from the case, and those that read them.
pub(crate) async fn accepted(mut case: Case, stats: &mut Stats) -> Option<Case> {
    stats.queries += case.derived.len();
    loop {
        match workspace::check(lake_of(&case).root(), None).await {
            Ok(_) => return (!case.derived.is_empty()).then_some(case),
            Err(why) => {
                if verbose() {
                    eprintln!("refused: {why} {:?}\n{case}", why.faults());
                }
                stats.refused += 1;
                // One of them is wrong: the last one without which the project is accepted.
                case.derived.pop()?;
            }
        }
    }
}

/// Runs a case. The error is the violated condition.
pub(crate) async fn run(case: &Case, second_engine: bool) -> Result<Stats, String> {
    let run = AssertUnwindSafe(go(case, second_engine)).catch_unwind().await;
    run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

async fn go(case: &Case, second_engine: bool) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let lake = lake_of(case);
    let mut before: BTreeMap<String, Stored> = BTreeMap::new();
    let mut unplannable = false;
    for (number, step) in case.steps.iter().enumerate() {
        for op in step {
            if let Err(why) = history::apply(&lake, &case.landing, op).await {
                stats.passed_over += 1;
                if verbose() {
                    eprintln!("passed over: {why}");
                }
            }
        }
        let at = |why: String| format!("step {number}: {why}");
        let outcome = synced(&opened(&lake).await?).await.map_err(at)?;
        stats.syncs += 1;
        if number > 0 {
            let done = |mode| outcome.tables.iter().filter(|t| t.mode == mode).count();
            stats.incremental += done(Mode::Incremental);
            stats.full += done(Mode::Full);
            for table in outcome.tables.iter().filter(|t| t.mode == Mode::Full && verbose()) {
                eprintln!("full: {}", table.reason);
            }
        }
        let now = tables(&lake, case).await.map_err(at)?;
        let mode = |name: &str| outcome.tables.iter().find(|t| t.table.as_str() == name).map(|t| (t.mode, &t.reason));
        let unplanned = equal(case, &now).await.map_err(|(name, why)| at(format!("{why} ({:?})", mode(&name))))?;
        stats.compared += case.derived.len() - unplanned.len();
        stats.verified += unplanned.len();
        if !unplanned.is_empty() {
            let select = unplanned.iter().map(|d| d.name.clone()).collect();
            let options = sync::Options { select, verify: true, ..sync::Options::default() };
            synced_with(&opened(&lake).await?, &options).await.map_err(at)?;
            unplannable = true;
        }
        stats.feeds += fed(&lake, case, &before, &now).await.map_err(at)?;
        let told = metamorphic::change_sources_agree(&lake, case, number, &before, &now).await.map_err(at)?;
        stats.told.iter_mut().zip(told).for_each(|(sum, n)| *sum += n);
        if number % 2 == 1 {
            stats.optimized += optimized(&lake, case, &now, number % 4 == 3).await.map_err(at)?;
        }
        if number % 3 == 0 || number + 1 == case.steps.len() {
            let outcome = synced(&opened(&lake).await?).await.map_err(at)?;
            for table in &outcome.tables {
                if table.mode != Mode::None || table.version_before != table.version_after {
                    return Err(at(format!("a second sync commits {}: {}", table.table, table.reason)));
                }
            }
            digested(&lake).await.map_err(at)?;
        }
        before = now;
    }
    if second_engine || unplannable {
        stats.duckdb = duckdb::agrees(case, &before)?;
    }
    if case.only_lands() {
        at_once(case, &lake, &before).await?;
    }
    // As files are after the last optimization.
    before = tables(&lake, case).await?;
    metamorphic::in_passing(&lake, case).await?;
    synced(&opened(&lake).await?).await.map_err(|why| format!("in passing: {why}"))?;
    stats.in_passing = metamorphic::untouched(case, &before, &tables(&lake, case).await?)?;
    Ok(stats)
}

/// Each table has the rows of its digest, wherever that was begun.
async fn digested(lake: &Lake) -> Result<(), String> {
    let found = audit::digests(&opened(lake).await?).await.map_err(|e| e.to_string())?;
    let wrong = found.into_iter().find(|(_, found)| found.verdict != VerifyVerdict::Equal);
    wrong.map_or(Ok(()), |(table, found)| Err(format!("{table} is not its digest: {found:?}")))
}

/// Law 1: each derived table equals its query. Returns those whose query the plain engine cannot plan.
async fn equal<'c>(case: &'c Case, now: &BTreeMap<String, Stored>) -> Result<Vec<&'c Derived>, (String, String)> {
    let context = session(now);
    let mut unplanned = Vec::new();
    for derived in &case.derived {
        let fail = |why: String| (derived.name.clone(), format!("{}: {why}", derived.name));
        let stored = &now[&derived.name];
        let found = bag(&stored.batches, &stored.schema).map_err(fail)?;
        let sql = derived.query.render();
        let planned = if derived.plain { planned(&context, &sql).await } else { None };
        let Some(frame) = planned else {
            unplanned.push(derived);
            continue;
        };
        let batches = frame.collect().await.map_err(|e| fail(e.to_string()))?;
        let expected = bag(&batches, &stored.schema).map_err(fail)?;
        if let Some(text) = difference(&found, &expected, &derived.query.columns) {
            return Err(fail(format!("it is not its query\n    {text}\n   ")));
        }
    }
    Ok(unplanned)
}

/// Merging files changes no table. The number of commits.
async fn optimized(lake: &Lake, case: &Case, before: &BTreeMap<String, Stored>, full: bool) -> Result<usize, String> {
    let options = optimize::Options { full, ..optimize::Options::default() };
    let outcome =
        optimize::optimize(&opened(lake).await?, &options, "law", &Silent).await.map_err(|e| e.to_string())?;
    if let Some(error) = outcome.tables.iter().find_map(|table| table.problem.as_ref()) {
        return Err(format!("optimize failed: {error} {:?}", error.facts()));
    }
    for (name, now) in tables(lake, case).await? {
        let (old, new) = (&before[&name], bag(&now.batches, &now.schema)?);
        if let Some(text) = difference(&new, &bag(&old.batches, &old.schema)?, &[]) {
            return Err(format!("optimize changed {name}\n    {text}"));
        }
    }
    Ok(outcome.tables.iter().map(|table| table.commits as usize).sum())
}

/// Each derived table's own change feed equals its change.
async fn fed(
    lake: &Lake,
    case: &Case,
    before: &BTreeMap<String, Stored>,
    now: &BTreeMap<String, Stored>,
) -> Result<usize, String> {
    let mut feeds = 0;
    for name in case.derived.iter().map(|d| &d.name) {
        let (Some(old), new) = (before.get(name), &now[name]) else { continue };
        if old.version >= new.version {
            continue;
        }
        let folder = lake.warehouse().join("curated").join(name);
        let feed = match feed(&folder, old.version, new.version, &new.schema).await {
            // A vacuum deleted the files of the commits in between.
            Err(why) if why.contains("No such file") || why.contains("not found") => continue,
            other => other?,
        };
        let change = minus(&bag(&new.batches, &new.schema)?, &bag(&old.batches, &old.schema)?);
        if let Some(text) = difference(&minus(&feed, &change), &BTreeMap::new(), &[]) {
            return Err(format!("the feed of {name} is not its change\n    {text}"));
        }
        feeds += 1;
    }
    Ok(feeds)
}

/// All files in one batch give the tables that they gave in several.
async fn at_once(case: &Case, lake: &Lake, now: &BTreeMap<String, Stored>) -> Result<(), String> {
    let other = lake_of(case);
    other.land_all(&lake.landing());
    synced(&opened(&other).await?).await?;
    let tables = tables(&other, case).await?;
    for derived in &case.derived {
        let (one, many) = (&tables[&derived.name], &now[&derived.name]);
        let (one, many) = (bag(&one.batches, &one.schema)?, bag(&many.batches, &many.schema)?);
        if let Some(text) = difference(&many, &one, &derived.query.columns) {
            return Err(format!("{} is another table when all files land at once\n    {text}", derived.name));
        }
    }
    Ok(())
}
