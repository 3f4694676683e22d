//! Versions `(from, to]` of a table -> the change set of its rows, as a relation with a weight column.
//!
//! The ladder, per commit: its change data files where they are exact, else the data files that it added (+1) and
//! removed (-1); where the log no longer holds a commit, the data files by which the two snapshots differ. Rows that
//! were only rewritten cancel when the change is consolidated. Nothing is read here but the log: the relation streams.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::datasource::file_format::parquet::ParquetFormat;
use deltalake::datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use deltalake::datafusion::logical_expr::{Expr, ident, lit, when};
use deltalake::datafusion::prelude::{DataFrame, SessionContext};
use deltalake::logstore::object_store;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::error::{Context, Result};
use crate::incremental::WEIGHT;
use crate::lake::LakeTable;

const CHANGE_TYPE: &str = "_change_type";

/// What happened to a table between two versions.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    table: LakeTable,
    added: Vec<String>,
    removed: Vec<String>,
    feed: Vec<String>,
}

impl ChangeSet {
    /// Whether no row changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.feed.is_empty()
    }

    /// Whether rows were only added.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        self.removed.is_empty() && self.feed.is_empty()
    }

    /// Number of files that the relation reads.
    #[must_use]
    pub fn files(&self) -> u64 {
        (self.added.len() + self.removed.len() + self.feed.len()) as u64
    }

    /// The change set as a relation: the table's columns, then [`WEIGHT`]. Rows are not consolidated.
    ///
    /// # Errors
    /// When the plan cannot be built.
    pub async fn provider(&self, session: &SessionContext) -> Result<Arc<dyn TableProvider>> {
        let schema = self.table.schema();
        let columns: Vec<Expr> = schema.fields().iter().map(|f| ident(f.name())).collect();
        let mut parts: Vec<DataFrame> = Vec::new();
        for (files, weight) in [(&self.added, lit(1_i64)), (&self.removed, lit(-1_i64))] {
            if let Some(frame) = self.frame(session, files, schema.clone()).await? {
                let weighted = columns.iter().cloned().chain([weight.alias(WEIGHT)]);
                parts.push(frame.select(weighted.collect::<Vec<_>>()).context(doing)?);
            }
        }
        let mut with_type = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
        with_type.push(Field::new(CHANGE_TYPE, DataType::Utf8, true));
        if let Some(frame) = self.frame(session, &self.feed, Arc::new(Schema::new(with_type))).await? {
            let gone = ident(CHANGE_TYPE).in_list(vec![lit("delete"), lit("update_preimage")], false);
            let weight = when(gone, lit(-1_i64)).otherwise(lit(1_i64)).context(doing)?;
            let weighted = columns.iter().cloned().chain([weight.alias(WEIGHT)]);
            parts.push(frame.select(weighted.collect::<Vec<_>>()).context(doing)?);
        }
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else {
            let mut fields = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
            fields.push(Field::new(WEIGHT, DataType::Int64, false));
            let empty = deltalake::datafusion::datasource::empty::EmptyTable::new(Arc::new(Schema::new(fields)));
            return Ok(Arc::new(empty));
        };
        let union = parts.try_fold(first, DataFrame::union).context(doing)?;
        Ok(union.into_view())
    }

    async fn frame(&self, session: &SessionContext, files: &[String], schema: SchemaRef) -> Result<Option<DataFrame>> {
        if files.is_empty() {
            return Ok(None);
        }
        let urls = files.iter().map(|file| ListingTableUrl::parse(self.url(file)));
        let urls = urls.collect::<std::result::Result<Vec<_>, _>>().context(doing)?;
        let options = ListingOptions::new(Arc::new(
            ParquetFormat::default().with_force_view_types(false).with_coerce_int96(Some("us".into())),
        ))
        .with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
        let table = ListingTable::try_new(config).context(doing)?;
        session.read_table(Arc::new(table)).map(Some).context(doing)
    }

    fn url(&self, file: &str) -> String {
        let folder = self.table.location().join(file);
        folder.url.as_str().trim_end_matches('/').to_owned()
    }
}

fn doing() -> String {
    "the change of a source cannot be planned".into()
}

/// The change set of `table` since version `from`, or why it cannot be told any more.
///
/// # Errors
/// When the log is broken.
pub async fn since(table: &LakeTable, from: u64) -> Result<std::result::Result<ChangeSet, String>> {
    let mut change = ChangeSet { table: table.clone(), added: Vec::new(), removed: Vec::new(), feed: Vec::new() };
    if from == table.version() {
        return Ok(Ok(change));
    }
    let Some(commits) = table.commits(from, table.version()).await? else {
        return by_snapshots(change, from).await;
    };
    if commits.iter().any(|c| c.files.deletion_vectors) {
        return Ok(Err("a commit of a source has deletion vectors".into()));
    }
    let mut added = BTreeSet::new();
    for commit in commits {
        if !commit.files.cdc.is_empty() && commit.cdc_is_exact() {
            change.feed.extend(commit.files.cdc);
            continue;
        }
        added.extend(commit.files.added.into_iter().map(|(path, _)| path));
        for path in commit.files.removed {
            // A file that came and went within the range changed nothing.
            if !added.remove(&path) {
                change.removed.push(path);
            }
        }
    }
    change.added = added.into_iter().collect();
    still_there(change).await
}

/// Without the log: what one snapshot holds and the other does not.
async fn by_snapshots(mut change: ChangeSet, from: u64) -> Result<std::result::Result<ChangeSet, String>> {
    let Ok(old) = change.table.at(from).await else {
        return Ok(Err(format!("version {from} of a source can no longer be read")));
    };
    let paths = |t: &LakeTable| t.files().into_iter().map(|f| f.path).collect::<BTreeSet<_>>();
    let (before, after) = (paths(&old), paths(&change.table));
    change.added = after.difference(&before).cloned().collect();
    change.removed = before.difference(&after).cloned().collect();
    still_there(change).await
}

/// A vacuumed file would only be missed while the query runs.
async fn still_there(change: ChangeSet) -> Result<std::result::Result<ChangeSet, String>> {
    let current: BTreeSet<String> = change.table.files().into_iter().map(|f| f.path).collect();
    let location = change.table.location();
    let outside: Vec<_> = change
        .added
        .iter()
        .chain(&change.removed)
        .chain(&change.feed)
        .filter(|path| !current.contains(*path))
        .map(|path| location.join(path).path)
        .collect();
    let missing = futures::stream::iter(outside)
        .map(|path| async move {
            match location.store.head(&path).await {
                Ok(_) => Ok(false),
                Err(object_store::Error::NotFound { .. }) => Ok(true),
                Err(cause) => Err(cause),
            }
        })
        .buffered(8)
        .try_collect::<Vec<bool>>()
        .await
        .context(|| format!("files of {location} cannot be looked up"))?;
    Ok(if missing.contains(&true) { Err("files of a source's older version are vacuumed".into()) } else { Ok(change) })
}
