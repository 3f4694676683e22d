//! The relations of a `from`: the names that qualify their columns, and the columns that are known.

use std::collections::HashSet;

use deltalake::datafusion::sql::sqlparser::ast::{Ident, ObjectNamePart, Query, TableFactor};

/// The columns of a table by its name, if known.
pub(crate) type ColumnsOf<'c> = &'c dyn Fn(&str) -> Option<Vec<String>>;

/// Finds relations while a query is visited.
pub(super) struct Relations<'c> {
    columns_of: ColumnsOf<'c>,
    /// Queries of `with`, which may have the name of a table.
    named: HashSet<String>,
}

impl<'c> Relations<'c> {
    pub(super) fn new(columns_of: ColumnsOf<'c>) -> Self {
        Self { columns_of, named: HashSet::new() }
    }

    /// The visitor enters a query.
    pub(super) fn enter(&mut self, query: &Query) {
        self.named.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| name_of(&cte.alias.name)));
    }

    pub(super) fn of(&self, factor: &TableFactor) -> Relation {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let own = name.0.last().and_then(ObjectNamePart::as_ident);
                let table = own.filter(|_| name.0.len() == 1).map(name_of).filter(|table| !self.named.contains(table));
                let is_renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let columns = table.filter(|_| !is_renamed).and_then(|table| (self.columns_of)(&table));
                Relation { name: alias.as_ref().map(|alias| &alias.name).or(own).cloned(), columns }
            }
            TableFactor::Derived { alias, .. } => {
                Relation { name: alias.as_ref().map(|alias| alias.name.clone()), columns: None }
            }
            _ => Relation { name: None, columns: None },
        }
    }
}

/// A relation by the name that qualifies its columns.
pub(super) struct Relation {
    pub(super) name: Option<Ident>,
    pub(super) columns: Option<Vec<String>>,
}

impl Relation {
    /// Whether it has a column, if known.
    pub(super) fn has(&self, column: &str) -> Option<bool> {
        self.columns.as_ref().map(|columns| columns.iter().any(|own| own == column))
    }
}

/// A name in the form in which it is looked up.
pub(crate) fn name_of(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
