//! Gives derived tables without an alias one.
//!
//! In the engine their columns have no qualifier, so that an alias of the select list replaces them in `having` and
//! `qualify`: `select abs(x) as x from (...) group by abs(x) having min(x) < 0` evaluated `min(abs(x))`.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{Ident, TableAlias, TableFactor, VisitMut, VisitorMut};

use crate::sql::visit::visit_mut;

/// Gives every derived table of a query without an alias one that the query does not use.
pub(crate) fn name_derived(syntax: &mut (impl VisitMut + ToString)) {
    let mut names = unused(&syntax.to_string(), "_derived");
    let _ = visit_mut(syntax, &mut Namer(&mut names));
}

/// Names that a query does not use: `_row_1`, `_row_2`, ...
pub(crate) fn unused(query: &str, stem: &'static str) -> impl Iterator<Item = String> + use<> {
    let text = query.to_lowercase();
    (1..).map(move |n| format!("{stem}_{n}")).filter(move |name| !text.contains(name))
}

struct Namer<'n>(&'n mut dyn Iterator<Item = String>);

impl VisitorMut for Namer<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Derived { alias: alias @ None, .. } = factor {
            *alias = self.0.next().map(|name| TableAlias {
                explicit: true,
                name: Ident::new(name),
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }
}
