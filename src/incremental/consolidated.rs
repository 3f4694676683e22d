//! Changes in queries with an expression that can fail, such as `x / y` and `cast(s as bigint)`: on which rows it may
//! be evaluated.
//!
//! The terms of a change contain rows that are in no snapshot: in `dL ⋈ R' + L° ⋈ dR` a row deleted from `L` is paired
//! with the new rows of `R`, once with -1 and once with +1; and a change feed has rows that were inserted and deleted
//! between two syncs. They cancel, but `l.x / r.y` would be computed for them first, and a zero that no query shows
//! would stop the sync. So in queries with an expression that can fail, such changes are consolidated before it is
//! evaluated.

use deltalake::datafusion::common::Result;
use deltalake::datafusion::logical_expr::{LogicalPlan, lit, when};

use super::build::{columns, consolidate, project};

/// A change restricted to rows of the old or the new snapshot: cancelled rows are removed before anything else is
/// computed. The engine moves conditions through groupings and into other conditions, so cancelled rows are also set to
/// NULL.
pub(super) fn consolidated_before_eval(change: LogicalPlan) -> Result<LogicalPlan> {
    let names = change.schema().clone();
    let settled = consolidate(change)?;
    let mut values = columns(settled.schema());
    let Some(weight) = values.pop() else { return Ok(settled) };
    let mut exprs = Vec::with_capacity(values.len() + 1);
    for (value, (relation, field)) in values.into_iter().zip(names.iter()) {
        let value = when(weight.clone().not_eq(lit(0_i64)), value).end()?;
        exprs.push(value.alias_qualified(relation.cloned(), field.name()));
    }
    exprs.push(weight);
    project(settled, exprs)
}
