//! Inner joins: `d(L ⋈ R) = dL ⋈ R' + L° ⋈ dR`. Both terms together count `dL ⋈ dR` exactly once.

use std::sync::Arc;

use deltalake::datafusion::common::{DataFusionError, JoinSide, NullEquality, Result};
use deltalake::datafusion::logical_expr::utils::merge_schema;
use deltalake::datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan};

use super::Side;
use super::build::{columns, join};
use super::derive::{Change, Deriver, reorder, sum_of};
use crate::sql::never_fails;

impl Deriver<'_> {
    /// The change of a join.
    pub(super) fn join_change(&mut self, node: &Join) -> Result<Option<Change>> {
        match node.join_type {
            // A condition that can fail is evaluated on pairs, whose sides must be both new or both old.
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
                if filter_can_fail(node) && self.changes(&node.left)? && self.changes(&node.right)? =>
            {
                self.full_change(node)
            }
            JoinType::Inner if filter_can_fail(node) => self.filtered_change(node),
            JoinType::Inner => self.inner_change(node),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => self.left_change(node),
            JoinType::Full => self.full_change(node),
            other => Err(DataFusionError::NotImplemented(format!("{other} join has no derivative"))),
        }
    }

    /// The change of a join whose condition can fail: the condition is evaluated after consolidation.
    fn filtered_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let joined = Join { filter: None, ..node.clone() };
        let filtered = match &node.filter {
            Some(filter) => Filter::try_new(filter.clone(), Arc::new(LogicalPlan::Join(joined)))?,
            None => return self.inner_change(node),
        };
        self.change(&LogicalPlan::Filter(filtered))
    }

    fn inner_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let flipped = node.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        let mut terms = Vec::with_capacity(2);
        let mut insert_only = true;
        if let Some((change, right)) = self.left_with_right(node)? {
            insert_only &= change.insert_only;
            terms.push(term(node, right, change.plan, flipped)?);
        }
        if let Some(change) = self.change(&node.right)? {
            let change = self.held(change)?;
            let left = self.matching(node, &change, JoinSide::Left, Side::Old)?;
            insert_only &= change.insert_only;
            terms.push(term(node, left, change.plan, node.on.clone())?);
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let plan = sum_of(terms, &node.schema)?;
        Ok(Some(Change { insert_only, ..Change::computed(plan) }))
    }

    /// The change of the left side, and the new rows of the right side that it can match.
    pub(super) fn left_with_right(&mut self, node: &Join) -> Result<Option<(Change, LogicalPlan)>> {
        let Some(change) = self.change(&node.left)? else { return Ok(None) };
        let change = self.held(change)?;
        let right = self.matching(node, &change, JoinSide::Right, Side::New)?;
        Ok(Some((change, right)))
    }

    /// The rows of one input that can match the change of the other one.
    fn matching(&mut self, node: &Join, change: &Change, input: JoinSide, side: Side) -> Result<LogicalPlan> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let (plan, own, theirs) = match input {
            JoinSide::Left => (&node.left, left_on, right_on),
            _ => (&node.right, right_on, left_on),
        };
        let keys = self.keys(&change.plan, &theirs, node.null_equality)?;
        let rows = self.side(plan, side)?;
        self.restrict_to(rows, keys.as_ref(), &own)
    }
}

fn filter_can_fail(node: &Join) -> bool {
    let schema = merge_schema(&[&node.left, &node.right]);
    node.filter.as_ref().is_some_and(|filter| !never_fails(filter, &schema))
}

/// One term. The restricted side is on the left, held in memory by a hash join; the change is streamed.
fn term(node: &Join, state: LogicalPlan, change: LogicalPlan, on: Vec<(Expr, Expr)>) -> Result<LogicalPlan> {
    let nulls: NullEquality = node.null_equality;
    let joined = join(state, change, on, node.filter.clone(), JoinType::Inner, nulls)?;
    reorder(joined, columns(&node.schema))
}
