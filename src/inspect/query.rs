//! SQL over the project's tables, at their newest or at given versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{RecordBatch, RecordBatchOptions};
use deltalake::arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Context, Error, Kind, OutOfRange, Result};
use crate::evaluate;
use crate::migrate::{self, Moves};
use crate::refresh::is_of_reading;
use crate::sql::Question;
use crate::sql::asked;
use crate::travel::{self, AsOf, Cut, Point, Zone};
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
    /// What should be said of the tables' names.
    pub notes: Vec<String>,
}

/// At what time a query reads its tables.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// The cut in which it reads those that it names without a version; `None` = their newest versions.
    pub cut: Option<AsOf>,
    /// The time zone of dates.
    pub zone: Zone,
}

/// The complete [`answer`] to a query. It has at least one batch, so that the columns are known.
///
/// # Errors
/// As for [`answer`]; or a row cannot be computed.
pub async fn query(workspace: &Workspace, sql: &str) -> Result<Vec<RecordBatch>> {
    let Answer { schema, batches, .. } = answer(workspace, sql, &QueryOptions::default()).await?;
    let mut batches: Vec<RecordBatch> = batches.try_collect().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// Runs one query. Tables have their names in the project or one that they had; `table@v3`, `table@2026-11-20` and
/// `table timestamp as of '2026-11-20'` read a version, `<table>_quarantine` a quarantine, `files`, `runs` and `migrations`
/// the system tables.
///
/// # Errors
/// `Usage` if a table, version or cut is unknown, `Failed` if the query is wrong or cannot run.
pub async fn answer(workspace: &Workspace, sql: &str, at: &QueryOptions) -> Result<Answer> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let session = workspace.session()?;
    let question = Question::parse(sql)?;
    let mut notes = Vec::new();
    let cut = match &at.cut {
        Some(by) => Some(Cut::find(workspace, by).await?),
        None => None,
    };
    let mut tables: BTreeMap<String, Arc<dyn TableProvider>> = BTreeMap::new();
    for (parts, _) in question.tables() {
        let name = bare(workspace, parts)?;
        if !tables.contains_key(name) {
            let table = open(workspace, &session, name, (at, cut.as_ref()), &mut notes).await?;
            tables.insert(name.to_owned(), table);
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
    let names: Arc<[String]> = question.names(frame.schema().fields()).into();
    let schema = renamed(frame.schema().inner(), &names);
    let batches = frame.execute_stream().await.map_err(&wrong)?.map_err(wrong);
    let batches = batches.map(move |batch| {
        let batch = batch?;
        let schema = renamed(&batch.schema(), &names);
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let named = RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options);
        named.context(|| "the columns cannot be named".into())
    });
    let batches = batches.boxed();
    Ok(Answer { schema, batches, held: workspace.project.memory_limit / HELD, notes })
}

/// The schema with other names, if there are as many.
fn renamed(schema: &SchemaRef, names: &[String]) -> SchemaRef {
    if schema.fields().len() != names.len()
        || schema.fields().iter().zip(names).all(|(field, name)| field.name() == name)
    {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().zip(names);
    let fields: Vec<Field> = fields.map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
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
        None if is_of_reading(&error) => error.help("stedi-delta audit verify --lake   (names what cannot be read)"),
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

/// Opens a table as a query names it: at its own version, else at that of the cut, else at its newest.
async fn open(
    workspace: &Workspace,
    session: &SessionContext,
    full: &str,
    (at, cut): (&QueryOptions, Option<&Cut>),
    notes: &mut Vec<String>,
) -> Result<Arc<dyn TableProvider>> {
    let (name, point) = travel::split(full);
    let named = travel::find(workspace, name).await?;
    notes.extend(named.notes.iter().filter(|note| !notes.contains(note)).cloned().collect::<Vec<_>>());
    let version = match (point, cut) {
        (Some(point), _) => {
            // The name is a known one, so that it needs no quotes.
            let help = || format!("versions: stedi-delta history {}", named.name);
            let point = Point::parse(point, &at.zone).map_err(|error| error.help(help()))?;
            named.version(&point).await?
        }
        (None, Some(cut)) => cut.version(workspace, &named).await?,
        (None, None) => named.newest.version(),
    };
    named.at(version).await?.provider(session, None).await
}
