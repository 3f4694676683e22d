//! Rows of Parquet files as a relation, with three corrections of delta-rs.
//!
//! `process_predicate` of deltalake 1.1 checks whether all columns of a condition are partition columns, finds that
//! true for a condition without columns, and reports it as applied exactly. But it prunes no file for NULL: the rows of
//! `where a.x = null and a.y is not distinct from a.y`, which the engine has simplified to `null`, stay.
//!
//! It also trusts every bound in the log. So conditions on columns with doubtful bounds stay above the scan; from there
//! they reach the files, whose footers have the right bounds.
//!
//! Statistics of a file are taken as exact, and a column with equal minimum and maximum as a constant that need not be
//! read. Those of doubles omit NaN, so that 1.0 was read where NaN had been written. So a file reports no statistics of
//! doubles.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::stats::Precision;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::datasource::TableType;
use deltalake::datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use deltalake::datafusion::physical_plan::ExecutionPlan;

use super::nested::{MapAdapters, holds_maps};
use super::plain::of_described_columns;
use super::row_cache::RowCache;
use super::sieve::sieved;
use super::table::LakeTable;
use crate::sql::physical::drop_equivalences::{ForgetExec, Forgotten, holds_doubles};
use crate::types::plain_schema;

/// The rows of a version, or of some of its files.
#[derive(Debug)]
pub(crate) struct Relation {
    inner: Arc<dyn TableProvider>,
    /// Its schema without metadata of columns.
    schema: SchemaRef,
    doubted: BTreeSet<String>,
    /// The version whose file ends can be read for pruning.
    version: Option<LakeTable>,
    /// The cache of its rows, if it has all rows of a small version.
    cache: Option<Arc<RowCache>>,
}

impl Relation {
    /// Files whose values are described only by their own footers.
    #[must_use]
    pub(crate) fn plain(inner: Arc<dyn TableProvider>) -> Self {
        Self { schema: plain(&inner), inner, doubted: BTreeSet::new(), version: None, cache: None }
    }

    /// Rows of a version; `doubted`: columns with bounds in the log that cannot be trusted; `cache`: the cache of the version's
    /// rows, if it is small.
    pub(super) fn of(
        version: &LakeTable,
        inner: Arc<dyn TableProvider>,
        doubted: BTreeSet<String>,
        cache: Option<Arc<RowCache>>,
    ) -> Self {
        Self { schema: plain(&inner), inner, doubted, version: Some(version.clone()), cache }
    }

    /// A scan of the data files.
    async fn read(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.inner.scan(session, projection, filters, limit).await?;
        let scan = match &self.version {
            Some(version) => sieved(scan, filters, version).await?,
            None => scan,
        };
        let scan = scan.transform_up(of_unknown_doubles)?.data.transform_up(of_grown_maps)?.data;
        let scan = scan.transform_up(of_described_columns)?.data;
        Ok(Arc::new(ForgetExec::new(scan, Forgotten::Bounds)))
    }
}

fn plain(provider: &Arc<dyn TableProvider>) -> SchemaRef {
    let schema = provider.schema();
    plain_schema(&schema).unwrap_or(schema)
}

#[async_trait]
impl TableProvider for Relation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(cache) = &self.cache
            && let Some(rows) =
                cache.on_scan(session, self.schema(), async || self.read(session, None, &[], None).await).await
        {
            // The plan evaluates the filters again: none was reported as exact.
            return rows.scan(session, projection, &[], limit).await;
        }
        self.read(session, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.schema();
        let mut answers = self.inner.supports_filters_pushdown(filters)?;
        for (answer, filter) in answers.iter_mut().zip(filters) {
            let columns = filter.column_refs();
            let is_double =
                |name: &str| schema.field_with_name(name).is_ok_and(|field| holds_doubles(field.data_type()));
            let is_doubted = |name: &str| is_double(name) || self.doubted.contains(name);
            if columns.is_empty() || columns.iter().any(|column| is_doubted(&column.name)) {
                *answer = TableProviderFilterPushDown::Unsupported;
            } else if self.cache.is_some() && *answer == TableProviderFilterPushDown::Exact {
                *answer = TableProviderFilterPushDown::Inexact;
            }
        }
        Ok(answers)
    }
}

/// A scan that reads maps whose values lack fields.
fn of_grown_maps(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(config) = node.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref()) else {
        return Ok(Transformed::no(node));
    };
    let config: &FileScanConfig = config;
    if !config.file_source().table_schema().table_schema().fields().iter().any(|field| holds_maps(field.data_type())) {
        return Ok(Transformed::no(node));
    }
    let mut config = config.clone();
    config.expr_adapter_factory = Some(MapAdapters::before(config.expr_adapter_factory.take()));
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}

/// A scan of files that say nothing of the values of doubles.
fn of_unknown_doubles(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(config) = node.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref()) else {
        return Ok(Transformed::no(node));
    };
    let mut config = FileScanConfig::clone(config);
    let schema = Arc::clone(config.file_source().table_schema().table_schema());
    if !schema.fields().iter().any(|field| field.data_type().is_floating()) {
        return Ok(Transformed::no(node));
    }
    for group in &mut config.file_groups {
        let of_all = group.file_statistics(None).cloned();
        let mut files = std::mem::take(group).into_inner();
        for known in files.iter_mut().filter_map(|file| file.statistics.as_mut()) {
            for (column, field) in Arc::make_mut(known).column_statistics.iter_mut().zip(schema.fields()) {
                if field.data_type().is_floating() {
                    (column.min_value, column.max_value) = (Precision::Absent, Precision::Absent);
                }
            }
        }
        *group = FileGroup::new(files);
        if let Some(known) = of_all {
            *group = std::mem::take(group).with_statistics(Arc::new(known));
        }
    }
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}
