//! Personal data is in data files and nowhere else: not in logs, checkpoints or the ledger. Rows are still found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::Value;
use stedi_delta::inspect;
use url::Url;

use crate::support::shop::derived;
use crate::support::traces::decoded;
use crate::support::{Lake, of};

const PEOPLE: &str = "description = \"People\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nserial = { type = \"long\", classification = \"pii\" }\n\
     email = { type = \"string\", classification = \"pii\" }\n\
     born = { type = \"date\", classification = \"pii\" }\n\
     home = { type = \"struct<street:string,number:long>\", classification = \"pii\" }\n\
     balance = { type = \"decimal(18,2)\", classification = \"pii\" }\nkind = \"string\"\nweight = \"long\"\n";

/// A person by number, with unique values that are not part of a path or a time.
fn person(n: u64) -> (u64, String) {
    let serial = 7_310_000_000_000_000 + n.wrapping_mul(2_654_435_761) % 1_000_000_007 * 1_000_003;
    let record = format!(
        "{{\"serial\":{serial},\"email\":\"Someone.{serial}@example.org\",\"born\":\"{}-07-{:02}\",\
         \"home\":{{\"street\":\"Elm {serial}\",\"number\":{serial}}},\"balance\":{}.77,\"kind\":\"k\",\"weight\":{}}}\n",
        1601 + n % 80,
        1 + n % 28,
        serial / 7,
        n % 3,
    );
    (serial, record)
}

fn secrets(n: u64) -> Vec<String> {
    let (serial, _) = person(n);
    let (born, balance) = (format!("{}-07-{:02}", 1601 + n % 80, 1 + n % 28), format!("{}.77", serial / 7));
    vec![serial.to_string(), format!("someone.{serial}"), born, balance]
}

fn lake(classified: bool) -> Lake {
    let people = if classified { PEOPLE.to_owned() } else { PEOPLE.replace(", classification = \"pii\"", "") };
    Lake::project(&[
        ("tables/landing/people.toml", &people),
        ("tables/trusted/members.toml", &format!("{}primary_key = [\"serial\"]\n", derived("incremental"))),
        ("tables/trusted/members.sql", "select serial, email, born, home, balance, kind, weight from people"),
        ("tables/curated/told.toml", &derived("incremental")),
        (
            "tables/curated/told.sql",
            "select lower(email) as who, serial + 0 as number, max(balance) as most, min(born) as first, count(*) as n \
             from members group by lower(email), serial",
        ),
        ("tables/curated/totals.toml", &derived("auto")),
        ("tables/curated/totals.sql", "select weight, max(email) as last from members group by rollup (weight)"),
    ])
}

