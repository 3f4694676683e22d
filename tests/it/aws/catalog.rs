//! Tables in Glue: the entry that Athena reads, and what is kept, repaired and refused.

use serde_json::{Value, json};
use stedi_delta::internals::catalog::{Catalog, GlueCatalog, conformance};
use stedi_delta::internals::definition::Glue;

use super::Prod;
use crate::support::aws::Aws;
use crate::support::shop::shop;

fn entry(prod: &Prod, table: &str) -> Value {
    let body = json!({"DatabaseName": "stedi", "Name": table});
    prod.aws.glue("GetTable", &body).unwrap()["Table"].clone()
}

/// A table's entry by another tool.
fn rewrite(prod: &Prod, table: &str, change: impl FnOnce(&mut Value)) {
    let mut standing = entry(prod, table);
    for key in ["DatabaseName", "CatalogId", "CreateTime", "UpdateTime", "VersionId", "CreatedBy"] {
        standing.as_object_mut().unwrap().remove(key);
    }
    change(&mut standing);
    prod.aws.glue("UpdateTable", &json!({"DatabaseName": "stedi", "TableInput": standing})).unwrap();
}

#[test]
fn the_entry_is_the_one_that_athena_writes_field_by_field() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    let mut found = entry(&prod, "accelerometer_trusted");
    let fields = found.as_object_mut().unwrap();
    for volatile in ["CreateTime", "UpdateTime", "VersionId", "CatalogId"] {
        fields.remove(volatile);
    }
    let location = format!("s3://{}/warehouse/trusted/accelerometer_trusted/", prod.bucket);
    let parameters = found["Parameters"].as_object_mut().unwrap();
    let committed = parameters.remove("delta.lastCommitTimestamp").unwrap();
    assert!(committed.as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000);
    let schema: Value =
        serde_json::from_str(parameters.remove("spark.sql.sources.schema.part.0").unwrap().as_str().unwrap()).unwrap();
    let field = |name: &str, r#type: &str, comment: &str| json!({"name": name, "type": r#type, "nullable": true, "metadata": {"comment": comment}});
    let fields = [
        field("user", "string", "E-mail address of the customer who carried the phone"),
        field("timestamp", "long", "When it was measured, epoch ms"),
        field("x", "double", "Acceleration to the side"),
        field("y", "double", "Acceleration up and down"),
        field("z", "double", "Acceleration to the front"),
    ];
    assert_eq!(schema, json!({"type": "struct", "fields": fields}));
    let columns = found["StorageDescriptor"]["Columns"].take();
    let names: Vec<_> = columns.as_array().unwrap().iter().map(|c| (c["Name"].clone(), c["Type"].clone())).collect();
    let expected = [("user", "string"), ("timestamp", "bigint"), ("x", "double"), ("y", "double"), ("z", "double")];
    assert_eq!(names, expected.map(|(n, t)| (n.into(), t.into())));
    // By this, policies for personal data find a column, a derived one as well.
    let classified = |c: &Value| c["Parameters"]["classification"].as_str().map(str::to_owned);
    let classified: Vec<_> = columns.as_array().unwrap().iter().map(classified).collect();
    assert_eq!(classified, [Some("pii".to_owned()), None, None, None, None]);
    assert_eq!(columns[0]["Comment"], "E-mail address of the customer who carried the phone");
    let expected = json!({
        "Name": "accelerometer_trusted",
        "DatabaseName": "stedi",
        "Description": found["Description"],
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "table_type": "delta",
            "spark.sql.sources.provider": "delta",
            "spark.sql.partitionProvider": "catalog",
            "spark.sql.sources.schema.numParts": "1",
            "delta.lastUpdateVersion": "0",
            "classification": "delta"
        },
        "StorageDescriptor": {
            "Columns": null,
            "Location": location,
            "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            "Compressed": false,
            "NumberOfBuckets": 0,
            "BucketColumns": [],
            "SortColumns": [],
            "StoredAsSubDirectories": false,
            "Parameters": {},
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                "Parameters": {"path": location, "serialization.format": "1"}
            }
        }
    });
    assert_eq!(found, expected);
    let tables = prod.aws.glue("GetTables", &json!({"DatabaseName": "stedi"})).unwrap();
    let mut names: Vec<_> =
        tables["TableList"].as_array().unwrap().iter().map(|t| t["Name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let quarantines = names.iter().filter(|n| n.ends_with("_quarantine")).count();
    assert_eq!((names.len() - quarantines, quarantines), (8, 3), "{names:?}");
}

#[test]
fn drift_is_named_field_by_field_and_repaired_by_register_or_the_next_sync() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    let spoil = |prod: &Prod| {
        rewrite(prod, "customer_trusted", |t| {
            t["StorageDescriptor"].as_object_mut().unwrap().remove("NumberOfBuckets");
            t["StorageDescriptor"]["Columns"][1]["Type"] = "int".into();
            t["Parameters"]["team"] = "ml".into();
            t["Parameters"]["spark.sql.sources.provider"] = "parquet".into();
            t["Retention"] = 5.into();
        });
    };
    spoil(&prod);
    let checked = prod.run(&["catalog", "check"]);
    assert_eq!(checked.code, 2, "{}{}", checked.out, checked.err);
    for line in [
        "customer_trusted",
        "StorageDescriptor.NumberOfBuckets       found nothing, expected 0",
        "StorageDescriptor.Columns.email.Type    found int, expected string",
        "Parameters.spark.sql.sources.provider   found parquet, expected delta",
    ] {
        assert!(checked.out.contains(line), "{line}\n{}", checked.out);
    }
    assert!(!checked.out.contains("team"), "what others added is no drift: {}", checked.out);
    let root = |folder: &str| format!("s3://{}/{folder}", prod.bucket);
    let flags = format!("--target prod --landing {} --warehouse {}", root("landing"), root("warehouse"));
    assert_eq!(checked.err, format!("Next: stedi-delta {flags} catalog register\n"), "a hint is there to be pasted");
    let repaired = prod.run(&["catalog", "register"]).fine();
    assert!(repaired.out.contains("customer_trusted") && repaired.out.contains("updated"), "{}", repaired.out);
    let kept = entry(&prod, "customer_trusted");
    assert_eq!((&kept["Parameters"]["team"], &kept["Retention"]), (&json!("ml"), &json!(5)));
    assert_eq!(kept["StorageDescriptor"]["NumberOfBuckets"], 0);
    prod.run(&["catalog", "check"]).fine();
    spoil(&prod);
    let synced = prod.run(&["sync"]).fine();
    assert!(synced.out.contains("1 catalog entry brought up to date"), "{}", synced.out);
    prod.run(&["catalog", "check"]).fine();
}

