//! One data file, read in its own order, which DataFusion's scans do not guarantee; and properties of a table that its
//! data files do not contain.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use deltalake::logstore::object_store::{ObjectStoreExt, path::Path};
use deltalake::parquet::arrow::ProjectionMask;
use deltalake::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use deltalake::parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use deltalake::parquet::basic::Type as PhysicalType;
use deltalake::parquet::errors::{ParquetError, Result as ParquetResult};
use deltalake::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use deltalake::parquet::schema::types::TypePtr;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};

use super::layout::Layout;
use super::table::{DeltaFile, LakeTable};
use super::width;
use crate::definition::ColumnType;
use crate::error::{Context, Error, Result};
use crate::storage::{Location, StoreRef};

const BATCH_ROWS: usize = 8192;
/// Approximate bytes of a batch.
const BATCH_BYTES: u64 = 16 << 20;

/// The bytes of one Parquet file in a store.
pub struct StoreReader {
    store: StoreRef,
    path: Path,
    size: u64,
}

impl StoreReader {
    pub(super) fn new(store: StoreRef, path: Path, size: u64) -> Self {
        Self { store, path, size }
    }
}

/// Rows of a data file in file order: all columns, or one. A column that the file lacks is missing.
///
/// # Errors
/// When the file's metadata cannot be read.
pub async fn rows(
    location: &Location,
    file: &DeltaFile,
    column: Option<&str>,
) -> Result<ParquetRecordBatchStream<StoreReader>> {
    let doing = || file.unreadable();
    let mut reader = StoreReader::new(location.store.clone(), location.file(&file.path)?, file.size);
    let footer = reader.get_metadata(None).await.context(doing)?;
    let read = described(footer).context(doing)?;
    stream(location, file, read, column, None)
}

/// What a reader has to know of a file with this footer.
pub(super) fn described(footer: Arc<ParquetMetaData>) -> ParquetResult<ArrowReaderMetadata> {
    let read = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new())?;
    let options = ArrowReaderOptions::new().with_schema(microseconds(&read));
    ArrowReaderMetadata::try_new(read.metadata().clone(), options)
}

/// The same of a file whose metadata were read: of all row groups, or of one.
pub(super) fn stream(
    location: &Location,
    file: &DeltaFile,
    read: ArrowReaderMetadata,
    column: Option<&str>,
    group: Option<usize>,
) -> Result<ParquetRecordBatchStream<StoreReader>> {
    let doing = || file.unreadable();
    let reader = StoreReader::new(location.store.clone(), location.file(&file.path)?, file.size);
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, read);
    if let Some(group) = group {
        builder = builder.with_row_groups(vec![group]);
    }
    if let Some(column) = column {
        let mask = ProjectionMask::columns(builder.parquet_schema(), [column]);
        builder = builder.with_projection(mask);
    }
    let widest = file.widest.unwrap_or(0) + width::fixed(builder.schema().fields());
    builder.with_batch_size(BATCH_ROWS.min(width::rows(BATCH_BYTES, widest))).build().context(doing)
}

/// The file's schema with the 96-bit timestamps of Spark as microseconds, UTC. Parquet's Arrow reader reads them as
/// nanoseconds by default, and times before 1677 and after 2262 then silently overflow.
fn microseconds(read: &ArrowReaderMetadata) -> SchemaRef {
    let root = read.parquet_schema().root_schema();
    Arc::new(Schema::new(all_in_microseconds(read.schema().fields(), root.get_fields())))
}

fn all_in_microseconds(fields: &Fields, parquet: &[TypePtr]) -> Fields {
    fields.iter().zip(parquet).map(|(field, parquet)| in_microseconds(field, parquet)).collect()
}

