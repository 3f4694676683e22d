//! The system table `migrations`: the migrations of this lake, with time, text checksum and the table versions that they
//! created.
//!
//! A table's own log says which statements the table includes; the journal keeps their text. So it is written before the
//! first statement of a migration is applied (`begun`), and completed after the last one (`applied`). Of a table that got
//! another name, or was dropped, no log says so: its row in the journal is what carries the statement out.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use deltalake::arrow::datatypes::{Int64Type, Schema, TimestampMicrosecondType};
use futures::TryStreamExt;

use crate::clock;
use crate::definition::{Column, ColumnType};
use crate::digest::DigestKey;
use crate::error::{Context, Result};
use crate::lake::{Commit, LakeTable, SystemTable};
use crate::migration::{Home, Move, Parsed, Places};
use crate::outcome::{MigrationState, StatementOutcome};
use crate::storage::Location;
use crate::workspace::Workspace;

/// Under the warehouse root.
pub const FOLDER: &str = "system/migrations";

/// The journal's record of a migration.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The rest of its name.
    pub label: String,
    /// [`Parsed::checksum`] of its text.
    pub checksum: String,
    /// How far it is.
    pub state: MigrationState,
    /// When that was recorded, ms since the epoch.
    pub at_ms: i64,
    /// The run that recorded it.
    pub run: String,
    /// Its recorded statements: all once all are applied.
    pub statements: Vec<StatementOutcome>,
}

/// The journal of a lake.
#[derive(Debug)]
pub struct Journal {
    location: Location,
    table: Option<LakeTable>,
    /// The key with which its rows are digested.
    digests: Option<DigestKey>,
    /// Migrations by number.
    pub entries: BTreeMap<u32, Entry>,
}

/// A row to be written.
pub(super) struct Row<'a> {
    pub migration: &'a Parsed,
    pub state: MigrationState,
    /// The outcome of one of its statements.
    pub statement: Option<&'a StatementOutcome>,
}

impl Row<'_> {
    fn moved(&self) -> Option<&Move> {
        self.statement?.moved.as_ref()
    }
}

impl Journal {
    /// Reads the journal; a lake without one has no migration in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(workspace: &Workspace) -> Result<Self> {
        let doing = || "the journal of migrations cannot be read".to_owned();
        let location = workspace.warehouse.join(FOLDER);
        let table = LakeTable::open(&location).await?;
        let digests = DigestKey::of(&workspace.privacy);
        let mut journal = Self { location, table, digests, entries: BTreeMap::new() };
        let Some(table) = &journal.table else { return Ok(journal) };
        let session = workspace.session()?;
        let frame = session.read_table(table.provider(&session, None).await?).context(doing)?;
        let mut rows = frame.execute_stream().await.context(doing)?;
        let mut entries: BTreeMap<u32, Entry> = BTreeMap::new();
        while let Some(batch) = rows.try_next().await.context(doing)? {
            for row in 0..batch.num_rows() {
                if let Some((number, found)) = entry(&batch, row) {
                    merge(&mut entries, number, found);
                }
            }
        }
        for entry in entries.values_mut() {
            entry.statements.sort_by_key(|statement| statement.number);
        }
        journal.entries = entries;
        Ok(journal)
    }

    /// Where the tables are that migrations moved.
    #[must_use]
    pub fn places(&self) -> Places {
        let mut places = Places::default();
        let statements = self.entries.values().flat_map(|entry| &entry.statements);
        statements.filter_map(|statement| statement.moved.clone()).for_each(|step| places.take(step));
        places
    }

    /// Whether it has a row about a statement.
    pub(super) fn has(&self, migration: u32, statement: usize) -> bool {
        let of = |entry: &Entry| entry.statements.iter().any(|known| known.number == statement);
        self.entries.get(&migration).is_some_and(of)
    }

    /// Its rows about statements of a migration.
    pub(super) fn statements(&self, migration: u32) -> &[StatementOutcome] {
        self.entries.get(&migration).map_or(&[], |entry| &entry.statements)
    }

    /// Whether it records a migration as applied or included.
    pub(super) fn is_done(&self, migration: u32) -> bool {
        self.entries.get(&migration).is_some_and(|entry| entry.state.is_done())
    }

    /// The number of the newest migration that it records as applied or included.
    pub(super) fn newest_done(&self) -> u32 {
        self.entries.iter().rfind(|(_, entry)| entry.state.is_done()).map_or(0, |(number, _)| *number)
    }

    /// Adds rows in one commit after the version that was read.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; if the store fails.
    pub(super) async fn write(&mut self, rows: &[Row<'_>], run: &str) -> Result<()> {
        let doing = || "the journal of migrations cannot be written".to_owned();
        let schema = Arc::new(Schema::new(columns().iter().map(Column::field).collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema, arrays(rows, run)).context(doing)?;
        let commit = Commit {
            info: BTreeMap::from([("stediDelta".to_owned(), serde_json::json!({"run": run}))]),
            ..Commit::default()
        };
        let journal = SystemTable {
            name: "migrations",
            description: "Migrations that are in this lake",
            columns: columns(),
            digests: self.digests.clone(),
        };
        self.table = Some(journal.append((&self.location, self.table.as_ref()), &batch, commit, run).await?);
        for row in rows {
            let entry = Entry {
                label: row.migration.migration.label.clone(),
                checksum: row.migration.checksum(),
                state: row.state,
                at_ms: clock::now_ms(),
                run: run.to_owned(),
                statements: row.statement.cloned().into_iter().collect(),
            };
            merge(&mut self.entries, row.migration.migration.number, entry);
        }
        Ok(())
    }
}

fn merge(entries: &mut BTreeMap<u32, Entry>, number: u32, found: Entry) {
    let Some(known) = entries.get_mut(&number) else {
        entries.insert(number, found);
        return;
    };
    for statement in found.statements {
        // One that was recorded when it was carried out is recorded again with its migration.
        if known.statements.iter().all(|known| known.number != statement.number) {
            known.statements.push(statement);
        }
    }
    if known.state == MigrationState::Begun {
        (known.state, known.at_ms, known.run) = (found.state, found.at_ms, found.run);
    }
}

fn state_name(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Included => "included",
        MigrationState::Applied => "applied",
        MigrationState::Begun | MigrationState::Pending => "begun",
    }
}

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type, nullable| Column { nullable, ..Column::new(name, column_type) };
    vec![
        column("migration", ColumnType::Long, false),
        column("label", ColumnType::String, false),
        column("checksum", ColumnType::String, false),
        column("state", ColumnType::String, false),
        column("recorded_at", ColumnType::Timestamp, false),
        column("run", ColumnType::String, false),
        column("statement", ColumnType::Long, true),
        column("text", ColumnType::String, true),
        column("table_name", ColumnType::String, true),
        column("table_uuid", ColumnType::String, true),
        column("version_before", ColumnType::Long, true),
        column("version_after", ColumnType::Long, true),
        column("renamed_to", ColumnType::String, true),
        column("folder", ColumnType::String, true),
        column("file_ids", ColumnType::String, true),
    ]
}

