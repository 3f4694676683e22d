//! Prunes the files that can hold a deleted row: first by the statistics in the log, then by one column's values.

use std::cmp::Reverse;
use std::hash::BuildHasher;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::compute::{max, max_string, min, min_string};
use deltalake::arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use deltalake::datafusion::common::HashSet;
use serde_json::Value;

use crate::error::{Context, Result};
use crate::lake::{self, DeltaFile, Layout, Wanted, may_be_cut};

/// With more values than this, hardly any file is pruned.
const MOST_VALUES: usize = 10_000;
/// Rows by which it is estimated how distinct the values of a column are.
const SAMPLE: usize = 1024;

/// Values of one column by which rows and files are excluded.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    column: String,
    values: Values,
    has_null: bool,
}

#[derive(Clone, Debug)]
enum Values {
    /// Sorted, and as a set.
    Strings(Vec<String>, HashSet<String>),
    /// The least and the greatest text, and the hashes of all.
    Hashed(String, String, HashSet<u64>),
    /// The least and the greatest number.
    Between(i64, i64, Meaning),
    /// Sorted, and as a set.
    Integers(Vec<i64>, HashSet<i64>, Meaning),
    /// No column can exclude anything.
    Any,
}

/// The meaning of a column's integers, in files and in statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// Themselves.
    Number,
    /// Days since the epoch; `2026-11-24` in statistics.
    Day,
    /// Microseconds since the epoch; milliseconds in statistics, as RFC 3339.
    Moment(DataType),
}

impl Probe {
    /// A probe on a string column.
    pub(super) fn of_strings(column: &str, values: impl IntoIterator<Item = String>) -> Self {
        let set: HashSet<String> = values.into_iter().collect();
        Self { column: column.to_owned(), values: Values::strings(set), has_null: false }
    }

    /// A probe that excludes nothing.
    pub(super) fn none() -> Self {
        Self { column: String::new(), values: Values::Any, has_null: false }
    }

    /// The column that leaves the fewest bytes of `files`; on a tie, the one with the fewest distinct values among the
    /// deleted rows.
    pub(super) fn best(schema: &SchemaRef, rows: &[RecordBatch], files: &[DeltaFile]) -> Result<Self> {
        let stats: Vec<(u64, Option<CdcChange>)> = files.iter().map(|file| (file.size, CdcChange::by(file))).collect();
        if rows.iter().map(RecordBatch::num_rows).sum::<usize>() > MOST_VALUES {
            return Self::best_of_many(schema, rows, &stats);
        }
        let mut best = Self::none();
        let mut best_bytes = u64::MAX;
        for (index, field) in schema.fields().iter().enumerate() {
            let Some(probe) = Self::over(field.name(), field.data_type(), index, rows, usize::MAX)? else { continue };
            let left = stats.iter().filter(|(_, stats)| probe.has_room(stats.as_ref()));
            let bytes = left.map(|(size, _)| *size).sum();
            if (bytes, probe.values.len()) < (best_bytes, best.values.len()) {
                (best, best_bytes) = (probe, bytes);
            }
        }
        Ok(best)
    }

    /// The same for many rows, by the ends of each column's values: listing those of every column would take longer than
    /// reading the files. On a tie, the column with the most distinct values, which excludes the most rows.
    fn best_of_many(schema: &SchemaRef, rows: &[RecordBatch], stats: &[(u64, Option<CdcChange>)]) -> Result<Self> {
        let sample: Vec<RecordBatch> =
            rows.iter().take(1).map(|batch| batch.slice(0, batch.num_rows().min(SAMPLE))).collect();
        let mut best: Option<((Reverse<u64>, usize), usize, Self)> = None;
        for (index, field) in schema.fields().iter().enumerate() {
            let (name, data_type) = (field.name(), field.data_type());
            let Some(ends) = Self::ends(name, data_type, index, rows)? else { continue };
            let left = stats.iter().filter(|(_, stats)| ends.has_room(stats.as_ref()));
            let bytes = left.map(|(size, _)| *size).sum();
            let distinct =
                Self::over(name, data_type, index, &sample, usize::MAX)?.map_or(0, |probe| probe.values.len());
            let rank = (Reverse(bytes), distinct);
            if best.as_ref().is_none_or(|(before, ..)| rank > *before) {
                best = Some((rank, index, ends));
            }
        }
        let Some((_, index, ends)) = best else { return Ok(Self::none()) };
        match ends.values {
            Values::Hashed(least, greatest, _) => {
                let values = Values::Hashed(least, greatest, hashes(index, rows)?);
                Ok(Self { values, ..ends })
            }
            Values::Between(..) => {
                let field = schema.field(index);
                Ok(Self::over(field.name(), field.data_type(), index, rows, usize::MAX)?.unwrap_or_else(Self::none))
            }
            _ => Ok(ends),
        }
    }

