//! `(select b.v from b where b.k = a.k order by b.at desc limit 1)`, the last value, as an aggregate:
//! `first_value(b.v order by b.at desc)`. The engine has no plan for a limit in a correlated subquery.

use std::collections::HashSet;
use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr, LimitClause,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value, VisitMut,
    Visitor,
};

use crate::sql::relations::name_of;
use crate::sql::rewrite::function_aliases::parsed;
use crate::sql::visit::{visit, visit_expressions_mut};

/// Rewrites every such scalar subquery. `is_aggregate` tells aggregate functions by name.
pub(crate) fn take_first(syntax: &mut impl VisitMut, is_aggregate: impl Fn(&str) -> bool) {
    let _ = visit_expressions_mut(syntax, |expr| {
        if let Expr::Subquery(query) = expr
            && let Some(first) = first(query, &is_aggregate)
        {
            **query = first;
        }
        ControlFlow::Continue(())
    });
}

fn first(query: &Query, is_aggregate: &dyn Fn(&str) -> bool) -> Option<Query> {
    let Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) = &query.limit_clause else {
        return None;
    };
    let kind = query.order_by.as_ref().map(|order| &order.kind);
    let Some(OrderByKind::Expressions(order)) = kind else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_slice()
    else {
        return None;
    };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if limit.to_string() != "1"
        || grouped
        || select.having.is_some()
        || select.distinct.is_some()
        || query.with.is_some()
    {
        return None;
    }
    let mut seen = Seen { own: own_names(select), outside: false, calls: Vec::new() };
    let _ = visit(query, &mut seen);
    if !seen.outside || seen.calls.iter().any(|name| is_aggregate(name)) {
        return None;
    }
    let alias = match &select.projection[0] {
        SelectItem::ExprWithAlias { alias, .. } => Some(name_of(alias)),
        _ => None,
    };
    let order = order.iter().map(|by| {
        // `order by 1`, and by the alias of the value.
        let is_value = match &by.expr {
            Expr::Value(of) => matches!(&of.value, Value::Number(n, _) if n == "1"),
            Expr::Identifier(name) => alias.as_ref() == Some(&name_of(name)),
            _ => false,
        };
        OrderByExpr { expr: if is_value { value.clone() } else { by.expr.clone() }, ..by.clone() }
    });
    let mut call = parsed("first_value(1)")?;
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut call {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value.clone()))];
        list.clauses = vec![FunctionArgumentClause::OrderBy(order.collect())];
    }
    let mut select = select.clone();
    select.projection = vec![SelectItem::UnnamedExpr(call)];
    Some(Query { body: Box::new(SetExpr::Select(select)), order_by: None, limit_clause: None, ..query.clone() })
}

/// The names by which columns of a select's own tables are qualified.
fn own_names(select: &Select) -> HashSet<String> {
    let joined = |from: &TableWithJoins| {
        let joins = from.joins.iter().map(|join| join.relation.clone());
        std::iter::once(from.relation.clone()).chain(joins).collect::<Vec<_>>()
    };
    let factors = select.from.iter().flat_map(joined);
    factors
        .filter_map(|factor| match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                Some(name_of(&alias.name))
            }
            TableFactor::Table { name, .. } => name.0.last().and_then(|part| part.as_ident()).map(name_of),
            _ => None,
        })
        .collect()
}

/// Whether a query names a table other than its own, and which functions it calls.
struct Seen {
    own: HashSet<String>,
    outside: bool,
    calls: Vec<String>,
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        self.own.extend(own_names(select));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::CompoundIdentifier(parts) => {
                self.outside |= parts.first().is_some_and(|table| !self.own.contains(&name_of(table)));
            }
            Expr::Function(call) => self.calls.push(call.name.to_string().to_lowercase()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
