//! `migrations/schema.json`: the columns in `tables/` when the newest migration was written. With it, differences that need
//! a migration are found without access to a lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shape::{Columns, Stored};
use super::statement::Action;
use super::{Parsed, Statement, is_system};
use crate::definition::{ColumnType, Project, Table};
use crate::name::nearest;
use crate::source::{Fault, Place, SourceFile};

/// Where it is in a project.
pub(crate) const PATH: &str = "migrations/schema.json";

/// The command that resolves a difference.
const DRAFT: &str = "stedi-delta migrate new LABEL";

/// The columns of landing tables by table.
pub(super) type Tables = BTreeMap<String, Columns>;

/// The tables of a project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Landing tables.
    pub landing: Tables,
    /// Derived tables, as their queries made them then; `None` = they are not known.
    pub derived: Option<Tables>,
}

impl Known {
    /// Those of a project.
    #[must_use]
    pub(crate) fn declared(project: &Project) -> Self {
        let landing = project.tables.iter().filter(|table| table.landing().is_some());
        let columns = |table: &Table| (table.name.to_string(), Columns::declared(&table.columns));
        Self { landing: landing.map(columns).collect(), derived: Some(derived(project).map(columns).collect()) }
    }

    /// Tables that a project no longer has.
    #[must_use]
    pub(crate) fn gone(&self, project: &Project) -> Vec<&str> {
        let names = self.landing.keys().chain(self.derived.iter().flat_map(Tables::keys));
        names
            .map(String::as_str)
            .filter(|name| project.tables.iter().all(|table| table.name.as_str() != *name))
            .collect()
    }

    /// Whether there is a table of this name.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.landing.contains_key(name) || self.derived.as_ref().is_some_and(|derived| derived.contains_key(name))
    }

    /// Gives a table another name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(columns) = self.landing.remove(from) {
            self.landing.insert(to.to_owned(), columns);
        }
        if let Some(derived) = &mut self.derived
            && let Some(columns) = derived.remove(from)
        {
            derived.insert(to.to_owned(), columns);
        }
    }

    /// The tables after a statement.
    fn take(&mut self, statement: &Statement) -> Result<(), Fault> {
        let name = statement.table.value.as_str();
        match &statement.action {
            Action::RenameTable { .. } | Action::DropTable if !self.has(name) => {
                // Without a list of derived tables it may be one of them.
                let Some(derived) = &self.derived else { return Ok(()) };
                let known = self.landing.keys().chain(derived.keys()).map(String::as_str);
                let label = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a table that came since needs no statement".to_owned(),
                };
                return Err(Fault::at(&statement.table.place, format!("table `{name}` is not in {PATH}"), label));
            }
            Action::RenameTable { to, .. } if to.value != name && self.has(&to.value) => {
                let label = format!("rename or drop `{}` first", to.value);
                return Err(Fault::at(&to.place, format!("table `{}` is there already", to.value), label));
            }
            Action::RenameTable { to, .. } => self.rename(name, &to.value),
            Action::DropTable => {
                self.landing.remove(name);
                if let Some(derived) = &mut self.derived {
                    derived.remove(name);
                }
            }
            _ => {
                // A table that came since was made with it.
                if let Some(columns) = self.landing.get_mut(name) {
                    *columns = columns.after(statement)?;
                }
            }
        }
        Ok(())
    }
}

/// The tables of a project after a migration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The newest migration that they include.
    pub migration: u32,
    /// The tables.
    pub tables: Known,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    migration: u32,
    tables: BTreeMap<String, Vec<FileColumn>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<BTreeMap<String, Vec<FileColumn>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileColumn {
    name: String,
    r#type: String,
    #[serde(default = "nullable", skip_serializing_if = "Clone::clone")]
    nullable: bool,
}

fn nullable() -> bool {
    true
}

