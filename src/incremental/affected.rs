//! Grouping and windows: recompute the groups and partitions that a change touches, in the old and the new snapshot. Of
//! windows with bounded frames only the affected ranges of the partitions ([`super::frame`]).

use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Window};

use super::Side;
use super::build::{conform, difference, with_inputs};
use super::derive::{Change, Deriver, KeysOf};
use super::frame::Frame;
use crate::node::window_function;

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
        let (keys, exprs) = match self.framed(node, &change.plan, &exprs)? {
            Some(framed) => framed,
            None => (self.keys_or_gate(&change.plan, &exprs, NullEquality::NullEqualsNull)?, exprs),
        };
        if let LogicalPlan::Aggregate(aggregate) = node
            && let Some(change) = self.subtracted(aggregate, &change.plan, &keys)?
        {
            return Ok(Some(change));
        }
        let mut sides = Vec::with_capacity(2);
        for side in [Side::New, Side::Old] {
            let rows = self.side(input, side)?;
            sides.push(self.of_keys(node, rows, &keys, &exprs)?);
        }
        let (Some(old), Some(new)) = (sides.pop(), sides.pop()) else { return Ok(None) };
        let plan = conform(difference(new, old)?, node.schema())?;
        Ok(Some(Change::computed(plan)))
    }

    /// The affected ranges of a window whose frames are bounded, and the expressions that they restrict: those of the
    /// partition, then the order key.
    fn framed(
        &mut self,
        node: &LogicalPlan,
        change: &LogicalPlan,
        partition: &[Expr],
    ) -> Result<Option<(KeysOf, Vec<Expr>)>> {
        let LogicalPlan::Window(window) = node else { return Ok(None) };
        let Some(frame) = Frame::of(window) else { return Ok(None) };
        let exprs: Vec<Expr> = partition.iter().chain([&frame.order]).cloned().collect();
        Ok(self.framed_keys(change, &exprs, &frame)?.map(|keys| (keys, exprs)))
    }

    /// The groups or partitions of the keys, over the rows of a snapshot; of partitions only the ranges that the keys
    /// have. Those are of rows of the result, and the rows that they need are found by `restrict`.
    pub(super) fn of_keys(
        &mut self,
        node: &LogicalPlan,
        rows: LogicalPlan,
        keys: &KeysOf,
        exprs: &[Expr],
    ) -> Result<LogicalPlan> {
        if keys.range.is_some() {
            return self.restrict_to(with_inputs(node, vec![rows])?, Some(keys), exprs);
        }
        let rows = self.restrict_to(rows, Some(keys), exprs)?;
        with_inputs(node, vec![rows])
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
    window_function(expr).map(|function| function.params.partition_by.clone()).unwrap_or_default()
}
