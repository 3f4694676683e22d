//! The statements that the tables of a lake lack, checked without reading rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::journal::Journal;
use super::moves::{Moved, Numbered, all, moves, name_after};
use super::no_ops::no_ops;
use crate::changes::touched;
use crate::definition::{Table, TableKind};
use crate::error::{Error, Result};
use crate::ingest::{Declared, Reload, SchemaDiff};
use crate::lake::LakeTable;
use crate::migration::{
    self, Action, Columns, Files, Move, Parsed, Reshape, SchemaChange, Statement, Unread, change_by, still_named,
    taken_back, unread,
};
use crate::name::{RESCUED, TableName, nearest};
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome};
use crate::register;
use crate::source::Fault;
use crate::source::faults::{sorted, suggestion};
use crate::workspace::Workspace;

/// A statement that the lake lacks.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// The number of its migration.
    pub migration: u32,
    /// Its own number within it, from 1.
    pub number: usize,
    /// The table, by its name after all migrations; a dropped one by the name that it had.
    pub table: TableName,
    /// Id and version of the table as it stands.
    stands: (String, u64),
    bytes: u64,
    /// What the journal will have of a table that is renamed or dropped.
    pub(super) moved: Option<Move>,
    /// Whether the sync's own work carries it out.
    pub(super) is_request: bool,
}

impl Lacking {
    fn new(of: Numbered<'_>, table: &TableName, stands: &LakeTable) -> Self {
        let is_column = of.statement.action.path().is_some();
        Self {
            migration: of.migration,
            number: of.number,
            table: table.clone(),
            stands: (stands.uuid(), stands.version()),
            bytes: if is_column { stands.size().1 } else { 0 },
            moved: None,
            is_request: of.statement.action.is_request(),
        }
    }

    /// The statement itself.
    pub(super) fn statement<'p>(&self, parsed: &'p Parsed) -> Option<&'p Statement> {
        parsed.statements.get(self.number - 1)
    }

    /// Whether it rewrites the table.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.moved.is_none() && !self.is_request
    }

    /// Its outcome before it is applied.
    pub(super) fn outcome(&self, parsed: &Parsed) -> StatementOutcome {
        let statement = self.statement(parsed);
        let is_move = self.moved.is_some();
        StatementOutcome {
            number: self.number,
            text: statement.map(Statement::text).unwrap_or_default(),
            table: match statement {
                Some(statement) if is_move => statement.table.value.clone(),
                _ => self.table.to_string(),
            },
            table_uuid: Some(self.stands.0.clone()),
            version_before: Some(self.stands.1),
            version_after: None,
            bytes_read: self.bytes,
            bytes_written: 0,
            moved: self.moved.clone(),
            needs_sync: self.is_request,
        }
    }
}

/// Statements that a sync carries out with its own work: at one cut, with the landing files.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Derived tables to be computed whole.
    pub refresh: BTreeSet<TableName>,
    /// Landing tables whose files are to be read again.
    pub reload: BTreeMap<TableName, Files>,
}

impl Requests {
    /// Tables of which all files are to be read again.
    pub(crate) fn reloads(&self) -> Vec<Reload> {
        self.tables(Files::All).map(|table| Reload { table: table.to_string(), path: None }).collect()
    }

    /// Tables of which the files with undeclared fields are.
    pub(crate) fn rescued(&self) -> Vec<TableName> {
        self.tables(Files::Rescued).cloned().collect()
    }

    fn tables(&self, files: Files) -> impl Iterator<Item = &TableName> {
        self.reload.iter().filter(move |(_, asked)| **asked == files).map(|(table, _)| table)
    }
}

/// The columns of a table after the pending statements.
#[derive(Debug, Default)]
pub(crate) struct Foreseen {
    /// The change by each statement.
    pub changes: Vec<SchemaChange>,
    /// The columns afterwards; `None` = no statement is pending.
    pub columns: Option<Columns>,
    /// Columns, or fields of them, that are not the same afterwards.
    pub touched: BTreeSet<String>,
}

