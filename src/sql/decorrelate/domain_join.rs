//! Decorrelates subqueries for which the engine has no rule: `is not distinct from` between inner and outer columns,
//! `having`, groupings, joins and `values` below the condition, conditions on outer columns alone.
//!
//! A subquery gives the same result for rows with the same outer values. So it is evaluated for the distinct outer
//! values `D` (the domain) all at once: every operator carries the columns of `D` along and groups by them, down to a
//! plan without outer columns, which is joined with `D`. The result is joined with the outer rows on `D`, with NULL
//! equal to NULL.

use std::cell::Cell;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{
    Column, DFSchema, DataFusionError, JoinType, NullEquality, Result, TableReference,
};
use deltalake::datafusion::logical_expr::expr::{Exists, InSubquery};
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use deltalake::datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator, Subquery, Window, binary_expr, lit,
    when,
};

use crate::sql::decorrelate::subqueries::{condition, counted, has_subquery, is_member, one_row, value};
use crate::sql::shapes::{add, by_position, column, columns, distinct, join, nth, project};

/// The distinct outer values of a subquery, as a relation with its own name.
struct Outer {
    name: TableReference,
    /// Their names in the subquery.
    columns: Vec<Column>,
    plan: LogicalPlan,
}

/// Gives every relation of outer values a unique name.
#[derive(Debug, Default)]
pub(crate) struct Unnest(Cell<usize>);

impl Unnest {
    /// Rewrites the correlated subqueries in the expressions of one operator.
    ///
    /// # Errors
    /// A subquery contains an operator that has no such form.
    pub(crate) fn rewritten(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if !has_subquery(&node)? {
            return Ok(Transformed::no(node));
        }
        match node {
            LogicalPlan::Filter(filter) => {
                let input = LogicalPlan::clone(&filter.input);
                let shown = columns(input.schema());
                Ok(Transformed::yes(project(self.filtered(input, filter.predicate)?, shown)?))
            }
            LogicalPlan::Projection(projection) => {
                let asked_of = LogicalPlan::clone(&projection.input);
                let mut input = asked_of.clone();
                let names = NamePreserver::new_for_projection();
                let mut exprs = Vec::with_capacity(projection.expr.len());
                for expr in projection.expr {
                    let name = names.save(&expr);
                    let (next, expr) = self.valued(input, &asked_of, value(expr, asked_of.schema())?)?;
                    input = next;
                    exprs.push(name.restore(expr));
                }
                Ok(Transformed::yes(project(input, exprs)?))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    fn filtered(&self, asked_of: LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
        let schema = asked_of.schema().clone();
        let mut input = asked_of.clone();
        let mut parts = Vec::new();
        for part in split_conjunction_owned(predicate) {
            parts.push(condition(&part, &schema)?);
        }
        let parts = conjunction(parts);
        let mut rest = Vec::new();
        for part in parts.into_iter().flat_map(split_conjunction_owned) {
            let part = existence(part, &schema)?;
            if let Expr::Exists(exists) = &part
                && let Some(outer) = self.outer(&asked_of, &exists.subquery)?
            {
                let found = self.asked(&exists.subquery.subquery, &outer)?;
                let keys = distinct(project(found, outer.exprs())?)?;
                let how = if exists.negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
                input = outer.matched(input, keys, outer.exprs(), how)?;
                continue;
            }
            let (next, part) = self.valued(input, &asked_of, part)?;
            input = next;
            rest.push(part);
        }
        match conjunction(rest) {
            Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, input.into())?)),
            None => Ok(input),
        }
    }

