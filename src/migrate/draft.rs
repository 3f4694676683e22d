//! `migrate new`: the statements by which the tables become what `tables/` says, as a file to be read by a person, and
//! `migrations/schema.json`, by which `check` finds the next difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Pending;
use crate::definition::{Project, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migration::{self, Columns, Difference, Known, Parsed, SNAPSHOT, Snapshot, difference, in_order};
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

/// What `migrate new` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The name of the file.
    pub label: &'a str,
    /// What has another name.
    pub renamed: &'a [Renamed],
    /// The migration that this draft takes the place of: [`set_aside`].
    pub replaced: Option<&'a Path>,
}

/// A drafted migration.
#[derive(Debug, Default)]
pub struct Draft {
    /// The migration, under the project's folder; `None` = there is nothing that needs one.
    pub file: Option<PathBuf>,
    /// The migration that was there before, if its file has been removed.
    pub removed: Option<PathBuf>,
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
pub struct Before {
    tables: Known,
    /// Those before the newest migration, if they are known.
    older: Option<Known>,
}

impl Before {
    /// By `migrations/schema.json` and the migrations since then; `None` if there is no such file, or it does not fit the
    /// migrations: then the tables themselves have to be asked.
    ///
    /// # Errors
    /// Faults of the migrations.
    pub fn recorded(project: &Project) -> Result<Option<Self>> {
        let Some(file) = &project.schema else { return Ok(None) };
        let definition = |faults| Error::definition(sorted(faults));
        let migrations = migration::parsed(project).map_err(definition)?;
        let Some(recorded) = Snapshot::parse(file).ok().filter(|recorded| recorded.fits(&migrations)) else {
            return Ok(None);
        };
        let state = recorded.state(&migrations).map_err(definition)?;
        Ok(Some(Self { tables: state.tables, older: state.before }))
    }

