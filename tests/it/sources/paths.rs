//! Data files whose paths another writer's log spells differently than ours, or that are outside of the table's folder.

use std::fs;

use deltalake::arrow::array::{ArrayRef, RecordBatch, StringArray};
use serde_json::{Value, json};
use stedi_delta::inspect;
use stedi_delta::outcome::{Mode, Problem};

use super::{append, batch, built, folder, follows, open, restore};
use crate::support::shop::{CHEAP, derived, orders, shop};
use crate::support::{Lake, assert_ok, of};

/// The newest commit of a table, with `spelled` instead of the path of its `add`, and the file under the name `named`.
fn respell(folder: &std::path::Path, named: &str, spelled: &str) {
    let logs = fs::read_dir(folder.join("_delta_log")).unwrap().map(|entry| entry.unwrap().path());
    let newest = logs.filter(|path| path.extension().is_some_and(|e| e == "json")).max().unwrap();
    let text = fs::read_to_string(&newest).unwrap();
    let mut actions: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let add = actions.iter_mut().find_map(|action| action.get_mut("add")).unwrap();
    fs::rename(folder.join(add["path"].as_str().unwrap()), folder.join(named)).unwrap();
    add["path"] = json!(spelled);
    fs::write(&newest, actions.iter().map(|action| format!("{action}\n")).collect::<String>()).unwrap();
}