impl Snapshot {
    /// The one that the definitions of a project make.
    #[must_use]
    pub(crate) fn declared(project: &Project) -> Self {
        let migration = project.migrations.last().map_or(0, |migration| migration.number);
        Self { migration, tables: Known::declared(project) }
    }

    /// Reads the file of a project.
    ///
    /// # Errors
    /// Its fault.
    pub(crate) fn parse(file: &Arc<SourceFile>) -> Result<Self, Fault> {
        let at = |line: usize, column: usize| {
            let start: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            let at = (start + column.saturating_sub(1)).min(file.text.len());
            Place { file: file.clone(), span: at..at }
        };
        let fault = |place: Place, label: String| Fault {
            help: Some(format!("put it back, or delete it and run {DRAFT}")),
            ..Fault::at(&place, "this is not what `migrate new` wrote", label)
        };
        let parsed: File = serde_json::from_str(&file.text)
            .map_err(|error| fault(at(error.line(), error.column()), error.to_string()))?;
        let of = |tables: BTreeMap<String, Vec<FileColumn>>| {
            let mut found = Tables::new();
            for (name, columns) in tables {
                let mut all = Vec::new();
                for column in columns {
                    let of = ColumnType::parse(&column.r#type)
                        .map_err(|label| fault(at(1, 1), format!("column `{}` of {name}: {label}", column.name)))?;
                    all.push(Stored { name: column.name, of, nullable: column.nullable });
                }
                found.insert(name, Columns(all));
            }
            Ok(found)
        };
        let (landing, derived) = (of(parsed.tables)?, parsed.derived.map(of).transpose()?);
        Ok(Self { migration: parsed.migration, tables: Known { landing, derived } })
    }

    /// The text of the file.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let column = |c: &Stored| FileColumn { name: c.name.clone(), r#type: c.of.delta_name(), nullable: c.nullable };
        let own = |c: &&Stored| !is_system(&c.name);
        let columns = |columns: &Columns| columns.0.iter().filter(own).map(column).collect();
        let of = |tables: &Tables| tables.iter().map(|(name, of)| (name.clone(), columns(of))).collect();
        let (tables, derived) = (of(&self.tables.landing), self.tables.derived.as_ref().map(of));
        let text = serde_json::to_string_pretty(&File { migration: self.migration, tables, derived });
        text.unwrap_or_default() + "\n"
    }

    /// The tables after the migrations that came since.
    ///
    /// # Errors
    /// Statements that cannot be applied to them.
    pub(crate) fn after(&self, migrations: &[Parsed]) -> Result<Known, Vec<Fault>> {
        let mut tables = self.tables.clone();
        let later = migrations.iter().filter(|parsed| parsed.migration.number > self.migration);
        let statements = later.flat_map(|parsed| &parsed.statements);
        let faults: Vec<Fault> = statements.filter_map(|statement| tables.take(statement).err()).collect();
        if faults.is_empty() { Ok(tables) } else { Err(faults) }
    }
}

/// The derived tables of a project but for quarantines, which have the columns of their tables.
fn derived(project: &Project) -> impl Iterator<Item = &Table> {
    project.tables.iter().filter(|table| table.derived().is_some_and(|derived| derived.quarantine_of.is_none()))
}

/// The columns of derived tables that their queries no longer have, by table.
#[must_use]
pub(crate) fn lost<'p>(project: &'p Project, known: &Known) -> Vec<(&'p Table, Vec<String>)> {
    let of = |table: &'p Table| {
        let before = known.derived.as_ref()?.get(table.name.as_str())?;
        let has = |name: &str| table.columns.iter().any(|column| column.name == name);
        let gone: Vec<String> = before.0.iter().map(|c| c.name.clone()).filter(|name| !has(name)).collect();
        (!gone.is_empty()).then_some((table, gone))
    };
    derived(project).filter_map(of).collect()
}

