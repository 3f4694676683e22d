//! Streams of rows on their way into files: sorted by the clustering columns, with weights spread out into copies.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::{AsArray, Int64Array, RecordBatch, UInt64Array};
use deltalake::arrow::compute::take_record_batch;
use deltalake::arrow::datatypes::{Int64Type, SchemaRef};
use deltalake::datafusion::catalog::streaming::StreamingTable;
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::logical_expr::{SortExpr, ident};
use deltalake::datafusion::physical_plan::EmptyRecordBatchStream;
use deltalake::datafusion::physical_plan::streaming::PartitionStream;
use deltalake::datafusion::prelude::SessionContext;

use crate::error::{Context, Error, Kind, Result};
use crate::merge::RowChange;

/// The order in which a table's rows are written.
fn order(cluster_by: &[String]) -> Vec<SortExpr> {
    cluster_by.iter().map(|column| ident(column).sort(true, true)).collect()
}

/// A stream in the order of `cluster_by`, spilling where it does not fit.
pub async fn sorted(
    stream: SendableRecordBatchStream,
    cluster_by: &[String],
    session: &SessionContext,
) -> Result<SendableRecordBatchStream> {
    if cluster_by.is_empty() {
        return Ok(stream);
    }
    let doing = || "new rows cannot be sorted by `cluster_by`".to_owned();
    let schema = stream.schema();
    let once: Arc<dyn PartitionStream> = Arc::new(Once { schema: schema.clone(), stream: Mutex::new(Some(stream)) });
    let table = StreamingTable::try_new(schema, vec![once]).context(doing)?;
    let frame = session.read_table(Arc::new(table)).and_then(|f| f.sort(order(cluster_by))).context(doing)?;
    frame.execute_stream().await.context(doing)
}

/// A stream as a relation that can be read once.
struct Once {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream.unwrap_or_else(|| Box::pin(EmptyRecordBatchStream::new(self.schema.clone())))
    }
}

/// A batch of a change as the rows that it adds and the rows that it removes, one per copy, without the weight.
pub fn spread(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
    let doing = || "a change cannot be spread into rows".to_owned();
    let last = batch.num_columns().checked_sub(1).ok_or_else(|| Error::new(Kind::Internal, doing()))?;
    let weights = batch.column(last).as_primitive_opt::<Int64Type>();
    let weights: &Int64Array = weights.ok_or_else(|| Error::new(Kind::Internal, doing()))?;
    let rows = batch.project(&(0..last).collect::<Vec<_>>()).context(doing)?;
    if weights.values().iter().all(|w| *w == 1) {
        return Ok((rows.clone(), rows.slice(0, 0)));
    }
    let copies = |sign: i64| -> Result<RecordBatch> {
        let indices = weights.values().iter().enumerate().flat_map(|(row, weight)| {
            let copies = usize::try_from(weight * sign).unwrap_or(0);
            std::iter::repeat_n(row as u64, copies)
        });
        take_record_batch(&rows, &indices.collect::<UInt64Array>()).context(doing)
    };
    Ok((copies(1)?, copies(-1)?))
}

/// A whole change as rows.
pub fn row_change(batches: &[RecordBatch]) -> Result<RowChange> {
    let mut change = RowChange { deleted: Vec::new(), inserted: Vec::new() };
    for batch in batches {
        let (inserted, deleted) = spread(batch)?;
        if inserted.num_rows() > 0 {
            change.inserted.push(inserted);
        }
        if deleted.num_rows() > 0 {
            change.deleted.push(deleted);
        }
    }
    Ok(change)
}

/// Sorts the rows of small batches in memory.
pub async fn sort_batches(
    batches: Vec<RecordBatch>,
    cluster_by: &[String],
    session: &SessionContext,
) -> Result<Vec<RecordBatch>> {
    let doing = || "new rows cannot be sorted by `cluster_by`".to_owned();
    if cluster_by.is_empty() || batches.is_empty() {
        return Ok(batches);
    }
    let frame = session.read_batches(batches).and_then(|f| f.sort(order(cluster_by))).context(doing)?;
    frame.collect().await.context(doing)
}
