//! Caches the rows of small versions in memory, from the second scan of a version on.
//!
//! The steps of a refresh, its consent checks, and other tables with the same source scan that source repeatedly. Without the
//! cache, one withdrawal read and decoded a file of 1 MB 26 times.

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

/// Maximum bytes of the data files of a cached version. Of larger versions only the needed parts are read.
const LARGEST: u64 = 4 << 20;
/// Maximum bytes of all cached rows, whatever the memory limit.
const ALL: u64 = 64 << 20;
/// All cached rows take at most this fraction (1/n) of a session's memory.
const OF_SESSION: u64 = 8;
/// The rows of one version take at most this fraction (1/n) of all cached rows.
const OF_ALL: u64 = 4;

/// Bytes of all rows cached by this process.
static CACHED_BYTES: AtomicU64 = AtomicU64::new(0);

/// The cached rows of one version.
#[derive(Debug, Default)]
pub(super) struct RowCache {
    /// Whether the version was scanned before.
    scanned: AtomicBool,
    loading: Mutex<()>,
    /// `None` = they are too large, or cannot be read.
    rows: OnceLock<Option<Arc<CachedRows>>>,
}

/// Cached rows as a table. They count in [`CACHED_BYTES`] as long as a plan uses them.
#[derive(Debug)]
struct CachedRows {
    table: MemTable,
    _reserved: Reserved,
}

impl RowCache {
    /// Whether a version with data files of this size may be cached.
    pub(super) fn admits(bytes: u64) -> bool {
        bytes <= LARGEST
    }

    /// The rows, if they are cached already.
    pub(super) fn get(&self) -> Option<Arc<dyn TableProvider>> {
        let cached = self.rows.get()?.as_ref()?;
        Some(Arc::clone(cached) as Arc<dyn TableProvider>)
    }

    /// The rows, if this is at least the second scan and they fit. `scan` plans the read of all rows. `None` also if the read
    /// fails, or a decoder panics on damaged bytes: the caller then reads the files itself and reports the error.
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
        if self.rows.get().is_none() && CACHED_BYTES.load(Ordering::Relaxed) < all {
            let loading = AssertUnwindSafe(async { load(session, schema, scan().await?, all).await });
            let loaded = loading.catch_unwind().await.ok().and_then(Result::ok).flatten();
            let _ = self.rows.set(loaded.map(Arc::new));
        }
        self.get()
    }
}

#[async_trait]
impl TableProvider for CachedRows {
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

/// Maximum bytes of all cached rows in this session.
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
) -> Result<Option<CachedRows>> {
    Scanned::reads(session, &scan);
    let mut stream = execute_stream(scan, session.task_ctx())?;
    let (mut reserved, mut batches) = (Reserved::default(), Vec::new());
    while let Some(batch) = stream.try_next().await? {
        if !reserved.grow(batch.get_array_memory_size() as u64, all) {
            return Ok(None);
        }
        batches.push(RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?);
    }
    Ok(Some(CachedRows { table: MemTable::try_new(schema, vec![batches])?, _reserved: reserved }))
}

/// Bytes counted in [`CACHED_BYTES`] until it is dropped.
#[derive(Debug, Default)]
struct Reserved(u64);

impl Reserved {
    /// Adds bytes; false if a limit is exceeded.
    fn grow(&mut self, bytes: u64, all: u64) -> bool {
        let before = CACHED_BYTES.fetch_add(bytes, Ordering::Relaxed);
        self.0 += bytes;
        self.0 <= all / OF_ALL && before + bytes <= all
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        CACHED_BYTES.fetch_sub(self.0, Ordering::Relaxed);
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
    use crate::lake::{LakeTable, Layout, Properties, SessionOptions, session, test_table};
    use crate::storage::{Location, Meter, Storage};

    const MB: u64 = 1 << 20;

    /// A table of this many rows of `width` bytes, in two files.
    async fn table(location: &Location, rows: i64, width: usize) -> LakeTable {
        let columns = vec![Column::new("id", ColumnType::Long), Column::new("text", ColumnType::String)];
        let mut table =
            test_table::empty(location, columns, Layout::default(), Properties { change_data_feed: false }).await;
        for ids in [0..rows / 2, rows / 2..rows] {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(ids.clone().collect::<Int64Array>()),
                Arc::new(ids.map(|id| Some(format!("{id:width$}"))).collect::<StringArray>()),
            ];
            let batch = RecordBatch::try_new(table.schema(), columns).expect("rows");
            table = test_table::appended(&table, &batch, rows.unsigned_abs()).await;
        }
        table
    }

    async fn opened(table: &LakeTable, session: &SessionContext) -> Arc<dyn TableProvider> {
        table.provider(session, None).await.expect("a relation")
    }

    async fn some(relation: Arc<dyn TableProvider>, session: &SessionContext) -> String {
        let rows = session.read_table(relation).expect("a query");
        let rows =
            rows.filter(col("id").lt(lit(3_i64))).expect("a condition").select_columns(&["text"]).expect("columns");
        let rows = rows.sort(vec![col("text").sort(true, false)]).expect("an order").collect().await.expect("rows");
        pretty_format_batches(&rows).expect("text").to_string()
    }

    #[tokio::test]
    async fn rows_that_are_read_again_are_cached_if_they_are_few() {
        for (rows, width, limit, is_cached) in [
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
            assert!(RowCache::admits(made.size().1), "its files are small: they hold spaces");
            let session = session(SessionOptions::limited(limit), &[&location]).expect("a session");
            let before = opened(&table, &session).await;
            let first = some(opened(&table, &session).await, &session).await;
            assert!(table.row_cache.get().is_none(), "once is not again");
            assert_eq!(some(opened(&table, &session).await, &session).await, first);
            assert_eq!(table.row_cache.get().is_some(), is_cached, "{rows} rows of {width} bytes");
            // Also a relation that was opened before reads no file.
            for relation in [opened(&table, &session).await, before] {
                let read = meter.bytes_read();
                assert_eq!(some(relation, &session).await, first);
                assert_eq!(meter.bytes_read() == read, is_cached, "{rows} rows of {width} bytes");
            }
            // Another version has other rows.
            assert!(table.at(1).await.expect("v1").row_cache.get().is_none());
        }
    }

    /// A decoder may panic on damaged bytes; the plan that reads the files reports it when it runs.
    #[tokio::test]
    async fn rows_that_cannot_be_read_are_not_cached() {
        let (session, cache) =
            (session(SessionOptions::limited(1 << 30), &[]).expect("a session"), RowCache::default());
        let (state, schema) = (session.state(), Arc::new(Schema::empty()));
        let panics = async || -> Result<Arc<dyn ExecutionPlan>> { panic!("damaged") };
        for _ in 0..3 {
            assert!(cache.on_scan(&state, schema.clone(), panics).await.is_none());
        }
        assert!(matches!(cache.rows.get(), Some(None)), "it was tried once");
    }

    #[tokio::test]
    async fn one_version_takes_its_share_only() {
        let mut reserved = Reserved::default();
        assert!(reserved.grow(MB, ALL / 2), "other tests cache less");
        assert!(!reserved.grow(ALL / 2, ALL / 2), "more than its share");
    }
}
