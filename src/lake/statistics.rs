//! The footer of a data file -> its statistics in the log.
//!
//! The library's own statistics are not used: they convert decimals through a 64-bit float, round the maximum timestamp
//! down, and ignore NaN, which is greater than every bound. Adds with statistics of ours carry [`MARK`] in their
//! `tags`, which checkpoints keep: otherwise the log does not show who described a file.
//! Source: Delta protocol, "Per-file Statistics"; Parquet format, "Statistics".

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Fields, Float32Type, Float64Type};
use deltalake::kernel::Add;
use deltalake::parquet::basic::{LogicalType, TimeUnit};
use deltalake::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use deltalake::parquet::file::statistics::Statistics;
use deltalake::parquet::schema::types::ColumnDescriptor;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::bounds::{self, End};
use super::layout::{DESCRIBED_COLUMNS, Layout};
use crate::error::{Context, Result};

/// The tag of an add whose bounds enclose all values of its file.
pub(super) const MARK: &str = "stedi-delta.bounds";

/// Whether the statistics of an add are ours.
pub(super) fn is_marked(add: &Add) -> bool {
    add.tags.as_ref().is_some_and(|tags| tags.contains_key(MARK))
}

/// The tag of an add whose file has bloom filters: their start, in bytes from the end.
const TAIL: &str = "stedi-delta.tail";

/// The tag of an add whose file has wide rows: the bytes of texts and lists in the widest one.
const WIDEST: &str = "stedi-delta.widest";

/// The tag of an add whose file an optimization closed because it was full: it is not merged again, whatever its size.
const FULL: &str = "stedi-delta.full";

/// The tag of an add whose file an optimization sorted: the columns, in their order, separated by commas.
const SORTED: &str = "stedi-delta.sorted";

/// Tags an add that an optimization wrote.
pub(super) fn mark_optimized(add: &mut Add, is_full: bool, sorted_by: &[String]) {
    let tags = add.tags.get_or_insert_default();
    if is_full {
        tags.insert(FULL.to_owned(), Some("1".to_owned()));
    }
    if !sorted_by.is_empty() {
        tags.insert(SORTED.to_owned(), Some(sorted_by.join(",")));
    }
}

/// Whether an optimization closed the file of an add because it was full.
pub(super) fn is_full(add: &Add) -> bool {
    add.tags.as_ref().is_some_and(|tags| tags.contains_key(FULL))
}

/// The columns by which an optimization sorted the file of an add.
pub(super) fn sorted_by(add: &Add) -> Option<String> {
    add.tags.as_ref()?.get(SORTED)?.clone()
}

/// The tags of an add whose statistics are ours.
pub(super) fn marks() -> Tags {
    HashMap::from([(MARK.to_owned(), Some("1".to_owned()))])
}

/// Those of an add whose file has an end of this length, [`Tail`](super::Tail), and a widest row of this size.
pub(super) fn marks_with(tail: Option<u64>, widest: Option<u64>) -> Tags {
    let mut tags = marks();
    let told = [(TAIL, tail), (WIDEST, widest)].into_iter();
    tags.extend(told.filter_map(|(tag, of)| Some((tag.to_owned(), Some(of?.to_string())))));
    tags
}

/// The length of the end of a file, if its add has it.
pub(super) fn tail_of(add: &Add) -> Option<u64> {
    number(add.tags.as_ref(), TAIL)
}

/// Tags of an add or a remove.
pub(super) type Tags = HashMap<String, Option<String>>;

/// The bytes of the widest row of a file, if its add or its remove says that it has wide ones.
pub(super) fn widest_of(tags: Option<&Tags>) -> Option<u64> {
    number(tags, WIDEST)
}

/// The tags of the remove of a file with these tags: the removed rows are as wide as they were.
pub(super) fn tags_of_remove(tags: Option<&Tags>) -> Option<Tags> {
    let widest = widest_of(tags)?;
    Some(HashMap::from([(WIDEST.to_owned(), Some(widest.to_string()))]))
}

