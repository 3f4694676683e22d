//! The first row of each partition, where a query keeps no other: `row_number() over (partition by k order by d) = 1`,
//! the newest record of each key.
//!
//! The engine's operator for windows makes a batch and a state of each partition, which is slow with a few rows per key. In
//! sorted input the first rows are those whose key differs from that of the row before.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use deltalake::arrow::compute::{concat, partition, take, take_record_batch};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::logical_expr::Operator;
use deltalake::datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use deltalake::datafusion::physical_expr::window::StandardWindowExpr;
use deltalake::datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_plan::execution_plan::CardinalityEffect;
use deltalake::datafusion::physical_plan::filter::FilterExec;
use deltalake::datafusion::physical_plan::projection::ProjectionExec;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use deltalake::datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};

use crate::sql::unary::unary_operator;

/// The rule. It runs after those that establish the order of rows.
#[derive(Debug)]
pub(super) struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(node)) };
            for column in split_conjunction(filter.predicate()).into_iter().filter_map(of_first_rows) {
                if let Some(input) = narrowed(filter.input(), column)? {
                    return over(&node, input).map(Transformed::yes);
                }
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "first_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The column that is 1 in each row for which a condition is true, if it is a number of rows.
fn of_first_rows(condition: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    // The engine writes columns first.
    let condition = condition.downcast_ref::<BinaryExpr>()?;
    let column = condition.left().downcast_ref::<Column>()?;
    let is_first = match condition.right().downcast_ref::<Literal>()?.value() {
        ScalarValue::UInt64(Some(1)) => [Operator::Eq, Operator::LtEq].contains(condition.op()),
        ScalarValue::UInt64(Some(2)) => *condition.op() == Operator::Lt,
        _ => false,
    };
    is_first.then(|| column.index())
}

/// The same plan without rows in which `column` is not 1; `None` if that is not the number of rows of a partition.
fn narrowed(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    // A limit counts the rows that it is given: it must be given all of them.
    if plan.fetch().is_some() {
        return Ok(None);
    }
    if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        return Ok(FirstRowsExec::of(window, column).map(|first| Arc::new(first) as Arc<dyn ExecutionPlan>));
    }
    let below = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let of = projection.expr().get(column).and_then(|projected| projected.expr.downcast_ref::<Column>());
        of.map(|of| (projection.input(), of.index()))
    } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let at = match filter.projection().as_deref() {
            Some(projected) => projected.get(column).copied(),
            None => Some(column),
        };
        at.map(|at| (filter.input(), at))
    } else {
        None
    };
    let Some((input, column)) = below else { return Ok(None) };
    narrowed(input, column)?.map(|input| over(plan, input)).transpose()
}

fn over(plan: &Arc<dyn ExecutionPlan>, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(vec![input], options)
}

/// The first row of each partition of sorted input, with the number 1.
#[derive(Clone, Debug)]
struct FirstRowsExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Those of the window, of whose rows these are some.
    properties: Arc<PlanProperties>,
}

impl FirstRowsExec {
    /// The rows of a window in which `column`, its only own one, is 1.
    fn of(window: &BoundedWindowAggExec, column: usize) -> Option<Self> {
        let ([expr], input) = (window.window_expr(), window.input()) else { return None };
        let standard = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
        let function = standard.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()?;
        let numbers = function.fun().name() == "row_number" && column == input.schema().fields().len();
        // Without a key, it is one row of all: the engine's rules for limits see to that.
        let is_sorted = window.input_order_mode == InputOrderMode::Sorted && !expr.partition_by().is_empty();
        (numbers && is_sorted).then(|| Self {
            input: Arc::clone(input),
            keys: expr.partition_by().to_vec(),
            properties: Arc::clone(window.properties()),
        })
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, ..self.clone() }
    }
}

impl DisplayAs for FirstRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "FirstRowsExec: partition_by=[{}]", keys.join(", "))
    }
}

