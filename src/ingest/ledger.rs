//! The system table `files`: each ingested file with its state and batch, and a write-ahead log of each batch's
//! commits.
//!
//! A batch has one row per file, and one whose `path` is NULL and whose `actions` hold the [`Wal`]. Committing them
//! decides the batch; the quarantine and landing commits that follow only carry it out, now or after a crash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::logical_expr::{Expr, ident, lit};
use deltalake::datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};

use crate::definition::{Column, ColumnType};
use crate::digest::{DigestKey, Sealed};
use crate::error::{Context, Error, Result};
use crate::lake::{Add, Commit, LakeTable, SystemTable, is_batch};
use crate::migration::Places;
use crate::storage::Location;

/// Under the warehouse root.
pub(crate) const FOLDER: &str = "system/files";

/// The ledger's entry of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRow {
    /// Path under the landing root.
    pub path: String,
    /// Bytes, as stored.
    pub size: u64,
    /// The store's entity tag of this state.
    pub etag: Option<String>,
    /// When the store last saw it change, ms since the epoch.
    pub modified_ms: i64,
    /// BLAKE3 of the stored bytes, hexadecimal.
    pub content_hash: String,
    /// Records read.
    pub records: u64,
    /// Records landed.
    pub landed: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Its rows were removed, and it is not read any more.
    pub is_unloaded: bool,
}

/// The stored size of an unloaded file.
const UNLOADED: i64 = -1;

impl FileRow {
    /// The row of a file whose rows were removed and which is not read any more.
    #[must_use]
    pub fn unloaded(path: &str) -> Self {
        Self { path: path.to_owned(), is_unloaded: true, ..Self::default() }
    }
}

/// Identifies the state of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Bytes, as stored.
    pub size: u64,
    /// The store's tag of this state.
    pub etag: Option<String>,
    /// When the store last saw it change, ms since the epoch.
    pub modified_ms: i64,
    /// Records landed.
    pub landed: u64,
}

/// A column of a batch's data files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalColumn {
    name: String,
    /// Its Delta type.
    r#type: String,
    nullable: bool,
}

/// The remaining commits of a batch once the ledger holds it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wal {
    /// Data files of landing rows.
    pub landing: Vec<Add>,
    /// Data files of quarantined records.
    pub quarantine: Vec<Add>,
    /// Id of the quarantine table, if this batch creates it.
    pub quarantine_uuid: String,
    /// Files whose older rows are removed from both tables.
    pub replaced: Vec<String>,
    /// Records that leave quarantine: file and offset.
    pub replayed: Vec<(String, i64)>,
    /// Landing rows in `landing`.
    pub rows_landed: u64,
    /// Records in `quarantine`.
    pub rows_quarantined: u64,
    /// Columns with which the files of `landing` were written: when the batch is carried out, the definition may have
    /// changed. Empty in logs from before they were recorded.
    #[serde(default)]
    pub columns: Vec<WalColumn>,
    /// Fingerprint of the expectations by which these rows were checked; 0 in logs from before it was recorded.
    #[serde(default)]
    pub expectations: i64,
    /// The digest of the rows in `landing`, if they were digested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_landing: Option<Sealed>,
    /// The digest of the records in `quarantine`, if they were digested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_quarantine: Option<Sealed>,
}