/// The changes that turn columns into the declared ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Statements without their table: `drop column a`; each with a word about it where it needs one.
    pub statements: Vec<(String, Option<String>)>,
    /// Additions that a sync makes without a migration: `+ zone`.
    pub additions: Vec<String>,
    /// Columns that a statement drops, each with a new name that may be its own.
    pub renames: Vec<(String, String)>,
}

impl Difference {
    /// The command that drafts a table's migration, and what it does.
    #[must_use]
    pub(crate) fn command(&self, table: &str) -> String {
        if self.renames.is_empty() {
            return format!("{DRAFT}   (drafts it)");
        }
        let renames = self.renames.iter().map(|(path, to)| format!(" --rename {table}.{path}={to}"));
        let paths = self.renames.iter().map(|(path, _)| format!("`{path}`")).collect::<Vec<_>>();
        format!("{DRAFT}{}   (drafts it; without --rename it drops {})", renames.collect::<String>(), paths.join(", "))
    }
}

/// The difference between columns and those that are declared; `renamed`: paths and the names that they get.
#[must_use]
pub(crate) fn difference(before: &Columns, declared: &Columns, renamed: &[(String, String)]) -> Difference {
    let mut found = Difference::default();
    let row = |columns: &Columns| -> Vec<(String, ColumnType)> {
        let own = columns.0.iter().filter(|c| !is_system(&c.name));
        own.map(|c| (c.name.clone(), c.of.clone())).collect()
    };
    fields("", (&row(before), &row(declared)), None, renamed, &mut found);
    for column in declared.0.iter().filter(|c| !is_system(&c.name)) {
        let from = renamed.iter().find(|(_, to)| *to == column.name).map_or(&column.name, |(from, _)| from);
        match before.get(from) {
            Some(known) if known.nullable && !column.nullable => {
                found.statements.push((format!("alter column {} set not null", column.name), None));
            }
            Some(known) if !known.nullable && column.nullable => {
                found.additions.push(format!("~ {}: nullable", column.name));
            }
            _ => {}
        }
    }
    found
}

/// The fields of a struct, or the columns of a table.
type Fields<'f> = &'f [(String, ColumnType)];

/// `column`: the column that contains the path, and its declared type.
fn fields(
    path: &str,
    (before, declared): (Fields<'_>, Fields<'_>),
    column: Option<(&str, &ColumnType)>,
    renamed: &[(String, String)],
    found: &mut Difference,
) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let renamed_to = |name: &str| {
        let (_, to) = renamed.iter().find(|(from, _)| *from == at(name))?;
        declared.iter().any(|(known, _)| known == to).then(|| to.clone())
    };
    let (mut taken, mut offered): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (name, of) in before {
        let now = match renamed_to(name) {
            Some(to) => {
                found.statements.push((format!("rename column {} to {to}", at(name)), None));
                to
            }
            None => name.clone(),
        };
        match declared.iter().find(|(known, _)| *known == now) {
            Some((_, wanted)) => {
                let column = column.unwrap_or((&now, wanted));
                values(&at(&now), (of, wanted), column, renamed, found);
                taken.push(now);
            }
            None => {
                let like = |(new, wanted): &&(String, ColumnType)| {
                    wanted == of && !before.iter().any(|(known, _)| known == new)
                };
                let hint = declared.iter().find(like).map(|(new, _)| {
                    format!("if `{new}` is its new name: migrate new ... --rename TABLE.{}={new}", at(name))
                });
                let is_new = |new: &str| {
                    !before.iter().any(|(known, _)| known == new)
                        && !offered.iter().any(|other| other == new)
                        && !renamed.iter().any(|(_, to)| to == new)
                };
                let of_type = declared.iter().find(|(new, wanted)| wanted == of && is_new(new));
                if let Some((new, _)) = of_type.or_else(|| declared.iter().find(|(new, _)| is_new(new))) {
                    offered.push(new.clone());
                    found.renames.push((at(name), new.clone()));
                }
                found.statements.push((format!("drop column {}", at(name)), hint));
            }
        }
    }
    let new = declared.iter().filter(|(name, _)| !taken.contains(name));
    found.additions.extend(new.map(|(name, _)| format!("+ {}", at(name))));
}

