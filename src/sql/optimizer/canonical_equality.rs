//! Columns on the left of `=`, constants on the right.
//!
//! `PushDownFilter` of DataFusion 55 compares equalities of one column as written (`simplify_predicates`): it takes
//! `d = date '2024-01-01'` and `date '2024-01-01' = d` as two values, so as a contradiction. Its own canonical form
//! covers neither computed constants nor columns that a projection below makes constant. And from `lower(g) = g` the
//! engine makes an equivalence class named after its first expression, and then does not find an order by `g`.

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{Column, Result};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, Filter, Join, LogicalPlan, Operator, binary_expr};
use deltalake::datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The rule; to run before each `PushDownFilter`.
#[derive(Debug)]
pub(crate) struct Sides;

impl OptimizerRule for Sides {
    fn name(&self) -> &'static str {
        "sides"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let rewritten = columns_first(predicate, &|c| is_constant(&input, c))?;
                let changed = rewritten.transformed;
                let filter = LogicalPlan::Filter(Filter::try_new(rewritten.data, input)?);
                Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) })
            }
            LogicalPlan::Join(mut join) => {
                let Some(filter) = join.filter.take() else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
                let rewritten = columns_first(filter, &|c| is_constant(&join.left, c) || is_constant(&join.right, c))?;
                Ok(rewritten.update_data(|filter| LogicalPlan::Join(Join { filter: Some(filter), ..join })))
            }
            other => Ok(Transformed::no(other)),
        })
    }
}

/// An expression whose equalities have columns on the left, then expressions over them, and constants on the right.
///
/// # Errors
/// Never of its own.
pub(crate) fn columns_first(expr: Expr, is_constant: &dyn Fn(&Column) -> bool) -> Result<Transformed<Expr>> {
    let rank = |expr: &Expr| {
        if expr.column_refs().into_iter().all(is_constant) {
            return 2;
        }
        u8::from(!matches!(expr, Expr::Column(_)))
    };
    expr.transform_up(|e| match e {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::IsNotDistinctFrom), right })
            if rank(&left) > rank(&right) =>
        {
            Ok(Transformed::yes(binary_expr(*right, op, *left)))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// Whether the plan shows that a column has the same value in every row.
fn is_constant(plan: &Arc<LogicalPlan>, column: &Column) -> bool {
    let Some(at) = plan.schema().maybe_index_of_column(column) else { return false };
    let below = |expr: &Expr, input: &Arc<LogicalPlan>| match expr.clone().unalias_nested().data {
        Expr::Column(c) => is_constant(input, &c),
        other => other.column_refs().is_empty(),
    };
    match plan.as_ref() {
        LogicalPlan::Projection(p) => p.expr.get(at).is_some_and(|expr| below(expr, &p.input)),
        LogicalPlan::Aggregate(a) => a.group_expr.get(at).is_some_and(|expr| below(expr, &a.input)),
        LogicalPlan::SubqueryAlias(a) => is_constant(&a.input, &Column::from(a.input.schema().qualified_field(at))),
        LogicalPlan::Filter(f) => is_constant(&f.input, column),
        LogicalPlan::Sort(s) => is_constant(&s.input, column),
        LogicalPlan::Limit(l) => is_constant(&l.input, column),
        LogicalPlan::Window(w) => is_constant(&w.input, column),
        LogicalPlan::Join(j) => is_constant(&j.left, column) || is_constant(&j.right, column),
        _ => false,
    }
}
