//! Tables whose data files alone do not determine their rows.

use std::fs;

use deltalake::operations::write::SchemaMode;
use deltalake::protocol::SaveMode;
use serde_json::{Value, json};
use stedi_delta::outcome::{Mode, Problem};

use super::{append, batch, built, commit, delete, folder, follows, lake, open};
use crate::support::shop::{ORDERS, orders};
use crate::support::{Lake, of};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_partitioned_has_its_partition_values_and_is_not_written_to() {
    // The second has values that engines spell in different ways in paths: then both versions are read whole.
    for (one, two) in [("nut", "bolt"), ("a b/50%", "é=[#]")] {
        let lake = built("incremental").await;
        let write = open(&lake).await.write(vec![batch(&[(1, one, 1.0), (2, two, 2.0), (3, one, 9.0)])]);
        let write = write.with_save_mode(SaveMode::Overwrite).with_schema_mode(SchemaMode::Overwrite);
        write.with_partition_columns(["item"]).await.unwrap();
        follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
        append(&lake, &[(4, two, 1.0), (5, "new", 1.0)]).await;
        delete(&lake, "id = 1").await;
        follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
        let mut rows = vec![format!("2|{two}"), format!("4|{two}"), "5|new".to_owned()];
        rows.sort();
        assert_eq!(lake.rows("select id, item from cheap").await, rows);
        lake.land("orders/z.json", orders(50..52));
        let outcome = lake.try_sync().await;
        let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{outcome:?}") };
        assert!(error.message().ends_with("is partitioned by `item`"), "{error}");
    }
}

/// The actions of the first commit with this name.
pub(crate) fn first(lake: &Lake, name: &str) -> Value {
    let text = fs::read_to_string(folder(lake).join("_delta_log/00000000000000000000.json")).unwrap();
    let mut actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    actions.find(|action| action.get(name).is_some()).unwrap()
}

fn protocol(features: &[&str]) -> Value {
    json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": features, "writerFeatures": features}})
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_hidden_by_a_deletion_vector_go() {
    let lake = lake("incremental");
    lake.land("orders/a.json", orders(0..35));
    lake.sync().await;
    let add = first(&lake, "add");
    // Rows 3, 4, 7, 11, 18 and 29.
    let vector = json!({"storageType": "i", "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 44, "cardinality": 6});
    let mut hiding = add.clone();
    hiding["add"]["deletionVector"] = vector;
    let remove = json!({"remove": {"path": add["add"]["path"], "dataChange": true, "deletionTimestamp": 1,
        "extendedFileMetadata": true, "partitionValues": {}, "size": add["add"]["size"]}});
    commit(&lake, &[protocol(&["deletionVectors"]), remove, hiding]).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    assert_eq!(lake.rows("select id from cheap").await, ["0", "1", "2"]);
    assert_eq!(lake.count("select count(*) from orders").await, 29);
    // A rewrite does not restore hidden rows.
    lake.land("orders/a.json", orders(0..1));
    let outcome = lake.try_sync().await;
    assert!(matches!(&of(&outcome, "orders").problem, Some(Problem::Failed(_))), "{outcome:?}");
    assert_eq!(lake.count("select count(*) from orders").await, 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_column_mapping_is_read_by_its_names() {
    let lake = built("incremental").await;
    let mut metadata = first(&lake, "metaData");
    let mut schema: Value = serde_json::from_str(metadata["metaData"]["schemaString"].as_str().unwrap()).unwrap();
    for (id, field) in schema["fields"].as_array_mut().unwrap().iter_mut().enumerate() {
        let name = field["name"].clone();
        field["metadata"] = json!({"delta.columnMapping.id": id + 1, "delta.columnMapping.physicalName": name});
    }
    metadata["metaData"]["schemaString"] = json!(schema.to_string());
    metadata["metaData"]["configuration"]["delta.columnMapping.mode"] = json!("name");
    metadata["metaData"]["configuration"]["delta.columnMapping.maxColumnId"] = json!("5");
    let path = first(&lake, "add")["add"]["path"].clone();
    let remove = json!({"remove": {"path": path, "dataChange": true, "deletionTimestamp": 1}});
    commit(&lake, &[protocol(&["columnMapping"]), metadata, remove]).await;
    let outcome = lake.try_sync().await;
    // Its columns are mapped to the files differently than before: nothing is guessed.
    let Some(Problem::Failed(error)) = &of(&outcome, "cheap").problem else { panic!("{outcome:?}") };
    assert!(error.message().contains("is stored differently than in v0 (orders)"), "{error}");
    let all = stedi_delta::sync::Options { full_refresh: true, ..Default::default() };
    crate::support::assert_ok(&lake.try_sync_with(all).await);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_between_two_syncs_changes_nothing_that_does_not_read_it() {
    let lake = built("incremental").await;
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}note = \"string\"\n"));
    lake.land("orders/d.json", "{\"id\":3,\"item\":\"nut\",\"price\":1.0,\"note\":\"x\"}\n");
    lake.sync().await;
    lake.assert_recomputed().await;
    delete(&lake, "note is null and id = 3").await;
    lake.sync().await;
    lake.assert_recomputed().await;
    assert_eq!(lake.rows("select id, price from cheap where id = 3").await, ["3|1.0"]);
}