fn in_microseconds(field: &FieldRef, parquet: &TypePtr) -> FieldRef {
    let with = |data_type| Arc::new(field.as_ref().clone().with_data_type(data_type));
    if parquet.is_primitive() {
        return match parquet.get_physical_type() {
            PhysicalType::INT96 => with(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            _ => field.clone(),
        };
    }
    // Lists and maps are a group around a repeated group.
    let repeated = parquet.get_fields().first().filter(|repeated| repeated.is_group());
    match (field.data_type(), repeated) {
        (DataType::Struct(fields), _) => with(DataType::Struct(all_in_microseconds(fields, parquet.get_fields()))),
        (DataType::List(element), Some(repeated)) => match repeated.get_fields() {
            [inner] => with(DataType::List(in_microseconds(element, inner))),
            _ => field.clone(),
        },
        (DataType::Map(entries, sorted), Some(repeated)) => {
            with(DataType::Map(in_microseconds(entries, repeated), *sorted))
        }
        _ => field.clone(),
    }
}

impl AsyncFileReader for StoreReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { self.store.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader =
                ParquetMetaDataReader::new().with_metadata_options(options.map(|o| o.metadata_options().clone()));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

/// The property that lists the columns that a table got by its definition, separated by commas: others are somebody else's.
const DECLARED: &str = "stedi-delta.columns";

/// The property of a table that gets these columns by its definition.
#[must_use]
pub(crate) fn declaring<'c>(columns: impl IntoIterator<Item = &'c str>) -> BTreeMap<String, String> {
    let columns: BTreeSet<&str> = columns.into_iter().collect();
    BTreeMap::from([(DECLARED.to_owned(), columns.into_iter().collect::<Vec<_>>().join(","))])
}

/// What a data file does not say of its own rows.
impl LakeTable {
    /// The first data file that cannot be read, and why. Reads everything, unless one is missing or truncated.
    pub async fn broken(&self) -> Option<(String, Error)> {
        let files = self.files();
        for file in &files {
            if let Err(error) = rows(self.location(), file, None).await {
                return Some((file.path.clone(), error));
            }
        }
        for file in files {
            let mut stream = rows(self.location(), &file, None).await.ok()?;
            loop {
                match stream.try_next().await.context(|| file.unreadable()) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return Some((file.path, error)),
                }
            }
        }
        None
    }

    /// Reason why physical and logical columns differ, so that only a scan of a version gives the rows, or `None` if
    /// they match.
    #[must_use]
    pub fn indirection(&self) -> Option<String> {
        let metadata = self.inner().snapshot().ok()?.metadata();
        if let Some(column) = metadata.partition_columns().first() {
            return Some(format!("the table is partitioned by `{column}`"));
        }
        let mode = metadata.configuration().get("delta.columnMapping.mode");
        mode.filter(|mode| *mode != "none").map(|_| "column mapping is on".to_owned())
    }

    /// The columns that it got by its definition, as far as that was recorded.
    #[must_use]
    pub fn declared_columns(&self) -> BTreeSet<String> {
        let Ok(snapshot) = self.inner().snapshot() else { return BTreeSet::new() };
        let listed = snapshot.metadata().configuration().get(DECLARED);
        let names = listed.into_iter().flat_map(|list| list.split(','));
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// What its log says that it is, for people.
    #[must_use]
    pub fn description(&self) -> Option<String> {
        // The library keeps it to itself.
        let metadata = serde_json::to_value(self.inner().snapshot().ok()?.metadata()).ok()?;
        metadata["description"].as_str().map(str::to_owned)
    }

    /// What its log tells of its columns, by its properties.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let snapshot = self.inner().snapshot();
        snapshot.map(|snapshot| Layout::by(snapshot.metadata().configuration())).unwrap_or_default()
    }

    /// Whether the change data feed is enabled.
    #[must_use]
    pub fn has_change_feed(&self) -> bool {
        let property = |t: &deltalake::DeltaTable| {
            let metadata = t.snapshot().ok()?.metadata();
            metadata.configuration().get("delta.enableChangeDataFeed").cloned()
        };
        property(self.inner()).is_some_and(|value| value == "true")
    }

    /// The first column whose values are stored in another way than in `old`, an earlier version: files of both cannot be
    /// read alike then. Of fields that came later, older files have NULL.
    #[must_use]
    pub fn column_stored_otherwise(&self, old: &Self) -> Option<String> {
        let (now, before) = (self.stored_columns(), old.stored_columns());
        let (columns, columns_before) = (self.schema(), old.schema());
        let found = |schema: &SchemaRef, name: &str| ColumnType::exact(schema.field_with_name(name).ok()?.data_type());
        let grew = |name: &str| {
            self.indirection().is_none()
                && old.indirection().is_none()
                && found(&columns, name)
                    .zip(found(&columns_before, name))
                    .is_some_and(|(now, before)| now.fields_beyond(&before, name).is_some())
        };
        let other =
            |(name, stored): &(String, String)| now.get(name).is_some_and(|current| current != stored) && !grew(name);
        before.into_iter().find(other).map(|(name, _)| name)
    }

    /// Columns with what decides how their values are read from a data file: type, and name in the file where it is
    /// another.
    fn stored_columns(&self) -> BTreeMap<String, String> {
        let Ok(snapshot) = self.inner().snapshot() else { return BTreeMap::new() };
        let stored = |field| {
            let field = serde_json::to_value(field).unwrap_or_default();
            format!("{} {}", field["type"], field["metadata"]["delta.columnMapping.physicalName"])
        };
        snapshot.schema().fields().map(|field| (field.name().clone(), stored(field))).collect()
    }
}

fn external(cause: deltalake::logstore::object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(cause))
}