    /// The values of the deleted rows by which file ends are pruned: of columns with few enough values that have no
    /// statistics in the log, or have bloom filters.
    pub(super) fn of_ends(schema: &SchemaRef, rows: &[RecordBatch], layout: &Layout) -> Result<Vec<Self>> {
        let mut probes = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if layout.is_found_by_files(field.name()) {
                probes.extend(Self::over(field.name(), field.data_type(), index, rows, MOST_VALUES)?);
            }
        }
        Ok(probes)
    }

    /// The lookup in the end of a file.
    pub(super) fn wanted(&self) -> Option<Wanted<'_>> {
        let values = match &self.values {
            Values::Strings(sorted, _) => lake::Values::Texts(sorted),
            Values::Integers(sorted, ..) => lake::Values::Numbers(sorted),
            Values::Hashed(..) | Values::Between(..) | Values::Any => return None,
        };
        Some(Wanted { column: &self.column, values, or_null: self.has_null })
    }

    /// The values of one column; `None` if its type cannot exclude anything, or if there are more than `most`.
    fn over(name: &str, data_type: &DataType, index: usize, rows: &[RecordBatch], most: usize) -> Result<Option<Self>> {
        let Some(meaning) = Meaning::of(data_type) else { return Ok(None) };
        let values = match meaning {
            None => {
                let mut set = HashSet::new();
                for batch in rows {
                    let column = as_type(batch.column(index), &DataType::Utf8)?;
                    for value in column.as_string::<i32>().iter().flatten() {
                        if !set.contains(value) {
                            set.insert(value.to_owned());
                        }
                    }
                    if set.len() > most {
                        return Ok(None);
                    }
                }
                Values::strings(set)
            }
            Some(meaning) => {
                let mut set = HashSet::new();
                for batch in rows {
                    let column = meaning.integers(batch.column(index))?;
                    set.extend(column.as_primitive::<Int64Type>().iter().flatten());
                    if set.len() > most {
                        return Ok(None);
                    }
                }
                Values::integers(set, meaning)
            }
        };
        Ok(Some(Self { column: name.to_owned(), values, has_null: has_null(index, rows) }))
    }

    /// The ends of the values of one column, by which files are excluded but no row; `None` if its type cannot.
    fn ends(name: &str, data_type: &DataType, index: usize, rows: &[RecordBatch]) -> Result<Option<Self>> {
        let Some(meaning) = Meaning::of(data_type) else { return Ok(None) };
        let values = match meaning {
            None => {
                let mut ends: Option<(String, String)> = None;
                for batch in rows {
                    let column = as_type(batch.column(index), &DataType::Utf8)?;
                    let column = column.as_string::<i32>();
                    let Some((least, greatest)) = min_string(column).zip(max_string(column)) else { continue };
                    ends = Some(match ends {
                        Some((min, max)) => (min.min(least.to_owned()), max.max(greatest.to_owned())),
                        None => (least.to_owned(), greatest.to_owned()),
                    });
                }
                match ends {
                    Some((least, greatest)) => Values::Hashed(least, greatest, HashSet::new()),
                    None => Values::strings(HashSet::new()),
                }
            }
            Some(meaning) => {
                let mut ends: Option<(i64, i64)> = None;
                for batch in rows {
                    let column = meaning.integers(batch.column(index))?;
                    let column = column.as_primitive::<Int64Type>();
                    let Some((least, greatest)) = min(column).zip(max(column)) else { continue };
                    ends = Some(ends.map_or((least, greatest), |(min, max)| (min.min(least), max.max(greatest))));
                }
                match ends {
                    Some((least, greatest)) => Values::Between(least, greatest, meaning),
                    None => Values::integers(HashSet::new(), meaning),
                }
            }
        };
        Ok(Some(Self { column: name.to_owned(), values, has_null: has_null(index, rows) }))
    }

    /// The column to read first; `None` if no column helps.
    pub(super) fn column(&self) -> Option<&str> {
        (!matches!(self.values, Values::Any)).then_some(self.column.as_str())
    }

    /// Whether the statistics of `file` allow one of the values.
    pub(super) fn may_be_in(&self, file: &DeltaFile) -> bool {
        self.has_room(CdcChange::by(file).as_ref())
    }

    fn has_room(&self, told: Option<&CdcChange>) -> bool {
        let Some(told) = told else { return true };
        if self.has_null && told.may_have_null(&self.column) {
            return true;
        }
        match &self.values {
            Values::Strings(sorted, _) => told.texts(&self.column).is_none_or(|(min, max)| {
                let first = sorted.partition_point(|v| v.as_str() < min);
                sorted.get(first).is_some_and(|v| v.as_str() <= max)
            }),
            Values::Hashed(least, greatest, _) => {
                told.texts(&self.column).is_none_or(|(min, max)| least.as_str() <= max && min <= greatest.as_str())
            }
            Values::Integers(sorted, _, meaning) => told.numbers(&self.column, meaning).is_none_or(|(min, max)| {
                let first = sorted.partition_point(|v| *v < min);
                sorted.get(first).is_some_and(|v| *v <= max)
            }),
            Values::Between(least, greatest, meaning) => {
                told.numbers(&self.column, meaning).is_none_or(|(min, max)| *least <= max && min <= *greatest)
            }
            Values::Any => true,
        }
    }

    /// Which rows have one of the values in the probe's column.
    pub(super) fn hits(&self, column: &ArrayRef) -> Result<BooleanArray> {
        Ok(match &self.values {
            Values::Strings(_, set) => {
                let column = as_type(column, &DataType::Utf8)?;
                let column = column.as_string::<i32>();
                column.iter().map(|v| Some(v.map_or(self.has_null, |v| set.contains(v)))).collect()
            }
            Values::Hashed(_, _, set) => {
                let column = as_type(column, &DataType::Utf8)?;
                let is_in = |value: &str| set.contains(&set.hasher().hash_one(value));
                column.as_string::<i32>().iter().map(|v| Some(v.map_or(self.has_null, is_in))).collect()
            }
            Values::Integers(_, set, meaning) => {
                let column = meaning.integers(column)?;
                let column = column.as_primitive::<Int64Type>();
                column.iter().map(|v| Some(v.map_or(self.has_null, |v| set.contains(&v)))).collect()
            }
            Values::Between(..) | Values::Any => BooleanArray::from(vec![true; column.len()]),
        })
    }
}

