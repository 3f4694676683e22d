//! Batches that are in the ledger and not in the table, with changed columns of the definition or the table.

use std::fs;

use deltalake::DeltaTableBuilder;
use deltalake::kernel::{DataType, StructField};
use stedi_delta::outcome::{Problem, SyncOutcome};
use stedi_delta::sync::{Options, Reload};
use url::Url;

use super::{COLUMNS, assert_accounted, orders, reload, shop};
use crate::support::{Lake, assert_ok, of};

fn defined(lake: &Lake, column: &str) {
    lake.define("tables/landing/orders.toml", &orders("on_overwrite = \"replace\"", &format!("{COLUMNS}{column}"), ""));
}

/// The lake whose batch `b.json` with a `double` column `nu` is only in the ledger, with or without an earlier batch.
async fn open(first: bool) -> Lake {
    let lake = shop(&orders("on_overwrite = \"replace\"", COLUMNS, ""));
    if first {
        lake.land("orders/a.json", "{\"id\":1,\"item\":\"i1\",\"nu\":0.5}\nbroken\n");
        only_orders(&lake).await;
        lake.land("orders/a.json", "{\"id\":1,\"item\":\"j1\",\"nu\":1.5}\nbroken\n");
    }
    defined(&lake, "nu = { type = \"double\" }\n");
    lake.land("orders/b.json", "{\"id\":2,\"item\":\"i2\",\"nu\":-0.0}\n{\"id\":3,\"item\":\"i3\"}\n");
    only_orders(&lake).await;
    let log = lake.warehouse().join("landing/orders/_delta_log");
    let newest = fs::read_dir(&log).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    assert!(newest.ends_with(format!("{:020}.json", i32::from(first))), "{newest:?}");
    fs::remove_file(newest).unwrap();
    lake
}

async fn try_orders(lake: &Lake) -> SyncOutcome {
    lake.try_sync_with(Options { select: vec!["orders".into()], ..Options::default() }).await
}

async fn only_orders(lake: &Lake) {
    assert_ok(&try_orders(lake).await);
}

async fn refused(lake: &Lake) -> String {
    match &of(&try_orders(lake).await, "orders").problem {
        Some(Problem::Failed(error)) => format!("{error} {:?} {:?}", error.facts(), error.next()),
        other => panic!("orders did not fail: {other:?}"),
    }
}

fn expected(first: bool) -> Vec<&'static str> {
    let all = ["1|j1|1.5", "2|i2|-0.0", "3|i3|NULL"];
    all[usize::from(!first)..].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_whose_type_was_changed_while_the_batch_was_open_is_as_it_was_written() {
    for first in [false, true] {
        let lake = open(first).await;
        defined(&lake, "nu = { type = \"boolean\" }\n");
        let text = refused(&lake).await;
        assert!(text.contains("column `nu`") && text.contains("double"), "{text}");
        // Nothing is broken: as in an uninterrupted sync.
        defined(&lake, "nu = { type = \"double\" }\n");
        lake.sync().await;
        assert_eq!(lake.rows("select id, item, nu from orders").await, expected(first));
        assert_accounted(&lake).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_taken_back_while_the_batch_was_open_stays_in_the_table() {
    for first in [false, true] {
        let lake = open(first).await;
        defined(&lake, "");
        // The batch is carried out; the column that it brings is one that the definition once had.
        assert!(
            refused(&lake).await.contains("column `nu` of orders is in the table, and no longer in its definition")
        );
        assert_eq!(
            lake.try_sync().await.problem.unwrap().message(),
            "the columns of orders need a migration: drop column nu"
        );
        defined(&lake, "nu = { type = \"string\" }\n");
        let text = lake.try_sync().await.problem.unwrap().to_string();
        assert!(text.contains("alter column nu type string using cast(nu as varchar)"), "{text}");
        defined(&lake, "nu = { type = \"double\" }\n");
        lake.sync().await;
        assert_eq!(lake.rows("select id, item, nu from orders").await, expected(first));
        assert_accounted(&lake).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_does_not_fit_what_somebody_made_of_the_table_is_read_anew_on_demand() {
    let lake = open(true).await;
    let url = Url::from_directory_path(lake.warehouse().join("landing/orders")).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    table.add_columns().with_fields([StructField::nullable("nu", DataType::STRING)]).await.unwrap();
    defined(&lake, "nu = { type = \"string\" }\n");
    let text = refused(&lake).await;
    assert!(text.contains("batch 2 of orders does not fit") && text.contains("--reload orders"), "{text}");
    // One file alone is not sufficient.
    let one = Options { reload: vec![Reload::parse("orders:orders/b.json")], ..Options::default() };
    assert!(of(&lake.try_sync_with(one).await, "orders").problem.is_some());
    reload(&lake, "orders").await;
    assert_accounted(&lake).await;
    // A number is no string.
    assert_eq!(lake.rows("select id, item, nu from orders").await, ["3|i3|NULL"]);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 3);
}
