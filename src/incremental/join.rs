//! Inner joins: `d(L ⋈ R) = dL ⋈ R' + L° ⋈ dR`. Both terms together count `dL ⋈ dR` exactly once.

use deltalake::datafusion::common::{DataFusionError, NullEquality, Result};
use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan};

use super::Side;
use super::build::{columns, join};
use super::derive::{Change, Deriver, reorder, sum_of};

impl Deriver<'_> {
    /// The change of a join.
    pub fn join_change(&mut self, node: &Join) -> Result<Option<Change>> {
        match node.join_type {
            JoinType::Inner => self.inner_change(node),
            JoinType::LeftSemi | JoinType::LeftAnti => self.existence_change(node),
            JoinType::Left | JoinType::LeftMark => self.left_change(node),
            JoinType::Full => self.full_change(node),
            other => Err(DataFusionError::NotImplemented(format!("{other} join has no derivative"))),
        }
    }

    fn inner_change(&mut self, node: &Join) -> Result<Option<Change>> {
        let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let flipped = node.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        let mut terms = Vec::new();
        let mut insert_only = true;
        if let Some(change) = self.change(&node.left)? {
            let change = self.held(change)?;
            let keys = self.keys(&change.plan, &left_on, node.null_equality)?;
            let rows = self.side(&node.right, Side::New)?;
            let right = self.restrict_to(rows, keys.as_ref(), &right_on)?;
            insert_only &= change.insert_only;
            terms.push(term(node, right, change.plan, flipped)?);
        }
        if let Some(change) = self.change(&node.right)? {
            let change = self.held(change)?;
            let keys = self.keys(&change.plan, &right_on, node.null_equality)?;
            let rows = self.side(&node.left, Side::Old)?;
            let left = self.restrict_to(rows, keys.as_ref(), &left_on)?;
            insert_only &= change.insert_only;
            terms.push(term(node, left, change.plan, node.on.clone())?);
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let plan = sum_of(terms, &node.schema)?;
        Ok(Some(Change::computed(plan, insert_only)))
    }
}

/// One term. The restricted side is on the left, held in memory by a hash join; the change streams past it.
fn term(node: &Join, state: LogicalPlan, change: LogicalPlan, on: Vec<(Expr, Expr)>) -> Result<LogicalPlan> {
    let nulls: NullEquality = node.null_equality;
    let joined = join(state, change, on, node.filter.clone(), JoinType::Inner, nulls)?;
    reorder(joined, columns(&node.schema))
}
