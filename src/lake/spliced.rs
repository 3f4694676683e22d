//! A data file written again from one of ours: row groups that cannot hold a deleted row are copied byte for byte, the others
//! are encoded anew. Decoding and encoding are nine tenths of what it costs to delete one row of a file.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use deltalake::logstore::object_store::{ObjectStoreExt, buffered::BufWriter};
use deltalake::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use deltalake::parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use deltalake::parquet::arrow::async_reader::ParquetRecordBatchStream;
use deltalake::parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use deltalake::parquet::column::writer::ColumnCloseResult;
use deltalake::parquet::errors::{ParquetError, Result as ParquetResult};
use deltalake::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use deltalake::parquet::file::page_index::column_index::ColumnIndexMetaData;
use deltalake::parquet::file::reader::{ChunkReader, Length};
use deltalake::parquet::file::writer::SerializedFileWriter;

use super::encoding::encoding;
use super::file::DeltaFile;
use super::layout::Layout;
use super::mend::OURS;
use super::read::{StoreReader, described, stream};
use super::statistics::Nan;
use super::table::LakeTable;
use super::tail::{Tail, Wanted};
use super::write::{Pieces, added, conform, file_name, unwritten, uploading};
use crate::clock;
use crate::error::{Context, Error, Kind, Result};
use crate::storage::Location;

/// Bytes of a row group that are read at once to be copied; of a larger one, column after column.
const COPIED_BYTES: u64 = 16 << 20;
/// Bytes of texts and lists in the widest row of a file that is copied in parts.
const WIDEST: u64 = 64 << 10;

/// A data file with its row groups.
pub(crate) struct Groups {
    location: Location,
    file: DeltaFile,
    read: ArrowReaderMetadata,
    tail: Tail,
}

impl Groups {
    /// By one request, if the log has the length of the file's end.
    ///
    /// # Errors
    /// When the end of the file cannot be read.
    pub(crate) async fn open(location: &Location, file: &DeltaFile) -> Result<Self> {
        let tail = match may_be_copied(file) {
            true => Tail::read_with_pages(location, file).await?,
            false => Tail::read(location, file).await?,
        };
        let read = described(tail.footer().clone()).context(|| file.unreadable())?;
        Ok(Self { location: location.clone(), file: file.clone(), read, tail })
    }

    /// Whether some groups can be copied into another file of the table: there are several, and this program wrote them with
    /// the table's columns.
    pub(crate) fn can_be_copied(&self, table: &LakeTable) -> bool {
        let (file, schema) = (self.read.metadata(), table.schema());
        let is_ours = file.file_metadata().created_by().is_some_and(|by| by.starts_with(OURS));
        let converted = ArrowSchemaConverter::new().convert(&schema);
        let is_same = converted.is_ok_and(|own| own.root_schema() == file.file_metadata().schema_descr().root_schema());
        let is_indexed = file.offset_index().is_some()
            && file
                .column_index()
                .is_some_and(|groups| groups.iter().flatten().all(|index| !matches!(index, ColumnIndexMetaData::NONE)));
        file.num_row_groups() > 1 && may_be_copied(&self.file) && is_ours && is_same && is_indexed
    }

    /// The rows of each group.
    pub(crate) fn rows(&self) -> Vec<usize> {
        let rows = |group: &RowGroupMetaData| usize::try_from(group.num_rows()).unwrap_or(0);
        self.read.metadata().row_groups().iter().map(rows).collect()
    }

    /// Whether a group may hold a wanted value.
    pub(crate) fn may_hold(&self, group: usize, wanted: &Wanted<'_>) -> bool {
        self.tail.group_may_hold(self.read.metadata().row_group(group), wanted)
    }

    /// Rows in file order: of all groups or of one, all columns or one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn stream(
        &self,
        group: Option<usize>,
        column: Option<&str>,
    ) -> Result<ParquetRecordBatchStream<StoreReader>> {
        stream(&self.location, &self.file, self.read.clone(), column, group)
    }

    async fn bytes(&self, range: Range<u64>) -> Result<Piece> {
        let path = self.location.file(&self.file.path)?;
        let bytes = self.location.store.get_range(&path, range.clone()).await;
        Ok(Piece { start: range.start, bytes: bytes.context(|| self.file.unreadable())? })
    }
}

/// Whether this program described a file, and it has no wide rows: those are written with care for the memory.
fn may_be_copied(file: &DeltaFile) -> bool {
    file.is_vouched && file.widest.is_none_or(|widest| widest <= WIDEST)
}

/// A part of a file.
#[derive(Clone)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Length for Piece {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Piece {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.rest(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.rest(start)?;
        if rest.len() < length {
            return Err(ParquetError::EOF("the part of the file ends before".into()));
        }
        Ok(rest.slice(..length))
    }
}