/// Files of the warehouse that hold one of the secrets, except data files, change data and quarantine.
fn leaks(lake: &Lake, secrets: &[String]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = lake.files().into_iter().map(|(path, _)| path).collect();
    let text_of = |path: &PathBuf| {
        let (is_log, is_system) = (
            path.components().any(|c| c.as_os_str() == "_delta_log"),
            path.components().any(|c| c.as_os_str() == "system"),
        );
        let is_parquet = path.extension().is_some_and(|e| e == "parquet");
        match (is_parquet, is_log || is_system) {
            (true, true) => Some(decoded(path)),
            (true, false) => None,
            (false, _) => Some(String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()),
        }
    };
    let holds = |path: &PathBuf| {
        text_of(path).is_some_and(|text| secrets.iter().any(|s| text.to_lowercase().contains(s.as_str())))
    };
    files.retain(holds);
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn only_data_files_hold_personal_data_also_after_a_withdrawal_and_a_checkpoint() {
    let lake = lake(true);
    let all: Vec<String> = (0..22).flat_map(secrets).collect();
    for n in 0..22 {
        lake.land(&format!("people/{n}.json"), person(n).1 + "{\"serial\":\n");
        lake.sync().await;
    }
    let log = lake.warehouse().join("landing/people/_delta_log");
    assert!(log.join("_last_checkpoint").is_file());
    for n in [3, 21] {
        lake.land(&format!("people/{n}.json"), "");
        lake.sync().await;
    }
    assert_eq!(leaks(&lake, &all), Vec::<PathBuf>::new());
    assert_eq!(lake.rows("select n from told").await.len(), 20);
    lake.assert_recomputed().await;
    // The properties inform other writers.
    for (path, expected) in [
        ("landing/people", "kind,source_file,source_offset,weight"),
        ("trusted/members", "kind,weight"),
        ("curated/told", "n"),
        ("curated/totals", "weight"),
        ("landing/people_quarantine", "length,reason,source_file,source_offset"),
    ] {
        let table = opened(&lake.warehouse().join(path)).await;
        let configuration = table.snapshot().unwrap().metadata().configuration().clone();
        assert_eq!(configuration["delta.dataSkippingStatsColumns"], expected, "{path}");
    }
    let serial = person(5).0;
    assert_eq!(lake.rows(&format!("select weight from members where serial = {serial}")).await, ["2"]);
    let status = inspect::status(&lake.workspace().await).await.unwrap();
    assert!(status.tables.iter().all(|table| table.personal_log_entries == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_described_columns_follows_new_columns() {
    let lake = lake(true);
    lake.land("people/a.json", person(1).1);
    lake.sync().await;
    lake.define(
        "tables/landing/people.toml",
        &format!("{PEOPLE}height = \"long\"\nphone = {{ type = \"string\", classification = \"pii\" }}\n"),
    );
    let more =
        person(2).1.trim_end().trim_end_matches('}').to_owned() + ",\"height\":180,\"phone\":\"someone.phone\"}\n";
    lake.land("people/b.json", more);
    lake.sync().await;
    let layout = lake.table("landing/people").await.layout();
    assert!(!layout.is_found_by_files("height") && layout.is_found_by_files("phone"));
    assert_eq!(leaks(&lake, &["someone.phone".into()]), Vec::<PathBuf>::new());
    let log = fs::read_dir(lake.warehouse().join("landing/people/_delta_log")).unwrap();
    let text: String = log.map(|e| fs::read_to_string(e.unwrap().path()).unwrap_or_default()).collect();
    assert!(
        text.contains("height,kind,source_file,source_offset,weight") && text.contains("\\\"height\\\":180"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_told_of_people_does_so_no_more_after_the_next_sync() {
    let lake = lake(false);
    let all: Vec<String> = (0..3).flat_map(secrets).collect();
    for n in 0..3 {
        lake.land(&format!("people/{n}.json"), person(n).1);
        lake.sync().await;
    }
    let before = lake.contents().await;
    assert!(!leaks(&lake, &all).is_empty());
    // Now the column is classified as personal data; a commit of another writer has its statistics as well.
    lake.define("tables/landing/people.toml", PEOPLE);
    let outcome = lake.sync().await;
    let done = of(&outcome, "people");
    assert_eq!(
        (done.version_before, done.version_after, &*done.reason),
        (Some(2), Some(3), "statistics of 3 files mended")
    );
    for path in ["landing/people", "trusted/members", "curated/told"] {
        let table = lake.table(path).await;
        for file in table.files() {
            let stats: Value = serde_json::from_str(&file.stats.unwrap()).unwrap();
            assert!(stats["numRecords"].as_u64().is_some(), "{path}");
            for hidden in ["serial", "email", "born", "home", "balance", "who", "number", "most", "first"] {
                assert!(
                    stats["minValues"][hidden].is_null() && stats["nullCount"][hidden].is_null(),
                    "{path}: {stats}"
                );
            }
        }
        let log = lake.warehouse().join(path).join("_delta_log");
        let checkpoint = log.join(format!("{:020}.checkpoint.parquet", table.version()));
        let text = decoded(&checkpoint);
        assert!(all.iter().all(|secret| !text.contains(secret.as_str())), "{path}");
    }
    assert_eq!(lake.contents().await, before);
    lake.assert_recomputed().await;
    let idle = lake.sync().await;
    assert!(idle.tables.iter().all(|t| t.version_before == t.version_after));
    let entries = async || {
        inspect::status(&lake.workspace().await)
            .await
            .unwrap()
            .tables
            .iter()
            .map(|t| t.personal_log_entries)
            .collect::<Vec<_>>()
    };
    assert_eq!(entries().await, [3, 3, 3, 4]);
    // The steps of docs/state.md remove them.
    for path in ["landing/people", "trusted/members", "curated/told", "curated/totals"] {
        keep_no_log(&lake.warehouse().join(path)).await;
    }
    lake.sync().await;
    for path in ["landing/people", "trusted/members", "curated/told", "curated/totals"] {
        clean_up(&lake.warehouse().join(path)).await;
    }
    assert_eq!(entries().await, [0, 0, 0, 0]);
    assert_eq!(lake.contents().await, before);
    lake.land("people/9.json", person(9).1);
    lake.sync().await;
    assert_eq!(lake.rows("select n from told").await.len(), 4);
    lake.assert_recomputed().await;
    let everybody: Vec<String> = (0..10).flat_map(secrets).collect();
    let left: BTreeSet<_> =
        leaks(&lake, &everybody).into_iter().map(|path| path.parent().unwrap().to_owned()).collect();
    assert!(left.iter().all(|folder| folder.ends_with("system/files")), "{left:?}");
}

async fn opened(folder: &Path) -> DeltaTable {
    let url = Url::from_directory_path(folder).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

async fn keep_no_log(folder: &Path) {
    let retention = [("delta.logRetentionDuration".to_owned(), "interval 0 days".to_owned())].into_iter().collect();
    opened(folder).await.set_tbl_properties().with_properties(retention).await.unwrap();
}

/// Log cleanup as by delta-rs.
async fn clean_up(folder: &Path) {
    let table = opened(folder).await;
    deltalake::checkpoints::create_checkpoint(&table, None).await.unwrap();
    deltalake::checkpoints::cleanup_metadata(&table, None).await.unwrap();
}

/// How many candidate files a withdrawal opens: the log has no statistics, the ends of files suffice.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_taken_out_of_the_one_file_that_holds_it() {
    let lake = lake(true);
    for n in 0..8 {
        let people: String = (n * 50..n * 50 + 50).map(|n| person(n).1).collect();
        lake.land(&format!("people/{n}.json"), people);
        lake.sync().await;
    }
    let people: String = (200..249).map(|n| person(n).1).collect();
    lake.land("people/4.json", people);
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "members").rows.deleted, 1);
    assert_eq!(of(&outcome, "members").io.files_removed, 1);
    assert_eq!(lake.rows("select n from told").await.len(), 399);
    let members = lake.table("trusted/members").await;
    assert!(members.files().iter().all(|file| file.tail.is_some()), "a rewritten file has bloom filters as well");
    lake.assert_recomputed().await;
}
