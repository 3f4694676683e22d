//! Pins: versions that are kept for audits, also as tables of the catalog.

mod vacuumed;

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use stedi_delta::inspect;
use stedi_delta::outcome::EntryState;
use stedi_delta::pin::{self, Options};
use stedi_delta::progress::Silent;
use stedi_delta::register::Repairs;
use stedi_delta::travel::Zone;

use crate::cli::person;
use crate::cli::shell::Shell;
use crate::support::shop::{orders, shop};
use crate::support::{Lake, foreign_delete};

fn options(name: &str) -> Options {
    Options { name: name.into(), until_ms: None, retain: false, catalog: false }
}

async fn pin(lake: &Lake, at: &str, options: &Options) -> Result<Vec<String>, String> {
    let pinned = pin::pin(&lake.workspace().await, at, &Zone::default(), options, "a run").await;
    pinned.map(|outcome| outcome.notes).map_err(|error| error.to_string())
}

async fn filled() -> Lake {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..8));
    lake.sync().await;
    lake.land("orders/b.json", orders(8..12));
    lake.land("orders/a.json", orders(2..4));
    lake.sync().await;
    lake
}

fn entry(lake: &Lake, name: &str) -> Option<Value> {
    let databases = fs::read_dir(lake.warehouse().join("_catalog")).unwrap();
    let mut files = databases.map(|folder| folder.unwrap().path().join(format!("{name}.json")));
    files.find_map(|file| serde_json::from_str(&fs::read_to_string(file).ok()?).ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_a_table_of_the_catalog_that_later_syncs_do_not_change() {
    let lake = filled().await;
    let then = lake.rows("select id, item, price from cheap@v0").await;
    pin(&lake, "cheap@v0", &Options { catalog: true, ..options("training_1") }).await.unwrap();
    let expected = entry(&lake, "training_1").unwrap();
    let folder = format!("{}/_pins/training_1/", lake.warehouse().display());
    assert_eq!(
        expected,
        json!({
            "Name": "training_1",
            "Description": "cheap as of version 0, pinned by stedi-delta",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE", "classification": "parquet",
                "stedi-delta.pin.table": "cheap", "stedi-delta.pin.version": "0"
            },
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Columns": [
                    {"Name": "id", "Type": "bigint"}, {"Name": "item", "Type": "string"},
                    {"Name": "price", "Type": "double"}
                ],
                "Location": folder,
                "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "Compressed": false, "NumberOfBuckets": 0, "BucketColumns": [], "SortColumns": [],
                "StoredAsSubDirectories": false, "Parameters": {},
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                    "Parameters": {"serialization.format": "1"}
                }
            }
        })
    );
    lake.land("orders/c.json", orders(12..14));
    lake.land("orders/b.json", "");
    let outcome = lake.sync().await;
    assert!(outcome.left.is_empty(), "{:?}", outcome.left);
    assert_eq!(entry(&lake, "training_1").unwrap(), expected);
    if let Some(rows) = vacuumed::listed(&lake, "training_1") {
        assert_eq!(rows, then);
    }
    let catalog = stedi_delta::register::check(&lake.workspace().await).await.unwrap();
    let state = |catalog: &stedi_delta::outcome::CatalogOutcome| {
        catalog.entries.iter().find(|entry| entry.table == "training_1").map(|entry| entry.state)
    };
    assert_eq!(state(&catalog), Some(EntryState::Equal));
    let file = fs::read_dir(lake.warehouse().join("_catalog")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(file.join("training_1.json")).unwrap();
    let workspace = lake.workspace().await;
    assert_eq!(state(&stedi_delta::register::check(&workspace).await.unwrap()), Some(EntryState::Missing));
    let repaired = stedi_delta::register::repair(&workspace, Repairs::default(), &Silent).await.unwrap();
    assert_eq!(state(&repaired), Some(EntryState::Created));
    assert_eq!(entry(&lake, "training_1").unwrap(), expected);

    let unpinned = pin::unpin(&lake.workspace().await, "training_1", "a run").await.unwrap();
    assert_eq!(unpinned.pin.version, 0);
    assert!(entry(&lake, "training_1").is_none() && !lake.warehouse().join("_pins/training_1/manifest").exists());
    assert!(pin::pins(&lake.workspace().await).await.unwrap().is_empty());
    let states = lake.rows("select pin, state, version from pins").await;
    assert_eq!(states, ["training_1|pinned|0", "training_1|unpinned|0"]);
    pin(&lake, "cheap@v1", &options("training_1")).await.unwrap();
    assert_eq!(pin::pins(&lake.workspace().await).await.unwrap()[0].pin.version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_what_cannot_be_pinned_is_refused() {
    let lake = filled().await;
    pin(&lake, "orders@v1", &options("first")).await.unwrap();
    // The same again is no error and no second row.
    pin(&lake, "orders@v1", &options("first")).await.unwrap();
    assert_eq!(lake.count("select count(*) from pins").await, 1);
    for (at, name, said) in [
        ("orders", "cheap", "`cheap` is a table"),
        ("orders", "orders_quarantine", "`orders_quarantine` is a table"),
        ("orders", "runs", "`runs` is a table"),
        ("orders", "Gait-3", "`Gait-3` cannot be a pin"),
        ("orders@v0", "first", "the pin `first` exists"),
        ("runs", "second", "runs is a system table"),
        ("orders@v9", "second", "orders has no version 9"),
    ] {
        let refused = pin(&lake, at, &options(name)).await.unwrap_err();
        assert!(refused.starts_with(said), "{at} {name}: {refused}");
    }
    let over = Options { until_ms: Some(1), ..options("second") };
    assert!(pin(&lake, "orders", &over).await.unwrap_err().starts_with("`--until 1970"));
    let unknown = pin::unpin(&lake.workspace().await, "fist", "a run").await.unwrap_err();
    assert_eq!((unknown.message(), unknown.next()), ("there is no pin `fist`", Some("did you mean `first`?")));
}

fn settings(lake: &Lake, table: &str) -> BTreeMap<String, Value> {
    let log = lake.warehouse().join(table).join("_delta_log");
    let mut commits: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.sort();
    let mut found = BTreeMap::new();
    for commit in commits {
        for line in fs::read_to_string(commit).unwrap().lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            if let Some(configuration) = action["metaData"]["configuration"].as_object() {
                found =
                    configuration.clone().into_iter().filter(|(key, _)| key.contains("RetentionDuration")).collect();
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_raised_and_given_back_and_tables_below_stay_incremental() {
    let lake = filled().await;
    let notes = pin(&lake, "orders@v0", &Options { retain: true, ..options("kept") }).await.unwrap();
    assert!(notes[0].starts_with("removed rows of every version of orders now stay"), "{notes:?}");
    let raised = settings(&lake, "landing/orders");
    assert_eq!(raised["delta.deletedFileRetentionDuration"], "interval 36500 days");
    assert_eq!(raised.len(), 2);
    pin(&lake, "orders@v1", &Options { retain: true, ..options("kept_too") }).await.unwrap();
    lake.land("orders/c.json", orders(20..22));
    lake.sync().await;
    lake.assert_recomputed().await;
    let run = "a run";
    pin::unpin(&lake.workspace().await, "kept", run).await.unwrap();
    assert_eq!(settings(&lake, "landing/orders").len(), 2, "another pin needs it");
    pin::unpin(&lake.workspace().await, "kept_too", run).await.unwrap();
    assert_eq!(settings(&lake, "landing/orders").len(), 0);
    lake.sync().await;
    lake.assert_recomputed().await;
    foreign_delete(&lake, "landing/orders", "id = 20").await;
    let refused = pin(&lake, "orders@v0", &Options { retain: true, ..options("late") }).await.unwrap_err();
    assert!(refused.starts_with("the settings of orders cannot be changed now"), "{refused}");
}

#[test]
fn people_who_withdraw_and_files_that_go_are_said() {
    let shell = Shell::synced();
    let pinned = shell.run(&["pin", "members", "--name", "set_1", "--until", "2099-01-01"]);
    assert_eq!(pinned.code, 0, "{}", pinned.err);
    assert!(pinned.out.starts_with("set_1  members@v0  20") && pinned.out.contains("2 rows"), "{}", pinned.out);
    assert!(pinned.out.ends_with("until 2099-01-01 23:59:59\n"), "{}", pinned.out);
    assert_eq!(shell.run(&["pins"]).out, pinned.out);
    shell.land("people/b.json", &person("ann", 2, false));
    let sync = shell.run(&["sync"]);
    let said = "1 person has no consent any more in pin set_1 (members v0): stedi-delta unpin set_1\n";
    assert!(sync.code == 0 && sync.out.contains(said), "{}", sync.out);
    let status = shell.run(&["status"]);
    assert!(status.out.ends_with("pin set_1: 1 person in it has no consent any more: stedi-delta unpin set_1\n"));
    assert_eq!(shell.run(&["status", "--format", "json"]).json()["pins"][0]["withdrawn"], 1);
    let pins = shell.run(&["pins"]);
    let said = "  1 person in it has no consent any more: stedi-delta unpin set_1\n";
    assert!(pins.code == 0 && pins.out.ends_with(said), "{}", pins.out);
    for file in fs::read_dir(shell.project().join("w/trusted/members")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "parquet") {
            fs::remove_file(file).unwrap();
        }
    }
    let pins = shell.run(&["pins"]);
    assert!(pins.code == 3 && pins.out.ends_with("  1 of its 1 file is gone\n"), "{}", pins.out);
    let document = shell.run(&["pins", "--format", "json"]).json();
    assert_eq!((&document["exit_code"], &document["pins"][0]["files_gone"]), (&3.into(), &1.into()));
    assert!(!format!("{document}{}", pins.out).contains("ann"));
}

#[test]
fn a_project_may_unpin_what_holds_people_who_withdraw() {
    let shell = Shell::synced();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", settings.clone() + "[pins]\non_withdrawal = \"drop\"\n");
    let check = shell.run(&["check"]);
    assert!(
        check.err.contains("`on_withdrawal` is \"drop\"") && check.err.contains("one of \"keep\", \"unpin\""),
        "{}",
        check.err
    );
    shell.define("stedi-delta.toml", settings + "[pins]\non_withdrawal = \"unpin\"\n");
    for (name, table) in [("set_1", "members"), ("set_2", "people")] {
        assert_eq!(shell.run(&["pin", table, "--name", name]).code, 0);
    }
    shell.land("people/b.json", &person("ann", 2, false));
    let sync = shell.run(&["sync", "--format", "json"]).json();
    let expected = json!([{"name": "set_1", "table": "members", "version": 0, "withdrawn": 1, "unpinned": true}]);
    assert_eq!(sync["pins"], expected);
    let pins = shell.run(&["pins", "--format", "json"]).json();
    assert_eq!((pins["pins"].as_array().unwrap().len(), &pins["pins"][0]["name"]), (1, &json!("set_2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_a_pinned_version_like_any_other() {
    let lake = filled().await;
    pin(&lake, "orders@v0", &options("first")).await.unwrap();
    let answer = inspect::query(&lake.workspace().await, "select p.pin, p.table_name from pins@v0 p").await.unwrap();
    assert_eq!(answer[0].num_rows(), 1);
}
