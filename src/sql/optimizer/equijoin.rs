//! Equalities in the condition of a join as its keys, for joins in which NULL equals NULL.
//!
//! A join has one null equality for all of its keys. `ExtractEquijoinPredicate` of DataFusion 55 makes
//! `x.k is not distinct from y.k` a key of a join in which NULL equals NULL, and then adds every `=` of a filter above
//! to its keys: `where x.a = y.a` was true for two NULLs. Here such a key keeps `is not null` beside it. A join without
//! keys has no null equality: the first `=` decides.

use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::common::{DFSchema, NullEquality, Result};
use deltalake::datafusion::logical_expr::utils::{
    can_hash, conjunction, find_valid_equijoin_key_pair, split_conjunction_owned,
};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator};
use deltalake::datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use deltalake::datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// `ExtractEquijoinPredicate`, for joins of either null equality.
#[derive(Debug, Default)]
pub(crate) struct EquijoinKeys(ExtractEquijoinPredicate);

impl OptimizerRule for EquijoinKeys {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        if join.on.is_empty() {
            join.null_equality = NullEquality::NullEqualsNothing;
        }
        match join.null_equality {
            NullEquality::NullEqualsNull => null_safe(join),
            NullEquality::NullEqualsNothing => self.0.rewrite(LogicalPlan::Join(join), config),
        }
    }
}

/// Moves `=` and `is not distinct from` of the condition to the keys. `l = r` is `l is not distinct from r` where one
/// of them is not NULL; that part can move to the input given by [`side_to_ask`].
fn null_safe(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(filter) = join.filter.take() else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let (left, right) = (join.left.schema(), join.right.schema());
    let (mut keys, mut rest) = (Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter) {
        let Some((op, l, r)) = key(&part, left, right)? else {
            rest.push(part);
            continue;
        };
        let both_may_be_null = l.nullable(left.as_ref())? && r.nullable(right.as_ref())?;
        if op == Operator::Eq && both_may_be_null {
            rest.push(side_to_ask(join.join_type, &l, &r).clone().is_not_null());
        }
        keys.push((l, r));
    }
    let found = !keys.is_empty();
    join.on.extend(keys);
    join.filter = conjunction(rest);
    let join = LogicalPlan::Join(join);
    Ok(if found { Transformed::yes(join) } else { Transformed::no(join) })
}

/// A conjunct that can be a key: its operator and its sides.
fn key(part: &Expr, left: &DFSchema, right: &DFSchema) -> Result<Option<(Operator, Expr, Expr)>> {
    let Expr::BinaryExpr(BinaryExpr { left: a, op: op @ (Operator::Eq | Operator::IsNotDistinctFrom), right: b }) =
        part
    else {
        return Ok(None);
    };
    let Some((l, r)) = find_valid_equijoin_key_pair(a, b, left, right)? else { return Ok(None) };
    let hashes = can_hash(&l.get_type(left)?) && can_hash(&r.get_type(right)?);
    Ok(hashes.then_some((*op, l, r)))
}

/// The side whose unmatched rows are not in the output: a condition on it can be evaluated before the join.
fn side_to_ask<'e>(join_type: JoinType, left: &'e Expr, right: &'e Expr) -> &'e Expr {
    match join_type {
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => left,
        _ => right,
    }
}
