//! Tables in memory as multisets of rows, and the comparison of multisets by counting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use deltalake::arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::execution::SessionStateBuilder;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use proptest::test_runner::Config as ProptestConfig;

use crate::error::{Context, Error, Result};
use crate::evaluate::{Limits, Sources, difference, full, plain_difference, run_with};
use crate::incremental::{ChangeKind, OldResult, Program, Side, WEIGHT, differentiate};
use crate::lake::{self, Joins, SessionOptions};
use crate::sql::Planner;
use crate::sql::plan_sql;

/// A value of a test table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    /// A double by its bits, which have an order.
    Float(Option<u64>),
}

/// Rows with weights.
pub(super) type Bag = Vec<(Vec<Value>, i64)>;

/// Random cases: as many as `PROPTEST_CASES` says.
pub(super) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The output of a future, computed by this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(future)
}

/// A table: its columns, its old rows and its change.
#[derive(Clone, Debug)]
pub(super) struct TestTable {
    pub name: String,
    pub columns: Vec<(String, DataType)>,
    pub old: Bag,
    pub change: Bag,
    pub kind: ChangeKind,
}

/// Tables by name.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub tables: Vec<TestTable>,
    /// Read the old rows instead of the new ones, to evaluate the old result.
    pub before: bool,
}

impl TestTable {
    pub(super) fn new(name: &str, columns: &[(&str, DataType)], old: Bag, change: Bag) -> Self {
        let columns = columns.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect();
        Self { name: name.into(), columns, old, change, kind: ChangeKind::Mutating }
    }

    fn bag(&self, side: Side) -> Bag {
        match side {
            Side::Old => self.old.clone(),
            Side::Change => self.change.clone(),
            Side::Maintained => Bag::new(),
            Side::New => {
                let mut rows: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
                for (row, weight) in self.old.iter().chain(&self.change) {
                    *rows.entry(row.clone()).or_default() += weight;
                }
                assert!(rows.values().all(|w| *w >= 0), "{}: more copies removed than there are", self.name);
                rows.into_iter().collect()
            }
        }
    }

    fn provider(&self, side: Side) -> Result<Arc<dyn TableProvider>> {
        let mut rows: Vec<(Vec<Value>, i64)> = Vec::new();
        for (row, weight) in self.bag(side) {
            if side == Side::Change {
                rows.push((row, weight));
            } else {
                rows.extend((0..weight).map(|_| (row.clone(), 1)));
            }
        }
        let mut fields: Vec<Field> = self.columns.iter().map(|(n, t)| Field::new(n, t.clone(), true)).collect();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (i, (_, data_type)) in self.columns.iter().enumerate() {
            let values = rows.iter().map(|(row, _)| &row[i]);
            arrays.push(match data_type {
                DataType::Int64 => Arc::new(values.map(int).collect::<Int64Array>()) as ArrayRef,
                DataType::Float64 => Arc::new(values.map(float).collect::<Float64Array>()),
                // Test values are `float` exactly, or their last digits do not matter.
                #[expect(clippy::cast_possible_truncation, reason = "a column of narrower numbers")]
                DataType::Float32 => Arc::new(values.map(|v| float(v).map(|v| v as f32)).collect::<Float32Array>()),
                DataType::Int32 | DataType::Date32 | DataType::Timestamp(..) => {
                    let units: ArrayRef = Arc::new(values.map(int).collect::<Int64Array>());
                    let is_moment = matches!(data_type, DataType::Timestamp(..));
                    let units = cast(&units, if is_moment { &DataType::Int64 } else { &DataType::Int32 });
                    cast(&units.context(|| "units".into())?, data_type).context(|| "times".into())?
                }
                _ => Arc::new(values.map(text).collect::<StringArray>()) as ArrayRef,
            });
        }
        if side == Side::Change {
            fields.push(Field::new(WEIGHT, DataType::Int64, false));
            arrays.push(Arc::new(rows.iter().map(|(_, w)| Some(*w)).collect::<Int64Array>()));
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).context(|| "batch".into())?;
        let half = batch.num_rows() / 2;
        let partitions = vec![vec![batch.slice(0, half)], vec![batch.slice(half, batch.num_rows() - half)]];
        Ok(Arc::new(MemTable::try_new(schema, partitions).context(|| "table".into())?))
    }
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(v) => *v,
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(v) => v.map(f64::from_bits),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(v) => v.clone(),
        _ => None,
    }
}

