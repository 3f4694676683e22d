//! Subqueries in the condition of a join, for which the engine has no plan: evaluated on the rows of one side before
//! the join, or on the joined rows after it.
//!
//! `a left join b on a.k = b.k and b.v in (S)` joins the rows of `b` that are in `S`;
//! `a left join b on a.k = b.k and a.v in (S)` keeps every row of `a`, so that `a.v in (S)` becomes a column of `a`.

use std::sync::Arc;

use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, Result};
use deltalake::datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use deltalake::datafusion::logical_expr::utils::{conjunction, split_conjunction};
use deltalake::datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder};
use deltalake::datafusion::optimizer::AnalyzerRule;

use crate::determinism::{Code, Reason};

/// The rule; runs before the engine checks the plan.
#[derive(Debug)]
pub(crate) struct Beside;

impl AnalyzerRule for Beside {
    fn name(&self) -> &'static str {
        "beside"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut number = 0;
        let rewritten = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::Join(join) => asked_beside(join, &mut number),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(rewritten.data)
    }
}

/// A join without a subquery in its condition. A subquery over both sides of an outer join has no plan.
fn asked_beside(of: Join, number: &mut usize) -> Result<Transformed<LogicalPlan>> {
    if !of.on.iter().any(|(l, r)| asks(l) || asks(r)) && !of.filter.iter().any(asks) {
        return Ok(Transformed::no(LogicalPlan::Join(of)));
    }
    let shown = columns(&of.schema);
    let mut sides = [Asked::of(&of.left), Asked::of(&of.right)];
    let mut on = of.on.clone();
    for (left, right) in &mut on {
        for (expr, side) in [left, right].into_iter().zip(&mut sides) {
            if asks(expr) {
                *expr = side.column(expr.clone(), number);
            }
        }
    }
    // The side whose unmatched rows are not in the output.
    let unseen = match of.join_type {
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => Some(1),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => Some(0),
        JoinType::Inner | JoinType::Full => None,
    };
    let (mut asked, mut after) = (Vec::new(), Vec::new());
    for part in of.filter.iter().flat_map(split_conjunction) {
        if !asks(part) {
            asked.push(part.clone());
        } else if of.join_type == JoinType::Inner {
            after.push(part.clone());
        } else if let Some(side) = unseen.filter(|side| sides[*side].sees(part)) {
            sides[side].conditions.push(part.clone());
        } else {
            let mut lost = false;
            let part = part.clone().transform_down(|e| {
                if !is_subquery(&e) {
                    return Ok(Transformed::no(e));
                }
                match sides.iter_mut().find(|side| side.sees(&e)) {
                    Some(side) => Ok(Transformed::new(side.column(e, number), true, TreeNodeRecursion::Jump)),
                    None => {
                        lost = true;
                        Ok(Transformed::no(e))
                    }
                }
            })?;
            if lost {
                let text = "a subquery in `on` of an outer join looks at both sides: join them in a subquery";
                return Err(DataFusionError::Plan(Reason::new(Code::SubqueryNotPlanned, text).to_string()));
            }
            asked.push(part.data);
        }
    }
    let [left, right] = sides;
    let (left, right, asked) = (Arc::new(left.plan()?), Arc::new(right.plan()?), conjunction(asked));
    let mut joined = LogicalPlanBuilder::from(LogicalPlan::Join(Join::try_new(
        left,
        right,
        on,
        asked,
        of.join_type,
        of.join_constraint,
        of.null_equality,
        of.null_aware,
    )?));
    if let Some(after) = conjunction(after) {
        joined = joined.filter(after)?;
    }
    if joined.schema().fields().len() != shown.len() {
        joined = joined.project(shown)?;
    }
    joined.build().map(Transformed::yes)
}

fn columns(schema: &DFSchema) -> Vec<Expr> {
    schema.iter().map(Expr::from).collect()
}

/// Whether an expression is a subquery itself.
#[must_use]
pub(crate) fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|e| Ok(is_subquery(e))).unwrap_or(true)
}

/// One side of a join and the subqueries evaluated on its rows.
struct Asked {
    plan: Arc<LogicalPlan>,
    conditions: Vec<Expr>,
    columns: Vec<Expr>,
}

impl Asked {
    fn of(plan: &Arc<LogicalPlan>) -> Self {
        Self { plan: Arc::clone(plan), conditions: Vec::new(), columns: Vec::new() }
    }

    /// Whether an expression uses only columns of this side.
    fn sees(&self, expr: &Expr) -> bool {
        let has = |c: &Column| self.plan.schema().maybe_index_of_column(c).is_some();
        let outer = |e: &Expr| matches!(e, Expr::OuterReferenceColumn(_, c) if has(c));
        let alien = expr.exists(|e| {
            Ok(match e {
                Expr::Column(c) => !has(c),
                Expr::ScalarSubquery(of)
                | Expr::Exists(Exists { subquery: of, .. })
                | Expr::InSubquery(InSubquery { subquery: of, .. })
                | Expr::SetComparison(SetComparison { subquery: of, .. }) => !of.outer_ref_columns.iter().all(outer),
                _ => false,
            })
        });
        !alien.unwrap_or(true)
    }

    /// Makes an expression a column of this side.
    fn column(&mut self, expr: Expr, number: &mut usize) -> Expr {
        let column = Column::new(Some(format!("_beside_{number}")), "x");
        *number += 1;
        self.columns.push(expr.alias_qualified(column.relation.clone(), &column.name));
        Expr::Column(column)
    }

    fn plan(self) -> Result<LogicalPlan> {
        let plan = match conjunction(self.conditions) {
            Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, self.plan)?),
            None => Arc::unwrap_or_clone(self.plan),
        };
        if self.columns.is_empty() {
            return Ok(plan);
        }
        let all: Vec<Expr> = columns(plan.schema()).into_iter().chain(self.columns).collect();
        LogicalPlanBuilder::from(plan).project(all)?.build()
    }
}
