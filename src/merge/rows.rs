//! Which rows of a file go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use deltalake::arrow::array::{BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::SchemaRef;
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

/// Whole rows with how many copies of each are still to go. Values are compared by their bits, so that -0.0, NaN and
/// NULL each match only themselves.
pub struct Counted {
    schema: SchemaRef,
    converter: RowConverter,
    counts: Mutex<HashMap<Box<[u8]>, u64>>,
}

impl Counted {
    /// Counts the rows of `batches`.
    ///
    /// # Errors
    /// When the rows do not fit the schema or a column type cannot be compared.
    pub fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields).context(|| "rows of this table cannot be compared".into())?;
        let mut counts = HashMap::new();
        for batch in batches {
            let rows = convert(&converter, &conform(batch, schema)?)?;
            for row in &rows {
                *counts.entry(Box::from(row.as_ref())).or_insert(0) += 1;
            }
        }
        Ok(Self { schema: schema.clone(), converter, counts: Mutex::new(counts) })
    }

    /// Copies that were not found.
    pub fn left(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

fn convert(converter: &RowConverter, batch: &RecordBatch) -> Result<deltalake::arrow::row::Rows> {
    converter.convert_columns(batch.columns()).context(|| "rows of this table cannot be compared".into())
}

impl Goes for Counted {
    fn goes(&self, candidates: &RecordBatch) -> Result<BooleanArray> {
        let rows = convert(&self.converter, &conform(candidates, &self.schema)?)?;
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
