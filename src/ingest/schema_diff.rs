//! Compares the columns of a landing table with those of its definition: new ones, undeclared ones, and conflicts.

use deltalake::arrow::datatypes::Field;

use super::LandingContext;
use super::finish::{checked, commit, spec};
use crate::definition::{Column, ColumnType, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Error, Result};
use crate::lake::{Change, LakeTable, NewColumns, create};
use crate::outcome::{Warning, counted};
use crate::plan;

/// Delta's mark of a column that the writer has to compute.
const GENERATED: &str = "delta.generationExpression";

/// The columns of incoming rows, and where they are declared.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    columns: &'a [Column],
    /// The declaration, as named in messages.
    by: &'static str,
}

impl<'a> Declared<'a> {
    /// The columns of a table's definition.
    #[must_use]
    pub fn by_definition(table: &'a Table) -> Self {
        Self { columns: &table.columns, by: "its definition" }
    }

    /// The columns of the data files of a batch.
    #[must_use]
    pub fn by_batch(columns: &'a [Column]) -> Self {
        Self { columns, by: "the batch" }
    }
}

/// The differences between the columns of a table and of its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaDiff {
    /// The definition has new columns, or makes a column nullable.
    pub gains_columns: bool,
    /// Columns that are not in the definition: they stay, and new rows have NULL in them.
    pub undeclared: Vec<String>,
}

impl SchemaDiff {
    /// Compares the columns, before anything is read or written.
    ///
    /// # Errors
    /// If rows with the declared columns do not fit the table.
    pub fn of(context: &LandingContext<'_>, of: Declared<'_>, table: &LakeTable) -> Result<Self> {
        let Declared { columns, by } = of;
        let stored = table.schema();
        let mut diff = Self::default();
        for field in stored.fields() {
            let declared = columns.iter().find(|c| c.name == *field.name());
            let fits = match declared {
                None => undeclared(field, by),
                Some(declared) => differs(declared, field, by),
            };
            if let Some((problem, help)) = fits {
                return Err(refused(context, table, field.name(), &problem, &help));
            }
            match declared {
                None => diff.undeclared.push(field.name().clone()),
                Some(declared) => diff.gains_columns |= declared.nullable && !field.is_nullable(),
            }
        }
        for column in columns.iter().filter(|c| stored.field_with_name(&c.name).is_err()) {
            if !column.nullable {
                let problem = "is new and cannot be NULL, but older rows lack it";
                let help = format!("drop `nullable = false` from `{}`", column.name);
                return Err(refused(context, table, &column.name, problem, &help));
            }
            diff.gains_columns = true;
        }
        Ok(diff)
    }

    /// The warning for rows that landed without some of the table's columns.
    #[must_use]
    pub fn warning(&self, name: &str) -> Option<Warning> {
        /// More would hide the rest of the report.
        const SHOWN: usize = 5;
        let count = self.undeclared.len();
        let named: Vec<String> = self.undeclared.iter().take(SHOWN).map(|c| format!("`{c}`")).collect();
        let rest = if count > SHOWN { ", ..." } else { "" };
        (count > 0).then(|| Warning {
            message: format!("rows that land in {name} are NULL in {}", counted(count as u64, "column")),
            details: vec![format!("in the table, not in its definition: {}{rest}", named.join(", "))],
            // Not `--reload`: values that another writer added to a file's rows would be lost.
            help: Some("if landing files have them, declare them under [columns]".into()),
        })
    }
}

fn refused(context: &LandingContext<'_>, table: &LakeTable, column: &str, problem: &str, help: &str) -> Error {
    Error::failed(format!("column `{column}` of {} {problem}", context.table.name))
        .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
        .help(format!("{help}, or move the table's folder away and sync"))
}

/// Why rows cannot omit this column of the table, and the remedy.
fn undeclared(field: &Field, by: &str) -> Option<(String, String)> {
    let (what, undo) = if !field.is_nullable() {
        ("cannot be NULL", "let it be NULL")
    } else if field.metadata().contains_key(GENERATED) {
        ("must be computed by the writer", "drop it, or its expression,")
    } else {
        return None;
    };
    let problem = format!("is in the table, not in {by}, and {what}");
    Some((problem, format!("{undo} in the engine that added it, or declare it")))
}

/// Why values of the declared type do not fit this column of the table, and the remedy.
fn differs(declared: &Column, field: &Field, by: &str) -> Option<(String, String)> {
    let name = &declared.name;
    if declared.column_type.arrow() != *field.data_type() {
        let (wanted, found) = (declared.column_type.delta_name(), ColumnType::name_of(field.data_type()));
        let problem = format!("is `{wanted}` in {by}, the table stores {found}");
        return Some((problem, format!("the type of a column cannot change: declare `{name}` as it is stored")));
    }
    if declared.nullable || !field.is_nullable() || name == SOURCE_OFFSET {
        return None;
    }
    let problem = format!("may be NULL in the table, not in {by}");
    Some(match name.as_str() {
        SOURCE_FILE => {
            let help = "in the engine that appended rows without it: RESTORE the version before, and append them with a \
                        path that no landing file has";
            (problem, help.to_owned())
        }
        _ => (problem, format!("drop `nullable = false` from `{name}`")),
    })
}

/// Checks that rows of the definition fit the table, if there is one.
///
/// # Errors
/// If they do not.
pub fn check_schema(context: &LandingContext<'_>, table: Option<&LakeTable>) -> Result<SchemaDiff> {
    table.map_or_else(
        || Ok(SchemaDiff::default()),
        |table| SchemaDiff::of(context, Declared::by_definition(context.table), table),
    )
}

/// Creates an empty landing table, or adds newly declared columns to an existing one.
///
/// # Errors
/// If rows of the definition do not fit the table.
pub async fn evolve_schema(
    context: &LandingContext<'_>,
    uuid: &str,
    table: Option<LakeTable>,
) -> Result<Option<LakeTable>> {
    let Some(table) = table else {
        let commit = commit(context, 0, "ingest", Change::default(), Vec::new(), (0, 0));
        let commit = checked(commit, plan::expectations(context.table));
        return create(&context.location, &spec(context, uuid, &context.table.columns), commit).await.map(Some);
    };
    if !SchemaDiff::of(context, Declared::by_definition(context.table), &table)?.gains_columns {
        return Ok(None);
    }
    let columns = NewColumns::Among(context.table.columns.clone());
    let change = Change { schema: Some(columns), ..Change::default() };
    let commit = commit(context, table.state().batch(), "ingest", change, Vec::new(), (0, 0));
    checked(commit, table.state().expectations()).commit(&table).await.map(Some)
}
