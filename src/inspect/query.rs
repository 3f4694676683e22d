//! SQL over the project's tables, at their newest or at given versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::changes;
use crate::error::{Error, Kind, OutOfRange, Result};
use crate::evaluate;
use crate::ingest::LEDGER_FOLDER;
use crate::lake::LakeTable;
use crate::migrate::{self, Moves};
use crate::sql::Question;
use crate::sql::asked;
use crate::storage::Location;
use crate::sync::RUNS_FOLDER;
use crate::workspace::Workspace;

/// The share of the memory limit for rows to be formatted together: as text they take several times as much.
pub(crate) const HELD: u64 = 16;

/// The streamed rows of a query.
pub struct Answer {
    /// Their columns.
    pub schema: SchemaRef,
    /// Batches of them.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// Maximum bytes of them to hold at once.
    pub held: u64,
}

/// The complete [`answer`] to a query. It has at least one batch, so that the columns are known.
///
/// # Errors
/// As for [`answer`]; or a row cannot be computed.
pub async fn query(workspace: &Workspace, sql: &str) -> Result<Vec<RecordBatch>> {
    let Answer { schema, batches, .. } = answer(workspace, sql).await?;
    let mut batches: Vec<RecordBatch> = batches.try_collect().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// Runs one query. Tables have their names in the project; `"table@v3"` reads a version, `<table>_quarantine` a
/// quarantine, `files` and `runs` the system tables.
///
/// # Errors
/// `Usage` if a table is unknown, `Failed` if the query is wrong or cannot run.
pub async fn answer(workspace: &Workspace, sql: &str) -> Result<Answer> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let session = workspace.session()?;
    let question = Question::parse(sql)?;
    let mut tables: BTreeMap<String, Arc<dyn TableProvider>> = BTreeMap::new();
    for (parts, _) in question.tables() {
        let name = bare(workspace, parts)?;
        if !tables.contains_key(name) {
            tables.insert(name.to_owned(), open(workspace, &session, name).await?);
        }
    }
    let plan = question.plan(tables.iter().map(|(name, table)| (name.clone(), table.schema())))?;
    // A query can still contain an INSERT.
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let teller = workspace.clone();
    let wrong = move |cause| teller.told(wrong(cause));
    options.verify_plan(&plan).map_err(&wrong)?;
    let plan = evaluate::over_tables(asked(plan), &tables).map_err(&wrong)?;
    let frame = session.execute_logical_plan(question.answered_by(plan)?).await.map_err(&wrong)?;
    let schema = frame.schema().inner().clone();
    let batches = frame.execute_stream().await.map_err(&wrong)?.map_err(wrong).boxed();
    Ok(Answer { schema, batches, held: workspace.project.memory_limit / HELD })
}

/// The engine's message without its wrapping. It may quote values, which are personal data if a computation failed.
fn wrong(cause: DataFusionError) -> Error {
    if let Some(found) = OutOfRange::within(&cause) {
        return Error::failed(format!("the query cannot be run: {found}")).help(found.way_out.clone());
    }
    let help = Error::within(&cause).and_then(Error::next).map(str::to_owned);
    let error = Error::failed("the query cannot be run").because(root(cause));
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// The error inside the engine's wrapping, with its type if it has one: the type determines whether it may quote values.
fn root(cause: DataFusionError) -> Box<dyn std::error::Error + Send + Sync> {
    match cause {
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => text.into(),
        DataFusionError::ArrowError(error, _) => match *error {
            ArrowError::ExternalError(below) => unwrapped(below),
            error => error.into(),
        },
        DataFusionError::SchemaError(error, _) => error,
        DataFusionError::SQL(error, _) => error,
        DataFusionError::External(below) => unwrapped(below),
        DataFusionError::Context(_, below) | DataFusionError::Diagnostic(_, below) => root(*below),
        DataFusionError::Shared(below) => match Arc::try_unwrap(below) {
            Ok(below) => root(below),
            Err(shared) => DataFusionError::Shared(shared).into(),
        },
        DataFusionError::Collection(errors) => errors.into_iter().next().map_or_else(|| "it failed".into(), root),
        other => other.into(),
    }
}

fn unwrapped(below: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error + Send + Sync> {
    match below.downcast::<DataFusionError>() {
        Ok(engine) => root(*engine),
        Err(other) => other,
    }
}

/// The unqualified name of a table: zones are not part of it, and there are no other schemas.
fn bare<'n>(workspace: &Workspace, parts: &'n [String]) -> Result<&'n str> {
    let Some((name, before)) = parts.split_last() else { return Ok("") };
    let Some(schema) = before.last() else { return Ok(name) };
    if schema.eq_ignore_ascii_case("information_schema") {
        return Err(Error::new(Kind::Usage, "there is no `information_schema`")
            .fact("expected", "a table of the project")
            .help("stedi-delta status   (lists the tables)"));
    }
    let what = if workspace.project.zones.contains(schema) { "names a zone" } else { "has a dot in it" };
    Err(Error::new(Kind::Usage, format!("`{}` {what}", parts.join(".")))
        .fact("expected", "the table's name alone")
        .help(format!("write `{name}`")))
}

async fn open(workspace: &Workspace, session: &SessionContext, full: &str) -> Result<Arc<dyn TableProvider>> {
    let (name, version) = match full.rsplit_once("@v") {
        Some((name, version)) => (name, Some(version)),
        None => (full, None),
    };
    // Before the name is in a suggested command: only known names need no quotes.
    let location = location(workspace, name)?;
    let version = version.map(|text| {
        text.parse::<u64>().map_err(|_| {
            Error::new(Kind::Usage, format!("`{full}` has no version number"))
                .help(format!("write \"{name}@v0\", with the quotes; versions: stedi-delta history {name}"))
        })
    });
    let version = version.transpose()?;
    let Some(table) = LakeTable::open(&location).await? else {
        return Err(Error::failed(format!("{name} does not exist yet")).help("stedi-delta sync"));
    };
    let table = match version {
        Some(version) if version > table.version() => {
            return Err(Error::new(Kind::Usage, format!("{name} has no version {version}"))
                .fact("newest", format!("v{}", table.version())));
        }
        Some(version) => changes::readable_at(&table, name, version).await?,
        None => table,
    };
    table.provider(session, None).await
}

fn location(workspace: &Workspace, name: &str) -> Result<Location> {
    match name {
        "files" => return Ok(workspace.warehouse.join(LEDGER_FOLDER)),
        "runs" => return Ok(workspace.warehouse.join(RUNS_FOLDER)),
        _ => {}
    }
    match workspace.table(name) {
        Ok(table) => workspace.location(table),
        Err(unknown) => match name.strip_suffix("_quarantine").and_then(|base| workspace.landing_table(base).ok()) {
            Some(table) => workspace.quarantine(table),
            None => Err(unknown),
        },
    }
}
