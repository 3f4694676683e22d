//! The content of a commit, and the combination of two changes in one sync.

use stedi_delta::outcome::Mode;
use stedi_delta::sync;

use super::{chain, lake_table, open};
use crate::concurrency::at_once;
use crate::support::shop::{derived, orders, shop};
use crate::support::{Lake, assert_ok, of};

/// delta-rs's MERGE commits nothing then, and the consumed version is lost.
#[tokio::test(flavor = "multi_thread")]
async fn f4_nothing_changes_and_the_progress_is_recorded_all_the_same() {
    let lake = chain("incremental").await;
    let before = lake_table(&lake, "cheap").await;
    lake.land("orders/c.json", orders(50..53));
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert_eq!((done.rows.inserted, done.rows.deleted, done.io.files_added, done.io.files_removed), (0, 0, 0, 0));
    let (after, source) = (lake_table(&lake, "cheap").await, lake_table(&lake, "orders").await);
    let files =
        |table: &stedi_delta::internals::lake::LakeTable| table.files().into_iter().map(|f| f.path).collect::<Vec<_>>();
    assert_eq!(files(&after), files(&before));
    assert_eq!(after.consumed(&source.uuid()).await.unwrap().map(|c| c.version), Some(source.version()));
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f5_the_second_of_two_writers_conflicts_and_nothing_is_applied_twice() {
    let lake = chain("incremental").await;
    for round in 0..3 {
        lake.land(&format!("orders/r{round}.json"), orders(round..round + 2));
        let codes = at_once(&lake, 2).await;
        assert!(codes.iter().all(|code| [0, 4].contains(code)) && codes.contains(&0), "{codes:?}");
        lake.sync().await;
        lake.assert_recomputed().await;
    }
    assert_eq!(lake.count("select count(*) from cheap").await, 5 + 6);
}

/// A table with a primary key over the orders, built.
async fn keyed() -> Lake {
    let lake = shop("incremental");
    let keyed = format!("{}primary_key = [\"id\"]\n", derived("incremental"));
    lake.define("tables/curated/keyed.toml", &keyed);
    lake.define("tables/curated/keyed.sql", "select o.id, o.item, o.price from orders o");
    lake.land_first_orders();
    lake.sync().await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_two_changes_of_one_key_in_one_sync_are_one_change() {
    let lake = keyed().await;
    let order = |price: i64| format!("{{\"id\":0,\"item\":\"nut\",\"price\":{price}}}\n");
    let landing = || sync::Options { select: vec!["orders".to_owned()], ..sync::Options::default() };
    for price in [20, 30, 40] {
        lake.land("orders/a.json", orders(1..6) + &order(price));
        assert_ok(&lake.try_sync_with(landing()).await);
    }
    let outcome = lake.sync().await;
    let done = of(&outcome, "keyed");
    assert_eq!((done.mode, done.rows.inserted, done.rows.updated, done.rows.deleted), (Mode::Incremental, 0, 1, 0));
    lake.assert_recomputed().await;
    // There and back again.
    for price in [50, 40] {
        lake.land("orders/a.json", orders(1..6) + &order(price));
        assert_ok(&lake.try_sync_with(landing()).await);
    }
    let outcome = lake.sync().await;
    let done = of(&outcome, "keyed");
    assert_eq!((done.rows.inserted, done.rows.updated, done.rows.deleted, done.io.files_removed), (0, 0, 0, 0));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_pk_move_in_one_version_is_no_double_key() {
    let lake = keyed().await;
    // 0 becomes 1, 1 becomes 2, and so on, in one version.
    let moved = open(&lake, "landing/orders").await.update().with_update("id", "id + 1").await.unwrap();
    assert!(moved.0.version().is_some());
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "keyed").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_and_insert_in_one_version_of_a_source() {
    let lake = chain("incremental").await;
    // The same rows but one, in a file that replaces the other one.
    lake.land("orders/a.json", orders(0..5) + "{\"id\":5,\"item\":\"screw\",\"price\":1.0}\n");
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert_eq!((done.mode, done.rows.inserted, done.rows.deleted), (Mode::Incremental, 1, 0));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn diamond_of_tables_is_read_at_one_cut() {
    let lake = chain("incremental").await;
    lake.define("tables/curated/joined.toml", &derived("incremental"));
    lake.define(
        "tables/curated/joined.sql",
        "select c.id, i.n, p.n as cheap_n, o.price from cheap c join items i on c.item = i.item \
         left join cheapest p on p.item = c.item join orders o on o.id = c.id",
    );
    lake.sync().await;
    for (file, ids) in [("a", 2..4), ("c", 0..3), ("b", 0..9), ("c", 7..8)] {
        lake.land(&format!("orders/{file}.json"), orders(ids));
        let outcome = lake.sync().await;
        assert_eq!(of(&outcome, "joined").mode, Mode::Incremental);
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_added_column_leaves_old_rows_with_null() {
    let lake = chain("auto").await;
    let orders_toml = format!("{}note = \"string\"\n", crate::support::shop::ORDERS);
    lake.define("tables/landing/orders.toml", &orders_toml);
    lake.land("orders/c.json", "{\"id\":70,\"item\":\"nut\",\"price\":1.0,\"note\":\"new\"}\n");
    lake.sync().await;
    lake.assert_recomputed().await;
    lake.define("tables/curated/notes.toml", &derived("incremental"));
    lake.define("tables/curated/notes.sql", "select o.note, count(*) as n from orders o group by o.note");
    lake.sync().await;
    // The files to be replaced now lack the column.
    lake.land("orders/a.json", orders(2..4));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "notes").mode, of(&outcome, "cheap").mode), (Mode::Incremental, Mode::Incremental));
    lake.assert_recomputed().await;
    assert_eq!(lake.rows("select note, n from notes").await, ["NULL|6", "new|1"]);
}
