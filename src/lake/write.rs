//! Rows -> data files that no version names yet.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::{buffered::BufWriter, path::Path};
use deltalake::parquet::arrow::AsyncArrowWriter;
use deltalake::parquet::arrow::async_writer::AsyncFileWriter;
use deltalake::parquet::errors::{ParquetError, Result as ParquetResult};
use deltalake::parquet::file::properties::WriterProperties;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::encoding::{ROW_GROUP_BYTES, encoding};
use super::layout::Layout;
use super::nested::adapt;
use super::statistics::{Nan, describe, marks_with};
use super::table::LakeTable;
use super::{tail, width};
use crate::clock;
use crate::error::{Context, Error, Result};
use crate::outcome::counted;
use crate::storage::Location;

/// Concurrent uploads of parts of one file, and the size of a part.
const PARTS: usize = 10;
const PART_BYTES: usize = 5 << 20;

/// Full files being uploaded; more would only fill the memory.
const CLOSING_FILES: usize = 4;

/// Rows per file of tables whose rows change: a change rewrites whole files, and a million rows may compress to 4 MB.
pub(crate) const CHANGING_FILE_ROWS: u64 = 262_144;

/// Writes rows of one schema into data files of about `target_file_size` bytes.
pub struct DataWriter {
    store: ObjectStoreRef,
    properties: WriterProperties,
    /// Rows encoded between two checks of the file size.
    slice_rows: usize,
    layout: Arc<Layout>,
    schema: SchemaRef,
    target_file_size: u64,
    rows_per_file: u64,
    rows: u64,
    /// Prefix of this writer's file names, followed by a number.
    id: String,
    begun: usize,
    open: Option<OpenFile>,
    /// Full files being uploaded.
    closing: VecDeque<JoinHandle<Result<Add>>>,
    adds: Vec<Add>,
}

/// Files that a [`DataWriter`] wrote.
#[derive(Debug, Default)]
pub struct Written {
    /// One add per file, with statistics, `dataChange` set.
    pub adds: Vec<Add>,
    /// Rows in them.
    pub rows: u64,
}

impl Written {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.adds.iter().map(|a| a.size.unsigned_abs()).sum()
    }
}

impl DataWriter {
    /// A writer into an existing table.
    #[must_use]
    pub fn new(table: &LakeTable, target_file_size: u64) -> Self {
        Self::over(table.location(), table.schema(), target_file_size).layout(table.layout())
    }

    /// A writer into any folder.
    #[must_use]
    pub fn over(folder: &Location, schema: SchemaRef, target_file_size: u64) -> Self {
        let (properties, slice_rows) = encoding(&schema, &Layout::default());
        Self {
            store: folder.rooted(),
            properties,
            slice_rows,
            layout: Arc::default(),
            schema,
            target_file_size,
            rows_per_file: u64::MAX,
            rows: 0,
            id: clock::random_uuid().to_string(),
            begun: 0,
            open: None,
            closing: VecDeque::new(),
            adds: Vec::new(),
        }
    }

    /// Sets the layout of statistics. Call it before the first row.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        let (properties, slice_rows) = encoding(&self.schema, &layout);
        Self { properties, slice_rows, layout: Arc::new(layout), ..self }
    }

    /// Starts a new file after this many rows, of any size.
    #[must_use]
    pub fn rows_per_file(self, rows_per_file: u64) -> Self {
        Self { rows_per_file, ..self }
    }

    /// Appends rows; columns are matched by position and cast to the table's types if only the encoding differs.
    ///
    /// # Errors
    /// When a batch does not fit the schema or the store fails.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        let mut offset = 0;
        while offset < batch.num_rows() {
            let slice = batch.slice(offset, self.slice_rows.min(batch.num_rows() - offset));
            offset += slice.num_rows();
            let file = match &mut self.open {
                Some(file) => file,
                None => {
                    let file = OpenFile::new(self)?;
                    self.begun += 1;
                    self.open.insert(file)
                }
            };
            file.write(&slice).await?;
            if file.bytes() >= self.target_file_size || file.rows >= self.rows_per_file {
                self.next_file().await?;
            }
        }
        Ok(())
    }

    /// Bytes of the row group under construction.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |file| file.inner.memory_size())
    }

    /// File names in the form of other Delta writers.
    fn name(&self) -> String {
        format!("part-{:05}-{}-c000.snappy.parquet", self.begun, self.id)
    }

    /// Finishes the open file while the next one is written.
    async fn next_file(&mut self) -> Result<()> {
        if let Some(full) = self.open.take() {
            self.closing.push_back(tokio::spawn(full.close()));
        }
        while self.closing.len() > CLOSING_FILES {
            self.closed().await?;
        }
        Ok(())
    }

    /// Waits for the first of the full files.
    async fn closed(&mut self) -> Result<()> {
        if let Some(first) = self.closing.pop_front() {
            self.adds.push(first.await.context(|| "a data file cannot be written".into())??);
        }
        Ok(())
    }

    /// Finishes the last file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(mut self) -> Result<Written> {
        let last = self.open.take();
        while !self.closing.is_empty() {
            self.closed().await?;
        }
        if let Some(last) = last {
            self.adds.push(last.close().await?);
        }
        Ok(Written { adds: self.adds, rows: self.rows })
    }
}

