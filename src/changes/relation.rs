//! A change set as a relation.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::datasource::empty::EmptyTable;
use deltalake::datafusion::datasource::file_format::parquet::ParquetFormat;
use deltalake::datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use deltalake::datafusion::logical_expr::{Expr, cast, ident, lit, when};
use deltalake::datafusion::prelude::{DataFrame, SessionContext};

use super::{ChangeSet, Part, Reading};
use crate::error::{Context, Result};
use crate::incremental::WEIGHT;
use crate::lake::{CHANGE_TYPE, Relation};

/// Values of [`CHANGE_TYPE`] for rows that went.
pub(super) const GONE: [&str; 2] = ["delete", "update_preimage"];

impl ChangeSet {
    /// The change set as a relation: the table's columns, then [`WEIGHT`]. Rows are not consolidated.
    ///
    /// # Errors
    /// When the plan cannot be built.
    pub async fn provider(&self, session: &SessionContext) -> Result<Arc<dyn TableProvider>> {
        let schema = self.table.schema();
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
        let (table, files) = match &part.reading {
            Reading::Plain => return self.plain(session, &part.files, self.table.schema()),
            Reading::Through(table) => (table, Some(part.files.clone())),
            Reading::Whole(table) => (table, None),
        };
        session.read_table(table.provider(session, files).await?).context(doing)
    }

    /// Data files as they are; a column that they lack is NULL.
    fn plain(&self, session: &SessionContext, files: &[String], schema: SchemaRef) -> Result<DataFrame> {
        let urls = files.iter().map(|file| ListingTableUrl::parse(self.url(file)));
        let urls = urls.collect::<std::result::Result<Vec<_>, _>>().context(doing)?;
        let options = ListingOptions::new(Arc::new(
            ParquetFormat::default().with_force_view_types(false).with_coerce_int96(Some("us".into())),
        ))
        .with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
        let table = ListingTable::try_new(config).context(doing)?;
        session.read_table(Arc::new(Relation::plain(Arc::new(table)))).context(doing)
    }

    fn url(&self, file: &str) -> String {
        let folder = self.table.location().join(file);
        folder.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// Rows with the columns of `schema`, then their weight. An older version may lack a column, or know its strings by
/// another encoding.
fn weighted(frame: DataFrame, schema: &SchemaRef, weight: Expr) -> Result<DataFrame> {
    let actual = frame.schema().clone();
    let mut columns = Vec::with_capacity(schema.fields().len() + 1);
    for field in schema.fields() {
        let column = match actual.field_with_unqualified_name(field.name()) {
            Ok(found) if found.data_type() == field.data_type() => ident(field.name()),
            Ok(_) => cast(ident(field.name()), field.data_type().clone()).alias(field.name()),
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
