//! Runs the stages of a program.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{DFSchemaRef, DataFusionError};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::logical_expr::{
    Aggregate, EmptyRelation, Expr, Filter, Join, JoinType, LogicalPlan, SubqueryAlias,
};
use deltalake::datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use deltalake::datafusion::optimizer::{Optimizer, OptimizerContext};
use deltalake::datafusion::physical_plan::{EmptyRecordBatchStream, execute_stream};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::error::{Context, Error, Kind, Result};
use crate::incremental::{self, ChangeSize, Program, WEIGHT};
use crate::lake::Scanned;
use crate::sql;

use super::bind::{Missing, bind, scan_as};
use super::keys::{condition, range_condition};
use super::{Change, LEAST_HELD, Limits, Sources};

/// How many results of maximum size the steps of a program may hold together.
const HELD_AT_ONCE: usize = 2;

/// The share of its limit up to which a step that must be held is held: three hash joins at once copy it, beside a sort.
const SHARE_OF_MUST_BE_HELD: usize = 8;

/// The result of a step.
pub(super) enum Held {
    /// All rows, in memory.
    Rows(Rows),
    /// Too large: the step's plan, to be computed wherever it is read.
    View(LogicalPlan),
}

/// Rows in memory, also as a table.
pub(super) struct Rows {
    batches: Vec<RecordBatch>,
    table: Arc<dyn TableProvider>,
}

/// Results of steps by name.
pub(super) type Steps = HashMap<String, Held>;

/// [`run`](super::run) with other limits.
///
/// # Errors
/// As for [`run`](super::run).
pub(crate) async fn run_with(
    program: &Program,
    ctx: &SessionContext,
    sources: &dyn Sources,
    limits: Limits,
) -> Result<Change> {
    if let Some(change) = run_held(program, ctx, sources, limits, ChangeSize::Unknown).await? {
        return Ok(change);
    }
    let change = run_held(program, ctx, sources, limits, ChangeSize::Large).await?;
    change.ok_or_else(|| Error::new(Kind::Internal, "the plan for a large change requires a step to be held"))
}

/// The change; `None` if a step that must be held is too large.
async fn run_held(
    program: &Program,
    ctx: &SessionContext,
    sources: &dyn Sources,
    limits: Limits,
    size: ChangeSize,
) -> Result<Option<Change>> {
    let stages = program.stages(&|table| sources.change_kind(table), sources.old_result(), size)?;
    let mut steps = Steps::new();
    let mut free = limits.bytes.saturating_mul(HELD_AT_ONCE);
    for step in stages.steps {
        let plan = prepared(&step.plan, &steps).context(|| "a step of the change cannot be planned".into())?;
        let batches = if is_empty(&plan) {
            Some(Vec::new())
        } else {
            let bound = bind(plan.clone(), sources).await?;
            // Also of many steps, the small ones are held.
            let limit = limits.bytes.min(free.max(LEAST_HELD));
            let limit = if step.must_be_held { limit / SHARE_OF_MUST_BE_HELD } else { limit };
            collect_up_to(stream(&bound, ctx, "the change").await?, limit).await?
        };
        let held = batches.iter().flatten().map(RecordBatch::get_array_memory_size).sum();
        free = free.saturating_sub(held);
        let held = match batches {
            Some(batches) => hold(batches, step.plan.schema())?,
            None if step.must_be_held => return Ok(None),
            None => Held::View(plan),
        };
        steps.insert(step.name, held);
    }
    let schema = schema_of(program);
    let Some(result) = stages.result else { return Ok(Some(nothing(schema))) };
    let plan = prepared(&result, &steps).context(|| "the change cannot be planned".into())?;
    if is_empty(&plan) {
        return Ok(Some(nothing(schema)));
    }
    let plan = if stages.insert_only { plan } else { incremental::consolidate(plan)? };
    let stream = stream(&bind(plan, sources).await?, ctx, "the change").await?;
    Ok(Some(Change { schema: stream.schema(), insert_only: stages.insert_only, stream }))
}

/// Plans and starts a query.
pub(super) async fn stream(plan: &LogicalPlan, ctx: &SessionContext, what: &str) -> Result<SendableRecordBatchStream> {
    let state = ctx.state();
    let physical = state.create_physical_plan(plan).await.context(|| format!("{what} cannot be planned"))?;
    Scanned::runs(ctx, &physical);
    execute_stream(physical, ctx.task_ctx()).context(|| format!("{what} cannot be computed"))
}

fn nothing(schema: SchemaRef) -> Change {
    let stream = Box::pin(EmptyRecordBatchStream::new(Arc::clone(&schema)));
    Change { schema, insert_only: true, stream }
}

fn schema_of(program: &Program) -> SchemaRef {
    let mut fields: Vec<Field> = program.plan().schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new(WEIGHT, DataType::Int64, true));
    Arc::new(Schema::new(fields))
}

