//! What `check` says without access to a lake: differences between the definitions and `migrations/schema.json` with the
//! migrations since.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::difference::difference;
use super::shape::Columns;
use super::snapshot::{Changed, DRAFT, PATH, Snapshot, State};
use super::{Parsed, Statement, still_named, taken_back};
use crate::definition::{Project, Table};
use crate::source::{Fault, Place, SourceFile};

/// Every difference that stops a pull request.
#[must_use]
pub(super) fn faults(project: &Project, file: &Arc<SourceFile>, migrations: &[Parsed]) -> Vec<Fault> {
    let read = Snapshot::parse(file).map_err(|fault| vec![fault]);
    let state = read.and_then(|read| read.state(migrations).map(|state| (read, state)));
    let (recorded, State { tables: known, changed, .. }) = match &state {
        Ok((recorded, state)) => (recorded, state),
        Err(faults) => return faults.clone(),
    };
    let from = recorded.migration + u32::from(*changed == Changed::No);
    let mut faults = undone(project, from, migrations);
    let left = migrations.iter().filter(|parsed| parsed.migration.number >= from);
    let left = left
        .flat_map(|parsed| &parsed.statements)
        .filter(|statement| statement.action.moves() && !known.has(&statement.table.value));
    let mut named: BTreeMap<&str, Vec<Fault>> = BTreeMap::new();
    for statement in left {
        named.insert(&statement.table.value, still_named(project, statement));
    }
    let swapped = known.swapped(project);
    let is_left = |table: &&Table| named.contains_key(table.name.as_str());
    for table in project.tables.iter().filter(|table| table.landing().is_some() && !is_left(table)) {
        let name = table.name.as_str();
        let place = Place { file: table.file.clone(), span: 0..0 };
        let mut fault = |message: String, next: String| faults.push(Fault::at(&place, message, next));
        let declared = Columns::declared(&table.columns);
        // Additions are recorded when a migration is drafted, and stay so if that is edited.
        let is_recorded = *changed == Changed::Edited
            && recorded.tables.landing.get(name).is_some_and(|before| difference(before, &declared, &[]).is_empty());
        match known.landing.get(name) {
            None if is_recorded => {}
            None => fault(format!("{PATH} lacks the table {name}"), DRAFT.to_owned()),
            Some(before) => {
                let found = difference(before, &declared, &[]);
                let statements: Vec<&str> = found.statements.iter().map(|(text, _)| text.as_str()).collect();
                if !statements.is_empty() {
                    let message = format!("the columns of {name} need a migration: {}", statements.join(", "));
                    fault(message, command(name, &swapped).unwrap_or_else(|| found.command(name)));
                } else if !found.additions.is_empty() && !is_recorded {
                    let message = format!("{PATH} lacks changes of {name}: {}", found.additions.join(", "));
                    fault(message, DRAFT.to_owned());
                }
            }
        }
    }
    faults.extend(named.into_values().flatten());
    let place = Place { file: file.clone(), span: 0..0 };
    for name in known.gone(project) {
        let message = format!("{name} is in {PATH} and not in tables/: it needs a migration, drop table {name}");
        faults.push(Fault::at(&place, message, format!("{DRAFT}   (--rename {name}=NAME if it has another name)")));
    }
    if *changed == Changed::Deleted && faults.is_empty() {
        let message = format!("{PATH} includes migration {:04}, which is gone", recorded.migration);
        faults.push(Fault::at(&place, message, format!("{DRAFT}   (writes it without that)")));
    }
    faults
}

/// Statements of the migrations from a number on that the definitions take back.
fn undone(project: &Project, from: u32, migrations: &[Parsed]) -> Vec<Fault> {
    let all: Vec<(u32, &Statement)> = migrations.iter().flat_map(Parsed::numbered).collect();
    let later = |at: usize| all.iter().skip(at + 1).map(|(_, statement)| *statement);
    let new = all.iter().enumerate().filter(|(_, (number, _))| *number >= from);
    let found = new.filter_map(|(at, (_, statement))| taken_back(project, statement, later(at)));
    // It was hand-written, and has been applied since.
    let help = format!("if lakes have it, and the column may be NULL again: {DRAFT}   (records that)");
    found.map(|fault| Fault { help: Some(help.clone()), ..fault }).collect()
}

/// The command for tables that seem to have swapped their names.
fn command(name: &str, swapped: &[(String, String)]) -> Option<String> {
    let (one, other) = swapped.iter().find(|(one, other)| one == name || other == name)?;
    Some(format!("{DRAFT} --rename {one}={other} --rename {other}={one}   (if they swapped their names)"))
}