/// The migrations of a project beside the lake.
#[derive(Debug)]
pub struct Pending {
    /// The journal of the lake.
    pub journal: Journal,
    /// The migrations in their order.
    pub migrations: Vec<Parsed>,
    /// The statements that are pending, in their order.
    pub lacking: Vec<Lacking>,
    /// The tables whose columns they change.
    pub tables: BTreeMap<TableName, LakeTable>,
    /// The workspace, with its tables where they are after all migrations.
    pub workspace: Workspace,
}

impl Pending {
    /// Reads the journal, and the logs of the tables of all statements that the journal does not record as applied.
    ///
    /// # Errors
    /// Faults of the migrations; migrations edited after they were applied; if the lake cannot be read.
    pub async fn find(workspace: &Workspace) -> Result<Self> {
        let migrations = migration::parsed(&workspace.project).map_err(|faults| Error::definition(sorted(faults)))?;
        let journal = Journal::read(workspace).await?;
        check_history(&journal, &migrations)?;
        let (places, mut moved) = moves(workspace, &journal, &migrations).await?;
        let workspace = workspace.with_places(places)?;
        let statements = all(&migrations);
        let (mut lacking, mut tables, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut departed: Option<Vec<String>> = None;
        for (at, numbered) in statements.iter().copied().enumerate() {
            let Numbered { migration, number, statement } = numbered;
            if journal.is_done(migration) {
                continue;
            }
            let later = statements.get(at + 1..).unwrap_or_default();
            if statement.action.moves() {
                let moved = moved.remove(&(migration, number));
                if moved.is_none() && !journal.has(migration, number) {
                    let known = match departed.take() {
                        Some(known) => known,
                        None => register::departed(&workspace).await.into_iter().map(|(name, _)| name).collect(),
                    };
                    faults.extend(mistyped(departed.insert(known), statement));
                }
                let found = Moving { workspace: &workspace, later, statement, moved: moved.as_ref() }.faults();
                if let (true, Some(Moved { step, table, .. })) = (found.is_empty(), &moved) {
                    let name = step.to.as_ref().and_then(|to| name_after(later, to)).unwrap_or(step.from.clone());
                    let name = TableName::parse(&name).map_err(Error::failed)?;
                    let new = Lacking::new(numbered, &name, table);
                    lacking.push(Lacking { moved: Some(step.clone()), ..new });
                }
                faults.extend(found);
                continue;
            }
            // A table that is dropped later is not rewritten before.
            let Some(name) = name_after(later, &statement.table.value) else { continue };
            let Some(table) = workspace.project.tables.iter().find(|t| t.name.as_str() == name) else {
                faults.push(unknown(&workspace, statement));
                continue;
            };
            if let Some(fault) = other_kind(table, statement) {
                faults.push(fault);
                continue;
            }
            if !tables.contains_key(&table.name) {
                tables.insert(table.name.clone(), LakeTable::open(&workspace.location(table)?).await?);
            }
            let Some(Some(stands)) = tables.get(&table.name) else { continue };
            let includes = match statement.action.is_request() {
                true => journal.has(migration, number),
                false => stands.state().includes(migration.into(), i64::try_from(number).unwrap_or(i64::MAX)),
            };
            if !includes {
                lacking.push(Lacking::new(numbered, &table.name, stands));
            }
        }
        if !faults.is_empty() {
            return Err(Error::definition(sorted(faults)));
        }
        let tables: BTreeMap<TableName, LakeTable> =
            tables.into_iter().filter_map(|(name, table)| Some((name, table?))).collect();
        for (name, stands) in &tables {
            let Some(table) = workspace.project.table(name) else { continue };
            let rewriting = |lacking: &&Lacking| &lacking.table == name && lacking.rewrites();
            let of_it: Vec<&Lacking> = lacking.iter().filter(rewriting).collect();
            let no_ops = no_ops(&workspace.project, (table, stands), &statements, &of_it);
            lacking.retain(|lacking| !no_ops.contains(&(lacking.migration, lacking.number)));
        }
        Ok(Self { journal, migrations, lacking, tables, workspace })
    }

    /// What a sync has to do beside its own work.
    #[must_use]
    pub fn requests(&self) -> Requests {
        let mut requests = Requests::default();
        for lacking in self.lacking.iter().filter(|lacking| lacking.is_request) {
            match self.get(lacking).map(|statement| &statement.action) {
                Some(Action::Reload(files)) => {
                    let known = requests.reload.entry(lacking.table.clone()).or_insert(*files);
                    if *files == Files::All {
                        *known = Files::All;
                    }
                }
                _ => {
                    requests.refresh.insert(lacking.table.clone());
                }
            }
        }
        requests
    }

    /// Migrations that the journal does not yet record as applied or included.
    pub fn unrecorded(&self) -> impl Iterator<Item = &Parsed> {
        self.migrations.iter().filter(|parsed| !self.journal.is_done(parsed.migration.number))
    }

    /// Statements of a migration that are pending.
    pub fn of(&self, migration: u32) -> impl Iterator<Item = &Lacking> {
        self.lacking.iter().filter(move |lacking| lacking.migration == migration)
    }

    /// Names of the migrations with pending statements.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.pending().map(Parsed::name).collect()
    }