    /// An expression whose correlated subqueries are columns of a wider input. They are evaluated on the rows before
    /// widening: otherwise each subquery would contain the plans of all previous ones, twice.
    fn valued(&self, mut input: LogicalPlan, asked_of: &LogicalPlan, expr: Expr) -> Result<(LogicalPlan, Expr)> {
        let rewritten = counted(expr)?.transform_up(|e| {
            let Expr::ScalarSubquery(subquery) = &e else { return Ok(Transformed::no(e)) };
            let Some(outer) = self.outer(asked_of, subquery)? else { return Ok(Transformed::no(e)) };
            if !one_row(&subquery.subquery) {
                return Err(DataFusionError::Plan("a scalar subquery may give several rows".into()));
            }
            let found = self.asked(&subquery.subquery, &outer)?;
            let name = self.name("value");
            let mut shown = outer.exprs();
            shown.push(column(found.schema(), outer.columns.len()).alias_qualified(Some(name.clone()), nth(0)));
            let values = project(found, shown)?;
            input = outer.matched(input.clone(), values, outer.exprs(), JoinType::Left)?;
            Ok(Transformed::yes(Expr::Column(Column::new(Some(name), nth(0)))))
        })?;
        Ok((input, rewritten.data))
    }

    fn name(&self, what: &str) -> TableReference {
        self.0.set(self.0.get() + 1);
        TableReference::bare(format!("_{what}_{}", self.0.get()))
    }