impl Wal {
    /// The recorded form of [`Self::columns`].
    #[must_use]
    pub fn written_with(columns: &[Column]) -> Vec<WalColumn> {
        let column =
            |c: &Column| WalColumn { name: c.name.clone(), r#type: c.column_type.delta_name(), nullable: c.nullable };
        columns.iter().map(column).collect()
    }

    /// The columns of its landing rows; the `declared` ones if it records none.
    ///
    /// # Errors
    /// If it names an unknown type.
    pub fn columns(&self, declared: &[Column]) -> Result<Vec<Column>> {
        if self.columns.is_empty() {
            return Ok(declared.to_vec());
        }
        let column = |c: &WalColumn| {
            let column_type = ColumnType::parse(&c.r#type).map_err(|help| {
                Error::failed(format!("the ledger has column `{}` as `{}`", c.name, c.r#type)).help(help)
            })?;
            Ok(Column { nullable: c.nullable, ..Column::new(&c.name, column_type) })
        };
        self.columns.iter().map(column).collect()
    }
}

/// A batch as the ledger records it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Landing table's name.
    pub table: String,
    /// Landing table's id.
    pub uuid: String,
    /// Number, from 1, ascending per landing table's name: the quarantine identifies batches by it.
    pub number: i64,
    /// Files.
    pub files: Vec<FileRow>,
    /// The commits to carry out; `None` if no row lands, leaves or is quarantined.
    pub wal: Option<Wal>,
}

/// The ledger of one landing table id.
#[derive(Clone, Debug, Default)]
pub struct TableLedger {
    /// The last ingested state of each path. Shared: there may be a million.
    pub files: Arc<HashMap<String, FileState>>,
    /// Numbers of batches with a write-ahead log, ascending.
    pub logged: Vec<i64>,
    /// The highest number.
    pub newest: i64,
}

/// The whole ledger at one version.
#[derive(Debug, Default)]
pub struct Ledger {
    table: Option<LakeTable>,
    /// Its location, even before it exists.
    location: Option<Location>,
    /// By landing table name, then id. A table that was renamed has the rows of its former names.
    tables: HashMap<String, BTreeMap<String, TableLedger>>,
    /// The names by which rows of a landing table were recorded.
    recorded: HashMap<String, BTreeSet<String>>,
    /// By landing table name: the id of the table's newest rows.
    newest_uuid: HashMap<String, String>,
    /// By landing table name, for all of its ids: paths that were unloaded and have not landed since.
    unloaded: HashMap<String, BTreeSet<String>>,
    /// The key with which its own rows are digested.
    digests: Option<DigestKey>,
}

fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray> {
    batch.column(column).as_string_opt::<i32>().ok_or_else(|| Error::failed(reading()))
}

fn long(batch: &RecordBatch, column: usize) -> Result<&Int64Array> {
    batch.column(column).as_primitive_opt::<Int64Type>().ok_or_else(|| Error::failed(reading()))
}

fn count(column: &Int64Array, row: usize) -> u64 {
    if column.is_null(row) { 0 } else { column.value(row).unsigned_abs() }
}

impl Ledger {
    /// Reads the ledger of a warehouse; `places` tells which tables were renamed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(warehouse: &Location, session: &SessionContext, places: &Places) -> Result<Self> {
        let location = warehouse.join(FOLDER);
        let found = LakeTable::open(&location).await?;
        let mut ledger = Self { location: Some(location), ..Self::default() };
        let Some(table) = found else { return Ok(ledger) };
        session.deregister_table("files").context(reading)?;
        session.register_table("files", table.provider(session, None).await?).context(reading)?;
        // Hashes are most of the ledger, and only needed if a file looks changed.
        let sql =
            "select landing_table, table_uuid, batch, path, size, etag, modified_ms, landed from files order by batch";
        let batches = session.sql(sql).await.context(reading)?.collect().await.context(reading)?;
        for batch in &batches {
            ledger.take(batch, places)?;
        }
        ledger.table = Some(table);
        Ok(ledger)
    }

    /// Digests the rows that it commits, if there is a key.
    #[must_use]
    pub(crate) fn digested(self, digests: Option<DigestKey>) -> Self {
        Self { digests, ..self }
    }

    fn take(&mut self, batch: &RecordBatch, places: &Places) -> Result<()> {
        let (tables, uuids, numbers) = (text(batch, 0)?, text(batch, 1)?, long(batch, 2)?);
        let (paths, sizes, etags, modified) = (text(batch, 3)?, long(batch, 4)?, text(batch, 5)?, long(batch, 6)?);
        let landed = long(batch, 7)?;
        for row in 0..batch.num_rows() {
            let (recorded, uuid, number) = (tables.value(row), uuids.value(row), numbers.value(row));
            let name = places.owner(recorded, uuid);
            if !is_batch(number) {
                return Err(Error::failed(reading())
                    .fact("found", format!("batch {number} of {name}, a number that no sync gave out"))
                    .fact("because", "another writer wrote into it")
                    .help("in the engine that did: RESTORE the version before"));
            }
            if !self.recorded.get(name).is_some_and(|names| names.contains(recorded)) {
                self.recorded.entry(name.to_owned()).or_default().insert(recorded.to_owned());
            }
            self.newest_uuid.insert(name.to_owned(), uuid.to_owned());
            let of_table = self.tables.entry(name.to_owned()).or_default();
            let ledger = of_table.entry(uuid.to_owned()).or_default();
            ledger.newest = ledger.newest.max(number);
            if paths.is_null(row) {
                ledger.logged.push(number);
                continue;
            }
            let path = paths.value(row);
            if sizes.is_valid(row) && sizes.value(row) == UNLOADED {
                Arc::make_mut(&mut ledger.files).remove(path);
                self.unloaded.entry(name.to_owned()).or_default().insert(path.to_owned());
                continue;
            }
            if let Some(paths) = self.unloaded.get_mut(name) {
                paths.remove(path);
            }
            let etag = (!etags.is_null(row)).then(|| etags.value(row).to_owned());
            let (size, landed) = (count(sizes, row), count(landed, row));
            let state = FileState { size, etag, modified_ms: modified.value(row), landed };
            Arc::make_mut(&mut ledger.files).insert(path.to_owned(), state);
        }
        Ok(())
    }