    /// The migrations with pending statements.
    fn pending(&self) -> impl Iterator<Item = &Parsed> {
        self.migrations.iter().filter(|parsed| self.of(parsed.migration.number).next().is_some())
    }

    /// Pending statements that change a table's rows or columns, as text.
    #[must_use]
    pub fn of_table(&self, table: &TableName) -> Vec<String> {
        let is_of_it = |lacking: &&Lacking| &lacking.table == table && lacking.moved.is_none();
        self.lacking.iter().filter(is_of_it).filter_map(|lacking| self.told(lacking)).collect()
    }

    /// The migrations with pending statements, and these statements.
    #[must_use]
    pub fn outcomes(&self) -> Vec<MigrationOutcome> {
        self.pending().map(|parsed| self.outcome(parsed)).collect()
    }

    /// How a migration stands in the lake: its pending statements, or those that were applied.
    pub(super) fn outcome(&self, parsed: &Parsed) -> MigrationOutcome {
        let number = parsed.migration.number;
        let entry = self.journal.entries.get(&number);
        let lacking: Vec<StatementOutcome> = self.of(number).map(|lacking| lacking.outcome(parsed)).collect();
        let state = match (entry.map(|entry| entry.state), lacking.is_empty()) {
            (Some(recorded), _) if recorded.is_done() => recorded,
            (Some(_), _) => MigrationState::Begun,
            (None, true) => MigrationState::Included,
            (None, false) => MigrationState::Pending,
        };
        MigrationOutcome {
            number,
            label: parsed.migration.label.clone(),
            state,
            recorded_ms: entry.map(|entry| entry.at_ms),
            run: entry.map(|entry| entry.run.clone()),
            statements: if lacking.is_empty() {
                entry.map(|entry| entry.statements.clone()).unwrap_or_default()
            } else {
                lacking
            },
        }
    }

    /// How pending statements change the columns of a table.
    ///
    /// # Errors
    /// A statement that cannot be applied.
    pub(crate) fn foreseen(&self, table: &Table, stands: &LakeTable) -> Result<Foreseen> {
        let mut foreseen = Foreseen::default();
        for lacking in self.rewriting(&table.name) {
            let Some(statement) = self.get(lacking) else { continue };
            let before = match foreseen.columns.take() {
                Some(columns) => columns,
                None => stored(table, stands)?,
            };
            let after = before.after(statement).map_err(|fault| Error::definition(vec![fault]))?;
            if let Some(change) = change_by(statement, &before) {
                foreseen.changes.push(SchemaChange { migration: self.parsed(lacking).map(Parsed::name), ..change });
            }
            foreseen.touched.extend(touched(&before.schema(), &after.schema()));
            if let Action::SetType { path, using: Some(_), .. } = &statement.action {
                foreseen.touched.insert(path.to_string());
            }
            foreseen.columns = Some(after);
        }
        Ok(foreseen)
    }

