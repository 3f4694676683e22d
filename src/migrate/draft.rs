//! `migrate new`: the statements by which the tables become what `tables/` says, as a file to be read by a person, and
//! `migrations/schema.json`, by which `check` finds the next difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Pending;
use crate::definition::Project;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migration::{self, Columns, Difference, SNAPSHOT, Snapshot, difference};
use crate::name;
use crate::source::faults::sorted;
use crate::workspace::Workspace;

/// A column that has another name from now on: table, path, name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    table: String,
    path: String,
    to: String,
}

impl Renamed {
    /// Parses `table.a=b`.
    ///
    /// # Errors
    /// `Usage` when it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('=').and_then(|(from, to)| Some((from.split_once('.')?, to)));
        match parts {
            Some(((table, path), to)) if !path.is_empty() && name::check(to).is_ok() => {
                Ok(Self { table: table.to_owned(), path: path.to_owned(), to: to.to_owned() })
            }
            _ => Err(Error::new(Kind::Usage, format!("`--rename {text}` names no column"))
                .fact("expected", "TABLE.COLUMN=NAME, or TABLE.COLUMN.FIELD=NAME")),
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

/// The present columns of the tables, to compare with the declared ones.
#[derive(Debug)]
pub struct Before(BTreeMap<String, Columns>);

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

    /// The columns of a lake's tables after its pending migrations.
    ///
    /// # Errors
    /// If the lake cannot be read, or a pending statement cannot be applied.
    pub async fn stored(workspace: &Workspace) -> Result<Self> {
        let pending = Pending::find(workspace).await?;
        let mut tables = BTreeMap::new();
        for table in workspace.project.tables.iter().filter(|table| table.landing().is_some()) {
            let Some(stands) = LakeTable::open(&workspace.location(table)?).await? else { continue };
            let mut columns = super::pending::stored(table, &stands)?;
            for statement in pending.lacking.iter().filter(|l| l.table == table.name).filter_map(|l| pending.get(l)) {
                columns = columns.after(statement).map_err(|fault| Error::definition(vec![fault]))?;
            }
            tables.insert(table.name.to_string(), columns);
        }
        Ok(Self(tables))
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
    for (name, difference) in differences(project, renamed, before)? {
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
    if let Some(file) = &project.schema {
        let known = Snapshot::parse(file).map_err(|fault| Error::definition(vec![fault]))?;
        let lost = migration::lost(project, &known).into_iter();
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

/// The statements that each table needs.
fn differences(project: &Project, renamed: &[Renamed], before: &Before) -> Result<Vec<(String, Difference)>> {
    let mut all = Vec::new();
    let mut used = Vec::new();
    for table in project.tables.iter().filter(|table| table.landing().is_some()) {
        // One that does not exist yet is made with what it says.
        let Some(stands) = before.0.get(table.name.as_str()) else { continue };
        let own = renamed.iter().filter(|renamed| renamed.table == table.name.as_str());
        let renames: Vec<(String, String)> = own.map(|renamed| (renamed.path.clone(), renamed.to.clone())).collect();
        let found = difference(stands, &Columns::declared(&table.columns), &renames);
        for renamed in renamed.iter().filter(|renamed| renamed.table == table.name.as_str()) {
            let statement = format!("rename column {} to {}", renamed.path, renamed.to);
            if found.statements.iter().any(|(text, _)| *text == statement) {
                used.push(renamed);
            }
        }
        all.push((table.name.to_string(), found));
    }
    match renamed.iter().find(|renamed| !used.contains(renamed)) {
        None => Ok(all),
        Some(Renamed { table, path, to }) => Err(Error::new(
            Kind::Usage,
            format!("`--rename {table}.{path}={to}` renames nothing"),
        )
        .fact(
            "expected",
            "a column that the table has and its definition has not, and a name for which it is the other way round",
        )),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("{} cannot be written", path.display()))
}
