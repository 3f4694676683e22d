//! The statements that the tables of a lake lack, checked without reading rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::journal::Journal;
use crate::changes::touched;
use crate::definition::Table;
use crate::error::{Error, Result};
use crate::ingest::{Declared, SchemaDiff};
use crate::lake::LakeTable;
use crate::migration::{self, Action, Columns, Parsed, Reshape, SchemaChange, Statement, change_by};
use crate::name::{TableName, nearest};
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome};
use crate::source::Fault;
use crate::source::faults::sorted;
use crate::workspace::Workspace;

/// A statement that its table lacks.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// The number of its migration.
    pub migration: u32,
    /// Its own number within it, from 1.
    pub number: usize,
    /// The table.
    pub table: TableName,
    /// Id and version of the table as it stands.
    stands: (String, u64),
    bytes: u64,
}

impl Lacking {
    /// The statement itself.
    pub(super) fn statement<'p>(&self, parsed: &'p Parsed) -> Option<&'p Statement> {
        parsed.statements.get(self.number - 1)
    }

    /// Its outcome before it is applied.
    pub(super) fn outcome(&self, parsed: &Parsed) -> StatementOutcome {
        StatementOutcome {
            number: self.number,
            text: self.statement(parsed).map(Statement::text).unwrap_or_default(),
            table: self.table.to_string(),
            table_uuid: Some(self.stands.0.clone()),
            version_before: Some(self.stands.1),
            version_after: None,
            bytes_read: self.bytes,
            bytes_written: 0,
        }
    }
}

/// The columns of a table after the pending statements.
#[derive(Debug, Default)]
pub(crate) struct Foreseen {
    /// The change by each statement.
    pub changes: Vec<SchemaChange>,
    /// The columns afterwards; `None` = no statement is pending.
    pub columns: Option<Columns>,
    /// How many statements write all rows anew.
    pub statements: u64,
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
    /// The tables that they change.
    pub tables: BTreeMap<TableName, LakeTable>,
}

impl Pending {
    /// Reads the journal, and the logs of the tables of all statements that the journal does not record as applied. Reads
    /// nothing if the project has no migration.
    ///
    /// # Errors
    /// Faults of the migrations; migrations edited after they were applied; if the lake cannot be read.
    pub async fn find(workspace: &Workspace) -> Result<Self> {
        let migrations = migration::parsed(&workspace.project).map_err(|faults| Error::definition(sorted(faults)))?;
        let journal = match migrations.is_empty() {
            true => Journal::none(&workspace.warehouse),
            false => Journal::read(&workspace.warehouse, &workspace.session()?).await?,
        };
        let mut pending = Self { journal, migrations, lacking: Vec::new(), tables: BTreeMap::new() };
        pending.check_history()?;
        let open: Vec<&Parsed> = pending.migrations.iter().filter(|parsed| !pending.is_done(parsed)).collect();
        let (mut lacking, mut tables, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
        for parsed in open {
            for (at, statement) in parsed.statements.iter().enumerate() {
                let Some(table) = workspace.project.tables.iter().find(|t| t.name.as_str() == statement.table.value)
                else {
                    faults.push(unknown(workspace, statement));
                    continue;
                };
                if table.derived().is_some() {
                    faults.push(derived(statement));
                    continue;
                }
                if !tables.contains_key(&table.name) {
                    tables.insert(table.name.clone(), LakeTable::open(&workspace.location(table)?).await?);
                }
                let Some(Some(stands)) = tables.get(&table.name) else { continue };
                let (migration, number) = (parsed.migration.number, at + 1);
                if !stands.state().includes(migration.into(), i64::try_from(number).unwrap_or(i64::MAX)) {
                    let (bytes, stands) = (stands.size().1, (stands.uuid(), stands.version()));
                    lacking.push(Lacking { migration, number, table: table.name.clone(), stands, bytes });
                }
            }
        }
        if !faults.is_empty() {
            return Err(Error::definition(sorted(faults)));
        }
        pending.lacking = lacking;
        pending.tables = tables.into_iter().filter_map(|(name, table)| Some((name, table?))).collect();
        Ok(pending)
    }

    /// Whether the journal records a migration as applied or included.
    fn is_done(&self, parsed: &Parsed) -> bool {
        self.journal.entries.get(&parsed.migration.number).is_some_and(|entry| entry.state.is_done())
    }

    /// Migrations that the journal does not yet record as applied or included.
    pub fn unrecorded(&self) -> impl Iterator<Item = &Parsed> {
        self.migrations.iter().filter(|parsed| !self.is_done(parsed))
    }

    /// Statements of a migration that are pending.
    pub fn of(&self, migration: u32) -> impl Iterator<Item = &Lacking> {
        self.lacking.iter().filter(move |lacking| lacking.migration == migration)
    }

    /// Names of the migrations with pending statements.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let is_pending = |parsed: &&Parsed| self.of(parsed.migration.number).next().is_some();
        self.migrations.iter().filter(is_pending).map(Parsed::name).collect()
    }

