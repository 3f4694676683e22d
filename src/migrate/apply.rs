//! Applies pending statements: all are checked first, then each is one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::journal::Row;
use super::moves::settled;
use super::pending::{Lacking, Pending, Requests, stored};
use super::rows::{Violations, at_once, discard, rewritten, violations};
use crate::definition::{Column, Table};
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, Ledger};
use crate::lake::{Annotations, Change, Commit, LakeTable, Layout, NewColumns, app, declaring};
use crate::migration::{Action, ColumnPath, Move, Parsed, Part, Reshape, Statement};
use crate::name::TableName;
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome, counted};
use crate::retry;
use crate::workspace::Workspace;

/// The options of a command.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Id of the run.
    pub run: &'a str,
    /// Check everything, and write nothing.
    pub dry_run: bool,
}

/// The statements applied so far, by migration.
type Done = BTreeMap<u32, Vec<StatementOutcome>>;

/// Pending statements were applied.
#[derive(Debug)]
pub struct Applied {
    /// The migrations with such statements.
    pub migrations: Vec<MigrationOutcome>,
    /// The workspace, with its tables where they are now.
    pub workspace: Workspace,
    /// What is left to a sync.
    pub requests: Requests,
    /// Statements that are left to a sync, by migration.
    pub left: Vec<MigrationOutcome>,
}

/// Applies every pending statement but those that need a sync, and records them.
///
/// # Errors
/// Faults of the migrations, and statements that rows violate: nothing is changed then. `Conflict` if concurrent commits
/// kept winning.
pub async fn carry_out(workspace: &Workspace, asked: Asked<'_>) -> Result<Applied> {
    // Statements that an attempt applied before a conflict are not pending in the next one.
    let attempt = |mut done: Done| async move {
        let tried = Box::pin(once(workspace, asked, &mut done)).await;
        let so_far = done.clone();
        (done, tried.map(|pending| (pending, so_far)))
    };
    let tried = retry::CUT.with(Done::new(), attempt, |tried| !retry::is_conflict(tried), |_| {});
    match tried.await {
        Ok((pending, done)) => Ok(Applied {
            migrations: outcomes(&pending, done, asked),
            requests: pending.requests(),
            left: left(&pending, asked),
            workspace: match asked.dry_run {
                true => pending.workspace,
                false => workspace.with_places(settled(workspace, pending.journal.places()).await?)?,
            },
        }),
        Err(error) => Err(workspace.told(error)),
    }
}

async fn once(workspace: &Workspace, asked: Asked<'_>, done: &mut Done) -> Result<Pending> {
    let mut pending = Pending::find(workspace).await?;
    if pending.unrecorded().next().is_none() {
        return Ok(pending);
    }
    if !asked.dry_run && settle(&pending, asked.run).await? {
        pending = Pending::find(workspace).await?;
    }
    let steps = pending.steps(asked.run)?;
    for (name, steps) in &steps {
        check_rows(&pending, name, steps).await?;
    }
    if asked.dry_run {
        return Ok(pending);
    }
    begin(&mut pending, asked.run).await?;
    for lacking in pending.lacking.clone().iter().filter(|lacking| !lacking.is_request) {
        let outcome = match &lacking.moved {
            Some(step) => moved(&mut pending, lacking, step, asked.run).await?,
            None => {
                let Some(stands) = pending.tables.get(&lacking.table).cloned() else { continue };
                let (after, outcome) = rewritten_by(&pending, lacking, &stands, asked.run).await?;
                pending.tables.insert(lacking.table.clone(), after);
                outcome
            }
        };
        done.entry(lacking.migration).or_default().push(outcome);
    }
    record(&mut pending, done, asked.run).await?;
    Ok(pending)
}

