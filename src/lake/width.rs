//! The bytes of the widest row of a file, so that readers take only as many rows at a time as fit.
//!
//! The engine cuts batches by rows: 8192 of them, of any size, wherever it reads, joins, filters or repartitions. With
//! rows of a megabyte that exceeds any memory. If a table has such rows, its batches have fewer rows.

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use deltalake::arrow::datatypes::{ArrowNativeType, DataType, Fields};
use deltalake::datafusion::catalog::Session;
use deltalake::datafusion::execution::SessionState;
use deltalake::datafusion::prelude::SessionContext;

use super::table::DeltaFile;
use crate::bounded::OutputLimit;

/// Rows up to this size are not recorded in the log: their batches have the usual number of rows.
pub(super) const USUAL: u64 = 1 << 10;
/// A batch of the widest rows may take a quarter of a function's output limit: several batches are in flight at a time.
const OF_LIMIT: u64 = 4;
/// With batches of at most this many rows, which fill them, files are read one after the other, and everything runs in one
/// partition: a reader holds a row group, a page and a batch, and each operator some rows.
const ROWS_IN_TURN: usize = 4;
/// Files with a row of this size are rewritten one after the other.
const BYTES_IN_TURN: u64 = 4 << 20;

/// The bytes of texts and lists in each row of a batch.
pub(super) fn sizes(batch: &RecordBatch) -> Vec<u64> {
    let mut sizes = vec![0; batch.num_rows()];
    batch.columns().iter().for_each(|column| measure(column, &mut sizes));
    sizes
}

/// The bytes of texts and lists in the widest row of a batch.
#[must_use]
pub(crate) fn widest(batch: &RecordBatch) -> u64 {
    sizes(batch).into_iter().max().unwrap_or(0)
}

/// How many of the first rows of these sizes fit, at least one.
pub(super) fn leading(sizes: &[u64], bytes: u64) -> usize {
    let mut sum = 0_u64;
    let fits = |size: &&u64| {
        sum = sum.saturating_add(**size);
        sum <= bytes
    };
    sizes.iter().take_while(fits).count().max(1)
}

/// Adds each row's bytes in a column to its size.
fn measure(column: &ArrayRef, sizes: &mut [u64]) {
    match column.data_type() {
        DataType::Utf8 => lengths(column.as_string::<i32>().offsets(), sizes),
        DataType::Binary => lengths(column.as_binary::<i32>().offsets(), sizes),
        DataType::Struct(_) => column.as_struct().columns().iter().for_each(|inner| measure(inner, sizes)),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            inner(list.values(), list.offsets(), sizes);
        }
        DataType::Map(..) => {
            let map = column.as_map();
            map.entries().columns().iter().for_each(|entries| inner(entries, map.offsets(), sizes));
        }
        _ => {}
    }
}

fn lengths(offsets: &[i32], sizes: &mut [u64]) {
    for (size, ends) in sizes.iter_mut().zip(offsets.windows(2)) {
        *size += (ends[1] - ends[0]).as_usize() as u64;
    }
}

/// The content of lists: 8 bytes per element of any type, and its texts.
fn inner(elements: &ArrayRef, offsets: &[i32], sizes: &mut [u64]) {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
    let first = first.as_usize();
    // The rows may be a slice of a larger batch.
    let elements = elements.slice(first, last.as_usize() - first);
    let mut each = vec![8; elements.len()];
    measure(&elements, &mut each);
    for (size, ends) in sizes.iter_mut().zip(offsets.windows(2)) {
        let elements = each.get(ends[0].as_usize() - first..ends[1].as_usize() - first).unwrap_or_default();
        *size += elements.iter().sum::<u64>();
    }
}

/// Bytes of a row without its texts and lists.
pub(super) fn fixed(fields: &Fields) -> u64 {
    let of = |of: &DataType| match of {
        DataType::Struct(fields) => fixed(fields),
        _ => 8,
    };
    fields.iter().map(|field| of(field.data_type())).sum()
}

/// Reduces the session's rows per batch so that a batch of rows of this size is bounded.
pub(super) fn narrow(session: &SessionContext, widest: u64) {
    if widest <= USUAL {
        return;
    }
    let state = session.state_ref();
    let mut state = state.write();
    let config = state.config_mut();
    let rows = rows(OutputLimit::within(config.options()) / OF_LIMIT, widest);
    *config = config.clone().with_batch_size(config.batch_size().min(rows));
    if rows <= ROWS_IN_TURN {
        *config = config.clone().with_repartition_file_scans(false).with_round_robin_repartition(false);
        // With one partition the engine plans hash joins even if merge joins are requested.
        if config.options().optimizer.prefer_hash_join {
            *config = config.clone().with_target_partitions(1);
        }
    }
}