impl Piece {
    fn rest(&self, start: u64) -> ParquetResult<Bytes> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|at| *at <= self.bytes.len());
        at.map(|at| self.bytes.slice(at..))
            .ok_or_else(|| ParquetError::EOF("the part of the file is another one".into()))
    }
}

/// The new file.
pub(crate) struct Splice<'g> {
    groups: &'g Groups,
    schema: SchemaRef,
    layout: Arc<Layout>,
    path: String,
    writer: SerializedFileWriter<Pieces>,
    factory: ArrowRowGroupWriterFactory,
    /// The row group that is encoded.
    open: Option<Vec<ArrowColumnWriter>>,
    upload: BufWriter,
    nan: Nan,
    rows: u64,
}

impl<'g> Splice<'g> {
    /// # Errors
    /// When the columns cannot be written.
    pub(crate) fn new(table: &LakeTable, groups: &'g Groups) -> Result<Self> {
        let (schema, layout) = (table.schema(), table.layout());
        let (properties, _) = encoding(&schema, &layout);
        let writer = ArrowWriter::try_new(Pieces::default(), schema.clone(), Some(properties)).map_err(unwritten)?;
        let (writer, factory) = writer.into_serialized_writer().map_err(unwritten)?;
        let path = file_name(0, &clock::random_uuid().to_string());
        let upload = uploading(&table.location().rooted(), &path);
        // Rows that are not decoded are not looked at: a column has NaN unless the file's own bounds say otherwise.
        let nan = Nan::unless_bounded(schema.fields(), groups.file.stats.as_deref());
        let layout = Arc::new(layout);
        Ok(Self { groups, schema, layout, path, writer, factory, open: None, upload, nan, rows: 0 })
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Copies a row group.
    ///
    /// # Errors
    /// When the file cannot be read, or the store fails.
    pub(crate) async fn copy(&mut self, at: usize) -> Result<()> {
        let metadata = self.groups.read.metadata();
        let group = metadata.row_group(at);
        let (Some(column_indexes), Some(offset_indexes)) = (metadata.column_index(), metadata.offset_index()) else {
            return Err(Error::new(Kind::Internal, "a file without an index of its pages is not copied"));
        };
        let range = |chunk: &ColumnChunkMetaData| {
            let (start, length) = chunk.byte_range();
            start..start + length
        };
        let start = group.columns().iter().map(|chunk| range(chunk).start).min().unwrap_or(0);
        let end = group.columns().iter().map(|chunk| range(chunk).end).max().unwrap_or(0);
        let whole = match end - start <= COPIED_BYTES {
            true => Some(self.groups.bytes(start..end).await?),
            false => None,
        };
        let mut out = self.writer.next_row_group().map_err(unwritten)?;
        for (column, chunk) in group.columns().iter().enumerate() {
            let bytes = match &whole {
                Some(whole) => whole.clone(),
                None => self.groups.bytes(range(chunk)).await?,
            };
            let close = ColumnCloseResult {
                bytes_written: range(chunk).end - range(chunk).start,
                rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                metadata: chunk.clone(),
                bloom_filter: self.groups.tail.filter(chunk),
                column_index: Some(column_indexes[at][column].clone()),
                offset_index: Some(offset_indexes[at][column].clone()),
            };
            out.append_column(&bytes, close).map_err(unwritten)?;
        }
        out.close().map_err(unwritten)?;
        self.rows += u64::try_from(group.num_rows()).unwrap_or(0);
        self.send().await
    }

    /// Appends rows to the row group that is encoded.
    ///
    /// # Errors
    /// When the rows do not fit the table.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.nan.note(&batch);
        self.rows += batch.num_rows() as u64;
        let writers = match &mut self.open {
            Some(writers) => writers,
            None => {
                let at = self.writer.flushed_row_groups().len();
                self.open.insert(self.factory.create_column_writers(at).map_err(unwritten)?)
            }
        };
        let mut writers = writers.iter_mut();
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column).map_err(unwritten)? {
                let writer = writers.next().ok_or_else(|| Error::new(Kind::Internal, "a column has no writer"))?;
                writer.write(&leaf).map_err(unwritten)?;
            }
        }
        Ok(())
    }

    /// Ends the row group that is encoded, if it has rows.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn end_group(&mut self) -> Result<()> {
        let Some(writers) = self.open.take() else { return Ok(()) };
        let mut out = self.writer.next_row_group().map_err(unwritten)?;
        for writer in writers {
            let chunk = writer.close().map_err(unwritten)?;
            chunk.append_to_row_group(&mut out).map_err(unwritten)?;
        }
        out.close().map_err(unwritten)?;
        self.send().await
    }

    /// Uploads what is complete.
    async fn send(&mut self) -> Result<()> {
        self.writer.inner_mut().upload(&mut self.upload).await
    }

    /// Finishes the file; `None` if it has no row.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn close(mut self) -> Result<Option<Add>> {
        if self.rows == 0 {
            self.abandon().await;
            return Ok(None);
        }
        let footer = self.writer.finish().map_err(unwritten)?;
        let widest = self.groups.file.widest.unwrap_or(0);
        self.send().await?;
        added(self.path, self.upload, &footer, self.writer.bytes_written(), (&self.nan, widest), &self.layout)
            .await
            .map(Some)
    }

    /// Gives the file up.
    pub(crate) async fn abandon(mut self) {
        // If this fails, too, the store keeps the parts: S3 until a lifecycle rule ends the upload.
        let _ = self.upload.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::array::{Array, ArrayRef, Float64Array, Int64Array, ListArray, StringArray, StructArray};
    use deltalake::arrow::compute::{concat_batches, filter_record_batch};
    use deltalake::arrow::datatypes::{DataType, Int64Type};
    use futures::TryStreamExt;
    use serde_json::Value;

    use super::super::tail::Values;
    use super::super::{DataWriter, Properties, test_table};
    use super::*;
    use crate::definition::{Column, ColumnType};
    use crate::storage::Storage;

    const ROWS: i64 = 64;
    /// Of eight row groups.
    const GROUP: i64 = 8;

    fn columns() -> Vec<Column> {
        let column = |name: &str, column_type| Column::new(name, column_type);
        vec![
            column("n", ColumnType::Long),
            Column { pii: true, ..column("s", ColumnType::String) },
            column("d", ColumnType::Double),
            column("inner", ColumnType::parse("struct<x:double,y:string>").expect("a type")),
            column("list", ColumnType::parse("array<long>").expect("a type")),
        ]
    }

    /// Numbers, texts with NULL, doubles of which one is NaN, structs and lists.
    fn batch(schema: &SchemaRef, nan_at: Option<i64>) -> RecordBatch {
        let numbers = || 0..ROWS;
        let doubles = numbers().map(|n| if Some(n) == nan_at { f64::NAN } else { n as f64 / 2.0 });
        let texts = |every: i64| numbers().map(move |n| (n % every != 0).then(|| format!("person {n}")));
        let DataType::Struct(fields) = schema.field(3).data_type() else { panic!("a struct") };
        let inner: Vec<ArrayRef> = vec![
            Arc::new(numbers().map(|n| (n % 3 > 0).then_some(n as f64)).collect::<Float64Array>()),
            Arc::new(texts(4).collect::<StringArray>()),
        ];
        let lists = numbers().map(|n| (n % 5 > 0).then(|| (0..n % 4).map(Some).collect::<Vec<_>>()));
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let DataType::List(element) = schema.field(4).data_type() else { panic!("a list") };
        let list =
            ListArray::new(element.clone(), list.offsets().clone(), list.values().clone(), list.nulls().cloned());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(numbers().collect::<Int64Array>()),
            Arc::new(texts(7).collect::<StringArray>()),
            Arc::new(doubles.collect::<Float64Array>()),
            Arc::new(StructArray::new(fields.clone(), inner, None)),
            Arc::new(list),
        ];
        RecordBatch::try_new(schema.clone(), columns).expect("rows")
    }

    async fn table(folder: &std::path::Path, nan_at: Option<i64>) -> (LakeTable, RecordBatch) {
        let location = Storage::default().location("t", folder).expect("a folder");
        let columns = columns();
        let layout = Layout::of(&columns, &["n".into()]);
        let table = test_table::empty(&location, columns, layout, Properties { change_data_feed: false }).await;
        let batch = batch(&table.schema(), nan_at);
        (test_table::appended(&table, &batch, ROWS as u64).await, batch)
    }

    async fn read(table: &LakeTable, file: &DeltaFile) -> RecordBatch {
        let stream = super::super::rows(table.location(), file, None).await.expect("a file");
        let batches: Vec<RecordBatch> = stream.try_collect().await.expect("its rows");
        concat_batches(&table.schema(), &batches).expect("rows of the table")
    }

    /// The file without these rows: groups with none of them are copied.
    async fn without(table: &LakeTable, file: &DeltaFile, gone: impl Fn(i64) -> bool) -> Option<Add> {
        let groups = Groups::open(table.location(), file).await.expect("a file");
        assert!(groups.can_be_copied(table));
        assert_eq!(groups.rows(), [GROUP as usize; 8]);
        let mut new = Splice::new(table, &groups).expect("a file");
        for group in 0..8 {
            let numbers = (group * GROUP)..((group + 1) * GROUP);
            if !numbers.clone().any(&gone) {
                new.copy(group as usize).await.expect("copied");
                continue;
            }
            let mut stream = groups.stream(Some(group as usize), None).expect("a group");
            while let Some(batch) = stream.try_next().await.expect("rows") {
                let keep = numbers.clone().map(|n| Some(!gone(n))).collect();
                new.write(&filter_record_batch(&batch, &keep).expect("rows")).expect("written");
            }
            new.end_group().await.expect("a group");
        }
        new.close().await.expect("a file")
    }

    #[tokio::test]
    async fn a_spliced_file_is_one_that_was_written_without_the_rows() {
        type Gone = fn(i64) -> bool;
        let cases: [(&str, Gone); 6] = [
            ("one row", |n| n == 20),
            ("a row of the first group and one of the last", |n| n == 0 || n == 63),
            ("a whole group", |n| (8..16).contains(&n)),
            ("the row with NaN", |n| n == 33),
            ("every row but one", |n| n != 5),
            ("no row", |_| false),
        ];
        for nan_at in [None, Some(33)] {
            for (name, gone) in cases {
                let folder = tempfile::tempdir().expect("a folder");
                let (table, rows) = table(folder.path(), nan_at).await;
                let file = table.files().remove(0);
                let add = without(&table, &file, gone).await.expect("rows stay");
                let keep = (0..ROWS).map(|n| Some(!gone(n))).collect();
                let stays = filter_record_batch(&rows, &keep).expect("rows");
                let file = DeltaFile::from(&add);
                let found = read(&table, &file).await;
                // NaN equals itself in the text.
                assert_eq!(format!("{found:?}"), format!("{stays:?}"), "{name}");

                let mut writer = DataWriter::new(&table, u64::MAX).rows_per_file(ROWS as u64);
                writer.write(&stays).await.expect("written");
                let whole = writer.close().await.expect("a file").adds.remove(0);
                let stats =
                    |add: &Add| serde_json::from_str::<Value>(add.stats.as_deref().expect("stats")).expect("JSON");
                let (mut own, expected) = (stats(&add), stats(&whole));
                if nan_at.is_some() && gone(33) {
                    // The row with NaN is gone, and its group was decoded; the others were not looked at.
                    for ends in ["minValues", "maxValues"] {
                        own[ends]["d"] = expected[ends]["d"].clone();
                    }
                }
                assert_eq!(own, expected, "{name}");

                let tail = Tail::read(table.location(), &file).await.expect("an end");
                for n in (0..ROWS).filter(|n| !gone(*n)) {
                    let wanted = Wanted { column: "n", values: Values::Numbers(&[n]), or_null: false };
                    assert!(tail.may_hold(&[wanted]), "{name}: {n}");
                }
                let wanted = Wanted { column: "n", values: Values::Numbers(&[20]), or_null: false };
                assert!(!gone(20) || !tail.may_hold(&[wanted]), "{name}");
                // It can be spliced again.
                let again = Groups::open(table.location(), &file).await.expect("a file");
                assert!(gone(6) || again.can_be_copied(&table), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_of_which_no_row_stays_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (table, _) = table(folder.path(), None).await;
        let file = table.files().remove(0);
        assert!(without(&table, &file, |_| true).await.is_none());
        let files =
            std::fs::read_dir(folder.path().join("t")).expect("a folder").map(|entry| entry.expect("a file").path());
        assert_eq!(files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).count(), 1);
    }

    #[tokio::test]
    async fn only_files_of_ours_with_the_table_s_columns_are_spliced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (table, rows) = table(folder.path(), None).await;
        let file = table.files().remove(0);
        let opened =
            async |file: &DeltaFile| Groups::open(table.location(), file).await.expect("a file").can_be_copied(&table);
        assert!(opened(&file).await);
        assert!(!opened(&DeltaFile { is_vouched: false, ..file.clone() }).await);
        assert!(opened(&DeltaFile { widest: Some(2 << 10), ..file.clone() }).await);
        assert!(!opened(&DeltaFile { widest: Some(1 << 20), ..file.clone() }).await);
        // Written before a column was added.
        let few = rows.project(&[0, 1]).expect("two columns");
        let mut writer = DataWriter::over(table.location(), few.schema(), u64::MAX).rows_per_file(ROWS as u64);
        writer.write(&few).await.expect("written");
        let add = writer.close().await.expect("a file").adds.remove(0);
        assert!(!opened(&DeltaFile::from(&add)).await);
        // One row group.
        let mut writer = DataWriter::new(&table, u64::MAX);
        writer.write(&rows).await.expect("written");
        let add = writer.close().await.expect("a file").adds.remove(0);
        assert!(!opened(&DeltaFile::from(&add)).await);
    }
}