fn number(tags: Option<&Tags>, tag: &str) -> Option<u64> {
    tags?.get(tag)?.as_ref()?.parse().ok()
}

/// Floating-point columns of a file that hold NaN, by Parquet's dotted path.
#[derive(Clone, Debug, Default)]
pub(super) struct Nan(BTreeSet<String>);

impl Nan {
    /// The columns that may hold NaN by the statistics of a file: those without an upper bound.
    pub(super) fn unless_bounded(fields: &Fields, stats: Option<&str>) -> Self {
        let stats: serde_json::Value = stats.and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or_default();
        let mut nan = Self::default();
        nan.take_unbounded(fields, &stats["maxValues"], "");
        nan
    }

    fn take_unbounded(&mut self, fields: &Fields, most: &serde_json::Value, above: &str) {
        for field in fields {
            let (path, most) = (format!("{above}{}", field.name()), &most[field.name().as_str()]);
            match field.data_type() {
                DataType::Float32 | DataType::Float64 if most.is_null() => {
                    self.0.insert(path);
                }
                DataType::Struct(fields) => self.take_unbounded(fields, most, &format!("{path}.")),
                _ => {}
            }
        }
    }

    /// Scans rows before they are written to a file.
    pub(super) fn note(&mut self, batch: &RecordBatch) {
        for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
            self.look(column, field.name());
        }
    }

    fn look(&mut self, column: &ArrayRef, path: &str) {
        let found = match column.data_type() {
            DataType::Float32 => column.as_primitive::<Float32Type>().values().iter().any(|v| v.is_nan()),
            DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().any(|v| v.is_nan()),
            DataType::Struct(fields) => {
                for (column, field) in column.as_struct().columns().iter().zip(fields) {
                    self.look(column, &format!("{path}.{}", field.name()));
                }
                false
            }
            _ => false,
        };
        if found {
            self.0.insert(path.to_owned());
        }
    }
}

/// Values by column; those of a struct are nested.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    One(Box<RawValue>),
    Inner(BTreeMap<String, Self>),
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    num_records: i64,
    min_values: BTreeMap<String, Told>,
    max_values: BTreeMap<String, Told>,
    null_count: BTreeMap<String, Told>,
    /// Set to false if engines would otherwise take a widened bound of a long for a value, and answer `max(x)` with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tight_bounds: Option<bool>,
}

/// A value of a Parquet column; two of one column compare in the order of the column's type.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i64),
    Long(i64),
    Day(i32),
    Moment(i64),
    Double(f64),
    Decimal(i128, u32, u32),
    Text(String),
}

/// Statistics of the file with this footer, as the JSON of an add, for the columns that `layout` describes. `nan`: its
/// columns with NaN; `None` if unknown, and then floating-point columns get no bounds.
///
/// # Errors
/// When they cannot be encoded.
pub(super) fn describe(footer: &ParquetMetaData, nan: Option<&Nan>, layout: &Layout) -> Result<String> {
    let schema = footer.file_metadata().schema_descr();
    let mut told = Statement { num_records: footer.file_metadata().num_rows(), ..Statement::default() };
    let mut seen: Vec<&str> = Vec::new();
    for (index, column) in schema.columns().iter().enumerate() {
        let path = column.path().parts();
        let Some(top) = path.first() else { continue };
        if seen.last() != Some(&top.as_str()) {
            seen.push(top);
        }
        // Statistics on elements of lists and maps have no use.
        if column.max_rep_level() > 0 || !layout.describes(path).unwrap_or(seen.len() <= DESCRIBED_COLUMNS) {
            continue;
        }
        let chunks = || footer.row_groups().iter().map(|group| group.column(index));
        if let Some(nulls) = nulls(chunks()) {
            put(&mut told.null_count, path, nulls.to_string());
        }
        let is_open = |value: &Value| {
            matches!(value, Value::Double(_)) && nan.is_none_or(|nan| nan.0.contains(&column.path().string()))
        };
        let Some((min, max)) = extremes(column, chunks()).filter(|(min, _)| !is_open(min)) else { continue };
        for (value, end, values) in [(min, End::Min, &mut told.min_values), (max, End::Max, &mut told.max_values)] {
            let Some(bound) = value.bound(end) else { continue };
            if matches!(value, Value::Long(value) if bound != value.to_string()) {
                told.tight_bounds = Some(false);
            }
            put(values, path, bound);
        }
    }
    serde_json::to_string(&told).context(|| "the statistics of a data file cannot be encoded".into())
}

