//! Long chains of `and` and `or`, as balanced trees: `((a or b) or c) or d` becomes `(a or b) or (c or d)`.
//!
//! The parser nests a chain of 2,000 terms 2,000 levels deep, and the engine computes the type of a whole operand at each
//! level, in every rule: the square of the terms. Neither the result nor the order of the terms nor the name of a column
//! depends on the nesting.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, VisitMut, VisitorMut};

use crate::sql::visit::visit_mut;

/// Up to this many terms a chain stays as it is.
const LONG: usize = 32;

/// Balances long chains of `and` and `or`.
pub(crate) fn balance_conditions(syntax: &mut impl VisitMut) {
    let _ = visit_mut(syntax, &mut Balance);
}

struct Balance;

impl VisitorMut for Balance {
    type Break = ();

    // Before the terms of the chain: they are no longer deep then.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { op, .. } = &*expr
            && matches!(op, BinaryOperator::And | BinaryOperator::Or)
            && is_long(expr, op)
        {
            let op = op.clone();
            let whole = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *expr = balanced(terms(whole, &op), &op);
        }
        ControlFlow::Continue(())
    }
}

fn is_long(expr: &Expr, op: &BinaryOperator) -> bool {
    let (mut at, mut terms) = (expr, 1);
    while let Expr::BinaryOp { left, op: of, .. } = at
        && of == op
        && terms <= LONG
    {
        at = left;
        terms += 1;
    }
    terms > LONG
}

/// The terms of a chain, in order.
fn terms(mut whole: Expr, op: &BinaryOperator) -> Vec<Expr> {
    let mut found = Vec::new();
    loop {
        match whole {
            Expr::BinaryOp { left, op: of, right } if of == *op => {
                found.push(*right);
                whole = *left;
            }
            first => {
                found.push(first);
                found.reverse();
                return found;
            }
        }
    }
}

fn balanced(mut terms: Vec<Expr>, op: &BinaryOperator) -> Expr {
    let connected =
        |left: Expr, right: Expr| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) };
    while terms.len() > 1 {
        let mut halved = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            halved.push(match rest.next() {
                Some(right) => connected(left, right),
                None => left,
            });
        }
        terms = halved;
    }
    terms.pop().unwrap_or(Expr::Value(Value::Null.into()))
}

#[cfg(test)]
mod tests {
    use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
    use deltalake::datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn parsed(sql: &str) -> Expr {
        Parser::new(&GenericDialect {}).try_with_sql(sql).expect("tokens").parse_expr().expect("an expression")
    }

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            Expr::Nested(inner) => depth(inner),
            _ => 0,
        }
    }

    #[test]
    fn a_long_chain_is_as_deep_as_the_logarithm_of_its_terms_and_reads_the_same() {
        for (op, terms) in [("OR", 33), ("OR", 2000), ("AND", 2000), ("AND", 1025)] {
            let sql: Vec<String> = (0..terms).map(|i| format!("a = {i}")).collect();
            let sql = sql.join(&format!(" {op} "));
            let mut expr = parsed(&sql);
            assert_eq!(depth(&expr), terms);
            balance_conditions(&mut expr);
            assert_eq!(expr.to_string(), sql);
            // One more for `=`.
            assert_eq!(depth(&expr), terms.next_power_of_two().ilog2() as usize + 1);
        }
    }

    #[test]
    fn a_short_chain_and_other_operators_stay() {
        let minus = (0..100).map(|i| i.to_string()).collect::<Vec<_>>().join(" - ");
        for sql in ["a or b or c and d and e", &minus] {
            let before = parsed(sql);
            let mut after = before.clone();
            balance_conditions(&mut after);
            assert_eq!(before, after);
        }
    }

    #[test]
    fn chains_within_terms_are_balanced() {
        let inner = (0..40).map(|i| format!("x = {i}")).collect::<Vec<_>>().join(" and ");
        let sql = (0..40).map(|i| format!("({inner} and y = {i})")).collect::<Vec<_>>().join(" or ");
        let mut expr = parsed(&sql);
        balance_conditions(&mut expr);
        assert!(depth(&expr) <= 6 + 6 + 1, "{}", depth(&expr));
        assert_eq!(expr.to_string(), parsed(&sql).to_string());
    }
}