#[test]
fn a_registration_that_failed_after_the_commit_is_made_up_for_by_the_next_sync() {
    let Some(prod) = Prod::sample() else { return };
    prod.aws.rules(&json!([
        {"service": "glue", "operation": "CreateTable", "after": 2, "times": 1, "action": "status", "status": 400, "code": "AccessDeniedException", "message": "not today"},
    ]));
    let failed = prod.run(&["sync", "--format", "json"]);
    assert_eq!(failed.code, 1, "{}", failed.err);
    assert!(failed.err.contains("AccessDeniedException: not today"), "{}", failed.err);
    assert!(failed.err.contains("allow glue:CreateTable on `stedi."), "{}", failed.err);
    assert_eq!(failed.json()["totals"]["tables_changed"], 8, "rows are in all the same");
    let second = prod.run(&["sync"]).fine();
    assert!(second.out.contains("1 catalog entry brought up to date"), "{}", second.out);
    prod.run(&["catalog", "check"]).fine();
}

#[test]
fn an_entry_of_somebody_elses_table_is_not_taken_over_unasked() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    // A colleague uses the same target with another warehouse.
    let sandbox = Prod { bucket: prod.aws.bucket(), aws: prod.aws };
    sandbox.aws.put_all(&sandbox.bucket, "landing", &crate::support::repository().join("sample/landing"));
    let refused = sandbox.run(&["sync"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("in Glue in us-east-1 points to another table"), "{}", refused.err);
    assert!(refused.err.contains(" catalog register --relocate\n"), "{}", refused.err);
    let checked = sandbox.run(&["catalog", "check"]);
    assert_eq!(checked.code, 2);
    assert!(checked.out.contains("points to another table"), "{}", checked.out);
    sandbox.run(&["catalog", "register", "--relocate"]).fine();
    sandbox.run(&["catalog", "check"]).fine();
    assert!(
        entry(&sandbox, "customer_trusted")["StorageDescriptor"]["Location"]
            .as_str()
            .unwrap()
            .contains(&sandbox.bucket)
    );
    // If the other table no longer exists, a sync updates the entry by itself.
    for key in sandbox.aws.keys(&sandbox.bucket, "warehouse/") {
        sandbox.aws.delete(&sandbox.bucket, &key);
    }
    let moved = Prod { bucket: sandbox.aws.bucket(), aws: sandbox.aws };
    moved.aws.put_all(&moved.bucket, "landing", &crate::support::repository().join("sample/landing"));
    moved.run(&["sync"]).fine();
}

