//! Grouping and windows: recompute the groups and partitions that a change touches, in the old and the new snapshot.

use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Window};

use super::Side;
use super::build::{conform, difference, with_inputs};
use super::derive::{Change, Deriver};

impl Deriver<'_> {
    /// `F(X' ⋉ K) - F(X° ⋉ K)`. Without a key, all rows are one group.
    pub(super) fn affected_change(&mut self, node: &LogicalPlan) -> Result<Option<Change>> {
        let (input, exprs) = match node {
            LogicalPlan::Aggregate(a) => (&a.input, a.group_expr.clone()),
            LogicalPlan::Window(w) => (&w.input, common_partition(w)),
            _ => return Ok(None),
        };
        let Some(change) = self.change(input)? else { return Ok(None) };
        let change = self.held(change)?;
        let keys = self.keys_or_gate(&change.plan, &exprs, NullEquality::NullEqualsNull)?;
        let mut sides = Vec::with_capacity(2);
        for side in [Side::New, Side::Old] {
            let rows = self.side(input, side)?;
            let rows = self.restrict_to(rows, Some(&keys), &exprs)?;
            sides.push(with_inputs(node, vec![rows])?);
        }
        let (Some(old), Some(new)) = (sides.pop(), sides.pop()) else { return Ok(None) };
        let plan = conform(difference(new, old)?, node.schema())?;
        Ok(Some(Change::computed(plan)))
    }
}

/// The partition expressions that all window functions of a node share: rows that differ in one of them do not affect
/// each other.
pub(super) fn common_partition(window: &Window) -> Vec<Expr> {
    let mut partitions = window.window_expr.iter().map(partition_of);
    let mut common = partitions.next().unwrap_or_default();
    for partition in partitions {
        common.retain(|e| partition.contains(e));
    }
    common
}

fn partition_of(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::Alias(alias) => partition_of(&alias.expr),
        Expr::WindowFunction(function) => function.params.partition_by.clone(),
        _ => Vec::new(),
    }
}
