//! Texts that a query makes long (`string_agg`, `repeat`) and that a join repeats are shared by the rows of its output, which
//! is cut before they are copied.
//!
//! A join puts 8192 rows into a batch and copies a text for each of them. The log says how wide the rows of a table are, and
//! its batches have fewer rows then; how long a text is that the query makes is known only when it runs. As a view each row
//! takes 16 bytes, so the operator above a join measures the rows of its batches and cuts them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{JoinSide, JoinType, Result};
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::physical_expr::utils::collect_columns;
use deltalake::datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_plan::aggregates::AggregateExec;
use deltalake::datafusion::physical_plan::joins::utils::JoinFilter;
use deltalake::datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use deltalake::datafusion::physical_plan::projection::ProjectionExec;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::drop_equivalences::in_schema;
use super::shared_texts::{cast, view};
use crate::bounded::OutputLimit;
use crate::sql::unary::unary_operator;

/// A batch may take this part of the limit of a function's output.
const OF_LIMIT: u64 = 4;

/// The rule. It runs after the engine's rules, which would remove the casts again.
#[derive(Debug)]
pub(super) struct ShareJoinedTexts;

impl PhysicalOptimizerRule for ShareJoinedTexts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match compared(node.as_ref()) {
            Some(compared) => {
                let shared = shared(&node, &compared)?;
                Ok(shared.map_or_else(|| Transformed::no(node), Transformed::yes))
            }
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "share_joined_texts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Columns of both inputs that a join compares: their types stay.
type Compared = [BTreeSet<usize>; 2];

/// These columns of a join; `None` if it is no join that repeats rows.
fn compared(node: &dyn ExecutionPlan) -> Option<Compared> {
    let repeats = |kind: &JoinType| matches!(kind, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full);
    let mut compared = Compared::default();
    let mut by = |filter: Option<&JoinFilter>| {
        for column in filter.into_iter().flat_map(JoinFilter::column_indices) {
            match column.side {
                JoinSide::Left => compared[0].insert(column.index),
                JoinSide::Right => compared[1].insert(column.index),
                JoinSide::None => false,
            };
        }
    };
    if node.downcast_ref::<CrossJoinExec>().is_some() {
        return Some(compared);
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        by(join.filter());
        return repeats(join.join_type()).then_some(compared);
    }
    let join = node.downcast_ref::<HashJoinExec>()?;
    by(join.filter());
    for (left, right) in join.on() {
        compared[0].extend(collect_columns(left).iter().map(|column| column.index()));
        compared[1].extend(collect_columns(right).iter().map(|column| column.index()));
    }
    repeats(join.join_type()).then_some(compared)
}

/// The join over views, and the casts back; `None` if no input makes long texts.
fn shared(join: &Arc<dyn ExecutionPlan>, compared: &Compared) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut children = Vec::with_capacity(2);
    let mut is_shared = false;
    for (child, compared) in join.children().into_iter().zip(compared) {
        let schema = child.schema();
        let to = |at: usize| view(schema.field(at).data_type()).filter(|_| !compared.contains(&at));
        let over_views = makes_long_texts(child.as_ref())? && (0..schema.fields().len()).any(|at| to(at).is_some());
        is_shared |= over_views;
        children.push(if over_views { cast(Arc::clone(child), |_, at| to(at))? } else { Arc::clone(child) });
    }
    if !is_shared {
        return Ok(None);
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let over_views = Arc::clone(join).replace_children(children, options)?;
    Ok(Some(Arc::new(CutExec { input: over_views, properties: Arc::clone(join.properties()) })))
}

/// Whether some operator of a plan makes a text of many, or many times as long as its input.
fn makes_long_texts(plan: &dyn ExecutionPlan) -> Result<bool> {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>()
        && aggregate.aggr_expr().iter().any(|call| call.fun().name() == "string_agg")
    {
        return Ok(true);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        for column in projection.expr() {
            let is_long = |expr: &Arc<dyn PhysicalExpr>| {
                let call = expr.downcast_ref::<ScalarFunctionExpr>();
                Ok(call.is_some_and(|call| ["repeat", "array_to_string"].contains(&call.fun().name())))
            };
            if column.expr.exists(is_long)? {
                return Ok(true);
            }
        }
    }
    for child in plan.children() {
        if makes_long_texts(child.as_ref())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows with views as rows with texts, in batches of bounded size.
#[derive(Debug)]
struct CutExec {
    input: Arc<dyn ExecutionPlan>,
    /// Those of the join that it replaces.
    properties: Arc<PlanProperties>,
}

impl CutExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, properties: Arc::clone(&self.properties) }
    }
}

impl DisplayAs for CutExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CutExec")
    }
}

