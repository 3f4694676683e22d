//! Excludes the column of undeclared fields from `*`: a query has to name it.
//!
//! If the text of a query does not contain its name, tables are planned without it. Otherwise each `*` over a table that
//! has the column is rewritten to exclude it.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, VisitorMut, WildcardAdditionalOptions,
};

use super::relations::{ColumnsOf, Relation, Relations, name_of};
use crate::name::RESCUED;
use crate::sql::visit::visit_mut;

/// Whether a query may name the column.
pub(super) fn may_name(query: &Query) -> bool {
    query.to_string().to_lowercase().contains(RESCUED)
}

/// Leaves the column out of every `*` over a table that has it.
pub(super) fn leave_out(query: &mut Query, columns_of: ColumnsOf<'_>) {
    let _ = visit_mut(query, &mut Selects(Relations::new(columns_of)));
}

struct Selects<'c>(Relations<'c>);

impl VisitorMut for Selects<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.0.enter(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let factors = select
            .from
            .iter()
            .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
        let relations: Vec<Relation> = factors.map(|factor| self.0.of(factor)).collect();
        if !relations.iter().any(has_it) {
            return ControlFlow::Continue(());
        }
        let is_apart = relations.len() > 1 && !shares_columns(select) && relations.iter().all(|r| r.name.is_some());
        let items = std::mem::take(&mut select.projection);
        select.projection = items.into_iter().flat_map(|item| without(item, &relations, is_apart)).collect();
        ControlFlow::Continue(())
    }
}

/// Whether a relation is a table that has the column.
fn has_it(relation: &Relation) -> bool {
    relation.has(RESCUED) == Some(true)
}

/// Whether two relations have a column in common under `*`.
fn shares_columns(select: &Select) -> bool {
    select.from.iter().flat_map(|from| &from.joins).any(|join| match &join.join_operator {
        JoinOperator::Join(of)
        | JoinOperator::Inner(of)
        | JoinOperator::Left(of)
        | JoinOperator::LeftOuter(of)
        | JoinOperator::Right(of)
        | JoinOperator::RightOuter(of)
        | JoinOperator::FullOuter(of) => matches!(of, JoinConstraint::Using(_) | JoinConstraint::Natural),
        JoinOperator::CrossJoin(_) => false,
        // The `*` of a semi join is one side.
        _ => true,
    })
}

/// An item without the column. `is_apart`: `*` is the columns of one relation after the other.
fn without(item: SelectItem, relations: &[Relation], is_apart: bool) -> Vec<SelectItem> {
    match item {
        SelectItem::Wildcard(options) if is_apart && has_no_options(&options) => {
            let of = |relation: &Relation| {
                let name = relation.name.clone()?;
                let options = if has_it(relation) { but_for_it(options.clone()) } else { options.clone() };
                let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name]));
                Some(SelectItem::QualifiedWildcard(kind, options))
            };
            relations.iter().filter_map(of).collect()
        }
        SelectItem::Wildcard(options) => vec![SelectItem::Wildcard(but_for_it(options))],
        SelectItem::QualifiedWildcard(kind, options) => {
            let is_of = |relation: &&Relation| match &kind {
                SelectItemQualifiedWildcardKind::ObjectName(name) => {
                    let own = name.0.last().and_then(ObjectNamePart::as_ident).map(name_of);
                    own.is_some() && own == relation.name.as_ref().map(name_of)
                }
                SelectItemQualifiedWildcardKind::Expr(_) => false,
            };
            let options = if relations.iter().find(is_of).is_some_and(has_it) { but_for_it(options) } else { options };
            vec![SelectItem::QualifiedWildcard(kind, options)]
        }
        other => vec![other],
    }
}

fn has_no_options(options: &WildcardAdditionalOptions) -> bool {
    let plain = WildcardAdditionalOptions { wildcard_token: options.wildcard_token.clone(), ..Default::default() };
    *options == plain
}

/// `*` with the column among those that it leaves out.
fn but_for_it(mut options: WildcardAdditionalOptions) -> WildcardAdditionalOptions {
    let it = Ident::new(RESCUED);
    match &mut options.opt_except {
        // The engine takes one of the two.
        None if options.opt_exclude.is_some() => {}
        None => options.opt_except = Some(ExceptSelectItem { first_element: it, additional_elements: Vec::new() }),
        Some(except) => {
            let named = std::iter::once(&except.first_element).chain(&except.additional_elements);
            if named.into_iter().all(|name| name_of(name) != RESCUED) {
                except.additional_elements.push(it);
            }
        }
    }
    options
}