/// All rows of a stream; `None` if they exceed `limit` bytes.
async fn collect_up_to(mut stream: SendableRecordBatchStream, limit: usize) -> Result<Option<Vec<RecordBatch>>> {
    let (mut batches, mut bytes) = (Vec::new(), 0_usize);
    while let Some(batch) = stream.try_next().await.context(|| "the change cannot be computed".into())? {
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        if bytes > limit {
            return Ok(None);
        }
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    Ok(Some(batches))
}

/// The rows of a step, for the following steps.
pub(super) fn hold(batches: Vec<RecordBatch>, schema: &DFSchemaRef) -> Result<Held> {
    let held = || {
        let declared: SchemaRef = match batches.first() {
            Some(batch) => batch.schema(),
            None => Arc::new(schema.as_arrow().clone()),
        };
        let fields: Vec<_> = declared.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let nullable = Arc::new(Schema::new(fields));
        let batches =
            batches.iter().map(|b| b.clone().with_schema(Arc::clone(&nullable))).collect::<Result<Vec<_>, _>>()?;
        let table = Arc::new(MemTable::try_new(nullable, vec![batches.clone()])?);
        Ok::<_, DataFusionError>(Held::Rows(Rows { batches, table }))
    };
    held().context(|| "an intermediate result cannot be held".into())
}

fn is_empty(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(e) if !e.produce_one_row)
}

/// A plan with the results of earlier steps substituted, and empty parts removed.
pub(super) fn prepared(plan: &LogicalPlan, steps: &Steps) -> Result<LogicalPlan, DataFusionError> {
    let plan = substituted(plan, steps)?;
    let context = OptimizerContext::new().with_skip_failing_rules(false);
    Optimizer::with_rules(vec![Arc::new(PropagateEmptyRelation::new())]).optimize(plan, &context, |_, _| {})
}

fn substituted(plan: &LogicalPlan, steps: &Steps) -> Result<LogicalPlan, DataFusionError> {
    match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::RightSemi => {
            if let LogicalPlan::TableScan(scan) = join.left.as_ref()
                && let Some(held) = steps.get(scan.table_name.table())
            {
                return restricted(join, held, steps);
            }
        }
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            return match steps.get(name) {
                Some(Held::Rows(rows)) if rows.batches.is_empty() => Ok(empty(&scan.projected_schema)),
                Some(Held::Rows(rows)) => scan_as(
                    Arc::clone(&rows.table),
                    scan.table_name.clone(),
                    (&scan.projected_schema, Missing::IsAnError),
                ),
                Some(Held::View(view)) => {
                    let alias = SubqueryAlias::try_new(Arc::new(view.clone()), scan.table_name.clone())?;
                    Ok(LogicalPlan::SubqueryAlias(alias))
                }
                None => Ok(plan.clone()),
            };
        }
        _ => {}
    }
    let changed = plan.clone().map_children(|child| Ok(Transformed::yes(substituted(&child, steps)?)))?;
    changed.data.recompute_schema()
}

/// A restriction by keys: nothing if there are no keys, no restriction if there are too many, otherwise a semi join and
/// a condition that the reader of the table can use.
fn restricted(join: &Join, held: &Held, steps: &Steps) -> Result<LogicalPlan, DataFusionError> {
    let rows = match held {
        Held::View(_) => return substituted(&join.right, steps),
        Held::Rows(rows) if rows.batches.is_empty() => return Ok(empty(&join.schema)),
        // An open gate.
        Held::Rows(_) if join.on.is_empty() && join.filter.is_none() => return substituted(&join.right, steps),
        Held::Rows(rows) => rows,
    };
    let mut right = substituted(&join.right, steps)?;
    for (key, expr) in &join.on {
        let (Expr::Column(column), Some(first)) = (key, rows.batches.first()) else { continue };
        // The engine moves conditions below filters, where the expression may be evaluated on other rows.
        if !sql::never_fails(expr, right.schema()) {
            continue;
        }
        let at = first.schema().index_of(&column.name)?;
        if let Some(condition) = condition(expr, &rows.batches, at, join.null_equality)? {
            right = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(right))?);
        }
    }
    for range in incremental::ranges(join.filter.as_ref()) {
        if sql::never_fails(range.expr, right.schema())
            && let Some(condition) = range_condition(&range, &rows.batches)?
        {
            right = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(right))?);
        }
    }
    // A part of a restriction, for which the range of all keys will do.
    if join.on.is_empty() {
        return Ok(right);
    }
    let mut join = join.clone();
    join.left = Arc::new(each_once(substituted(&join.left, steps)?, &join)?);
    join.right = Arc::new(right);
    LogicalPlan::Join(join).recompute_schema()
}

/// The key columns that a restriction uses, each combination once: a hash join compares every equal one for each row.
fn each_once(keys: LogicalPlan, join: &Join) -> Result<LogicalPlan, DataFusionError> {
    let ends = incremental::ranges(join.filter.as_ref());
    let used: HashSet<&str> = join.on.iter().filter_map(|(key, _)| Some(key.try_as_col()?.name.as_str())).collect();
    let used: HashSet<&str> = used.into_iter().chain(ends.iter().flat_map(|range| range.columns())).collect();
    if used.len() == keys.schema().fields().len() {
        return Ok(keys);
    }
    let columns = keys.schema().columns().into_iter().filter(|c| used.contains(c.name.as_str())).map(Expr::Column);
    let columns: Vec<Expr> = columns.collect();
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(keys), columns, Vec::new())?))
}

fn empty(schema: &DFSchemaRef) -> LogicalPlan {
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::clone(schema) })
}
