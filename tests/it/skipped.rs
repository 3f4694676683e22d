//! Parts of our data files that readers can skip: row groups by bloom filters, pages by page indexes.
//!
//! To show that a reader skips a part, the test destroys it: the result must still be right.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use deltalake::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use serde::Deserialize;
use serde_json::{Value, json};
use stedi_delta::inspect;

use crate::support::Lake;
use crate::support::second::{DELTA, answered};
use crate::support::shop::derived;
use crate::support::traces::decoded;

const PEOPLE: &str = "description = \"People\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\n[columns]\n\
     code = \"string\"\nserial = { type = \"long\", classification = \"pii\" }\n\
     email = { type = \"string\", classification = \"pii\" }\n\
     number = { type = \"integer\", classification = \"pii\" }\n\
     born = { type = \"date\", classification = \"pii\" }\n\
     moment = { type = \"timestamp\", classification = \"pii\" }\n";
/// Columns of personal data.
const PERSONAL: [&str; 5] = ["serial", "email", "number", "born", "moment"];
/// Columns for which DuckDB uses our filters; it does not for days and times.
const ASKED_BY_DUCKDB: [&str; 4] = ["serial", "email", "number", "code"];
/// More than the engine opens at once: their ends are read first.
const FILES: u64 = 10;
const ROWS: u64 = 24;

/// A person whose values lie between those of others.
fn person(n: u64) -> String {
    let mixed = n.wrapping_mul(2_654_435_761) % 1_000_000_007;
    format!(
        "{{\"code\":\"c-{mixed}\",\"serial\":{},\"email\":\"{mixed}@example.org\",\"number\":{mixed},\
         \"born\":\"{}-{:02}-{:02}\",\"moment\":\"2026-01-01T{:02}:{:02}:{:02}.{:03}Z\"}}\n",
        mixed * 1_000_003,
        1900 + mixed % 100,
        1 + mixed / 100 % 12,
        1 + mixed / 1200 % 28,
        mixed % 24,
        mixed / 24 % 60,
        mixed / 1440 % 60,
        mixed % 1000,
    )
}

/// Tables of several files, each of one row group.
async fn lake() -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/people.toml", PEOPLE),
        ("tables/trusted/members.toml", &format!("{}primary_key = [\"code\"]\n", derived("incremental"))),
        ("tables/trusted/members.sql", "select code, serial, email, number, born, moment from people"),
    ]);
    for file in 0..FILES {
        let people: String = (file * ROWS..(file + 1) * ROWS).map(person).collect();
        lake.land(&format!("people/{file}.json"), people);
        lake.sync().await;
    }
    lake
}

fn footer(file: &Path) -> ParquetMetaData {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.try_parse(&fs::File::open(file).unwrap()).unwrap();
    reader.finish().unwrap()
}

/// Makes the values of a file unreadable; its end stays intact.
fn destroy(file: &Path) {
    for group in footer(file).row_groups() {
        for chunk in group.columns() {
            let (start, length) = chunk.byte_range();
            overwrite(file, start, length);
        }
    }
}

/// Makes all pages of a file of one row group unreadable except those with this row.
fn destroy_around(file: &Path, row: i64) -> usize {
    let footer = footer(file);
    let mut destroyed = 0;
    for column in &footer.offset_index().unwrap()[0] {
        let pages = column.page_locations();
        for (at, page) in pages.iter().enumerate() {
            let end = pages.get(at + 1).map_or(i64::MAX, |next| next.first_row_index);
            if !(page.first_row_index..end).contains(&row) {
                let length = u64::try_from(page.compressed_page_size).unwrap();
                overwrite(file, u64::try_from(page.offset).unwrap(), length);
                destroyed += 1;
            }
        }
    }
    destroyed
}

fn overwrite(file: &Path, start: u64, length: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&vec![0xff; usize::try_from(length).unwrap()], start).unwrap();
}

#[derive(Deserialize)]
struct Answer {
    /// Wrongly skipped, rightly skipped, files without the value.
    probed: BTreeMap<String, (u64, u64, u64)>,
    /// Rows, or the reason why there are none.
    found: BTreeMap<String, Value>,
}