fn arrays(rows: &[Row<'_>], run: &str) -> Vec<ArrayRef> {
    let texts = |of: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let longs =
        |of: &dyn Fn(&Row<'_>) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    let version = |version: Option<u64>| version.and_then(|version| i64::try_from(version).ok());
    let now = clock::now_ms() * 1000;
    vec![
        longs(&|row| Some(row.migration.migration.number.into())),
        texts(&|row| Some(row.migration.migration.label.clone())),
        texts(&|row| Some(row.migration.checksum())),
        texts(&|row| Some(state_name(row.state).to_owned())),
        Arc::new(TimestampMicrosecondArray::from(vec![now; rows.len()]).with_timezone("UTC")),
        texts(&|_| Some(run.to_owned())),
        longs(&|row| row.statement.and_then(|done| i64::try_from(done.number).ok())),
        texts(&|row| row.statement.map(|done| done.text.clone())),
        texts(&|row| row.statement.map(|done| done.table.clone())),
        texts(&|row| row.statement.and_then(|done| done.table_uuid.clone())),
        longs(&|row| row.statement.and_then(|done| version(done.version_before))),
        longs(&|row| row.statement.and_then(|done| version(done.version_after))),
        texts(&|row| row.moved()?.to.clone()),
        texts(&|row| row.moved().map(|step| step.home.to_string())),
        texts(&|row| row.moved().map(|step| step.ids.join(" "))),
    ]
}

fn entry(batch: &RecordBatch, row: usize) -> Option<(u32, Entry)> {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let long = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let version = |name: &str| long(name).and_then(|version| u64::try_from(version).ok());
    let at = batch.column_by_name("recorded_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let state = match text("state")?.as_str() {
        "included" => MigrationState::Included,
        "applied" => MigrationState::Applied,
        _ => MigrationState::Begun,
    };
    let statement = long("statement").map(|number| StatementOutcome {
        number: usize::try_from(number).unwrap_or_default(),
        text: text("text").unwrap_or_default(),
        table: text("table_name").unwrap_or_default(),
        table_uuid: text("table_uuid"),
        version_before: version("version_before"),
        version_after: version("version_after"),
        bytes_read: 0,
        bytes_written: 0,
        moved: text("folder").and_then(|folder| Home::parse(&folder)).map(|home| Move {
            from: text("table_name").unwrap_or_default(),
            to: text("renamed_to"),
            home,
            ids: text("file_ids").unwrap_or_default().split(' ').map(str::to_owned).collect(),
        }),
        needs_sync: false,
    });
    let entry = Entry {
        label: text("label")?,
        checksum: text("checksum")?,
        state,
        at_ms: at.value(row) / 1000,
        run: text("run")?,
        statements: statement.into_iter().collect(),
    };
    Some((u32::try_from(long("migration")?).ok()?, entry))
}
