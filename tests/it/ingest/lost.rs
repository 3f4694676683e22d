//! Landing tables that somebody deletes or puts back.

use std::fs;
use std::path::Path;

use stedi_delta::outcome::Mode;
use stedi_delta::report;
use stedi_delta::sync::{Options, Reload};

use super::{assert_accounted, ids, order, plain};
use crate::support::{assert_ok, of};

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_that_was_deleted_by_hand_takes_its_files_anew() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "broken\n");
    lake.sync().await;
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    fs::remove_dir_all(lake.warehouse().join("landing")).unwrap();
    // What was computed from the old one may not be taken for what the new one gives.
    lake.sync_failing("sold", &[]).await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 1);
    let options = Options { select: vec!["sold".into()], full_refresh: true, ..Options::default() };
    assert_ok(&lake.try_sync_with(options).await);
    lake.assert_recomputed().await;
    // Only its own folder: what is in quarantine stays there once.
    fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
    lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_deleted_by_hand_that_had_no_row_is_another_table_all_the_same() {
    let lake = plain();
    lake.land("orders/a.json", "");
    lake.sync().await;
    fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
    lake.land("orders/b.json", order(1));
    // v0 of this one has a row.
    lake.sync_failing("sold", &[]).await;
    let options = Options { select: vec!["sold".into()], full_refresh: true, ..Options::default() };
    assert_ok(&lake.try_sync_with(options).await);
    assert_eq!(lake.count("select count(*) from sold").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quarantine_of_a_table_deleted_by_hand_goes_on() {
    let lake = plain();
    for n in 0..3 {
        lake.land(&format!("orders/{n}.json"), order(n) + "broken\n");
        lake.sync().await;
    }
    fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
    lake.land("orders/0.json", order(0) + "broken again\n");
    lake.land("orders/3.json", order(3) + "broken\n");
    lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["0", "1", "2", "3"]);
    let quarantined = lake.rows("select source_file, source_offset from orders_quarantine").await;
    assert_eq!(quarantined.len(), 4, "{quarantined:?}");
    // And so does the next one's.
    lake.land("orders/4.json", order(4) + "broken\n");
    lake.try_sync().await;
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_that_was_put_back_stops_until_it_is_reloaded() {
    let lake = plain();
    let (table, copy) = (lake.warehouse().join("landing/orders"), lake.warehouse().join("../copy"));
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    copy_folder(&table, &copy);
    for n in 2..4 {
        lake.land(&format!("orders/{n}.json"), order(n));
        lake.sync().await;
    }
    fs::remove_dir_all(&table).unwrap();
    copy_folder(&copy, &table);
    let (outcome, text) = lake.sync_failing("orders", &["sold"]).await;
    assert_eq!(report::exit_code(&outcome), 1);
    assert!(text.contains("stedi-delta sync --reload orders"), "{text}");
    assert_eq!(ids(&lake).await, ["1"]);
    let outcome = lake.try_sync_with(Options { reload: vec![Reload::parse("orders")], ..Options::default() }).await;
    assert!(of(&outcome, "orders").problem.is_none(), "{:?}", of(&outcome, "orders").problem);
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
    let options = Options { select: vec!["sold".into()], full_refresh: true, ..Options::default() };
    assert_ok(&lake.try_sync_with(options).await);
    assert_eq!(assert_accounted(&lake).await, (3, 3, 0));
    lake.land("orders/4.json", order(4));
    assert_eq!(of(&lake.sync().await, "sold").mode, Mode::Incremental);
    assert_eq!(assert_accounted(&lake).await, (4, 4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_put_back_by_one_batch_never_names_data_files_that_went_with_it() {
    let lake = plain();
    let (table, copy) = (lake.warehouse().join("landing/orders"), lake.warehouse().join("../copy"));
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    copy_folder(&table, &copy);
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    fs::remove_dir_all(&table).unwrap();
    copy_folder(&copy, &table);
    let (_, text) = lake.sync_failing("orders", &["sold"]).await;
    assert!(text.contains("stedi-delta sync --reload orders"), "{text}");
    assert_eq!(ids(&lake).await, ["1"]);
    let outcome = lake.try_sync_with(Options { reload: vec![Reload::parse("orders")], ..Options::default() }).await;
    assert!(of(&outcome, "orders").problem.is_none(), "{:?}", of(&outcome, "orders").problem);
    assert_eq!(ids(&lake).await, ["1", "2"]);
    // Only the newest commit undone, with its data files still there: the batch is finished, and read from no file.
    lake.land("orders/c.json", order(3));
    lake.try_sync().await;
    fs::remove_dir_all(lake.landing().join("orders")).unwrap();
    let newest = fs::read_dir(table.join("_delta_log")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    fs::remove_file(newest).unwrap();
    let outcome = lake.try_sync().await;
    assert!(of(&outcome, "orders").reason.starts_with("finished batch"), "{:?}", of(&outcome, "orders"));
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_folder(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}
