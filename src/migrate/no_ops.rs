//! Statements that have nothing to do in a lake. It did not sync between two changes: it never had their column, and the
//! definition adds what they lead to, or has it no more. Or the definition has taken back what they do.

use std::collections::BTreeSet;

use super::moves::Numbered;
use super::pending::Lacking;
use crate::definition::{ColumnType, Project, Table};
use crate::lake::LakeTable;
use crate::migration::{Action, Columns, Part, Statement, difference, finally, path_text, taken_back};
use crate::name::nearest;

/// A statement by the number of its migration and its own.
pub(super) type Key = (u32, usize);

/// A statement on a column that the table does not have.
struct Missed<'a> {
    key: Key,
    statement: &'a Statement,
    /// The table and the column that it leads to, unless that is dropped later.
    leads_to: Option<(String, Vec<Part>)>,
    /// The names beside which the column would be.
    beside: Vec<String>,
}

/// Those of the pending statements of a table that have nothing to do. They have, if the table would not come to its
/// definition without them: then a name may be mistyped.
pub(super) fn no_ops(
    project: &Project,
    (table, stands): (&Table, &LakeTable),
    statements: &[Numbered<'_>],
    lacking: &[&Lacking],
) -> BTreeSet<Key> {
    let Ok(mut columns) = Columns::stored(&stands.schema()) else { return BTreeSet::new() };
    let newest = project.migrations.last().map_or(0, |migration| migration.number);
    let (mut found, mut missed) = (BTreeSet::new(), Vec::new());
    for of in lacking {
        let key = (of.migration, of.number);
        let Some(at) = statements.iter().position(|n| (n.migration, n.number) == key) else { continue };
        let Some(statement) = statements.get(at).map(|n| n.statement) else { continue };
        let later = || statements.iter().skip(at + 1).map(|n| n.statement);
        if of.migration < newest && taken_back(project, statement, later()).is_some() {
            found.insert(key);
            continue;
        }
        match (columns.after(statement), missing(&columns, statement)) {
            (Ok(after), _) => columns = after,
            (Err(_), Some(beside)) => {
                missed.push(Missed { key, statement, leads_to: finally(statement, later()), beside });
            }
            (Err(_), None) => return found,
        }
    }
    let (own, stored, declared) = (stands.declared_columns(), stands.schema(), Columns::declared(&table.columns));
    let is_own =
        |name: &str| declared.get(name).is_some() || own.contains(name) || stored.field_with_name(name).is_err();
    columns.0.retain(|column| is_own(&column.name));
    let difference = difference(&columns, &declared, &[]);
    let comes = |parts: &[Part]| {
        let path = path_text(parts);
        let is_in = |added: &str| {
            path.strip_prefix(added).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
        };
        difference.additions.iter().filter_map(|addition| addition.strip_prefix("+ ")).any(is_in)
    };
    let has_nothing_to_do =
        |Missed { key, statement, leads_to, beside }: &Missed<'_>| match (&statement.action, leads_to) {
            // Older rows would have values in another lake, or could not be NULL.
            (Action::SetType { using: Some(_), .. } | Action::SetNotNull { .. }, Some(_)) => false,
            (_, Some((_, parts))) => comes(parts),
            // Of the newest migration nothing else tells that it means another column than it names.
            (action, None) => {
                key.0 < newest && {
                    let leaf = action.path().map_or("", |path| path.leaf());
                    nearest(leaf, beside.iter().map(String::as_str)).is_none()
                }
            }
        };
    if difference.statements.is_empty() && missed.iter().all(has_nothing_to_do) {
        found.extend(missed.into_iter().map(|missed| missed.key));
    }
    found
}

/// The names beside which the column or field of a statement would be, if it is not there.
fn missing(columns: &Columns, statement: &Statement) -> Option<Vec<String>> {
    let row = columns.0.iter().map(|column| (column.name.clone(), column.of.clone())).collect::<Vec<_>>();
    let mut of = ColumnType::Struct(row.into());
    for part in &statement.action.path()?.parts {
        of = match (&of, part) {
            (ColumnType::Struct(fields), Part::Field(name)) => match fields.iter().find(|(known, _)| known == name) {
                Some((_, of)) => of.clone(),
                None => return Some(fields.iter().map(|(name, _)| name.clone()).collect()),
            },
            (ColumnType::Array(element), Part::Element) => element.as_ref().clone(),
            (ColumnType::Map(entry), Part::Value) => entry.1.clone(),
            _ => return None,
        };
    }
    None
}