    /// The newest rows of some files of a landing table's id, in one scan of the ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn rows(
        &self,
        session: &SessionContext,
        table: &str,
        uuid: &str,
        wanted: &BTreeSet<&str>,
    ) -> Result<HashMap<String, FileRow>> {
        let mut rows = HashMap::new();
        if wanted.is_empty() || self.table.is_none() {
            return Ok(rows);
        }
        let of_table = self.is_of(table).and(ident("table_uuid").eq(lit(uuid)));
        let names =
            ["batch", "path", "size", "etag", "modified_ms", "content_hash", "records", "landed", "quarantined"];
        let frame = session.table("files").await.context(reading)?;
        let frame = frame.filter(of_table.and(ident("path").is_not_null())).context(reading)?;
        let frame = frame.select(names.map(ident).to_vec()).context(reading)?;
        let frame = frame.sort(vec![ident("batch").sort(true, false)]).context(reading)?;
        for batch in frame.collect().await.context(reading)? {
            let (paths, etags, hashes) = (text(&batch, 1)?, text(&batch, 3)?, text(&batch, 5)?);
            let (sizes, modified, records) = (long(&batch, 2)?, long(&batch, 4)?, long(&batch, 6)?);
            let (landed, quarantined) = (long(&batch, 7)?, long(&batch, 8)?);
            for row in (0..batch.num_rows()).filter(|row| wanted.contains(paths.value(*row))) {
                let file = FileRow {
                    path: paths.value(row).to_owned(),
                    size: count(sizes, row),
                    etag: (!etags.is_null(row)).then(|| etags.value(row).to_owned()),
                    modified_ms: modified.value(row),
                    content_hash: hashes.value(row).to_owned(),
                    records: count(records, row),
                    landed: count(landed, row),
                    quarantined: count(quarantined, row),
                    is_unloaded: false,
                };
                rows.insert(file.path.clone(), file);
            }
        }
        Ok(rows)
    }

    /// Files of a landing table's name that were unloaded and have not landed since.
    #[must_use]
    pub fn unloaded(&self, table: &str) -> BTreeSet<String> {
        self.unloaded.get(table).cloned().unwrap_or_default()
    }

    /// The ledger of a landing table's id.
    #[must_use]
    pub fn of(&self, table: &str, uuid: &str) -> TableLedger {
        self.tables.get(table).and_then(|t| t.get(uuid)).cloned().unwrap_or_default()
    }

    /// Whether another process has committed to it since it was read.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn moved(&self) -> Result<bool> {
        let Some(location) = &self.location else { return Ok(false) };
        let stands = LakeTable::open(location).await?;
        let at = |table: Option<&LakeTable>| table.map(|t| (t.uuid(), t.version()));
        Ok(at(stands.as_ref()) != at(self.table.as_ref()))
    }

    /// Every id that the ledger knows of a landing table.
    #[must_use]
    pub fn ids(&self, table: &str) -> Vec<String> {
        self.tables.get(table).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Whether a row was recorded for a landing table, by one of the names that it had.
    fn is_of(&self, table: &str) -> Expr {
        match self.recorded.get(table) {
            Some(names) => ident("landing_table").in_list(names.iter().map(|name| lit(name.as_str())).collect(), false),
            None => ident("landing_table").eq(lit(table)),
        }
    }

    /// The highest batch number of all tables that had this name.
    #[must_use]
    pub fn newest(&self, table: &str) -> i64 {
        self.tables.get(table).into_iter().flat_map(BTreeMap::values).map(|of| of.newest).max().unwrap_or(0)
    }

    /// The highest batch number of all tables that had this name, and the files that they ingested.
    #[must_use]
    pub fn all_of(&self, table: &str) -> (i64, BTreeSet<String>) {
        let tables = self.tables.get(table).into_iter().flat_map(BTreeMap::values);
        tables.fold((0, BTreeSet::new()), |(newest, mut files), of| {
            files.extend(of.files.keys().cloned());
            (newest.max(of.newest), files)
        })
    }

    /// The id under which the newest batch of a landing table was recorded.
    #[must_use]
    pub fn newest_uuid(&self, table: &str) -> Option<&str> {
        self.newest_uuid.get(table).map(String::as_str)
    }

    /// The write-ahead log of a batch.
    ///
    /// # Errors
    /// When the ledger does not hold it.
    pub async fn wal(&self, session: &SessionContext, table: &str, uuid: &str, number: i64) -> Result<Wal> {
        let frame = session.table("files").await.context(reading)?;
        let wanted = self
            .is_of(table)
            .and(ident("table_uuid").eq(lit(uuid)))
            .and(ident("batch").eq(lit(number)))
            .and(ident("actions").is_not_null());
        let frame = frame.filter(wanted).and_then(|f| f.select(vec![ident("actions")])).context(reading)?;
        let batches = frame.collect().await.context(reading)?;
        let text = batches.iter().find(|b| b.num_rows() > 0).and_then(|b| b.column(0).as_string_opt::<i32>());
        let text = text.ok_or_else(|| Error::failed(format!("batch {number} of {table} is not in the ledger")))?;
        serde_json::from_str(text.value(0)).context(|| format!("batch {number} of {table} is broken in the ledger"))
    }

    /// Commits batches: this decides them; all later commits only carry them out.
    ///
    /// # Errors
    /// `Conflict` if another process has committed to the ledger since it was read.
    pub async fn commit(&self, warehouse: &Location, batches: &[Batch], run: &str) -> Result<()> {
        let commit = Commit { info: BTreeMap::from([("runId".to_owned(), run.into())]), ..Commit::default() };
        let files = SystemTable {
            name: "files",
            description: "Ledger of ingested files",
            columns: columns(),
            digests: self.digests.clone(),
        };
        let at = (&warehouse.join(FOLDER), self.table.as_ref());
        files.append(at, &rows(batches)?, commit, run).await.map(drop)
    }
}

