//! Change data feeds that are exact, missing or wrong.

use deltalake::datafusion::prelude::SessionContext;
use deltalake::protocol::SaveMode;
use stedi_delta::outcome::{Mode, Problem};
use stedi_delta::sync;

use super::{append, batch, chain, feed, newest_commit, open};
use crate::support::{assert_ok, of};

#[tokio::test(flavor = "multi_thread")]
async fn f1_update_to_a_duplicate_is_not_lost_by_the_feed() {
    let lake = chain("incremental").await;
    feed(&lake, "landing/orders", true).await;
    append(&lake, &[100, 101]).await;
    lake.sync().await;
    lake.assert_recomputed().await;
    // {a, b} becomes {b, b}: delta-rs computes the feed with EXCEPT ALL, and it lists the end of `a` alone.
    let update = open(&lake, "landing/orders").await.update().with_predicate("id = 100");
    let (table, _) = update.with_update("id", "101").with_update("source_offset", "101").await.unwrap();
    let commit = newest_commit(&lake, "landing/orders", table.version().unwrap());
    assert!(commit.contains("\"cdc\""), "there is no feed: {commit}");
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    assert_eq!(lake.count("select count(*) from cheap where id = 101").await, 2);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_feed_that_was_never_on_or_is_off_for_a_while() {
    let lake = chain("incremental").await;
    append(&lake, &[100, 101, 102]).await;
    lake.sync().await;
    // Never enabled: whole files are compared.
    open(&lake, "landing/orders").await.delete().with_predicate("id = 100").await.unwrap();
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").mode, of(&outcome, "cheap").rows.deleted), (Mode::Incremental, 1));
    lake.assert_recomputed().await;
    // Enabled, disabled and enabled again within one range.
    feed(&lake, "landing/orders", true).await;
    open(&lake, "landing/orders").await.delete().with_predicate("id = 101").await.unwrap();
    feed(&lake, "landing/orders", false).await;
    let update = open(&lake, "landing/orders").await.update().with_predicate("id = 102");
    update.with_update("item", "'other'").await.unwrap();
    feed(&lake, "landing/orders", true).await;
    open(&lake, "landing/orders").await.delete().with_predicate("id = 0").await.unwrap();
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_feed_of_our_own_table_switched_off_by_somebody() {
    let lake = chain("auto").await;
    feed(&lake, "trusted/cheap", false).await;
    lake.land_more_orders();
    lake.sync().await;
    lake.assert_recomputed().await;
    feed(&lake, "trusted/cheap", true).await;
    lake.land("orders/c.json", crate::support::shop::orders(3..5));
    lake.sync().await;
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_vacuumed_change_data_is_noticed_before_anything_is_written() {
    for refresh in ["auto", "incremental"] {
        let lake = chain(refresh).await;
        // Only the cheap orders advance, with a feed, and the feed's files are vacuumed.
        lake.land_more_orders();
        let select = vec!["orders".to_owned(), "cheap".to_owned()];
        assert_ok(&lake.try_sync_with(sync::Options { select, ..sync::Options::default() }).await);
        let data = lake.warehouse().join("trusted/cheap/_change_data");
        assert!(std::fs::read_dir(&data).unwrap().count() > 0);
        std::fs::remove_dir_all(&data).unwrap();
        let outcome = lake.try_sync().await;
        if let Some(Problem::Failed(error)) = &of(&outcome, "cheapest").problem {
            assert_eq!(refresh, "incremental", "{error}");
            assert!(error.next().unwrap().contains("--full-refresh"), "{error}");
            let options = sync::Options { full_refresh: true, ..sync::Options::default() };
            assert_ok(&lake.try_sync_with(options).await);
        }
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feldera_6154_rewritten_files_are_no_inserts() {
    let lake = chain("incremental").await;
    lake.land("orders/c.json", crate::support::shop::orders(0..3));
    lake.sync().await;
    // Compacted, one row deleted, compacted: most rows were written three times and never inserted.
    open(&lake, "landing/orders").await.optimize().await.unwrap();
    open(&lake, "landing/orders").await.delete().with_predicate("id = 4").await.unwrap();
    append(&lake, &[100]).await;
    open(&lake, "landing/orders").await.optimize().await.unwrap();
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert_eq!((done.mode, done.rows.inserted, done.rows.deleted), (Mode::Incremental, 1, 1));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_1324_an_update_that_changes_nothing_is_no_change() {
    for on in [false, true] {
        let lake = chain("incremental").await;
        feed(&lake, "landing/orders", on).await;
        let update = open(&lake, "landing/orders").await.update().with_predicate("id < 4");
        update.with_update("item", "item").await.unwrap();
        let outcome = lake.sync().await;
        for table in ["cheap", "items", "cheapest"] {
            let done = of(&outcome, table);
            let moved = (done.rows.inserted, done.rows.updated, done.rows.deleted, done.io.files_removed);
            assert_eq!(moved, (0, 0, 0, 0), "{table}");
        }
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_1274_a_merge_that_deletes_what_matches_twice_deletes_it_once() {
    let lake = chain("incremental").await;
    append(&lake, &[100, 100, 101]).await;
    lake.sync().await;
    feed(&lake, "landing/orders", true).await;
    let table = open(&lake, "landing/orders").await;
    let twice = SessionContext::new().read_batch(batch(&table, &[100, 100])).unwrap();
    let merge = table.merge(twice, "t.id = s.id").with_source_alias("s").with_target_alias("t");
    merge.when_matched_delete(|delete| delete).unwrap().await.unwrap();
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").mode, of(&outcome, "cheap").rows.deleted), (Mode::Incremental, 2));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_upstream_is_a_small_change_where_most_rows_stay() {
    let lake = chain("incremental").await;
    append(&lake, &[100, 101, 102]).await;
    lake.sync().await;
    let table = open(&lake, "landing/orders").await;
    let rows = batch(&table, &[101, 102, 103]);
    table.write(vec![rows]).with_save_mode(SaveMode::Overwrite).await.unwrap();
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    // Five of the first orders and 100 are deleted; 103 is inserted; 101 and 102 were rewritten and kept.
    assert_eq!((done.mode, done.rows.inserted, done.rows.deleted), (Mode::Incremental, 1, 6));
    lake.assert_recomputed().await;
}
