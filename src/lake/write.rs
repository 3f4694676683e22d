//! Rows -> data files that no version names yet.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::{buffered::BufWriter, path::Path};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::ParquetMetaData;
use deltalake::parquet::file::properties::WriterProperties;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::encoding::{BUFFERED_BYTES, DICTIONARY_BYTES, ROW_GROUP_BYTES, SLICE_BYTES, WIDE_GROUP_BYTES, encoding};
use super::layout::Layout;
use super::nested::adapt;
use super::statistics::{Nan, describe, marks_with};
use super::table::LakeTable;
use super::{tail, width};
use crate::clock;
use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Error, Result};
use crate::outcome::counted;
use crate::storage::Location;

/// Concurrent uploads of parts of one file, and the size of a part. Several files are written at a time.
const PARTS: usize = 4;
const PART_BYTES: usize = 5 << 20;

/// Bytes that are handed to the upload at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Full files being encoded and uploaded while the next one is written, and the bytes that they may hold; more would only
/// fill the memory.
const CLOSING_FILES: usize = 4;
const CLOSING_BYTES: usize = 64 << 20;

/// Rows per file of tables whose rows change: a change rewrites whole files, and a million rows may compress to 4 MB.
pub(crate) const CHANGING_FILE_ROWS: u64 = 262_144;
/// Row groups of such a file: those that a change does not touch are copied.
const CHANGING_FILE_GROUPS: u64 = 8;

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
    /// Full files being uploaded, with the bytes of their last row groups.
    closing: VecDeque<(JoinHandle<Result<Add>>, usize)>,
    adds: Vec<Add>,
    /// The rows so far, if they are digested.
    digest: Option<(DigestKey, RowDigest)>,
}

/// Files that a [`DataWriter`] wrote.
#[derive(Debug, Default)]
pub struct Written {
    /// One add per file, with statistics, `dataChange` set.
    pub adds: Vec<Add>,
    /// Rows in them.
    pub rows: u64,
    /// The digest of the rows, if they were digested.
    pub digest: Option<RowDigest>,
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
            digest: None,
        }
    }

    /// Sets the layout of statistics. Call it before the first row.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        let (properties, slice_rows) = encoding(&self.schema, &layout);
        Self { properties, slice_rows, layout: Arc::new(layout), ..self }
    }

    /// Starts a new file after this many rows, of any size, and a new row group after an eighth of them. Call it after
    /// [`layout`](Self::layout).
    #[must_use]
    pub fn rows_per_file(self, rows_per_file: u64) -> Self {
        let group_rows = usize::try_from(rows_per_file / CHANGING_FILE_GROUPS).unwrap_or(usize::MAX).max(1);
        let most = self.properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let properties = self.properties.into_builder().set_max_row_group_row_count(Some(group_rows.min(most)));
        Self { rows_per_file, properties: properties.build(), ..self }
    }

    /// Digests the rows, if there is a key. Call it before the first row.
    #[must_use]
    pub(crate) fn digested(self, key: Option<DigestKey>) -> Self {
        let key = key.and_then(|key| key.for_rows_of(&self.schema));
        Self { digest: key.map(|key| (key, RowDigest::default())), ..self }
    }

    /// Appends rows; columns are matched by position and cast to the table's types if only the encoding differs.
    ///
    /// # Errors
    /// When a batch does not fit the schema or the store fails.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        if let Some((key, digest)) = &mut self.digest {
            *digest += key.rows(&batch)?;
        }
        let sizes = width::sizes(&batch);
        let mut rest = sizes.as_slice();
        while !rest.is_empty() {
            let offset = sizes.len() - rest.len();
            let (sizes, later) = rest.split_at(width::leading(rest, SLICE_BYTES).min(self.slice_rows));
            rest = later;
            let slice = batch.slice(offset, sizes.len());
            let file = match &mut self.open {
                Some(file) => file,
                None => {
                    let file = OpenFile::new(self, sizes.iter().copied().max().unwrap_or(0))?;
                    self.begun += 1;
                    self.open.insert(file)
                }
            };
            file.write(&slice, sizes).await?;
            if file.bytes() >= self.target_file_size || file.rows >= self.rows_per_file {
                self.next_file().await?;
            }
        }
        Ok(())
    }

    /// Bytes of the row group under construction.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |file| file.encoder.memory_size())
    }

    fn name(&self) -> String {
        file_name(self.begun, &self.id)
    }

    /// Finishes the open file while the next one is written.
    async fn next_file(&mut self) -> Result<()> {
        if let Some(full) = self.open.take() {
            let held = full.encoder.memory_size();
            self.closing.push_back((tokio::spawn(full.close()), held));
        }
        let held = |of: &Self| of.closing.iter().map(|(_, held)| held).sum::<usize>();
        while self.closing.len() > CLOSING_FILES || held(self) > CLOSING_BYTES {
            self.closed().await?;
        }
        Ok(())
    }

    /// Waits for the first of the full files.
    async fn closed(&mut self) -> Result<()> {
        if let Some((first, _)) = self.closing.pop_front() {
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
        Ok(Written { adds: self.adds, rows: self.rows, digest: self.digest.map(|(_, digest)| digest) })
    }
}

