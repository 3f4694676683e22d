//! Rules that an AWS emulator does not enforce, with responses recorded by the API's model: versions, throttling,
//! pages, lowercased names, denied calls. Requests pass through the whole SDK; only the transport is replaced.

use std::collections::VecDeque;

use aws_sdk_glue::config::http::HttpResponse;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;

use serde_json::json;

use super::super::Put;
use super::super::conformance::{self, put};
use super::*;
use crate::aws::AwsSettings;

/// Answers calls in turn and records them: operation and body.
#[derive(Clone, Debug, Default)]
struct Wire {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let bytes = request.body().bytes().unwrap_or_default();
        assert_eq!(request.headers().get("content-length"), Some(bytes.len().to_string().as_str()), "{operation}");
        let body = serde_json::from_slice(bytes).expect("calls are JSON");
        self.calls.lock().expect("not poisoned").push((operation.clone(), body));
        let answer = self.answers.lock().expect("not poisoned").pop_front();
        let (status, body) = answer.unwrap_or_else(|| panic!("no answer is left for {operation}"));
        let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body.to_string()));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Wire {
    fn answering(answers: Vec<(u16, Value)>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into())), calls: Arc::default() }
    }

    fn catalog(&self) -> GlueCatalog {
        let connector = SharedHttpConnector::new(self.clone());
        let key =
            aws_credential_types::Credentials::new("AKIDEXAMPLE-OF-TEST", "wJalrXUtnFEMI-test", None, None, "test");
        let config = aws_types::SdkConfig::builder()
            .behavior_version(aws_sdk_glue::config::BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(aws_sdk_glue::config::SharedCredentialsProvider::new(key))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .retry_config(RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1)))
            .sleep_impl(aws_sdk_glue::config::SharedAsyncSleep::new(AtOnce))
            .build();
        let aws = Aws::from_config(config, AwsSettings::default());
        GlueCatalog::new(&aws, &Glue { catalog_id: Some("123456789012".into()), ..Glue::default() }, None)
            .expect("no endpoint")
    }

    fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().expect("not poisoned").clone()
    }

    fn operations(&self) -> Vec<String> {
        self.calls().into_iter().map(|(operation, _)| operation).collect()
    }
}

/// Does not sleep; the SDK tests its own backoff.
#[derive(Debug)]
struct AtOnce;

impl aws_sdk_glue::config::AsyncSleep for AtOnce {
    fn sleep(&self, _duration: std::time::Duration) -> aws_sdk_glue::config::Sleep {
        aws_sdk_glue::config::Sleep::new(std::future::ready(()))
    }
}

fn error(code: &str) -> (u16, Value) {
    (400, json!({"__type": code, "Message": format!("{code} happened")}))
}

fn fine() -> (u16, Value) {
    (200, json!({}))
}

/// A table in Glue's response.
fn standing(entry: &Entry, version: &str) -> Value {
    let mut table = serde_json::to_value(entry).expect("an entry is JSON");
    table["DatabaseName"] = "lake".into();
    table["CreateTime"] = json!(1_700_000_000.5);
    table["CatalogId"] = "123456789012".into();
    table["IsRegisteredWithLakeFormation"] = true.into();
    table["VersionId"] = version.into();
    table["Retention"] = 7.into();
    table["StorageDescriptor"]["Columns"][0]["FutureField"] = json!({"of": "Glue"});
    table["StorageDescriptor"]["SchemaReference"] = json!({"SchemaVersionNumber": 3});
    table
}

fn got(entry: &Entry, version: &str) -> (u16, Value) {
    (200, json!({"Table": standing(entry, version)}))
}

fn entry(version: u64) -> Entry {
    conformance::sample("people", version)
}

