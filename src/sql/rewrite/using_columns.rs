//! Qualifies the columns shared by `using` and `natural`.
//!
//! In `where`, in a later `on` and anywhere inside a subquery, DataFusion 55 resolves `k` after `a join b using (k)` to
//! two columns. It refuses the query; or, if an outer query has a `k`, silently uses that one, which gives other rows.

use std::collections::HashMap;
use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectNamePart, Query, Select, SelectItem,
    TableWithJoins, VisitMut, VisitorMut,
};

use crate::sql::relations::{ColumnsOf, Relations, name_of};
use crate::sql::visit::visit_mut;

/// Qualifies shared columns in every select of a query. `columns_of` gives the columns that `natural` shares, and the
/// owner of a column among several tables.
pub(crate) fn qualify_shared(syntax: &mut impl VisitMut, columns_of: ColumnsOf<'_>) {
    let _ = visit_mut(syntax, &mut Selects(Relations::new(columns_of)));
}

struct Selects<'c>(Relations<'c>);

impl VisitorMut for Selects<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.0.enter(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let mut owners: HashMap<String, Option<Ident>> = HashMap::new();
        for from in &select.from {
            for (column, owner) in shared(from, &self.0) {
                // In two joins of a comma list it is ambiguous.
                let twice = owners.contains_key(&column);
                owners.insert(column, owner.filter(|_| !twice));
            }
        }
        owners.retain(|_, owner| owner.is_some());
        if !owners.is_empty() {
            qualify(select, &owners);
        }
        ControlFlow::Continue(())
    }
}

fn qualify(select: &mut Select, owners: &HashMap<String, Option<Ident>>) {
    let names = &mut Names { owners, inside: 0 };
    for item in &mut select.projection {
        let _ = visit_mut(item, names);
    }
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        let _ = visit_mut(join, names);
    }
    let _ = visit_mut(&mut select.selection, names);
    // Elsewhere an alias of the select list comes first.
    let mut others = owners.clone();
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            others.remove(&name_of(alias));
        }
    }
    let names = &mut Names { owners: &others, inside: 0 };
    if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
        let _ = visit_mut(exprs, names);
    }
    let _ = visit_mut(&mut select.having, names);
    let _ = visit_mut(&mut select.qualify, names);
    let _ = visit_mut(&mut select.named_window, names);
}

/// Adds the qualifier to the column, except in subqueries whose tables may have such a column themselves.
struct Names<'o> {
    owners: &'o HashMap<String, Option<Ident>>,
    inside: usize,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if self.inside == 0
            && let Expr::Identifier(column) = expr
            && let Some(Some(owner)) = self.owners.get(&name_of(column))
        {
            let owner = Ident { span: column.span, ..owner.clone() };
            *expr = Expr::CompoundIdentifier(vec![owner, column.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// The shared columns of the joins of one `from`, with the table that provides the value.
fn shared(from: &TableWithJoins, relations: &Relations<'_>) -> Vec<(String, Option<Ident>)> {
    let mut tables = vec![relations.of(&from.relation)];
    let mut found: Vec<(String, Option<Ident>)> = Vec::new();
    for Join { relation, join_operator, .. } in &from.joins {
        let right = relations.of(relation);
        let (constraint, inner) = match join_operator {
            JoinOperator::Join(of) | JoinOperator::Inner(of) => (of, true),
            JoinOperator::Left(of) | JoinOperator::LeftOuter(of) => (of, false),
            // In other outer joins it is neither column, and refused.
            _ => return Vec::new(),
        };
        let columns: Vec<String> = match constraint {
            JoinConstraint::Using(columns) => columns
                .iter()
                .filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident))
                .map(name_of)
                .collect(),
            JoinConstraint::Natural => {
                let of_left = tables.iter().flat_map(|table| table.columns.iter().flatten());
                of_left.filter(|column| right.has(column) == Some(true)).cloned().collect()
            }
            _ => Vec::new(),
        };
        for column in columns {
            if found.iter().any(|(known, _)| *known == column) {
                continue;
            }
            let owner = match tables.as_slice() {
                [only] => only.name.clone(),
                several => match several.iter().find(|table| table.has(&column) != Some(false)) {
                    Some(owner) if owner.has(&column) == Some(true) => owner.name.clone(),
                    // Both sides have the same value.
                    _ if inner => right.name.clone(),
                    _ => None,
                },
            };
            found.push((column, owner));
        }
        tables.push(right);
    }
    found
}
