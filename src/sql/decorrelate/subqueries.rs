//! `in` and `exists` in the shapes that the engine rewrites into joins, with SQL's meaning.
//!
//! The engine alone evaluates `x in (S)` inside `or`, `case` or `not` to false where SQL says NULL, plans
//! `x not in (S)` with an operator that supports one key only, and has no plan for `exists` in a select list. So:
//!
//! - `x not in (S)` as a condition: `not exists (S: y = x) and not exists (S: y is null) and not exists (S: x is null)`;
//! - `x in (S)` inside an expression: `case when exists (S: y = x) then true when exists (S: y is null) or
//!   x is null and exists (S) then null else false end`;
//! - `exists (S)` in a select list: `(select count(*) > 0 from S)`.

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{
    Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue, TableReference,
};
use deltalake::datafusion::functions_aggregate::expr_fn::count;
use deltalake::datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::utils::{conjunction, split_conjunction};
use deltalake::datafusion::logical_expr::{Aggregate, Case, Expr, ExprSchemable, Filter, LogicalPlan, Subquery, lit};

use crate::sql::analyse::subquery_in_join_condition::is_subquery;
use crate::sql::shapes::{column, columns, project};

/// Computes subqueries as columns below their operator:
///
/// - in `x in (S)` and `x = any (S)` the whole `x` that contains one. Both rewritings, ours and the engine's, put `x`
///   among the rows of `S`, where a column of the same name would capture it;
/// - those in a grouping, an aggregate or a window: only projections and filters are rewritten.
pub(crate) fn asked_first(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut number = 0;
    let rewritten = plan.transform_down_with_subqueries(|node| {
        let all = match &node {
            LogicalPlan::Filter(_) | LogicalPlan::Projection(_) => false,
            LogicalPlan::Aggregate(a) => {
                if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
                    return Ok(Transformed::no(node));
                }
                true
            }
            LogicalPlan::Window(_) | LogicalPlan::Sort(_) => true,
            _ => return Ok(Transformed::no(node)),
        };
        let mut asked = Vec::new();
        let mut column_of = |expr: &mut Expr| {
            let column = Column::new(Some(format!("_asked_{number}")), "x");
            number += 1;
            let asks = std::mem::replace(expr, Expr::Column(column.clone()));
            asked.push(asks.alias_qualified(column.relation, column.name));
        };
        let mut hoist = |mut e: Expr| {
            if all && is_subquery(&e) {
                column_of(&mut e);
                return Ok(Transformed::new(e, true, TreeNodeRecursion::Jump));
            }
            match &mut e {
                Expr::InSubquery(InSubquery { expr, .. }) | Expr::SetComparison(SetComparison { expr, .. })
                    if expr.exists(|e| Ok(is_subquery(e)))? =>
                {
                    column_of(expr);
                    Ok(Transformed::yes(e))
                }
                _ => Ok(Transformed::no(e)),
            }
        };
        let names = NamePreserver::new(&node);
        let exprs = node.expressions().into_iter().map(|expr| {
            let name = names.save(&expr);
            Ok(name.restore(expr.transform_down(&mut hoist)?.data))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        if asked.is_empty() {
            return Ok(Transformed::no(node));
        }
        let input = node.inputs()[0].clone();
        asked.splice(0..0, columns(input.schema()));
        let shown = columns(node.schema());
        let node = node.with_new_exprs(exprs, vec![project(input, asked)?])?;
        Ok(Transformed::yes(if let LogicalPlan::Filter(_) = &node { project(node, shown)? } else { node }))
    })?;
    Ok(rewritten.data)
}

/// Rewrites the subqueries in the expressions of one operator.
///
/// # Errors
/// A scalar subquery may give several rows: only the engine can report that, at run time.
pub(crate) fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !has_subquery(&node)? {
        return Ok(Transformed::no(node));
    }
    match node {
        LogicalPlan::Filter(filter) => {
            let schema = filter.input.schema();
            let parts = split_conjunction(&filter.predicate);
            let parts = parts.into_iter().map(|part| condition(part, schema)).collect::<Result<Vec<_>>>()?;
            let predicate = conjunction(parts).unwrap_or_else(|| lit(true));
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        LogicalPlan::Projection(projection) => {
            let schema = Arc::clone(projection.input.schema());
            let names = NamePreserver::new_for_projection();
            let mut exprs = Vec::with_capacity(projection.expr.len());
            for expr in projection.expr {
                let name = names.save(&expr);
                let expr = counted(value(expr, &schema)?)?;
                exprs.push(name.restore(expr));
            }
            Ok(Transformed::yes(project(Arc::unwrap_or_clone(projection.input), exprs)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

pub(crate) fn has_subquery(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    for expr in node.expressions() {
        expr.apply(|e| {
            match e {
                Expr::ScalarSubquery(subquery) => {
                    found = true;
                    if subquery.outer_ref_columns.is_empty() && !one_row(&subquery.subquery) {
                        return Err(DataFusionError::Plan("a scalar subquery may give several rows".into()));
                    }
                }
                Expr::InSubquery(_) | Expr::Exists(_) => found = true,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(found)
}

/// Whether a plan gives at most one row for any content of its tables.
pub(crate) fn one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(a) => a.group_expr.is_empty(),
        LogicalPlan::Projection(p) => one_row(&p.input),
        LogicalPlan::SubqueryAlias(a) => one_row(&a.input),
        LogicalPlan::Filter(f) => one_row(&f.input),
        LogicalPlan::Sort(s) => s.fetch == Some(1) || one_row(&s.input),
        LogicalPlan::Limit(l) => {
            matches!(l.fetch.as_deref(), Some(Expr::Literal(ScalarValue::Int64(Some(0 | 1)), _))) || one_row(&l.input)
        }
        LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    }
}

/// A conjunct of a `where`: NULL counts as false.
pub(crate) fn condition(part: &Expr, schema: &DFSchema) -> Result<Expr> {
    match part {
        Expr::InSubquery(InSubquery { negated: false, .. }) | Expr::Exists(_) => Ok(part.clone()),
        Expr::InSubquery(within) => not_in(within, schema),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => condition(
                &Expr::InSubquery(InSubquery { expr: expr.clone(), subquery: subquery.clone(), negated: !negated }),
                schema,
            ),
            Expr::Exists(_) => Ok(part.clone()),
            _ => value(part.clone(), schema),
        },
        _ => value(part.clone(), schema),
    }
}

fn not_in(within: &InSubquery, schema: &DFSchema) -> Result<Expr> {
    let of = Members::of(within, schema)?;
    let mut all = vec![of.exists(of.y.clone().eq(of.x.clone()), true)?];
    if of.y.nullable(of.subquery.subquery.schema().as_ref())? {
        all.push(of.exists(of.y.clone().is_null(), true)?);
    }
    if within.expr.nullable(schema)? {
        all.push(of.exists(of.x.clone().is_null(), true)?);
    }
    Ok(conjunction(all).unwrap_or_else(|| lit(true)))
}

/// `x in (S)` as a condition: `exists (S: y = x)`.
pub(crate) fn is_member(within: &InSubquery, schema: &DFSchema) -> Result<Expr> {
    let of = Members::of(within, schema)?;
    of.exists(of.y.clone().eq(of.x.clone()), false)
}

/// An expression whose NULL matters.
pub(crate) fn value(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|e| match e {
        Expr::InSubquery(within) => Ok(Transformed::yes(membership(&within, schema)?)),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn membership(within: &InSubquery, schema: &DFSchema) -> Result<Expr> {
    let of = Members::of(within, schema)?;
    let (no, yes) = if within.negated { (true, false) } else { (false, true) };
    let mut unknown = Vec::new();
    if of.y.nullable(of.subquery.subquery.schema().as_ref())? {
        unknown.push(of.exists(of.y.clone().is_null(), false)?);
    }
    if within.expr.nullable(schema)? {
        let any = Expr::Exists(Exists { subquery: of.subquery.clone(), negated: false });
        unknown.push(within.expr.as_ref().clone().is_null().and(any));
    }
    let mut when = vec![(Box::new(of.exists(of.y.clone().eq(of.x.clone()), false)?), Box::new(lit(yes)))];
    if let Some(unknown) = unknown.into_iter().reduce(Expr::or) {
        when.push((Box::new(unknown), Box::new(lit(ScalarValue::Boolean(None)))));
    }
    Ok(Expr::Case(Case { expr: None, when_then_expr: when, else_expr: Some(Box::new(lit(no))) }))
}

/// A relation name that the plan does not use. Without it, `k in (select k from a)` over `a` would compare `a.k = a.k`.
fn member_name(plan: &LogicalPlan) -> TableReference {
    let text = plan.display_indent().to_string();
    let mut names = (0..).map(|n| format!("_member_{n}"));
    TableReference::bare(names.find(|name| !text.contains(name)).unwrap_or_default())
}

/// The parts of `x in (select y ...)`.
struct Members {
    subquery: Subquery,
    /// `x` in the scope of the subquery.
    x: Expr,
    y: Expr,
    references: Vec<Expr>,
}

impl Members {
    fn of(within: &InSubquery, schema: &DFSchema) -> Result<Self> {
        let mut references = Vec::new();
        let x = within.expr.as_ref().clone().transform(|e| match e {
            Expr::Column(column) => {
                let field = schema.field_from_column(&column)?;
                let outer = Expr::OuterReferenceColumn(Arc::clone(field), column);
                references.push(outer.clone());
                Ok(Transformed::yes(outer))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let plan = within.subquery.subquery.as_ref();
        let name = member_name(plan);
        let y = column(plan.schema(), 0).alias_qualified(Some(name), "y");
        let plan = project(plan.clone(), vec![y])?;
        let y = column(plan.schema(), 0);
        let subquery = Subquery { subquery: Arc::new(plan), ..within.subquery.clone() };
        Ok(Self { subquery, x: x.data, y, references })
    }

    /// `[not] exists (the subquery where ...)`.
    fn exists(&self, predicate: Expr, negated: bool) -> Result<Expr> {
        let mut outer_ref_columns = self.subquery.outer_ref_columns.clone();
        let uses_x = predicate.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))?;
        if uses_x {
            outer_ref_columns.extend(self.references.clone());
        }
        let filtered = LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(&self.subquery.subquery))?);
        let subquery = Subquery { subquery: Arc::new(filtered), outer_ref_columns, ..self.subquery.clone() };
        Ok(Expr::Exists(Exists { subquery, negated }))
    }
}

/// `exists (S)` as `(select count(*) > 0 from S)`.
pub(crate) fn counted(expr: Expr) -> Result<Expr> {
    let rewritten = expr.transform_up(|e| match e {
        Expr::Exists(Exists { subquery, negated }) => {
            let input = Arc::clone(&subquery.subquery);
            let total = LogicalPlan::Aggregate(Aggregate::try_new(input, vec![], vec![count(lit(1_i64))])?);
            let n = column(total.schema(), 0);
            let found = if negated { n.eq(lit(0_i64)) } else { n.gt(lit(0_i64)) };
            let plan = project(total, vec![found.alias("found")])?;
            Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}
