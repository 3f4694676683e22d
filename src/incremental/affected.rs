//! Grouping and windows: recompute the groups and partitions that a change touches, in the old and the new snapshot. Of
//! windows that reach not further than some distance or some rows only the affected ranges of the partitions
//! ([`super::frame`], [`super::neighbours`]).

use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Window};

use super::Side;
use super::build::{conform, difference, with_inputs};
use super::derive::{Change, Deriver, KeysOf};
use super::reach::Reach;
use super::restrict::here;
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
        let (keys, exprs) = match self.ranges(node, &change.plan, &exprs)? {
            Some(ranges) => ranges,
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

    /// The affected ranges of a window that reaches not far, and the expressions that they restrict: those of the
    /// partition, then the order key.
    fn ranges(
        &mut self,
        node: &LogicalPlan,
        change: &LogicalPlan,
        partition: &[Expr],
    ) -> Result<Option<(KeysOf, Vec<Expr>)>> {
        let LogicalPlan::Window(window) = node else { return Ok(None) };
        let Some(reach) = Reach::of(window) else { return Ok(None) };
        let exprs: Vec<Expr> = partition.iter().chain([reach.order()]).cloned().collect();
        Ok(self.reached(&window.input, change, &exprs, &reach)?.map(|keys| (keys, exprs)))
    }

    /// The keys of the touched partitions, and the ranges in which a change affects rows. The order key is the last one
    /// of the expressions. `None` if there are no such keys.
    pub(super) fn reached(
        &mut self,
        input: &LogicalPlan,
        change: &LogicalPlan,
        exprs: &[Expr],
        reach: &Reach,
    ) -> Result<Option<KeysOf>> {
        match reach {
            Reach::Distance(frame) => self.framed_keys(change, exprs, frame),
            Reach::Rows(neighbours) => self.neighbour_keys(input, change, exprs, neighbours),
        }
    }

    /// The groups or partitions of the keys, over the rows of a snapshot; of partitions only the ranges that the keys
    /// have. Those are of rows of the result. The rows that they need are in a range of their own, or found by `restrict`.
    pub(super) fn of_keys(
        &mut self,
        node: &LogicalPlan,
        rows: LogicalPlan,
        keys: &KeysOf,
        exprs: &[Expr],
    ) -> Result<LogicalPlan> {
        if keys.needed.is_some() {
            let rows = self.restrict(rows, &keys.keys, keys.on(exprs, keys.needed))?;
            return here(with_inputs(node, vec![rows])?, &keys.keys, keys.on(exprs, keys.range));
        }
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