impl Values {
    fn strings(set: HashSet<String>) -> Self {
        let mut sorted: Vec<String> = set.iter().cloned().collect();
        sorted.sort_unstable();
        Self::Strings(sorted, set)
    }

    fn integers(set: HashSet<i64>, meaning: Meaning) -> Self {
        let mut sorted: Vec<i64> = set.iter().copied().collect();
        sorted.sort_unstable();
        Self::Integers(sorted, set, meaning)
    }

    fn len(&self) -> usize {
        match self {
            Self::Strings(sorted, _) => sorted.len(),
            Self::Hashed(.., set) => set.len(),
            Self::Integers(sorted, ..) => sorted.len(),
            Self::Between(..) | Self::Any => usize::MAX,
        }
    }
}

/// The hashes of the values of a string column.
fn hashes(index: usize, rows: &[RecordBatch]) -> Result<HashSet<u64>> {
    let mut set = HashSet::<u64>::new();
    for batch in rows {
        let column = as_type(batch.column(index), &DataType::Utf8)?;
        let hasher = set.hasher().clone();
        set.extend(column.as_string::<i32>().iter().flatten().map(|value| hasher.hash_one(value)));
    }
    Ok(set)
}

fn has_null(index: usize, rows: &[RecordBatch]) -> bool {
    rows.iter().any(|batch| batch.column(index).null_count() > 0)
}

impl Meaning {
    /// What the values of a column of this type are as integers, `Some(None)` for texts; `None` if they exclude nothing.
    fn of(data_type: &DataType) -> Option<Option<Self>> {
        match data_type {
            DataType::Utf8 => Some(None),
            DataType::Int64 | DataType::Int32 | DataType::Int16 | DataType::Int8 => Some(Some(Self::Number)),
            DataType::Date32 => Some(Some(Self::Day)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Some(Self::Moment(data_type.clone()))),
            _ => None,
        }
    }

    /// A column of a data file, in any encoding, as integers.
    fn integers(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let column = match self {
            Self::Number => column.clone(),
            Self::Day => as_type(&as_type(column, &DataType::Date32)?, &DataType::Int32)?,
            Self::Moment(data_type) => as_type(column, data_type)?,
        };
        as_type(&column, &DataType::Int64)
    }

