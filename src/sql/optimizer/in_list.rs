//! `in` and `not in` over lists of values with SQL's meaning, before the engine simplifies them.
//!
//! The simplifier of DataFusion 55 merges two lists about one value by their elements alone. It treats NULL in a list
//! as a value, so that `x in (1, null) and x not in (2, null)` keeps 1; it treats a column as different from any
//! literal, so that `x in (y, 1) and x in (2)` keeps nothing; and an empty result is false or true even if `x` is NULL,
//! so that `x not in (1) or x not in (2)` keeps that row. Here NULL and columns are moved out of the lists, and lists
//! about one value become one list, so that the engine has nothing to merge. (Unless it has folded constants or moved
//! casts first.)

use std::collections::HashSet;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::InList;
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, binary_expr, lit};
use deltalake::datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::node::with_expressions;

/// Lists that the engine cannot misread.
#[derive(Debug)]
pub(crate) struct Lists;

impl OptimizerRule for Lists {
    fn name(&self) -> &'static str {
        "lists"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        with_expressions(plan, |expr| match expr {
            Expr::GroupingSet(_) => Ok(Transformed::no(expr)),
            expr => rewritten(expr),
        })
    }
}

/// One expression, for callers that use the engine's simplifier without a plan.
///
/// # Errors
/// None is known.
pub(crate) fn as_sql_has_them(expr: Expr) -> Result<Expr> {
    rewritten(expr).map(|rewritten| rewritten.data)
}

/// An expression in which each chain of `and` and `or` is processed once, as a whole.
fn rewritten(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(_) => {
            let inner = expr.map_children(rewritten)?;
            Ok(inner.transform_data(|e| match e {
                Expr::InList(list) => Ok(split(list)),
                other => Ok(Transformed::no(other)),
            })?)
        }
        Expr::Not(inner) if holds_a_list(&inner) => Ok(Transformed::yes(rewritten(negated(*inner))?.data)),
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
            let (mut members, mut changed) = (Vec::new(), false);
            for member in members_of(&expr, op) {
                let member = rewritten(member.clone())?;
                changed |= member.transformed;
                // A rewritten list may be a chain of this kind.
                if member.transformed {
                    members.extend(members_of(&member.data, op).into_iter().cloned());
                } else {
                    members.push(member.data);
                }
            }
            if let Some(fewer) = merged(&members, op) {
                return Ok(Transformed::yes(chain(fewer, op)));
            }
            Ok(if changed { Transformed::yes(chain(members, op)) } else { Transformed::no(expr) })
        }
        other => other.map_children(rewritten),
    }
}

/// The members of a chain of one operator.
fn members_of(expr: &Expr, op: Operator) -> Vec<&Expr> {
    let (mut members, mut left) = (Vec::new(), vec![expr]);
    while let Some(next) = left.pop() {
        match next {
            Expr::BinaryExpr(inner) if inner.op == op => left.extend([inner.right.as_ref(), inner.left.as_ref()]),
            other => members.push(other),
        }
    }
    members
}

/// `x in (1, y, null)` as `x in (1) or x = y or null`.
fn split(list: InList) -> Transformed<Expr> {
    let values: Option<Vec<ScalarValue>> = list.list.iter().map(value).collect();
    if list.list.is_empty()
        || list.expr.is_volatile()
        || values.is_some_and(|values| values.iter().all(|v| !v.is_null()))
    {
        return Transformed::no(Expr::InList(list));
    }
    let x = list.expr;
    let (mut known, mut others, mut null) = (Vec::new(), Vec::new(), false);
    for element in list.list {
        match value(&element) {
            Some(found) if found.is_null() => null = true,
            Some(_) => known.push(element),
            None => others.push(x.as_ref().clone().eq(element)),
        }
    }
    if !known.is_empty() {
        others.insert(0, Expr::InList(InList { expr: x, list: known, negated: false }));
    }
    if null {
        others.push(lit(ScalarValue::Boolean(None)));
    }
    let any = chain(others, Operator::Or);
    Transformed::yes(if list.negated { negated(any) } else { any })
}

/// The value of an expression that is a literal of a list.
fn value(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(cast) => value(&cast.expr)?.cast_to(cast.field.data_type()).ok(),
        _ => None,
    }
}

/// Whether a preceding `not` would be moved into a list.
fn holds_a_list(expr: &Expr) -> bool {
    match expr {
        Expr::InList(_) => true,
        Expr::Not(inner) => holds_a_list(inner),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            holds_a_list(left) || holds_a_list(right)
        }
        _ => false,
    }
}