/// Conditions by which one person is found, by column; timestamps have another name in each engine.
fn conditions(n: u64, timestamp: &str) -> BTreeMap<String, String> {
    let record: BTreeMap<String, Value> = serde_json::from_str(&person(n)).unwrap();
    let literal = |column: &str, value: &Value| match (column, value) {
        ("born", Value::String(day)) => format!("date '{day}'"),
        ("moment", Value::String(moment)) => format!("cast('{moment}' as {timestamp})"),
        (_, Value::String(text)) => format!("'{text}'"),
        (_, value) => value.to_string(),
    };
    record.into_iter().map(|(name, value)| (name.clone(), format!("{name} = {}", literal(&name, &value)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_left_out_by_our_bloom_filters_and_every_row_is_found() {
    const WHO: u64 = 7;
    let lake = lake().await;
    for (path, name, keys) in [("landing/people", "people", &[][..]), ("trusted/members", "members", &["code"])] {
        let folder = lake.warehouse().join(path);
        let files: Vec<_> = lake.table(path).await.files().into_iter().map(|file| folder.join(file.path)).collect();
        assert_eq!(files.len() as u64, FILES);
        let columns: Vec<&str> = PERSONAL.iter().chain(keys).copied().collect();
        let mut theirs = conditions(WHO, "timestamptz");
        theirs.insert("all".to_owned(), "length(code) > 0".to_owned());
        let script = format!("{DELTA}{}", include_str!("skipped/duckdb.py"));
        let ask = |columns: &[&str]| {
            let asked = json!({"table": folder, "files": files, "columns": columns, "conditions": theirs});
            answered::<Answer>(&script, &asked).unwrap()
        };
        let whole = ask(&columns);
        if let Some(answer) = &whole {
            for column in &columns {
                let (wrongly, rightly, others) = answer.probed[*column];
                assert_eq!(wrongly, 0, "{name}.{column}");
                assert!(others > 100 && rightly * 100 >= others * 95, "{name}.{column}: {rightly} of {others}");
                assert_eq!(answer.found[*column], 1, "{name}.{column}");
            }
            assert_eq!(answer.found["all"], FILES * ROWS);
        }
        // Now only the file that holds the person can be read.
        let code = conditions(WHO, "")["code"].split('\'').nth(1).unwrap().to_owned();
        let others: Vec<_> = files.iter().filter(|file| !decoded(file).contains(&format!("\"{code}\""))).collect();
        assert_eq!(others.len() as u64, FILES - 1);
        others.into_iter().for_each(|file| destroy(file));
        for column in &columns {
            let condition = &conditions(WHO, "timestamp")[*column];
            let rows = lake.rows(&format!("select code from {name} where {condition}")).await;
            assert_eq!(rows, [code.as_str()], "{name}.{column}: our own engine");
        }
        assert!(inspect::query(&lake.workspace().await, &format!("select code from {name}")).await.is_err());
        if whole.is_some() {
            let answer = ask(&[]).unwrap();
            for column in columns.iter().filter(|column| ASKED_BY_DUCKDB.contains(column)) {
                assert_eq!(answer.found[*column], 1, "{name}.{column}: DuckDB");
            }
            assert!(answer.found["all"].is_string(), "{:?}", answer.found["all"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_left_out_by_page_indexes() {
    let numbers = "description = \"Numbers\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n[columns]\n\
                   n = \"long\"\ns = \"string\"\n";
    let lake = Lake::project(&[("tables/landing/numbers.toml", numbers)]);
    let records: String = (0..60_000).map(|n| format!("{{\"n\":{n},\"s\":\"{}\"}}\n", n * 7)).collect();
    lake.land("n/a.json", records);
    lake.sync().await;
    let files = lake.table("landing/numbers").await.files();
    assert_eq!(files.len(), 1);
    let file = lake.warehouse().join("landing/numbers").join(&files[0].path);
    assert!(destroy_around(&file, 45_000) >= 8, "at least two of three pages of each column");
    assert_eq!(lake.rows("select s from numbers where n = 45000").await, ["315000"]);
    let other = inspect::query(&lake.workspace().await, "select s from numbers where n = 5000").await;
    assert!(other.is_err(), "a page that is asked for is read");
}
