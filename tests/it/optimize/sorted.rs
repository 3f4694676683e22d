//! Tables with `cluster_by`: merged files are sorted and do not overlap.

use std::collections::BTreeSet;

use serde_json::Value;
use stedi_delta::optimize::Options;

use super::{optimized, table};
use crate::support::Lake;
use crate::support::shop::derived;

const READINGS: &str = "description = \"Readings\"\n[source]\npath = \"readings/*.json\"\nformat = \"json\"\n[columns]\n\
     person = \"long\"\ntext = \"string\"\n";

/// Readings of people, all of them in every file.
fn readings(file: u64, rows: u64) -> String {
    let row = |at: u64| {
        let mixed = (at * 1000 + file).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{{\"person\":{},\"text\":\"{mixed:032x}{file:08x}\"}}\n", mixed % 1000)
    };
    (0..rows).map(row).collect()
}

fn lake() -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/readings.toml", READINGS),
        ("tables/trusted/by_person.toml", &format!("{}cluster_by = [\"person\"]\n", derived("incremental"))),
        ("tables/trusted/by_person.sql", "select person, text from readings"),
    ]);
    lake.define(
        "stedi-delta.toml",
        "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\n\
         [defaults]\nauto_optimize = false\ntarget_file_size = 100000\nmemory_limit = \"64 MB\"\n\
         [targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n",
    );
    lake
}

/// The range of people in each file of the table, sorted.
async fn ranges(lake: &Lake) -> Vec<(i64, i64)> {
    let files = lake.table("trusted/by_person").await.files();
    let range = |stats: &str| {
        let stats: Value = serde_json::from_str(stats).unwrap();
        (stats["minValues"]["person"].as_i64().unwrap(), stats["maxValues"]["person"].as_i64().unwrap())
    };
    let mut ranges: Vec<_> = files.iter().map(|file| range(file.stats.as_deref().unwrap())).collect();
    ranges.sort_unstable();
    ranges
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_files_are_merged_and_small_ones_sorted() {
    let lake = lake();
    for file in 0..8 {
        lake.land(&format!("readings/{file}.json"), readings(file, 4_000));
        lake.sync().await;
    }
    let before = lake.rows("select * from by_person").await;
    assert!(ranges(&lake).await.iter().all(|(least, greatest)| *least < 10 && *greatest > 990));
    let outcome = optimized(&lake, &Options::default()).await;
    let done = table(&outcome, "by_person");
    assert_eq!((done.commits, done.rows), (1, 32_000), "{done:?}");
    let ranges = ranges(&lake).await;
    assert!(ranges.len() > 1, "{ranges:?}");
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
    assert_eq!(lake.rows("select * from by_person").await, before);
    let again = optimized(&lake, &Options::default()).await;
    assert_eq!(table(&again, "by_person").commits, 0);
    let full = optimized(&lake, &Options { full: true, ..Options::default() }).await;
    assert_eq!(table(&full, "by_person").commits, 0, "all of them are sorted and full");
    // Pruned as before.
    lake.land("readings/last.json", readings(9, 10));
    lake.sync().await;
    lake.assert_recomputed().await;
    let paths: BTreeSet<String> = lake.table("trusted/by_person").await.files().into_iter().map(|f| f.path).collect();
    assert_eq!(paths.len(), ranges.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_sorts_what_was_never_sorted() {
    let lake = lake();
    lake.land("readings/a.json", readings(1, 500));
    lake.define("tables/landing/readings.toml", &READINGS.replace("[source]", "cluster_by = [\"person\"]\n[source]"));
    lake.sync().await;
    let none = optimized(&lake, &Options::default()).await;
    assert_eq!(table(&none, "readings").commits, 0, "one small file");
    let full = Options { full: true, tables: vec!["readings".into()], ..Options::default() };
    assert_eq!(table(&optimized(&lake, &full).await, "readings").commits, 1);
    assert_eq!(table(&optimized(&lake, &full).await, "readings").commits, 0);
    lake.sync().await;
    lake.assert_recomputed().await;
}