/// A sync has done what these statements ask for: each with its table and the versions of that before and after.
///
/// # Errors
/// If the journal cannot be read or written; `Conflict` if concurrent commits kept winning.
pub async fn fulfilled(
    workspace: &Workspace,
    tables: &BTreeMap<TableName, (Option<u64>, Option<u64>)>,
    run: &str,
) -> Result<Vec<MigrationOutcome>> {
    let asked = Asked { run, dry_run: false };
    let attempt = || async {
        let (mut pending, mut done) = (Pending::find(workspace).await?, Done::new());
        for parsed in &pending.migrations {
            for lacking in pending.of(parsed.migration.number).filter(|lacking| lacking.is_request) {
                let Some((version_before, version_after)) = tables.get(&lacking.table).copied() else { continue };
                let outcome = StatementOutcome { version_before, version_after, ..lacking.outcome(parsed) };
                done.entry(lacking.migration).or_default().push(outcome);
            }
        }
        if !done.is_empty() {
            record(&mut pending, &done, run).await?;
        }
        Ok(outcomes(&pending, done, asked))
    };
    retry::COMMIT.until_no_conflict(attempt).await
}

/// The commit of a table that is renamed or dropped: its row in the journal.
async fn moved(pending: &mut Pending, lacking: &Lacking, step: &Move, run: &str) -> Result<StatementOutcome> {
    let parsed = pending.parsed(lacking).cloned().ok_or_else(|| gone(lacking))?;
    // The ledger may know its files by the ids of tables that had its name before.
    let session = pending.workspace.session()?;
    let ledger = Ledger::read(&pending.workspace.warehouse, &session, &pending.journal.places()).await?;
    let mut ids = step.ids.clone();
    ids.extend(ledger.ids(&step.from));
    ids.sort();
    ids.dedup();
    let outcome = StatementOutcome { moved: Some(Move { ids, ..step.clone() }), ..lacking.outcome(&parsed) };
    let row = Row { migration: &parsed, state: MigrationState::Begun, statement: Some(&outcome) };
    pending.journal.write(&[row], run).await?;
    Ok(outcome)
}

fn gone(lacking: &Lacking) -> Error {
    Error::new(Kind::Internal, format!("a statement on {} is not in its migration", lacking.table))
}

fn outcomes(pending: &Pending, mut done: Done, asked: Asked<'_>) -> Vec<MigrationOutcome> {
    let outcome = |parsed: &Parsed| {
        let number = parsed.migration.number;
        let (statements, state) = match asked.dry_run {
            true => (pending.of(number).map(|lacking| lacking.outcome(parsed)).collect(), MigrationState::Pending),
            false => {
                let done: Vec<StatementOutcome> = done.remove(&number).unwrap_or_default();
                let is_done = |lacking: &Lacking| done.iter().any(|outcome| outcome.number == lacking.number);
                let is_whole = pending.of(number).all(is_done);
                (done, if is_whole { MigrationState::Applied } else { MigrationState::Begun })
            }
        };
        (!statements.is_empty()).then(|| MigrationOutcome {
            number,
            label: parsed.migration.label.clone(),
            state,
            recorded_ms: None,
            run: Some(asked.run.to_owned()),
            statements,
        })
    };
    pending.migrations.iter().filter_map(outcome).collect()
}

/// Migrations with statements that need a sync.
fn left(pending: &Pending, asked: Asked<'_>) -> Vec<MigrationOutcome> {
    let mut left = Vec::new();
    for parsed in pending.migrations.iter().filter(|_| !asked.dry_run) {
        let number = parsed.migration.number;
        let requests = pending.of(number).filter(|lacking| lacking.is_request);
        let statements: Vec<StatementOutcome> = requests.map(|lacking| lacking.outcome(parsed)).collect();
        if !statements.is_empty() {
            let (label, run) = (parsed.migration.label.clone(), Some(asked.run.to_owned()));
            let state = MigrationState::Begun;
            left.push(MigrationOutcome { number, label, state, recorded_ms: None, run, statements });
        }
    }
    left
}

