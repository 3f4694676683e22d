//! Chains of arithmetic and of texts that are too long to be planned in a moment.
//!
//! The parser nests a chain of 500 terms 500 levels deep, and the engine computes the type of a whole operand at each
//! level: the square of the terms. Conditions are balanced instead ([`long_conditions`]); a sum cannot be, since the
//! result of each addition is rounded, and its type may be wider than those of its operands.
//!
//! [`long_conditions`]: crate::sql::rewrite::long_conditions

use std::ops::ControlFlow;

use deltalake::datafusion::common::Span;
use deltalake::datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Spanned, Visit, Visitor};

use crate::source::faults::Faults;
use crate::sql::text::{Sql, span_of};
use crate::sql::visit::visit;

/// Terms of a chain: planning takes a second, of decimals a few.
const MOST: usize = 500;

/// Reports the first chain with too many terms; true if there is one.
pub(crate) fn report(syntax: &impl Visit, sql: &Sql, faults: &mut Faults) -> bool {
    let mut found = Found(None);
    let _ = visit(syntax, &mut found);
    let Some(Chain { terms, is_text, first }) = found.0 else { return false };
    let (kind, instead) = if is_text {
        ("texts", "`concat(a, b, c)` has no limit")
    } else {
        ("numbers", "add up parts of it in the columns of a `with` query")
    };
    let message = format!("{terms} {kind} in one chain of operators");
    faults.add(sql.place(first), message, format!("at most {MOST}: {instead}"));
    true
}

struct Chain {
    terms: usize,
    is_text: bool,
    first: Span,
}

struct Found(Option<Chain>);

impl Visitor for Found {
    type Break = ();

    // The whole chain comes before the shorter ones that it begins with.
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        // What is compared is one term less than the comparison.
        let chain = match expr {
            Expr::BinaryOp { left, op, .. } if is_comparison(op) => left.as_ref(),
            _ => expr,
        };
        let (mut at, mut terms) = (chain, 1);
        while let Expr::BinaryOp { left, op, .. } = at
            && !matches!(op, BinaryOperator::And | BinaryOperator::Or)
        {
            at = left;
            terms += 1;
        }
        if terms <= MOST {
            return ControlFlow::Continue(());
        }
        let is_text = matches!(chain, Expr::BinaryOp { op: BinaryOperator::StringConcat, .. });
        self.0 = Some(Chain { terms, is_text, first: span_of(at.span()) });
        ControlFlow::Break(())
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq, Spaceship};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | Spaceship)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::source::{Fault, Place, SourceFile, Text};

    fn faults(text: String) -> Vec<String> {
        let mut faults = Faults::default();
        Sql::file(&Arc::new(SourceFile { path: PathBuf::new(), text })).query(&mut faults);
        let told = |f: Fault| format!("{:?} {}; {}", f.place.map(|place| place.line_column()), f.message, f.label);
        faults.into_sorted().into_iter().map(told).collect()
    }

    #[test]
    fn a_chain_has_at_most_500_terms() {
        let of = |term: &str, terms: usize, op: &str| format!("select {} as x from t", vec![term; terms].join(op));
        assert_eq!(
            faults(of("a", 501, " + ")),
            [
                "Some((1, 8)) 501 numbers in one chain of operators; at most 500: add up parts of it in the columns of a `with` query"
            ]
        );
        assert_eq!(
            faults(of("'a'", 1200, " || ")),
            ["Some((1, 8)) 1200 texts in one chain of operators; at most 500: `concat(a, b, c)` has no limit"]
        );
        for fine in [
            of("a", 500, " * "),
            of("a > 1", 3000, " or "),
            format!("{} where {} > 1", of("a", 1, ""), vec!["a"; 500].join(" + ")),
            format!("select concat({}) from t", vec!["a"; 3000].join(", ")),
        ] {
            assert_eq!(faults(fine), Vec::<String>::new());
        }
    }

    #[test]
    fn a_chain_is_found_wherever_an_expression_stands() {
        let chain = vec!["a"; 501].join(" - ");
        for sql in [
            format!("select b from t where b > {chain}"),
            format!("select b from (select sum({chain}) as b from t)"),
            format!("with c as (select b from t join u on t.a = {chain}) select b from c"),
        ] {
            assert_eq!(faults(sql.clone()).len(), 1, "{sql}");
        }
        let value = format!("{chain} > 1");
        let file = Arc::new(SourceFile { path: PathBuf::new(), text: value.clone() });
        let place = Place { file, span: 0..value.len() };
        let mut of_condition = Faults::default();
        assert!(Sql::value(&Text { value, place }).condition(&mut of_condition).is_none());
        assert_eq!(of_condition.len(), 1);
    }
}
