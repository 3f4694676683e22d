//! Rows -> data files, not yet part of any version.

use std::num::NonZeroU64;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use deltalake::logstore::{LogStoreRef, ObjectStoreRef};
use deltalake::parquet::basic::{Compression, Encoding};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::schema::types::ColumnPath;
use deltalake::{DeltaResult, DeltaTableError};
use tokio::task::JoinHandle;

use crate::definition::SOURCE_OFFSET;
use crate::error::{Context, Error, Result};

/// Rows per row group: small enough that a row group without a hit can be skipped, large enough to compress.
const ROW_GROUP_ROWS: usize = 131_072;

/// Rows per file of tables whose rows change: a change rewrites whole files, and a million rows may compress to 4 MB.
pub const CHANGING_FILE_ROWS: u64 = 262_144;

/// Writes rows of one schema into data files of about `target_file_size` bytes.
pub struct DataWriter {
    inner: DeltaWriter,
    store: ObjectStoreRef,
    config: WriterConfig,
    schema: SchemaRef,
    rows: u64,
    file_rows: u64,
    rows_per_file: u64,
    /// Full files on their way to the store.
    closing: Vec<JoinHandle<DeltaResult<Vec<Add>>>>,
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
    /// A writer into the table whose log is `log_store`.
    #[must_use]
    pub fn new(log_store: &LogStoreRef, schema: SchemaRef, target_file_size: u64) -> Self {
        Self::over(log_store.object_store(None), schema, target_file_size)
    }

    /// A writer into any folder.
    #[must_use]
    pub fn over(store: ObjectStoreRef, schema: SchemaRef, target_file_size: u64) -> Self {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by(super::ENGINE.to_owned())
            // Every offset is another value: a dictionary would only be built to be thrown away.
            .set_column_dictionary_enabled(ColumnPath::from(SOURCE_OFFSET), false)
            .set_column_encoding(ColumnPath::from(SOURCE_OFFSET), Encoding::DELTA_BINARY_PACKED)
            .build();
        let config = WriterConfig::new(
            schema.clone(),
            Vec::new(),
            Some(properties),
            NonZeroU64::new(target_file_size),
            Some(8192),
            Default::default(),
            None,
        );
        Self {
            inner: DeltaWriter::new(store.clone(), config.clone()),
            store,
            config,
            schema,
            rows: 0,
            file_rows: 0,
            rows_per_file: u64::MAX,
            closing: Vec::new(),
        }
    }

    /// Begins a new file after this many rows, whatever their size.
    #[must_use]
    pub fn rows_per_file(self, rows_per_file: u64) -> Self {
        Self { rows_per_file, ..self }
    }

    /// Appends rows; columns are taken by position and cast to the table's types where only the encoding differs.
    ///
    /// # Errors
    /// When a batch does not fit the schema or the store fails.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        self.file_rows += batch.num_rows() as u64;
        self.inner.write(&batch).await.map_err(unwritten)?;
        if self.file_rows >= self.rows_per_file {
            let next = DeltaWriter::new(self.store.clone(), self.config.clone());
            let full = std::mem::replace(&mut self.inner, next);
            self.closing.push(tokio::spawn(full.close()));
            self.file_rows = 0;
        }
        Ok(())
    }

    /// Finishes the last file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(self) -> Result<Written> {
        let mut adds = Vec::new();
        for full in self.closing {
            adds.extend(full.await.context(|| "a data file cannot be written".into())?.map_err(unwritten)?);
        }
        adds.extend(self.inner.close().await.map_err(unwritten)?);
        Ok(Written { adds, rows: self.rows })
    }
}

/// The store's own words: the writer wraps them as if parsing had failed.
fn unwritten(cause: DeltaTableError) -> Error {
    let text = cause.to_string();
    let text = text.strip_prefix("Failed to parse parquet: External: ").unwrap_or(&text).to_owned();
    Error::failed("a data file cannot be written").because(text).help("make sure that the warehouse can be written to")
}

/// `batch` with exactly `schema`: columns by position, cast where the encoding differs, never losing a value.
///
/// # Errors
/// When the number of columns differs, a cast fails, or a NULL stands in a column that may not hold one.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
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
            return Err(Error::failed(format!(
                "column `{}` is declared `nullable = false`, and the query gives NULL",
                field.name()
            ))
            .fact("rows", column.null_count().to_string())
            .help("filter these rows out, or drop `nullable = false` from the definition"));
        }
        columns.push(if column.data_type() == field.data_type() {
            column.clone()
        } else {
            cast(column, field.data_type()).context(|| format!("column `{}` cannot be stored", field.name()))?
        });
    }
    RecordBatch::try_new(schema.clone(), columns).context(|| "rows do not fit the table".into())
}
