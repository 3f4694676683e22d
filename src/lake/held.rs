//! Rows of a small version that is read again: held in memory from its second scan on.
//!
//! The steps of a refresh, the checks of consent and the tables beside it read the same sources. For one withdrawal a file
//! of a megabyte was read and decoded 26 times.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::datasource::{MemTable, TableType};
use deltalake::datafusion::execution::memory_pool::MemoryLimit;
use deltalake::datafusion::logical_expr::Expr;
use deltalake::datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, TryStreamExt};
use tokio::sync::Mutex;

use super::scanned::Scanned;

/// Larger data files are read in the parts that are needed.
const LARGEST: u64 = 4 << 20;
/// Maximum bytes of all held rows, if the memory limit allows as much.
const ALL: u64 = 64 << 20;
/// The share of a session's memory that all held rows may take.
const OF_SESSION: u64 = 8;
/// The share of all held rows that those of one version may take.
const OF_ALL: u64 = 4;

/// Bytes of all rows held by this process.
static HELD: AtomicU64 = AtomicU64::new(0);

/// The rows of one version, once they are held.
#[derive(Default)]
pub(super) struct HeldRows {
    scanned: AtomicBool,
    loading: Mutex<()>,
    /// `None` = they are too large, or cannot be read.
    rows: OnceLock<Option<Arc<Held>>>,
}

/// Rows as a table, and their share of [`HELD`], as long as a plan reads them.
#[derive(Debug)]
struct Held {
    table: MemTable,
    _reserved: Reserved,
}

impl fmt::Debug for HeldRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldRows")
    }
}

impl HeldRows {
    /// Whether data files of this size may be held.
    pub(super) fn may_be(bytes: u64) -> bool {
        bytes <= LARGEST
    }

    /// The rows, if they are held already.
    pub(super) fn ready(&self) -> Option<Arc<dyn TableProvider>> {
        let held = self.rows.get()?.as_ref()?;
        Some(Arc::clone(held) as Arc<dyn TableProvider>)
    }

    /// The rows, from the second scan on and if they are few; `scan` is the plan that reads all of them. `None` also if it
    /// fails, or a decoder panics at damaged bytes: whoever reads the files then tells why.
    pub(super) async fn on_scan(
        &self,
        session: &dyn Session,
        schema: SchemaRef,
        scan: impl AsyncFnOnce() -> Result<Arc<dyn ExecutionPlan>>,
    ) -> Option<Arc<dyn TableProvider>> {
        if !self.scanned.swap(true, Ordering::Relaxed) {
            return None;
        }
        let _one = self.loading.lock().await;
        let all = all(session);
        if self.rows.get().is_none() && HELD.load(Ordering::Relaxed) < all {
            let loading = AssertUnwindSafe(async { load(session, schema, scan().await?, all).await });
            let loaded = loading.catch_unwind().await.ok().and_then(Result::ok).flatten();
            let _ = self.rows.set(loaded.map(Arc::new));
        }
        self.ready()
    }
}

#[async_trait]
impl TableProvider for Held {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }
}

/// Maximum bytes of all held rows.
fn all(session: &dyn Session) -> u64 {
    match session.runtime_env().memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => ALL.min(bytes as u64 / OF_SESSION),
        MemoryLimit::Infinite | MemoryLimit::Unknown => ALL,
    }
}

async fn load(
    session: &dyn Session,
    schema: SchemaRef,
    scan: Arc<dyn ExecutionPlan>,
    all: u64,
) -> Result<Option<Held>> {
    Scanned::reads(session, &scan);
    let mut stream = execute_stream(scan, session.task_ctx())?;
    let (mut reserved, mut batches) = (Reserved::default(), Vec::new());
    while let Some(batch) = stream.try_next().await? {
        if !reserved.grow(batch.get_array_memory_size() as u64, all) {
            return Ok(None);
        }
        batches.push(RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?);
    }
    Ok(Some(Held { table: MemTable::try_new(schema, vec![batches])?, _reserved: reserved }))
}

/// Bytes that are counted in [`HELD`] as long as this lives.
#[derive(Debug, Default)]
struct Reserved(u64);

