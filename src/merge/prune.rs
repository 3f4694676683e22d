//! Which files can hold a row that goes: first by the statistics in the log, then by one column's values.

use std::collections::HashSet;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Int64Type, SchemaRef};

use crate::error::{Context, Result};
use crate::lake::DeltaFile;

/// Values of one column, by which rows and files are ruled out.
#[derive(Clone, Debug)]
pub struct Probe {
    column: String,
    values: Values,
    has_null: bool,
}

#[derive(Clone, Debug)]
enum Values {
    /// Sorted, and as a set.
    Strings(Vec<String>, HashSet<String>),
    /// Sorted, and as a set: all integer types and dates.
    Integers(Vec<i64>, HashSet<i64>),
    /// No column can rule anything out.
    Any,
}

impl Probe {
    /// A probe on a string column.
    pub fn of_strings(column: &str, values: impl IntoIterator<Item = String>) -> Self {
        let set: HashSet<String> = values.into_iter().collect();
        Self { column: column.to_owned(), values: Values::strings(set), has_null: false }
    }

    /// The column with the fewest distinct values among the rows that go.
    pub fn best(schema: &SchemaRef, rows: &[RecordBatch]) -> Result<Self> {
        let mut best = Self { column: String::new(), values: Values::Any, has_null: false };
        for (index, field) in schema.fields().iter().enumerate() {
            let (strings, integers) = match field.data_type() {
                DataType::Utf8 => (true, false),
                DataType::Int64 | DataType::Int32 | DataType::Int16 | DataType::Int8 => (false, true),
                _ => continue,
            };
            let mut has_null = false;
            let mut string_set = HashSet::new();
            let mut integer_set = HashSet::new();
            for batch in rows {
                let column = batch.column(index);
                has_null |= column.null_count() > 0;
                if strings {
                    let column = as_type(column, &DataType::Utf8)?;
                    for value in column.as_string::<i32>().iter().flatten() {
                        if !string_set.contains(value) {
                            string_set.insert(value.to_owned());
                        }
                    }
                }
                if integers {
                    let column = as_type(column, &DataType::Int64)?;
                    integer_set.extend(column.as_primitive::<Int64Type>().iter().flatten());
                }
            }
            let values = if strings { Values::strings(string_set) } else { Values::integers(integer_set) };
            if values.len() < best.values.len() {
                best = Self { column: field.name().clone(), values, has_null };
            }
        }
        Ok(best)
    }

    /// The column to read first; `None` when no column helps.
    pub fn column(&self) -> Option<&str> {
        (!matches!(self.values, Values::Any)).then_some(self.column.as_str())
    }

    /// Whether the statistics of `file` leave room for one of the values.
    pub fn may_be_in(&self, file: &DeltaFile) -> bool {
        let Some(stats) = file.stats.as_deref().and_then(|s| serde_json::from_str::<serde_json::Value>(s).ok()) else {
            return true;
        };
        if self.has_null && stats["nullCount"][&self.column].as_u64() != Some(0) {
            return true;
        }
        let (min, max) = (&stats["minValues"][&self.column], &stats["maxValues"][&self.column]);
        match &self.values {
            // Long strings have their maximum cut and rounded up, so a range test stays safe.
            Values::Strings(sorted, _) => match (min.as_str(), max.as_str()) {
                (Some(min), Some(max)) => {
                    let first = sorted.partition_point(|v| v.as_str() < min);
                    sorted.get(first).is_some_and(|v| v.as_str() <= max)
                }
                _ => true,
            },
            Values::Integers(sorted, _) => match (min.as_i64(), max.as_i64()) {
                (Some(min), Some(max)) => {
                    let first = sorted.partition_point(|v| *v < min);
                    sorted.get(first).is_some_and(|v| *v <= max)
                }
                _ => true,
            },
            Values::Any => true,
        }
    }

    /// Which rows have one of the values in the probe's column.
    pub fn hits(&self, column: &ArrayRef) -> Result<BooleanArray> {
        Ok(match &self.values {
            Values::Strings(_, set) => {
                let column = as_type(column, &DataType::Utf8)?;
                let column = column.as_string::<i32>();
                column.iter().map(|v| Some(v.map_or(self.has_null, |v| set.contains(v)))).collect()
            }
            Values::Integers(_, set) => {
                let column = as_type(column, &DataType::Int64)?;
                let column = column.as_primitive::<Int64Type>();
                column.iter().map(|v| Some(v.map_or(self.has_null, |v| set.contains(&v)))).collect()
            }
            Values::Any => BooleanArray::from(vec![true; column.len()]),
        })
    }
}

impl Values {
    fn strings(set: HashSet<String>) -> Self {
        let mut sorted: Vec<String> = set.iter().cloned().collect();
        sorted.sort_unstable();
        Self::Strings(sorted, set)
    }

    fn integers(set: HashSet<i64>) -> Self {
        let mut sorted: Vec<i64> = set.iter().copied().collect();
        sorted.sort_unstable();
        Self::Integers(sorted, set)
    }

    fn len(&self) -> usize {
        match self {
            Self::Strings(sorted, _) => sorted.len(),
            Self::Integers(sorted, _) => sorted.len(),
            Self::Any => usize::MAX,
        }
    }
}

fn as_type(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if column.data_type() == wanted {
        return Ok(column.clone());
    }
    cast(column, wanted).context(|| "a column cannot be compared".into())
}
