//! Names of functions in other engines, Athena's first, if ours differ or do not exist.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Value, VisitMut,
};
use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::parser::Parser;

use crate::sql::visit::visit_expressions_mut;

/// Calls that are rewritten, and to what.
pub(crate) const SPELLINGS: [(&str, &str); 14] = [
    ("year(d)", "date_part('year', d)"),
    ("quarter(d)", "date_part('quarter', d)"),
    ("month(d)", "date_part('month', d)"),
    ("week(d)", "date_part('week', d)"),
    ("day(d)", "date_part('day', d)"),
    ("hour(d)", "date_part('hour', d)"),
    ("minute(d)", "date_part('minute', d)"),
    ("second(d)", "date_part('second', d)"),
    ("mod(a, b)", "((a) % (b))"),
    ("if(c, a, b)", "CASE WHEN c THEN a ELSE b END"),
    ("if(c, a)", "CASE WHEN c THEN a END"),
    ("count_if(c)", "count(*) FILTER (WHERE c)"),
    ("every(c)", "bool_and(c)"),
    ("variance(x)", "var_samp(x)"),
];

/// Rewrites `year(d)` to `date_part('year', d)`, `mod(a, b)` to `a % b`, `if(c, a, b)` to a `case`, and their like.
pub(crate) fn spell_functions(syntax: &mut impl VisitMut) {
    let _ = visit_expressions_mut(syntax, |expr| {
        if let Expr::Function(call) = expr
            && let Some(spelled) = spelled(call)
        {
            *expr = spelled;
        }
        ControlFlow::Continue(())
    });
}

fn spelled(call: &Function) -> Option<Expr> {
    let name = call.name.to_string().to_lowercase();
    let args = values(&call.args)?;
    let renamed =
        |name: &str| Expr::Function(Function { name: ObjectName::from(vec![Ident::new(name)]), ..call.clone() });
    match (name.as_str(), args.as_slice()) {
        ("year" | "quarter" | "month" | "week" | "day" | "hour" | "minute" | "second", [of]) => {
            let part = Expr::Value(Value::SingleQuotedString(name).into());
            with_args(renamed("date_part"), vec![part, of.clone()])
        }
        ("mod", [left, right]) => {
            let (left, right) = (nested(left), nested(right));
            Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Modulo, right })))
        }
        ("every", [_]) => Some(renamed("bool_and")),
        ("variance", [_]) => Some(renamed("var_samp")),
        ("count_if", [of]) if call.filter.is_none() && call.over.is_none() => {
            let mut counted = parsed("count(*) filter (where true)")?;
            let Expr::Function(count) = &mut counted else { return None };
            count.filter = Some(Box::new(of.clone()));
            Some(counted)
        }
        ("if", [condition, then, otherwise @ ..]) if otherwise.len() < 2 => {
            let mut case = parsed("case when true then null else null end")?;
            let Expr::Case { conditions, else_result, .. } = &mut case else { return None };
            let when = conditions.first_mut()?;
            (when.condition, when.result) = (condition.clone(), then.clone());
            *else_result = otherwise.first().cloned().map(Box::new);
            Some(case)
        }
        _ => None,
    }
}

/// Rewrites `array[a, b]` to a call: inside the literal the planner does not resolve outer columns.
pub(crate) fn arrays_as_calls(syntax: &mut impl VisitMut) {
    let _ = visit_expressions_mut(syntax, |expr| {
        if let Expr::Array(array) = expr
            && let Some(call) = parsed("make_array(null)").and_then(|call| with_args(call, array.elem.clone()))
        {
            *expr = call;
        }
        ControlFlow::Continue(())
    });
}

/// The arguments of a call, if they are plain values.
fn values(args: &FunctionArguments) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = args else { return None };
    let value = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(value).collect()
}

fn with_args(mut call: Expr, args: Vec<Expr>) -> Option<Expr> {
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut call {
        list.args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
        return Some(call);
    }
    None
}

fn nested(expr: &Expr) -> Box<Expr> {
    Box::new(Expr::Nested(Box::new(expr.clone())))
}

/// Parses an expression of ours.
pub(crate) fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_rewritten_as_listed() {
        for (call, expected) in SPELLINGS {
            let mut expr = parsed(call).expect("an expression");
            spell_functions(&mut expr);
            assert_eq!(expr.to_string(), expected, "{call}");
        }
    }
}
