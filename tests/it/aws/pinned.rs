//! A pinned version as a table of Glue, on S3: the entry, the files that it lists, and what a later sync leaves of it.

use serde_json::{Value, json};

use super::Prod;
use crate::support::second::second_engine;
use crate::support::{Ran, repository};

const PIN: &str = "gait_1";

fn entry(prod: &Prod) -> Result<Value, Value> {
    let found = prod.aws.glue("GetTable", &json!({"DatabaseName": "stedi", "Name": PIN}))?;
    let mut found = found["Table"].clone();
    let fields = found.as_object_mut().unwrap();
    for volatile in ["CreateTime", "UpdateTime", "VersionId", "CatalogId"] {
        fields.remove(volatile);
    }
    Ok(found)
}

/// The data files that the manifest lists.
fn listed(prod: &Prod) -> Vec<String> {
    let key = format!("warehouse/_pins/{PIN}/manifest");
    let manifest = String::from_utf8(prod.aws.get(&prod.bucket, &key).unwrap()).unwrap();
    manifest.lines().map(str::to_owned).collect()
}

/// Rows of these files as DuckDB reads them from S3, as lines of CSV in their order; `None` without DuckDB.
fn read_by_duckdb(prod: &Prod, files: &[String]) -> Option<Vec<String>> {
    let python = second_engine()?;
    let script = "import json, sys\nsys.path.insert(0, sys.argv[1])\nimport oracle, duckdb\n\
        connection = duckdb.connect()\noracle.connect_s3(connection)\n\
        rows = connection.execute('select serialnumber, sensorreadingtime, distancefromobject from read_parquet(?)', \
        [json.loads(sys.argv[2])]).fetchall()\nprint('\\n'.join(sorted(','.join(map(str, row)) for row in rows)))";
    let mut command = std::process::Command::new(python);
    let files = serde_json::to_string(files).unwrap();
    command.args(["-c", script]).arg(repository().join("tests/oracle")).arg(files).envs(prod.aws.env());
    let ran = Ran::of(&mut command);
    if ran.code == 77 {
        eprintln!("SKIP: {}", ran.err);
        return None;
    }
    Some(ran.fine().out.lines().map(str::to_owned).collect())
}

#[test]
fn a_pin_is_a_table_of_glue_that_later_syncs_do_not_change() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    prod.run(&["pin", "machine_learning_curated", "--name", PIN, "--catalog"]).fine();
    let sql = "select serialnumber, sensorreadingtime, distancefromobject from machine_learning_curated@v0";
    let rows = prod.run(&["query", sql, "--format", "csv"]).fine();
    let mut then: Vec<String> = rows.out.lines().skip(1).map(str::to_owned).collect();
    then.sort();
    let location = format!("s3://{}/warehouse/_pins/{PIN}/", prod.bucket);
    let mut found = entry(&prod).unwrap();
    let columns = found["StorageDescriptor"]["Columns"].take();
    let columns: Vec<_> = columns
        .as_array()
        .unwrap()
        .iter()
        .map(|of| {
            [&of["Name"], &of["Type"], &of["Parameters"]["classification"]].map(|part| part.as_str().unwrap_or(""))
        })
        .map(|[name, of_type, classification]| format!("{name} {of_type} {classification}").trim_end().to_owned())
        .collect();
    assert_eq!(
        columns,
        [
            "sensorreadingtime bigint",
            "serialnumber string pii",
            "distancefromobject bigint",
            "x double",
            "y double",
            "z double"
        ]
    );
    let expected = json!({
        "Name": PIN,
        "DatabaseName": "stedi",
        "Description": "machine_learning_curated as of version 0, pinned by stedi-delta",
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "stedi-delta.pin.table": "machine_learning_curated",
            "stedi-delta.pin.version": "0"
        },
        "StorageDescriptor": {
            "Columns": null,
            "Location": location,
            "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "Compressed": false,
            "NumberOfBuckets": 0,
            "BucketColumns": [],
            "SortColumns": [],
            "StoredAsSubDirectories": false,
            "Parameters": {},
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"}
            }
        }
    });
    assert_eq!(found, expected);
    let files = listed(&prod);
    let folder = format!("s3://{}/warehouse/curated/machine_learning_curated/", prod.bucket);
    assert!(!files.is_empty() && files.iter().all(|file| file.starts_with(&folder)), "{files:?}");
    if let Some(read) = read_by_duckdb(&prod, &files) {
        assert_eq!(read, then);
    }

    // Somebody withdraws whose rows are in it: the table changes, the pin does not.
    let whole = entry(&prod).unwrap();
    let record = "{\"email\": \"Amara.Haddad.15@example.com\", \"lastUpdateDate\": 1655700000000, \
                  \"serialNumber\": \"6af3ffb2-4503-4fdc-8404-97183f65b989\"}";
    prod.aws.put(&prod.bucket, "landing/customer/landing/withdrawal.json", record);
    let sync = prod.run(&["sync"]).fine();
    assert!(sync.out.contains(&format!("in pin {PIN}")), "{}", sync.out);
    assert_eq!((entry(&prod).unwrap(), listed(&prod)), (whole, files.clone()));
    if let Some(read) = read_by_duckdb(&prod, &files) {
        assert_eq!(read, then);
    }
    prod.run(&["catalog", "check"]).fine();
    // An object that is gone is missed.
    let key = files[0].strip_prefix(&format!("s3://{}/", prod.bucket)).unwrap();
    prod.aws.delete(&prod.bucket, key);
    assert_eq!(prod.run(&["pins"]).code, 3);
    prod.run(&["unpin", PIN]).fine();
    assert!(entry(&prod).is_err());
    assert_eq!(prod.aws.keys(&prod.bucket, "warehouse/_pins/"), Vec::<String>::new());
    prod.run(&["catalog", "check"]).fine();
}