    /// A bound from the statistics; `None` if it cannot be read.
    fn bound(&self, value: &Value) -> Option<i64> {
        match self {
            Self::Number => value.as_i64(),
            Self::Day => {
                let day = chrono::NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()?;
                Some(day.signed_duration_since(chrono::NaiveDate::default()).num_days())
            }
            Self::Moment(_) => Some(chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp_micros()),
        }
    }
}

/// A file's statistics in the log.
struct CdcChange {
    stats: Value,
    /// Whether bounds that other writers get wrong can be trusted.
    is_vouched: bool,
}

impl CdcChange {
    fn by(file: &DeltaFile) -> Option<Self> {
        let stats = file.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok())?;
        Some(Self { stats, is_vouched: file.is_vouched })
    }

    fn may_have_null(&self, column: &str) -> bool {
        self.stats["nullCount"][column].as_u64() != Some(0)
    }

    /// Bounds of a string column. If they are ours, the maximum of long strings is truncated and rounded up.
    fn texts(&self, column: &str) -> Option<(&str, &str)> {
        let ends = self.stats["minValues"][column].as_str().zip(self.stats["maxValues"][column].as_str());
        ends.filter(|(min, max)| self.is_vouched || !(may_be_cut(min) || may_be_cut(max)))
    }

    /// Bounds of a column of integers.
    fn numbers(&self, column: &str, meaning: &Meaning) -> Option<(i64, i64)> {
        if matches!(meaning, Meaning::Moment(_)) && !self.is_vouched {
            return None;
        }
        meaning.bound(&self.stats["minValues"][column]).zip(meaning.bound(&self.stats["maxValues"][column]))
    }
}

