//! Rewrites the expressions of a plan's node; the names of its columns stay.

use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::common::{DFSchema, Result};
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::utils::merge_schema;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan};

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