fn reading() -> String {
    "the ledger of ingested files (system table `files`) cannot be read".into()
}

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type, nullable| Column { nullable, ..Column::new(name, column_type) };
    vec![
        column("landing_table", ColumnType::String, false),
        column("table_uuid", ColumnType::String, false),
        column("batch", ColumnType::Long, false),
        column("path", ColumnType::String, true),
        column("size", ColumnType::Long, true),
        column("etag", ColumnType::String, true),
        column("modified_ms", ColumnType::Long, true),
        column("content_hash", ColumnType::String, true),
        column("records", ColumnType::Long, true),
        column("landed", ColumnType::Long, true),
        column("quarantined", ColumnType::Long, true),
        column("actions", ColumnType::String, true),
    ]
}

fn rows(batches: &[Batch]) -> Result<RecordBatch> {
    struct Row<'a>(&'a Batch, Option<&'a FileRow>, Option<String>);
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(batch.files.iter().map(|f| Row(batch, Some(f), None)));
        if let Some(wal) = &batch.wal {
            let text = serde_json::to_string(wal).context(|| "a batch cannot be recorded".into())?;
            rows.push(Row(batch, None, Some(text)));
        }
    }
    let text =
        |f: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef { Arc::new(rows.iter().map(f).collect::<StringArray>()) };
    let long = |f: &dyn Fn(&FileRow) -> u64| -> ArrayRef {
        let value = |r: &Row<'_>| r.1.map(|file| i64::try_from(f(file)).unwrap_or(i64::MAX));
        Arc::new(rows.iter().map(value).collect::<Int64Array>())
    };
    let size = |f: &FileRow| if f.is_unloaded { UNLOADED } else { i64::try_from(f.size).unwrap_or(i64::MAX) };
    let schema: Vec<_> = columns().iter().map(Column::field).collect();
    let arrays: Vec<ArrayRef> = vec![
        text(&|r| Some(r.0.table.clone())),
        text(&|r| Some(r.0.uuid.clone())),
        Arc::new(rows.iter().map(|r| Some(r.0.number)).collect::<Int64Array>()),
        text(&|r| r.1.map(|f| f.path.clone())),
        Arc::new(rows.iter().map(|r| r.1.map(size)).collect::<Int64Array>()),
        text(&|r| r.1.and_then(|f| f.etag.clone())),
        Arc::new(rows.iter().map(|r| r.1.map(|f| f.modified_ms)).collect::<Int64Array>()),
        text(&|r| r.1.map(|f| f.content_hash.clone())),
        long(&|f| f.records),
        long(&|f| f.landed),
        long(&|f| f.quarantined),
        text(&|r| r.2.clone()),
    ];
    let schema = Arc::new(deltalake::arrow::datatypes::Schema::new(schema));
    RecordBatch::try_new(schema, arrays).context(|| "a batch cannot be recorded".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_what_its_files_were_written_with_and_one_from_before_has_the_declared_columns() {
        let declared = columns();
        let mut wal = Wal { columns: Wal::written_with(&declared[..2]), ..Wal::default() };
        let text = serde_json::to_string(&wal).expect("JSON");
        let names = |columns: Vec<Column>| columns.into_iter().map(|c| c.name).collect::<Vec<_>>();
        let read: Wal = serde_json::from_str(&text).expect("a log");
        assert_eq!(names(read.columns(&declared).expect("columns")), ["landing_table", "table_uuid"]);
        let mut older: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        older.as_object_mut().expect("an object").remove("columns");
        let older: Wal = serde_json::from_value(older).expect("a log");
        assert_eq!(names(older.columns(&declared).expect("columns")), names(declared.clone()));
        wal.columns[0].r#type = "colour".into();
        assert!(wal.columns(&declared).is_err());
    }
}
