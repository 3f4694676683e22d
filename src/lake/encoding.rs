//! How data files are encoded, so that the memory of a writer is bounded for any number of columns.
//!
//! Parquet's columns are written side by side, and each allocates its own buffers: 80 KB for a dictionary before its
//! first value, 32 KB to compress pages of more than 1 KB, 8 bytes for every value of its open page, a bloom filter for
//! all rows of a row group. Tables of up to some hundred columns are written as if there were no bounds.

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::parquet::arrow::ArrowSchemaConverter;
use deltalake::parquet::basic::{Compression, Encoding};
use deltalake::parquet::file::properties::{BloomFilterPosition, WriterProperties};
use deltalake::parquet::schema::types::ColumnPath;

use super::layout::Layout;
use crate::definition::SOURCE_OFFSET;

/// Rows per row group: small enough that a row group without a hit can be skipped, large enough to compress.
pub(crate) const ROW_GROUP_ROWS: usize = 131_072;
/// Encoded bytes of a row group: its readers hold all columns that they need.
pub(super) const ROW_GROUP_BYTES: u64 = 64 << 20;
/// The same with a row that is wider than a slice: a writer and a reader hold such a row several times.
pub(super) const WIDE_GROUP_BYTES: u64 = 32 << 20;
/// Bytes of a row group under construction, including all buffers of its columns.
pub(super) const BUFFERED_BYTES: usize = 192 << 20;

/// Rows encoded between two checks of the file size, the maximum of their values, and of the bytes of their texts.
const SLICE_ROWS: usize = 8192;
const SLICE_VALUES: usize = 4 << 20;
pub(super) const SLICE_BYTES: u64 = 16 << 20;

/// Parquet's limit of a dictionary: it would be built of one row that is wider, and not be used for the next ones.
pub(super) const DICTIONARY_BYTES: u64 = 1 << 20;

/// False-positive rate of a bloom filter.
const FALSE_HITS: f64 = 0.01;
/// Values in the bloom filters of one row group: 32 MB.
const FILTERED_VALUES: usize = 128 * ROW_GROUP_ROWS;

/// Parquet's own limits of a page, while all columns together stay within this many values and bytes.
const PAGE_ROWS: usize = 20_000;
const PAGE_VALUES: usize = 4 << 20;
const PAGE_BYTES: usize = 1 << 20;
const PAGES_BYTES: usize = 64 << 20;
/// Rows between two checks of a page's size.
const PAGE_STEP: usize = 1024;

/// Columns with a dictionary, and columns that are compressed; further columns have neither.
const DICTIONARIES: usize = 1024;
const COMPRESSED: usize = 4096;

/// Parquet's leaf columns: a struct counts as its fields.
fn leaves(schema: &SchemaRef) -> Vec<ColumnPath> {
    let converted = ArrowSchemaConverter::new().convert(schema);
    // The writer itself reports types that Parquet cannot represent.
    converted.map_or_else(|_| Vec::new(), |schema| schema.columns().iter().map(|leaf| leaf.path().clone()).collect())
}

