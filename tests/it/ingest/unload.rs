//! Unloaded files.

use super::*;
use crate::support::customer;

async fn unload(lake: &Lake, what: &str) -> SyncOutcome {
    lake.try_sync_with(Options { unload: vec![Reload::parse(what)], ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unloaded_file_leaves_landing_and_quarantine_and_comes_back_by_reload_only() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "{\"id\":\"x\"}\n");
    lake.land("orders/b.json", order(2) + "{\"id\":\"y\"}\n");
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 2, 2));
    let outcome = unload(&lake, "orders:orders/a.json").await;
    assert_ok(&outcome);
    let done = of(&outcome, "orders");
    assert_eq!((done.rows.inserted, done.rows.deleted, done.reason.as_str()), (0, 1, "1 unloaded file"));
    let sold = of(&outcome, "sold");
    assert_eq!((sold.mode, sold.rows.deleted), (Mode::Incremental, 1));
    assert_eq!(ids(&lake).await, ["2"]);
    assert_eq!(lake.rows("select source_file from orders_quarantine").await, ["orders/b.json"]);
    assert_eq!(assert_accounted(&lake).await, (2, 1, 1));
    // Every file under that path is skipped and named, even if it changes.
    for text in [order(1), order(1), order(7)] {
        lake.land("orders/a.json", text);
        let outcome = lake.sync().await;
        assert_still(&outcome);
        let [warning] = of(&outcome, "orders").warnings.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(warning.message, "1 file of orders is skipped: unloaded before");
        assert_eq!(warning.details, ["orders/a.json"]);
    }
    // Reloading all files excludes unloaded ones.
    reload(&lake, "orders").await;
    assert_eq!(ids(&lake).await, ["2"]);
    reload(&lake, "orders:orders/a.json").await;
    assert_eq!(ids(&lake).await, ["2", "7"]);
    assert_eq!(assert_accounted(&lake).await, (3, 2, 1));
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_can_be_unloaded_and_so_can_a_folder() {
    let lake = plain();
    for (at, path) in ["orders/a.json", "orders/old/b.json", "orders/old/c.json"].iter().enumerate() {
        lake.land(path, order(at as i64));
    }
    lake.sync().await;
    fs::remove_file(lake.landing().join("orders/a.json")).unwrap();
    assert_ok(&unload(&lake, "orders:orders/a.json").await);
    assert_eq!(ids(&lake).await, ["1", "2"]);
    assert_ok(&unload(&lake, "orders:orders/old").await);
    assert!(ids(&lake).await.is_empty());
    lake.assert_recomputed().await;
    for (what, code) in [("orders:orders/none.json", 1), ("orders", 64), ("orders:", 64), ("nothing:a", 64)] {
        let outcome = unload(&lake, what).await;
        assert_eq!(exit::of_sync(&outcome), code, "{what}: {outcome:?}");
    }
    // A recreated table does not land them again either.
    fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
    lake.land("orders/d.json", order(9));
    let _ = lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unloaded_already_commits_nothing() {
    let lake = plain();
    for (at, path) in ["orders/a.json", "orders/old/b.json", "orders/old/c.json"].iter().enumerate() {
        lake.land(path, order(at as i64) + "{\"id\":\"x\"}\n");
    }
    lake.sync().await;
    fs::remove_file(lake.landing().join("orders/old/c.json")).unwrap();
    let versions = || async {
        let runs = "select max(batch), count(*) from files";
        (lake.rows(runs).await, fs::read_dir(lake.warehouse().join("curated/sold/_delta_log")).unwrap().count())
    };
    for what in ["orders:orders/a.json", "orders:orders/old", "orders:orders/old/c.json", "orders:orders"] {
        let first = unload(&lake, what).await;
        assert_ok(&first);
        let before = versions().await;
        let again = unload(&lake, what).await;
        assert_still(&again);
        assert_eq!(of(&again, "orders").reason, "", "{what}");
        assert_eq!(versions().await, before, "{what}");
    }
    assert_eq!(assert_accounted(&lake).await, (0, 0, 0));
    // A file that has not landed has no rows to remove, and is not read from now on.
    lake.land("orders/new.json", order(7));
    assert_still(&unload(&lake, "orders:orders/new.json").await);
    assert_still(&lake.sync().await);
    lake.land("orders/d.json", order(8));
    lake.sync().await;
    assert_eq!(ids(&lake).await, ["8"]);
    assert_eq!(exit::of_sync(&unload(&lake, "orders:orders/none.json").await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_writer_put_back_can_be_unloaded_again() {
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    assert_ok(&unload(&lake, "orders:orders/a.json").await);
    let folder = url::Url::from_directory_path(lake.warehouse().join("landing/orders")).unwrap();
    let table = deltalake::DeltaTableBuilder::from_url(folder).unwrap().load().await.unwrap();
    table.restore().with_version_to_restore(0).await.unwrap();
    let _ = lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    let outcome = unload(&lake, "orders:orders/a.json").await;
    assert_ok(&outcome);
    assert_eq!(of(&outcome, "orders").rows.deleted, 1);
    assert_eq!(ids(&lake).await, ["2"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unloading_consent_says_whose_changes() {
    let lake = Lake::stedi();
    lake.land_customers("a", customer("ann@x", "s1", 1, 1) + &customer("bob@x", "s2", 1, 1));
    // Bob withdraws, Cid consents.
    lake.land_customers("b", customer("bob@x", "s2", 2, None) + &customer("cid@x", "s3", 1, 1));
    lake.build().await;
    let outcome = unload(&lake, "customer_landing:customer/landing/b.json").await;
    assert_ok(&outcome);
    let said: Vec<&str> = of(&outcome, "customer_landing").warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        said,
        ["what was unloaded of customer_landing ends the consent of 1 person and gives it back to 1 person"]
    );
    lake.assert_recomputed().await;
}
