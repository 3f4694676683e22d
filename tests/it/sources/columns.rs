//! Columns added by other writers.

use std::sync::Arc;

use deltalake::DeltaTableBuilder;
use deltalake::arrow::array::{RecordBatch, new_null_array};
use deltalake::arrow::datatypes::DataType::{Int64, Utf8};
use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::kernel::{DataType, StructField};
use deltalake::operations::write::SchemaMode;
use serde_json::{Value, json};
use stedi_delta::outcome::{Action, Mode, Problem, SyncOutcome, TableOutcome};
use stedi_delta::{inspect, register, sync};
use url::Url;

use super::layouts::first;
use super::{built, commit, lake, open, update};
use crate::support::shop::{ORDERS, derived, orders};
use crate::support::{Lake, assert_ok, of, verify};

async fn add_column(lake: &Lake, table: &str) {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    table.add_columns().with_fields([StructField::nullable("extra", DataType::STRING)]).await.unwrap();
}

/// A sync after which every derived table equals its query; only these were computed in full.
async fn goes_on(lake: &Lake, full: &[&str]) -> SyncOutcome {
    let outcome = lake.try_sync_with(verify()).await;
    assert_ok(&outcome);
    for table in outcome.tables.iter().filter(|t| t.table.as_str() != "orders") {
        assert!(table.verified.is_some_and(|v| v.is_equal()), "{table:?}");
        assert_eq!(table.mode == Mode::Full, full.contains(&table.table.as_str()), "{}: {}", table.table, table.reason);
    }
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    outcome
}

fn warnings(table: &TableOutcome) -> Vec<&str> {
    table.warnings.iter().map(|w| w.message.as_str()).collect()
}

/// The values of two orders in another writer's column.
async fn extra(lake: &Lake) -> Vec<String> {
    lake.rows("select id, extra from orders where id in (8, 20)").await
}

/// Columns of the landing table, in its order.
async fn columns(lake: &Lake) -> Vec<String> {
    let schema = open(lake).await.snapshot().unwrap().snapshot().arrow_schema();
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_somebody_adds_to_a_landing_table_stays_and_stops_nothing() {
    let lake = lake("incremental");
    lake.define("tables/curated/everything.toml", &derived("incremental"));
    lake.define("tables/curated/everything.sql", "select * from orders");
    lake.land_first_orders();
    lake.sync().await;
    add_column(&lake, "landing/orders").await;
    let outcome = goes_on(&lake, &[]).await;
    assert_eq!((of(&outcome, "orders").mode, warnings(of(&outcome, "orders"))), (Mode::None, vec![]));
    let cheap = of(&outcome, "cheap");
    assert_eq!((cheap.mode, cheap.rows.inserted, cheap.rows.deleted), (Mode::Incremental, 0, 0));
    update(&lake, "id = 8", "extra", "'seen'").await;
    goes_on(&lake, &[]).await;

    // Rows land without it.
    lake.land("orders/d.json", orders(20..22));
    let said = "rows that land in orders are NULL in 1 column";
    let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!((plan.tables[0].action, plan.tables[0].warnings[0].message.as_str()), (Action::Do(Mode::Ingest), said));
    let outcome = goes_on(&lake, &[]).await;
    assert_eq!(warnings(of(&outcome, "orders")), [said]);
    let warning = &of(&outcome, "orders").warnings[0];
    assert_eq!(warning.details, ["in the table, not in its definition: `extra`"]);
    assert_eq!(extra(&lake).await, ["20|NULL", "8|seen"]);

    // The data file that is rewritten for the rows of a replaced file keeps it.
    lake.land("orders/a.json", orders(2..4));
    let outcome = goes_on(&lake, &[]).await;
    assert_eq!(of(&outcome, "orders").rows.deleted, 6);
    assert_eq!(extra(&lake).await, ["20|NULL", "8|seen"]);

    // Columns of our own do not displace it.
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}note = \"string\"\n"));
    lake.land("orders/e.json", "{\"id\":30,\"item\":\"nut\",\"price\":1.0,\"note\":\"x\"}\n");
    goes_on(&lake, &["everything"]).await;
    assert_eq!(columns(&lake).await, ["id", "item", "price", "note", "source_file", "source_offset", "extra"]);
    assert_eq!(extra(&lake).await, ["20|NULL", "8|seen"]);

    // The catalog has the columns of the log, and `catalog check` notes the undeclared one.
    let checked = register::check(&lake.workspace().await).await.unwrap();
    let entry = checked.entries.iter().find(|e| e.table == "orders").unwrap();
    assert!(entry.drift.is_empty(), "{entry:?}");
    assert_eq!(entry.notes, ["column `extra` is in the table and not declared"]);

    // After its declaration it is one of ours.
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}note = \"string\"\nextra = \"string\"\n"));
    lake.land("orders/d.json", "{\"id\":20,\"item\":\"nut\",\"price\":1.0,\"extra\":\"ours\"}\n");
    let outcome = goes_on(&lake, &["everything"]).await;
    assert_eq!(warnings(of(&outcome, "orders")), Vec::<&str>::new());
    assert_eq!(extra(&lake).await, ["20|ours", "8|seen"]);
}

