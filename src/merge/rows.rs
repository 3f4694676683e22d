//! Which rows of a file go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use deltalake::arrow::row::{RowConverter, SortField};

use crate::error::{Context, Result};
use crate::lake::conform;

/// Says which rows of a batch go. Only asked about rows that the probe did not rule out.
pub trait Goes: Send + Sync {
    /// True for each row that goes.
    ///
    /// # Errors
    /// When the rows cannot be compared.
    fn goes(&self, candidates: &RecordBatch) -> Result<BooleanArray>;
}

/// Which floating-point numbers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floats {
    /// Those of the same bits.
    Exact,
    /// As the engine groups them: every NaN equals every other one, and -0.0 equals 0.0. Which of the two zeros stands
    /// for a group is left open there, so a row that goes may carry the other one than the row that is stored.
    Grouped,
}

/// Whole rows with how many copies of each are still to go. NULL equals NULL.
pub struct Counted {
    schema: SchemaRef,
    floats: Floats,
    converter: RowConverter,
    counts: Mutex<HashMap<Box<[u8]>, u64>>,
}

impl Counted {
    /// Counts the rows of `batches`.
    ///
    /// # Errors
    /// When the rows do not fit the schema or a column type cannot be compared.
    pub fn new(schema: &SchemaRef, batches: &[RecordBatch], floats: Floats) -> Result<Self> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields).context(|| "rows of this table cannot be compared".into())?;
        let mut counts = HashMap::new();
        for batch in batches {
            let rows = convert(&converter, &conform(batch, schema)?, floats)?;
            for row in &rows {
                *counts.entry(Box::from(row.as_ref())).or_insert(0) += 1;
            }
        }
        Ok(Self { schema: schema.clone(), floats, converter, counts: Mutex::new(counts) })
    }

    /// Copies that were not found.
    pub fn left(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

fn convert(converter: &RowConverter, batch: &RecordBatch, floats: Floats) -> Result<deltalake::arrow::row::Rows> {
    let columns: Vec<ArrayRef> = match floats {
        Floats::Exact => batch.columns().to_vec(),
        Floats::Grouped => batch.columns().iter().map(grouped).collect(),
    };
    converter.convert_columns(&columns).context(|| "rows of this table cannot be compared".into())
}

/// Floating point numbers with one zero and one NaN; other columns as they are.
fn grouped(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        _ => Arc::clone(column),
    }
}

impl Goes for Counted {
    fn goes(&self, candidates: &RecordBatch) -> Result<BooleanArray> {
        let rows = convert(&self.converter, &conform(candidates, &self.schema)?, self.floats)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows
            .iter()
            .map(|row| match counts.get_mut(row.as_ref()) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    Some(true)
                }
                _ => Some(false),
            })
            .collect())
    }
}

/// Any condition.
pub struct Predicate<F>(pub F);

impl<F: Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync> Goes for Predicate<F> {
    fn goes(&self, candidates: &RecordBatch) -> Result<BooleanArray> {
        (self.0)(candidates)
    }
}