/// Finishes batches that the ledger decided in an earlier run: their files have the columns before the migration. Returns
/// whether there were any.
async fn settle(pending: &Pending, run: &str) -> Result<bool> {
    // A table that has all of its statements may have an open batch that was decided after them.
    let rewritten = pending.lacking.iter().filter(|lacking| lacking.rewrites());
    let (workspace, named) = (&pending.workspace, rewritten.map(|lacking| &lacking.table).collect::<Vec<_>>());
    if named.is_empty() {
        return Ok(false);
    }
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    // Such a batch was decided before any of these statements was applied.
    let known = pending.journal.newest_done().into();
    let mut any = false;
    for table in workspace.project.tables.iter().filter(|t| t.landing().is_some() && named.contains(&&t.name)) {
        let mut context = workspace.place(table, run)?;
        context.migration = known;
        any |= ingest::settle(&context, (&ledger, &session)).await?;
    }
    Ok(any)
}

/// Reads the rows of a table if they can violate a statement.
async fn check_rows(pending: &Pending, name: &TableName, steps: &Arc<Vec<Reshape>>) -> Result<()> {
    let workspace = &pending.workspace;
    let (Some(table), Some(stands)) = (workspace.project.table(name), pending.tables.get(name)) else { return Ok(()) };
    let schema = stands.schema();
    let is_new = |step: &Reshape| {
        let was_not_null = |name: &str| schema.field_with_name(name).is_ok_and(|field| !field.is_nullable());
        step.can_fail(&was_not_null)
    };
    if !steps.iter().any(is_new) {
        return Ok(());
    }
    let at_once = at_once(workspace.project.memory_limit);
    let Some(found) = violations(stands, steps, &table.primary_key, at_once).await? else { return Ok(()) };
    let of_table: Vec<&Lacking> = pending.rewriting(name).collect();
    let statement = of_table.get(found.step).and_then(|lacking| pending.get(lacking));
    Err(refused(workspace, (table, stands), statement, found))
}

fn refused(
    workspace: &Workspace,
    (table, stands): (&Table, &LakeTable),
    statement: Option<&Statement>,
    found: Violations,
) -> Error {
    let column = statement.and_then(|statement| statement.action.path()).map_or("", ColumnPath::column);
    let (has, text) = (if found.rows == 1 { "has" } else { "have" }, statement.map(Statement::text));
    let least = if found.is_least { "at least " } else { "" };
    let rows = format!("{least}{} of {}", counted(found.rows, "row"), table.name);
    let message = match found.because {
        None => format!("{rows} {has} NULL in `{column}`"),
        Some(_) => format!("{rows} {has} no value by `using` for `{column}`"),
    };
    let mut error = Error::failed(message)
        .fact("statement", text.unwrap_or_default())
        .fact("table", format!("{} (v{}, unchanged)", stands.location(), stands.version()));
    if let Some((file, offset)) = &found.first {
        error = error.fact("first", format!("{file} at byte {offset}"));
    }
    if let Some(key) = &found.key {
        let note = workspace.privacy.note();
        error = error.fact("key", format!("{}{note}", workspace.privacy.show(key)));
    }
    if let Some(cause) = found.because {
        return error.because(cause).help(format!(
            "let the expression give those rows a value: `case when ... then ... end`, `coalesce`, `nullif`; see them: \
             stedi-delta query \"select {column} from {}\"",
            table.name
        ));
    }
    let replace = "correct the landing files and `sync --reload` them";
    let of =
        table.columns.iter().find(|c| c.name == column).map_or_else(|| "...".into(), |c| c.column_type.delta_name());
    error.help(format!("{replace}, or give it values: `alter column {column} type {of} using coalesce({column}, ...)`"))
}

