//! Rows that are computed while others are written: merging sorted rows and encoding them each take one processor.

use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::datafusion::common::runtime::SpawnedTask;
use deltalake::datafusion::common::{DataFusionError, Result};
use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::stream::unfold;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of rows, with those being written, from which on no others are computed. Below, one more batch is. Wide rows come one
/// batch at a time: beside two of them a large sort would exceed the memory limit.
const AHEAD_BYTES: usize = 2 << 20;

/// A batch, and its share of these bytes.
type Computed = (Result<RecordBatch>, OwnedSemaphorePermit);

struct Ahead {
    computed: UnboundedReceiver<Computed>,
    /// Dropping it stops the computation.
    computing: Option<SpawnedTask<()>>,
    /// The share of the batch being written.
    written: Option<OwnedSemaphorePermit>,
}

/// The same rows in the same order, computed in a task of their own.
pub(super) fn ahead(rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let (sender, computed) = unbounded_channel();
    let computing = SpawnedTask::spawn(async move {
        let (mut rows, room) = (rows, Arc::new(Semaphore::new(AHEAD_BYTES)));
        while let Ok(mut share) = Arc::clone(&room).acquire_owned().await {
            let Some(batch) = rows.next().await else { return };
            let bytes = batch.as_ref().map_or(0, RecordBatch::get_array_memory_size).clamp(1, AHEAD_BYTES);
            let Ok(more) = Arc::clone(&room).acquire_many_owned(u32::try_from(bytes - 1).unwrap_or(0)).await else {
                return;
            };
            share.merge(more);
            let is_last = batch.is_err();
            if sender.send((batch, share)).is_err() || is_last {
                return;
            }
        }
    });
    let ahead = Ahead { computed, computing: Some(computing), written: None };
    Box::pin(RecordBatchStreamAdapter::new(schema, unfold(ahead, next).fuse()))
}

async fn next(mut ahead: Ahead) -> Option<(Result<RecordBatch>, Ahead)> {
    ahead.written = None;
    if let Some((batch, share)) = ahead.computed.recv().await {
        ahead.written = Some(share);
        return Some((batch, ahead));
    }
    // A task that panicked has not computed all rows.
    match ahead.computing.take()?.join().await {
        Ok(()) => None,
        Err(cause) => Some((Err(DataFusionError::ExecutionJoin(Box::new(cause))), ahead)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use deltalake::arrow::array::{ArrayRef, Int64Array};
    use deltalake::arrow::datatypes::{DataType, Field, Schema};
    use futures::{TryStreamExt, stream};

    use super::*;

    /// Batches of this many rows of eight bytes, numbered, and a count of those that were computed.
    fn numbered(batches: i64, rows: usize) -> (SendableRecordBatchStream, Arc<AtomicUsize>) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let (computed, of) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&schema));
        let count = Arc::clone(&computed);
        let batch = move |n| {
            assert!(n >= 0, "a batch that cannot be computed");
            count.fetch_add(1, Ordering::SeqCst);
            let column: ArrayRef = Arc::new(Int64Array::from_value(n, rows));
            Ok(RecordBatch::try_new(Arc::clone(&of), vec![column])?)
        };
        let numbers = (0..batches.abs()).chain((batches < 0).then_some(-1));
        (Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(numbers).map(batch))), computed)
    }

    fn number(batch: &RecordBatch) -> i64 {
        batch.column(0).as_any().downcast_ref::<Int64Array>().expect("numbers").value(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_rows_come_in_their_order() {
        let (rows, _) = numbered(1000, 3);
        let batches: Vec<RecordBatch> = ahead(rows).try_collect().await.expect("rows");
        assert!(batches.iter().map(number).eq(0..1000));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_whose_computation_panics_are_an_error_and_not_an_end() {
        let (rows, _) = numbered(-3, 3);
        let found: Vec<Result<RecordBatch>> = ahead(rows).collect().await;
        assert_eq!((found.len(), found.iter().filter(|batch| batch.is_ok()).count()), (4, 3));
        assert!(matches!(found.last(), Some(Err(DataFusionError::ExecutionJoin(_)))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_computed_after_an_error() {
        let (rows, computed) = numbered(9, 3);
        let schema = rows.schema();
        let failed = stream::iter([Err(DataFusionError::Internal("a file is gone".into()))]);
        let rows = RecordBatchStreamAdapter::new(schema, failed.chain(rows));
        let found: Vec<Result<RecordBatch>> = ahead(Box::pin(rows)).collect().await;
        assert!(matches!(found.as_slice(), [Err(_)]));
        assert_eq!(computed.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_are_computed_than_fit() {
        for (rows, most) in [(AHEAD_BYTES / 8, 1), (AHEAD_BYTES / 64, 9)] {
            let (rows, computed) = numbered(100, rows);
            let mut rows = ahead(rows);
            for n in 0..5 {
                assert_eq!(number(&rows.try_next().await.expect("rows").expect("a batch")), n);
                tokio::time::sleep(Duration::from_millis(20)).await;
                let ahead = computed.load(Ordering::SeqCst) as i64 - n;
                assert!(ahead <= most, "{ahead} batches are held, {most} fit");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_stops_reading_stops_the_computation() {
        let (rows, computed) = numbered(1_000_000, 3);
        let mut rows = ahead(rows);
        rows.try_next().await.expect("rows");
        drop(rows);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let stopped = computed.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(computed.load(Ordering::SeqCst), stopped);
    }
}