impl World {
    fn table(&self, name: &str) -> Result<&TestTable> {
        self.tables.iter().find(|t| t.name == name).ok_or_else(|| Error::failed(format!("no table {name}")))
    }

    fn provider_of(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        let table = self.table(table)?;
        assert!(
            table.kind != ChangeKind::None || side == Side::New,
            "{side:?} of {} was opened, which did not change",
            table.name
        );
        table.provider(if self.before && side == Side::New { Side::Old } else { side })
    }

    /// An analysed plan, as in the definition: only schemas are known.
    pub(super) fn plan(&self, sql: &str) -> LogicalPlan {
        let schema = |table: &TestTable| {
            let fields = table.columns.iter().map(|(name, of)| Field::new(name, of.clone(), true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let tables: Vec<_> = self.tables.iter().map(|table| (table.name.clone(), schema(table))).collect();
        plan_sql(sql, &tables).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
}

#[async_trait]
impl Sources for World {
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        self.provider_of(table, side)
    }

    fn change_kind(&self, table: &str) -> ChangeKind {
        self.table(table).map_or(ChangeKind::None, |t| t.kind)
    }
}

/// A world with the maintained table in it.
struct Maintained<'a> {
    world: &'a World,
    result: Arc<dyn TableProvider>,
}

#[async_trait]
impl Sources for Maintained<'_> {
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        if side == Side::Maintained { Ok(Arc::clone(&self.result)) } else { self.world.provider_of(table, side) }
    }

    fn change_kind(&self, table: &str) -> ChangeKind {
        self.world.change_kind(table)
    }

    fn old_result(&self) -> OldResult {
        OldResult::Maintained
    }
}

/// The product's session, over small batches.
pub(super) fn session() -> SessionContext {
    session_of(Joins::Hash)
}

/// With sort-merge joins instead of hash joins, as with little memory.
pub(super) fn session_of(joins: Joins) -> SessionContext {
    small(SessionOptions { joins, ..SessionOptions::limited(1 << 30) })
}

/// For queries planned as written.
pub(super) fn plain_session() -> SessionContext {
    small(SessionOptions { planner: Planner::Plain, ..SessionOptions::limited(1 << 30) })
}

fn small(options: SessionOptions) -> SessionContext {
    let ctx = lake::session(options, &[]).expect("session");
    let config = ctx.copied_config().with_target_partitions(2).with_batch_size(7);
    SessionContext::new_with_state(SessionStateBuilder::new_from_existing(ctx.state()).with_config(config).build())
}

/// Rows as text, counted; `weighted`: the last column counts. The engine's `group by` has one zero: -0.0 is 0.0.
pub(super) fn counted(batches: &[RecordBatch], weighted: bool) -> BTreeMap<Vec<String>, i64> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        let options = FormatOptions::default().with_null("∅");
        let arity = batch.num_columns() - usize::from(weighted);
        let columns: Vec<_> = batch.columns()[..arity]
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("text"))
            .collect();
        for i in 0..batch.num_rows() {
            let weight = if weighted {
                batch.column(arity).as_any().downcast_ref::<Int64Array>().expect("weight").value(i)
            } else {
                1
            };
            *rows
                .entry(
                    columns
                        .iter()
                        .enumerate()
                        .map(|(at, c)| one_zero(batch.column(at), c.value(i).to_string()))
                        .collect::<Vec<_>>(),
                )
                .or_insert(0) += weight;
        }
    }
    rows.retain(|_, n| *n != 0);
    rows
}

fn one_zero(column: &ArrayRef, text: String) -> String {
    if column.data_type().is_floating() && text == "-0.0" { "0.0".into() } else { text }
}

/// The program of a query, or a panic with the reasons.
pub(super) fn program(world: &World, sql: &str) -> (LogicalPlan, Program) {
    let plan = world.plan(sql);
    let program = differentiate(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}\n{}", plan.display_indent()));
    (plan, program)
}

/// How often the plain plan was tried, and how often it worked.
static ASKED: AtomicUsize = AtomicUsize::new(0);
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// Both counts so far.
pub(super) fn second_opinions() -> (usize, usize) {
    (ASKED.load(Ordering::Relaxed), ANSWERED.load(Ordering::Relaxed))
}