    /// The number of the next migration.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        next_number(&self.migrations)
    }

    /// The steps of each table, one per statement, if all of them can be applied and lead to the definitions.
    ///
    /// # Errors
    /// Every statement that cannot be.
    pub(super) fn steps(&self, run: &str) -> Result<BTreeMap<TableName, Arc<Vec<Reshape>>>> {
        let workspace = &self.workspace;
        let (mut steps, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, stands) in &self.tables {
            let Some(table) = workspace.project.table(name) else { continue };
            let all: Vec<&Statement> = self.rewriting(name).filter_map(|lacking| self.get(lacking)).collect();
            if all.is_empty() {
                continue;
            }
            let mut columns = stored(table, stands)?;
            let mut reshapes = Vec::new();
            let before = faults.len();
            for statement in &all {
                let made = columns.after(statement).map_err(|fault| vec![fault]).and_then(|after| {
                    let reshape = Reshape::new(statement, &columns, &after)?;
                    Ok((after, reshape))
                });
                match made {
                    Ok((after, reshape)) => {
                        columns = after;
                        reshapes.push(reshape);
                    }
                    Err(found) => {
                        faults.extend(found);
                        break;
                    }
                }
            }
            if faults.len() == before {
                faults.extend(still_declared(table, &all, &columns));
                let undone =
                    |lacking: &Lacking| taken_back(&workspace.project, self.get(lacking)?, self.later(lacking));
                faults.extend(self.rewriting(name).filter_map(undone));
            }
            if faults.len() == before {
                let context = workspace.place(table, run)?;
                let last = all.last().map(|statement| statement.text()).unwrap_or_default();
                SchemaDiff::over(&context, Declared::by_definition(table), &columns.schema(), stands)
                    .map_err(|error| error.fact("after", last))?;
            }
            steps.insert(name.clone(), Arc::new(reshapes));
        }
        if faults.is_empty() { Ok(steps) } else { Err(Error::definition(sorted(faults))) }
    }

    /// How many pending statements rewrite a table.
    #[must_use]
    pub fn rewrites(&self, table: &TableName) -> u64 {
        self.rewriting(table).count() as u64
    }

    /// Pending statements that rewrite a table.
    pub(super) fn rewriting(&self, table: &TableName) -> impl Iterator<Item = &Lacking> {
        self.lacking.iter().filter(move |lacking| &lacking.table == table && lacking.rewrites())
    }

    /// The statements that follow a pending one.
    fn later(&self, lacking: &Lacking) -> impl Iterator<Item = &Statement> {
        let key = (lacking.migration, lacking.number);
        let all = all(&self.migrations).into_iter();
        all.skip_while(move |n| (n.migration, n.number) != key).skip(1).map(|n| n.statement)
    }

    /// Old names of a table's columns that files have, and that the definition does not read after pending statements.
    pub(crate) fn unread(&self, table: &TableName) -> Vec<Unread> {
        let of = |lacking: &Lacking| unread(&self.workspace.project, self.get(lacking)?, self.later(lacking));
        self.rewriting(table).filter_map(of).collect()
    }

    /// The migration of a pending statement.
    pub(super) fn parsed(&self, lacking: &Lacking) -> Option<&Parsed> {
        self.migrations.iter().find(|parsed| parsed.migration.number == lacking.migration)
    }

    fn told(&self, lacking: &Lacking) -> Option<String> {
        let parsed = self.parsed(lacking)?;
        Some(format!("migration {}: {}", parsed.name(), lacking.statement(parsed)?.text()))
    }

    /// Checks, without reading rows, that all statements can be applied and lead to the definitions.
    ///
    /// # Errors
    /// Every statement that cannot be.
    pub fn check(&self) -> Result<()> {
        self.steps("").map(drop)
    }

    /// The statement of a pending one.
    pub(super) fn get(&self, lacking: &Lacking) -> Option<&Statement> {
        lacking.statement(self.parsed(lacking)?)
    }
}

