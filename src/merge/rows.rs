//! Which rows of a file go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use deltalake::arrow::row::{Row, RowConverter, SortField};
use futures::TryStreamExt;

use super::change::RowChange;
use super::feed::CdcChange;
use crate::error::{Context, Result};
use crate::lake::{LakeTable, conform};

/// Where a batch stands: from this row on of the file of this path.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Relative to the table.
    pub path: &'a str,
    /// Of the batch before the probe ruled rows out.
    pub row: usize,
}

/// Says which rows of a batch go. Only asked about rows that the probe did not rule out.
pub trait DeletePredicate: Send + Sync {
    /// False where no row of the file goes.
    fn may_be_in(&self, _path: &str) -> bool {
        true
    }

    /// True for each row that goes.
    ///
    /// # Errors
    /// When the rows cannot be compared.
    fn goes(&self, at: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray>;
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

/// Bytes that one row of a [`RowMultiset`] takes in memory: key and count, and the room that a hash map leaves.
pub const COUNTED_BYTES: usize = 64;

/// One of several parts of the rows that go, of about the same size.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Which one, from 0.
    pub part: u64,
    /// How many there are.
    pub parts: u64,
}

impl Part {
    /// All rows.
    pub const WHOLE: Self = Self { part: 0, parts: 1 };

    fn has(self, hash: u128) -> bool {
        hash % u128::from(self.parts) == u128::from(self.part)
    }
}

/// Whole rows with how many copies of each are still to go. NULL equals NULL. Rows are told apart by 128-bit hashes: two
/// different ones share one with a chance below 10^-20 at 10^9 rows.
pub struct RowMultiset {
    schema: SchemaRef,
    floats: Floats,
    converter: RowConverter,
    counts: Mutex<HashMap<u128, u64>>,
}

impl RowMultiset {
    /// Counts the rows of `change` that go.
    ///
    /// # Errors
    /// When a column type cannot be compared, or the rows cannot be read back.
    pub async fn new(table: &LakeTable, change: &RowChange, floats: Floats, part: Part) -> Result<Self> {
        let schema = table.schema();
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields).context(doing)?;
        let mut counts = HashMap::new();
        let mut gone = change.rows(CdcChange::Delete);
        while let Some(batch) = gone.try_next().await? {
            for row in &convert(&converter, &batch, floats)? {
                let hash = hashed(row);
                if part.has(hash) {
                    *counts.entry(hash).or_insert(0) += 1;
                }
            }
        }
        Ok(Self { schema, floats, converter, counts: Mutex::new(counts) })
    }

    /// Copies that were not found.
    pub fn left(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// True for each row that goes: each copy is found once.
    ///
    /// # Errors
    /// When the rows cannot be compared.
    pub fn find(&self, candidates: &RecordBatch) -> Result<BooleanArray> {
        let rows = convert(&self.converter, &conform(candidates, &self.schema)?, self.floats)?;
        let hashes: Vec<u128> = rows.iter().map(hashed).collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |hash: &u128| match counts.get_mut(hash).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                Some(true)
            }
            None => Some(false),
        };
        Ok(hashes.iter().map(found).collect())
    }
}

fn doing() -> String {
    "rows of this table cannot be compared".into()
}

/// The hash by which rows and keys are told apart.
pub fn hashed(row: Row<'_>) -> u128 {
    let mut first = [0_u8; 16];
    first.copy_from_slice(&blake3::hash(row.as_ref()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

fn convert(converter: &RowConverter, batch: &RecordBatch, floats: Floats) -> Result<deltalake::arrow::row::Rows> {
    let columns: Vec<ArrayRef> = match floats {
        Floats::Exact => batch.columns().to_vec(),
        Floats::Grouped => batch.columns().iter().map(grouped).collect(),
    };
    converter.convert_columns(&columns).context(doing)
}

/// Floating-point numbers with one zero and one NaN, as SQL takes them for equal; other columns as they are.
pub fn grouped(column: &ArrayRef) -> ArrayRef {
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

impl DeletePredicate for RowMultiset {
    fn goes(&self, _: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray> {
        self.find(candidates)
    }
}

/// Any condition.
pub struct Predicate<F>(pub F);

impl<F: Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync> DeletePredicate for Predicate<F> {
    fn goes(&self, _: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray> {
        (self.0)(candidates)
    }
}