/// A data file being written.
struct OpenFile {
    path: String,
    inner: AsyncArrowWriter<Upload>,
    layout: Arc<Layout>,
    rows: u64,
    nan: Nan,
    widest: u64,
}

impl OpenFile {
    fn new(of: &DataWriter) -> Result<Self> {
        let path = of.name();
        let upload = BufWriter::with_capacity(Arc::clone(&of.store), Path::from(path.as_str()), PART_BYTES);
        let upload = Upload(upload.with_max_concurrency(PARTS));
        let inner = AsyncArrowWriter::try_new(upload, of.schema.clone(), Some(of.properties.clone()));
        Ok(Self {
            path,
            inner: inner.map_err(unwritten)?,
            layout: Arc::clone(&of.layout),
            rows: 0,
            nan: Nan::default(),
            widest: 0,
        })
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.nan.note(batch);
        self.widest = self.widest.max(width::widest(batch));
        self.inner.write(batch).await.map_err(unwritten)?;
        if self.inner.memory_size() >= ROW_GROUP_BYTES {
            self.inner.flush().await.map_err(unwritten)?;
        }
        Ok(())
    }

    /// Approximate bytes so far.
    fn bytes(&self) -> u64 {
        (self.inner.bytes_written() + self.inner.in_progress_size()) as u64
    }

    async fn close(mut self) -> Result<Add> {
        let footer = self.inner.finish().await.map_err(unwritten)?;
        let size = self.inner.bytes_written() as u64;
        let widest = (self.widest > width::USUAL).then_some(self.widest);
        Ok(Add {
            path: self.path,
            partition_values: HashMap::new(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            modification_time: clock::now_ms(),
            data_change: true,
            stats: Some(describe(&footer, Some(&self.nan), &self.layout)?),
            tags: Some(marks_with(tail::length(&footer, size), widest)),
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}

/// Bytes being uploaded.
struct Upload(BufWriter);

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, ParquetResult<()>> {
        async move { self.0.put(bytes).await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, ParquetResult<()>> {
        async move { self.0.shutdown().await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }
}

/// The store's error, unwrapped from Parquet's.
fn unwritten(cause: ParquetError) -> Error {
    let error = Error::failed("a data file cannot be written");
    let error = match cause {
        ParquetError::External(store) => error.because(store),
        other => error.because(other),
    };
    error.help("make sure that the warehouse can be written to")
}

/// A NULL in a column that has none.
#[derive(Debug)]
pub(crate) struct NullFound {
    /// The column.
    pub column: String,
    /// Rows of the batch that have it.
    pub rows: usize,
}

impl fmt::Display for NullFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column `{}` is NULL in {}", self.column, counted(self.rows as u64, "row"))
    }
}

impl std::error::Error for NullFound {}

/// `batch` with exactly `schema`: columns by position, cast if the encoding differs, without losing a value.
///
/// # Errors
/// If the number of columns differs, a cast fails, or a non-nullable column has a NULL.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::failed(format!(
            "rows have {} columns, the table has {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if !field.is_nullable() && column.null_count() > 0 {
            let found = NullFound { column: field.name().clone(), rows: column.null_count() };
            return Err(Error::failed("rows do not fit the table").because(found));
        }
        columns.push(if column.data_type() == field.data_type() {
            column.clone()
        } else {
            adapt(column, field.data_type()).context(|| format!("column `{}` cannot be stored", field.name()))?
        });
    }
    RecordBatch::try_new(schema.clone(), columns).context(|| "rows do not fit the table".into())
}
