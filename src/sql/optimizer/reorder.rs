//! Comma joins as joins with keys, unless the engine would lose a key.
//!
//! `EliminateCrossJoin` of DataFusion 55 decomposes a tree of inner joins and reassembles it in another order. A key is
//! kept only if each of its sides uses one input: `a.x + b.x = c.x` is lost if `c` is joined before `b`, and so is
//! `31 = c.x`, which the key `coalesce(31, a.x) = c.x` becomes. The rule also loses the difference between `=` and
//! `is not distinct from`. So such trees keep their order.

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::utils::can_hash;
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinType, LogicalPlan};
use deltalake::datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use deltalake::datafusion::optimizer::optimizer::ApplyOrder;
use deltalake::datafusion::optimizer::push_down_filter::PushDownFilter;
use deltalake::datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use deltalake::datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule};

use crate::sql::optimizer::canonical_equality::Sides;
use crate::sql::optimizer::equijoin::EquijoinKeys;
use crate::sql::optimizer::in_list::Lists;
use crate::sql::optimizer::merge_keys::MergeKeys;
use crate::sql::options::engine_options;

/// The engine's rules for logical plans, with ours in place of those of the same name, after the rule for lists of
/// values and before the one for keys of merge joins.
#[must_use]
pub(crate) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let ours: [Arc<dyn OptimizerRule + Send + Sync>; 3] =
        [Arc::new(Reorder::default()), Arc::new(EquijoinKeys::default()), Arc::new(SumsAtOnce::default())];
    let of_name = |name: &str| ours.iter().find(|ours| ours.name() == name).cloned();
    let rules = Optimizer::new().rules.into_iter().map(|rule| of_name(rule.name()).unwrap_or(rule));
    let pushes = PushDownFilter::new();
    let rules = rules.flat_map(|rule| {
        let sides = (rule.name() == pushes.name()).then(|| Arc::new(Sides) as Arc<dyn OptimizerRule + Send + Sync>);
        sides.into_iter().chain([rule])
    });
    let first: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(Lists);
    let last: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(MergeKeys);
    std::iter::once(first).chain(rules).chain([last]).collect()
}

/// A plan optimised as the engine does before it runs it.
///
/// # Errors
/// A rule of the engine fails.
pub(crate) fn optimised(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let mut options = engine_options();
    options.optimizer.skip_failed_rules = false;
    let context = OptimizerContext::new_with_config_options(Arc::new(options));
    Optimizer::with_rules(logical_rules()).optimize(plan.clone(), &context, |_, _| {})
}

/// `EliminateCrossJoin`, where it keeps every key.
#[derive(Debug, Default)]
pub(crate) struct Reorder(EliminateCrossJoin);

impl OptimizerRule for Reorder {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // The engine's rule descends into subqueries, too.
        let mut loses = false;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Join(join) = node
                && join.join_type == JoinType::Inner
            {
                loses |= loses_a_key(join)?;
            }
            Ok(if loses { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if loses { Ok(Transformed::no(plan)) } else { self.0.rewrite(plan, config) }
    }
}

/// `SingleDistinctToGroupBy`, if there is no sum beside the distinct values: the rule sums up partial sums, and a
/// partial sum may overflow its type, or lose the last digits of a double, where the total does not.
#[derive(Debug, Default)]
struct SumsAtOnce(SingleDistinctToGroupBy);

impl OptimizerRule for SumsAtOnce {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let adds_up = |expr: &Expr| matches!(expr.clone().unalias(), Expr::AggregateFunction(of) if of.func.name() == "sum" && !of.params.distinct);
        match &plan {
            LogicalPlan::Aggregate(of) if of.aggr_expr.iter().any(adds_up) => Ok(Transformed::no(plan)),
            _ => self.0.rewrite(plan, config),
        }
    }
}

/// Whether a key of this join may be lost in another order.
fn loses_a_key(join: &Join) -> Result<bool> {
    if join.null_equality == NullEquality::NullEqualsNull {
        return Ok(true);
    }
    let mut inputs = Vec::new();
    leaves(&join.left, &mut inputs);
    leaves(&join.right, &mut inputs);
    for (left, right) in &join.on {
        if !can_hash(&left.get_type(join.left.schema())?)
            || !stands_on_one(left, &inputs)
            || !stands_on_one(right, &inputs)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The inputs of a tree of inner joins.
fn leaves<'p>(plan: &'p LogicalPlan, found: &mut Vec<&'p LogicalPlan>) {
    match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            leaves(&join.left, found);
            leaves(&join.right, found);
        }
        other => found.push(other),
    }
}

fn stands_on_one(key: &Expr, inputs: &[&LogicalPlan]) -> bool {
    let columns = key.column_refs();
    !columns.is_empty() && inputs.iter().any(|input| columns.iter().all(|c| input.schema().has_column(c)))
}
