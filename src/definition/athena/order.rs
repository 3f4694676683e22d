//! Ordering, grouping and partitioning: Athena sorts NULL differently, and its times are coarser.

use deltalake::datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, NamedWindowExpr, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, Spanned, WindowSpec, WindowType,
};

use super::Reader;
use super::Rule;
use super::values::{COARSE_TIMES, is_fine_time};

/// The `order by` of a query.
pub(super) fn query(query: &Query, reader: &mut Reader<'_>) {
    if let Some(order) = &query.order_by
        && let OrderByKind::Expressions(exprs) = &order.kind
    {
        ordered(exprs, reader);
    }
}

/// `distinct`, `group by` and `window` of a select.
pub(super) fn select(select: &Select, reader: &mut Reader<'_>) {
    if matches!(select.distinct, Some(Distinct::Distinct)) {
        for item in &select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                time(expr, "`distinct` compares a time", reader);
            }
        }
    }
    if let GroupByExpr::Expressions(exprs, _) = &select.group_by {
        for expr in exprs {
            time(expr, "`group by` compares a time", reader);
            only_alias(expr, "group by", reader);
        }
    }
    if let Some(having) = &select.having {
        only_alias(having, "having", reader);
    }
    for window in &select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = &window.1 {
            partitioned(spec, reader);
        }
    }
}

/// The window of a call, and the order of its arguments.
pub(super) fn call(function: &Function, reader: &mut Reader<'_>) {
    if let Some(WindowType::WindowSpec(spec)) = &function.over {
        partitioned(spec, reader);
    }
    ordered(&function.within_group, reader);
    if let FunctionArguments::List(list) = &function.args {
        for clause in &list.clauses {
            if let FunctionArgumentClause::OrderBy(exprs) = clause {
                ordered(exprs, reader);
            }
        }
    }
}

fn partitioned(spec: &WindowSpec, reader: &mut Reader<'_>) {
    for expr in &spec.partition_by {
        time(expr, "`partition by` compares a time", reader);
    }
    ordered(&spec.order_by, reader);
}

fn ordered(exprs: &[OrderByExpr], reader: &mut Reader<'_>) {
    for order in exprs {
        time(&order.expr, "`order by` compares a time", reader);
        if order.options.asc == Some(false) && order.options.nulls_first.is_none() {
            let message = "`desc` puts NULL first here, and last in Athena";
            reader.note(Rule::NullOrder, order.expr.span(), message, "write `desc nulls last`, or `desc nulls first`");
        }
    }
}

fn time(expr: &Expr, what: &str, reader: &mut Reader<'_>) {
    let meant = reader.scope.output(expr);
    if is_fine_time(meant.as_ref().unwrap_or(expr), reader) {
        reader.note(
            Rule::CoarseTime,
            expr.span(),
            format!("{what}, which Athena reads rounded to milliseconds"),
            COARSE_TIMES,
        );
    }
}

/// Athena knows an output column's alias in `order by` only.
fn only_alias(expr: &Expr, clause: &str, reader: &mut Reader<'_>) {
    let name = match expr {
        Expr::Nested(inner) => return only_alias(inner, clause, reader),
        Expr::BinaryOp { left, right, .. } => {
            only_alias(left, clause, reader);
            return only_alias(right, clause, reader);
        }
        Expr::Identifier(name) => name,
        _ => return,
    };
    let is_alias = reader.scope.output(expr).is_some_and(|meant| meant != *expr);
    if is_alias && reader.scope.field(expr).is_none() {
        let message = format!("`{}` is an alias, which Athena does not know in `{clause}`", name.value);
        reader.note(Rule::Alias, name.span, message, "write the expression again");
    }
}