/// A row as it would have landed with the file `a.json`.
async fn append_to_a(lake: &Lake, id: i64) {
    let rows = batch(&[(id, "nut", 1.0)]);
    let mut columns = rows.columns().to_vec();
    columns[3] = ArrayRef::from(std::sync::Arc::new(StringArray::from(vec!["orders/a.json"])) as ArrayRef);
    let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    open(lake).await.write(vec![rows]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_the_same_however_it_is_spelled() {
    let spellings = [
        ("x.parquet", "<root>/x.parquet"),
        ("x.parquet", "file:<root>/x.parquet"),
        ("x.parquet", "file://<root>/x.parquet"),
        ("x.parquet", "<root>/../orders/x.parquet"),
        ("x.parquet", "sub/../x.parquet"),
        ("x.parquet", "./x.parquet"),
        ("x.parquet", "x%2Eparquet"),
        ("x y.parquet", "x%20y.parquet"),
        ("x y.parquet", "x y.parquet"),
        ("x%20y.parquet", "x%2520y.parquet"),
        ("é=[#].parquet", "file:<root>/%C3%A9=%5B%23%5D.parquet"),
    ];
    for (named, spelled) in spellings {
        let lake = built("incremental").await;
        let spelled = spelled.replace("<root>", folder(&lake).to_str().unwrap());
        append_to_a(&lake, 4).await;
        respell(&folder(&lake), named, &spelled);
        follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
        assert_eq!(lake.count("select count(*) from cheap where id = 4").await, 2, "{spelled}");
        // A change from the files of later commits does not depend on it.
        append(&lake, &[(3, "nut", 1.0)]).await;
        follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
        assert_eq!(lake.count("select count(*) from cheap where id = 3").await, 2, "{spelled}");
        // A commit of ours ends it.
        lake.land("orders/a.json", orders(1..2));
        follows(&lake, Mode::Incremental, "orders v2 -> v3").await;
        assert_eq!(lake.rows("select id from orders where id < 5").await, ["1", "3"], "{spelled}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_outside_of_the_table_is_refused_by_name() {
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("x.parquet").to_str().unwrap().to_owned();
    let spellings = [
        ("../x.parquet", "is outside of the table's folder"),
        ("sub/../../x.parquet", "is outside of the table's folder"),
        ("..%2Fx.parquet", "is not a path"),
        (outside.as_str(), "is outside of the table's folder"),
        ("file:///", "is outside of the table's folder"),
        ("s3://bucket/x.parquet", "is in another store"),
        ("x:y.parquet", "is in another store"),
        ("//host/x.parquet", "is in another store"),
        ("sub//x.parquet", "is not a path"),
        ("x.parquet?a=b", "has a `?` or a `#` in it that is not escaped"),
    ];
    for (spelled, why) in spellings {
        let lake = built("incremental").await;
        append(&lake, &[(4, "nut", 1.0)]).await;
        respell(&folder(&lake), "../x.parquet", spelled);
        fs::copy(folder(&lake).join("../x.parquet"), &outside).unwrap();
        let error = inspect::query(&lake.workspace().await, "select count(*) from orders").await.unwrap_err();
        let refused = error.message().to_owned();
        assert!(refused.starts_with(&format!("`{spelled}` in the log of")) && refused.ends_with(why), "{refused}");
        let outcome = lake.try_sync().await;
        let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{spelled}: {outcome:?}") };
        assert_eq!(error.message(), refused);
        assert!(matches!(&of(&outcome, "cheap").problem, Some(Problem::Skipped(_))), "{spelled}");
        // Older versions are unchanged, and the remedy works.
        assert_eq!(lake.count("select count(*) from \"orders@v0\"").await, 10);
        if spelled.contains(['%', '?']) {
            // delta-rs removes it in another spelling, which removes nothing.
            continue;
        }
        restore(&lake, 0).await;
        follows(&lake, Mode::Incremental, "orders v0 -> v2").await;
        assert_eq!(lake.count("select count(*) from orders").await, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_two_spellings_is_there_twice_for_some_and_once_for_others() {
    let lake = built("incremental").await;
    let version = open(&lake).await.version().unwrap() + 1;
    let mut add = super::layouts::first(&lake, "add");
    add["add"]["path"] = json!(format!("./{}", add["add"]["path"].as_str().unwrap()));
    fs::write(folder(&lake).join(format!("_delta_log/{version:020}.json")), format!("{add}\n")).unwrap();
    let error = inspect::query(&lake.workspace().await, "select * from orders").await.unwrap_err();
    assert!(error.message().ends_with("is there twice, in two spellings"), "{error}");
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{outcome:?}") };
    assert!(error.message().ends_with("is there twice, in two spellings"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remove_in_another_spelling_removes_nothing_as_scans_have_it() {
    let lake = built("incremental").await;
    append(&lake, &[(4, "nut", 1.0)]).await;
    respell(&folder(&lake), "x.parquet", "./x.parquet");
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    let remove = json!({"remove": {"path": "x.parquet", "dataChange": true, "deletionTimestamp": 1}});
    super::commit(&lake, &[remove]).await;
    follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
    assert_eq!(lake.count("select count(*) from cheap where id = 4").await, 2);
    let remove = json!({"remove": {"path": "./x.parquet", "dataChange": true, "deletionTimestamp": 1}});
    super::commit(&lake, &[remove]).await;
    follows(&lake, Mode::Incremental, "orders v2 -> v3").await;
    assert_eq!(lake.count("select count(*) from cheap where id = 4").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_table_with_a_file_outside_is_rebuilt_without_it() {
    for refresh in ["auto", "incremental"] {
        let lake = shop(refresh);
        lake.define("tables/curated/below.toml", &derived("auto"));
        lake.define("tables/curated/below.sql", &CHEAP.replace("orders", "cheap"));
        lake.land_first_orders();
        lake.sync().await;
        let cheap = lake.warehouse().join("trusted/cheap");
        let mut files = fs::read_dir(&cheap).unwrap().map(|f| f.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
        fs::copy(&file, cheap.join("../x.parquet")).unwrap();
        let size = fs::metadata(&file).unwrap().len();
        let add = json!({"add": {"path": "../x.parquet", "partitionValues": {}, "size": size, "modificationTime": 0,
            "dataChange": true}});
        fs::write(cheap.join("_delta_log/00000000000000000001.json"), format!("{add}\n")).unwrap();
        let error = inspect::query(&lake.workspace().await, "select * from cheap").await.unwrap_err();
        assert!(error.message().starts_with("`../x.parquet` in the log of"), "{error}");
        if refresh == "incremental" {
            let outcome = lake.try_sync().await;
            assert!(matches!(&of(&outcome, "cheap").problem, Some(Problem::Failed(_))), "{outcome:?}");
            let full = stedi_delta::sync::Options { full_refresh: true, ..Default::default() };
            assert_ok(&lake.try_sync_with(full).await);
        } else {
            let outcome = lake.sync().await;
            let reason = &of(&outcome, "cheap").reason;
            assert!(reason.contains("`../x.parquet` in the log of"), "{reason}");
        }
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_that_is_missing_is_not_a_file_without_rows() {
    for garble in [false, true] {
        let lake = built("incremental").await;
        append(&lake, &[(4, "nut", 1.0)]).await;
        respell(&folder(&lake), "x.parquet", "x.parquet");
        let file = folder(&lake).join("x.parquet");
        let bytes = fs::read(&file).unwrap();
        if garble {
            fs::write(&file, "").unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let outcome = lake.try_sync().await;
        let Some(Problem::Failed(error)) = &of(&outcome, "cheap").problem else { panic!("{outcome:?}") };
        assert_eq!(error.message(), "data file `x.parquet` of orders cannot be read");
        fs::write(file, bytes).unwrap();
        follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    }
}