/// Records that these migrations have begun: their texts cannot change any more.
async fn begin(pending: &mut Pending, run: &str) -> Result<()> {
    let is_begun = |parsed: &&Parsed| {
        let number = parsed.migration.number;
        pending.of(number).next().is_some() && !pending.journal.entries.contains_key(&number)
    };
    let begun: Vec<Parsed> = pending.unrecorded().filter(is_begun).cloned().collect();
    if begun.is_empty() {
        return Ok(());
    }
    let row = |migration| Row { migration, state: MigrationState::Begun, statement: None };
    let rows: Vec<Row<'_>> = begun.iter().map(row).collect();
    pending.journal.write(&rows, run).await
}

/// Records the migrations that the tables include now.
async fn record(pending: &mut Pending, done: &Done, run: &str) -> Result<()> {
    let all: Vec<Parsed> = pending.unrecorded().cloned().collect();
    let mut outcomes: Vec<(&Parsed, MigrationState, Option<StatementOutcome>)> = Vec::new();
    for parsed in &all {
        let number = parsed.migration.number;
        let carried_out = done.get(&number);
        let is_done = |number: usize| carried_out.into_iter().flatten().any(|outcome| outcome.number == number);
        if pending.of(number).any(|lacking| !is_done(lacking.number)) {
            // The rest is done by a sync.
            let is_new = |done: &&StatementOutcome| done.moved.is_none() && !pending.journal.has(number, done.number);
            let new = carried_out.into_iter().flatten().filter(is_new);
            outcomes.extend(new.map(|outcome| (parsed, MigrationState::Begun, Some(outcome.clone()))));
            continue;
        }
        if carried_out.is_none() && !pending.journal.entries.contains_key(&number) {
            outcomes.push((parsed, MigrationState::Included, None));
            continue;
        }
        for (index, statement) in parsed.statements.iter().enumerate() {
            let known = carried_out.into_iter().flatten().chain(pending.journal.statements(number));
            let known = known.into_iter().find(|outcome| outcome.number == index + 1).cloned();
            let table = TableName::parse(&statement.table.value).ok().and_then(|name| pending.tables.get(&name));
            // Applied by a run that died before it was recorded, or included in a table when it was created.
            let other = || StatementOutcome {
                number: index + 1,
                text: statement.text(),
                table: statement.table.value.clone(),
                table_uuid: table.map(LakeTable::uuid),
                version_before: None,
                version_after: None,
                bytes_read: 0,
                bytes_written: 0,
                moved: None,
                needs_sync: false,
            };
            outcomes.push((parsed, MigrationState::Applied, Some(known.unwrap_or_else(other))));
        }
    }
    let rows: Vec<Row<'_>> = outcomes
        .iter()
        .map(|(migration, state, statement)| Row { migration, state: *state, statement: statement.as_ref() })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    pending.journal.write(&rows, run).await
}

