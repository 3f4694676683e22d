//! A change set as a relation.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DataFusionError, Result as EngineResult, ScalarValue};
use deltalake::datafusion::datasource::TableType;
use deltalake::datafusion::datasource::empty::EmptyTable;
use deltalake::datafusion::datasource::file_format::parquet::ParquetFormat;
use deltalake::datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use deltalake::datafusion::datasource::physical_plan::FileScanConfig;
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown, ident, lit, when};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::prelude::{DataFrame, SessionContext};

use super::{ChangeSet, Part, Reading};
use crate::error::{Context, Error, Result};
use crate::incremental::WEIGHT;
use crate::lake::{CHANGE_TYPE, Relation, adapted, in_turn};

/// Values of [`CHANGE_TYPE`] for deleted rows.
pub(super) const GONE: [&str; 2] = ["delete", "update_preimage"];

impl ChangeSet {
    /// The change set as a relation: the table's columns, then [`WEIGHT`]. Rows are not consolidated.
    ///
    /// # Errors
    /// When the plan cannot be built.
    pub async fn provider(&self, session: &SessionContext) -> Result<Arc<dyn TableProvider>> {
        let schema = self.table.schema();
        self.table.narrow(session, self.widest);
        let mut relations: Vec<DataFrame> = Vec::new();
        for part in &self.parts {
            let frame = self.rows(session, part).await?;
            relations.push(weighted(frame, &schema, lit(part.weight))?);
        }
        if !self.feed.is_empty() {
            let mut fields = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
            fields.push(Field::new(CHANGE_TYPE, DataType::Utf8, true));
            let frame = self.plain(session, &self.feed, Arc::new(Schema::new(fields)))?;
            let gone = ident(CHANGE_TYPE).in_list(GONE.map(lit).to_vec(), false);
            let weight = when(gone, lit(-1_i64)).otherwise(lit(1_i64)).context(doing)?;
            relations.push(weighted(frame, &schema, weight)?);
        }
        let mut relations = relations.into_iter();
        let Some(first) = relations.next() else {
            let mut fields = schema.fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
            fields.push(Field::new(WEIGHT, DataType::Int64, false));
            return Ok(Arc::new(EmptyTable::new(Arc::new(Schema::new(fields)))));
        };
        let union = relations.try_fold(first, DataFrame::union).context(doing)?;
        Ok(union.into_view())
    }

    async fn rows(&self, session: &SessionContext, part: &Part) -> Result<DataFrame> {
        match &part.reading {
            Reading::Plain => self.plain(session, &part.files, self.table.schema()),
            Reading::Through(table) => {
                session.read_table(table.provider(session, Some(part.files.clone())).await?).context(doing)
            }
        }
    }

    /// Data files without a version; a missing column is NULL.
    fn plain(&self, session: &SessionContext, files: &[String], schema: SchemaRef) -> Result<DataFrame> {
        let urls = files.iter().map(|file| ListingTableUrl::parse(self.url(file)));
        let urls = urls.collect::<std::result::Result<Vec<_>, _>>().context(doing)?;
        let options = ListingOptions::new(Arc::new(
            ParquetFormat::default().with_force_view_types(false).with_coerce_int96(Some("us".into())),
        ))
        .with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
        let table = ListingTable::try_new(config).context(doing)?;
        let location = self.table.location();
        let files = files.iter().map(|file| Ok((location.file(file)?.to_string(), file.clone())));
        let all = AllOf { files: files.collect::<Result<_>>()?, listed: table };
        session.read_table(Arc::new(Relation::plain(Arc::new(all)))).context(doing)
    }

    fn url(&self, file: &str) -> String {
        let folder = self.table.location().join(file);
        folder.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// Parquet files that must all exist: a listing silently skips a missing one, and its rows would be lost for good.
#[derive(Debug)]
struct AllOf {
    /// Paths in the store and in the table's folder.
    files: BTreeSet<(String, String)>,
    listed: ListingTable,
}

#[async_trait]
impl TableProvider for AllOf {
    fn schema(&self) -> SchemaRef {
        self.listed.schema()
    }

    fn table_type(&self) -> TableType {
        self.listed.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let in_turn = in_turn(session);
        let session = in_turn.as_ref().map_or(session, |session| session);
        let scan = self.listed.scan(session, projection, filters, limit).await?;
        let mut found = BTreeSet::new();
        scan.apply(|node| {
            let config = node.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref());
            let groups = config.into_iter().flat_map(|config: &FileScanConfig| &config.file_groups);
            found.extend(groups.flat_map(|group| group.iter()).map(|file| file.object_meta.location.to_string()));
            Ok(TreeNodeRecursion::Continue)
        })?;
        // With a limit the listing stops early.
        let missed = self.files.iter().find(|(path, _)| limit.is_none() && !found.contains(path));
        match missed {
            Some((_, file)) => {
                let missed = Error::failed(format!("data file `{file}` is missing or empty"));
                Err(DataFusionError::External(Box::new(missed)))
            }
            None => Ok(scan),
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        self.listed.supports_filters_pushdown(filters)
    }
}

/// Rows with the columns of `schema`, then their weight. An older version may lack a column, or have another encoding
/// of strings.
fn weighted(frame: DataFrame, schema: &SchemaRef, weight: Expr) -> Result<DataFrame> {
    let actual = frame.schema().clone();
    let mut columns = Vec::with_capacity(schema.fields().len() + 1);
    for field in schema.fields() {
        let column = match actual.field_with_unqualified_name(field.name()) {
            Ok(found) if found.data_type() == field.data_type() => ident(field.name()),
            Ok(_) => adapted(ident(field.name()), field.data_type()).alias(field.name()),
            Err(_) => lit(ScalarValue::try_from(field.data_type()).context(doing)?).alias(field.name()),
        };
        columns.push(column);
    }
    columns.push(weight.alias(WEIGHT));
    frame.select(columns).context(doing)
}

fn doing() -> String {
    "the change of a source cannot be planned".into()
}