    /// The tables of a lake after its pending migrations. Tables that left the project are those of its catalog.
    ///
    /// # Errors
    /// If the lake cannot be read, or a pending statement cannot be applied.
    pub async fn stored(workspace: &Workspace) -> Result<Self> {
        let pending = Pending::find(workspace).await?;
        let workspace = &pending.workspace;
        let (mut landing, mut derived) = (BTreeMap::new(), BTreeMap::new());
        for table in &workspace.project.tables {
            if table.derived().is_some() {
                if table.quarantine_of().is_none() && workspace.location(table)?.holds("_delta_log").await? {
                    derived.insert(table.name.to_string(), Columns::declared(&table.columns));
                }
                continue;
            }
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
        Ok(Self { tables: Known { landing, derived: Some(derived) }, older: None })
    }
}

/// Takes the newest migration out of a project, as if its file were not there: it is to be drafted again. Returns its path.
///
/// # Errors
/// `Usage` if there is none, or if the tables before it are not known.
pub fn set_aside(project: &mut Project) -> Result<PathBuf> {
    let usage = |message: String| Error::new(Kind::Usage, message);
    let migrations = migration::parsed(project).map_err(|faults| Error::definition(sorted(faults)))?;
    let Some(newest) = migrations.last() else {
        return Err(usage("there is no migration to replace".into()).help("leave out --replace"));
    };
    let recorded = project.schema.as_ref().and_then(|file| Snapshot::parse(file).ok());
    let is_known = recorded.is_some_and(|recorded| {
        recorded.fits(&migrations) && (recorded.before.is_some() || newest.migration.number > recorded.migration)
    });
    if !is_known {
        let path = newest.migration.file.path.display();
        return Err(usage(format!("the tables before {} are not known", newest.name()))
            .fact("expected", format!("a {SNAPSHOT} that was written with it"))
            .help(format!("if no lake has it: delete {path} and {SNAPSHOT}, and leave out --replace")));
    }
    let path = newest.migration.file.path.clone();
    project.migrations.pop();
    Ok(path)
}

/// Drafts a migration and writes it into the project, with `migrations/schema.json`. Where the definitions only add, there
/// is no migration.
///
/// # Errors
/// `Usage` for a label or a rename that cannot be meant; when a file cannot be written.
pub fn draft(project: &Project, wanted: Wanted<'_>, before: &Before) -> Result<Draft> {
    let Wanted { label, renamed, replaced } = wanted;
    name::check(label).map_err(|reason| {
        Error::new(Kind::Usage, format!("`{label}` cannot be in the name of a file"))
            .fact("because", reason)
            .fact("expected", "words between `_`, such as `crm_names`")
    })?;
    let mut migrations = migration::parsed(project).map_err(|faults| Error::definition(sorted(faults)))?;
    let mut draft = Draft::default();
    let drafted = drafted(project, renamed, &before.tables);
    let text = drafted.map_err(|error| again(project, (renamed, &migrations), before, error))?.into_text(&mut draft);
    if let Some(known) = project.schema.as_ref().and_then(|file| Snapshot::parse(file).ok()) {
        let lost = migration::lost(project, &known.tables).into_iter();
        draft.losses.extend(lost.map(|(table, columns)| format!("{}: - {}", table.name, columns.join(", - "))));
    }
    let folder = project.root.join("migrations");
    fs::create_dir_all(&folder).context(|| "the folder `migrations` cannot be made".into())?;
    let mut older = before.older.clone();
    if !draft.statements.is_empty() {
        let number = migrations.last().map_or(0, |parsed| parsed.migration.number) + 1;
        let path = Path::new("migrations").join(format!("{number:04}_{label}.sql"));
        let head = "-- Drafted by `stedi-delta migrate new`: review it before it is applied.\n";
        let text = format!("{head}{text}");
        write(&project.root.join(&path), &text)?;
        migrations.push(Parsed::drafted(number, label, &path, text));
        older = Some(before.tables.clone());
        draft.file = Some(path);
    }
    if let Some(path) = replaced.filter(|path| draft.file.as_deref() != Some(path)) {
        fs::remove_file(project.root.join(path)).context(|| format!("{} cannot be removed", path.display()))?;
        draft.removed = Some(path.to_owned());
    }
    let text = Snapshot::new(Known::declared(project), &migrations, older).text();
    if project.schema.as_ref().is_none_or(|file| file.text != text) {
        write(&project.root.join(SNAPSHOT), &text)?;
        draft.wrote_snapshot = true;
    }
    Ok(draft)
}

/// What turns tables into the declared ones.
struct Drafted {
    /// Statements with the words about each.
    statements: Vec<(String, Vec<String>)>,
    additions: Vec<String>,
}

impl Drafted {
    /// The text of the migration.
    fn into_text(self, draft: &mut Draft) -> String {
        let mut text = String::new();
        for (statement, hints) in self.statements {
            hints.iter().for_each(|hint| text.push_str(&format!("-- {hint}\n")));
            text.push_str(&format!("{statement}\n"));
            draft.statements.push(statement);
        }
        draft.additions = self.additions;
        text
    }
}

fn drafted(project: &Project, renamed: &[Renamed], before: &Known) -> Result<Drafted> {
    let mut known = before.clone();
    let mut drafted = Drafted { statements: Vec::new(), additions: Vec::new() };
    for statement in tables_renamed(project, renamed, &mut known)? {
        drafted.statements.push((statement, Vec::new()));
    }
    let swapped = known.swapped(project);
    for (table, difference) in differences(project, renamed, &known)? {
        let name = table.name.as_str();
        drafted.additions.extend(difference.additions.iter().map(|addition| format!("{name}: {addition}")));
        let swap = swapped.iter().find(|(one, other)| one == name || other == name);
        let mut swap = swap.map(|(one, other)| {
            format!("if {one} and {other} swapped their names: migrate new ... --replace --rename {one}={other} --rename {other}={one}")
        });
        for (statement, hint) in difference.statements {
            let mut hints: Vec<String> = swap.take().into_iter().collect();
            hints.extend(hint.map(|hint| hint.replace("TABLE", name)));
            let renamed = difference.renamed.iter().find(|(_, to)| statement.ends_with(&format!(" to {to}")));
            hints.extend(renamed.and_then(|(path, to)| unread(table, path, to)));
            drafted.statements.push((format!("alter table {name} {statement};"), hints));
        }
    }
    for name in known.gone(project) {
        let like = like(project, &known, name);
        let hint =
            like.map(|like| format!("if `{like}` is its new name: migrate new ... --replace --rename {name}={like}"));
        drafted.statements.push((format!("drop table {name};"), hint.into_iter().collect()));
    }
    Ok(drafted)
}

/// A word about a renamed column that the definition does not read by its old name.
fn unread(table: &Table, path: &str, to: &str) -> Option<String> {
    let (below, before) = path.rsplit_once('.').map_or(("", path), |(below, leaf)| (below, leaf));
    let now = if below.is_empty() { to.to_owned() } else { format!("{below}.{to}") };
    let unread = migration::unread_at(table, &migration::parts(&now), before)?;
    Some(format!("files have `{}`: add `{}` to `{}` of the definition", unread.before, unread.from, unread.column))
}

/// An error with the command that drafts the newest migration again, if the renames fit the tables before that.
fn again(project: &Project, (renamed, migrations): (&[Renamed], &[Parsed]), before: &Before, error: Error) -> Error {
    let (Some(older), Some(newest)) = (&before.older, migrations.last()) else { return error };
    if error.kind() != Kind::Usage || drafted(project, renamed, older).is_err() {
        return error;
    }
    let renames: String = renamed.iter().map(|one| format!(" {}", one.text())).collect();
    error.help(format!("stedi-delta migrate new LABEL --replace{renames}   (drafts {} again)", newest.name()))
}

/// The statements of tables that have another name from now on.
fn tables_renamed(project: &Project, renamed: &[Renamed], known: &mut Known) -> Result<Vec<String>> {
    let is_declared = |name: &str| project.tables.iter().any(|table| table.name.as_str() == name);
    let pairs = renamed.iter().filter_map(|one| match one {
        Renamed::Table { from, to } => Some((from.clone(), to.clone())),
        Renamed::Column { .. } => None,
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    let is_from = |name: &str| pairs.iter().filter(|(from, _)| from == name).count();
    let is_to = |name: &str| pairs.iter().filter(|(_, to)| to == name).count();
    for one in renamed {
        let Renamed::Table { from, to } = one else { continue };
        // Names can be exchanged.
        let leaves = !is_declared(from) || is_to(from) > 0;
        let is_free = !known.has(to) || is_from(to) > 0;
        if from == to || !known.has(from) || !is_declared(to) || !leaves || !is_free || is_from(from) + is_to(to) > 2 {
            let expected =
                "a table that there was and tables/ no longer has, and a name for which it is the other way round";
            return Err(nothing(one, expected));
        }
    }
    let is_taken = |name: &str| known.has(name) || is_declared(name);
    let steps = in_order(&pairs, &is_taken);
    let mut statements = Vec::new();
    for (from, to) in steps {
        known.rename(&from, &to);
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
                found.is_empty()
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
fn differences<'p>(project: &'p Project, renamed: &[Renamed], before: &Known) -> Result<Vec<(&'p Table, Difference)>> {
    let mut all = Vec::new();
    let mut used = Vec::new();
    for table in project.tables.iter().filter(|table| table.landing().is_some()) {
        // One that does not exist yet is made with what it says.
        let Some(stands) = before.landing.get(table.name.as_str()) else { continue };
        let own = renamed.iter().filter_map(|one| match one {
            Renamed::Column { table: of, path, to } if of == table.name.as_str() => {
                Some((one, (path.clone(), to.clone())))
            }
            _ => None,
        });
        let (own, renames): (Vec<&Renamed>, Vec<(String, String)>) = own.unzip();
        let found = difference(stands, &Columns::declared(&table.columns), &renames);
        used.extend(
            own.into_iter().zip(&renames).filter(|(_, rename)| found.renamed.contains(rename)).map(|(one, _)| one),
        );
        all.push((table, found));
    }
    let is_column = |one: &&Renamed| matches!(one, Renamed::Column { .. });
    let Some(one) = renamed.iter().filter(is_column).find(|renamed| !used.contains(renamed)) else { return Ok(all) };
    let error = nothing(
        one,
        "a column that the table has and its definition has not, and a name for which it is the other way round",
    );
    Err(match meant(renamed, one) {
        Some(meant) => error.help(format!("did you mean `{}`? Names are those after the other renames", meant.text())),
        None => error,
    })
}

/// A column by the names that other renames give its table and what it is in.
fn meant(renamed: &[Renamed], one: &Renamed) -> Option<Renamed> {
    let Renamed::Column { table, path, to } = one else { return None };
    let (mut table, mut path) = (table.clone(), path.clone());
    let of_table = renamed.iter().find_map(|other| match other {
        Renamed::Table { from, to } if *from == table => Some(to.clone()),
        _ => None,
    });
    table = of_table.unwrap_or(table);
    for other in renamed.iter().filter(|other| *other != one) {
        let Renamed::Column { table: of, path: outer, to } = other else { continue };
        if *of != table {
            continue;
        }
        if let Some(rest) = path.strip_prefix(outer.as_str()).filter(|rest| rest.starts_with(['.', '[', '{'])) {
            let below = outer.rsplit_once('.').map(|(below, _)| format!("{below}.")).unwrap_or_default();
            path = format!("{below}{to}{rest}");
        }
    }
    let meant = Renamed::Column { table, path, to: to.clone() };
    (meant != *one).then_some(meant)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("{} cannot be written", path.display()))
}
