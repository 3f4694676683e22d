//! Compares the columns of a landing table with those of its definition: new ones, undeclared ones, and conflicts. New
//! columns and fields change metadata only: no data file is written, and older files have NULL in them.

use std::collections::BTreeMap;

use deltalake::arrow::datatypes::{Field, Schema};
use serde_json::json;

use super::LandingContext;
use super::finish::{checked, commit, spec};
use crate::definition::{Column, ColumnType, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Error, Result};
use crate::lake::{
    Annotation, Annotations, Change, Commit, LakeTable, NewColumns, annotation_reason, create, declaring,
};
use crate::migration::{Columns, Difference, difference, is_system};
use crate::outcome::{Warning, counted};
use crate::plan;

/// The columns of incoming rows, and where they are declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared<'a> {
    columns: &'a [Column],
    /// The declaration, as named in messages.
    by: &'static str,
}

impl<'a> Declared<'a> {
    /// The columns of a table's definition.
    #[must_use]
    pub(crate) fn by_definition(table: &'a Table) -> Self {
        Self { columns: &table.columns, by: "its definition" }
    }

    /// The columns of the data files of a batch.
    #[must_use]
    pub(crate) fn by_batch(columns: &'a [Column]) -> Self {
        Self { columns, by: "the batch" }
    }
}

/// The differences between the columns of a table and of its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaDiff {
    /// Columns that the definition has and the table lacks, and such fields within columns, by path.
    pub added: Vec<String>,
    /// Columns that are nullable in the definition and not in the table.
    pub nullable: Vec<String>,
    /// What the log says otherwise of the table and its columns than the definition.
    pub annotations: Vec<Annotation>,
    /// Columns that are not in the definition: they stay, and new rows have NULL in them.
    pub undeclared: Vec<String>,
}

impl SchemaDiff {
    /// Compares the columns, before anything is read or written.
    ///
    /// # Errors
    /// If rows with the declared columns do not fit the table.
    pub(crate) fn of(context: &LandingContext<'_>, of: Declared<'_>, table: &LakeTable) -> Result<Self> {
        Self::over(context, of, &table.schema(), table)
    }

    /// The same for a table with the columns of `stored`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn over(
        context: &LandingContext<'_>,
        of: Declared<'_>,
        stored: &Schema,
        table: &LakeTable,
    ) -> Result<Self> {
        let Declared { columns, by } = of;
        let mut diff = Self::default();
        for field in stored.fields() {
            let declared = columns.iter().find(|c| c.name == *field.name());
            let fits = match declared {
                None => undeclared(table, field, by),
                Some(declared) => differs(declared, field, by),
            };
            if let Some((problem, help)) = fits {
                return Err(refused(context, table, field.name(), &problem, &help));
            }
            match declared {
                None => diff.undeclared.push(field.name().clone()),
                Some(declared) => {
                    diff.added.extend(fields_beyond(declared, field).unwrap_or_default());
                    if declared.nullable && !field.is_nullable() {
                        diff.nullable.push(declared.name.clone());
                    }
                }
            }
        }
        for column in columns.iter().filter(|c| stored.field_with_name(&c.name).is_err()) {
            if !column.nullable {
                let problem = "is new and cannot be NULL, but older rows lack it";
                let help = format!("drop `nullable = false` from `{}`", column.name);
                return Err(refused(context, table, &column.name, problem, &help));
            }
            diff.added.push(column.name.clone());
        }
        Ok(diff)
    }

    /// Whether the table has to get other columns before it can hold rows as the definition has them.
    #[must_use]
    pub(crate) fn changes_columns(&self) -> bool {
        !(self.added.is_empty() && self.nullable.is_empty())
    }

    /// Why a sync changes the table's metadata; `None` where it does not.
    #[must_use]
    pub(crate) fn reason(&self) -> Option<String> {
        let listed = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut reasons = Vec::new();
        match self.added.as_slice() {
            [] => {}
            [one] => reasons.push(format!("new column `{one}`")),
            several => reasons.push(format!("new columns {}", listed(several))),
        }
        if !self.nullable.is_empty() {
            reasons.push(format!("{} may be NULL", listed(&self.nullable)));
        }
        reasons.extend(annotation_reason(&self.annotations));
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }

    /// The same for `commitInfo`, one by one.
    fn facts(&self) -> Vec<String> {
        let added = self.added.iter().map(|path| format!("+ {path}"));
        let nullable = self.nullable.iter().map(|path| format!("~ {path}: nullable"));
        added.chain(nullable).chain(self.annotations.iter().map(Annotation::fact)).collect()
    }

    /// A commit that also says what it does to the columns.
    pub(super) fn told(&self, mut commit: Commit) -> Commit {
        if let (Some(facts), false) = (commit.info.get_mut("stediDelta"), self.facts().is_empty()) {
            facts["columns"] = json!(self.facts());
        }
        commit
    }

    /// The warning for rows that landed without some of the table's columns.
    #[must_use]
    pub(crate) fn warning(&self, name: &str) -> Option<Warning> {
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

/// The statements of a migration without which a table does not get to its definition: `alter column k type long`.
#[must_use]
pub(crate) fn lacking_migration(context: &LandingContext<'_>, table: &LakeTable) -> Difference {
    let Ok(Columns(mut stored)) = Columns::stored(&table.schema()) else { return Difference::default() };
    let declared = Columns::declared(&context.table.columns);
    // Columns that another writer added stay.
    let own = table.declared_columns();
    stored.retain(|column| declared.get(&column.name).is_some() || own.contains(&column.name));
    difference(&Columns(stored), &declared, &[])
}

fn refused(context: &LandingContext<'_>, table: &LakeTable, column: &str, problem: &str, help: &str) -> Error {
    Error::failed(format!("column `{column}` of {} {problem}", context.table.name))
        .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
        .help(format!("{help}, or move the table's folder away and sync"))
}

/// The table property that lists its declared columns, extended by `columns`.
pub(super) fn declaring_also(columns: &[Column], table: Option<&LakeTable>) -> BTreeMap<String, String> {
    let own = table.map(LakeTable::declared_columns).unwrap_or_default();
    declaring(own.iter().map(String::as_str).chain(columns.iter().map(|column| column.name.as_str())))
}

/// Why rows cannot omit this column of the table, and the remedy.
fn undeclared(table: &LakeTable, field: &Field, by: &str) -> Option<(String, String)> {
    let (what, undo) = if !field.is_nullable() {
        ("cannot be NULL", "let it be NULL")
    } else if table.is_computed(field.name()) {
        ("must be computed by the writer", "drop it, or its expression,")
    } else {
        return None;
    };
    let problem = format!("is in the table, not in {by}, and {what}");
    Some((problem, format!("{undo} in the engine that added it, or declare it")))
}

/// Fields within a column that its definition has and the table lacks; `None` if the types differ otherwise.
fn fields_beyond(declared: &Column, field: &Field) -> Option<Vec<String>> {
    if declared.column_type.arrow() == *field.data_type() {
        return Some(Vec::new());
    }
    declared.column_type.fields_beyond(&ColumnType::exact(field.data_type())?, &declared.name)
}

/// Whether statements of a migration lead from the stored to the declared type: none changes the order of fields.
fn is_drafted(declared: &Column, field: &Field) -> bool {
    let stored = Columns::stored(&Schema::new(vec![field.clone()]));
    let drafted = |stored: &Columns| difference(stored, &Columns::declared(std::slice::from_ref(declared)), &[]);
    stored.is_ok_and(|stored| !drafted(&stored).statements.is_empty())
}

/// Why values of the declared type do not fit this column of the table, and the remedy.
fn differs(declared: &Column, field: &Field, by: &str) -> Option<(String, String)> {
    let name = &declared.name;
    if fields_beyond(declared, field).is_none() {
        let (wanted, found) = (declared.column_type.delta_name(), ColumnType::name_of(field.data_type()));
        let problem = format!("is `{wanted}` in {by}, the table stores {found}");
        let help = match is_drafted(declared, field) {
            true => format!("stedi-delta migrate new LABEL   (drafts it); or declare `{name}` as it is stored"),
            false => format!("declare `{name}` as it is stored, and new fields anywhere among the others"),
        };
        return Some((problem, help));
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
        _ => {
            (problem, format!("stedi-delta migrate new LABEL   (drafts it); or drop `nullable = false` from `{name}`"))
        }
    })
}

