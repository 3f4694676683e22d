//! A commit that declares that it changed no row is accepted if that is true, under any operation name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::Value;
use stedi_delta::outcome::{Mode, Problem};
use stedi_delta::{inspect, sync};
use url::Url;

use crate::support::shop::{CHEAP, derived, orders, shop};
use crate::support::{Lake, accelerometer, assert_ok, customer, of};

/// The shop, and a table over one of its derived tables.
async fn built(refresh: &str) -> Lake {
    let lake = shop(refresh);
    lake.define("tables/curated/below.toml", &derived(refresh));
    lake.define("tables/curated/below.sql", &CHEAP.replace("orders", "cheap"));
    lake.land("orders/a.json", orders(0..3));
    lake.sync().await;
    lake.land("orders/b.json", orders(3..10));
    lake.sync().await;
    lake
}

fn folder(lake: &Lake, table: &str) -> PathBuf {
    lake.warehouse().join(table)
}

async fn open(folder: &Path) -> DeltaTable {
    DeltaTableBuilder::from_url(Url::from_directory_path(folder).unwrap()).unwrap().load().await.unwrap()
}

/// Rows of `cheap`, or of `orders` with its two columns more.
fn rows(ids: &[i64], landing: bool) -> RecordBatch {
    let item = |id: &i64| ["nut", "nail", "bolt"][usize::try_from(*id % 3).unwrap()];
    let mut fields = vec![
        Field::new("id", DataType::Int64, !landing),
        Field::new("item", DataType::Utf8, true),
        Field::new("price", DataType::Float64, true),
    ];
    let mut columns: Vec<Arc<dyn deltalake::arrow::array::Array>> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(ids.iter().map(|id| Some(item(id))).collect::<StringArray>()),
        Arc::new(ids.iter().map(|id| *id as f64).collect::<Float64Array>()),
    ];
    if landing {
        fields.push(Field::new("source_file", DataType::Utf8, false));
        fields.push(Field::new("source_offset", DataType::Int64, false));
        columns.push(Arc::new(ids.iter().map(|_| Some("elsewhere")).collect::<StringArray>()));
        columns.push(Arc::new(Int64Array::from(ids.to_vec())));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Writes rows in a commit that declares an OPTIMIZE.
async fn pretend(folder: &Path, rows: RecordBatch, mode: SaveMode) {
    let written = open(folder).await.write(vec![rows]).with_save_mode(mode).await.unwrap();
    let commit = folder.join(format!("_delta_log/{:020}.json", written.version().unwrap()));
    let text = fs::read_to_string(&commit).unwrap();
    let pretended = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        for name in ["add", "remove"] {
            if let Some(file) = action.get_mut(name) {
                file["dataChange"] = false.into();
            }
        }
        if let Some(info) = action.get_mut("commitInfo") {
            info["operation"] = "OPTIMIZE".into();
        }
        format!("{action}\n")
    });
    fs::write(&commit, pretended.collect::<String>()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_that_adds_or_changes_rows_is_drift() {
    let cases: [(&[i64], SaveMode, &str); 3] = [
        (&[1], SaveMode::Append, "its files hold other rows than those that they replace"),
        (&[0, 1, 2, 3, 9], SaveMode::Overwrite, "its files hold other rows than those that they replace"),
        (&[0, 1, 2, 3], SaveMode::Overwrite, "its files hold other rows than those that they replace"),
    ];
    for refresh in ["auto", "incremental"] {
        for (ids, mode, why) in cases {
            let lake = built(refresh).await;
            pretend(&folder(&lake, "trusted/cheap"), rows(ids, false), mode).await;
            let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
            let planned = plan.tables.iter().find(|t| t.table.as_str() == "cheap").unwrap();
            let outcome = lake.try_sync().await;
            if refresh == "auto" {
                assert_ok(&outcome);
                let done = of(&outcome, "cheap");
                let warning = &done.warnings[0].message;
                assert!(warning.contains("(OPTIMIZE)") && warning.ends_with(why), "{warning}");
                assert!(planned.warnings[0].message.ends_with(why), "{planned:?}");
            } else {
                let Some(Problem::Failed(error)) = &of(&outcome, "cheap").problem else { panic!("{outcome:?}") };
                assert!(error.message().ends_with(why), "{error}");
                assert_eq!(error.next(), Some("stedi-delta sync -s cheap --full-refresh"));
                let full = sync::Options { select: vec!["cheap+".into()], full_refresh: true, ..Default::default() };
                assert_ok(&lake.try_sync_with(full).await);
            }
            lake.assert_recomputed().await;
            assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_only_written_anew_are_looked_at_once() {
    let lake = built("incremental").await;
    let cheap = folder(&lake, "trusted/cheap");
    pretend(&cheap, rows(&[4, 2, 0, 3, 1], false), SaveMode::Overwrite).await;
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert_eq!((done.mode, done.rows.inserted, done.rows.deleted), (Mode::Incremental, 0, 0));
    assert_eq!(done.reason, "v2 (OPTIMIZE) by another writer holds the same rows");
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    // The same by delta-rs, and with new statistics.
    lake.land("orders/c.json", orders(1..3));
    lake.sync().await;
    open(&cheap).await.optimize().await.unwrap();
    lake.land("orders/d.json", orders(1..3));
    assert_eq!(of(&lake.sync().await, "cheap").mode, Mode::Incremental);
    let log = cheap.join("_delta_log");
    let commits = fs::read_dir(&log).unwrap().filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "json");
    let newest = commits.count() as u64 - 1;
    let text = fs::read_to_string(log.join(format!("{newest:020}.json"))).unwrap();
    let add = text.lines().find(|line| line.starts_with("{\"add\"")).unwrap();
    let again = add.replace("\"dataChange\":true", "\"dataChange\":false");
    fs::write(log.join(format!("{:020}.json", newest + 1)), again + "\n").unwrap();
    assert_eq!(of(&lake.sync().await, "cheap").rows.inserted, 0);
    lake.assert_recomputed().await;
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_whose_rows_somebody_changes_silently_is_followed() {
    let lake = built("incremental").await;
    let landing = folder(&lake, "landing/orders");
    let cases: [(&[i64], SaveMode); 3] =
        [(&[4, 4], SaveMode::Append), (&[0, 1, 9], SaveMode::Overwrite), (&[3, 2, 9], SaveMode::Overwrite)];
    for (ids, mode) in cases {
        pretend(&landing, rows(ids, true), mode).await;
        let outcome = lake.sync().await;
        assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental, "{}", of(&outcome, "cheap").reason);
        lake.assert_recomputed().await;
    }
    assert_eq!(lake.rows("select id from below").await, ["2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_past_consent_by_an_optimize() {
    let lake = Lake::stedi();
    lake.land_customers("a", customer("a@x", "1", 1, 1) + &customer("b@x", "2", 1, None));
    lake.land_accelerometer("a", accelerometer("a@x", 1..2) + &accelerometer("b@x", 1..2));
    lake.sync().await;
    let trusted = folder(&lake, "trusted/accelerometer_trusted");
    let before = lake.rows("select user from accelerometer_trusted").await;
    assert_eq!(before, ["a@x"]);
    let session = deltalake::datafusion::prelude::SessionContext::new();
    let table = open(&trusted).await;
    session.register_table("t", table.table_provider().await.unwrap()).unwrap();
    let columns = table.snapshot().unwrap().snapshot().arrow_schema();
    let columns = columns.fields().iter().map(|f| match f.name().as_str() {
        "user" => "'b@x' as \"user\"".to_owned(),
        other => format!("\"{other}\""),
    });
    let sql = format!("select {} from t", columns.collect::<Vec<_>>().join(", "));
    let rows = session.sql(&sql).await.unwrap().collect().await.unwrap().remove(0);
    pretend(&trusted, rows, SaveMode::Append).await;
    assert_eq!(lake.rows("select user from accelerometer_trusted").await, ["a@x", "b@x"]);
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "accelerometer_trusted").problem else { panic!("{outcome:?}") };
    assert!(
        error.message().contains("version 1 (OPTIMIZE) by another writer declares that it changed no row"),
        "{error}"
    );
    let full = sync::Options { select: vec!["accelerometer_trusted".into()], full_refresh: true, ..Default::default() };
    assert_ok(&lake.try_sync_with(full).await);
    assert_eq!(lake.rows("select user from accelerometer_trusted").await, before);
}
