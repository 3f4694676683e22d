//! Changes in queries where something can fail, such as `x / y` and `cast(s as bigint)`: of which rows it may be asked.
//!
//! The terms of a change hold rows that are in no cut: in `dL ⋈ R' + L° ⋈ dR` a row that leaves `L` is beside the new rows
//! of `R`, once with -1 and once with +1, and a feed tells of rows that came and went between two syncs. They cancel; but
//! `l.x / r.y` would be computed of them first, and stop a sync at a zero that no query shows. So in queries where
//! something can fail such changes are added up at once.

use deltalake::datafusion::common::Result;
use deltalake::datafusion::logical_expr::{LogicalPlan, lit, when};

use super::build::{columns, consolidate, project};

/// A change whose rows are or were there: what cancels is gone before anything else is computed of it. The engine moves
/// conditions through groupings and into other conditions, so that what has cancelled is NULL besides.
pub fn consolidated_before_eval(change: LogicalPlan) -> Result<LogicalPlan> {
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
