//! Adds of present files, and removes of missing ones: no row is inserted or deleted.

use std::fs;

use serde_json::{Value, json};
use stedi_delta::outcome::Mode;
use stedi_delta::sync;

use super::layouts::first;
use super::{append, built, commit, delete, folder, follows, open, overwrite, restore, with_feed};
use crate::support::shop::orders;
use crate::support::{Lake, assert_ok, of};

/// Registers a copy of the first data file under another name: all rows are there once more.
fn registered(lake: &Lake, name: &str) -> Value {
    let mut add = first(lake, "add");
    let path = add["add"]["path"].as_str().unwrap().to_owned();
    fs::copy(folder(lake).join(path), folder(lake).join(name)).unwrap();
    add["add"]["path"] = json!(name);
    add["add"]["dataChange"] = json!(true);
    add
}

/// The same file described again.
fn again(add: &Value) -> Value {
    let mut again = add.clone();
    again["add"]["tags"] = json!({"seen": "again"});
    again
}

fn remove(add: &Value) -> Value {
    json!({"remove": {"path": add["add"]["path"], "dataChange": true, "deletionTimestamp": 1,
        "extendedFileMetadata": true, "partitionValues": {}, "size": add["add"]["size"]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_and_is_added_again_adds_nothing() {
    for feed in [true, false] {
        let lake = with_feed(feed).await;
        let add = first(&lake, "add");
        let mut described = again(&add);
        described["add"]["dataChange"] = json!(false);
        commit(&lake, &[described]).await;
        commit(&lake, &[again(&add)]).await;
        follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
        // A registration, and its retry, beside a change.
        let registered = registered(&lake, "registered.parquet");
        commit(&lake, std::slice::from_ref(&registered)).await;
        follows(&lake, Mode::Incremental, "orders v3 -> v4").await;
        commit(&lake, &[registered]).await;
        append(&lake, &[(20, "nut", 1.0)]).await;
        delete(&lake, "id = 20").await;
        append(&lake, &[(21, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v4 -> v8").await;
        assert_eq!(lake.count("select count(*) from cheap").await, 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_added_twice_within_the_range_comes_once_and_goes_once() {
    for feed in [true, false] {
        let lake = with_feed(feed).await;
        let (one, two) = (registered(&lake, "one.parquet"), registered(&lake, "two.parquet"));
        commit(&lake, std::slice::from_ref(&one)).await;
        commit(&lake, &[again(&one)]).await;
        follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
        commit(&lake, &[two.clone(), again(&two)]).await;
        follows(&lake, Mode::Incremental, "orders v3 -> v4").await;
        assert_eq!(lake.count("select count(*) from orders").await, 30);
        commit(&lake, &[remove(&one)]).await;
        commit(&lake, &[remove(&one)]).await;
        follows(&lake, Mode::Incremental, "orders v4 -> v6").await;
        commit(&lake, &[remove(&one)]).await;
        append(&lake, &[(20, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v6 -> v8").await;
        assert_eq!(lake.count("select count(*) from orders").await, 21);
        // Which of the two counts is up to the engine.
        commit(&lake, &[two.clone(), remove(&two)]).await;
        follows(&lake, Mode::Incremental, "orders v8 -> v9").await;
        commit(&lake, &[remove(&two), two.clone()]).await;
        follows(&lake, Mode::Incremental, "orders v9 -> v10").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_brings_back_comes_wherever_it_went() {
    for feed in [true, false] {
        let lake = with_feed(feed).await;
        append(&lake, &[(20, "nut", 1.0), (21, "nut", 1.0)]).await;
        append(&lake, &[(22, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
        // It was removed before the range.
        overwrite(&lake, &[(30, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v3 -> v4").await;
        restore(&lake, 3).await;
        follows(&lake, Mode::Incremental, "orders v4 -> v5").await;
        // Within it, by a commit that only moved rows, whose new file a commit with a feed removes.
        open(&lake).await.optimize().await.unwrap();
        delete(&lake, "id = 20").await;
        restore(&lake, 5).await;
        append(&lake, &[(31, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v5 -> v9").await;
        assert_eq!(lake.rows("select id from cheap where id > 9").await, ["20", "21", "22", "31"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_under_the_name_of_one_that_is_there_is_no_change_that_can_be_told() {
    let lake = built("auto").await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    let text = fs::read_to_string(folder(&lake).join("_delta_log/00000000000000000001.json")).unwrap();
    let line = text.lines().find(|line| line.starts_with("{\"add\"")).unwrap();
    let mut other: Value = serde_json::from_str(line).unwrap();
    let first = first(&lake, "add");
    let path = |add: &Value| folder(&lake).join(add["add"]["path"].as_str().unwrap());
    fs::copy(path(&first), path(&other)).unwrap();
    other["add"]["size"] = first["add"]["size"].clone();
    other["add"]["stats"] = first["add"]["stats"].clone();
    commit(&lake, &[other]).await;
    let reason = "a file of v1 was overwritten by another one of the same name (orders)";
    follows(&lake, Mode::Full, reason).await;
}

/// The snapshot of the consumed version is read if another writer moved files, and not for commits of ours.
#[tokio::test(flavor = "multi_thread")]
async fn commits_of_ours_are_followed_without_the_snapshot_before_them() {
    for ours in [true, false] {
        let lake = built("auto").await;
        if ours {
            lake.land("orders/c.json", orders(20..22) + &orders(0..2));
            let select = vec!["orders".to_owned()];
            assert_ok(&lake.try_sync_with(sync::Options { select, ..sync::Options::default() }).await);
        } else {
            append(&lake, &[(0, "nut", 1.0)]).await;
        }
        deltalake::checkpoints::create_checkpoint(&open(&lake).await, None).await.unwrap();
        fs::remove_file(folder(&lake).join("_delta_log/00000000000000000000.json")).unwrap();
        if ours {
            let outcome = lake.sync().await;
            let cheap = of(&outcome, "cheap");
            assert!(cheap.mode == Mode::Incremental && cheap.reason.starts_with("orders v0 -> v1"), "{}", cheap.reason);
            lake.assert_recomputed().await;
        } else {
            follows(&lake, Mode::Full, "v0 can no longer be read (orders)").await;
        }
    }
}
