//! Two tables of a project with one Delta id: a folder was copied over another's.
//!
//! Derived tables record consumed versions by Delta id, so for a reader of both tables one record would stand for two.

use std::collections::BTreeMap;

use super::derived::Ahead;
use crate::error::Error;
use crate::lake::LakeTable;
use crate::name::TableName;

/// Every table that has the id of another one, with its error.
pub(super) fn twins(cut: &BTreeMap<TableName, LakeTable>, ahead: &Ahead) -> Vec<(TableName, Error)> {
    let derived = ahead.iter().filter_map(|(name, opened)| Some((name, opened.as_ref().ok()?.table()?)));
    let mut by_id: BTreeMap<String, Vec<(&TableName, &LakeTable)>> = BTreeMap::new();
    for (name, table) in cut.iter().chain(derived) {
        by_id.entry(table.uuid()).or_default().push((name, table));
    }
    let mut twins = Vec::new();
    for (id, tables) in by_id {
        for (at, found) in tables.iter().enumerate() {
            let other = tables.get(usize::from(at == 0));
            twins
                .extend(other.filter(|_| tables.len() > 1).map(|other| (found.0.clone(), one_id(&id, *found, *other))));
        }
    }
    twins
}

/// The error of a table that has another one's id.
pub(crate) fn one_id(id: &str, table: (&TableName, &LakeTable), other: (&TableName, &LakeTable)) -> Error {
    let place = |(name, table): (&TableName, &LakeTable)| format!("{name}: {}", table.location());
    Error::failed(format!("{} and {} have one Delta id", table.0, other.0))
        .fact("table", place(table))
        .fact("other", place(other))
        .fact("id", id.to_owned())
        .fact("because", "one folder is a copy of the other, and readers know a table by its id")
        .help("move the folder that is the copy away, then: stedi-delta sync   (creates that table again)")
}
