//! The parts of a union, one after the other.
//!
//! The engine runs the parts of a union side by side, however few partitions a session has. Where rows are so wide that a
//! session reads one file at a time (`target_partitions` is 1), each part would hold a row group, a page and a batch.

use std::fmt;
use std::sync::Arc;

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::union::UnionExec;
use deltalake::datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use crate::sql::unary::unary_operator;

/// The rule.
#[derive(Debug)]
pub(super) struct InTurn;

impl PhysicalOptimizerRule for InTurn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // With more partitions a hash join waits until all of them have begun.
        if options.execution.target_partitions > 1 {
            return Ok(plan);
        }
        plan.transform_up(|node| match node.downcast_ref::<UnionExec>() {
            Some(_) => Ok(Transformed::yes(Arc::new(InTurnExec::new(node)))),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "in_turn"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The partitions of its input as one, in their order. The next one begins when the one before has ended.
#[derive(Debug)]
struct InTurnExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InTurnExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::clone(input.properties())
            .with_eq_properties(EquivalenceProperties::new(input.schema()))
            .with_partitioning(Partitioning::UnknownPartitioning(1));
        Self { input, properties: Arc::new(properties) }
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input)
    }
}

impl DisplayAs for InTurnExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InTurnExec")
    }
}

impl ExecutionPlan for InTurnExec {
    unary_operator!("InTurnExec");

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (input, schema) = (Arc::clone(&self.input), self.schema());
        let partitions = futures::stream::iter(0..input.output_partitioning().partition_count());
        let rows = partitions.map(move |partition| input.execute(partition, Arc::clone(&context))).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
    use deltalake::datafusion::physical_plan::{collect, displayable};
    use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

    use crate::sql::{Planner, engine};

    #[tokio::test]
    async fn a_union_is_one_partition_where_a_session_has_one() {
        let sql = "select x, count(*) as n from (select 1 as x union all select 2 union all select 1) as u group by x order by x";
        let mut found = Vec::new();
        for partitions in [1, 2] {
            let config = SessionConfig::new().with_target_partitions(partitions);
            let state = engine(config, Arc::new(RuntimeEnv::default()), Planner::Optimised);
            let session = SessionContext::new_with_state(state);
            let plan = session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            assert_eq!(shown.contains("InTurnExec"), partitions == 1, "{shown}");
            let rows = collect(plan, session.task_ctx()).await.expect(sql);
            let shown = deltalake::arrow::util::pretty::pretty_format_batches(&rows).expect("rows").to_string();
            found.push(shown);
        }
        assert!(found[0].contains("| 1 | 2 |") && found[0].contains("| 2 | 1 |"), "{}", found[0]);
        assert_eq!(found[0], found[1]);
    }
}
