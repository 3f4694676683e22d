//! A table's rows as a relation, with what delta-rs believes wrongly of conditions left to the engine.
//!
//! `process_predicate` of deltalake 1.1 asks whether all columns of a condition are partition columns, says yes of one
//! without columns, and answers that it applies it exactly. But NULL leaves every file in: the rows of
//! `where a.x = null and a.y is not distinct from a.y`, which the engine has made `null` and nothing else, stay.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::datasource::TableType;
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use deltalake::datafusion::physical_plan::ExecutionPlan;

/// The rows of a version.
#[derive(Debug)]
pub(super) struct Relation(pub Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for Relation {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(session, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let mut answers = self.0.supports_filters_pushdown(filters)?;
        for (answer, filter) in answers.iter_mut().zip(filters) {
            if filter.column_refs().is_empty() {
                *answer = TableProviderFilterPushDown::Unsupported;
            }
        }
        Ok(answers)
    }
}