/// These statistics without the columns that `layout` does not describe; `None` if there are none.
pub(super) fn reduced(stats: &str, layout: &Layout) -> Option<String> {
    let mut told: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stats).ok()?;
    let mut is_less = false;
    for name in ["minValues", "maxValues", "nullCount"] {
        if let Some(values) = told.get_mut(name)
            && let Some(less) = without(values, &mut Vec::new(), layout)
        {
            (*values, is_less) = (less, true);
        }
    }
    is_less.then(|| serde_json::to_string(&told).ok()).flatten()
}

/// Values by column without those that are not described; `None` if all are. Numbers keep their digits.
fn without(values: &RawValue, path: &mut Vec<String>, layout: &Layout) -> Option<Box<RawValue>> {
    let columns: BTreeMap<String, Box<RawValue>> = serde_json::from_str(values.get()).ok()?;
    let mut kept = BTreeMap::new();
    let mut is_less = false;
    for (name, value) in columns {
        path.push(name.clone());
        if value.get().starts_with('{') {
            let less = without(&value, path, layout);
            is_less |= less.is_some();
            let less = less.unwrap_or(value);
            if less.get() != "{}" {
                kept.insert(name, less);
            }
        } else if layout.describes(path) == Some(false) {
            is_less = true;
        } else {
            kept.insert(name, value);
        }
        path.pop();
    }
    is_less.then(|| serde_json::value::to_raw_value(&kept).ok()).flatten()
}

/// Inserts JSON under a path.
fn put(into: &mut BTreeMap<String, Told>, path: &[String], text: String) {
    let Ok(told) = RawValue::from_string(text) else { return };
    let Some((last, above)) = path.split_last() else { return };
    let mut into = into;
    for name in above {
        let inner = into.entry(name.clone()).or_insert_with(|| Told::Inner(BTreeMap::new()));
        let Told::Inner(inner) = inner else { return };
        into = inner;
    }
    into.insert(last.clone(), Told::One(told));
}

fn nulls<'c>(mut chunks: impl Iterator<Item = &'c ColumnChunkMetaData>) -> Option<u64> {
    chunks.try_fold(0, |sum, chunk| Some(sum + chunk.statistics()?.null_count_opt()?))
}

/// Whether a column chunk holds no value.
pub(super) fn is_all_null(chunk: &ColumnChunkMetaData, statistics: &Statistics) -> bool {
    statistics.null_count_opt().is_some_and(|nulls| i64::try_from(nulls) == Ok(chunk.num_values()))
}

/// The minimum and maximum of a column; `None` if it has none, or a row group does not say.
fn extremes<'c>(
    column: &ColumnDescriptor,
    chunks: impl Iterator<Item = &'c ColumnChunkMetaData>,
) -> Option<(Value, Value)> {
    let mut found: Option<(Value, Value)> = None;
    for chunk in chunks {
        let statistics = chunk.statistics()?;
        if is_all_null(chunk, statistics) {
            continue;
        }
        let (min, max) = (value(column, statistics, End::Min)?, value(column, statistics, End::Max)?);
        found = Some(match found {
            None => (min, max),
            Some((least, greatest)) => (
                if min.partial_cmp(&least)? == Ordering::Less { min } else { least },
                if max.partial_cmp(&greatest)? == Ordering::Greater { max } else { greatest },
            ),
        });
    }
    found
}

