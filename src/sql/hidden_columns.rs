//! `*` without the column of undeclared fields: it is in a result where a query names it.
//!
//! Tables are planned without it where the text of a query does not have its name. Where it does, the tables that have such a
//! column are left their other ones under `*`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableFactor, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::rewrite::using_columns::{ColumnsOf, name_of};
use crate::name::RESCUED;

/// Whether a query may name the column.
pub fn may_name(query: &Query) -> bool {
    query.to_string().to_lowercase().contains(RESCUED)
}

/// Leaves the column out of every `*` over a table that has it.
pub fn leave_out(query: &mut Query, columns_of: ColumnsOf<'_>) {
    let _ = query.visit(&mut Selects { columns_of, named: HashSet::new() });
}

struct Selects<'c> {
    columns_of: ColumnsOf<'c>,
    /// Queries of `with`, which may have the name of a table.
    named: HashSet<String>,
}

/// A relation of `from`: the name that it goes by, and whether it is a table that has the column.
struct Relation {
    name: Option<Ident>,
    has_it: bool,
}

impl VisitorMut for Selects<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.named.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| name_of(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let factors = select
            .from
            .iter()
            .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
        let relations: Vec<Relation> = factors.map(|factor| self.relation(factor)).collect();
        if !relations.iter().any(|relation| relation.has_it) {
            return ControlFlow::Continue(());
        }
        let is_apart = relations.len() > 1 && !shares_columns(select) && relations.iter().all(|r| r.name.is_some());
        let items = std::mem::take(&mut select.projection);
        select.projection = items.into_iter().flat_map(|item| without(item, &relations, is_apart)).collect();
        ControlFlow::Continue(())
    }
}

impl Selects<'_> {
    fn relation(&self, factor: &TableFactor) -> Relation {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.last().and_then(ObjectNamePart::as_ident);
                let table = own.map(name_of).filter(|own| name.0.len() == 1 && !self.named.contains(own));
                let columns = table.and_then(|table| (self.columns_of)(&table)).unwrap_or_default();
                let is_renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let has_it = !is_renamed && columns.iter().any(|column| column == RESCUED);
                Relation { name: alias.as_ref().map(|alias| &alias.name).or(own).cloned(), has_it }
            }
            TableFactor::Derived { alias, .. } => {
                Relation { name: alias.as_ref().map(|alias| alias.name.clone()), has_it: false }
            }
            _ => Relation { name: None, has_it: false },
        }
    }
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
        // Of a semi join `*` is one side.
        _ => true,
    })
}

/// An item without the column. `is_apart`: `*` is the columns of one relation after the other.
fn without(item: SelectItem, relations: &[Relation], is_apart: bool) -> Vec<SelectItem> {
    match item {
        SelectItem::Wildcard(options) if is_apart && has_no_options(&options) => {
            let of = |relation: &Relation| {
                let name = relation.name.clone()?;
                let options = if relation.has_it { but_for_it(options.clone()) } else { options.clone() };
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
            let has_it = relations.iter().find(is_of).is_some_and(|relation| relation.has_it);
            let options = if has_it { but_for_it(options) } else { options };
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
