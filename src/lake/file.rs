//! A data file, as the log of a table describes it.

use deltalake::kernel::{Add, DeletionVectorDescriptor};

use super::log::num_records;
use super::statistics::{is_full, is_marked, sorted_by, tail_of, widest_of};

/// A data file of a version.
#[derive(Clone, Debug)]
pub struct DeltaFile {
    /// Path relative to the table, independent of its spelling in the log.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, if the log has the count.
    pub rows: Option<u64>,
    /// Statistics as the JSON of the protocol's "Per-file Statistics".
    pub stats: Option<String>,
    /// The deletion vector that hides some of its rows: with another one, the same file holds other rows.
    pub deletion_vector: Option<String>,
    /// Whether the statistics are ours: bounds of all types can be trusted.
    pub is_vouched: bool,
    /// Bytes of its end with bloom filters and footer, if the log has the length.
    pub tail: Option<u64>,
    /// The most bytes of texts and lists in a row, if the log says that it has wide ones.
    pub widest: Option<u64>,
    /// When it was written, ms since the epoch.
    pub modified_ms: i64,
    /// Whether an optimization closed it because it was full.
    pub is_full: bool,
    /// The columns by which an optimization sorted it, separated by commas.
    pub sorted_by: Option<String>,
}

impl From<&Add> for DeltaFile {
    fn from(add: &Add) -> Self {
        Self::of(add.clone(), add.stats.as_deref().and_then(num_records))
    }
}

impl DeltaFile {
    /// A file that no log describes.
    #[must_use]
    pub fn bare(path: String, size: u64) -> Self {
        Self {
            path,
            size,
            rows: None,
            stats: None,
            deletion_vector: None,
            is_vouched: false,
            tail: None,
            widest: None,
            modified_ms: 0,
            is_full: false,
            sorted_by: None,
        }
    }

    /// The error of a file whose bytes or rows cannot be read.
    #[must_use]
    pub(crate) fn unreadable(&self) -> String {
        format!("data file `{}` cannot be read", self.path)
    }

    /// The file of an add, with its rows.
    pub(super) fn of(add: Add, rows: Option<u64>) -> Self {
        let (is_vouched, tail, widest) = (is_marked(&add), tail_of(&add), widest_of(add.tags.as_ref()));
        let deletion_vector = add.deletion_vector.as_ref().map(identity);
        let (modified_ms, is_full, sorted_by) = (add.modification_time, is_full(&add), sorted_by(&add));
        let (path, size, stats) = (add.path, add.size.unsigned_abs(), add.stats);
        Self { path, size, rows, stats, deletion_vector, is_vouched, tail, widest, modified_ms, is_full, sorted_by }
    }
}

/// Identifies a deletion vector.
pub(super) fn identity(vector: &DeletionVectorDescriptor) -> String {
    format!("{}@{}", vector.path_or_inline_dv, vector.offset.unwrap_or_default())
}
