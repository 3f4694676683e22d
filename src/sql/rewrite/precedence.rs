//! The precedence of `a is distinct from b and c`, corrected to SQL's.
//!
//! The parser takes everything that follows as the right operand: `a is distinct from (b and c)`, silently another
//! condition if all three are boolean. So chains of `and` and `or` are reassembled.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value, Visit, VisitMut};

use crate::sql::visit::{visit_expressions, visit_expressions_mut};

/// Puts every `is [not] distinct from` of a query or a condition in parentheses, if something follows it.
pub(crate) fn fix_distinct_from(syntax: &mut (impl Visit + VisitMut)) {
    // Taking a chain of 2,000 terms apart at each of its levels would take seconds.
    let is_meant = |e: &Expr| matches!(e, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..));
    let found =
        visit_expressions(
            syntax,
            |expr| if is_meant(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
        );
    if found.is_continue() {
        return;
    }
    let _ = visit_expressions_mut(syntax, |expr| {
        let goes_on = |e: &Expr| match e {
            Expr::BinaryOp { op, .. } => connects(op),
            other => matches!(other, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..)),
        };
        let of_not = matches!(&*expr, Expr::UnaryOp { op: UnaryOperator::Not, expr } if goes_on(expr));
        if of_not || goes_on(expr) {
            let whole = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            let mut parts = Parts::default();
            parts.take(whole);
            *expr = parts.together();
        }
        ControlFlow::Continue(())
    });
}

fn connects(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// A condition in its written order: the operands of `and` and `or`, and the operator before each.
#[derive(Default)]
struct Parts(Vec<(BinaryOperator, Expr)>);

impl Parts {
    fn take(&mut self, expr: Expr) {
        self.after(BinaryOperator::And, expr);
    }

    fn after(&mut self, before: BinaryOperator, expr: Expr) {
        match expr {
            Expr::BinaryOp { left, op, right } if connects(&op) => {
                self.after(before, *left);
                self.after(op, *right);
            }
            Expr::IsDistinctFrom(left, right) => self.first_of(before, *right, |b| Expr::IsDistinctFrom(left, b)),
            Expr::IsNotDistinctFrom(left, right) => self.first_of(before, *right, |b| Expr::IsNotDistinctFrom(left, b)),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.first_of(before, *expr, |e| Expr::UnaryOp { op: UnaryOperator::Not, expr: e });
            }
            other => self.0.push((before, other)),
        }
    }

    /// Corrects an operand that was parsed too long: only its first part is the operand.
    fn first_of(&mut self, before: BinaryOperator, operand: Expr, within: impl FnOnce(Box<Expr>) -> Expr) {
        let mut parts = Self::default();
        parts.take(operand);
        let goes_on = parts.0.len() > 1;
        let mut parts = parts.0.into_iter();
        let Some((_, first)) = parts.next() else { return };
        let whole = within(Box::new(first));
        self.0.push((before, if goes_on { Expr::Nested(Box::new(whole)) } else { whole }));
        self.0.extend(parts);
    }

    /// `and` binds more closely than `or`.
    fn together(self) -> Expr {
        let connected = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp {
            left: Box::new(left),
            op,
            right: Box::new(right),
        };
        let mut alternatives: Vec<Expr> = Vec::new();
        for (before, part) in self.0 {
            match alternatives.pop() {
                Some(last) if before == BinaryOperator::And => alternatives.push(connected(last, before, part)),
                last => {
                    alternatives.extend(last);
                    alternatives.push(part);
                }
            }
        }
        let all = alternatives.into_iter().reduce(|l, r| connected(l, BinaryOperator::Or, r));
        all.unwrap_or(Expr::Value(Value::Null.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
    use deltalake::datafusion::sql::sqlparser::parser::Parser;

    fn parsed(sql: &str) -> Expr {
        let mut expr = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        fix_distinct_from(&mut expr);
        expr
    }

    #[test]
    fn is_distinct_from_ends_before_and_and_or() {
        for (sql, expected) in [
            ("a is distinct from b", "a IS DISTINCT FROM b"),
            ("a is distinct from b and c", "(a IS DISTINCT FROM b) AND c"),
            ("a is not distinct from b.x + 1 or c", "(a IS NOT DISTINCT FROM b.x + 1) OR c"),
            ("a is distinct from b = c and d", "(a IS DISTINCT FROM b = c) AND d"),
            ("a is distinct from b between 1 and 2 and c", "(a IS DISTINCT FROM b BETWEEN 1 AND 2) AND c"),
            ("not a is distinct from b and c", "(NOT (a IS DISTINCT FROM b)) AND c"),
            (
                "p and a is distinct from b or q is not distinct from r and s",
                "p AND (a IS DISTINCT FROM b) OR (q IS NOT DISTINCT FROM r) AND s",
            ),
            ("case when a is distinct from b and c then 1 end", "CASE WHEN (a IS DISTINCT FROM b) AND c THEN 1 END"),
            ("a is distinct from (b is distinct from c and d)", "a IS DISTINCT FROM ((b IS DISTINCT FROM c) AND d)"),
            ("a and (b or c) and d or e", "a AND (b OR c) AND d OR e"),
        ] {
            let once = parsed(sql);
            assert_eq!(once.to_string(), expected, "{sql}");
            assert_eq!(parsed(expected), once, "what is printed means the same: {sql}");
        }
        let Expr::BinaryOp { op, .. } = parsed("p and a is distinct from b or c") else {
            panic!("nothing is connected")
        };
        assert_eq!(op, BinaryOperator::Or);
    }
}