    /// The outer values that a subquery takes from these rows; `None` if it is not correlated.
    fn outer(&self, input: &LogicalPlan, subquery: &Subquery) -> Result<Option<Outer>> {
        let mut found: Vec<Column> = Vec::new();
        subquery.subquery.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    if let Expr::OuterReferenceColumn(_, column) = e
                        && input.schema().has_column(column)
                        && !found.contains(column)
                    {
                        found.push(column.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        if found.is_empty() { Ok(None) } else { self.values(input, found).map(Some) }
    }

    fn values(&self, input: &LogicalPlan, columns: Vec<Column>) -> Result<Outer> {
        let name = self.name("outer");
        let named = under(&name, columns.iter().cloned().map(Expr::Column));
        let plan = distinct(project(input.clone(), named)?)?;
        Ok(Outer { name, columns, plan })
    }

    /// The same values under another name.
    fn again(&self, outer: &Outer) -> Result<Outer> {
        let name = self.name("outer");
        let plan = project(outer.plan.clone(), under(&name, outer.exprs()))?;
        Ok(Outer { name, columns: outer.columns.clone(), plan })
    }

    /// The rows of a plan for each of the outer values: their columns, then those of the plan.
    fn asked(&self, plan: &LogicalPlan, outer: &Outer) -> Result<LogicalPlan> {
        if !outer.is_in(plan)? {
            return join(
                outer.plan.clone(),
                plan.clone(),
                vec![],
                None,
                JoinType::Inner,
                NullEquality::NullEqualsNothing,
            );
        }
        match plan {
            LogicalPlan::Filter(f) => {
                let input = self.asked(&f.input, outer)?;
                Ok(LogicalPlan::Filter(Filter::try_new(outer.inside(f.predicate.clone())?, input.into())?))
            }
            LogicalPlan::Projection(p) => {
                let input = self.asked(&p.input, outer)?;
                outer.shown(input, p.expr.clone(), &p.schema)
            }
            LogicalPlan::SubqueryAlias(a) => {
                let exprs = columns(a.input.schema());
                outer.shown(self.asked(&a.input, outer)?, exprs, &a.schema)
            }
            LogicalPlan::Subquery(s) => self.asked(&s.subquery, outer),
            LogicalPlan::Sort(s) if s.fetch.is_none() => self.asked(&s.input, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                Ok(LogicalPlan::Distinct(Distinct::All(self.asked(input, outer)?.into())))
            }
            LogicalPlan::Aggregate(a) => self.grouped(a, outer),
            LogicalPlan::Window(w) => {
                let input = self.asked(&w.input, outer)?;
                let mut exprs = Vec::with_capacity(w.window_expr.len());
                for expr in &w.window_expr {
                    let within = outer.inside(expr.clone())?.transform_up(|e| match e {
                        Expr::WindowFunction(mut call) => {
                            call.params.partition_by.extend(outer.exprs());
                            Ok(Transformed::yes(Expr::WindowFunction(call)))
                        }
                        other => Ok(Transformed::no(other)),
                    })?;
                    exprs.push(within.data);
                }
                let window = LogicalPlan::Window(Window::try_new(exprs, input.into())?);
                let shown = columns(window.schema()).split_off(outer.columns.len());
                outer.shown(window, shown, &w.schema)
            }
            LogicalPlan::Union(u) => {
                let mut parts = Vec::with_capacity(u.inputs.len());
                for input in &u.inputs {
                    let part = self.asked(input, outer)?;
                    let all = columns(part.schema());
                    parts.push(by_position(part, all)?);
                }
                let all = add(parts)?;
                let mut values = columns(all.schema());
                let rows = values.split_off(outer.columns.len());
                let mut named = under(&outer.name, values);
                named.extend(renamed(rows, &u.schema));
                project(all, named)
            }
            LogicalPlan::Join(j) => self.joined(j, outer),
            other => Err(DataFusionError::NotImplemented(format!("a correlated subquery with {}", other.display()))),
        }
    }

    fn grouped(&self, node: &Aggregate, outer: &Outer) -> Result<LogicalPlan> {
        if node.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Err(DataFusionError::NotImplemented("a correlated subquery with grouping sets".into()));
        }
        let input = self.asked(&node.input, outer)?;
        let mut groups = outer.exprs();
        for expr in &node.group_expr {
            groups.push(outer.inside(expr.clone())?);
        }
        let calls = node.aggr_expr.iter().map(|e| outer.inside(e.clone())).collect::<Result<Vec<_>>>()?;
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(input.into(), groups, calls)?);
        let mut shown = columns(grouped.schema()).split_off(outer.columns.len());
        if !node.group_expr.is_empty() {
            return outer.shown(grouped, shown, &node.schema);
        }
        // A global aggregate has a row even if its input is empty: `count` is 0 then, and most others NULL.
        let (name, arity) = (self.name("group"), outer.columns.len());
        let mut named: Vec<Expr> = (0..arity).map(|i| column(grouped.schema(), i)).collect();
        named.append(&mut shown);
        named.push(lit(true));
        let grouped = project(grouped, under(&name, named))?;
        let of = |i: usize| Expr::Column(Column::new(Some(name.clone()), nth(i)));
        let on = outer.exprs().into_iter().enumerate().map(|(i, e)| (e, of(i))).collect();
        let joined = join(outer.plan.clone(), grouped, on, None, JoinType::Left, NullEquality::NullEqualsNull)?;
        let there = of(arity + node.aggr_expr.len());
        let mut exprs = Vec::with_capacity(node.aggr_expr.len());
        for (i, call) in node.aggr_expr.iter().enumerate() {
            let found = of(arity + i);
            let nothing = match call.clone().unalias() {
                Expr::AggregateFunction(f) => f.func.default_value(&call.get_type(node.input.schema().as_ref())?)?,
                _ => return Err(DataFusionError::NotImplemented("an aggregate that is no function".into())),
            };
            exprs.push(if nothing.is_null() {
                found
            } else {
                when(there.clone().is_null(), lit(nothing)).otherwise(found)?
            });
        }
        outer.shown(joined, exprs, &node.schema)
    }

