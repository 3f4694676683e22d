//! Streams of rows on their way into files: sorted by the clustering columns, with weights expanded into copies.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::{AsArray, Int64Array, RecordBatch, UInt64Array};
use deltalake::arrow::compute::take_record_batch;
use deltalake::arrow::datatypes::{Int64Type, SchemaRef};
use deltalake::datafusion::catalog::streaming::StreamingTable;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::logical_expr::{SortExpr, ident};
use deltalake::datafusion::physical_plan::EmptyRecordBatchStream;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::streaming::PartitionStream;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::error::{Context, Error, Kind, Result};
use crate::lake::LakeTable;
use crate::merge::{CdcChange, RowChange, RowStream, Taking};

/// The order in which a table's rows are written.
fn order(cluster_by: &[String]) -> Vec<SortExpr> {
    cluster_by.iter().map(|column| ident(column).sort(true, true)).collect()
}

/// A stream in the order of `cluster_by`, spilled if it does not fit.
pub(super) async fn sorted(
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

/// A batch of a change as inserted rows and deleted rows, one per copy, without the weight.
pub(super) fn spread(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
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

/// A complete change for `current`, of which at most `limit` bytes are held in memory; `None` if it has more rows than
/// `most`.
pub(super) async fn row_change(
    mut stream: SendableRecordBatchStream,
    current: &LakeTable,
    limit: usize,
    most: u64,
) -> Result<Option<RowChange>> {
    let mut change = Taking::new(current, limit);
    while let Some(batch) = stream.try_next().await.context(|| "the change cannot be computed".into())? {
        let (inserted, deleted) = spread(&batch)?;
        change.add(&deleted, CdcChange::Delete).await?;
        change.add(&inserted, CdcChange::Insert).await?;
        if change.count() > most {
            change.close().await?.forget().await;
            return Ok(None);
        }
    }
    Ok(Some(change.close().await?))
}

/// Rows of a change, for the engine.
pub(super) fn stream_of(rows: RowStream, schema: SchemaRef) -> SendableRecordBatchStream {
    let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
