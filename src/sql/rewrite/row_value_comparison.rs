//! Rows as values: `(a, b) in (select x, y ...)`, `(a, b) = (c, d)`.
//!
//! The engine makes structs of them and compares these for equality, where SQL says that `(1, null) = (1, 2)` is
//! unknown; and it does not support subqueries of several columns. So rows are compared column by column:
//! - `(a, b) in (S)` as a condition: `exists (select 1 from (S) as r (x, y) where x = a and y = b)`;
//! - `(a, b) not in (S)` as a condition: no equal row exists, and none whose comparison is unknown,
//!   `(x = a) is not false and (y = b) is not false`;
//! - both inside an expression: a `case` of the two.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, Expr, Ident, Query, Select, SetExpr, TableFactor, UnaryOperator, VisitMut, VisitorMut,
};

use crate::sql::rewrite::derived_table_aliases::unused;
use crate::sql::rewrite::function_aliases::parsed;
use crate::sql::visit::visit_mut;

/// Compares the rows of a query column by column.
pub(crate) fn compare_rows(syntax: &mut (impl VisitMut + ToString)) {
    let mut names = unused(&syntax.to_string(), "_row");
    let _ = visit_mut(syntax, &mut Rows(&mut names));
}

struct Rows<'n>(&'n mut dyn Iterator<Item = String>);

impl VisitorMut for Rows<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let conditions = [&mut select.selection, &mut select.having, &mut select.qualify];
        conditions.into_iter().flatten().for_each(|condition| self.condition(condition, false));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Some(compared) = self.value(expr) {
            *expr = compared;
        }
        ControlFlow::Continue(())
    }
}

impl Rows<'_> {
    /// In a condition only true counts: false and NULL need not be distinguished.
    fn condition(&mut self, expr: &mut Expr, opposite: bool) {
        match expr {
            Expr::BinaryOp { left, op: Op::And, right } if !opposite => {
                self.condition(left, false);
                self.condition(right, false);
            }
            Expr::Nested(inner) => self.condition(inner, opposite),
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => {
                if let Some(condition) = self.membership(inner, !opposite) {
                    *expr = condition;
                }
            }
            other => {
                if let Some(condition) = self.membership(other, opposite) {
                    *other = condition;
                }
            }
        }
    }

    fn membership(&mut self, expr: &Expr, opposite: bool) -> Option<Expr> {
        let Expr::InSubquery { expr, subquery, negated } = bare(expr) else { return None };
        let row = columns(expr)?;
        if *negated == opposite {
            return self.exists(row, subquery, false);
        }
        let none = not(self.exists(row, subquery, false)?);
        Some(and(none, not(self.exists(row, subquery, true)?)))
    }

    /// Whether a subquery has an equal row, or with `unsure` one whose comparison is not false.
    fn exists(&mut self, row: &[Expr], subquery: &Query, unsure: bool) -> Option<Expr> {
        let name = self.0.next()?;
        let names: Vec<String> = (1..=row.len()).map(|n| format!("{name}_{n}")).collect();
        let frame = format!("exists (select 1 from (select 1) as {name} ({}))", names.join(", "));
        let mut exists = parsed(&frame)?;
        let Expr::Exists { subquery: around, .. } = &mut exists else { return None };
        let SetExpr::Select(select) = around.body.as_mut() else { return None };
        let TableFactor::Derived { subquery: inner, .. } = &mut select.from.first_mut()?.relation else { return None };
        **inner = subquery.clone();
        let equal = row.iter().zip(names).map(|(mine, theirs)| {
            let theirs = Expr::CompoundIdentifier(vec![Ident::new(&name), Ident::new(theirs)]);
            let equal = binary(theirs, Op::Eq, mine.clone());
            if unsure { Expr::IsNotFalse(Box::new(nested(equal))) } else { equal }
        });
        select.selection = equal.reduce(and);
        Some(exists)
    }

    /// In an expression NULL matters.
    fn value(&mut self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::InSubquery { expr, subquery, negated } => {
                let row = columns(expr)?;
                let mut case = parsed(&format!("case when 1 then {} when 2 then null else {negated} end", !negated))?;
                let Expr::Case { conditions, .. } = &mut case else { return None };
                for (when, unsure) in conditions.iter_mut().zip([false, true]) {
                    when.condition = self.exists(row, subquery, unsure)?;
                }
                Some(case)
            }
            Expr::InList { expr, list, negated } => {
                let row = columns(expr)?;
                let equal = list.iter().map(|other| compared(row, &Op::Eq, columns(other)?));
                let any = equal.collect::<Option<Vec<_>>>()?.into_iter().reduce(|a, b| binary(a, Op::Or, b))?;
                Some(if *negated { not(any) } else { nested(any) })
            }
            Expr::Between { expr, negated, low, high } => {
                let row = columns(expr)?;
                let within = and(compared(row, &Op::GtEq, columns(low)?)?, compared(row, &Op::LtEq, columns(high)?)?);
                Some(if *negated { not(within) } else { nested(within) })
            }
            Expr::BinaryOp { left, op, right } => compared(columns(left)?, op, columns(right)?),
            Expr::IsDistinctFrom(left, right) => same(columns(left)?, columns(right)?).map(not),
            Expr::IsNotDistinctFrom(left, right) => same(columns(left)?, columns(right)?),
            _ => None,
        }
    }
}

/// The columns of a row of two or more.
fn columns(expr: &Expr) -> Option<&[Expr]> {
    match bare(expr) {
        Expr::Tuple(columns) if columns.len() > 1 => Some(columns),
        _ => None,
    }
}

fn bare(expr: &Expr) -> &Expr {
    if let Expr::Nested(inner) = expr { bare(inner) } else { expr }
}

/// A comparison of two rows of the same length; the order is decided by the first column that differs.
fn compared(left: &[Expr], op: &Op, right: &[Expr]) -> Option<Expr> {
    let equal = |left: &[Expr], right: &[Expr]| by_column(left, right, |l, r| binary(l, Op::Eq, r));
    match op {
        Op::Eq => equal(left, right),
        Op::NotEq => equal(left, right).map(not),
        Op::Lt | Op::LtEq | Op::Gt | Op::GtEq if left.len() == right.len() => {
            let strict = if matches!(op, Op::Lt | Op::LtEq) { Op::Lt } else { Op::Gt };
            let columns = left.iter().zip(right).rev().map(|(l, r)| (l.clone(), r.clone()));
            let mut rest: Option<Expr> = None;
            for (l, r) in columns {
                rest = Some(match rest {
                    None => binary(l, op.clone(), r),
                    Some(rest) => {
                        let tied = and(binary(l.clone(), Op::Eq, r.clone()), rest);
                        nested(binary(binary(l, strict.clone(), r), Op::Or, tied))
                    }
                });
            }
            rest
        }
        _ => None,
    }
}

/// Null-safe equality.
fn same(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    by_column(left, right, |l, r| Expr::IsNotDistinctFrom(Box::new(l), Box::new(r)))
}

fn by_column(left: &[Expr], right: &[Expr], compare: impl Fn(Expr, Expr) -> Expr) -> Option<Expr> {
    let pairs = (left.len() == right.len()).then(|| left.iter().zip(right))?;
    pairs.map(|(l, r)| compare(l.clone(), r.clone())).reduce(and).map(nested)
}

fn binary(left: Expr, op: Op, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn and(left: Expr, right: Expr) -> Expr {
    binary(left, Op::And, right)
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