/// Pushes `not` down as far as possible, to merge the lists that meet.
fn negated(expr: Expr) -> Expr {
    match expr {
        Expr::InList(list) => Expr::InList(InList { negated: !list.negated, ..list }),
        Expr::Not(inner) => *inner,
        Expr::Literal(ScalarValue::Boolean(None), _) => expr,
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => left.not_eq(*right),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::NotEq, right }) => Expr::eq(*left, *right),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let op = if op == Operator::And { Operator::Or } else { Operator::And };
            binary_expr(negated(*left), op, negated(*right))
        }
        other => Expr::Not(Box::new(other)),
    }
}

fn chain(members: Vec<Expr>, op: Operator) -> Expr {
    members.into_iter().reduce(|all, next| binary_expr(all, op, next)).unwrap_or_else(|| lit(op == Operator::And))
}

/// The members of a chain with one list about each value; `None` if there is nothing to merge.
fn merged(members: &[Expr], op: Operator) -> Option<Vec<Expr>> {
    let mut groups: Vec<Vec<(usize, Set)>> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let Some(set) = Set::of(member) else { continue };
        match groups.iter_mut().find(|group| group[0].1.x == set.x) {
            Some(group) => group.push((at, set)),
            None => groups.push(vec![(at, set)]),
        }
    }
    // The engine rewrites short lists to `x = 1 or x = 2`.
    let engines = if op == Operator::Or { Operator::Eq } else { Operator::NotEq };
    let is_engines = |at: usize| matches!(&members[at], Expr::BinaryExpr(comparison) if comparison.op == engines);
    groups.retain(|group| group.len() > 1 && !group.iter().all(|(at, _)| is_engines(*at)));
    if groups.is_empty() {
        return None;
    }
    let mut members: Vec<Option<Expr>> = members.iter().cloned().map(Some).collect();
    for group in groups {
        let first = group[0].0;
        group.iter().for_each(|(at, _)| members[*at] = None);
        let sets = group.into_iter().map(|(_, set)| set);
        members[first] = sets.reduce(|all, next| all.with(next, op)).map(Set::into_expr);
    }
    Some(members.into_iter().flatten().collect())
}

/// `x in (values)` or `x not in (values)`; NULL if `x` is NULL, even without any value.
struct Set {
    x: Expr,
    negated: bool,
    values: Vec<ScalarValue>,
}

impl Set {
    /// The set of an expression that is only about one value.
    fn of(expr: &Expr) -> Option<Self> {
        let (x, negated, values) = match expr {
            Expr::InList(list) => {
                (list.expr.as_ref(), list.negated, list.list.iter().map(value).collect::<Option<_>>()?)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right }) => {
                let (x, value) = match (value(left), value(right)) {
                    (None, Some(value)) => (left, value),
                    (Some(value), None) => (right, value),
                    _ => return None,
                };
                (x.as_ref(), *op == Operator::NotEq, vec![value])
            }
            Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
                let mut sets = members_of(expr, *op).into_iter().map(Self::of);
                let first = sets.next()??;
                return sets
                    .try_fold(first, |all, next| next.filter(|set| set.x == all.x).map(|set| all.with(set, *op)));
            }
            _ => return None,
        };
        let values: Vec<ScalarValue> = values;
        let is_set_of = !values.is_empty() && !values.iter().any(ScalarValue::is_null) && !x.is_volatile();
        is_set_of.then(|| Self { x: x.clone(), negated, values })
    }

    /// The conjunction or disjunction of both.
    fn with(mut self, mut other: Self, op: Operator) -> Self {
        if self.negated != other.negated && self.negated == (op == Operator::And) {
            std::mem::swap(&mut self, &mut other);
        }
        let theirs: HashSet<&ScalarValue> = other.values.iter().collect();
        if self.negated != other.negated {
            // The values that only one of the lists has.
            self.values.retain(|value| !theirs.contains(value));
        } else if self.negated == (op == Operator::And) {
            let ours: HashSet<ScalarValue> = self.values.iter().cloned().collect();
            self.values.extend(other.values.into_iter().filter(|value| !ours.contains(value)));
        } else {
            self.values.retain(|value| theirs.contains(value));
        }
        self
    }

    fn into_expr(self) -> Expr {
        let null = lit(ScalarValue::Boolean(None));
        match (self.values.is_empty(), self.negated) {
            (true, false) => self.x.is_null().and(null),
            (true, true) => self.x.is_not_null().or(null),
            (false, negated) => self.x.in_list(self.values.into_iter().map(lit).collect(), negated),
        }
    }
}