/// Another writer's column, as in the log.
async fn add_field(lake: &Lake, field: Value) {
    let mut metadata = first(lake, "metaData");
    let mut schema: Value = serde_json::from_str(metadata["metaData"]["schemaString"].as_str().unwrap()).unwrap();
    schema["fields"].as_array_mut().unwrap().push(field);
    metadata["metaData"]["schemaString"] = json!(schema.to_string());
    commit(lake, &[metadata]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_rows_cannot_lack_stops_the_table_before_anything_is_read() {
    for (nullable, metadata, problem) in [
        (false, json!({}), "cannot be NULL"),
        (true, json!({"delta.generationExpression": "id + 1"}), "must be computed by the writer"),
    ] {
        let lake = built("incremental").await;
        add_field(&lake, json!({"name": "extra", "type": "long", "nullable": nullable, "metadata": metadata})).await;
        lake.land("orders/d.json", orders(20..22));
        let outcome = lake.try_sync().await;
        let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{outcome:?}") };
        let expected = format!("column `extra` of orders is in the table, not in its definition, and {problem}");
        assert_eq!(error.message(), expected);
        assert!(error.next().unwrap().contains("in the engine that added it, or declare it"), "{error}");
        assert_eq!(lake.count("select count(*) from files where path like '%d.json'").await, 0);
        let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
        assert_eq!(plan.tables[0].action, Action::Stop);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_somebody_adds_to_a_derived_table_is_drift() {
    for refresh in ["auto", "incremental"] {
        let lake = built(refresh).await;
        add_column(&lake, "curated/items").await;
        let reason = "column `extra` was added by another writer";
        let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
        let planned = plan.tables.iter().find(|t| t.table.as_str() == "items").unwrap().action;
        lake.land("orders/d.json", orders(20..22));
        let outcome = lake.try_sync().await;
        let done = of(&outcome, "items");
        if refresh == "auto" {
            assert_ok(&outcome);
            assert_eq!((planned, done.mode, done.reason.as_str()), (Action::Do(Mode::Full), Mode::Full, reason));
            assert_eq!(warnings(done), [format!("items had drifted and was rebuilt: {reason}")]);
        } else {
            let Some(Problem::Failed(error)) = &done.problem else { panic!("{outcome:?}") };
            assert_eq!(planned, Action::Stop);
            assert!(error.message().ends_with(reason), "{error}");
            assert_eq!(error.next(), Some("stedi-delta sync -s items --full-refresh"));
            let all = sync::Options { full_refresh: true, ..sync::Options::default() };
            assert_ok(&lake.try_sync_with(all).await);
        }
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

/// Orders appended by another writer with an additional column and without an offset, as `schema_mode="merge"` allows.
async fn append_without_offset(lake: &Lake, ids: &[i64]) {
    let rows = super::batch(&ids.iter().map(|id| (*id, "nut", 1.0)).collect::<Vec<_>>());
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = rows.columns().to_vec();
    (fields[4], columns[4]) = (fields[4].clone().with_nullable(true), new_null_array(&Int64, ids.len()));
    fields.push(Field::new("note", Utf8, true));
    columns.push(new_null_array(&Utf8, ids.len()));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    open(lake).await.write(vec![rows]).with_schema_mode(SchemaMode::Merge).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_appends_without_an_offset_are_rows_like_others() {
    let lake = lake("incremental");
    for (name, sql) in [
        ("offsets", "select count(o.source_offset) as n, count(*) as m, sum(o.source_offset) as s from orders o"),
        ("lacking", "select o.id from orders o where o.source_offset is null"),
        ("never", "select c.id from cheap c where c.id not in (select o.source_offset from orders o)"),
    ] {
        lake.define(&format!("tables/curated/{name}.toml"), &derived("incremental"));
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake.land_first_orders();
    lake.sync().await;
    append_without_offset(&lake, &[4, 20]).await;
    goes_on(&lake, &[]).await;
    assert_eq!(lake.rows("select id from lacking").await, ["20", "4"]);
    assert_eq!(lake.rows("select n, m from offsets").await, ["10|12"]);
    // The table continues to work: files land, are replaced, and bring columns.
    lake.land_more_orders();
    goes_on(&lake, &[]).await;
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}more = \"string\"\n"));
    lake.land("orders/d.json", orders(30..32));
    goes_on(&lake, &[]).await;
    assert_eq!(lake.count("select count(*) from orders where source_offset is null").await, 2);
    // A row without a file belongs to none.
    let mut metadata = first(&lake, "metaData");
    let schema =
        metadata["metaData"]["schemaString"].as_str().unwrap().replace("\"nullable\":false", "\"nullable\":true");
    metadata["metaData"]["schemaString"] = json!(schema);
    commit(&lake, &[metadata]).await;
    let error = lake.try_sync().await.problem.unwrap();
    assert!(error.message().contains("alter column id set not null"), "{error}");
    lake.define(
        "tables/landing/orders.toml",
        &format!("{ORDERS}more = \"string\"\n").replace(", nullable = false", ""),
    );
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{outcome:?}") };
    assert!(error.message().contains("column `source_file` of orders may be NULL"), "{error}");
    assert!(error.next().unwrap().contains("RESTORE the version before"), "{error}");
}