/// Checks that rows of the definition fit the table, if there is one.
///
/// # Errors
/// If they do not.
pub(crate) fn check_schema(context: &LandingContext<'_>, table: Option<&LakeTable>) -> Result<SchemaDiff> {
    let Some(table) = table else { return Ok(SchemaDiff::default()) };
    let diff = SchemaDiff::of(context, Declared::by_definition(context.table), table)?;
    let own = table.declared_columns();
    if let Some(column) = diff.undeclared.iter().find(|column| own.contains(*column) && !is_system(column)) {
        let problem = "is in the table, and no longer in its definition";
        let help = "stedi-delta migrate new LABEL   (drafts `drop column`; with --rename, `rename column`)";
        return Err(refused(context, table, column, problem, help));
    }
    let mut annotations = table.annotated_otherwise(&Annotations::of(context.table));
    // Tables from before this was recorded.
    let is_recorded = |column: &Column| own.contains(&column.name) || diff.added.contains(&column.name);
    if !context.table.columns.iter().all(is_recorded) && table.check_writable().is_ok() {
        annotations.extend(declaring([]).into_keys().map(Annotation::Property));
    }
    Ok(SchemaDiff { annotations, ..diff })
}

/// Creates an empty landing table, or evolves an existing one to its definition; also says why.
///
/// # Errors
/// If rows of the definition do not fit the table.
pub(super) async fn evolve_schema(
    context: &LandingContext<'_>,
    uuid: &str,
    table: Option<LakeTable>,
) -> Result<Option<(LakeTable, String)>> {
    let Some(table) = table else {
        let properties = declaring_also(&context.table.columns, None);
        let annotations = Some(Annotations::of(context.table));
        let change = Change { properties, annotations, ..Change::default() };
        let commit = commit(context, 0, "ingest", change, Vec::new(), (0, 0));
        let commit = checked(commit, plan::expectations(context.table));
        let table = create(&context.location, &spec(context, uuid, &context.table.columns), commit).await?;
        return Ok(Some((table, "no rows yet".into())));
    };
    let diff = check_schema(context, Some(&table))?;
    let Some(reason) = diff.reason() else { return Ok(None) };
    let schema = diff.changes_columns().then(|| NewColumns::Among(context.table.columns.clone()));
    let properties = declaring_also(&context.table.columns, Some(&table));
    let annotations = Some(Annotations::of(context.table));
    let change = Change { schema, properties, annotations, ..Change::default() };
    let commit = commit(context, table.state().batch(), "ingest", change, Vec::new(), (0, 0));
    let table = diff.told(checked(commit, table.state().expectations())).commit(&table).await?;
    Ok(Some((table, reason)))
}
