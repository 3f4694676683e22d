//! Rewrites the expressions of a plan's node, whose columns keep their names; and takes chains of operators apart.

use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::common::{DFSchema, Result};
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::utils::merge_schema;
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// The columns that the expressions of a node may use: those of its inputs, or the output of a scan.
#[must_use]
pub(crate) fn visible(node: &LogicalPlan) -> DFSchema {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = node {
        schema.merge(&scan.projected_schema);
    }
    schema
}

/// A node with other expressions. Names inside a grouping set cannot be kept.
///
/// # Errors
/// An expression cannot be rewritten.
pub(crate) fn with_expressions(
    node: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = (!matches!(expr, Expr::GroupingSet(_))).then(|| names.save(&expr));
        Ok(rewrite(expr)?.update_data(|expr| match name {
            Some(name) => name.restore(expr),
            None => expr,
        }))
    })
}

/// The function of an expression of a window.
#[must_use]
pub(crate) fn window_function(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => window_function(&alias.expr),
        Expr::WindowFunction(function) => Some(function),
        _ => None,
    }
}

/// Up to this many operators a chain stays nested.
const LONG: usize = 32;

/// Whether an expression is the top of a long chain of these operators: `a + b + ...`, each the left operand of the next.
#[must_use]
pub(crate) fn is_long_chain(expr: &Expr, connects: impl Fn(Operator) -> bool) -> bool {
    let (mut at, mut operators) = (expr, 0);
    while let Expr::BinaryExpr(BinaryExpr { left, op, .. }) = at
        && connects(*op)
        && operators <= LONG
    {
        at = left;
        operators += 1;
    }
    operators > LONG
}

/// The first operand of a chain, and the others in order, each with the operator before it.
#[must_use]
pub(crate) fn operands(chain: Expr, connects: impl Fn(Operator) -> bool) -> (Expr, Vec<(Operator, Expr)>) {
    let (mut first, mut steps) = (chain, Vec::new());
    loop {
        match first {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if connects(op) => {
                steps.push((op, *right));
                first = *left;
            }
            other => {
                steps.reverse();
                return (other, steps);
            }
        }
    }
}