/// One extreme of a column chunk; `None` for types without a known order.
pub(super) fn value(column: &ColumnDescriptor, statistics: &Statistics, end: End) -> Option<Value> {
    fn pick<T: Clone>(min: Option<&T>, max: Option<&T>, end: End) -> Option<T> {
        if end == End::Min { min } else { max }.cloned()
    }
    let bytes = if end == End::Min { statistics.min_bytes_opt() } else { statistics.max_bytes_opt() };
    let logical = column.logical_type_ref();
    if let Some(LogicalType::Decimal(of)) = logical {
        let unscaled = match statistics {
            Statistics::Int32(of) => pick(of.min_opt(), of.max_opt(), end)?.into(),
            Statistics::Int64(of) => pick(of.min_opt(), of.max_opt(), end)?.into(),
            Statistics::FixedLenByteArray(_) => big_endian(bytes?)?,
            _ => return None,
        };
        return Some(Value::Decimal(unscaled, of.precision.try_into().ok()?, of.scale.try_into().ok()?));
    }
    match (statistics, logical) {
        (Statistics::Boolean(of), None) => Some(Value::Boolean(pick(of.min_opt(), of.max_opt(), end)?)),
        (Statistics::Int32(of), Some(LogicalType::Date)) => Some(Value::Day(pick(of.min_opt(), of.max_opt(), end)?)),
        (Statistics::Int32(of), logical) if is_signed(logical) => {
            Some(Value::Integer(pick(of.min_opt(), of.max_opt(), end)?.into()))
        }
        (Statistics::Int64(of), Some(LogicalType::Timestamp(unit))) => {
            let is_ours = unit.is_adjusted_to_u_t_c && unit.unit == TimeUnit::MICROS;
            is_ours.then(|| pick(of.min_opt(), of.max_opt(), end)).flatten().map(Value::Moment)
        }
        (Statistics::Int64(of), logical) if is_signed(logical) => {
            Some(Value::Long(pick(of.min_opt(), of.max_opt(), end)?))
        }
        (Statistics::Float(of), None) => Some(Value::Double(pick(of.min_opt(), of.max_opt(), end)?.into())),
        (Statistics::Double(of), None) => Some(Value::Double(pick(of.min_opt(), of.max_opt(), end)?)),
        (Statistics::ByteArray(_), Some(LogicalType::String)) => {
            Some(Value::Text(String::from_utf8(bytes?.to_vec()).ok()?))
        }
        _ => None,
    }
}

