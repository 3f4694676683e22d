//! Change data files: every deleted or inserted row, so that the feed of a commit is exact.
//! Source: Delta protocol, "Add CDC File".

use std::sync::Arc;

use deltalake::arrow::array::{Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::TryStreamExt;

use super::rewrite::complete;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{CHANGE_TYPE, DataWriter, DeltaFile, LakeTable, conform, rows};

const FOLDER: &str = "_change_data";

/// The change type of a row in a change data file (`_change_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CdcChange {
    /// It was deleted.
    Delete,
    /// It was inserted.
    Insert,
}

/// One change data file being written. It has no file before its first row.
pub(super) struct Feed {
    writer: DataWriter,
    schema: SchemaRef,
    with_type: SchemaRef,
}

impl Feed {
    /// A change data file of `table`.
    pub(super) fn new(table: &LakeTable) -> Self {
        let schema = table.schema();
        let mut fields = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
        fields.push(Field::new(CHANGE_TYPE, DataType::Utf8, true));
        let with_type = Arc::new(Schema::new(fields));
        // One file of any size: a feed file is read completely.
        Self {
            writer: DataWriter::over(&table.location().join(FOLDER), with_type.clone(), u64::MAX),
            schema,
            with_type,
        }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they do not fit the table, or the store fails.
    pub(super) async fn write(&mut self, batch: &RecordBatch, told: CdcChange) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let change_type = match told {
            CdcChange::Delete => "delete",
            CdcChange::Insert => "insert",
        };
        let mut columns = conform(batch, &self.schema)?.columns().to_vec();
        let types: Arc<dyn Array> = Arc::new(StringArray::from(vec![change_type; batch.num_rows()]));
        columns.push(types);
        let batch = RecordBatch::try_new(self.with_type.clone(), columns);
        let batch = batch.map_err(|e| Error::failed("the change feed does not fit the table").because(e))?;
        self.writer.write(&batch).await
    }

    /// Finishes it: path relative to the table and size; empty without rows.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn close(self) -> Result<Vec<(String, u64)>> {
        let adds = self.writer.close().await?.adds;
        if adds.len() > 1 {
            return Err(Error::new(Kind::Internal, "a change feed was split into several files"));
        }
        Ok(adds.into_iter().map(|add| (format!("{FOLDER}/{}", add.path), add.size.unsigned_abs())).collect())
    }
}

/// The rows of new data files as inserts.
///
/// # Errors
/// When a file cannot be read or the store fails.
pub(super) async fn of_files(table: &LakeTable, files: &[DeltaFile]) -> Result<Vec<(String, u64)>> {
    let schema = table.schema();
    let mut feed = Feed::new(table);
    for file in files {
        let mut stream = rows(table.location(), file, None).await?;
        while let Some(batch) = stream.try_next().await.context(|| format!("`{}` cannot be read", file.path))? {
            feed.write(&complete(&batch, &schema)?, CdcChange::Insert).await?;
        }
    }
    feed.close().await
}

/// Removes change data files that no commit will name.
pub(super) async fn forget(table: &LakeTable, feed: &[(String, u64)]) {
    for (path, _) in feed {
        table.location().remove(path).await;
    }
}