/// The properties with which files of this schema and layout are written, and the rows per slice.
pub(super) fn encoding(schema: &SchemaRef, layout: &Layout) -> (WriterProperties, usize) {
    let leaves = leaves(schema);
    let share = |of: usize, columns: usize| of / columns.max(1);
    let page_rows = share(PAGE_VALUES, leaves.len()).clamp(1, PAGE_ROWS);
    let group_rows = share(FILTERED_VALUES, layout.sought().count()).clamp(1, ROW_GROUP_ROWS);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(share(PAGES_BYTES, leaves.len()).clamp(1, PAGE_BYTES))
        .set_write_batch_size(page_rows.min(PAGE_STEP))
        .set_created_by(super::ENGINE.to_owned())
        // Offsets are unique: a dictionary would be built and then discarded.
        .set_column_dictionary_enabled(ColumnPath::from(SOURCE_OFFSET), false)
        .set_column_encoding(ColumnPath::from(SOURCE_OFFSET), Encoding::DELTA_BINARY_PACKED)
        // Beside the footer: a lookup reads both at once.
        .set_bloom_filter_position(BloomFilterPosition::End);
    for column in layout.sought() {
        let column = ColumnPath::from(column);
        properties = properties
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_max_ndv(column.clone(), group_rows as u64)
            .set_column_bloom_filter_fpp(column, FALSE_HITS);
    }
    for column in leaves.iter().skip(DICTIONARIES) {
        properties = properties.set_column_dictionary_enabled(column.clone(), false);
    }
    for column in leaves.iter().skip(COMPRESSED) {
        properties = properties.set_column_compression(column.clone(), Compression::UNCOMPRESSED);
    }
    (properties.build(), share(SLICE_VALUES, leaves.len()).clamp(1, SLICE_ROWS))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use deltalake::arrow::datatypes::Schema;
    use deltalake::logstore::object_store::ObjectStoreExt;
    use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::definition::{Column, ColumnType};
    use crate::lake::DataWriter;
    use crate::storage::Storage;

    fn columns(count: usize, column_type: &ColumnType, pii: bool) -> Vec<Column> {
        (0..count).map(|n| Column { pii, ..Column::new(format!("c{n}"), column_type.clone()) }).collect()
    }

    fn schema(columns: &[Column]) -> SchemaRef {
        Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// Texts of this length that do not compress, the same for the same numbers.
    fn noise(from: usize, to: usize, length: usize) -> ArrayRef {
        let text = |n: usize| {
            let mut bytes = vec![0; length];
            blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut bytes);
            bytes.iter_mut().for_each(|byte| *byte &= 127);
            String::from_utf8(bytes).expect("ASCII")
        };
        Arc::new((from..to).map(|n| Some(text(n))).collect::<StringArray>())
    }

    /// Writes `rows` rows of equal columns and reads them again: the peak of memory, and the rows of the row groups.
    async fn written(columns: &[Column], rows: usize, column: impl Fn(usize, usize) -> ArrayRef) -> (usize, Vec<i64>) {
        let (schema, folder) = (schema(columns), tempfile::tempdir().expect("a folder"));
        let location = Storage::default().location("t", folder.path()).expect("a location");
        let mut writer = DataWriter::over(&location, Arc::clone(&schema), u64::MAX).layout(Layout::of(columns, &[]));
        let mut most = 0;
        for from in (0..rows).step_by(500) {
            let column = column(from, (from + 500).min(rows));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column; columns.len()]).expect("rows");
            writer.write(&batch).await.expect("written");
            most = most.max(writer.held());
        }
        let add = writer.close().await.expect("a file").adds.remove(0);
        let path = location.file(&add.path).expect("a path");
        let bytes = location.store.get(&path).await.expect("a file").bytes().await.expect("its bytes");
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a file");
        let groups = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        let mut at = 0;
        for batch in file.with_batch_size(500).build().expect("a reader") {
            let batch = batch.expect("rows");
            let expected = column(at, at + batch.num_rows());
            assert!(batch.columns().iter().all(|column| column == &expected), "from row {at} on");
            at += batch.num_rows();
        }
        assert_eq!(at, rows);
        (most, groups)
    }

    #[tokio::test]
    async fn what_a_writer_holds_does_not_grow_with_the_columns() {
        let constant = |from: usize, to: usize| Arc::new(Int64Array::from(vec![7; to - from])) as ArrayRef;
        for (count, rows) in [(2_000, 20_000), (6_000, 3_000)] {
            let (most, groups) = written(&columns(count, &ColumnType::Long, false), rows, constant).await;
            assert!(most < BUFFERED_BYTES, "{count} columns: {most} bytes");
            assert_eq!(groups.len(), 1, "{count} columns: {groups:?}");
        }
        // All values distinct.
        let texts = |from: usize, to: usize| {
            Arc::new((from..to).map(|n| Some(format!("{n:040}"))).collect::<StringArray>()) as ArrayRef
        };
        let (most, groups) = written(&columns(1_500, &ColumnType::String, true), 10_000, texts).await;
        assert!(most < BUFFERED_BYTES, "{most} bytes");
        assert!(groups.iter().rev().skip(1).all(|rows| *rows >= 1_000), "{groups:?}");
    }

    #[tokio::test]
    async fn a_row_group_has_as_many_rows_as_fit() {
        let text = columns(1, &ColumnType::String, false);
        for (length, rows, expected) in [
            (80, 132_000, vec![ROW_GROUP_ROWS as i64, 928]),
            (4 << 10, 20_000, vec![16_500, 3_500]),
            (9 << 20, 8, vec![8]),
            // A second one would not fit.
            (20 << 20, 3, vec![1, 1, 1]),
            (70 << 20, 2, vec![1, 1]),
        ] {
            let (_, groups) = written(&text, rows, |from, to| noise(from, to, length)).await;
            assert_eq!(groups, expected, "texts of {length} bytes");
        }
    }

    #[test]
    fn tables_of_usual_width_are_written_as_if_there_were_no_bounds() {
        let columns = columns(60, &ColumnType::String, true);
        let (properties, slice_rows) = encoding(&schema(&columns), &Layout::of(&columns, &[]));
        assert_eq!((slice_rows, properties.max_row_group_row_count()), (SLICE_ROWS, Some(ROW_GROUP_ROWS)));
        let usual = WriterProperties::builder().build();
        let told = |of: &WriterProperties| (of.data_page_row_count_limit(), of.write_batch_size());
        assert_eq!(told(&properties), told(&usual));
        let last = ColumnPath::from("c59");
        assert_eq!(properties.column_data_page_size_limit(&last), usual.column_data_page_size_limit(&last));
        assert!(properties.dictionary_enabled(&last) && properties.compression(&last) == Compression::SNAPPY);
        let filter = properties.bloom_filter_properties(&last).expect("a filter");
        assert_eq!(filter.ndv(), ROW_GROUP_ROWS as u64);
    }
}
