//! The end of a data file: bloom filters, then the footer. One ranged read tells whether the file may hold a value of a
//! column without statistics in the log.

use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::object_store::ObjectStoreExt;
use deltalake::parquet::bloom_filter::Sbbf;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use super::bounds::End;
use super::mend::OURS;
use super::statistics::{Value, is_all_null, value};
use super::table::DeltaFile;
use crate::error::{Context, Result};
use crate::storage::Location;

/// File ends that are read concurrently.
pub(crate) const AT_ONCE: usize = 64;
/// Bytes to read from the end of a file if its length is unknown.
const USUAL_BYTES: u64 = 64 << 10;
/// Above this number of values, some filter has a false positive for one of them.
const ASKED_VALUES: usize = 4096;
/// Prefixes of `created_by` of writers with right row-group statistics: ours, then others known to be right.
const SOUND: [&str; 5] =
    [OURS, "parquet-rs version ", "parquet-mr version 1.1", "parquet-cpp-arrow version ", "DuckDB version v1"];

/// Values of a column; a file must hold one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'v> {
    /// A top-level column.
    pub column: &'v str,
    /// The values.
    pub values: Values<'v>,
    /// Whether NULL counts as a match.
    pub or_null: bool,
}

/// Sorted values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'v> {
    /// Of a string column.
    Texts(&'v [String]),
    /// Of a column of integers, days or microseconds.
    Numbers(&'v [i64]),
}

/// The end of a data file.
pub(crate) struct Tail {
    footer: Arc<ParquetMetaData>,
    bytes: Bytes,
    /// The offset of `bytes` in the file.
    start: u64,
}

impl Tail {
    /// Reads it, by one request if the log has its length, or if it is not longer than usual.
    ///
    /// # Errors
    /// When the file cannot be read or is no Parquet file.
    pub(crate) async fn read(location: &Location, file: &DeltaFile) -> Result<Self> {
        Self::with(PageIndexPolicy::Skip, location, file).await
    }

    /// The same with the index of the file's pages, if it has one.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) async fn read_with_pages(location: &Location, file: &DeltaFile) -> Result<Self> {
        Self::with(PageIndexPolicy::Optional, location, file).await
    }

    async fn with(pages: PageIndexPolicy, location: &Location, file: &DeltaFile) -> Result<Self> {
        let doing = || file.unreadable();
        let path = location.file(&file.path)?;
        let mut length = file.tail.unwrap_or(USUAL_BYTES);
        loop {
            let start = file.size.saturating_sub(length);
            let bytes = location.store.get_range(&path, start..file.size).await.context(doing)?;
            let mut reader = ParquetMetaDataReader::new().with_page_index_policy(pages);
            match reader.try_parse_sized(&bytes, file.size) {
                Ok(()) => return Ok(Self { footer: reader.finish().context(doing)?.into(), bytes, start }),
                Err(ParquetError::NeedMoreData(more)) if more as u64 > length => length = more as u64,
                Err(cause) => return Err(cause).context(doing),
            }
        }
    }

    /// The footer.
    pub(super) fn footer(&self) -> &Arc<ParquetMetaData> {
        &self.footer
    }

    /// Whether some row group may hold a value of every wanted column.
    #[must_use]
    pub(crate) fn may_hold(&self, wanted: &[Wanted<'_>]) -> bool {
        let by = self.footer.file_metadata().created_by().unwrap_or_default();
        let is_sound = SOUND.iter().any(|sound| by.starts_with(sound));
        let groups = self.footer.row_groups();
        !is_sound || groups.iter().any(|group| wanted.iter().all(|wanted| self.group_may_hold(group, wanted)))
    }

    /// Whether a row group of a writer with right statistics may hold a wanted value.
    pub(super) fn group_may_hold(&self, group: &RowGroupMetaData, wanted: &Wanted<'_>) -> bool {
        let is_it = |chunk: &&ColumnChunkMetaData| chunk.column_path().parts() == [wanted.column];
        let Some(chunk) = group.columns().iter().find(is_it) else { return true };
        let Some(statistics) = chunk.statistics() else { return true };
        if wanted.or_null && statistics.null_count_opt() != Some(0) {
            return true;
        }
        if is_all_null(chunk, statistics) {
            return false;
        }
        let bound = |end| value(chunk.column_descr(), statistics, end);
        match (wanted.values, bound(End::Min).zip(bound(End::Max))) {
            (Values::Texts(values), Some((Value::Text(min), Value::Text(max)))) => {
                let within = between(values, &min, &max);
                self.may_have(chunk, within, |filter, text| filter.check(text.as_str()))
            }
            (Values::Numbers(values), Some((min, max))) => {
                let Some(((min, is_short), (max, _))) = number(&min).zip(number(&max)) else { return true };
                self.may_have(chunk, between(values, &min, &max), |filter, value| match i32::try_from(*value) {
                    Ok(value) if is_short => filter.check(&value),
                    _ => filter.check(value),
                })
            }
            _ => true,
        }
    }

    /// Whether the chunk's bloom filter, if there is one, accepts one of the values.
    fn may_have<T>(&self, chunk: &ColumnChunkMetaData, values: &[T], check: impl Fn(&Sbbf, &T) -> bool) -> bool {
        if values.is_empty() || values.len() > ASKED_VALUES {
            return !values.is_empty();
        }
        match self.filter(chunk) {
            Some(filter) => values.iter().any(|value| check(&filter, value)),
            None => true,
        }
    }

    /// The bloom filter of a chunk, if it has one.
    pub(super) fn filter(&self, chunk: &ColumnChunkMetaData) -> Option<Sbbf> {
        let offset = u64::try_from(chunk.bloom_filter_offset()?).ok()?.checked_sub(self.start)?;
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(chunk.bloom_filter_length()?).ok()?);
        Sbbf::from_bytes(self.bytes.get(offset..offset.checked_add(length)?)?).ok()
    }
}