fn is_signed(logical: Option<&LogicalType>) -> bool {
    match logical {
        None => true,
        Some(LogicalType::Integer(of)) => of.is_signed,
        Some(_) => false,
    }
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let mut wide = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
    wide.get_mut(16_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

impl Value {
    /// The JSON of its bound in the log.
    fn bound(&self, end: End) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Long(value) => Some(bounds::integer(*value, end).to_string()),
            Self::Day(days) => bounds::day(*days).map(|day| json!(day).to_string()),
            Self::Moment(micros) => bounds::moment(*micros, end).map(|moment| json!(moment).to_string()),
            Self::Double(value) => bounds::double(*value),
            Self::Decimal(unscaled, precision, scale) => bounds::decimal(*unscaled, (*precision, *scale), end),
            // Parquet truncates long strings at 64 bytes, the maximum upwards.
            Self::Text(text) => Some(json!(text).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{BinaryArray, Float32Array, Float64Array, Int64Array, StringArray, StructArray};
    use deltalake::arrow::datatypes::{Field, Schema};
    use deltalake::parquet::arrow::ArrowWriter;
    use deltalake::parquet::file::properties::WriterProperties;
    use serde_json::Value as Json;

    use super::*;

    /// The statistics of a file of these batches, each a row group.
    fn told(batches: &[Vec<(&str, ArrayRef)>], looked: bool) -> Json {
        let fields = batches[0].iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder().build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).expect("a writer");
        let mut nan = Nan::default();
        for columns in batches {
            let columns = columns.iter().map(|(_, column)| column.clone()).collect();
            let batch = RecordBatch::try_new(schema.clone(), columns).expect("a batch");
            nan.note(&batch);
            writer.write(&batch).expect("written");
            writer.flush().expect("a row group");
        }
        let footer = writer.finish().expect("a footer");
        serde_json::from_str(&describe(&footer, looked.then_some(&nan), &Layout::default()).expect("statistics"))
            .expect("JSON")
    }

    #[test]
    fn nan_leaves_no_bound_and_infinity_none_on_its_side() {
        let column = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
        let inner = Arc::new(Float32Array::from(vec![1.0, f32::NAN])) as ArrayRef;
        let inner = StructArray::from(vec![(Arc::new(Field::new("f", DataType::Float32, true)), inner)]);
        let rows = vec![
            ("nan", column(vec![1.0, f64::NAN])),
            ("open", column(vec![1.0, f64::INFINITY])),
            ("plain", column(vec![-0.5, 2.5])),
            ("inner", Arc::new(inner) as ArrayRef),
        ];
        let stats = told(std::slice::from_ref(&rows), true);
        assert_eq!(stats["minValues"], json!({"open": 1.0, "plain": -0.5}));
        assert_eq!(stats["maxValues"], json!({"plain": 2.5}));
        assert_eq!(stats["nullCount"], json!({"nan": 0, "open": 0, "plain": 0, "inner": {"f": 0}}));
        assert_eq!(told(&[rows], false)["minValues"], json!({}), "nobody looked for NaN");
    }

    #[test]
    fn row_groups_count_together_and_one_of_nulls_alone_tells_nothing() {
        let group = |values: Vec<Option<i64>>, texts: Vec<Option<&str>>| {
            let bytes = BinaryArray::from(vec![Some(b"x".as_slice()); values.len()]);
            vec![
                ("n", Arc::new(Int64Array::from(values)) as ArrayRef),
                ("s", Arc::new(StringArray::from(texts)) as ArrayRef),
                ("b", Arc::new(bytes) as ArrayRef),
            ]
        };
        let stats = told(
            &[
                group(vec![Some(5), None], vec![Some("b"), Some("c")]),
                group(vec![None], vec![None]),
                group(vec![Some(-5), Some(7)], vec![Some("a"), None]),
            ],
            true,
        );
        let expected = json!({"numRecords": 5, "minValues": {"n": -5, "s": "a"}, "maxValues": {"n": 7, "s": "c"},
            "nullCount": {"n": 2, "s": 2, "b": 0}});
        assert_eq!(stats, expected);
    }

    #[test]
    fn a_bound_that_is_no_value_of_the_file_is_called_wide() {
        let stats = |value: i64| told(&[vec![("n", Arc::new(Int64Array::from(vec![value])) as ArrayRef)]], true);
        assert_eq!(stats(1 << 53)["tightBounds"], Json::Null);
        let wide = stats((1 << 53) + 1);
        assert_eq!((&wide["tightBounds"], &wide["minValues"]["n"]), (&json!(false), &json!((1_i64 << 53) + 1)));
        assert_eq!(wide["maxValues"]["n"], json!((1_i64 << 53) + 2));
    }

    #[test]
    fn long_strings_are_cut_outwards_and_columns_past_the_thirty_second_are_left_out() {
        let names: Vec<String> = (0..33).map(|n| format!("c{n}")).collect();
        let text = "é".repeat(80);
        let column = Arc::new(StringArray::from(vec![text.as_str()])) as ArrayRef;
        let stats = told(&[names.iter().map(|name| (name.as_str(), column.clone())).collect()], true);
        let (min, max) = (stats["minValues"]["c0"].as_str(), stats["maxValues"]["c31"].as_str());
        assert!(min.is_some_and(|min| text.starts_with(min)) && max.is_some_and(|max| max > text.as_str()));
        assert_eq!(stats["maxValues"]["c32"], Json::Null);
    }
}