/// A file name in the form of other Delta writers.
pub(super) fn file_name(number: usize, id: &str) -> String {
    format!("part-{number:05}-{id}-c000.snappy.parquet")
}

/// The upload of a file.
pub(super) fn uploading(store: &ObjectStoreRef, path: &str) -> BufWriter {
    BufWriter::with_capacity(Arc::clone(store), Path::from(path), PART_BYTES).with_max_concurrency(PARTS)
}

/// A data file being written.
struct OpenFile {
    path: String,
    encoder: ArrowWriter<Pieces>,
    upload: BufWriter,
    layout: Arc<Layout>,
    rows: u64,
    nan: Nan,
    widest: u64,
}

impl OpenFile {
    /// `widest`: the bytes of texts and lists in the widest of the first rows.
    fn new(of: &DataWriter, widest: u64) -> Result<Self> {
        let path = of.name();
        let mut properties = of.properties.clone();
        if widest > DICTIONARY_BYTES {
            properties = properties.into_builder().set_dictionary_enabled(false).build();
        }
        let upload = uploading(&of.store, &path);
        let encoder = ArrowWriter::try_new(Pieces::default(), of.schema.clone(), Some(properties));
        Ok(Self {
            path,
            encoder: encoder.map_err(unwritten)?,
            upload,
            layout: Arc::clone(&of.layout),
            rows: 0,
            nan: Nan::default(),
            widest: 0,
        })
    }

    /// Rows with the bytes of texts and lists in each.
    async fn write(&mut self, batch: &RecordBatch, sizes: &[u64]) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.nan.note(batch);
        self.widest = sizes.iter().copied().fold(self.widest, u64::max);
        // A row that is wider than a slice does not join a row group that it would make too large.
        let bytes = sizes.iter().sum::<u64>();
        if bytes > SLICE_BYTES && self.encoder.in_progress_size() as u64 + bytes > WIDE_GROUP_BYTES {
            self.encoder.flush().map_err(unwritten)?;
        }
        self.encoder.write(batch).map_err(unwritten)?;
        if self.encoder.in_progress_size() as u64 >= ROW_GROUP_BYTES || self.encoder.memory_size() >= BUFFERED_BYTES {
            self.encoder.flush().map_err(unwritten)?;
        }
        self.send().await
    }

    /// Uploads the row groups that are complete.
    async fn send(&mut self) -> Result<()> {
        self.encoder.inner_mut().upload(&mut self.upload).await
    }

    /// Approximate bytes so far.
    fn bytes(&self) -> u64 {
        (self.encoder.bytes_written() + self.encoder.in_progress_size()) as u64
    }

    async fn close(mut self) -> Result<Add> {
        let footer = self.encoder.finish().map_err(unwritten)?;
        self.send().await?;
        let size = self.encoder.bytes_written();
        added(self.path, self.upload, &footer, size, (&self.nan, self.widest), &self.layout).await
    }
}

/// Ends the upload of a file of `size` bytes, and describes it: by its footer, its NaN and its widest row.
pub(super) async fn added(
    path: String,
    mut upload: BufWriter,
    footer: &ParquetMetaData,
    size: usize,
    (nan, widest): (&Nan, u64),
    layout: &Layout,
) -> Result<Add> {
    upload.shutdown().await.map_err(|cause| unwritten(ParquetError::External(Box::new(cause))))?;
    let widest = (widest > width::USUAL).then_some(widest);
    Ok(Add {
        path,
        partition_values: HashMap::new(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        modification_time: clock::now_ms(),
        data_change: true,
        stats: Some(describe(footer, Some(nan), layout)?),
        tags: Some(marks_with(tail::length(footer, size as u64), widest)),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

/// Encoded bytes, to be uploaded. One buffer would be copied whenever it grows, and be twice as large as its content.
#[derive(Default)]
pub(super) struct Pieces(Vec<Vec<u8>>);

impl Pieces {
    /// Uploads them.
    pub(super) async fn upload(&mut self, upload: &mut BufWriter) -> Result<()> {
        for piece in self.0.drain(..) {
            upload.put(piece.into()).await.map_err(|cause| unwritten(ParquetError::External(Box::new(cause))))?;
        }
        Ok(())
    }
}

impl Write for Pieces {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len();
        while !bytes.is_empty() {
            let piece = match self.0.last_mut() {
                Some(last) if last.len() < PIECE_BYTES => last,
                _ => {
                    self.0.push(Vec::with_capacity(PIECE_BYTES));
                    continue;
                }
            };
            let (fits, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(fits);
            bytes = rest;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The store's error, unwrapped from Parquet's.
pub(super) fn unwritten(cause: ParquetError) -> Error {
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