/// A value that Parquet stores as an integer, and whether that has 32 bits.
fn number(value: &Value) -> Option<(i64, bool)> {
    match value {
        Value::Integer(value) => Some((*value, true)),
        Value::Day(days) => Some(((*days).into(), true)),
        Value::Long(value) | Value::Moment(value) => Some((*value, false)),
        _ => None,
    }
}

/// The sorted values within bounds.
fn between<'v, T: Ord>(values: &'v [T], min: &T, max: &T) -> &'v [T] {
    let first = values.partition_point(|value| value < min);
    let rest = values.get(first..).unwrap_or_default();
    rest.get(..rest.partition_point(|value| value <= max)).unwrap_or_default()
}

/// The length of the end of the file with this footer, if it has bloom filters.
pub(super) fn length(footer: &ParquetMetaData, size: u64) -> Option<u64> {
    let chunks = footer.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let first = chunks.filter_map(ColumnChunkMetaData::bloom_filter_offset).min()?;
    size.checked_sub(u64::try_from(first).ok()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
    use deltalake::arrow::datatypes::Schema;

    use super::super::{DataWriter, Layout};
    use super::*;
    use crate::definition::{Column, ColumnType};
    use crate::storage::Storage;

    /// A file with every third number, the number as text, and a day in every other row.
    async fn file(count: i64) -> (tempfile::TempDir, Location, DeltaFile) {
        let column = |name: &str, column_type, pii| Column { pii, ..Column::new(name, column_type) };
        let columns = [
            column("n", ColumnType::Long, false),
            column("s", ColumnType::String, true),
            column("d", ColumnType::Date, true),
        ];
        let day = |n: i64| (n % 2 == 0).then(|| i32::try_from(n * 3).expect("a day"));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new((0..count).map(|n| n * 3).collect::<Int64Array>()),
            Arc::new((0..count).map(|n| Some(format!("person {}", n * 3))).collect::<StringArray>()),
            Arc::new((0..count).map(day).collect::<Date32Array>()),
        ];
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let folder = tempfile::tempdir().expect("a folder");
        let location = Storage::default().location("t", folder.path()).expect("a location");
        let layout = Layout::of(&columns, &["n".into()]);
        let mut writer = DataWriter::over(&location, schema.clone(), u64::MAX).layout(layout);
        writer.write(&RecordBatch::try_new(schema, arrays).expect("rows")).await.expect("written");
        let add = writer.close().await.expect("a file").adds.remove(0);
        let stats = add.stats.clone().expect("statistics");
        assert!(stats.contains("\"n\"") && !stats.contains("person") && !stats.contains("\"d\""), "{stats}");
        (folder, location, DeltaFile::from(&add))
    }

    fn found(tail: &Tail, column: &str, values: Values<'_>, or_null: bool) -> bool {
        tail.may_hold(&[Wanted { column, values, or_null }])
    }

    #[tokio::test]
    async fn a_value_is_found_by_the_end_of_a_file_and_one_that_is_not_there_hardly_ever() {
        for count in [10, 200_000] {
            let (_folder, location, file) = file(count).await;
            assert!(file.tail.is_some_and(|tail| tail < file.size), "bloom filters are at the end");
            let tail = Tail::read(&location, &file).await.expect("an end");
            let numbers = |wanted: &[i64]| found(&tail, "n", Values::Numbers(wanted), false);
            let texts = |wanted: i64| found(&tail, "s", Values::Texts(&[format!("person {wanted}")]), false);
            for n in (0..count).step_by(97) {
                assert!(numbers(&[n * 3]) && texts(n * 3), "{n} is there");
                assert!(numbers(&[-1, n * 3, n * 3 + 1]), "{n} is there, among others");
            }
            let asked = || (0..count).step_by(97).map(|n| n * 3 + 1);
            let wrong = asked().filter(|n| numbers(&[*n])).count() + asked().filter(|n| texts(*n)).count();
            assert!(wrong * 20 <= asked().count(), "{wrong} of {} are not there", asked().count());
            assert!(!numbers(&[-1]) && !numbers(&[count * 3]) && !numbers(&[]));
            assert!(
                found(&tail, "d", Values::Numbers(&[0]), false) && !found(&tail, "d", Values::Numbers(&[3]), false)
            );
            assert!(found(&tail, "d", Values::Numbers(&[3]), true) && !found(&tail, "n", Values::Numbers(&[1]), true));
            let both = |s: &[String]| {
                let numbers = Wanted { column: "n", values: Values::Numbers(&[3]), or_null: false };
                tail.may_hold(&[numbers, Wanted { column: "s", values: Values::Texts(s), or_null: false }])
            };
            assert!(both(&["person 3".into()]) && !both(&["person 4".into()]));
        }
    }

    #[tokio::test]
    async fn an_end_of_unknown_length_is_read_in_two_steps_at_most() {
        let (_folder, location, file) = file(10).await;
        for tail in [None, Some(8), Some(100), Some(u64::MAX)] {
            let tail = Tail::read(&location, &DeltaFile { tail, ..file.clone() }).await.expect("an end");
            assert!(tail.may_hold(&[Wanted { column: "n", values: Values::Numbers(&[3]), or_null: false }]));
        }
    }
}
