//! The files of `migrations/`: statements that change existing tables.
//!
//! `parse` turns the text of a migration into [`Statement`]s, with a place for every word. `shape` applies a statement to
//! the columns of a table, and `values` to its rows. Nothing here reads a table: that, and the commits, are in `migrate`.

mod changes;
mod difference;
mod known;
mod named;
mod offline;
mod parse;
mod places;
mod shape;
mod snapshot;
mod statement;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::definition::{Migration, Project, SOURCE_FILE, SOURCE_OFFSET};
use crate::name::RESCUED;
use crate::source::{Fault, Place, SourceFile};

pub use changes::{SchemaChange, SchemaChangeKind};
pub(crate) use changes::{change_by, changes};
pub(crate) use difference::{Difference, difference, in_order};
pub(crate) use known::{Known, lost};
pub(crate) use named::{Unread, finally, still_named, taken_back, unread, unread_at};
pub(crate) use places::{Home, Move, Names, Places};
pub(crate) use shape::{Columns, Stored, holds};
pub(crate) use snapshot::{PATH as SNAPSHOT, Snapshot};
pub(crate) use statement::{Action, ColumnPath, Files, Part, Statement, parts, path_text};
pub(crate) use values::Reshape;

/// A migration and its statements.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The file.
    pub migration: Migration,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
}

impl Parsed {
    /// A migration that was written just now.
    pub(crate) fn drafted(number: u32, label: &str, path: &Path, text: String) -> Self {
        let file = Arc::new(SourceFile { path: path.to_owned(), text });
        Self { migration: Migration { number, label: label.to_owned(), file }, statements: Vec::new() }
    }

    /// `0001_label`, as in messages.
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.migration)
    }

    /// Its statements, each with its number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Statement)> {
        self.statements.iter().map(|statement| (self.migration.number, statement))
    }

    /// By what a changed file is known: BLAKE3 of its text, whatever ends its lines. Editors may put a byte order mark before
    /// it, which is no part of the text.
    #[must_use]
    pub fn checksum(&self) -> String {
        blake3::hash(self.migration.file.text.replace("\r\n", "\n").as_bytes()).to_hex().to_string()
    }
}

fn name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.number, migration.label)
}

/// The migrations of a project in their order.
///
/// # Errors
/// Every fault of them.
pub(crate) fn parsed(project: &Project) -> Result<Vec<Parsed>, Vec<Fault>> {
    let mut faults = gaps(&project.migrations);
    let mut all = Vec::new();
    for migration in &project.migrations {
        match parse::statements(&migration.file) {
            Ok(statements) => all.push(Parsed { migration: migration.clone(), statements }),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

/// A statement by its text in the journal; `None` if it is none.
#[must_use]
pub(crate) fn statement(text: &str) -> Option<Statement> {
    let file = Arc::new(SourceFile { path: PathBuf::from("migrations"), text: text.to_owned() });
    parse::statements(&file).ok()?.into_iter().next()
}

/// Every fault of the migrations of a project.
#[must_use]
pub(crate) fn faults(project: &Project) -> Vec<Fault> {
    parsed(project).err().unwrap_or_default()
}

/// Differences between the definitions of a project and `migrations/schema.json` with the migrations since then.
#[must_use]
pub(crate) fn differences(project: &Project) -> Vec<Fault> {
    let Some(file) = &project.schema else { return Vec::new() };
    parsed(project).map(|migrations| offline::faults(project, file, &migrations)).unwrap_or_default()
}

/// Whether a column is the tool's own: no migration touches it.
#[must_use]
pub(crate) fn is_system(column: &str) -> bool {
    [SOURCE_FILE, SOURCE_OFFSET, RESCUED].contains(&column)
}

/// The expression that gives values this Arrow type, for types that SQL has no name for.
fn arrow_cast(value: &str, to: &deltalake::arrow::datatypes::DataType) -> String {
    format!("arrow_cast({value}, '{}')", to.to_string().replace('\'', "''"))
}

/// Missing numbers below existing ones.
fn gaps(migrations: &[Migration]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut expected = 1;
    for migration in migrations {
        if migration.number > expected {
            let missing = match migration.number - 1 {
                last if last == expected => format!("{expected:04} is"),
                last => format!("{expected:04} to {last:04} are"),
            };
            let place = Place { file: migration.file.clone(), span: 0..0 };
            let label = format!("put it back, or give this one the number {expected:04}");
            faults.push(Fault::at(&place, format!("migration {missing} missing"), label));
        }
        expected = migration.number + 1;
    }
    faults
}

#[cfg(test)]
mod tests;