impl Reserved {
    /// Whether so many more bytes are within the limits.
    fn grow(&mut self, bytes: u64, all: u64) -> bool {
        let before = HELD.fetch_add(bytes, Ordering::Relaxed);
        self.0 += bytes;
        self.0 <= all / OF_ALL && before + bytes <= all
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::array::{ArrayRef, Int64Array, StringArray};
    use deltalake::arrow::datatypes::Schema;
    use deltalake::arrow::util::pretty::pretty_format_batches;
    use deltalake::datafusion::logical_expr::{col, lit};
    use deltalake::datafusion::prelude::SessionContext;

    use super::*;
    use crate::definition::{Column, ColumnType};
    use crate::lake::{
        Change, Commit, DataWriter, LakeTable, Layout, Properties, SessionOptions, TableSpec, create, session,
    };
    use crate::storage::{Location, Meter, Storage};

    const MB: u64 = 1 << 20;

    /// A table of this many rows of `width` bytes, in two files.
    async fn table(location: &Location, rows: i64, width: usize) -> LakeTable {
        let columns = vec![Column::new("id", ColumnType::Long), Column::new("text", ColumnType::String)];
        let spec = TableSpec {
            uuid: "00000000-0000-4000-8000-000000000000".into(),
            name: "t".into(),
            description: String::new(),
            columns,
            properties: Properties { change_data_feed: false },
            layout: Layout::default(),
        };
        let write =
            |adds| Commit { operation: "WRITE", change: Change { adds, ..Change::default() }, ..Commit::default() };
        let mut table = create(location, &spec, write(Vec::new())).await.expect("a table");
        for ids in [0..rows / 2, rows / 2..rows] {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(ids.clone().collect::<Int64Array>()),
                Arc::new(ids.map(|id| Some(format!("{id:width$}"))).collect::<StringArray>()),
            ];
            let mut writer = DataWriter::new(&table, u64::MAX);
            writer.write(&RecordBatch::try_new(table.schema(), columns).expect("rows")).await.expect("written");
            table = write(writer.close().await.expect("closed").adds).commit(&table).await.expect("committed");
        }
        table
    }

    async fn some(table: &LakeTable, session: &SessionContext) -> String {
        let rows = session.read_table(table.provider(session, None).await.expect("a relation")).expect("a query");
        let rows =
            rows.filter(col("id").lt(lit(3_i64))).expect("a condition").select_columns(&["text"]).expect("columns");
        let rows = rows.sort(vec![col("text").sort(true, false)]).expect("an order").collect().await.expect("rows");
        pretty_format_batches(&rows).expect("text").to_string()
    }

    #[tokio::test]
    async fn rows_that_are_read_again_are_held_if_they_are_few() {
        for (rows, width, limit, is_held) in [
            (1_000, 10, 1 << 30, true),
            (5_000, 10, MB, false),
            (2_000, 5_000, 1 << 30, true),
            (4_000, 5_000, 1 << 30, false),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let location = Storage::default().location("t", folder.path()).expect("a location");
            let made = table(&location, rows, width).await;
            let meter = Arc::new(Meter::default());
            let location = location.metered(&meter);
            let table = LakeTable::open(&location).await.expect("opened").expect("a table");
            assert!(HeldRows::may_be(made.size().1), "its files are small: they hold spaces");
            let session = session(SessionOptions::limited(limit), &[&location]).expect("a session");
            let first = some(&table, &session).await;
            assert!(table.held.ready().is_none(), "once is not again");
            assert_eq!(some(&table, &session).await, first);
            assert_eq!(table.held.ready().is_some(), is_held, "{rows} rows of {width} bytes");
            let read = meter.bytes_read();
            // Also through a relation that was opened before.
            assert_eq!(some(&table, &session).await, first);
            assert_eq!(meter.bytes_read() == read, is_held, "{rows} rows of {width} bytes");
            // Another version has other rows.
            assert!(table.at(1).await.expect("v1").held.ready().is_none());
        }
    }

    /// A decoder may panic at damaged bytes; the plan that reads the files then tells of it where it runs.
    #[tokio::test]
    async fn rows_that_cannot_be_read_are_not_held() {
        let (session, held) = (session(SessionOptions::limited(1 << 30), &[]).expect("a session"), HeldRows::default());
        let (state, schema) = (session.state(), Arc::new(Schema::empty()));
        let panics = async || -> Result<Arc<dyn ExecutionPlan>> { panic!("damaged") };
        for _ in 0..3 {
            assert!(held.on_scan(&state, schema.clone(), panics).await.is_none());
        }
        assert!(matches!(held.rows.get(), Some(None)), "it was tried once");
    }

    #[tokio::test]
    async fn one_version_takes_its_share_only() {
        let mut reserved = Reserved::default();
        assert!(reserved.grow(MB, ALL / 2), "other tests hold less");
        assert!(!reserved.grow(ALL / 2, ALL / 2), "more than its share");
    }
}
