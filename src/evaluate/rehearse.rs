//! Runs all plans of a query that a sync would run, over made-up rows.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, new_null_array};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::runtime::SpawnedTask;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::physical_plan::execute_stream;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::bind::bound;
use super::run::{Steps, hold, prepared};
use crate::error::{Context, Error, Kind, Result};
use crate::incremental::{self, ChangeKind, ChangeSize, OldResult};
use crate::sql;

/// Runs all plans of an analysed query, and if wanted of its change, in a task of their own.
///
/// # Errors
/// The engine's error.
pub(crate) fn rehearse(
    plan: &LogicalPlan,
    and_change: bool,
    ctx: &SessionContext,
) -> impl Future<Output = Result<()>> + use<> {
    let (plan, ctx) = (plan.clone(), ctx.clone());
    async move {
        let task = SpawnedTask::spawn(async move {
            rehearse_query(&plan, &ctx).await?;
            if and_change { rehearse_change(&plan, &ctx).await } else { Ok(()) }
        });
        task.join_unwind().await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a query was not tried")))
    }
}

/// Plans and runs the full evaluation of an analysed query over tables of one row of NULLs: the engine reports
/// unsupported operations when it plans, or when it starts. Conditions may filter that row, so the query also runs
/// without conditions, over one row of ones, which joins. Of errors at run time only unsupported operations count: such
/// rows are not real data. A recursive query is only planned; whether it ends depends on the data.
///
/// # Errors
/// The engine's error.
async fn rehearse_query(plan: &LogicalPlan, ctx: &SessionContext) -> Result<()> {
    let query = incremental::over_new(plan)?;
    rehearsed(query.clone(), ctx, "the query", &nulls).await?;
    let free = query.transform_up(|node| match node {
        LogicalPlan::Filter(filter) => Ok(Transformed::yes(Arc::unwrap_or_clone(filter.input))),
        other => Ok(Transformed::no(other)),
    });
    rehearsed(free.context(doing)?.data, ctx, "the query", &ones).await
}

/// The same of every step of the query's change, where it has one.
///
/// # Errors
/// The engine's error.
async fn rehearse_change(plan: &LogicalPlan, ctx: &SessionContext) -> Result<()> {
    let Ok(program) = incremental::differentiate(plan) else { return Ok(()) };
    let stages = program.stages(&|_| ChangeKind::Mutating, OldResult::Maintained, ChangeSize::Unknown)?;
    let mut steps: Steps = HashMap::new();
    for step in stages.steps {
        let plan = prepared(&step.plan, &steps).context(doing)?;
        rehearsed(plan, ctx, "a step of the change", &nulls).await?;
        let row = one_row(step.plan.schema().as_arrow(), &nulls).context(doing)?;
        steps.insert(step.name, hold(vec![row], step.plan.schema())?);
    }
    let Some(result) = stages.result else { return Ok(()) };
    rehearsed(incremental::consolidate(prepared(&result, &steps).context(doing)?)?, ctx, "the change", &nulls).await
}

async fn rehearsed(
    plan: LogicalPlan,
    ctx: &SessionContext,
    what: &str,
    value: &(dyn Fn(&DataType) -> ArrayRef + Sync),
) -> Result<()> {
    let doing = || format!("{what} cannot be planned");
    let plan = bound(plan, |scan| {
        if incremental::parse_scan_name(scan.table_name.table()).is_none() {
            return Ok(None);
        }
        let row = one_row(scan.projected_schema.as_arrow(), value)?;
        Ok(Some(Arc::new(MemTable::try_new(row.schema(), vec![vec![row]])?)))
    });
    let plan = plan.context(doing)?;
    let planned = ctx.state().create_physical_plan(&plan).await.context(doing)?;
    if sql::is_recursive(&plan) {
        return Ok(());
    }
    let all = async { execute_stream(planned, ctx.task_ctx())?.try_for_each(|_| async { Ok(()) }).await };
    match all.await {
        Err(error)
            if matches!(error.find_root(), DataFusionError::NotImplemented(_) | DataFusionError::Internal(_)) =>
        {
            Err(error).context(|| format!("{what} cannot be computed"))
        }
        _ => Ok(()),
    }
}

fn nulls(of_type: &DataType) -> ArrayRef {
    new_null_array(of_type, 1)
}

/// 1 as a value of a type, if it has such a value.
fn ones(of_type: &DataType) -> ArrayRef {
    cast(&Int64Array::from(vec![1]), of_type).unwrap_or_else(|_| nulls(of_type))
}

fn one_row(schema: &Schema, value: &dyn Fn(&DataType) -> ArrayRef) -> Result<RecordBatch, DataFusionError> {
    let fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let columns = fields.iter().map(|f| value(f.data_type())).collect();
    // Some plans read no column, only whether there is a row.
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &one)?)
}

fn doing() -> String {
    "the change cannot be planned".into()
}
