//! `migrate lint`: what a reviewer should know of a migration. Reads the project alone.

use crate::definition::{Project, Table};
use crate::error::{Error, Result};
use crate::migration::{self, Action, Snapshot, Statement};
use crate::source::faults::sorted;
use crate::source::{Fault, Place};

/// Losses, breaks and changes by the statements of the newest migration, or of all, each with its place.
///
/// # Errors
/// Faults of the migrations.
pub fn lint(project: &Project, all: bool) -> Result<Vec<Fault>> {
    let migrations = migration::parsed(project).map_err(|faults| Error::definition(sorted(faults)))?;
    let from = if all { 0 } else { migrations.len().saturating_sub(1) };
    let mut found = Vec::new();
    for parsed in migrations.iter().skip(from) {
        for (at, statement) in parsed.statements.iter().enumerate() {
            found.extend(of_statement(statement));
            let Some(path) = statement.action.path() else { continue };
            // Their names after later renames.
            let renamed = |later: &&Statement| later.action.moves();
            let called = parsed.statements.iter().skip(at).filter(renamed).fold(
                statement.table.value.as_str(),
                |name, later| match &later.action {
                    Action::RenameTable { to, .. } if later.table.value == name => &to.value,
                    _ => name,
                },
            );
            let table = project.tables.iter().find(|table| table.name.as_str() == called);
            let name =
                parsed.statements.iter().skip(at).filter(|later| later.table.value == statement.table.value).fold(
                    path.column().to_owned(),
                    |name, later| match &later.action {
                        Action::Rename { path, to } if path.is_column() && path.column() == name => to.value.clone(),
                        _ => name,
                    },
                );
            found.extend(table.into_iter().flat_map(|table| of_table(statement, table, &name)));
        }
    }
    found.extend(lost(project)?);
    Ok(found)
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
