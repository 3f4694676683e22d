//! A second way to plan a query, as a check on the first: as written, with only the rules without which it cannot run.
//!
//! Correlated subqueries are joined by [`Unnest`]; the first way uses the engine's own rules. No expression is
//! simplified, no predicate is pushed to a table, no join changes its type or its place, and every column is read. Of
//! the engine's rules those remain that turn uncorrelated subqueries into joins and `distinct` into groupings; of ours,
//! those that keep the engine from failing (`asked_first`, `ordered_once`), and the conditions of comma joins, without
//! which a join would be a cross product.

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{DFSchema, DataFusionError, JoinType, Result};
use deltalake::datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use deltalake::datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use deltalake::datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan};
use deltalake::datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use deltalake::datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use deltalake::datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use deltalake::datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use deltalake::datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use deltalake::datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule};

use crate::node::{visible, with_expressions};
use crate::sql::decorrelate::domain_join::Unnest;
use crate::sql::decorrelate::subqueries;
use crate::sql::fallible::never_fails;
use crate::sql::is_recursive;
use crate::sql::normalise::{limited, prepared};
use crate::sql::optimizer::equijoin::EquijoinKeys;
use crate::sql::options::engine_options;
use crate::sql::shapes::with_inputs;

/// The rules of a session that runs such a plan.
#[must_use]
pub(crate) fn plain_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(RunnableForms),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(JoinConditions),
        Arc::new(EquijoinKeys::default()),
    ]
}

/// An analysed query as written, ready to run.
///
/// # Errors
/// It has no such plan.
pub(crate) fn plainly(plan: &LogicalPlan) -> Result<LogicalPlan> {
    if is_recursive(plan) {
        return Err(DataFusionError::NotImplemented("a query that reads its own rows has one plan".into()));
    }
    let unnest = Unnest::default();
    let plan = plan.clone().transform_down_with_subqueries(limited)?.data;
    let plan = subqueries::asked_first(plan)?;
    let plan = plan.transform_up_with_subqueries(|node| prepared(node, &|node| unnest.rewritten(node)))?.data;
    let mut options = engine_options();
    options.optimizer.skip_failed_rules = false;
    let context = OptimizerContext::new_with_config_options(Arc::new(options));
    Optimizer::with_rules(plain_rules()).optimize(plan, &context, |_, _| {})
}

/// Functions in their executable form: `coalesce` runs only as a `case`.
#[derive(Debug)]
struct RunnableForms;

impl OptimizerRule for RunnableForms {
    fn name(&self) -> &'static str {
        "runnable_forms"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let context = SimplifyContext::builder().with_schema(Arc::new(visible(&plan)));
        let context = context.with_config_options(Arc::new(engine_options())).build();
        with_expressions(plan, |expr| match expr {
            Expr::GroupingSet(_) => Ok(Transformed::no(expr)),
            expr => expr.transform_up(|e| runnable(e, &context)),
        })
    }
}

fn runnable(expr: Expr, context: &SimplifyContext) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(mut call) => {
            let args = std::mem::take(&mut call.args);
            Ok(match call.func.simplify(args, context)? {
                ExprSimplifyResult::Original(args) => {
                    call.args = args;
                    Transformed::no(Expr::ScalarFunction(call))
                }
                ExprSimplifyResult::Simplified(simpler) => Transformed::yes(simpler),
            })
        }
        Expr::AggregateFunction(call) => match call.func.simplify() {
            Some(simpler) => changed(simpler(call.clone(), context)?, &Expr::AggregateFunction(call)),
            None => Ok(Transformed::no(Expr::AggregateFunction(call))),
        },
        Expr::WindowFunction(call) => match call.simplify() {
            Some(simpler) => changed(simpler(call.as_ref().clone(), context)?, &Expr::WindowFunction(call)),
            None => Ok(Transformed::no(Expr::WindowFunction(call))),
        },
        other => Ok(Transformed::no(other)),
    }
}

fn changed(simpler: Expr, before: &Expr) -> Result<Transformed<Expr>> {
    Ok(if simpler == *before { Transformed::no(simpler) } else { Transformed::yes(simpler) })
}

/// Moves conditions above inner joins that name several of the inputs to the lowest join that has all of them.
/// Conditions on one input stay in place, and so do those that can fail: the conditions beside them may guard them.
#[derive(Debug)]
struct JoinConditions;

impl OptimizerRule for JoinConditions {
    fn name(&self) -> &'static str {
        "join_conditions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return Ok(Transformed::no(plan)) };
        let LogicalPlan::Join(join) = filter.input.as_ref() else { return Ok(Transformed::no(plan)) };
        if join.join_type != JoinType::Inner {
            return Ok(Transformed::no(plan));
        }
        let schema = filter.input.schema();
        let parts = split_conjunction_owned(filter.predicate.clone());
        let (moves, stays): (Vec<Expr>, Vec<Expr>) =
            parts.into_iter().partition(|part| never_fails(part, schema) && joins(part, join));
        if moves.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let joined = LogicalPlan::Join(with_conditions(join.clone(), moves)?);
        Ok(Transformed::yes(match conjunction(stays) {
            Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(joined))?),
            None => joined,
        }))
    }
}

fn is_over(expr: &Expr, schema: &DFSchema) -> bool {
    expr.column_refs().iter().all(|column| schema.has_column(column))
}

/// Whether a condition names several inputs of a tree of inner joins.
fn joins(part: &Expr, join: &Join) -> bool {
    for input in [&join.left, &join.right] {
        if is_over(part, input.schema()) {
            return match input.as_ref() {
                LogicalPlan::Join(inner) if inner.join_type == JoinType::Inner => joins(part, inner),
                _ => false,
            };
        }
    }
    is_over(part, &join.schema)
}

fn with_conditions(join: Join, conditions: Vec<Expr>) -> Result<Join> {
    let (mut left, mut right, mut here) = (Vec::new(), Vec::new(), Vec::new());
    for condition in conditions {
        if is_over(&condition, join.left.schema()) {
            left.push(condition);
        } else if is_over(&condition, join.right.schema()) {
            right.push(condition);
        } else {
            here.push(condition);
        }
    }
    let below = |input: &Arc<LogicalPlan>, conditions: Vec<Expr>| match input.as_ref() {
        LogicalPlan::Join(inner) if !conditions.is_empty() => {
            Ok::<_, DataFusionError>(LogicalPlan::Join(with_conditions(inner.clone(), conditions)?))
        }
        other => Ok(other.clone()),
    };
    let inputs = vec![below(&join.left, left)?, below(&join.right, right)?];
    match with_inputs(&LogicalPlan::Join(join), inputs)? {
        LogicalPlan::Join(join) => {
            let filter = conjunction(join.filter.clone().into_iter().chain(here));
            Ok(Join { filter, ..join })
        }
        other => Err(DataFusionError::Internal(format!("a join became {}", other.display()))),
    }
}
