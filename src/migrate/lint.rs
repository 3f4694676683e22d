//! `migrate lint`: what a reviewer should know of a migration. Reads the project alone.

use crate::definition::{Project, Table};
use crate::error::{Error, Result};
use crate::migration::{self, Action, Parsed, Part, Snapshot, Statement};
use crate::source::faults::sorted;
use crate::source::{Fault, Place};

/// Losses, breaks and changes by the statements of the newest migration, or of all, each with its place.
///
/// # Errors
/// Faults of the migrations.
pub fn lint(project: &Project, all: bool) -> Result<Vec<Fault>> {
    let migrations = migration::parsed(project).map_err(|faults| Error::definition(sorted(faults)))?;
    let from = if all { 0 } else { migrations.last().map_or(0, |parsed| parsed.migration.number) };
    let newest = migrations.last().map_or(0, |parsed| parsed.migration.number);
    let statements: Vec<(u32, &Statement)> = migrations.iter().flat_map(Parsed::numbered).collect();
    let mut found = Vec::new();
    for (at, (number, statement)) in statements.iter().enumerate().filter(|(_, (number, _))| *number >= from) {
        found.extend(of_statement(statement));
        let later = || statements.iter().skip(at + 1).map(|(_, statement)| *statement);
        if let Some(unread) = migration::unread(project, statement, later()) {
            let message =
                format!("`{}` of {} is not read from files that have `{}`", unread.column, unread.table, unread.before);
            found.push(finding(
                statement,
                message,
                &format!("if files have the old name, declare it: {}", unread.from),
            ));
        }
        // Later, a definition may let a column be NULL again.
        found.extend(migration::taken_back(project, statement, later()).filter(|_| *number == newest));
        let Some((name, parts)) = called(statement, later()) else { continue };
        let table = project.tables.iter().find(|table| table.name.as_str() == name);
        if let (Some(table), Some(Part::Field(column))) = (table, parts.first()) {
            found.extend(of_table(statement, table, column));
        }
    }
    found.extend(lost(project)?);
    Ok(found)
}

/// The table and the path of a statement's column by their present names. One that is dropped keeps its own.
fn called<'s>(statement: &Statement, later: impl Iterator<Item = &'s Statement>) -> Option<(String, Vec<Part>)> {
    let path = statement.action.path()?;
    let own = || (statement.table.value.clone(), path.parts.clone());
    Some(migration::finally(statement, later).unwrap_or_else(own))
}

/// Columns that the queries of derived tables had by `migrations/schema.json`, and no longer have.
fn lost(project: &Project) -> Result<Vec<Fault>> {
    let Some(file) = &project.schema else { return Ok(Vec::new()) };
    let known = Snapshot::parse(file).map_err(|fault| Error::definition(vec![fault]))?;
    let finding = |(table, columns): (&Table, Vec<String>)| {
        let file = table.derived().map_or(&table.file, |derived| &derived.sql_file);
        let columns = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        let label = "queries outside of this project have to follow; older versions keep them";
        Fault::at(&Place { file: file.clone(), span: 0..0 }, format!("{} no longer has {columns}", table.name), label)
    };
    Ok(migration::lost(project, &known.tables).into_iter().map(finding).collect())
}

fn finding(statement: &Statement, message: String, label: &str) -> Fault {
    Fault::at(&statement.place, message, label)
}

fn of_statement(statement: &Statement) -> Vec<Fault> {
    let table = &statement.table.value;
    let path = statement.action.path().map(ToString::to_string).unwrap_or_default();
    let of_table = |message: String, label: &str| vec![finding(statement, message, label)];
    let loses = |what: &str| {
        finding(
            statement,
            format!("{what} `{path}` of {table}"),
            "older versions keep them, until a vacuum takes their files",
        )
    };
    let breaks = |what: &str| {
        finding(statement, format!("{what} `{path}` of {table}"), "queries outside of this project have to follow")
    };
    match &statement.action {
        Action::Drop { .. } => vec![loses("loses the values of"), breaks("breaks readers of")],
        Action::Rename { .. } => vec![breaks("breaks readers of")],
        Action::SetType { using: Some(_), .. } => {
            vec![loses("computes other values of"), breaks("gives readers another type of")]
        }
        Action::SetType { .. } => vec![breaks("gives readers another type of")],
        Action::RenameTable { to, .. } => of_table(
            format!("breaks readers of {table}: the catalog has it as {} from then on", to.value),
            "queries outside of this project have to follow",
        ),
        Action::DropTable => of_table(
            format!("breaks readers of {table}: it leaves the catalog"),
            "its files stay until somebody deletes its folder",
        ),
        Action::Refresh => Vec::new(),
        Action::Reload(_) => of_table(
            format!("swaps the rows of every file of {table} that is read again"),
            "rows of files that were deleted stay as they are",
        ),
        Action::SetNotNull { .. } => vec![finding(
            statement,
            format!("records with NULL in `{path}` of {table} go to quarantine from now on"),
            "see what it would have been: stedi-delta query",
        )],
    }
}

/// The uses of a column in the definition.
fn of_table(statement: &Statement, table: &Table, name: &str) -> Vec<Fault> {
    if matches!(statement.action, Action::SetNotNull { .. }) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut note = |message: String, label: &str| found.push(finding(statement, message, label));
    if table.primary_key.iter().any(|key| key == name) {
        note(format!("`{name}` is in the primary key of {}", table.name), "rows may be told apart by other values");
    }
    if let Some(grants) = table.landing().and_then(|landing| landing.grants.as_ref()) {
        let named = grants.subjects.iter().chain(&grants.latest).any(|column| column == name);
        let in_condition = grants.granted.expr.column_refs().iter().any(|column| column.name == name);
        if named || in_condition {
            let message = format!("`{name}` decides in {} who has consented", table.name);
            note(message, "every table with [consent] is checked whole");
        }
    }
    found
}