/// The session for a scan whose files are not to be read concurrently; `None` if they may.
#[must_use]
pub(crate) fn in_turn(session: &dyn Session) -> Option<SessionState> {
    if session.config_options().optimizer.repartition_file_scans {
        return None;
    }
    let mut state = session.as_any().downcast_ref::<SessionState>()?.clone();
    *state.config_mut() = state.config().clone().with_target_partitions(1);
    Some(state)
}

/// How many of these files may be rewritten concurrently.
#[must_use]
pub(crate) fn rewritten_at_once(files: &[DeltaFile]) -> usize {
    worked_at_once(files.iter().filter_map(|file| file.widest).max())
}

/// How many batches may be worked at concurrently, if this is the widest of their rows.
#[must_use]
pub(crate) fn worked_at_once(widest: Option<u64>) -> usize {
    match widest {
        Some(BYTES_IN_TURN..) => 1,
        _ => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
    }
}

/// How many rows of this size fit, at least one.
pub(super) fn rows(bytes: u64, widest: u64) -> usize {
    usize::try_from(bytes / widest.max(1)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use deltalake::arrow::datatypes::{Field, Int64Type};

    use super::*;
    use crate::lake::{Joins, SessionOptions};

    #[test]
    fn at_least_one_row_fits() {
        assert_eq!(leading(&[1, 2, 3, 4], 6), 3);
        assert_eq!(leading(&[1, 2, 3, 4], 5), 2);
        assert_eq!(leading(&[9, 2], 5), 1);
        assert_eq!(leading(&[u64::MAX, u64::MAX], u64::MAX - 1), 1);
        assert_eq!(leading(&[0; 9], 0), 9);
    }

    #[test]
    fn files_of_very_wide_rows_are_read_in_turn() {
        let session = crate::lake::session(SessionOptions::limited(128 << 20), &[]).expect("a session");
        let at_once = || in_turn(&session.state()).map(|state| state.config().target_partitions());
        narrow(&session, 1 << 20);
        assert_eq!((session.state().config().batch_size(), at_once()), (16, None));
        narrow(&session, 5 << 20);
        assert_eq!((session.state().config().batch_size(), at_once()), (3, Some(1)));
        assert_eq!(session.state().config().target_partitions(), 1);
        let options = SessionOptions { joins: Joins::SortMerge, ..SessionOptions::limited(128 << 20) };
        let session = crate::lake::session(options, &[]).expect("a session");
        narrow(&session, 5 << 20);
        assert!(session.state().config().target_partitions() > 1);
        let file = |widest| DeltaFile { widest, ..DeltaFile::bare("f".into(), 1) };
        assert!(rewritten_at_once(&[file(None), file(Some(1 << 20))]) >= 1);
        assert_eq!(rewritten_at_once(&[file(None), file(Some(5 << 20))]), 1);
    }

    #[test]
    fn the_widest_row_is_found_whatever_holds_its_bytes() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("xx"), None, Some("xxxxx"), Some("x")]));
        let numbers = |counts: [usize; 4]| -> ArrayRef {
            let lists = counts.map(|count| Some(vec![Some(1); count]));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        };
        let inside = |inner: &ArrayRef| -> ArrayRef {
            let field = Arc::new(Field::new("inner", inner.data_type().clone(), true));
            Arc::new(StructArray::from(vec![(field, inner.clone())]))
        };
        let plain: ArrayRef = Arc::new(Int64Array::from(vec![1; 4]));
        for (columns, expected) in [
            (vec![plain.clone()], 0),
            (vec![plain, texts.clone()], 5),
            (vec![texts.clone(), inside(&texts)], 10),
            (vec![texts.clone(), numbers([0, 3, 1, 0])], 24),
            (vec![inside(&numbers([5, 0, 0, 0])), texts], 42),
        ] {
            let named = columns.iter().enumerate().map(|(n, column)| (format!("c{n}"), column.clone()));
            let batch = RecordBatch::try_from_iter(named).expect("rows");
            let sizes = sizes(&batch);
            assert_eq!(sizes.iter().max(), Some(&expected));
            let each = (0..4).flat_map(|row| super::sizes(&batch.slice(row, 1))).collect::<Vec<_>>();
            assert_eq!(each, sizes, "row by row");
        }
    }
}
