//! Semi and anti joins (`exists`, `in`, `not exists`).
//!
//! A row of the left side changes for two reasons: it was inserted or deleted itself, which `dL ⋉ R'` covers, or its
//! match began or ceased to exist. For the latter, only keys among the keys `K` of `dR` matter. Without a further
//! condition, the keys of `R' ⋉ K` and of `R° ⋉ K` differ by exactly the keys whose match begins or ends, and
//! `L° ⋈ flips` is the change. With a further condition, existence is a property of each left row, and the rows of
//! `L° ⋉ K` are evaluated against both snapshots.

use deltalake::datafusion::common::{Column, NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinType, LogicalPlan, lit};

use super::build::{columns, consolidate, difference, distinct, join, nth, positional, project, scan_step};
use super::derive::{Change, Deriver, KeysOf};
use super::restrict::Keys;
use super::{Side, WEIGHT};

impl Deriver<'_> {
    /// The left rows whose match began (+) or ceased (-) to exist.
    pub(super) fn match_transitions(&mut self, node: &Join, change: &Change) -> Result<LogicalPlan> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let keys = self.keys(&change.plan, &right_on, node.null_equality)?;
        let mut existing = Vec::with_capacity(2);
        for side in [Side::New, Side::Old] {
            let rows = self.side(&node.right, side)?;
            let right = self.restrict_to(rows, keys.as_ref(), &right_on)?;
            existing.push(distinct(positional(right, right_on.clone(), None)?)?);
        }
        let (Some(old), Some(new)) = (existing.pop(), existing.pop()) else {
            return Err(deltalake::datafusion::common::DataFusionError::Internal("two sides expected".into()));
        };
        let flips = consolidate(difference(new, old)?)?;
        let schema = flips.schema().clone();
        let scan = self.step(flips)?;
        let step = match &scan {
            LogicalPlan::TableScan(s) => s.table_name.table().to_owned(),
            _ => String::new(),
        };
        let of = KeysOf {
            keys: Keys { step: step.clone(), schema: schema.clone(), nulls: node.null_equality },
            usable: (0..left_on.len()).collect(),
            range: None,
            needed: None,
        };
        let rows = self.side(&node.left, Side::Old)?;
        let left = self.restrict_to(rows, Some(&of), &left_on)?;
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

/// Whether a semi or anti join has only a condition on equal keys that can be counted.
pub(super) fn matches_by_key(node: &Join) -> Result<bool> {
    if !matches!(node.join_type, JoinType::LeftSemi | JoinType::LeftAnti) || node.filter.is_some() {
        return Ok(false);
    }
    for (left, right) in &node.on {
        for of_type in [left.get_type(node.left.schema().as_ref())?, right.get_type(node.right.schema().as_ref())?] {
            if of_type.is_floating() || of_type.is_nested() {
                return Ok(false);
            }
        }
    }
    Ok(!node.on.is_empty())
}

/// `left ⋉ right` or `left ▷ right`, with the left side streamed.
pub(super) fn matched(node: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
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