    fn joined(&self, node: &Join, outer: &Outer) -> Result<LogicalPlan> {
        let keeps_right = node.join_type == JoinType::Right;
        let (main, other) = if keeps_right { (&node.right, &node.left) } else { (&node.left, &node.right) };
        let asks_other = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right => outer.is_in(other)?,
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if !node.null_aware => outer.is_in(other)?,
            _ => {
                let text = format!("a correlated subquery with a {} join", node.join_type);
                return Err(DataFusionError::NotImplemented(text));
            }
        };
        let mut filter = node.filter.clone().map(|f| outer.inside(f)).transpose()?;
        let asked = self.asked(main, outer)?;
        let other = if asks_other {
            let second = self.again(outer)?;
            for (a, b) in outer.exprs().into_iter().zip(second.exprs()) {
                let same = binary_expr(a, Operator::IsNotDistinctFrom, b);
                filter = Some(filter.map_or(same.clone(), |f| f.and(same)));
            }
            self.asked(other, &second)?
        } else {
            LogicalPlan::clone(other)
        };
        let mut on = Vec::with_capacity(node.on.len());
        for (l, r) in &node.on {
            on.push((outer.inside(l.clone())?, outer.inside(r.clone())?));
        }
        let (left, right) = if keeps_right { (other, asked) } else { (asked, other) };
        let joined = join(left, right, on, filter, node.join_type, node.null_equality)?;
        outer.shown(joined, columns(&node.schema), &node.schema)
    }
}

impl Outer {
    fn exprs(&self) -> Vec<Expr> {
        (0..self.columns.len()).map(|i| Expr::Column(Column::new(Some(self.name.clone()), nth(i)))).collect()
    }

    /// An expression of the subquery with the outer values as columns.
    fn inside(&self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_up(|e| match &e {
            Expr::OuterReferenceColumn(_, column) => match self.columns.iter().position(|c| c == column) {
                Some(i) => Ok(Transformed::yes(Expr::Column(Column::new(Some(self.name.clone()), nth(i))))),
                None => Ok(Transformed::no(e)),
            },
            Expr::ScalarSubquery(s)
            | Expr::Exists(Exists { subquery: s, .. })
            | Expr::InSubquery(InSubquery { subquery: s, .. })
                if self.is_in(&s.subquery)? =>
            {
                Err(DataFusionError::NotImplemented("a subquery correlated over two levels".into()))
            }
            _ => Ok(Transformed::no(e)),
        })?;
        Ok(replaced.data)
    }

    fn is_in(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                found |= expr.exists(|e| match e {
                    Expr::OuterReferenceColumn(_, column) => Ok(self.columns.contains(column)),
                    _ => Ok(false),
                })?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(found)
    }

    /// The outer values, then expressions under the names of a schema.
    fn shown(&self, input: LogicalPlan, exprs: Vec<Expr>, schema: &DFSchema) -> Result<LogicalPlan> {
        let mut all = self.exprs();
        let exprs = exprs.into_iter().map(|e| self.inside(e)).collect::<Result<Vec<_>>>()?;
        all.extend(renamed(exprs, schema));
        project(input, all)
    }

    /// Rows joined with the results for their outer values.
    fn matched(&self, rows: LogicalPlan, found: LogicalPlan, values: Vec<Expr>, how: JoinType) -> Result<LogicalPlan> {
        let on = self.columns.iter().cloned().map(Expr::Column).zip(values).collect();
        join(rows, found, on, None, how, NullEquality::NullEqualsNull)
    }
}

/// Expressions as columns of a relation, in their order.
fn under(name: &TableReference, exprs: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    exprs.into_iter().enumerate().map(|(i, e)| e.alias_qualified(Some(name.clone()), nth(i))).collect()
}

fn renamed(exprs: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    let named = exprs.into_iter().zip(schema.iter());
    named.map(|(e, (relation, field))| e.unalias().alias_qualified(relation.cloned(), field.name())).collect()
}

/// A conjunct of a `where` as `[not] exists`, if it is that or `in`.
fn existence(part: Expr, schema: &DFSchema) -> Result<Expr> {
    match part {
        Expr::InSubquery(within) if !within.negated && !within.subquery.outer_ref_columns.is_empty() => {
            is_member(&within, schema)
        }
        Expr::Not(inner) => match *inner {
            Expr::Exists(Exists { subquery, negated }) => Ok(Expr::Exists(Exists { subquery, negated: !negated })),
            other => Ok(Expr::Not(Box::new(other))),
        },
        other => Ok(other),
    }
}
