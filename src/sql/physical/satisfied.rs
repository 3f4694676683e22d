//! The orders and partitions that operators require, until all of them have them.
//!
//! `EnsureRequirements` of DataFusion 55 plans a sort below a window, and the grouping above, computed anew over sorted rows,
//! then requires an order of its own: `find_longest_permutation` finds `[k, x, d]` in rows that are sorted by `[k % 2, d]`
//! and of which `k = 0` and `x = 1` are known, while `ordering_satisfy_requirement` does not, since only the former drops
//! the `k % 2` that is constant with `k`. `SanityCheckPlan` refuses the plan, and the rule, run again, leaves it as it is.
//! So where an input lacks an order, what is known of its rows is dropped, and the rule runs again: a grouping no longer
//! wants the order, and another operator gets a sort.

use std::sync::Arc;

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use deltalake::datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

use super::drop_equivalences::{ForgetExec, Forgotten};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The engine's rule, a second time where the first one leaves a requirement.
#[derive(Debug)]
struct Satisfied(Rule);

/// Rules of which the one that establishes requirements is repeated where it has to be.
pub(super) fn satisfied(rules: Vec<Rule>) -> Vec<Rule> {
    let one = |rule: Rule| match rule.name() {
        "EnsureRequirements" => Arc::new(Satisfied(rule)),
        _ => rule,
    };
    rules.into_iter().map(one).collect()
}

impl PhysicalOptimizerRule for Satisfied {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.optimize(plan, options)?;
        match SanityCheckPlan::new().optimize(Arc::clone(&plan), options) {
            Ok(_) => Ok(plan),
            Err(_) => self.0.optimize(plan.transform_up(without_open_orders).data()?, options),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// An operator over inputs whose rows have no order, where it requires one that they seem to lack.
fn without_open_orders(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut is_open = false;
    let mut children = Vec::with_capacity(node.children().len());
    for (child, required) in node.children().into_iter().zip(node.required_input_ordering()) {
        let is_satisfied = match required {
            Some(order) => child.equivalence_properties().ordering_satisfy_requirement(order.into_single())?,
            None => true,
        };
        is_open |= !is_satisfied;
        children.push(match is_satisfied {
            true => Arc::clone(child),
            false => Arc::new(ForgetExec::new(Arc::clone(child), Forgotten::Constants)),
        });
    }
    if !is_open {
        return Ok(Transformed::no(node));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    node.replace_children(children, options).map(Transformed::yes)
}

#[cfg(test)]
mod tests {
    use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
    use deltalake::datafusion::physical_plan::collect;
    use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::sql::{Planner, engine};

    #[tokio::test]
    async fn a_grouping_over_a_window_whose_keys_are_constant_is_planned() {
        let rows = "(select column1 as k, column2 as d from (values (0, 3), (0, null), (1, 3), (0, 4), (0, 3))) as t";
        let over = |by: &str, order: &str| {
            format!(
                "select distinct k, d, x from (select k, d, count(*) over (partition by {by} order by {order}
                range between current row and current row) as x from {rows}) where k = 0 and x = 1"
            )
        };
        for (by, order) in [("k % 2", "d desc"), ("k % 2", "d"), ("k + 1", "d"), ("k, d % 2", "d desc")] {
            for planner in [Planner::Optimised, Planner::Plain] {
                let config = SessionConfig::new().with_batch_size(2).with_target_partitions(2);
                let session = SessionContext::new_with_state(engine(config, Arc::new(RuntimeEnv::default()), planner));
                let sql = over(by, order);
                let plan = session.sql(&sql).await.expect(&sql).create_physical_plan().await.expect(&sql);
                let rows = collect(plan, session.task_ctx()).await.expect(&sql);
                assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2, "{sql}");
            }
        }
    }
}
