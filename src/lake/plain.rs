//! Columns with metadata in the log, such as comments, over data files that have none.
//!
//! DataFusion's adapter of Parquet files compares fields with their metadata, and puts a cast around every column that has
//! a comment (datafusion-physical-expr-adapter 55.2, `rewrite_column`). Conditions on casts are not pushed into files as
//! those on columns are. So the columns of a table take the metadata of the file's here. Above the scan, no schema has
//! any: see `Forgotten::Bounds`.

use std::sync::Arc;

use deltalake::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::datasource::physical_plan::FileScanConfig;
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use deltalake::datafusion::physical_plan::ExecutionPlan;

/// A scan of files that reads columns by name and type.
pub(super) fn of_described_columns(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(config) = node.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref()) else {
        return Ok(Transformed::no(node));
    };
    let config: &FileScanConfig = config;
    let schema = config.file_source().table_schema().table_schema();
    if schema.fields().iter().all(|field| field.metadata().is_empty()) {
        return Ok(Transformed::no(node));
    }
    let mut config = config.clone();
    config.expr_adapter_factory = Some(PlainAdapters::before(config.expr_adapter_factory.take()));
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}

/// Gives columns the metadata of the file's, and leaves the rest to another adapter.
#[derive(Debug)]
struct PlainAdapters {
    inner: Arc<dyn PhysicalExprAdapterFactory>,
}

impl PlainAdapters {
    /// Before the adapter that a scan has already.
    fn before(inner: Option<Arc<dyn PhysicalExprAdapterFactory>>) -> Arc<dyn PhysicalExprAdapterFactory> {
        Arc::new(Self { inner: inner.unwrap_or_else(|| Arc::new(DefaultPhysicalExprAdapterFactory)) })
    }
}

impl PhysicalExprAdapterFactory for PlainAdapters {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let plain = |field: &FieldRef| {
            let metadata = physical.field_with_name(field.name()).map(|stored| stored.metadata().clone());
            Arc::new(field.as_ref().clone().with_metadata(metadata.unwrap_or_default()))
        };
        let fields: Vec<FieldRef> = logical.fields().iter().map(plain).collect();
        self.inner.create(Arc::new(Schema::new_with_metadata(fields, logical.metadata().clone())), physical)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use deltalake::arrow::datatypes::{DataType, Field};
    use deltalake::datafusion::physical_expr::PhysicalExpr;
    use deltalake::datafusion::physical_expr::expressions::Column;

    use super::*;

    #[test]
    fn a_column_with_a_comment_is_read_without_a_cast() {
        let comment = HashMap::from([("comment".to_owned(), "of a person".to_owned())]);
        let in_file = Field::new("id", DataType::Int64, true);
        let logical = Arc::new(Schema::new(vec![in_file.clone().with_metadata(comment)]));
        let physical = Arc::new(Schema::new(vec![in_file]));
        let read = |factory: &dyn PhysicalExprAdapterFactory| {
            let adapter = factory.create(Arc::clone(&logical), Arc::clone(&physical)).expect("an adapter");
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("id", 0));
            adapter.rewrite(column).expect("a column").to_string()
        };
        assert_eq!(read(PlainAdapters::before(None).as_ref()), "id@0");
        assert!(read(&DefaultPhysicalExprAdapterFactory).contains("CAST"), "the engine compares without metadata now");
    }
}