/// Checks the law for one query and one change; returns the violation.
pub(super) async fn law(world: &World, sql: &str, limits: Limits) -> Result<(), String> {
    law_in(&session(), world, sql, limits).await
}

/// The same, in a session.
pub(super) async fn law_in(ctx: &SessionContext, world: &World, sql: &str, limits: Limits) -> Result<(), String> {
    let (plan, program) = program(world, sql);
    let said = |what: &str, e: &Error| format!("{what}: {e}");
    let before = World { before: true, ..world.clone() };
    let old_batches: Vec<RecordBatch> =
        full(&plan, ctx, &before).await.map_err(|e| said("old", &e))?.try_collect().await.map_err(|e| e.to_string())?;
    let new_batches: Vec<RecordBatch> =
        full(&plan, ctx, world).await.map_err(|e| said("new", &e))?.try_collect().await.map_err(|e| e.to_string())?;
    let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
    let schema = old_batches.first().map_or(schema, RecordBatch::schema);
    let stored = MemTable::try_new(schema, vec![old_batches.clone()]).map_err(|e| e.to_string())?;
    let stored: Arc<dyn TableProvider> = Arc::new(stored);
    let maintained = Maintained { world, result: Arc::clone(&stored) };
    let over_result = run_with(&program, ctx, &maintained, limits).await.map_err(|e| said("change over result", &e))?;
    let over_result = over_result.collect().await.map_err(|e| said("change over result", &e))?;
    let change = run_with(&program, ctx, world, limits).await.map_err(|e| said("change", &e))?;
    let insert_only = change.insert_only;
    let names: Vec<String> = change.schema.fields().iter().map(|f| f.name().clone()).collect();
    let mut expected_names: Vec<String> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
    expected_names.push(WEIGHT.into());
    if names != expected_names {
        return Err(format!("columns {names:?}, expected {expected_names:?}"));
    }
    let change = change.collect().await.map_err(|e| said("change", &e))?;
    let (old, new, change_rows) = (counted(&old_batches, false), counted(&new_batches, false), counted(&change, true));
    if insert_only && change_rows.values().any(|w| *w < 0) {
        return Err("negative weights in an insert-only change".into());
    }
    let floats = change.first().is_some_and(|b| b.schema().fields().iter().any(|f| f.data_type().is_floating()));
    // As text, the two zeros are one.
    if !insert_only && !floats {
        let rows: usize = change.iter().map(RecordBatch::num_rows).sum();
        if rows != change_rows.len() {
            return Err("the change is not consolidated".into());
        }
    }
    let over_result = counted(&over_result, true);
    if over_result != change_rows {
        return Err(format!("over the result the change is {over_result:?}, else {change_rows:?}"));
    }
    let mut applied = old.clone();
    for (row, weight) in &change_rows {
        *applied.entry(row.clone()).or_insert(0) += weight;
    }
    applied.retain(|_, n| *n != 0);
    if applied != new {
        let mut text = String::from("incremental and full differ\n");
        let _ = writeln!(text, "old     {old:?}\nchange  {change_rows:?}\napplied {applied:?}\nfull    {new:?}");
        return Err(text);
    }
    // The query planned as written: a difference is a fault of the optimizer. A plan that fails is ignored.
    let plain_session = plain_session();
    let plain = plain_difference(&plan, Arc::clone(&stored), &plain_session, world).await;
    let plain = match plain {
        Ok(change) => change.collect().await,
        Err(error) => Err(error),
    };
    ASKED.fetch_add(1, Ordering::Relaxed);
    if let Ok(plain) = plain {
        ANSWERED.fetch_add(1, Ordering::Relaxed);
        let plain = counted(&plain, true);
        if plain != change_rows {
            return Err(format!("by the plain plan the change is {plain:?}, else {change_rows:?}"));
        }
    }
    let diff = difference(&plan, stored, ctx, world).await.map_err(|e| said("difference", &e))?;
    let diff = counted(&diff.collect().await.map_err(|e| said("difference", &e))?, true);
    if diff != change_rows {
        return Err(format!("the difference of the results is {diff:?}, the change {change_rows:?}"));
    }
    Ok(())
}
