//! `migrate new`: the statements by which the tables become what `tables/` says, as a file to be read by a person, and
//! `migrations/schema.json`, by which `check` finds the next difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Pending;
use crate::definition::{Project, SOURCE_FILE, SOURCE_OFFSET};
use crate::error::{Context, Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migration::{self, Columns, Difference, Known, SNAPSHOT, Snapshot, difference};
use crate::name;
use crate::register;
use crate::source::faults::sorted;
use crate::workspace::Workspace;

/// What has another name from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// A column or field: table, path, name.
    Column {
        /// The table, by its new name if it has one.
        table: String,
        /// The column, and what follows.
        path: String,
        /// Its new name.
        to: String,
    },
    /// A table.
    Table {
        /// Its name.
        from: String,
        /// Its new name.
        to: String,
    },
}

impl Renamed {
    /// Parses `table.a=b` and `table=name`.
    ///
    /// # Errors
    /// `Usage` when it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('=').filter(|(from, to)| !from.is_empty() && name::check(to).is_ok());
        match parts.map(|(from, to)| (from, from.split_once('.'), to.to_owned())) {
            Some((_, Some((table, path)), to)) if !path.is_empty() => {
                Ok(Self::Column { table: table.to_owned(), path: path.to_owned(), to })
            }
            Some((from, None, to)) => Ok(Self::Table { from: from.to_owned(), to }),
            _ => Err(Error::new(Kind::Usage, format!("`--rename {text}` names no column and no table"))
                .fact("expected", "TABLE.COLUMN=NAME, TABLE.COLUMN.FIELD=NAME or TABLE=NAME")),
        }
    }

    /// As on the command line.
    fn text(&self) -> String {
        match self {
            Self::Column { table, path, to } => format!("--rename {table}.{path}={to}"),
            Self::Table { from, to } => format!("--rename {from}={to}"),
        }
    }
}

/// A drafted migration.
#[derive(Debug, Default)]
pub struct Draft {
    /// The migration, under the project's folder; `None` = there is nothing that needs one.
    pub file: Option<PathBuf>,
    /// Its statements.
    pub statements: Vec<String>,
    /// Changes that a sync makes without a migration, by table.
    pub additions: Vec<String>,
    /// Columns that derived tables lose with their queries: `members: - at`.
    pub losses: Vec<String>,
    /// Whether `migrations/schema.json` was written.
    pub wrote_snapshot: bool,
}

/// The present tables, to compare with the declared ones.
#[derive(Debug)]
pub struct Before(Known);

impl Before {
    /// By `migrations/schema.json` and the migrations since then; `None` where there is no such file.
    ///
    /// # Errors
    /// Faults of these files.
    pub fn recorded(project: &Project) -> Result<Option<Self>> {
        let Some(file) = &project.schema else { return Ok(None) };
        let definition = |faults| Error::definition(sorted(faults));
        let migrations = migration::parsed(project).map_err(definition)?;
        let known = Snapshot::parse(file).map_err(|fault| definition(vec![fault]))?;
        known.after(&migrations).map(Self).map(Some).map_err(definition)
    }

    /// The tables of a lake after its pending migrations. Tables that left the project are those of its catalog.
    ///
    /// # Errors
    /// If the lake cannot be read, or a pending statement cannot be applied.
    pub async fn stored(workspace: &Workspace) -> Result<Self> {
        let pending = Pending::find(workspace).await?;
        let workspace = &pending.workspace;
        let (mut landing, mut derived) = (BTreeMap::new(), BTreeMap::new());
        for table in workspace.project.tables.iter().filter(|table| table.landing().is_some()) {
            let opened = match pending.tables.get(&table.name) {
                Some(stands) => Some(stands.clone()),
                None => LakeTable::open(&workspace.location(table)?).await?,
            };
            let Some(stands) = opened else { continue };
            let columns = match pending.foreseen(table, &stands)?.columns {
                Some(columns) => columns,
                None => super::pending::stored(table, &stands)?,
            };
            landing.insert(table.name.to_string(), columns);
        }
        let departed = register::departed(workspace).await;
        for (name, location) in &departed {
            let is_quarantine = name
                .strip_suffix("_quarantine")
                .is_some_and(|owner| landing.contains_key(owner) || departed.iter().any(|(other, _)| other == owner));
            let stands = match is_quarantine {
                true => None,
                false => LakeTable::open(&workspace.place_at(location)?).await?,
            };
            let Some(stands) = stands else { continue };
            let (schema, of_files) = (stands.schema(), [SOURCE_FILE, SOURCE_OFFSET]);
            match Columns::stored(&schema) {
                Ok(columns) if of_files.iter().all(|column| columns.get(column).is_some()) => {
                    landing.insert(name.clone(), columns);
                }
                Ok(columns) => {
                    derived.insert(name.clone(), columns);
                }
                // Columns of types that no definition has: the name is what counts.
                Err(_) => {
                    derived.insert(name.clone(), Columns(Vec::new()));
                }
            }
        }
        Ok(Self(Known { landing, derived: Some(derived) }))
    }
}