#[test]
fn a_table_that_is_no_delta_table_is_left_alone() {
    let Some(prod) = Prod::sample() else { return };
    prod.aws.glue("CreateDatabase", &json!({"DatabaseInput": {"Name": "stedi"}})).unwrap();
    let hive = json!({"Name": "customer_landing", "Parameters": {"classification": "json"}, "PartitionKeys": [],
                      "StorageDescriptor": {"Location": "s3://elsewhere/customer/", "Columns": []}});
    prod.aws.glue("CreateTable", &json!({"DatabaseName": "stedi", "TableInput": hive})).unwrap();
    let ran = prod.run(&["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`stedi.customer_landing` in the catalog is not a Delta table"), "{}", ran.err);
    assert_eq!(entry(&prod, "customer_landing")["Parameters"], json!({"classification": "json"}));
    assert_eq!(entry(&prod, "customer_trusted")["TableType"], "EXTERNAL_TABLE", "the others are registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_left_the_project_are_told_and_dropped_on_request_only() {
    let Some(aws) = Aws::shared() else { return };
    let lake = shop("auto").in_cloud(aws);
    lake.land_first_orders();
    lake.sync().await;
    let root = lake.root().to_owned();
    std::fs::remove_file(root.join("tables/curated/items.toml")).unwrap();
    std::fs::remove_file(root.join("tables/curated/items.sql")).unwrap();
    assert_eq!(lake.sync().await.left, ["items"]);
    let workspace = lake.workspace().await;
    let names =
        |entries: Vec<stedi_delta::internals::catalog::Entry>| entries.into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(
        names(workspace.catalog.list(&lake.database()).await.unwrap()),
        ["cheap", "items", "orders", "orders_quarantine"]
    );
    let repairs = stedi_delta::register::Repairs { prune: true, relocate: false };
    stedi_delta::register::repair(&workspace, repairs, &stedi_delta::progress::Silent).await.unwrap();
    assert_eq!(
        names(workspace.catalog.list(&lake.database()).await.unwrap()),
        ["cheap", "orders", "orders_quarantine"]
    );
    assert!(lake.sync().await.left.is_empty());
    assert!(!aws.keys(lake.bucket(), "warehouse/curated/items/").is_empty(), "data is never dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn glue_conforms() {
    let Some(aws) = Aws::shared() else { return };
    let lake = shop("auto").in_cloud(aws);
    let connection = lake.connection().await.unwrap();
    let catalog = GlueCatalog::new(&connection, &Glue::default(), None).unwrap();
    conformance::suite(&catalog).await.unwrap_or_else(|e| panic!("{e} {:?}", e.facts()));
    assert!(catalog.is_shared());
}

#[test]
fn the_statements_for_athena_need_no_connection() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stedi-delta"))
        .args(["catalog", "ddl", "customer_trusted", "customer_landing_quarantine", "--target", "prod", "--project"])
        .arg(crate::support::repository())
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "CREATE DATABASE IF NOT EXISTS `stedi`;\n\n\
                    CREATE EXTERNAL TABLE `stedi`.`customer_landing_quarantine`\n\
                    LOCATION 's3://stedi-warehouse/landing/customer_landing_quarantine/'\n\
                    TBLPROPERTIES ('table_type' = 'DELTA');\n\n\
                    CREATE EXTERNAL TABLE `stedi`.`customer_trusted`\n\
                    LOCATION 's3://stedi-warehouse/trusted/customer_trusted/'\n\
                    TBLPROPERTIES ('table_type' = 'DELTA');\n";
    assert_eq!((text.as_str(), output.status.code()), (expected, Some(0)));
}