fn as_type(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if column.data_type() == wanted {
        return Ok(column.clone());
    }
    cast(column, wanted).context(|| "a column cannot be compared".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{Date32Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use deltalake::arrow::datatypes::{Field, Schema};
    use serde_json::json;

    use super::*;

    fn file(size: u64, stats: &Value) -> DeltaFile {
        let stats = Some(stats.to_string());
        DeltaFile { stats, is_vouched: true, ..DeltaFile::bare("f".into(), size) }
    }

    fn rows(columns: Vec<(&str, ArrayRef)>) -> (SchemaRef, Vec<RecordBatch>) {
        let fields: Vec<Field> =
            columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        (schema.clone(), vec![RecordBatch::try_new(schema, columns).expect("rows")])
    }

    fn probe(column: ArrayRef) -> Probe {
        let (schema, rows) = rows(vec![("c", column)]);
        Probe::best(&schema, &rows, &[]).expect("a probe")
    }

    fn between(min: &Value, max: &Value, nulls: u64) -> DeltaFile {
        file(1, &json!({"minValues": {"c": min}, "maxValues": {"c": max}, "nullCount": {"c": nulls}}))
    }

    #[test]
    fn days_are_found_by_statistics_and_in_the_rows() {
        // 2026-11-24 and 1969-12-31.
        let column: ArrayRef = Arc::new(Date32Array::from(vec![20_781, -1]));
        let probe = probe(column);
        assert!(probe.may_be_in(&between(&json!("2026-11-24"), &json!("2026-12-01"), 0)));
        assert!(probe.may_be_in(&between(&json!("1969-12-31"), &json!("1969-12-31"), 0)));
        assert!(!probe.may_be_in(&between(&json!("2026-11-25"), &json!("2026-12-01"), 0)));
        assert!(probe.may_be_in(&between(&json!("no day"), &json!("2026-12-01"), 0)));
        let found: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(-1), None]));
        assert_eq!(probe.hits(&found).expect("hits"), BooleanArray::from(vec![false, true, false]));
    }

    #[test]
    fn moments_are_found_although_statistics_cut_their_microseconds_and_files_have_other_units() {
        let utc = |micros| Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) as ArrayRef;
        // 1970-01-01T00:00:01.000999Z
        let probe = probe(utc(1_000_999));
        assert!(probe.may_be_in(&between(&json!("1970-01-01T00:00:00.500Z"), &json!("1970-01-01T00:00:01.001Z"), 0)));
        let others = between(&json!("1970-01-01T00:00:01.500Z"), &json!("1970-01-01T00:00:02.000Z"), 0);
        assert!(!probe.may_be_in(&others));
        assert!(probe.may_be_in(&DeltaFile { is_vouched: false, ..others }), "nobody vouches for it");
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let found = cast(&utc(1_000_999), &nanos).expect("nanoseconds");
        assert_eq!(probe.hits(&found).expect("hits").true_count(), 1);
    }

    #[test]
    fn cut_strings_are_believed_of_ours_only() {
        let probe = probe(Arc::new(StringArray::from(vec!["zz"])));
        let long = between(&json!("a"), &json!("x".repeat(32)), 0);
        assert!(!probe.may_be_in(&long));
        assert!(probe.may_be_in(&DeltaFile { is_vouched: false, ..long }));
        assert!(!probe.may_be_in(&DeltaFile { is_vouched: false, ..between(&json!("a"), &json!("x"), 0) }));
    }

    #[test]
    fn null_is_found_where_a_file_may_hold_it() {
        let probe = probe(Arc::new(Int64Array::from(vec![Some(5), None])));
        assert!(probe.may_be_in(&between(&json!(7), &json!(9), 1)));
        assert!(!probe.may_be_in(&between(&json!(7), &json!(9), 0)));
        assert!(probe.may_be_in(&file(1, &json!({"minValues": {"c": 7}, "maxValues": {"c": 9}}))), "no count");
    }

    #[test]
    fn the_column_that_leaves_the_fewest_bytes_is_taken_before_the_one_with_the_fewest_values() {
        let kind: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "a"]));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let (schema, rows) = rows(vec![("kind", kind), ("id", id)]);
        let stats =
            |min: i64, max: i64| json!({"minValues": {"kind": "a", "id": min}, "maxValues": {"kind": "b", "id": max}});
        let files = [file(10, &stats(0, 9)), file(10, &stats(10, 19))];
        assert_eq!(Probe::best(&schema, &rows, &files).expect("a probe").column(), Some("id"));
        assert_eq!(Probe::best(&schema, &rows, &files[..1]).expect("a probe").column(), Some("kind"));
    }

    /// More rows than are listed, of a column with this type: distinct values, of which some are NULL.
    fn many(column: &str, at: impl Fn(i64) -> Option<i64>) -> ArrayRef {
        let values = (0..MOST_VALUES as i64 + 100).map(at);
        match column {
            "texts" => Arc::new(values.map(|v| v.map(|v| format!("{v:09}"))).collect::<StringArray>()),
            _ => Arc::new(values.collect::<Int64Array>()),
        }
    }

    #[test]
    fn many_values_exclude_what_none_of_them_is() {
        for column in ["texts", "numbers"] {
            let bound = |v: i64| if column == "texts" { json!(format!("{v:09}")) } else { json!(v) };
            let all = probe(many(column, |n| Some(n * 2)));
            let last = MOST_VALUES as i64 * 2 + 198;
            assert!(all.may_be_in(&between(&bound(last), &bound(last + 9), 0)), "{column}");
            assert!(!all.may_be_in(&between(&bound(last + 1), &bound(last + 9), 1)), "{column}");
            let hits = all.hits(&many(column, |n| (n != 5).then_some(n))).expect("hits");
            let expected = (0..MOST_VALUES + 100).map(|n| Some(n % 2 == 0 && n != 5)).collect::<BooleanArray>();
            assert_eq!(hits, expected, "{column}");
            let some = probe(many(column, |n| (n % 3 > 0).then_some(n)));
            assert!(some.may_be_in(&between(&bound(last * 2), &bound(last * 3), 1)), "{column}: NULL");
            assert!(!some.may_be_in(&between(&bound(last * 2), &bound(last * 3), 0)), "{column}");
            assert_eq!(some.hits(&many(column, |_| None)).expect("hits").false_count(), 0, "{column}");
            let none = probe(many(column, |_| None));
            assert!(!none.may_be_in(&between(&bound(0), &bound(1), 0)), "{column}: NULL only");
            assert_eq!(none.hits(&many(column, Some)).expect("hits").true_count(), 0, "{column}");
        }
    }

    #[test]
    fn of_many_rows_the_column_is_taken_that_leaves_the_fewest_bytes_and_then_the_most_distinct_one() {
        let kind = many("texts", |n| Some(n % 2));
        let (schema, rows) = rows(vec![("kind", kind), ("id", many("numbers", Some))]);
        let stats = |min: i64, max: i64| {
            let (least, greatest) = ("000000000", "000000001");
            json!({"minValues": {"kind": least, "id": min}, "maxValues": {"kind": greatest, "id": max}})
        };
        let files = [file(10, &stats(0, 9)), file(10, &stats(100_000, 100_009))];
        assert_eq!(Probe::best(&schema, &rows, &files).expect("a probe").column(), Some("id"));
        assert_eq!(Probe::best(&schema, &rows, &files[..1]).expect("a probe").column(), Some("id"));
    }
}
