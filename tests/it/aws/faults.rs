//! A store that throttles, loses responses, or ignores conditions; many concurrent syncs.

use serde_json::json;

use super::{Prod, SAMPLE, expected, rows, writes};
use crate::concurrency::at_once;
use crate::support::aws::Aws;
use crate::support::shop::{orders, shop};
use stedi_delta::internals::storage::PROBE;

#[test]
fn a_store_that_overwrites_is_refused_before_anything_is_written() {
    let Some(prod) = Prod::sample() else { return };
    prod.aws.rules(&json!([{"service": "s3", "action": "ignore_conditions"}]));
    let ran = prod.run(&["sync"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("does not honour `If-None-Match: *`"), "{}", ran.err);
    assert_eq!(prod.aws.keys(&prod.bucket, "warehouse/"), Vec::<String>::new());
    prod.aws.rules(&json!([]));
    prod.run(&["sync"]).fine();
}

#[test]
fn the_store_proves_itself_once_a_run_and_only_where_something_is_written() {
    let Some(prod) = Prod::sample() else { return };
    let probes = |requests: &[crate::support::aws::Request]| {
        requests.iter().filter(|r| r.operation == "PutObject" && r.path.ends_with(PROBE)).count()
    };
    let (first, requests) = prod.watched(&["sync"]);
    first.fine();
    assert_eq!(probes(&requests), 2, "the second one is refused");
    let first_write = requests.iter().find(|r| r.operation.starts_with("Put")).unwrap();
    assert!(first_write.path.ends_with(PROBE), "{}", first_write.path);
    let (second, requests) = prod.watched(&["sync"]);
    second.fine();
    assert_eq!(probes(&requests), 0);
    prod.aws.put(&prod.bucket, "landing/customer/landing/new.json", "{\"email\": \"new@example.com\"}");
    let (third, requests) = prod.watched(&["sync"]);
    third.fine();
    assert_eq!(probes(&requests), 1, "it stands from the first run");
}

#[test]
fn throttling_and_failing_answers_are_waited_out() {
    let Some(prod) = Prod::sample() else { return };
    prod.aws.rules(&json!([
        {"service": "s3", "operation": "GetObject", "after": 3, "times": 2, "action": "status", "status": 503, "code": "SlowDown", "message": "Please reduce your request rate."},
        {"service": "s3", "operation": "ListObjectsV2", "after": 1, "times": 2, "action": "status", "status": 500, "code": "InternalError", "message": "We encountered an internal error."},
        {"service": "s3", "operation": "PutObject", "after": 9, "times": 2, "action": "status", "status": 503, "code": "SlowDown", "message": "Please reduce your request rate."},
        {"service": "glue", "times": 2, "action": "status", "status": 400, "code": "ThrottlingException", "message": "Rate exceeded"}
    ]));
    let ran = prod.run(&["sync", "--format", "json"]).fine();
    assert_eq!(rows(&ran.json()), expected(SAMPLE.iter().map(|t| t.2)));
    assert!(prod.aws.fired().iter().all(|fired| *fired == 2), "{:?}", prod.aws.fired());
}

#[test]
fn an_object_that_may_not_be_read_stops_nothing_but_itself() {
    let Some(prod) = Prod::sample() else { return };
    let file = "customer/landing/customer-1691348231478.json";
    prod.aws.rules(&json!([
        {"service": "s3", "operation": "GetObject", "path_contains": file, "action": "status", "status": 403, "code": "AccessDenied", "message": "no"},
    ]));
    let ran = prod.run(&["sync"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let said = format!("1 file of customer_landing cannot be read: permission denied\n  file       {file}\n");
    assert!(ran.err.contains(&said), "{}", ran.err);
    assert!(!ran.err.contains("is not at the cut"), "{}", ran.err);
    prod.aws.rules(&json!([]));
    prod.run(&["sync"]).fine();
}

#[test]
fn a_commit_whose_answer_was_lost_is_looked_up_and_stands() {
    let Some(prod) = Prod::sample() else { return };
    // The first commit of every table takes effect, but its response is lost.
    let tables = SAMPLE.iter().map(|(_, table, _)| *table).chain(["system/files", "system/runs"]);
    let rules = tables.map(|table| {
        let log = format!("{table}/_delta_log/00000000000000000000.json");
        json!({"service": "s3", "operation": "PutObject", "path_contains": log, "times": 1, "action": "drop_after"})
    });
    prod.aws.rules(&rules.collect());
    let ran = prod.run(&["sync", "--format", "json"]).fine();
    assert_eq!(rows(&ran.json()), expected(SAMPLE.iter().map(|t| t.2)));
    assert_eq!(prod.aws.fired(), [1; 10]);
    prod.aws.rules(&json!([]));
    let (again, requests) = prod.watched(&["sync"]);
    assert!(again.fine().out.starts_with("Nothing to do"));
    assert_eq!(writes(&requests), Vec::<String>::new());
}

#[test]
fn a_commit_that_was_neither_answered_nor_can_be_looked_up_is_not_guessed() {
    let Some(prod) = Prod::sample() else { return };
    let log = "trusted/customer_trusted/_delta_log/00000000000000000000.json";
    prod.aws.rules(&json!([
        {"service": "s3", "operation": "PutObject", "path_contains": log, "action": "drop_after"},
        {"service": "s3", "operation": "GetObject", "path_contains": log, "action": "status", "status": 403, "code": "AccessDenied", "message": "no"},
    ]));
    let ran = prod.run(&["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it is unknown whether version 0 of"), "{}", ran.err);
    prod.aws.rules(&json!([]));
    let ran = prod.run(&["sync", "--format", "json"]).fine();
    assert_eq!(prod.run(&["query", "select count(*) as n from customer_trusted", "--format", "csv"]).out, "n\n33\n");
    assert_eq!(ran.json()["exit_code"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_syncs_at_once_end_as_one_sync_would() {
    let Some(aws) = Aws::shared() else { return };
    let (lake, alone) = (shop("incremental").in_cloud(aws), shop("incremental"));
    for step in 0..2 {
        for lake in [&lake, &alone] {
            match step {
                0 => lake.land_first_orders(),
                _ => lake.land_more_orders(),
            }
        }
        let codes = at_once(&lake, 16).await;
        assert!(codes.iter().all(|code| [0, 4].contains(code)) && codes.contains(&0), "{codes:?}");
        alone.sync().await;
        // The rest of a loser's work.
        lake.sync().await;
        assert_eq!(lake.everything().await, alone.everything().await, "step {step}");
        lake.assert_recomputed().await;
    }
    lake.land("orders/late.json", orders(90..95));
    lake.sync().await;
    let mut versions = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for key in aws.keys(lake.bucket(), "warehouse/") {
        if let Some((table, name)) = key.split_once("/_delta_log/")
            && let Some(version) = name.strip_suffix(".json").and_then(|n| n.parse().ok())
        {
            versions.entry(table.to_owned()).or_default().push(version);
        }
    }
    assert!(versions.len() >= 5, "{versions:?}");
    for (table, found) in versions {
        let contiguous: Vec<u64> = (0..found.len() as u64).collect();
        assert_eq!(found, contiguous, "{table}");
    }
}

/// As in a folder: before its first file a root is as empty as a mistyped one, and waiting tables are the requested
/// result. No row is deleted because its file was, so an empty root costs nothing later either. Only a missing bucket
/// is refused.
#[test]
fn an_empty_landing_root_is_warned_of_and_a_bucket_that_is_not_there_is_refused() {
    let Some(prod) = Prod::empty() else { return };
    let root = format!("s3://{}", prod.bucket);
    let from = |landing: &str| {
        let warehouse = format!("{root}/warehouse");
        let project = ["--project", env!("CARGO_MANIFEST_DIR")];
        let roots = ["sync", "-t", "prod", "--landing", landing, "--warehouse", &warehouse];
        super::bare(&prod.aws.env(), &[&roots[..], &project[..]].concat())
    };
    for _ in 0..2 {
        let ran = from("s3://stedi-delta-no-such-bucket/landing/");
        assert_eq!(ran.code, 1, "{}", ran.out);
        let text = "`s3://stedi-delta-no-such-bucket/landing` is in a bucket that does not exist";
        assert!(ran.err.contains(text) && ran.err.contains("NoSuchBucket"), "{}", ran.err);
        assert_eq!(prod.aws.keys(&prod.bucket, ""), Vec::<String>::new());
    }
    let ran = prod.run(&["sync"]).fine();
    let told = format!("{}{}", ran.out, ran.err);
    assert_eq!(told.matches(&format!("there is nothing under the landing root `{root}/landing`")).count(), 1, "{told}");
    assert!(told.contains("pattern of accelerometer_landing: `accelerometer/landing/"), "{told}");
    assert!(!prod.aws.keys(&prod.bucket, "warehouse/landing/customer_landing/_delta_log/").is_empty());
    // Landed and deleted since: the rows stay.
    let key = "landing/customer/landing/a.json";
    let record = "{\"email\": \"a@example.com\", \"serialNumber\": \"6af3ffb2-4503-4fdc-8404-97183f65b989\"}";
    prod.aws.put(&prod.bucket, key, record);
    prod.run(&["sync"]).fine();
    prod.aws.delete(&prod.bucket, key);
    prod.run(&["sync"]).fine();
    let count = prod.run(&["query", "select count(*) as n from customer_landing", "--format", "csv"]).fine();
    assert_eq!(count.out, "n\n1\n");
    // A lake whose bucket was deleted reports it, too.
    assert_eq!(from("s3://stedi-delta-no-such-bucket/landing/").code, 1);
    let same = super::bare(
        &prod.aws.env(),
        &["sync", "-t", "prod", "--landing", &root, "--warehouse", &root, "--project", env!("CARGO_MANIFEST_DIR")],
    );
    assert_eq!(same.code, 64, "{}", same.err);
}

#[test]
fn what_glue_was_asked_is_told() {
    let Some(prod) = Prod::sample() else { return };
    let ran = prod.run(&["sync", "-v", "--log-format", "json"]).fine();
    let told = |line: &&str| line.contains("\"store\":\"glue\"") && line.contains("\"operation\":\"CreateTable\"");
    let lines: Vec<&str> = ran.err.lines().filter(told).collect();
    assert!(lines.iter().any(|l| l.contains("\"path\":\"stedi.customer_trusted\"")), "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("\"status\":\"ok\"")), "{lines:?}");
}

#[test]
fn a_key_that_no_path_can_name_stops_nothing_but_its_object() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    for key in ["customer/landing//odd.json", "customer/landing/new.json", "customer/landing/zzz.json"] {
        prod.aws.put(&prod.bucket, &format!("landing/{key}"), "{\"email\": \"new@example.com\"}");
    }
    let ran = prod.run(&["sync", "--format", "json"]);
    let document = ran.json();
    let tables = document["tables"].as_array().unwrap();
    let customer = tables.iter().find(|t| t["table"] == "customer_landing").unwrap();
    assert_eq!((ran.code, &customer["rows_inserted"]), (1, &2.into()), "{}", ran.err);
    assert!(customer["left_out"][0].to_string().contains("customer/landing//odd.json"), "{customer}");
}