/// One statement that rewrites its table, as one commit.
async fn rewritten_by(
    pending: &Pending,
    lacking: &Lacking,
    stands: &LakeTable,
    run: &str,
) -> Result<(LakeTable, StatementOutcome)> {
    let workspace = &pending.workspace;
    let statement = pending.get(lacking).ok_or_else(|| gone(lacking))?;
    let table = workspace.project.table(&lacking.table).ok_or_else(|| gone(lacking))?;
    let before = stored(table, stands)?;
    let after = before.after(statement).map_err(|fault| Error::definition(vec![fault]))?;
    let step = Arc::new(Reshape::new(statement, &before, &after).map_err(Error::definition)?);
    let layout = described(&stands.layout(), statement);
    let at_once = at_once(workspace.project.memory_limit);
    let adds = rewritten(stands, &step, &layout, workspace.project.target_file_size, at_once).await?;
    let written: u64 = adds.iter().map(|add| add.size.unsigned_abs()).sum();
    let (mut properties, unset) = stands.layout().to(&layout);
    properties.extend(declared(stands, statement));
    let paths = adds.clone();
    let change = Change {
        adds,
        removes: stands.removes(|_| true),
        schema: Some(columns(lacking, &statement.action, after.columns())),
        annotations: Some(Annotations::of(table)),
        properties,
        unset,
        ..Change::default()
    };
    let commit = Commit {
        operation: operation(&statement.action),
        change,
        txns: txns(stands, lacking),
        info: info(pending, lacking, statement, run),
        metrics: BTreeMap::new(),
    };
    let table = match commit.commit(stands).await {
        Ok(table) => table,
        Err(error) if error.kind() == Kind::Conflict => {
            discard(stands, &paths).await;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let outcome = StatementOutcome {
        number: lacking.number,
        text: statement.text(),
        table: lacking.table.to_string(),
        table_uuid: Some(table.uuid()),
        version_before: Some(stands.version()),
        version_after: Some(table.version()),
        bytes_read: stands.size().1,
        bytes_written: written,
        moved: None,
        needs_sync: false,
    };
    Ok((table, outcome))
}

/// The columns after a statement.
fn columns(lacking: &Lacking, action: &Action, columns: Vec<Column>) -> NewColumns {
    match action {
        Action::SetType { path, using: Some(_), .. } => {
            let by = format!("migration {:04}, statement {}", lacking.migration, lacking.number);
            NewColumns::Computed { columns, column: path.column().to_owned(), by }
        }
        Action::Rename { path, to } if path.is_column() => {
            NewColumns::Renamed { columns, from: path.column().to_owned(), to: to.value.clone() }
        }
        _ => NewColumns::Only(columns),
    }
}

/// The names that other engines give such operations in Delta logs.
fn operation(action: &Action) -> &'static str {
    match action {
        Action::Rename { .. } => "RENAME COLUMN",
        Action::Drop { .. } => "DROP COLUMNS",
        _ => "CHANGE COLUMN",
    }
}

fn txns(stands: &LakeTable, lacking: &Lacking) -> BTreeMap<String, i64> {
    let mut txns = stands.state().txns.clone();
    txns.insert(app::MIGRATION.to_owned(), lacking.migration.into());
    txns.insert(app::STATEMENT.to_owned(), i64::try_from(lacking.number).unwrap_or(i64::MAX));
    txns
}

fn info(pending: &Pending, lacking: &Lacking, statement: &Statement, run: &str) -> BTreeMap<String, serde_json::Value> {
    let name = pending.parsed(lacking).map(Parsed::name).unwrap_or_default();
    let facts = json!({"mode": "migration", "migration": name, "statement": statement.text(), "run": run});
    BTreeMap::from([("stediDelta".to_owned(), facts)])
}

/// The property that lists the table's declared columns, if a statement changes their names.
fn declared(stands: &LakeTable, statement: &Statement) -> BTreeMap<String, String> {
    let (mut own, Some(path)) = (stands.declared_columns(), statement.action.path()) else { return BTreeMap::new() };
    if !path.is_column() || !own.remove(path.column()) {
        return BTreeMap::new();
    }
    match &statement.action {
        Action::Rename { to, .. } => drop(own.insert(to.value.clone())),
        Action::Drop { .. } => {}
        _ => return BTreeMap::new(),
    }
    declaring(own.iter().map(String::as_str))
}

/// The columns that the log describes afterwards.
fn described(layout: &Layout, statement: &Statement) -> Layout {
    let field = |part: &Part| match part {
        Part::Field(name) => Some(name.clone()),
        Part::Element | Part::Value => None,
    };
    // The log does not describe fields inside arrays and maps.
    let parts = statement.action.path().into_iter().flat_map(|path| &path.parts);
    let Some(path) = parts.map(field).collect::<Option<Vec<_>>>() else {
        return layout.clone();
    };
    match &statement.action {
        Action::Rename { to, .. } => layout.moved(&path, Some(&to.value)),
        Action::Drop { .. } => layout.moved(&path, None),
        _ => layout.clone(),
    }
}
