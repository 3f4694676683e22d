//! The dependencies between the tables of a project.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Project;
use crate::name::TableName;

/// Edges between the tables of one project. Names of other tables have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    sources: BTreeMap<TableName, BTreeSet<TableName>>,
}

impl Graph {
    /// The graph of a project. The record of consent is a source of every table with `[consent]`, even if its query
    /// does not read it: a changed grant makes the table due.
    #[must_use]
    pub fn new(project: &Project) -> Self {
        let sources = project.tables.iter().map(|table| {
            let read = table.derived().into_iter().flat_map(|d| d.sources.iter().cloned());
            let record = table.consent.iter().map(|c| c.grants.clone());
            (table.name.clone(), read.chain(record).collect())
        });
        Self { sources: sources.collect() }
    }

    /// The tables that a table is computed from directly.
    pub fn sources(&self, table: &TableName) -> impl Iterator<Item = &TableName> {
        self.sources.get(table).into_iter().flatten()
    }

    /// The tables that are computed from a table directly.
    pub fn dependents(&self, table: &TableName) -> impl Iterator<Item = &TableName> {
        self.sources.iter().filter(move |(_, sources)| sources.contains(table)).map(|(name, _)| name)
    }

    /// All ancestors of a table, without itself.
    #[must_use]
    pub fn ancestors(&self, table: &TableName) -> BTreeSet<TableName> {
        reach(table, |t| self.sources(t).cloned().collect())
    }

    /// All descendants of a table, without itself.
    #[must_use]
    pub fn descendants(&self, table: &TableName) -> BTreeSet<TableName> {
        reach(table, |t| self.dependents(t).cloned().collect())
    }
}

fn reach(start: &TableName, next: impl Fn(&TableName) -> Vec<TableName>) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    let mut left = next(start);
    while let Some(table) = left.pop() {
        if found.insert(table.clone()) {
            left.extend(next(&table));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let name = |n: &str| TableName::parse(n).unwrap();
        Graph { sources: edges.iter().map(|(n, s)| (name(n), s.iter().map(|s| name(s)).collect())).collect() }
    }

    #[test]
    fn ancestors_and_descendants_are_transitive() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "c"]), ("e", &[])]);
        let names = |set: BTreeSet<TableName>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let name = |n: &str| TableName::parse(n).unwrap();
        assert_eq!(names(graph.ancestors(&name("d"))), "a b c");
        assert_eq!(names(graph.descendants(&name("b"))), "c d");
        assert_eq!(names(graph.descendants(&name("e"))), "");
        assert_eq!(names(graph.ancestors(&name("unknown"))), "");
    }
}
