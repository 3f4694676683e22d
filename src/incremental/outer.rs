//! Joins in which the output for a row depends on all rows that match it: left and full outer joins, and mark joins
//! (`exists` inside an expression).
//!
//! Left and mark joins, and likewise semi and anti joins, are linear in their left side, since each left row is
//! evaluated independently: `d(L ⟕ R) = dL ⟕ R' + (L° ⟕ R' - L° ⟕ R°)`. The bracket needs only the rows of `L°` whose
//! key is among the keys of `dR`; for the others both terms are equal. A full join is linear in neither side: its rows
//! are partitioned by key, and the keys of `dL` and `dR` are evaluated in the old and the new snapshot.

use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, lit};

use super::Side;
use super::WEIGHT;
use super::build::{add, columns, conform, difference, distinct, join, positional, project, with_inputs};
use super::derive::{Change, Deriver, KeysOf, reorder, sum_of};
use super::existence::{matched, matches_by_key};

impl Deriver<'_> {
    /// The change of a join that outputs left rows: left, mark, semi and anti joins.
    pub(super) fn left_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let mut terms = Vec::with_capacity(2);
        let mut insert_only = true;
        if let Some((change, right)) = self.left_with_right(node)? {
            insert_only &= change.insert_only;
            terms.push(reorder(join_left_rows(node, change.plan, right)?, columns(&node.schema))?);
        }
        if let Some(change) = self.change(&node.right)? {
            let change = self.held(change)?;
            if matches_by_key(node)? {
                terms.push(self.match_transitions(node, &change)?);
                // More rows on the right can only create matches.
                insert_only &= change.insert_only && node.join_type == JoinType::LeftSemi;
            } else {
                terms.push(self.requalify_old_rows(node, &change)?);
                insert_only = false;
            }
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let plan = sum_of(terms, &node.schema)?;
        Ok(Some(Change { insert_only, ..Change::computed(plan) }))
    }

    /// The old left rows that the right side's change can affect, joined with the new right side, minus joined with the
    /// old one.
    fn requalify_old_rows(&mut self, node: &Join, change: &Change) -> Result<LogicalPlan> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let keys = self.keys_or_gate(&change.plan, &right_on, node.null_equality)?;
        let mut terms = Vec::with_capacity(2);
        for (side, sign) in [(Side::New, 1_i64), (Side::Old, -1_i64)] {
            let rows = self.side(&node.left, Side::Old)?;
            let left = self.restrict_to(rows, Some(&keys), &left_on)?;
            let rows = self.side(&node.right, side)?;
            // A gate restricts the left side only: if it is closed, both terms are empty.
            let right_keys = (!keys.usable.is_empty()).then_some(&keys);
            let right = self.restrict_to(rows, right_keys, &right_on)?;
            let kept = join_left_rows(node, left, right)?;
            let mut exprs = columns(&node.schema);
            exprs.push(lit(sign).alias(WEIGHT));
            terms.push(project(kept, exprs)?);
        }
        sum_of(terms, &node.schema)
    }

    /// The change of a full join.
    pub(super) fn full_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let mut touched = Vec::with_capacity(2);
        for (input, on) in [(&node.left, &left_on), (&node.right, &right_on)] {
            if let Some(change) = self.change(input)? {
                let change = self.held(change)?;
                touched.push((change.plan, on));
            }
        }
        if touched.is_empty() {
            return Ok(None);
        }
        let keys = self.keys_of_all(&touched)?;
        let mut sides = Vec::with_capacity(2);
        for side in [Side::New, Side::Old] {
            let mut inputs = Vec::with_capacity(2);
            for (input, on) in [(&node.left, &left_on), (&node.right, &right_on)] {
                let rows = self.side(input, side)?;
                inputs.push(self.restrict_to(rows, keys.as_ref(), on)?);
            }
            sides.push(with_inputs(&LogicalPlan::Join(node.clone()), inputs)?);
        }
        let (Some(old), Some(new)) = (sides.pop(), sides.pop()) else { return Ok(None) };
        let plan = conform(difference(new, old)?, &node.schema)?;
        Ok(Some(Change::computed(plan)))
    }

    /// The keys of several changes as one step. NULL is a key: rows without a match have NULL on the other side.
    fn keys_of_all(&mut self, touched: &[(LogicalPlan, &Vec<Expr>)]) -> Result<Option<KeysOf>> {
        let Some((first, on)) = touched.first() else { return Ok(None) };
        let usable = super::derive::usable(first, on)?;
        if usable.is_empty() {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(touched.len());
        for (plan, on) in touched {
            let values = usable.iter().map(|&i| on[i].clone()).collect();
            parts.push(positional(plan.clone(), values, None)?);
        }
        let all = distinct(add(parts)?)?;
        let all = positional(all.clone(), columns(all.schema()), None)?;
        self.key_step(all, usable, NullEquality::NullEqualsNull).map(Some)
    }
}

/// The join over other inputs; the columns of the left side may be followed by a weight.
fn join_left_rows(node: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    match node.join_type {
        // The restricted side is held in memory by a hash join; the change is streamed.
        JoinType::Left => {
            let on = node.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
            join(right, left, on, node.filter.clone(), JoinType::Right, node.null_equality)
        }
        JoinType::LeftSemi | JoinType::LeftAnti => matched(node, left, right),
        other => join(left, right, node.on.clone(), node.filter.clone(), other, node.null_equality),
    }
}
