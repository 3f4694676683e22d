//! Tables of the tool's own under `system/`, to which rows are only added.

use deltalake::arrow::array::RecordBatch;

use super::columns::NewColumns;
use super::commit::{Change, Commit, Properties, TableSpec, create};
use super::layout::Layout;
use super::table::LakeTable;
use super::write::DataWriter;
use crate::clock;
use crate::definition::Column;
use crate::digest::{ChangeDigest, DigestKey, RowDigest};
use crate::error::Result;
use crate::storage::Location;

/// Size at which data files are closed.
const FILE_SIZE: u64 = 64 << 20;

/// A system table.
pub(crate) struct SystemTable {
    /// Its name.
    pub name: &'static str,
    /// Its rows, in one sentence.
    pub description: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The key with which its rows are digested, if they are.
    pub digests: Option<DigestKey>,
}

impl SystemTable {
    /// Adds rows in one commit, with the `txn` actions and the `commitInfo` of `commit`, upon the version that was read;
    /// creates the table if there is none.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; if the store fails.
    pub(crate) async fn append(
        self,
        (location, table): (&Location, Option<&LakeTable>),
        rows: &RecordBatch,
        commit: Commit,
        run: &str,
    ) -> Result<LakeTable> {
        let mut writer = DataWriter::over(location, rows.schema(), FILE_SIZE).digested(self.digests.clone());
        writer.write(rows).await?;
        // Columns that a later version of this tool has added.
        let lacks = |table: &LakeTable| {
            let schema = table.schema();
            self.columns.iter().any(|column| schema.field_with_name(&column.name).is_err())
        };
        let schema = table.is_some_and(lacks).then(|| NewColumns::Among(self.columns.clone()));
        let written = writer.close().await?;
        let digest = ChangeDigest::of(self.digests.as_ref(), written.digest, Some(RowDigest::default()));
        let change = Change { adds: written.adds, schema, digest, ..Change::default() };
        let commit = Commit { operation: "WRITE", change, ..commit };
        if let Some(table) = table {
            let table = commit.commit(table).await?;
            let mended = table.mended(&Layout::default(), run).await?;
            return Ok(mended.map_or(table, |(mended, _)| mended));
        }
        let spec = TableSpec {
            uuid: clock::random_uuid().to_string(),
            name: self.name.to_owned(),
            description: format!("{}; written by stedi-delta only", self.description),
            columns: self.columns,
            properties: Properties { change_data_feed: false },
            layout: Layout::default(),
        };
        create(location, &spec, commit).await
    }
}
