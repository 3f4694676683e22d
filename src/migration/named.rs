//! What a project says of the tables and columns of a statement, by the names that later statements give them.

use super::statement::{Action, Part, Statement};
use crate::definition::{ColumnType, Project, Reading, Table};
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

/// The table and the path of a statement's column or field after later statements; `None` = it is dropped, or the statement
/// is about a table.
#[must_use]
pub(crate) fn finally<'s>(
    statement: &Statement,
    later: impl Iterator<Item = &'s Statement>,
) -> Option<(String, Vec<Part>)> {
    let (mut table, mut parts) = (statement.table.value.clone(), statement.action.path()?.parts.clone());
    match &statement.action {
        Action::Rename { to, .. } => *parts.last_mut()? = Part::Field(to.value.clone()),
        Action::Drop { .. } => return None,
        _ => {}
    }
    for statement in later {
        if statement.table.value != table {
            continue;
        }
        match &statement.action {
            Action::RenameTable { to, .. } => table.clone_from(&to.value),
            Action::Rename { path, to } if parts.starts_with(&path.parts) => {
                *parts.get_mut(path.parts.len() - 1)? = Part::Field(to.value.clone());
            }
            Action::DropTable => return None,
            Action::Drop { path } if parts.starts_with(&path.parts) => return None,
            _ => {}
        }
    }
    Some((table, parts))
}

/// A `set not null` of a column that the definition lets be NULL: the next sync would take it back.
#[must_use]
pub(crate) fn taken_back<'s>(
    project: &Project,
    statement: &Statement,
    later: impl Iterator<Item = &'s Statement>,
) -> Option<Fault> {
    let Action::SetNotNull { path } = &statement.action else { return None };
    let (name, parts) = finally(statement, later)?;
    let table = project.tables.iter().find(|table| table.name.as_str() == name && table.landing().is_some())?;
    let [Part::Field(column)] = parts.as_slice() else { return None };
    let declared = table.columns.iter().find(|known| known.name == *column).filter(|known| known.nullable)?;
    let message = format!("`{}` may be NULL by {}", declared.name, table.file.path.display());
    Some(Fault::at(&path.place, message, "write `nullable = false` there, too, or take this statement out"))
}

/// The old name of a column or field that files still have, and that the definition does not read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// The table, by its present name.
    pub table: String,
    /// The column or field, by its present path.
    pub column: String,
    /// The name that files have.
    pub before: String,
    /// What reads it: `from = ["sort_of", "kind"]`.
    pub from: String,
}

/// What a `rename column` leaves unread.
#[must_use]
pub(crate) fn unread<'s>(
    project: &Project,
    statement: &Statement,
    later: impl Iterator<Item = &'s Statement>,
) -> Option<Unread> {
    let Action::Rename { path, .. } = &statement.action else { return None };
    let (name, parts) = finally(statement, later)?;
    let table = project.tables.iter().find(|table| table.name.as_str() == name)?;
    unread_at(table, &parts, path.leaf())
}

/// The same for a path of a landing table that had another name at its end.
#[must_use]
pub(crate) fn unread_at(table: &Table, parts: &[Part], before: &str) -> Option<Unread> {
    let landing = table.landing()?;
    let [Part::Field(first), rest @ ..] = parts else { return None };
    let at = table.columns.iter().position(|column| column.name == *first)?;
    let (column, reading) = (table.columns.get(at)?, landing.readings.get(at)?);
    let reading = reading_at(reading, &column.column_type, rest)?;
    let Some(Part::Field(leaf)) = parts.last() else { return None };
    // A definition that names a field knows what files have.
    let is_own = matches!(reading.from.as_slice(), [only] if only == leaf) && leaf != before;
    is_own.then(|| Unread {
        table: table.name.to_string(),
        column: super::statement::path_text(parts),
        before: before.to_owned(),
        from: format!("from = [\"{leaf}\", \"{before}\"]"),
    })
}

fn reading_at<'r>(reading: &'r Reading, of: &ColumnType, parts: &[Part]) -> Option<&'r Reading> {
    match (of, parts) {
        (_, []) => Some(reading),
        (ColumnType::Struct(fields), [Part::Field(name), rest @ ..]) => {
            let at = fields.iter().position(|(known, _)| known == name)?;
            reading_at(reading.inside.get(at)?, &fields.get(at)?.1, rest)
        }
        (ColumnType::Array(element), [Part::Element, rest @ ..]) => reading_at(reading.inside.first()?, element, rest),
        (ColumnType::Map(entry), [Part::Value, rest @ ..]) => reading_at(reading.inside.first()?, &entry.1, rest),
        _ => None,
    }
}
