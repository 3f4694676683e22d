//! Bounds in the logs enclose their values for every reader; those of earlier versions are corrected, those of other
//! writers not trusted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use stedi_delta::internals::lake::Layout;
use stedi_delta::outcome::Mode;

use crate::support::second::{DELTA, second_engine};
use crate::support::shop::derived;
use crate::support::{Lake, of};

/// Lets DuckDB and Python check the log and the data files of a table. Panics on a wrong bound.
fn judge(folder: &Path) {
    let Some(python) = second_engine() else { return };
    let script = format!("{DELTA}{}", include_str!("bounds/judge.py"));
    let output = Command::new(python).arg("-c").arg(script).arg(folder).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => assert_ne!(text.trim(), "0", "no bound was looked at"),
        Some(77) => eprintln!("SKIP: {errors}"),
        _ => panic!("{text}{errors}"),
    }
}

fn landing(name: &str, columns: &str) -> String {
    format!(
        "description = \"Things\"\n[source]\npath = \"{name}/*.json\"\nformat = \"json\"\n\
             on_overwrite = \"replace\"\n[columns]\n{columns}\n"
    )
}

/// Decimals that differ from their nearest 64-bit float.
const DECIMALS: [(&str, &str); 5] = [
    ("decimal(38,18)", "991814.81"),
    ("decimal(20,0)", "18446744073709551615"),
    ("decimal(18,2)", "1234567890123456.78"),
    ("decimal(4,2)", "99.99"),
    ("decimal(38,0)", "-99999999999999999999999999999999999999"),
];

