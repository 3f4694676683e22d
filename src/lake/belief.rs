//! Which bounds in a log can be trusted.
//!
//! Bounds of decimals, doubles, timestamps and truncated strings are often wrong: converted through a 64-bit float,
//! without NaN, rounded down, or truncated without being incremented. The log does not name the writer of a file, so
//! these bounds are trusted only if the add carries our mark. Bounds of integers, days and whole strings are always
//! trusted. Where a bound is not trusted, the file's footer is read.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::datatypes::{DataType, Schema};
use deltalake::kernel::Add;
use serde::Deserialize;
use serde_json::Value;

use super::statistics::is_marked;

/// Length in characters at which Spark truncates strings.
const CUT_CHARS: usize = 32;
/// Length in bytes at which Parquet writers truncate strings, minus a partial character.
const CUT_BYTES: usize = 64 - 3;

/// Whether a bound of a string may be truncated.
#[must_use]
pub(crate) fn may_be_cut(bound: &str) -> bool {
    bound.len() >= CUT_BYTES || bound.chars().count() >= CUT_CHARS
}

/// Columns with at least one bound that cannot be trusted.
pub(super) fn doubted(schema: &Schema, adds: &[Add]) -> BTreeSet<String> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Bounds {
        min_values: BTreeMap<String, Value>,
        max_values: BTreeMap<String, Value>,
    }
    let mut doubted = BTreeSet::new();
    for stats in adds.iter().filter(|add| !is_marked(add)).filter_map(|add| add.stats.as_deref()) {
        let bounds: Bounds = serde_json::from_str(stats).unwrap_or_default();
        let columns = bounds.min_values.into_iter().chain(bounds.max_values);
        doubted.extend(columns.filter(|(name, bound)| is_doubtful(schema, name, bound)).map(|(name, _)| name));
    }
    doubted
}

fn is_doubtful(schema: &Schema, name: &str, bound: &Value) -> bool {
    let data_type = schema.field_with_name(name).map(|field| field.data_type());
    !bound.is_null() && data_type.is_ok_and(|data_type| of_type(data_type, bound))
}

fn of_type(data_type: &DataType, bound: &Value) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| {
            let bound = &bound[field.name()];
            !bound.is_null() && of_type(field.data_type(), bound)
        }),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => bound.as_str().is_none_or(may_be_cut),
        other => !(other.is_integer() || matches!(other, DataType::Boolean | DataType::Date32)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use deltalake::arrow::datatypes::{Field, TimeUnit};
    use serde_json::json;

    use super::super::statistics::marks;
    use super::*;

    fn add(stats: &Value, tags: Option<HashMap<String, Option<String>>>) -> Add {
        let text = json!({"path": "f", "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": true});
        Add { stats: Some(stats.to_string()), tags, ..serde_json::from_value(text).expect("an add") }
    }

    #[test]
    fn what_others_get_wrong_is_believed_of_ours_only() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let inner = vec![Field::new("i", DataType::Int64, true), Field::new("d", DataType::Decimal128(9, 2), true)];
        let schema = Schema::new(vec![
            Field::new("long", DataType::Int64, true),
            Field::new("day", DataType::Date32, true),
            Field::new("price", DataType::Decimal128(9, 2), true),
            Field::new("at", utc, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("cut", DataType::Utf8, true),
            Field::new("inner", DataType::Struct(inner.into()), true),
        ]);
        let long = "x".repeat(32);
        let bounds = json!({"long": 1, "day": "2026-01-01", "price": 1.5, "at": "2026-01-01T00:00:00Z", "name": "a",
            "cut": long, "inner": {"i": 1}, "gone": 1.5});
        let stats = json!({"minValues": bounds, "maxValues": {"inner": {"d": 1.5}, "name": null}});
        let told = |tags| doubted(&schema, &[add(&stats, tags)]).into_iter().collect::<Vec<_>>();
        assert_eq!(told(None), ["at", "cut", "inner", "price"]);
        assert_eq!(told(Some(marks())), Vec::<String>::new());
    }
}
