//! Runs everything of a query that a sync would run, over next to nothing.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::bind::scan_as;
use super::run::{self, Steps, hold, prepared};
use crate::error::{Context, Result};
use crate::incremental::{self, ChangeKind};

/// Plans and runs the full evaluation of an analysed query and, where it has one, every step of its change, over tables
/// of one row of NULLs: what the engine does not know how to do, it says when it plans, or when it begins.
///
/// # Errors
/// What it says.
pub async fn rehearse(plan: &LogicalPlan, ctx: &SessionContext) -> Result<()> {
    rehearsed(incremental::over_new(plan)?, ctx, "the query").await?;
    let Ok(program) = incremental::differentiate(plan) else { return Ok(()) };
    let stages = program.stages(&|_| ChangeKind::Mutating, true)?;
    let mut steps: Steps = HashMap::new();
    for step in stages.steps {
        let plan = prepared(&step.plan, &steps).context(doing)?;
        rehearsed(plan, ctx, "a step of the change").await?;
        let row = one_row(step.plan.schema().as_arrow()).context(doing)?;
        steps.insert(step.name, hold(vec![row], step.plan.schema())?);
    }
    let Some(result) = stages.result else { return Ok(()) };
    rehearsed(incremental::consolidate(prepared(&result, &steps).context(doing)?)?, ctx, "the change").await
}

async fn rehearsed(plan: LogicalPlan, ctx: &SessionContext, what: &str) -> Result<()> {
    let bound = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) if incremental::parse_scan_name(scan.table_name.table()).is_some() => {
            let row = one_row(scan.projected_schema.as_arrow())?;
            let table: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(row.schema(), vec![vec![row]])?);
            Ok(Transformed::yes(scan_as(table, scan.table_name.clone(), &scan.projected_schema)?))
        }
        _ => Ok(Transformed::yes(node.recompute_schema()?)),
    });
    let doing = || format!("{what} cannot be planned");
    let plan = bound.context(doing)?.data;
    if incremental::is_recursive(&plan) {
        // It may end by the data alone.
        ctx.state().create_physical_plan(&plan).await.context(doing)?;
        return Ok(());
    }
    let mut rows = run::stream(&plan, ctx, what).await?;
    while rows.try_next().await.context(|| format!("{what} cannot be computed"))?.is_some() {}
    Ok(())
}

fn one_row(schema: &Schema) -> Result<RecordBatch, DataFusionError> {
    let fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let columns = fields.iter().map(|f| new_null_array(f.data_type(), 1)).collect();
    // Some plans read no column, only whether there is a row.
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &one)?)
}

fn doing() -> String {
    "the change cannot be planned".into()
}