    /// Pending statements of a table, as text.
    #[must_use]
    pub fn of_table(&self, table: &TableName) -> Vec<String> {
        let of = |lacking: &Lacking| {
            let parsed = self.migrations.iter().find(|parsed| parsed.migration.number == lacking.migration)?;
            Some(format!("migration {}: {}", parsed.name(), lacking.statement(parsed)?.text()))
        };
        self.lacking.iter().filter(|lacking| &lacking.table == table).filter_map(of).collect()
    }

    /// The migrations with pending statements, and these statements.
    #[must_use]
    pub fn outcomes(&self) -> Vec<MigrationOutcome> {
        let outcome = |parsed: &Parsed| {
            let number = parsed.migration.number;
            let statements: Vec<_> = self.of(number).map(|lacking| lacking.outcome(parsed)).collect();
            let entry = self.journal.entries.get(&number);
            let state = if entry.is_some() { MigrationState::Begun } else { MigrationState::Pending };
            (!statements.is_empty()).then(|| MigrationOutcome {
                number,
                label: parsed.migration.label.clone(),
                state,
                recorded_ms: entry.map(|entry| entry.at_ms),
                run: entry.map(|entry| entry.run.clone()),
                statements,
            })
        };
        self.migrations.iter().filter_map(outcome).collect()
    }

    /// How pending statements change the columns of a table.
    ///
    /// # Errors
    /// A statement that cannot be applied.
    pub(crate) fn foreseen(&self, table: &Table, stands: &LakeTable) -> Result<Foreseen> {
        let mut foreseen = Foreseen::default();
        for lacking in self.lacking.iter().filter(|lacking| lacking.table == table.name) {
            let Some(statement) = self.get(lacking) else { continue };
            let before = match foreseen.columns.take() {
                Some(columns) => columns,
                None => stored(table, stands)?,
            };
            let Some(mut change) = change_by(statement, &before) else {
                foreseen.columns = Some(before);
                continue;
            };
            let after = before.after(statement).map_err(|fault| Error::definition(vec![fault]))?;
            let name = self.migrations.iter().find(|parsed| parsed.migration.number == lacking.migration);
            change.migration = name.map(Parsed::name);
            foreseen.touched.extend(touched(&before.schema(), &after.schema()));
            foreseen.changes.push(change);
            foreseen.statements += 1;
            foreseen.columns = Some(after);
        }
        Ok(foreseen)
    }

    /// Checks that applied migrations have not been edited, removed or overtaken.
    fn check_history(&self) -> Result<()> {
        let newest = self.journal.entries.last_key_value();
        for (number, entry) in &self.journal.entries {
            let name = format!("{number:04}_{}", entry.label);
            let when = crate::clock::rfc3339(entry.at_ms);
            let Some(parsed) = self.migrations.iter().find(|parsed| parsed.migration.number == *number) else {
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
        let late = self.migrations.iter().find(|parsed| {
            let number = parsed.migration.number;
            !self.journal.entries.contains_key(&number) && newest.is_some_and(|(newest, _)| number < *newest)
        });
        match (late, newest) {
            (Some(parsed), Some((newest, entry))) => {
                Err(Error::failed(format!("migration {} comes after one that is in this lake already", parsed.name()))
                    .fact("found", format!("{newest:04}_{} was applied", entry.label))
                    .help(format!("give it the number {:04}", self.next_number())))
            }
            _ => Ok(()),
        }
    }

    /// The number of the next migration.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.migrations.last().map_or(0, |parsed| parsed.migration.number) + 1
    }

    /// The steps of each table, one per statement, if all of them can be applied and lead to the definitions.
    ///
    /// # Errors
    /// Every statement that cannot be.
    pub(super) fn steps(&self, workspace: &Workspace, run: &str) -> Result<BTreeMap<TableName, Arc<Vec<Reshape>>>> {
        let (mut steps, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, stands) in &self.tables {
            let Some(table) = workspace.project.table(name) else { continue };
            let all: Vec<&Statement> =
                self.lacking.iter().filter(|l| &l.table == name).filter_map(|l| self.get(l)).collect();
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

    /// Checks, without reading rows, that all statements can be applied and lead to the definitions.
    ///
    /// # Errors
    /// Every statement that cannot be.
    pub fn check(&self, workspace: &Workspace) -> Result<()> {
        self.steps(workspace, "").map(drop)
    }

    /// The statement of a pending one.
    pub(super) fn get(&self, lacking: &Lacking) -> Option<&Statement> {
        let parsed = self.migrations.iter().find(|parsed| parsed.migration.number == lacking.migration)?;
        lacking.statement(parsed)
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
        let path = statement.action.path();
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

fn unknown(workspace: &Workspace, statement: &Statement) -> Fault {
    let name = &statement.table.value;
    let known = || workspace.project.tables.iter().filter(|t| t.landing().is_some()).map(|t| t.name.as_str());
    let label = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", crate::source::faults::one_of(known())),
    };
    Fault::at(&statement.table.place, format!("table `{name}` is not in this project"), label)
}

fn derived(statement: &Statement) -> Fault {
    let message = format!("{} is a derived table: it has the columns of its query", statement.table.value);
    Fault::at(&statement.table.place, message, "change the query; the next sync replaces the table")
}
