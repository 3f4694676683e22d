//! Cases in which other systems were wrong, on real tables, each by name (docs/proof/killers.md). delta-rs's own operations
//! act as the other writer.

mod commits;
mod documented;
mod feed;
mod files;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::{DeltaTable, DeltaTableBuilder};
use stedi_delta::internals::lake::LakeTable;
use url::Url;

use crate::support::Lake;
use crate::support::shop::{derived, shop};

/// The table as delta-rs opens it.
async fn open(lake: &Lake, table: &str) -> DeltaTable {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

/// Switches the change data feed of a table on or off.
async fn feed(lake: &Lake, table: &str, on: bool) {
    let properties = HashMap::from([("delta.enableChangeDataFeed".to_owned(), on.to_string())]);
    open(lake, table).await.set_tbl_properties().with_properties(properties).await.unwrap();
}

/// The newest commit of a table, as text.
fn newest_commit(lake: &Lake, table: &str, version: u64) -> String {
    let log = lake.warehouse().join(table).join("_delta_log");
    std::fs::read_to_string(log.join(format!("{version:020}.json"))).unwrap()
}

/// Orders as a landing table holds them: equal numbers make equal rows.
fn batch(table: &DeltaTable, ids: &[i64]) -> RecordBatch {
    let schema = table.snapshot().unwrap().snapshot().arrow_schema();
    let fields = schema.fields().iter();
    let fields: Vec<Field> = fields.map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable())).collect();
    let columns = fields.iter().map(|f| match f.data_type() {
        DataType::Int64 => Arc::new(Int64Array::from(ids.to_vec())) as _,
        DataType::Float64 => Arc::new(Float64Array::from(vec![1.0; ids.len()])) as _,
        _ => Arc::new(StringArray::from(vec!["somebody"; ids.len()])) as _,
    });
    let columns = columns.collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Appends rows as another writer.
async fn append(lake: &Lake, ids: &[i64]) {
    let table = open(lake, "landing/orders").await;
    let rows = batch(&table, ids);
    table.write(vec![rows]).await.unwrap();
}

/// A derived table as the program opens it.
async fn lake_table(lake: &Lake, table: &str) -> LakeTable {
    let workspace = lake.workspace().await;
    let location = workspace.location(workspace.table(table).unwrap()).unwrap();
    LakeTable::open(&location).await.unwrap().unwrap()
}

/// The shop, built, and a table over the cheap orders: a chain of two derived tables.
async fn chain(refresh: &str) -> Lake {
    let lake = shop(refresh);
    lake.define("tables/curated/cheapest.toml", &derived(refresh));
    lake.define(
        "tables/curated/cheapest.sql",
        "select c.item, count(*) as n, min(c.price) as p from cheap c group by c.item",
    );
    lake.land_first_orders();
    lake.sync().await;
    lake
}