/// Drafts a migration of this label and writes it into the project, with `migrations/schema.json`. Where the definitions
/// only add, there is no migration.
///
/// # Errors
/// `Usage` for a label or a rename that cannot be meant; when a file cannot be written.
pub fn draft(project: &Project, label: &str, renamed: &[Renamed], before: &Before) -> Result<Draft> {
    name::check(label).map_err(|reason| {
        Error::new(Kind::Usage, format!("`{label}` cannot be in the name of a file"))
            .fact("because", reason)
            .fact("expected", "words between `_`, such as `crm_names`")
    })?;
    let mut draft = Draft::default();
    let mut text = String::new();
    let Before(known) = before;
    let mut known = known.clone();
    for statement in tables_renamed(project, renamed, &mut known)? {
        text.push_str(&format!("{statement}\n"));
        draft.statements.push(statement);
    }
    for (name, difference) in differences(project, renamed, &known)? {
        draft.additions.extend(difference.additions.iter().map(|addition| format!("{name}: {addition}")));
        for (statement, hint) in difference.statements {
            let statement = format!("alter table {name} {statement};");
            if let Some(hint) = hint {
                text.push_str(&format!("-- {}\n", hint.replace("TABLE", &name)));
            }
            text.push_str(&format!("{statement}\n"));
            draft.statements.push(statement);
        }
    }
    for name in known.gone(project) {
        let statement = format!("drop table {name};");
        if let Some(like) = like(project, &known, name) {
            text.push_str(&format!("-- if `{like}` is its new name: migrate new ... --rename {name}={like}\n"));
        }
        text.push_str(&format!("{statement}\n"));
        draft.statements.push(statement);
    }
    if let Some(file) = &project.schema {
        let known = Snapshot::parse(file).map_err(|fault| Error::definition(vec![fault]))?;
        let lost = migration::lost(project, &known.tables).into_iter();
        draft.losses.extend(lost.map(|(table, columns)| format!("{}: - {}", table.name, columns.join(", - "))));
    }
    let folder = project.root.join("migrations");
    fs::create_dir_all(&folder).context(|| "the folder `migrations` cannot be made".into())?;
    let mut snapshot = Snapshot::declared(project);
    if !draft.statements.is_empty() {
        snapshot.migration += 1;
        let leaf = format!("{:04}_{label}.sql", snapshot.migration);
        let head = "-- Drafted by `stedi-delta migrate new`: review it before it is applied.\n";
        write(&folder.join(&leaf), &format!("{head}{text}"))?;
        draft.file = Some(Path::new("migrations").join(leaf));
    }
    let text = snapshot.text();
    if project.schema.as_ref().is_none_or(|file| file.text != text) {
        write(&project.root.join(SNAPSHOT), &text)?;
        draft.wrote_snapshot = true;
    }
    Ok(draft)
}

/// The statements of tables that have another name from now on.
fn tables_renamed(project: &Project, renamed: &[Renamed], known: &mut Known) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    let is_declared = |name: &str| project.tables.iter().any(|table| table.name.as_str() == name);
    for one in renamed {
        let Renamed::Table { from, to } = one else { continue };
        if !known.has(from) || is_declared(from) || known.has(to) || !is_declared(to) {
            let expected =
                "a table that there was and tables/ no longer has, and a name for which it is the other way round";
            return Err(nothing(one, expected));
        }
        known.rename(from, to);
        statements.push(format!("alter table {from} rename to {to};"));
    }
    Ok(statements)
}

/// A new table that may be one that is gone.
fn like<'p>(project: &'p Project, known: &Known, name: &str) -> Option<&'p str> {
    let new = project.tables.iter().filter(|table| !known.has(table.name.as_str()) && table.quarantine_of().is_none());
    let mut alike = new.filter(|table| match known.landing.get(name) {
        Some(columns) => {
            table.landing().is_some() && {
                let found = difference(columns, &Columns::declared(&table.columns), &[]);
                found.statements.is_empty() && found.additions.is_empty()
            }
        }
        None => table.derived().is_some(),
    });
    alike.next().map(|table| table.name.as_str())
}

fn nothing(renamed: &Renamed, expected: &str) -> Error {
    Error::new(Kind::Usage, format!("`{}` renames nothing", renamed.text())).fact("expected", expected)
}

/// The statements that each table needs.
fn differences(project: &Project, renamed: &[Renamed], before: &Known) -> Result<Vec<(String, Difference)>> {
    let mut all = Vec::new();
    let mut used = Vec::new();
    for table in project.tables.iter().filter(|table| table.landing().is_some()) {
        // One that does not exist yet is made with what it says.
        let Some(stands) = before.landing.get(table.name.as_str()) else { continue };
        let own = renamed.iter().filter_map(|one| match one {
            Renamed::Column { table: of, path, to } if of == table.name.as_str() => {
                Some((one, path.clone(), to.clone()))
            }
            _ => None,
        });
        let own: Vec<(&Renamed, String, String)> = own.collect();
        let renames: Vec<(String, String)> = own.iter().map(|(_, path, to)| (path.clone(), to.clone())).collect();
        let found = difference(stands, &Columns::declared(&table.columns), &renames);
        for (one, path, to) in own {
            let statement = format!("rename column {path} to {to}");
            if found.statements.iter().any(|(text, _)| *text == statement) {
                used.push(one);
            }
        }
        all.push((table.name.to_string(), found));
    }
    let is_column = |one: &&Renamed| matches!(one, Renamed::Column { .. });
    match renamed.iter().filter(is_column).find(|renamed| !used.contains(renamed)) {
        None => Ok(all),
        Some(one) => Err(nothing(
            one,
            "a column that the table has and its definition has not, and a name for which it is the other way round",
        )),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("{} cannot be written", path.display()))
}
