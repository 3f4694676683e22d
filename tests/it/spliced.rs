//! A change of a large data file: the row groups that it does not touch are copied, and the table is what its query gives.

use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use stedi_delta::outcome::Mode;

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, of};

const READINGS: &str = "description = \"Readings\"\n[source]\npath = \"r/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nwho = { type = \"string\", classification = \"pii\" }\n\
     v = \"double\"\nday = \"date\"\ntags = \"array<string>\"\n\
     place = \"struct<x:double,y:string>\"\n";
const PEOPLE: i64 = 500;
const USUAL: usize = 32_768;

fn lake() -> Lake {
    Lake::project(&[
        ("tables/landing/readings.toml", READINGS),
        ("tables/trusted/kept.toml", "description = \"Kept\"\nrefresh = \"incremental\"\ncluster_by = [\"who\"]\n"),
        (
            "tables/trusted/kept.sql",
            "select r.id, r.who, r.v, r.day, r.tags, r.place from readings r where r.v > 0 or r.v is null",
        ),
    ])
}

fn reading(id: i64, who: i64) -> String {
    let v = if id % 11 == 0 { "null".to_owned() } else { format!("{}.5", id % 97) };
    let day = 1 + id % 28;
    let (tag, place) = (id % 7, id % 13);
    format!(
        "{{\"id\": {id}, \"who\": \"person {:04}\", \"v\": {v}, \"day\": \"2026-11-{day:02}\", \"tags\": [\"t{tag}\", null], \
         \"place\": {{\"x\": {place}.25, \"y\": \"y{place}\"}}}}\n",
        who % PEOPLE
    )
}

fn readings(ids: std::ops::Range<i64>, who: impl Fn(i64) -> i64) -> String {
    ids.map(|id| reading(id, who(id))).collect()
}

/// The rows of each row group of the table's only data file.
async fn groups(lake: &Lake) -> Vec<usize> {
    let files = lake.table("trusted/kept").await.files();
    let largest = files.iter().max_by_key(|file| file.size).unwrap();
    let path = lake.warehouse().join("trusted/kept").join(&largest.path);
    let file = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    file.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_that_a_change_does_not_touch_are_copied() {
    let lake = lake();
    lake.land("r/a.json", readings(0..100_000, |id| id));
    // Of two people who are together in the file, and of one elsewhere.
    lake.land("r/b.json", readings(100_000..100_200, |id| id % 2));
    lake.land("r/c.json", readings(100_200..100_210, |_| 400));
    lake.sync().await;
    assert_eq!(groups(&lake).await, [USUAL, USUAL, USUAL, 100_210 - 3 * USUAL]);
    for (step, (file, text)) in [
        ("r/b.json", readings(100_000..100_100, |id| id % 2)),
        ("r/c.json", readings(100_200..100_210, |id| 400 + id % 2)),
        ("r/b.json", String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        lake.land(file, text);
        let outcome = lake.sync().await;
        let kept = of(&outcome, "kept");
        assert_eq!(kept.mode, Mode::Incremental, "{}", kept.reason);
        let found = groups(&lake).await;
        assert!(found.len() == 4 && found[0] < USUAL && found[1] == USUAL, "step {step}: {found:?}");
        assert_eq!(found[2] < USUAL || found[3] < 100_210 - 3 * USUAL, step > 0, "step {step}: {found:?}");
        lake.assert_recomputed().await;
    }
    assert_duckdb_reads_the_same(&lake).await;
    // Bloom filters and bounds of copied groups still find their rows.
    assert_eq!(lake.count("select count(*) from kept where who = 'person 0250'").await, 200);
}