#[tokio::test]
async fn a_table_is_created_field_by_field_with_its_database() {
    let wire = Wire::answering(vec![error("EntityNotFoundException"), fine(), fine()]);
    assert_eq!(put(&wire.catalog(), "lake", &entry(3), None).await.expect("created"), Put::Created);
    assert_eq!(wire.operations(), ["CreateTable", "CreateDatabase", "CreateTable"]);
    let (_, body) = wire.calls().remove(2);
    let schema = r#"{"type":"struct","fields":[{"name":"id","type":"string","nullable":true,"metadata":{}},{"name":"email","type":"string","nullable":true,"metadata":{}}]}"#;
    let sent: Value = serde_json::from_str(
        body["TableInput"]["Parameters"]["spark.sql.sources.schema.part.0"].as_str().expect("text"),
    )
    .expect("JSON");
    assert_eq!(sent, serde_json::from_str::<Value>(schema).expect("JSON"));
    let mut body = body;
    body["TableInput"]["Parameters"]["spark.sql.sources.schema.part.0"] = "the schema".into();
    let expected = json!({
        "CatalogId": "123456789012",
        "DatabaseName": "lake",
        "TableInput": {
            "Name": "people",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [],
            "Parameters": {
                "EXTERNAL": "TRUE",
                "classification": "delta",
                "delta.lastCommitTimestamp": "1700000000000",
                "delta.lastUpdateVersion": "3",
                "spark.sql.partitionProvider": "catalog",
                "spark.sql.sources.provider": "delta",
                "spark.sql.sources.schema.numParts": "1",
                "spark.sql.sources.schema.part.0": "the schema",
                "table_type": "delta"
            },
            "StorageDescriptor": {
                "Columns": [{"Name": "id", "Type": "string"}, {"Name": "email", "Type": "string"}],
                "Location": "s3://bucket/people/",
                "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
                "Compressed": false,
                "NumberOfBuckets": 0,
                "StoredAsSubDirectories": false,
                "BucketColumns": [],
                "SortColumns": [],
                "Parameters": {},
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                    "Parameters": {"path": "s3://bucket/people/", "serialization.format": "1"}
                }
            }
        }
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn an_update_names_the_version_that_it_replaces_and_keeps_what_it_does_not_speak_of() {
    let mut old = entry(1);
    old.storage_descriptor.number_of_buckets = None;
    old.storage_descriptor.columns[0].parameters.insert("tag".into(), "id".into());
    old.storage_descriptor.columns[0].comment = Some("of the log".into());
    let part = old.parameters.get_mut("spark.sql.sources.schema.part.0").expect("a schema");
    *part = part.replacen("\"metadata\":{}", "\"metadata\":{\"comment\":\"of the log\"}", 1);
    let wire = Wire::answering(vec![got(&old, "7"), fine()]);
    assert_eq!(put(&wire.catalog(), "lake", &entry(2), Some(old)).await.expect("updated"), Put::Updated);
    assert_eq!(wire.operations(), ["GetTable", "UpdateTable"]);
    let (_, body) = wire.calls().remove(1);
    assert_eq!((&body["VersionId"], &body["SkipArchive"]), (&json!("7"), &json!(false)), "its columns were others");
    let input = &body["TableInput"];
    assert_eq!((&input["Retention"], &input["StorageDescriptor"]["NumberOfBuckets"]), (&json!(7), &json!(0)));
    let column = &input["StorageDescriptor"]["Columns"][0];
    assert_eq!((&column["FutureField"], &column["Parameters"]), (&json!({"of": "Glue"}), &json!({"tag": "id"})));
    assert_eq!(column["Comment"], Value::Null, "it was the old log's");
    assert_eq!(input["StorageDescriptor"]["SchemaReference"], json!({"SchemaVersionNumber": 3}));
    for key in READ_ONLY {
        assert!(input.get(key).is_none(), "{key} is not Glue's to be told");
    }
}

#[tokio::test]
async fn a_changed_schema_keeps_the_old_version_in_the_archive() {
    let narrow = entry(1);
    let mut wide = entry(2);
    wide.storage_descriptor.columns.truncate(1);
    let wire = Wire::answering(vec![got(&narrow, "1"), fine()]);
    put(&wire.catalog(), "lake", &wide, Some(narrow)).await.expect("updated");
    assert_eq!(wire.calls()[1].1["SkipArchive"], json!(false));
}

#[tokio::test]
async fn somebody_elses_update_in_between_is_read_again_and_kept() {
    let mut old = entry(1);
    old.storage_descriptor.number_of_buckets = None;
    let mut theirs = old.clone();
    theirs.parameters.insert("team".into(), "ml".into());
    let answers =
        vec![got(&old, "1"), error("ConcurrentModificationException"), got(&theirs, "2"), got(&theirs, "2"), fine()];
    let wire = Wire::answering(answers);
    assert_eq!(put(&wire.catalog(), "lake", &entry(2), Some(old)).await.expect("updated"), Put::Updated);
    let (_, body) = wire.calls().remove(4);
    assert_eq!((&body["VersionId"], &body["TableInput"]["Parameters"]["team"]), (&json!("2"), &json!("ml")));
    assert_eq!(body["SkipArchive"], json!(true), "the schema is the same");
}

#[tokio::test]
async fn an_entry_that_is_changed_again_and_again_is_a_conflict() {
    let mut old = entry(1);
    old.storage_descriptor.number_of_buckets = None;
    let mut answers = Vec::new();
    for _ in 0..crate::retry::CATALOG_ENTRY.attempts() {
        answers.extend([got(&old, "1"), error("ConcurrentModificationException"), got(&old, "1")]);
    }
    let wire = Wire::answering(answers);
    let error = put(&wire.catalog(), "lake", &entry(2), Some(old)).await.expect_err("never");
    assert_eq!(error.kind(), crate::error::Kind::Conflict);
}

#[tokio::test]
async fn throttled_and_failing_calls_are_made_again() {
    let failures = vec![
        error("ThrottlingException"),
        (500, json!({"__type": "InternalServiceException"})),
        (503, json!({})),
        error("ThrottlingException"),
    ];
    let wire = Wire::answering([failures, vec![(200, json!({"TableList": []}))]].concat());
    assert_eq!(wire.catalog().list("lake").await.expect("the fifth time"), Vec::new());
    assert_eq!(wire.operations().len(), 5);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_up() {
    // The first CreateTable took effect but its response was lost: the SDK retries.
    let wire = Wire::answering(vec![(503, json!({})), error("AlreadyExistsException"), got(&entry(1), "0")]);
    assert_eq!(put(&wire.catalog(), "lake", &entry(1), None).await.expect("there"), Put::Unchanged);
    assert_eq!(wire.operations(), ["CreateTable", "CreateTable", "GetTable"]);
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_names_are_folded() {
    let table = |name: &str| {
        let mut table = standing(&conformance::sample(name, 1), "0");
        table["Name"] = name.to_uppercase().into();
        table
    };
    let wire = Wire::answering(vec![
        (200, json!({"TableList": [table("b"), table("c")], "NextToken": "more"})),
        (200, json!({"TableList": [{"Name": "a_view", "TableType": "VIRTUAL_VIEW"}], "NextToken": ""})),
    ]);
    let entries = wire.catalog().list("lake").await.expect("two pages");
    assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a_view", "b", "c"]);
    assert!(!entries[0].is_delta() && entries[1].is_delta());
    let calls = wire.calls();
    assert_eq!(calls[0].1, json!({"CatalogId": "123456789012", "DatabaseName": "lake", "MaxResults": 100}));
    assert_eq!(calls[1].1["NextToken"], "more");
}

#[tokio::test]
async fn what_another_tool_made_of_a_table_keeps_no_other_from_being_listed() {
    let sorted = json!({"Name": "sorted", "StorageDescriptor": {"SortColumns": [{"Column": "id", "SortOrder": 1}]}});
    let odd = json!({"Name": "Odd", "Parameters": null});
    let people = standing(&conformance::sample("people", 1), "0");
    let wire = Wire::answering(vec![(200, json!({"TableList": [sorted, odd, people]}))]);
    let entries = wire.catalog().list("lake").await.expect("all of them");
    assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["odd", "people", "sorted"]);
    assert_eq!(entries.iter().filter(|e| e.is_delta()).count(), 1);
}

#[tokio::test]
async fn a_denied_call_says_what_to_allow_and_no_key() {
    let denied = json!({"__type": "AccessDeniedException", "Message": "AKIDEXAMPLE-OF-TEST may not glue:GetTables"});
    let error = Wire::answering(vec![(400, denied)]).catalog().list("lake").await.expect_err("denied");
    assert_eq!(error.message(), "Glue refused GetTables of `lake`");
    assert_eq!(error.causes(), ["AccessDeniedException: (credential) may not glue:GetTables"]);
    assert_eq!(
        error.next(),
        Some("allow glue:GetTables on `lake`, in IAM and in Lake Formation: docs/athena.md has the policies")
    );
}

#[tokio::test]
async fn what_is_absent_is_none() {
    let gone = || error("EntityNotFoundException");
    let wire = Wire::answering(vec![gone(), gone(), gone(), fine()]);
    let catalog = wire.catalog();
    assert_eq!(catalog.get("lake", "people").await.expect("absent"), None);
    assert_eq!(catalog.list("lake").await.expect("absent"), Vec::new());
    assert!(!catalog.remove("lake", "people").await.expect("absent"));
    assert!(catalog.remove("lake", "people").await.expect("removed"));
    assert_eq!(wire.operations(), ["GetTable", "GetTables", "DeleteTable", "DeleteTable"]);
}
