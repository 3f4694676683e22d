//! Places of a project that name a table after a statement has renamed or dropped it.

use super::statement::{Action, Statement};
use crate::definition::{Project, Table};
use crate::source::{Fault, Place};
use crate::sql::words::words;

/// Where a project still names the table of a `rename to` or `drop table`: its definition, queries that read it, and
/// tables that take their consent from it.
#[must_use]
pub(crate) fn still_named(project: &Project, statement: &Statement) -> Vec<Fault> {
    let name = statement.table.value.as_str();
    let Some(defined) = project.tables.iter().find(|table| table.name.as_str() == name) else { return Vec::new() };
    let (done, instead) = match &statement.action {
        Action::RenameTable { to, .. } => (format!("renamed to `{}`", to.value), format!("write `{}`", to.value)),
        _ => ("dropped".to_owned(), "take it out".to_owned()),
    };
    let by = statement.place.file.path.display();
    let start = |table: &Table| Place { file: table.file.clone(), span: 0..0 };
    let label = match &statement.action {
        Action::RenameTable { to, .. } => format!("rename this file, too: `{}`", to.value),
        _ => "delete this file, too".to_owned(),
    };
    let mut faults = vec![Fault::at(&start(defined), format!("{name} is {done} by {by}, and defined here"), label)];
    for table in project.tables.iter().filter(|table| table.quarantine_of().is_none()) {
        if let Some(derived) = table.derived().filter(|d| d.sources.contains(&defined.name)) {
            // The query was planned, so it can be split.
            let all = words(&derived.sql_file).unwrap_or_default();
            let read = all.iter().find(|word| word.is_name && word.text == name);
            let place = read.map_or_else(|| start(table), |word| word.place.clone());
            faults.push(Fault::at(&place, format!("{name} is {done} by {by}, and {} reads it", table.name), &instead));
        }
        if table.consent.as_ref().is_some_and(|consent| consent.grants == defined.name) {
            let message = format!("{name} is {done} by {by}, and {} takes its consent from it", table.name);
            faults.push(Fault::at(&start(table), message, "`[grants]` has to be on another table"));
        }
    }
    faults
}