impl ExecutionPlan for FirstRowsExec {
    unary_operator!("FirstRowsExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut first = First { keys: self.keys.clone(), schema: self.schema(), before: None };
        let rows = self.input.execute(partition, context)?.map(move |batch| first.rows(&batch?));
        let rows = rows.try_filter(|batch| ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

/// Finds first rows, batch by batch.
struct First {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    /// The keys of the last row so far.
    before: Option<Vec<ArrayRef>>,
}

impl First {
    fn rows(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let Some(last) = batch.num_rows().checked_sub(1) else {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        };
        let keys = self.keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let mut first: Vec<u64> = partition(&keys)?.ranges().into_iter().map(|range| range.start as u64).collect();
        if let Some(before) = &self.before
            && continues(before, &keys)?
        {
            first.remove(0);
        }
        // Not a slice, which keeps the whole batch.
        let at = UInt64Array::from_value(last as u64, 1);
        self.before = Some(keys.iter().map(|key| take(key, &at, None)).collect::<Result<_, _>>()?);
        let rows = take_record_batch(batch, &UInt64Array::from(first))?;
        let number: ArrayRef = Arc::new(UInt64Array::from_value(1, rows.num_rows()));
        debug_assert_eq!(self.schema.field(rows.num_columns()).data_type(), &DataType::UInt64);
        let columns = rows.columns().iter().cloned().chain([number]).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// Whether rows with `keys` begin in the partition of the row `before`, by what separates them within a batch.
fn continues(before: &[ArrayRef], keys: &[ArrayRef]) -> Result<bool> {
    let both = before.iter().zip(keys).map(|(before, key)| concat(&[before.as_ref(), key.slice(0, 1).as_ref()]));
    Ok(partition(&both.collect::<Result<Vec<_>, _>>()?)?.len() == 1)
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::util::pretty::pretty_format_batches;
    use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
    use deltalake::datafusion::physical_plan::{collect, displayable};
    use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::sql::{Planner, engine};

    /// The sorted rows of a query, and whether its plan reads first rows.
    async fn found(sql: &str, planner: Planner, batch: usize, partitions: usize) -> (Vec<String>, bool) {
        let config = SessionConfig::new().with_batch_size(batch).with_target_partitions(partitions);
        let session = SessionContext::new_with_state(engine(config, Arc::new(RuntimeEnv::default()), planner));
        let plan = session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
        let reads_first = displayable(plan.as_ref()).indent(false).to_string().contains("FirstRowsExec");
        let rows = collect(plan, session.task_ctx()).await.expect(sql);
        let shown = pretty_format_batches(&rows).expect(sql).to_string();
        let mut lines: Vec<String> = shown.lines().skip(3).map(str::to_owned).collect();
        lines.sort();
        (lines, reads_first)
    }

    /// Twelve rows; `k` has runs that batches of every small size cut, NULL among them, and `f` both zeros and NaN.
    const ROWS: &str = "(select * from (values
        ('a', 1, 1.0e0, 7), ('a', 2, 1.0e0, 6), ('a', 3, 0.0e0, 5), ('a', 3, -0.0e0, 4), ('b', 1, 0.0e0, 3), (null, 1, 'NaN'::double, 2),
        (null, 2, 'NaN'::double, 1), ('c', 1, null, 9), ('c', 1, null, 8), ('d', 9, -1.0e0, 0), ('', 1, -0.0e0, 11), ('', 2, 1.0e0, 10)
        ) as t(k, d, f, id)) as t";

    #[tokio::test]
    async fn the_first_rows_are_those_that_the_window_numbers_one() {
        let numbered = |over: &str| format!("select k, d, f, id, row_number() over ({over}) as n from {ROWS}");
        let newest = "partition by k order by d desc, id";
        for (sql, is_first) in [
            (format!("select * from ({}) as x where n = 1", numbered(newest)), true),
            (format!("select * from ({}) as x where 1 = n and id > 3", numbered(newest)), true),
            (format!("select * from ({}) as x where n <= 1", numbered(newest)), true),
            (format!("select * from ({}) as x where 2 > n", numbered(newest)), true),
            (format!("select id, k from ({}) as x where n = 1", numbered("partition by f order by id")), true),
            (format!("select id from ({}) as x where n = 1", numbered("partition by k, d > 1 order by id")), true),
            (
                format!("select n + 1 as m, id from ({}) as x where n = 1", numbered("partition by [k] order by id")),
                true,
            ),
            (
                format!(
                    "select k, count(*) as c from ({}) as x where n = 1 group by k",
                    numbered("partition by d order by id")
                ),
                true,
            ),
            (
                format!("select y.id from (select * from ({}) as x where n < 3) as y where y.n = 1", numbered(newest)),
                true,
            ),
            (
                format!(
                    "select y.id from (select * from ({}) as x where id <> 5 order by k, d desc, id limit 9) as y where y.n = 1",
                    numbered(newest)
                ),
                false,
            ),
            (
                format!(
                    "select y.id from (select * from ({}) as x where n <= 2 order by k, d desc, id limit 7) as y where y.n = 1",
                    numbered(newest)
                ),
                false,
            ),
            (
                format!(
                    "select y.i from (select id as i, n as m, k from ({}) as x where d < 9 and id % 2 = 0) as y where y.m = 1 and y.i > 1",
                    numbered(newest)
                ),
                true,
            ),
            (format!("select * from ({}) as x where n = 2", numbered(newest)), false),
            (format!("select * from ({}) as x where n > 1", numbered(newest)), false),
            (format!("select * from ({}) as x where n <> 1", numbered(newest)), false),
            (
                format!(
                    "select * from (select id, n, row_number() over (partition by d order by id) as m from ({}) as x) as y where n = 1",
                    numbered(newest)
                ),
                false,
            ),
            (format!("select * from ({}) as x where n <= 2", numbered(newest)), false),
            (format!("select * from ({}) as x where 2 < n", numbered(newest)), false),
            (format!("select * from ({}) as x where d = 1 and n < 3", numbered(newest)), false),
            (format!("select * from ({}) as x where n = 1 or id = 3", numbered(newest)), false),
            (format!("select * from ({}) as x where n = 1", numbered("order by id")), false),
            (format!("select * from (select id, rank() over ({newest}) as n from {ROWS}) as x where n = 1"), false),
            (
                format!(
                    "select * from (select id, row_number() over ({newest}) as n, count(*) over ({newest}) as c from {ROWS}) as x where n = 1"
                ),
                false,
            ),
        ] {
            let (expected, plainly) = found(&sql, Planner::Plain, 100, 1).await;
            assert!(!plainly, "{sql}: a second opinion has no such rule");
            assert!(expected.len() > 1, "{sql}");
            for batch in [1, 2, 3, 5, 100] {
                for partitions in [1, 2] {
                    let (rows, reads_first) = found(&sql, Planner::Optimised, batch, partitions).await;
                    assert_eq!(rows, expected, "{sql} in batches of {batch}");
                    assert_eq!(reads_first, is_first, "{sql}");
                }
            }
        }
    }

    #[test]
    fn what_separates_partitions_within_a_batch_separates_them_between_batches() {
        use deltalake::arrow::array::{Float64Array, StringArray};
        let values = [Some(0.0), Some(-0.0), Some(f64::NAN), Some(-f64::NAN), None, Some(1.0)];
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"; values.len()]));
        let all: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        for (at, _) in values.iter().enumerate() {
            for (other, _) in values.iter().enumerate() {
                let before = [texts.slice(0, 1), all.slice(at, 1)];
                let after = [texts.slice(0, 1), all.slice(other, 1)];
                assert_eq!(continues(&before, &after).expect("keys"), at == other, "{at} {other}");
            }
        }
    }
}