fn keyed(of_type: &str) -> Lake {
    Lake::project(&[
        ("tables/landing/a.toml", &landing("a", &format!("id = \"{of_type}\"\nv = \"long\""))),
        ("tables/curated/counts.toml", &derived("incremental")),
        ("tables/curated/counts.sql", "select id, count(*) as n from a group by id"),
        ("tables/curated/copy.toml", &derived("incremental")),
        ("tables/curated/copy.sql", "select id, v from a"),
        ("tables/curated/pairs.toml", &derived("incremental")),
        ("tables/curated/pairs.sql", "select x.id, x.v, y.v as w from copy x join a y on x.id = y.id"),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decimal_that_lands_twice_is_one_group_one_key_and_found() {
    for (of_type, id) in DECIMALS {
        let lake = keyed(of_type);
        for v in 1..=2 {
            lake.land(&format!("a/{v}.json"), format!("{{\"id\":{id},\"v\":{v}}}\n"));
            lake.sync().await;
        }
        let about = format!("{of_type} {id}");
        assert_eq!(lake.rows("select n from counts").await, ["2"], "{about}");
        let asked = format!("select v from a where id = cast('{id}' as {of_type})");
        assert_eq!(lake.rows(&asked).await, ["1", "2"], "{about}");
        assert_eq!(lake.rows("select v, w from pairs").await, ["1|1", "1|2", "2|1", "2|2"], "{about}");
        lake.land("a/1.json", "");
        lake.sync().await;
        assert_eq!(lake.rows("select v, w from pairs").await, ["2|2"], "{about}");
        lake.assert_recomputed().await;
        for table in ["landing/a", "curated/counts", "curated/copy", "curated/pairs"] {
            judge(&lake.warehouse().join(table));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_a_decimal_is_unique() {
    let lake = keyed("decimal(38,18)");
    lake.define("tables/curated/copy.toml", &format!("{}primary_key = [\"id\"]\n", derived("incremental")));
    lake.land("a/1.json", "{\"id\":991814.81,\"v\":1}\n");
    lake.sync().await;
    lake.land("a/2.json", "{\"id\":991814.81,\"v\":2}\n");
    assert!(of(&lake.try_sync().await, "copy").problem.is_some());
    assert_eq!(lake.rows("select v from copy").await, ["1"]);
}

const ALL: &str = "byte = \"byte\"\nshort = \"short\"\ninteger = \"integer\"\nlong = \"long\"\nfloat = \"float\"\n\
     double = \"double\"\nyes = \"boolean\"\nday = \"date\"\nat = \"timestamp\"\ntext = \"string\"\nbytes = \"binary\"\n\
     wide = \"decimal(38,18)\"\nwhole = \"decimal(20,0)\"\nprice = \"decimal(18,2)\"\nsmall = \"decimal(4,2)\"\n\
     inner = \"struct<price:decimal(18,2),at:timestamp,text:string>\"\nlist = \"array<decimal(18,2)>\"\n";

/// Values at the edges of their types: one record per file, so that each is a minimum and a maximum.
fn extremes() -> Vec<String> {
    let long = |character: &str| character.repeat(80);
    let record = |n: usize, d: [&str; 4], at: &str, text: &str| {
        let integers = [("127", "32767", "2147483647"), ("-128", "-32768", "-2147483648"), ("0", "0", "0")][n % 3];
        let longs = [
            "9223372036854775807",
            "-9223372036854775808",
            "9007199254740993",
            "-9007199254740993",
            "9007199254740995",
            "9223372036854775000",
            "123",
        ];
        let doubles = ["1.7976931348623157e308", "-5e-324", "0.1", "-0.0", "1e21", "123456.789", "3"];
        let floats = ["3.4028235e38", "0.1", "-1e-45", "16777216", "-0.0", "1", "2.5"];
        let days = ["0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "2024-02-29", "1582-10-15", "2262-04-12"];
        let (long, double, float, day) = (longs[n % 7], doubles[n % 7], floats[n % 7], days[n % 7]);
        let text = json!(text).to_string();
        format!(
            "{{\"byte\":{},\"short\":{},\"integer\":{},\"long\":{long},\"float\":{float},\"double\":{double},\
             \"yes\":{},\"day\":\"{day}\",\"at\":\"{at}\",\"text\":{text},\"bytes\":\"QUI=\",\"wide\":{},\"whole\":{},\
             \"price\":{},\"small\":{},\"inner\":{{\"price\":{},\"at\":\"{at}\",\"text\":{text}}},\"list\":[{}]}}\n",
            integers.0,
            integers.1,
            integers.2,
            n.is_multiple_of(2),
            d[0],
            d[1],
            d[2],
            d[3],
            d[2],
            d[2],
        )
    };
    vec![
        record(
            0,
            ["991814.81", "18446744073709551615", "1234567890123456.78", "99.99"],
            "2026-11-24T12:00:00.001Z",
            "a",
        ),
        record(
            1,
            ["-991814.81", "-18446744073709551615", "-1234567890123456.78", "-99.99"],
            "9999-12-31T23:59:59.999Z",
            &long("z"),
        ),
        record(
            2,
            ["99999999999999999999.999999999999999999", "99999999999999999999", "9999999999999999.99", "12.34"],
            "0001-01-01T00:00:00Z",
            &long("é"),
        ),
        record(
            3,
            ["-99999999999999999999.999999999999999999", "-99999999999999999999", "-9999999999999999.99", "-12.34"],
            "1969-12-31T23:59:59.999Z",
            &long("\u{10ffff}"),
        ),
        record(4, ["0.000000000000000001", "9007199254740993", "0.07", "0.07"], "1677-09-21T00:12:43.145Z", ""),
        record(5, ["0.1", "-9007199254740993", "0.29", "0.57"], "2262-04-11T23:47:16.854Z", "\u{ffff}\" \\ \u{1}"),
        record(6, ["0", "0", "0", "0"], "1970-01-01T00:00:00.005Z", &long("\u{d7ff}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_enclose_the_extremes_of_every_type_for_duckdb_and_python() {
    let lake = Lake::project(&[
        ("tables/landing/a.toml", &landing("a", ALL)),
        ("tables/curated/copy.toml", &derived("incremental")),
        (
            "tables/curated/copy.sql",
            "select long, double, at + interval '999 microseconds' as at, text, wide, whole, price, small, inner from a",
        ),
    ]);
    for (n, record) in extremes().iter().enumerate() {
        lake.land(&format!("a/{n}.json"), record);
        lake.sync().await;
    }
    assert_eq!(lake.rows("select 1 from a").await.len(), extremes().len(), "all have landed");
    for table in ["landing/a", "curated/copy"] {
        judge(&lake.warehouse().join(table));
    }
    for column in ["long", "wide", "whole", "price", "small", "at", "text"] {
        let by_itself = format!("select 1 from a where {column} in (select y.{column} from a y)");
        assert_eq!(lake.rows(&by_itself).await.len(), extremes().len(), "{column}");
    }
}

fn commits(table: &Path) -> Vec<(PathBuf, Vec<Value>)> {
    let mut commits: Vec<_> = fs::read_dir(table.join("_delta_log")).unwrap().map(|e| e.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|e| e == "json"));
    commits.sort();
    let lines =
        |path: &PathBuf| fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    commits.into_iter().map(|path| (path.clone(), lines(&path))).collect()
}

/// Turns a log into one of an earlier version: no marks, no `txn` of bounds, decimals through a division of 64-bit
/// floats.
fn age(table: &Path) {
    for (path, mut actions) in commits(table) {
        actions.retain(|action| action["txn"]["appId"] != "stedi-delta/bounds");
        for action in &mut actions {
            if action["txn"]["appId"].as_str().is_some_and(|id| id.starts_with("stedi-delta/commit/")) {
                action["txn"]["version"] = json!(0);
            }
            if action["add"].is_object() {
                action["add"]["tags"] = Value::Null;
                let stats = action["add"]["stats"].as_str().unwrap();
                let mut stats: Value = serde_json::from_str(stats).unwrap();
                if stats["maxValues"]["id"].is_number() {
                    for end in ["minValues", "maxValues"] {
                        stats[end]["id"] = json!(991_814.809_999_999_9);
                    }
                }
                action["add"]["stats"] = json!(stats.to_string());
            }
        }
        fs::write(path, actions.iter().map(|a| a.to_string() + "\n").collect::<String>()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_sync_mends_the_bounds_of_an_earlier_version_and_no_reader_sees_a_change() {
    let lake = keyed("decimal(38,18)");
    lake.land("a/1.json", "{\"id\":991814.81,\"v\":1}\n{\"id\":}\n");
    lake.sync().await;
    let tables =
        ["landing/a", "landing/a_quarantine", "curated/counts", "curated/copy", "curated/pairs", "system/files"];
    tables.iter().for_each(|table| age(&lake.warehouse().join(table)));
    // Not trusted, and still found.
    assert_eq!(lake.rows("select v from a where id = cast('991814.81' as decimal(38,18))").await, ["1"]);
    let before = lake.contents().await;
    let outcome = lake.sync().await;
    for name in ["a", "counts", "copy", "pairs"] {
        let done = of(&outcome, name);
        let versions = (done.version_before, done.version_after);
        // Tables that read it record its new version first.
        let newest = if name == "a" { 1 } else { 2 };
        assert_eq!(versions, (Some(0), Some(newest)), "{name}: {:?} {}", done.mode, done.reason);
        assert_eq!((done.rows.inserted, done.rows.deleted), (0, 0), "{name}");
        assert!(name != "a" || done.reason == "statistics of 1 file mended", "{name}");
    }
    assert_eq!(lake.contents().await, before);
    for path in &tables[..5] {
        let log = lake.warehouse().join(path);
        let (_, mended) = commits(&log).pop().unwrap();
        let adds: Vec<&Value> = mended.iter().map(|a| &a["add"]).filter(|add| add.is_object()).collect();
        assert_eq!(adds.len(), 1, "{path}");
        assert!(adds.iter().all(|add| add["dataChange"] == false && add["tags"].is_object()), "{path}: {adds:?}");
        assert!(mended.iter().all(|action| action["remove"].is_null()), "{path}");
        assert!(mended.iter().any(|action| action["txn"]["appId"] == "stedi-delta/bounds"), "{path}");
        judge(&log);
        assert!(!lake.table(path).await.is_told_otherwise(&Layout::default()), "{path}");
    }
    let idle = lake.sync().await;
    assert!(idle.tables.iter().all(|t| t.version_before == t.version_after), "nothing is left to mend");
    // The next sync sees an empty change, then a real one.
    lake.land("a/2.json", "{\"id\":991814.81,\"v\":2}\n");
    let outcome = lake.sync().await;
    assert!(["counts", "copy", "pairs"].iter().all(|name| of(&outcome, name).mode == Mode::Incremental));
    assert_eq!(lake.rows("select n from counts").await, ["2"]);
    lake.assert_recomputed().await;
    assert!(lake.table("system/files").await.files().iter().all(|file| file.is_vouched));
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_survive_checkpoints() {
    let lake = keyed("decimal(38,18)");
    let text = fs::read_to_string(lake.root().join("stedi-delta.toml")).unwrap();
    lake.define("stedi-delta.toml", &format!("{text}[defaults]\nauto_optimize = false\n"));
    for v in 1..=21 {
        lake.land(&format!("a/{v}.json"), format!("{{\"id\":991814.81,\"v\":{v}}}\n"));
        lake.sync().await;
    }
    let log = lake.warehouse().join("landing/a/_delta_log");
    assert!(log.join("_last_checkpoint").is_file());
    for version in 0..19 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let table = lake.table("landing/a").await;
    assert!(table.files().len() == 21 && table.files().iter().all(|file| file.is_vouched));
    let asked = "select v from a where id = cast('991814.81' as decimal(38,18))";
    assert_eq!(lake.rows(asked).await.len(), 21);
}

/// Another writer's file, with bounds as delta-rs writes them.
fn append_as_delta_rs_does(table: &Path, version: u64) {
    let id =
        Decimal128Array::from(vec![991_814_810_000_000_000_000_000_i128]).with_precision_and_scale(38, 18).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(id)),
        ("v", Arc::new(Int64Array::from(vec![2]))),
        ("source_file", Arc::new(StringArray::from(vec!["a/other.json"]))),
        ("source_offset", Arc::new(Int64Array::from(vec![0]))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, c)| c).collect()).unwrap();
    let path = table.join("other.snappy.parquet");
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let stats = json!({"numRecords": 1, "minValues": {"id": 991_814.809_999_999_9, "v": 2},
        "maxValues": {"id": 991_814.809_999_999_9, "v": 2}, "nullCount": {"id": 0, "v": 0}});
    let add = json!({"add": {"path": "other.snappy.parquet", "partitionValues": {}, "size": fs::metadata(&path).unwrap().len(),
        "modificationTime": 0, "dataChange": true, "stats": stats.to_string()}});
    fs::write(table.join(format!("_delta_log/{version:020}.json")), add.to_string() + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_others_are_neither_believed_nor_mended() {
    let lake = keyed("decimal(38,18)");
    lake.land("a/1.json", "{\"id\":991814.81,\"v\":1}\n");
    lake.sync().await;
    let tables = ["landing/a", "curated/counts", "curated/copy", "curated/pairs"];
    tables.iter().for_each(|table| age(&lake.warehouse().join(table)));
    append_as_delta_rs_does(&lake.warehouse().join("landing/a"), 1);
    let asked = "select v from a where id = cast('991814.81' as decimal(38,18))";
    assert_eq!(lake.rows(asked).await, ["1", "2"]);
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "a").version_after, &*of(&outcome, "a").reason), (Some(2), "statistics of 1 file mended"));
    assert_eq!(lake.table("landing/a").await.files().iter().filter(|file| file.is_vouched).count(), 1);
    assert_eq!(lake.rows("select n from counts").await, ["2"]);
    assert_eq!(lake.rows(asked).await, ["1", "2"]);
    lake.assert_recomputed().await;
}