impl ExecutionPlan for CutExec {
    unary_operator!("CutExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let limit = OutputLimit::within(context.session_config().options()) / OF_LIMIT;
        let (rows, schema) = (self.input.execute(partition, context)?, self.schema());
        let plain = Arc::clone(&schema);
        let cut = rows.map_ok(move |batch| cut(batch, limit, &plain)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, cut)))
    }
}

/// The rows of a batch, in batches of at most so many bytes of texts, but of at least one row.
fn cut(
    batch: RecordBatch,
    limit: u64,
    schema: &SchemaRef,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send + use<> {
    let sizes = sizes(&batch);
    let mut cuts = vec![0];
    let mut bytes = 0_u64;
    for (row, size) in sizes.into_iter().enumerate() {
        bytes = bytes.saturating_add(size);
        if bytes > limit && cuts.last() != Some(&row) {
            cuts.push(row);
            bytes = size;
        }
    }
    let ends: Vec<usize> = cuts.iter().copied().skip(1).chain([batch.num_rows()]).collect();
    let schema = Arc::clone(schema);
    let parts = stream::iter(cuts.into_iter().zip(ends));
    parts.map(move |(from, to)| in_schema(&batch.slice(from, to - from), &schema))
}

/// The bytes of the views of each row.
fn sizes(batch: &RecordBatch) -> Vec<u64> {
    let mut sizes = vec![0_u64; batch.num_rows()];
    for column in batch.columns() {
        let views = match column.data_type() {
            DataType::Utf8View => column.as_string_view().views(),
            DataType::BinaryView => column.as_binary_view().views(),
            _ => continue,
        };
        for (row, (size, view)) in sizes.iter_mut().zip(views.iter()).enumerate() {
            if column.is_valid(row) {
                // The lower half of a view's first word is its length.
                *size += u64::from(*view as u32);
            }
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::compute::cast;
    use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
    use deltalake::datafusion::physical_plan::{displayable, execute_stream};
    use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::sql::{Planner, engine};

    /// The plan, the bytes of texts in the largest batch, the rows, and the lengths of their texts.
    async fn ran(sql: &str) -> (String, usize, usize, Vec<usize>) {
        let mut config = SessionConfig::new().with_target_partitions(2);
        // 8 MB per batch.
        config.options_mut().extensions.insert(OutputLimit::of_memory(128 << 20));
        let state = engine(config, Arc::new(RuntimeEnv::default()), Planner::Optimised);
        let session = SessionContext::new_with_state(state);
        let plan = session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let mut rows = execute_stream(plan, session.task_ctx()).expect(sql);
        let (mut most, mut count, mut lengths) = (0, 0, Vec::new());
        while let Some(batch) = rows.try_next().await.expect(sql) {
            let texts = cast(batch.column(1), &DataType::LargeUtf8).expect("texts");
            let each: Vec<usize> = texts.as_string::<i64>().iter().map(|text| text.map_or(0, str::len)).collect();
            most = most.max(each.iter().sum());
            lengths.extend(each);
            count += batch.num_rows();
        }
        lengths.sort_unstable();
        lengths.dedup();
        (shown, most, count, lengths)
    }

    #[tokio::test]
    async fn a_join_repeats_a_text_that_the_query_makes_without_copies_of_a_whole_batch() {
        let many = "(select column1 + unnest(range(0, 1000)) * 2 as i from (values (0), (1)) as v) as a";
        let long = "(select k, string_agg(x, '' order by i) as s from (select i, i % 2 as k, repeat('x', 200 + i % 2) as x \
                    from (select unnest(range(0, 2000)) as i) as r) as q group by k) as b";
        for (kind, on) in [("join", "on a.i % 2 = b.k"), ("left join", "on a.i % 2 = b.k"), ("cross join", "")] {
            let sql = format!("select a.i, b.s from {many} {kind} {long} {on}");
            let (shown, most, count, lengths) = ran(&sql).await;
            assert!(shown.contains("CutExec"), "{shown}");
            assert!(most <= 8 << 20, "{sql}: {most} bytes in a batch");
            let rows = if kind == "cross join" { 4000 } else { 2000 };
            assert_eq!((count, lengths), (rows, vec![200_000, 201_000]), "{sql}");
        }
        // Keys are compared as they are, and other joins are not touched.
        let (shown, ..) = ran(&format!("select a.i, b.s from {many} join {long} on cast(a.i as varchar) = b.s")).await;
        assert!(!shown.contains("CutExec"), "{shown}");
        let (shown, ..) =
            ran("select a.i, b.s from (values (1)) a(i) join (values (1, 'x')) b(i, s) on a.i = b.i").await;
        assert!(!shown.contains("CutExec"), "{shown}");
    }
}
