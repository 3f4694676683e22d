//! Deleted or restored landing tables.

use std::fs;
use std::path::{Path, PathBuf};

use stedi_delta::cli::exit;
use stedi_delta::outcome::{Mode, Problem};
use stedi_delta::sync::{Options, Reload};

use super::{assert_accounted, ids, order, plain, reload};
use crate::support::{Lake, assert_ok, of};

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_that_was_deleted_by_hand_takes_its_files_anew() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "broken\n");
    lake.sync().await;
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    fs::remove_dir_all(lake.warehouse().join("landing")).unwrap();
    // Rows computed from the old table must not be attributed to the new one.
    lake.sync_failing("sold", &[]).await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 1);
    let options = Options { select: vec!["sold".into()], full_refresh: true, ..Options::default() };
    assert_ok(&lake.try_sync_with(options).await);
    lake.assert_recomputed().await;
    // Only its own folder is deleted: the quarantine keeps its records, once.
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
    // The same for the next one.
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
    assert_eq!(exit::of_sync(&outcome), 1);
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
    // Only the newest commit is undone, its data files exist: the batch is finished without reading a file.
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

/// Two batches of orders, each with a broken record, and a backup of a folder of the warehouse between them.
async fn landed_twice(folder: &str) -> (Lake, PathBuf, PathBuf) {
    let lake = plain();
    let (folder, copy) = (lake.warehouse().join(folder), lake.warehouse().join("../copy"));
    lake.land("orders/a.json", order(1) + "broken\n");
    lake.sync().await;
    copy_folder(&folder, &copy);
    lake.land("orders/b.json", order(2) + "broken\n");
    lake.sync().await;
    (lake, folder, copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_deleted_or_put_back_stops_its_tables_until_they_are_reloaded() {
    for put_back in [false, true] {
        let (lake, system, copy) = landed_twice("system").await;
        fs::remove_dir_all(&system).unwrap();
        if put_back {
            copy_folder(&copy, &system);
        }
        lake.land("orders/c.json", order(3) + "broken\n");
        // One file alone is not sufficient.
        for reload in [vec![], vec![Reload::parse("orders:orders/c.json")]] {
            let outcome = lake.try_sync_with(Options { reload, ..Options::default() }).await;
            let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("orders did not stop") };
            let text = format!("{error} {:?} {:?}", error.facts(), error.next());
            assert!(text.contains("lacks batch 2 of orders") && text.contains("sync --reload orders"), "{text}");
            assert!(text.contains(&format!("batch 2 in the table, {} in the ledger", i32::from(put_back))), "{text}");
        }
        assert!(stedi_delta::replay::replay(&lake.workspace().await, "orders").await.is_err());
        reload(&lake, "orders").await;
        assert_eq!(assert_accounted(&lake).await, (6, 3, 3));
        assert_eq!(ids(&lake).await, ["1", "2", "3"]);
        // And syncs continue from there.
        lake.land("orders/d.json", order(4) + "broken\n");
        assert_eq!(of(&lake.sync().await, "sold").mode, Mode::Incremental);
        assert_eq!(assert_accounted(&lake).await, (8, 4, 4));
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_from_another_warehouse_or_of_another_name_stops_until_it_is_reloaded() {
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    let other = plain();
    other.land("orders/a.json", order(1));
    other.land("orders/b.json", order(2) + "broken\n");
    copy_folder(&lake.warehouse().join("landing"), &other.warehouse().join("landing"));
    let (_, text) = other.sync_failing("orders", &["sold"]).await;
    assert!(text.contains("the table's folder came from elsewhere"), "{text}");
    reload(&other, "orders").await;
    assert_eq!(assert_accounted(&other).await, (3, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_ahead_of_ledger_and_table_keeps_every_record_once() {
    // Ledger and table are restored, or deleted.
    for put_back in [false, true] {
        let (lake, system, copy) = landed_twice("system").await;
        let (table, aside) = (lake.warehouse().join("landing/orders"), lake.warehouse().join("../orders"));
        copy_folder(&table, &aside);
        fs::remove_dir_all(&system).unwrap();
        fs::remove_dir_all(&table).unwrap();
        fs::remove_dir_all(lake.warehouse().join("curated/sold")).unwrap();
        if put_back {
            copy_folder(&copy, &system);
            copy_folder(&aside, &table);
            let newest = fs::read_dir(table.join("_delta_log")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
            fs::remove_file(newest).unwrap();
            // A file unknown to the ledger is not its own yet.
            let outcome = stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap();
            assert_eq!(outcome.rows.inserted, 0);
        }
        lake.land("orders/c.json", order(3) + "broken\n");
        lake.sync().await;
        assert_eq!(assert_accounted(&lake).await, (6, 3, 3), "{put_back}");
        let quarantined = lake.rows("select source_file from orders_quarantine").await;
        assert_eq!(quarantined, ["orders/a.json", "orders/b.json", "orders/c.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_that_another_one_of_its_name_followed_is_put_back() {
    let lake = plain();
    let (table, copy) = (lake.warehouse().join("landing/orders"), lake.warehouse().join("../copy"));
    lake.land("orders/a.json", order(1) + "broken\n");
    lake.sync().await;
    copy_folder(&table, &copy);
    fs::remove_dir_all(&table).unwrap();
    fs::remove_dir_all(lake.warehouse().join("curated/sold")).unwrap();
    lake.land("orders/b.json", order(2) + "broken\n");
    lake.sync().await;
    fs::remove_dir_all(&table).unwrap();
    copy_folder(&copy, &table);
    lake.land("orders/c.json", order(3) + "broken\n");
    lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 3);
}

/// A commit that looks like ours, with a batch number of another writer.
fn claim_batch(lake: &Lake, table: &str, number: i64) {
    let log = lake.warehouse().join(table).join("_delta_log");
    let version =
        fs::read_dir(&log).unwrap().filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "json").count();
    let txn =
        |id: &str, version: i64| format!("{{\"txn\":{{\"appId\":\"stedi-delta/{id}\",\"version\":{version}}}}}\n");
    let text = txn("head", i64::try_from(version).unwrap()) + &txn("batch", number);
    fs::write(log.join(format!("{version:020}.json")), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_number_that_no_sync_gave_out_is_not_counted_on() {
    for number in [i64::MAX, i64::MAX - 1, i64::MIN, -1] {
        let lake = plain();
        lake.land("orders/a.json", order(1) + "broken\n");
        lake.sync().await;
        claim_batch(&lake, "landing/orders", number);
        claim_batch(&lake, "landing/orders_quarantine", number);
        lake.land("orders/b.json", order(2) + "broken\n");
        let outcome = lake.try_sync().await;
        let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{number}: {outcome:?}") };
        assert_eq!(error.message(), format!("batch {number} of orders was not assigned by a sync"));
        assert!(error.next().unwrap().starts_with("stedi-delta sync --reload orders "), "{error}");
        reload(&lake, "orders").await;
        assert_eq!(ids(&lake).await, ["1", "2"]);
        assert_eq!(lake.count("select count(*) from orders_quarantine").await, 2);
        lake.land("orders/c.json", order(3));
        lake.sync().await;
        assert_eq!(ids(&lake).await, ["1", "2", "3"]);
        assert_accounted(&lake).await;
    }
}