fn values(
    path: &str,
    (before, wanted): (&ColumnType, &ColumnType),
    column: (&str, &ColumnType),
    renamed: &[(String, String)],
    found: &mut Difference,
) {
    match (before, wanted) {
        (before, wanted) if before == wanted => {}
        (ColumnType::Struct(before), ColumnType::Struct(wanted)) => {
            fields(path, (before, wanted), Some(column), renamed, found);
        }
        (ColumnType::Array(before), ColumnType::Array(wanted)) => {
            values(&format!("{path}[]"), (before, wanted), column, renamed, found);
        }
        (ColumnType::Map(before), ColumnType::Map(wanted)) if before.0 == wanted.0 => {
            values(&format!("{path}{{}}"), (&before.1, &wanted.1), column, renamed, found);
        }
        (before, wanted) => {
            let (name, top) = (wanted.delta_name(), column.0);
            let statement = if super::shape::holds(wanted, before) {
                (format!("alter column {path} type {name}"), None)
            } else if path == top {
                (format!("alter column {path} type {name} using cast({path} as {})", sql_name(wanted)), None)
            } else {
                // The expression has to be written by a person.
                let hint = format!("write what makes {name} of the values of {path}, such as `named_struct(...)`");
                (format!("alter column {top} type {} using", column.1.delta_name()), Some(hint))
            };
            if !found.statements.contains(&statement) {
                found.statements.push(statement);
            }
        }
    }
}

/// A type as queries name it.
fn sql_name(of: &ColumnType) -> String {
    match of {
        ColumnType::String => "varchar".into(),
        ColumnType::Long => "bigint".into(),
        ColumnType::Integer => "int".into(),
        ColumnType::Short => "smallint".into(),
        ColumnType::Byte => "tinyint".into(),
        ColumnType::Float => "real".into(),
        other => other.delta_name(),
    }
}

/// Differences between the definitions and the file with the migrations since then.
#[must_use]
pub(crate) fn faults(project: &Project, file: &Arc<SourceFile>, migrations: &[Parsed]) -> Vec<Fault> {
    let read = Snapshot::parse(file).map_err(|fault| vec![fault]);
    let (recorded, known) = match read.and_then(|read| Ok((read.migration, read.after(migrations)?))) {
        Ok(found) => found,
        Err(faults) => return faults,
    };
    let mut faults = Vec::new();
    let left = migrations.iter().filter(|parsed| parsed.migration.number > recorded);
    let left = left
        .flat_map(|parsed| &parsed.statements)
        .filter(|statement| statement.action.moves() && !known.has(&statement.table.value));
    let mut named: BTreeMap<&str, Vec<Fault>> = BTreeMap::new();
    for statement in left {
        named.insert(&statement.table.value, super::still_named(project, statement));
    }
    let is_left = |table: &&Table| named.contains_key(table.name.as_str());
    for table in project.tables.iter().filter(|table| table.landing().is_some() && !is_left(table)) {
        let place = Place { file: table.file.clone(), span: 0..0 };
        let mut fault = |message: String, next: String| faults.push(Fault::at(&place, message, next));
        let declared = Columns::declared(&table.columns);
        match known.landing.get(table.name.as_str()) {
            None => fault(format!("{PATH} lacks the table {}", table.name), DRAFT.to_owned()),
            Some(before) => {
                let found = difference(before, &declared, &[]);
                let statements: Vec<&str> = found.statements.iter().map(|(text, _)| text.as_str()).collect();
                if !statements.is_empty() {
                    let message = format!("the columns of {} need a migration: {}", table.name, statements.join(", "));
                    fault(message, found.command(table.name.as_str()));
                } else if !found.additions.is_empty() {
                    let message = format!("{PATH} lacks changes of {}: {}", table.name, found.additions.join(", "));
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
    faults
}
