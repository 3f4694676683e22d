//! An ad-hoc query: its subqueries are rewritten as those of tables are, and its rows keep their order.

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{Result, plan_datafusion_err};
use deltalake::datafusion::logical_expr::LogicalPlan;

use crate::sql::is_recursive;
use crate::sql::normalise::{in_place, leaves_subqueries, normalise};
use crate::sql::shapes::renamed;

/// An analysed query, prepared for the engine: the engine alone has no plan for `in` and `exists` in a select list, and
/// decorrelates fewer subqueries than [`normalise`].
#[must_use]
pub(crate) fn asked(plan: LogicalPlan) -> LogicalPlan {
    if is_ordered(&plan) {
        let below = plan.clone().map_children(|input| Ok(Transformed::yes(asked(input))));
        return below.map_or(plan, |plan| plan.data);
    }
    if !leaves_subqueries(&plan) {
        return plan;
    }
    let whole = if is_recursive(&plan) { None } else { rewritten(&plan).ok() };
    whole.or_else(|| in_place(&plan).ok()).unwrap_or(plan)
}

/// Whether the order of the rows is decided here or below: [`normalise`] would drop it.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Explain(_) => true,
        LogicalPlan::Projection(p) => is_ordered(&p.input),
        _ => false,
    }
}

fn rewritten(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let normal = normalise(plan).map_err(|e| plan_datafusion_err!("{e}"))?;
    renamed(normal, plan.schema())
}
