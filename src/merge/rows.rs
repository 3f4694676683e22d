//! Selects the deleted rows of a file.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use deltalake::arrow::row::{Row, RowConverter, SortField};
use deltalake::datafusion::common::HashMap;
use futures::TryStreamExt;
use tokio::task::spawn_blocking;

use super::change::RowChange;
use super::feed::CdcChange;
use crate::error::{Context, Result};
use crate::lake::{LakeTable, conform, worked_at_once};

/// The position of a batch: its first row and the path of its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    /// Relative to the table.
    pub path: &'a str,
    /// In the batch before the probe excluded rows.
    pub row: usize,
}

/// Selects the deleted rows of a batch. Only called on rows that the probe did not exclude.
pub(super) trait DeletePredicate: Send + Sync {
    /// False if no row of the file is deleted.
    fn may_be_in(&self, _path: &str) -> bool {
        true
    }

    /// True for each deleted row.
    ///
    /// # Errors
    /// When the rows cannot be compared.
    fn goes(&self, at: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray>;
}

/// Equality of floating-point numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floats {
    /// Bit-identical numbers are equal.
    Exact,
    /// As in the engine's grouping: all NaNs are equal, and -0.0 equals 0.0. The sign of a group's zero is then
    /// undefined, so a deleted row may have another zero than the stored row.
    Grouped,
}

/// Memory of one row of a [`RowMultiset`]: key and count, and the spare capacity of a hash map.
pub(super) const COUNTED_BYTES: usize = 64;

/// One of several partitions of the deleted rows, of about equal size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Its number, from 0.
    pub part: u64,
    /// The number of partitions.
    pub parts: u64,
}

impl Part {
    /// All rows.
    pub(super) const WHOLE: Self = Self { part: 0, parts: 1 };

    fn has(self, hash: u128) -> bool {
        hash % u128::from(self.parts) == u128::from(self.part)
    }
}

/// Whole rows with the number of copies still to delete. NULL equals NULL. Rows are identified by 128-bit hashes: the
/// probability of a collision is below 10^-20 at 10^9 rows.
pub(super) struct RowMultiset {
    hashes: Arc<Hashes>,
    counts: Mutex<HashMap<u128, u64>>,
}

impl RowMultiset {
    /// Counts the deleted rows of `change`.
    ///
    /// # Errors
    /// When a column type cannot be compared, or the rows cannot be read back.
    pub(super) async fn new(table: &LakeTable, change: &RowChange, floats: Floats, part: Part) -> Result<Self> {
        let hashes = Arc::new(Hashes::new(table.schema(), floats)?);
        // A map that grows hashes all its rows again at each doubling.
        let mut counts = HashMap::with_capacity(usize::try_from(change.deletes() / part.parts).unwrap_or(0));
        let of_batch = |batch: RecordBatch| {
            let hashes = Arc::clone(&hashes);
            let hashed = spawn_blocking(move || hashes.of(&batch));
            async move { hashed.await.context(doing)? }
        };
        let mut gone =
            change.rows(CdcChange::Delete).map_ok(of_batch).try_buffered(worked_at_once(Some(change.widest())));
        while let Some(hashes) = gone.try_next().await? {
            for hash in hashes.into_iter().filter(|hash| part.has(*hash)) {
                *counts.entry(hash).or_insert(0) += 1;
            }
        }
        drop(gone);
        Ok(Self { hashes, counts: Mutex::new(counts) })
    }

    /// Copies that were not found.
    pub(super) fn left(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// True for each deleted row: each copy is found once.
    ///
    /// # Errors
    /// When the rows cannot be compared.
    pub(super) fn find(&self, candidates: &RecordBatch) -> Result<BooleanArray> {
        let hashes = self.hashes.of(&conform(candidates, &self.hashes.schema)?)?;
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

/// The hashes of whole rows.
struct Hashes {
    schema: SchemaRef,
    floats: Floats,
    converter: RowConverter,
}

impl Hashes {
    fn new(schema: SchemaRef, floats: Floats) -> Result<Self> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields).context(doing)?;
        Ok(Self { schema, floats, converter })
    }

    fn of(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        Ok(convert(&self.converter, batch, self.floats)?.iter().map(hashed).collect())
    }
}

fn doing() -> String {
    "rows of this table cannot be compared".into()
}

/// The hash that identifies rows and keys.
pub(crate) fn hashed(row: Row<'_>) -> u128 {
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

/// Floating-point numbers with one zero and one NaN, as in SQL's equality; other columns unchanged.
pub(crate) fn grouped(column: &ArrayRef) -> ArrayRef {
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
pub(super) struct Predicate<F>(pub F);

impl<F: Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync> DeletePredicate for Predicate<F> {
    fn goes(&self, _: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray> {
        (self.0)(candidates)
    }
}
