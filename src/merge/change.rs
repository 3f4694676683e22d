//! Deleted and inserted rows: in memory up to a limit, above it in change data files, which the commit names in any
//! case.

use deltalake::arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::feed::{self, CdcChange, Feed};
use super::rewrite::complete;
use crate::error::{Context, Result};
use crate::lake::{DeltaFile, LakeTable, ROW_GROUP_ROWS, conform, rows, widest};

/// Deleted and inserted rows have change data files of their own, written at once, if there are at least so many of each:
/// the rows of a row group. Unit tests take both ways with a few rows.
const FEED_OF_ITS_OWN: u64 = if cfg!(test) { 3 } else { ROW_GROUP_ROWS as u64 };

/// Rows of a change, one per copy, with the schema of the table.
pub(crate) type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// The deleted and inserted rows of one table, being collected.
pub struct Taking {
    rows: RowChange,
    bytes: usize,
    gone: Option<Feed>,
    come: Option<Feed>,
}

/// The deleted and inserted rows of one table.
#[derive(Clone, Debug)]
pub struct RowChange {
    table: LakeTable,
    limit: usize,
    /// Bytes of texts and lists in the widest row.
    widest: u64,
    gone: Rows,
    come: Rows,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    count: u64,
    held: Vec<RecordBatch>,
    files: Vec<(String, u64)>,
}

impl Taking {
    /// Collects rows of a change of `table`, of which at most `limit` bytes are held in memory.
    #[must_use]
    pub fn new(table: &LakeTable, limit: usize) -> Self {
        let (gone, come) = (Rows::default(), Rows::default());
        let rows = RowChange { table: table.clone(), limit, widest: 0, gone, come };
        Self { rows, bytes: 0, gone: None, come: None }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they do not fit the table, or the store fails.
    pub async fn add(&mut self, batch: &RecordBatch, told: CdcChange) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform(batch, &self.rows.table.schema())?;
        self.bytes = self.bytes.saturating_add(batch.get_array_memory_size());
        let side = if told == CdcChange::Delete { &mut self.rows.gone } else { &mut self.rows.come };
        self.rows.widest = self.rows.widest.max(widest(&batch));
        side.count += batch.num_rows() as u64;
        side.held.push(batch);
        if self.bytes > self.rows.limit {
            let RowChange { table, gone, come, .. } = &mut self.rows;
            spill(table, gone, &mut self.gone, CdcChange::Delete).await?;
            spill(table, come, &mut self.come, CdcChange::Insert).await?;
        }
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.rows.deletes() + self.rows.inserts()
    }

    /// Ends collecting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(mut self) -> Result<RowChange> {
        if let Some(feed) = self.gone.take() {
            self.rows.gone.files = feed.close().await?;
        }
        if let Some(feed) = self.come.take() {
            self.rows.come.files = feed.close().await?;
        }
        Ok(self.rows)
    }
}

async fn spill(table: &LakeTable, rows: &mut Rows, feed: &mut Option<Feed>, told: CdcChange) -> Result<()> {
    for batch in std::mem::take(&mut rows.held) {
        feed.get_or_insert_with(|| Feed::new(table)).write(&batch, told).await?;
    }
    Ok(())
}

/// One change data file with these rows.
async fn feed_of(table: LakeTable, sides: Vec<(Vec<RecordBatch>, CdcChange)>) -> Result<Vec<(String, u64)>> {
    let mut feed = Feed::new(&table);
    for (batches, told) in sides {
        for batch in &batches {
            feed.write(batch, told).await?;
        }
    }
    feed.close().await
}

impl RowChange {
    /// Deleted rows.
    #[must_use]
    pub fn deletes(&self) -> u64 {
        self.gone.count
    }

    /// Inserted rows.
    #[must_use]
    pub fn inserts(&self) -> u64 {
        self.come.count
    }

    /// Whether its rows are already in change data files.
    pub(super) fn is_written(&self) -> bool {
        !(self.gone.files.is_empty() && self.come.files.is_empty())
    }

    /// Maximum bytes of it to hold in memory.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes of texts and lists in the widest row.
    pub(super) fn widest(&self) -> u64 {
        self.widest
    }

    /// The deleted rows, if they are held in memory.
    pub(super) fn held_deletes(&self) -> Option<&[RecordBatch]> {
        (!self.is_written()).then_some(self.gone.held.as_slice())
    }

    /// The deleted rows, or the inserted ones.
    #[must_use]
    pub fn rows(&self, told: CdcChange) -> RowStream {
        let side = if told == CdcChange::Delete { &self.gone } else { &self.come };
        let held = futures::stream::iter(side.held.clone().into_iter().map(Ok));
        let (table, files, widest) = (self.table.clone(), side.files.clone(), Some(self.widest));
        let told = futures::stream::iter(files)
            .then(move |(path, size)| {
                let table = table.clone();
                async move {
                    let doing = || "rows of the change cannot be read back".to_owned();
                    let file = DeltaFile { widest, ..DeltaFile::bare(path, size) };
                    let schema = table.schema();
                    let stream = rows(table.location(), &file, None).await?;
                    Ok(stream.map(move |batch| batch.context(doing).and_then(|batch| complete(&batch, &schema))))
                }
            })
            .try_flatten();
        held.chain(told).boxed()
    }

    /// Its change data files, path and size; of many rows one for each side.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn told(self) -> Result<Vec<(String, u64)>> {
        if self.is_written() {
            return Ok([self.gone.files, self.come.files].concat());
        }
        let sides = [(self.gone.held, CdcChange::Delete), (self.come.held, CdcChange::Insert)];
        if self.gone.count.min(self.come.count) < FEED_OF_ITS_OWN {
            return feed_of(self.table, sides.into()).await;
        }
        let files = sides.map(|side| tokio::spawn(feed_of(self.table.clone(), vec![side])));
        let mut told = Vec::new();
        let mut failed = None;
        // All are awaited: of those that were written none may be left.
        for file in files {
            match file.await.context(|| "writing the change feed was cut short".into()).flatten() {
                Ok(file) => told.extend(file),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(error) = failed else { return Ok(told) };
        feed::forget(&self.table, &told).await;
        Err(error)
    }

    /// Removes its files: no commit will name them.
    pub async fn forget(self) {
        for rows in [&self.gone, &self.come] {
            feed::forget(&self.table, &rows.files).await;
        }
    }
}