/// The fault of a statement that renames or drops no table of the lake, if one of the tables that are in the catalog and
/// not in the project any more has a similar name: that one would stay behind without its rows.
fn mistyped(departed: &[String], statement: &Statement) -> Option<Fault> {
    let name = statement.table.value.as_str();
    let near = nearest(name, departed.iter().map(String::as_str))?;
    let message = format!("table `{name}` is not in this lake");
    let label = format!("did you mean `{near}`? The catalog has it, and tables/ has not");
    Some(Fault::at(&statement.table.place, message, label))
}

fn next_number(migrations: &[Parsed]) -> u32 {
    migrations.last().map_or(0, |parsed| parsed.migration.number) + 1
}

/// Checks that applied migrations have not been edited, removed or overtaken.
fn check_history(journal: &Journal, migrations: &[Parsed]) -> Result<()> {
    let newest = journal.entries.last_key_value();
    for (number, entry) in &journal.entries {
        let name = format!("{number:04}_{}", entry.label);
        let when = crate::clock::rfc3339(entry.at_ms);
        let Some(parsed) = migrations.iter().find(|parsed| parsed.migration.number == *number) else {
            return Err(Error::failed(format!("migration {name} is in this lake, and not in this project"))
                .fact("recorded", format!("{when}, run {}", entry.run))
                .help(format!("put migrations/{name}.sql back, as it was; it may be on another branch")));
        };
        if parsed.checksum() != entry.checksum {
            return Err(Error::failed(format!(
                "migration {} was edited after it was applied in this lake",
                parsed.name()
            ))
            .fact("recorded", format!("{when} as {name}, run {}", entry.run))
            .help("restore its text, and write the change as a new migration"));
        }
    }
    // Of two branches, the other one was applied first.
    let late = migrations.iter().find(|parsed| {
        let number = parsed.migration.number;
        !journal.entries.contains_key(&number) && newest.is_some_and(|(newest, _)| number < *newest)
    });
    match (late, newest) {
        (Some(parsed), Some((newest, entry))) => {
            Err(Error::failed(format!("migration {} comes after one that is in this lake already", parsed.name()))
                .fact("found", format!("{newest:04}_{} was applied", entry.label))
                .help(format!("give it the number {:04}", next_number(migrations))))
        }
        _ => Ok(()),
    }
}

/// The columns of a table whose data files can be rewritten.
pub(super) fn stored(table: &Table, stands: &LakeTable) -> Result<Columns> {
    stands.check_files()?;
    stands.check_writable()?;
    crate::merge::removable(stands)?;
    Columns::stored(&stands.schema()).map_err(|(column, of)| {
        Error::failed(format!("{} cannot be written anew: its column `{column}` is {of}", table.name))
            .fact("table", format!("{} (v{}, unchanged)", stands.location(), stands.version()))
            .help("in the engine that made it so, give the column one of the types of docs/columns.md")
    })
}

/// Columns that leave the table but not its definition: the next sync would add them again, empty.
fn still_declared(table: &Table, statements: &[&Statement], columns: &Columns) -> Vec<Fault> {
    let mut faults = Vec::new();
    let declared = |name: &str| table.columns.iter().any(|column| column.name == name);
    for statement in statements {
        let Some(path) = statement.action.path() else { continue };
        let (is_gone, what) = match &statement.action {
            Action::Rename { to, .. } => (true, format!("rename it to `{}` there, too", to.value)),
            Action::Drop { .. } => (true, "take its line out there, too".to_owned()),
            _ => (false, String::new()),
        };
        if is_gone && path.is_column() && columns.get(path.column()).is_none() && declared(path.column()) {
            let message = format!("`{}` is still declared in {}", path.column(), table.file.path.display());
            faults.push(Fault::at(&path.place, message, what));
        }
    }
    faults
}

