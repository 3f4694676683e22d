//! Semi and anti joins (`exists`, `in`, `not exists`).
//!
//! A row of the left side changes for two reasons: it came or went itself, which `dL ⋉ R'` counts, or its match came
//! into being or ceased. For the latter, only keys among the keys `K` of `dR` matter:
//! without a further condition, the keys of `R' ⋉ K` and of `R° ⋉ K` differ by exactly the keys that flipped, and
//! `L° ⋈ flips` is the change; with one, existence is a property of each left row, and the rows of `L° ⋉ K` are asked
//! twice.

use deltalake::datafusion::common::{Column, NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinType, LogicalPlan, lit};

use super::build::{columns, consolidate, difference, distinct, join, nth, positional, project, scan_step};
use super::derive::{Change, Deriver, KeysOf, sum_of};
use super::restrict::Keys;
use super::{Side, StepKind, WEIGHT};

impl Deriver<'_> {
    /// The change of a semi or anti join.
    pub fn existence_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let mut terms = Vec::new();
        let mut insert_only = true;
        let anti = node.join_type == JoinType::LeftAnti;
        if let Some(change) = self.change(&node.left)? {
            let change = self.held(change)?;
            let keys = self.keys(&change.plan, &left_on, node.null_equality)?;
            let rows = self.side(&node.right, Side::New)?;
            let right = self.restrict_to(rows, keys.as_ref(), &right_on)?;
            insert_only &= change.insert_only;
            terms.push(matched(node, change.plan, right)?);
        }
        if let Some(change) = self.change(&node.right)? {
            let change = self.held(change)?;
            if node.filter.is_none() && comparable(&left_on, &node.left)? && comparable(&right_on, &node.right)? {
                let keys = self.keys(&change.plan, &right_on, node.null_equality)?;
                terms.push(self.flipped(node, keys.as_ref(), &left_on, &right_on)?);
                // More rows on the right can only create matches.
                insert_only &= change.insert_only && !anti;
            } else {
                terms.push(self.asked_twice(node, &change)?);
                insert_only = false;
            }
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let plan = sum_of(terms, &node.schema)?;
        Ok(Some(Change::computed(plan, insert_only)))
    }

    /// The left rows whose match came into being (+) or ceased (-).
    fn flipped(
        &mut self,
        node: &Join,
        keys: Option<&KeysOf>,
        left_on: &[Expr],
        right_on: &[Expr],
    ) -> Result<LogicalPlan> {
        let mut existing = Vec::with_capacity(2);
        for side in [Side::New, Side::Old] {
            let rows = self.side(&node.right, side)?;
            let right = self.restrict_to(rows, keys, right_on)?;
            existing.push(distinct(positional(right, right_on.to_vec(), None)?)?);
        }
        let (Some(old), Some(new)) = (existing.pop(), existing.pop()) else {
            return Err(deltalake::datafusion::common::DataFusionError::Internal("two sides expected".into()));
        };
        let flips = consolidate(difference(new, old)?)?;
        let schema = flips.schema().clone();
        let scan = self.step(flips, StepKind::Keys)?;
        let step = match &scan {
            LogicalPlan::TableScan(s) => s.table_name.table().to_owned(),
            _ => String::new(),
        };
        let of = KeysOf {
            keys: Keys { step: step.clone(), schema: schema.clone(), nulls: node.null_equality },
            usable: (0..left_on.len()).collect(),
        };
        let rows = self.side(&node.left, Side::Old)?;
        let left = self.restrict_to(rows, Some(&of), left_on)?;
        let key = |i: usize| Expr::Column(Column::new(Some(step.as_str()), nth(i)));
        let on = left_on.iter().enumerate().map(|(i, l)| (key(i), l.clone())).collect();
        let nulls: NullEquality = node.null_equality;
        let rows = columns(left.schema());
        let joined = join(scan_step(&step, &schema)?, left, on, None, JoinType::Inner, nulls)?;
        let w = Expr::Column(Column::new(Some(step.as_str()), WEIGHT));
        let signed = if node.join_type == JoinType::LeftAnti { lit(0_i64) - w } else { w };
        let mut exprs = rows;
        exprs.push(signed.alias(WEIGHT));
        project(joined, exprs)
    }
}

/// Whether expressions are keys that can be counted, at least one.
fn comparable(exprs: &[Expr], plan: &LogicalPlan) -> Result<bool> {
    for expr in exprs {
        let of_type = expr.get_type(plan.schema().as_ref())?;
        if of_type.is_floating() || of_type.is_nested() {
            return Ok(false);
        }
    }
    Ok(!exprs.is_empty())
}

/// `left ⋉ right` or `left ▷ right`, with the left side streaming past the right one.
pub fn matched(node: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    let join_type = if node.join_type == JoinType::LeftAnti { JoinType::RightAnti } else { JoinType::RightSemi };
    if node.filter.is_some() || node.on.is_empty() {
        let on = node.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        return join(right, left, on, node.filter.clone(), join_type, node.null_equality);
    }
    // Existence needs each key once.
    let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
    let keys = distinct(positional(right, right_on, None)?)?;
    let on = columns(keys.schema()).into_iter().zip(left_on).collect();
    join(keys, left, on, None, join_type, node.null_equality)
}