/// A statement that moves a table.
struct Moving<'a> {
    workspace: &'a Workspace,
    later: &'a [Numbered<'a>],
    statement: &'a Statement,
    /// The table; `None` = the lake has none of that name.
    moved: Option<&'a Moved>,
}

impl Moving<'_> {
    /// Why it cannot be carried out.
    fn faults(&self) -> Vec<Fault> {
        let Self { workspace, later, statement, moved } = self;
        let name = &statement.table.value;
        let mut faults = Vec::new();
        let retaken =
            |n: &Numbered<'_>| matches!(&n.statement.action, Action::RenameTable { to, .. } if to.value == *name);
        let stays = matches!(&statement.action, Action::RenameTable { to, .. } if to.value == *name);
        if moved.is_some() && !stays && !later.iter().any(retaken) {
            faults.extend(still_named(&workspace.project, statement));
        }
        let Action::RenameTable { zone, to } = &statement.action else { return faults };
        if let Some(folder) = moved.and_then(|moved| moved.occupied.as_ref()) {
            let label = format!("move its folder out of the warehouse, if a sync made it too early: {folder}");
            faults.push(Fault::at(&to.place, format!("table `{}` is in this lake already", to.value), label));
        }
        let Some(name) = name_after(later, &to.value) else { return faults };
        match workspace.project.tables.iter().find(|table| table.name.as_str() == name) {
            None => {
                let message = format!("table `{name}` is not in this project");
                faults.push(Fault::at(&to.place, message, format!("name its files {name}.toml (and {name}.sql)")));
            }
            // One that is moved again has been in another zone on the way.
            Some(_) if later.iter().any(|n| n.statement.action.moves() && n.statement.table.value == to.value) => {}
            Some(table) if name == to.value => {
                if let Some(zone) = zone.as_ref().filter(|zone| zone.value != table.zone) {
                    let message = format!("table `{name}` is in zone `{}`", table.zone);
                    faults.push(Fault::at(&zone.place, message, format!("expected `{}`", table.zone)));
                }
            }
            Some(_) => {}
        }
        faults
    }
}

fn unknown(workspace: &Workspace, statement: &Statement) -> Fault {
    let name = &statement.table.value;
    let known = || workspace.project.tables.iter().filter(|t| t.landing().is_some()).map(|t| t.name.as_str());
    let label = suggestion(name, known());
    Fault::at(&statement.table.place, format!("table `{name}` is not in this project"), label)
}

/// A statement that tables of this kind do not have.
fn other_kind(table: &Table, statement: &Statement) -> Option<Fault> {
    let name = &statement.table.value;
    let (message, label) = match (&statement.action, &table.kind) {
        (Action::Refresh, TableKind::Landing(_)) => {
            (format!("{name} is a landing table: it has no query"), format!("expected `reload table {name}`"))
        }
        (Action::Reload(_), TableKind::Derived(_)) => {
            (format!("{name} is a derived table: it reads no files"), format!("expected `refresh table {name} full`"))
        }
        (Action::Reload(Files::Rescued), TableKind::Landing(_))
            if table.columns.iter().all(|column| column.name != RESCUED) =>
        {
            let label = format!("expected `reload table {name}`; `on_new_field = \"rescue\"` would keep them");
            (format!("{name} keeps no undeclared fields"), label)
        }
        (action, TableKind::Derived(_)) if action.path().is_some() => (
            format!("{name} is a derived table: it has the columns of its query"),
            "change the query; the next sync replaces the table".to_owned(),
        ),
        _ => return None,
    };
    Some(Fault::at(&statement.table.place, message, label))
}
