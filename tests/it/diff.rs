//! Differences of versions, against a count of all rows of both.

mod brute;
mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use brute::{Side, lines, side};
use deltalake::protocol::SaveMode;
use serde_json::Value;
use stedi_delta::audit::{self, DiffOptions};
use stedi_delta::outcome::DiffRows;
use stedi_delta::travel::Point;

use crate::support::slow::Reads;
use crate::support::{Lake, foreign_delete};

/// A project of one table, which another writer writes: `things`, with a key or without.
fn things(key: &str) -> Lake {
    let about = format!("description = \"Things\"\n{key}");
    let source = "description = \"S\"\n[source]\npath = \"s/*.json\"\nformat = \"json\"\n[columns]\nk = \"long\"\n\
                  v = \"string\"\nx = \"double\"\n";
    Lake::project(&[
        ("tables/landing/s.toml", source),
        ("tables/curated/things.toml", &about),
        ("tables/curated/things.sql", "select k, v, x from s where k is not null"),
    ])
}

const KEY: &str = "primary_key = [\"k\"]\n";

/// Repeatable numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Rows of a small domain with NULL, so that there are duplicates; `wide` = more keys.
    fn rows(&mut self, wide: bool) -> Vec<brute::Row> {
        let count = 1 + self.below(6);
        let of = |random: &mut Self, end: u64| Some(random.below(end)).filter(|n| *n > 0);
        let keys = if wide { 40 } else { 4 };
        (0..count)
            .map(|_| {
                let k = of(self, keys).map(|n| n as i64);
                let v = of(self, 3).map(|n| format!("v{n}"));
                let x = of(self, 4).map(|n| [0.0, -0.0, f64::NAN][n as usize % 3]);
                (k, v, x)
            })
            .collect()
    }
}

fn options(from: u64, to: u64) -> DiffOptions {
    DiffOptions {
        table: "things".into(),
        from: Point::Version(from),
        to: Some(Point::Version(to)),
        columns: Vec::new(),
        condition: None,
        counts_only: false,
    }
}

/// The lines of a difference and its counts, which must equal those without lines.
async fn diff(lake: &Lake, options: &DiffOptions) -> (Vec<String>, DiffRows) {
    let workspace = lake.workspace().await;
    let mut diff = audit::diff(&workspace, options).await.unwrap_or_else(|e| panic!("{e} {:?}", e.causes()));
    let schema = diff.schema();
    let mut found = Vec::new();
    while let Some(batch) = diff.next().await.unwrap() {
        assert_eq!(batch.schema(), schema);
        found.extend(lines(&batch));
    }
    let counted = DiffOptions { counts_only: true, ..options.clone() };
    let counted = audit::diff(&workspace, &counted).await.unwrap().count().await.unwrap();
    assert_eq!(diff.outcome.rows, counted.rows, "{options:?}");
    (found, counted.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn random_pairs_of_versions_of_random_tables_equal_a_count_of_all_rows() {
    const KEY_LAST: [usize; 3] = [1, 2, 0];
    for (seed, key, wide, order) in [
        (1, "", false, [0, 1, 2]),
        (2, KEY, true, [0, 1, 2]),
        (3, KEY, false, [0, 1, 2]),
        (4, "", true, [0, 1, 2]),
        (5, KEY, true, [1, 0, 2]),
        (6, KEY, false, KEY_LAST),
        (7, KEY, true, KEY_LAST),
    ] {
        let lake = things(key);
        let mut random = Random(seed * 0x9E37_79B9_7F4A_7C15);
        let folder = lake.warehouse().join("curated/things");
        fs::create_dir_all(&folder).unwrap();
        brute::write_in(&folder, &random.rows(wide), SaveMode::Append, order).await;
        for _ in 0..10 {
            match random.below(6) {
                0 => brute::write_in(&folder, &random.rows(wide), SaveMode::Overwrite, order).await,
                1 => foreign_delete(&lake, "curated/things", "v = 'v1'").await,
                2 => foreign_delete(&lake, "curated/things", "k is null or k > 2").await,
                3 => brute::optimize(&folder).await,
                _ => brute::write_in(&folder, &random.rows(wide), SaveMode::Append, order).await,
            }
        }
        let newest = lake.table("curated/things").await.version();
        let mut sides: BTreeMap<u64, Side> = BTreeMap::new();
        for version in 0..=newest {
            sides.insert(version, side(&lake, &format!("select k, v, x from \"things@v{version}\"")).await);
        }
        for _ in 0..12 {
            let (from, to) = (random.below(newest + 1), random.below(newest + 1));
            let (found, counts) = diff(&lake, &options(from, to)).await;
            let expected = brute::difference(&sides[&from], &sides[&to], !key.is_empty());
            let mut sorted = found.clone();
            sorted.sort();
            assert_eq!(sorted, expected, "seed {seed}, v{from} -> v{to}");
            let of = |op: &str| found.iter().filter(|line| line.starts_with(op)).count() as u64;
            let rows = DiffRows { inserted: of("insert"), updated: of("update"), deleted: of("delete") };
            assert_eq!(counts, rows);
            assert_eq!(found, diff(&lake, &options(from, to)).await.0, "the order is the same each time");
            assert!(from != to || found.is_empty());
            let back = diff(&lake, &options(to, from)).await.1;
            assert_eq!((back.inserted, back.updated, back.deleted), (rows.deleted, rows.updated, rows.inserted));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_in_the_order_of_the_key_or_of_all_columns() {
    for key in [KEY, ""] {
        let lake = things(key);
        let folder = lake.warehouse().join("curated/things");
        fs::create_dir_all(&folder).unwrap();
        let row = |k: i64, v: &str| (Some(k), Some(v.to_owned()), None);
        brute::write(&folder, &[row(3, "c"), row(1, "a"), row(2, "b")], SaveMode::Append).await;
        brute::write(&folder, &[row(1, "z"), row(4, "d"), row(3, "c")], SaveMode::Overwrite).await;
        let (found, _) = diff(&lake, &options(0, 1)).await;
        let expected = if key.is_empty() {
            ["delete 1|a|NULL", "insert 1|z|NULL", "delete 2|b|NULL", "insert 4|d|NULL"]
        } else {
            ["update 1|a|NULL -> 1|z|NULL", "delete 2|b|NULL", "insert 4|d|NULL", ""]
        };
        assert_eq!(found, expected.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_paired_by_a_key_that_is_not_the_first_column() {
    let lake = things(KEY);
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    let row = |k: i64, v: &str| (Some(k), Some(v.to_owned()), None);
    let order = [1, 0, 2];
    brute::write_in(&folder, &[row(1, "a"), row(2, "b"), row(3, "c")], SaveMode::Append, order).await;
    // By `v`, rows of one key would be apart.
    brute::write_in(&folder, &[row(1, "z"), row(2, "b"), row(3, "a")], SaveMode::Overwrite, order).await;
    let (found, counts) = diff(&lake, &options(0, 1)).await;
    assert_eq!(found, ["update 1|a|NULL -> 1|z|NULL", "update 3|c|NULL -> 3|a|NULL"]);
    assert_eq!(counts, DiffRows { inserted: 0, updated: 2, deleted: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_a_condition_restrict_what_is_compared() {
    let lake = things(KEY);
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    let row = |k: i64, v: &str, x: f64| (Some(k), Some(v.to_owned()), Some(x));
    brute::write(&folder, &[row(1, "a", 1.0), row(2, "b", 1.0), row(3, "c", 1.0)], SaveMode::Append).await;
    brute::write(&folder, &[row(1, "a", 2.0), row(2, "z", 1.0), row(4, "d", 1.0)], SaveMode::Overwrite).await;
    let with = |columns: &[&str], condition: Option<&str>| DiffOptions {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        condition: condition.map(str::to_owned),
        ..options(0, 1)
    };
    assert_eq!(diff(&lake, &with(&["v"], None)).await.0, ["update 2|b -> 2|z", "delete 3|c", "insert 4|d"]);
    assert_eq!(
        diff(&lake, &with(&["x", "k"], None)).await.0,
        ["update 1|1.0 -> 1|2.0", "delete 3|1.0", "insert 4|1.0"]
    );
    assert_eq!(
        diff(&lake, &with(&[], Some("k < 3 and x < 2"))).await.0,
        ["delete 1|a|1.0", "update 2|b|1.0 -> 2|z|1.0"]
    );
    assert_eq!(
        diff(&lake, &with(&["v"], Some("x = 1"))).await.0,
        ["delete 1|a", "update 2|b -> 2|z", "delete 3|c", "insert 4|d"]
    );
    let workspace = lake.workspace().await;
    for (wrong, message) in [
        (with(&["w"], None), "things has no column `w` in these versions"),
        (with(&[], Some("w = 1")), "the query cannot be run"),
        (DiffOptions { from: Point::Version(7), ..options(0, 1) }, "things has no version 7"),
        (DiffOptions { table: "things@v1".into(), ..options(0, 1) }, "`things@v1` is one version"),
    ] {
        let error = audit::diff(&workspace, &wrong).await.err().expect(message);
        assert_eq!(error.message(), message);
    }
    // Also where nothing is read.
    let same = DiffOptions { condition: Some("w = 1".into()), ..options(1, 1) };
    assert!(audit::diff(&workspace, &same).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_differ_are_read() {
    let lake = things(KEY);
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    for file in 0..40 {
        let rows: Vec<brute::Row> = (0..50).map(|k| (Some(file * 50 + k), Some(format!("v{k}")), Some(0.5))).collect();
        brute::write(&folder, &rows, SaveMode::Append).await;
    }
    let before = lake.table("curated/things").await;
    // Three files are rewritten without one of their rows, and one comes.
    foreign_delete(&lake, "curated/things", "k in (7, 777, 1777)").await;
    brute::write(&folder, &[(Some(5_000), None, None)], SaveMode::Append).await;
    let after = lake.table("curated/things").await;
    let paths = |table: &stedi_delta::internals::lake::LakeTable| -> BTreeMap<String, u64> {
        table.files().into_iter().map(|file| (file.path.clone(), file.size)).collect()
    };
    let (before, after) = (paths(&before), paths(&after));
    let only = |here: &BTreeMap<String, u64>, there: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        here.iter().filter(|(path, _)| !there.contains_key(*path)).map(|(path, size)| (path.clone(), *size)).collect()
    };
    let mut differing = only(&before, &after);
    assert_eq!((before.len(), differing.len()), (40, 3));
    differing.extend(only(&after, &before));
    let reads = Reads::after(Duration::ZERO);
    let workspace = lake.site_through(reads.storage()).await;
    let mut diff = audit::diff(&workspace, &options(39, 41)).await.unwrap();
    let mut found = Vec::new();
    while let Some(batch) = diff.next().await.unwrap() {
        found.extend(lines(&batch));
    }
    assert_eq!(found, ["delete 7|v7|0.5", "delete 777|v27|0.5", "delete 1777|v27|0.5", "insert 5000|NULL|NULL"]);
    let read: Vec<String> = reads.by_file().into_keys().collect();
    assert_eq!(read, differing.keys().cloned().collect::<Vec<_>>());
    let bytes: u64 = differing.values().sum();
    assert_eq!((diff.outcome.files.files, diff.outcome.files.bytes), (differing.len() as u64, bytes));
    // Footers are read apart from columns.
    assert!(reads.sum().1 <= 3 * bytes, "{} of {bytes}", reads.sum().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_only_rewrites_files_is_no_difference_and_is_not_sorted() {
    let lake = things("");
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    for file in 0..4 {
        let rows: Vec<brute::Row> =
            (0..30_000).map(|k| (Some(file * 30_000 + k), Some(format!("v{k}")), None)).collect();
        brute::write(&folder, &rows, SaveMode::Append).await;
    }
    brute::write(&folder, &[(Some(-1), None, None)], SaveMode::Append).await;
    brute::optimize(&folder).await;
    foreign_delete(&lake, "curated/things", "k = 5").await;
    let workspace = lake.workspace().await;
    let files = async |from, to| audit::diff(&workspace, &options(from, to)).await.unwrap().outcome.files.files;
    assert_eq!(files(4, 5).await, 0, "the optimize");
    assert_eq!(files(3, 5).await, 1, "and one new file");
    assert_eq!(diff(&lake, &options(3, 5)).await.0, ["insert -1|NULL|NULL"]);
    let (found, _) = diff(&lake, &options(4, 6)).await;
    assert_eq!(found, ["delete 5|v5|NULL"]);
    let (found, _) = diff(&lake, &options(6, 3)).await;
    assert_eq!(found, ["delete -1|NULL|NULL", "insert 5|v5|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_that_changed_rows_is_a_difference() {
    let lake = things("");
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    let rows: Vec<brute::Row> = (0..50_000).map(|k| (Some(k), Some(format!("v{k}")), None)).collect();
    brute::write(&folder, &rows, SaveMode::Append).await;
    let other: Vec<brute::Row> = rows.iter().map(|(k, v, x)| (k.map(|k| k.max(1)), v.clone(), *x)).collect();
    brute::write(&folder, &other, SaveMode::Overwrite).await;
    brute::pretend_optimize(&folder, 1);
    assert_eq!(diff(&lake, &options(0, 1)).await.0, ["delete 0|v0|NULL", "insert 1|v0|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_created_anew_is_another_one() {
    let lake = things("");
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    brute::write(&folder, &[(Some(1), None, None)], SaveMode::Append).await;
    brute::write(&folder, &[(Some(2), None, None)], SaveMode::Overwrite).await;
    // As CREATE OR REPLACE TABLE does.
    let log = folder.join("_delta_log");
    let first = fs::read_to_string(log.join(format!("{:020}.json", 0))).unwrap();
    let metadata = first.lines().find(|line| line.contains("\"metaData\"")).unwrap();
    let mut metadata: Value = serde_json::from_str(metadata).unwrap();
    metadata["metaData"]["id"] = "00000000-0000-0000-0000-000000000001".into();
    let second = log.join(format!("{:020}.json", 1));
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, format!("{metadata}\n{text}")).unwrap();
    brute::write(&folder, &[(Some(3), None, None)], SaveMode::Append).await;
    assert_eq!(diff(&lake, &options(1, 2)).await.0, ["insert 3|NULL|NULL"]);
    for (from, to) in [(0, 2), (2, 0), (1, 0)] {
        let error = audit::diff(&lake.workspace().await, &options(from, to)).await.err().unwrap();
        assert_eq!(error.message(), "v0 of things is a version of another table");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_files_are_gone_is_said_to_be_gone() {
    let lake = things("");
    let folder = lake.warehouse().join("curated/things");
    fs::create_dir_all(&folder).unwrap();
    brute::write(&folder, &[(Some(1), None, None)], SaveMode::Append).await;
    let file = lake.table("curated/things").await.files()[0].path.clone();
    brute::write(&folder, &[(Some(2), None, None)], SaveMode::Overwrite).await;
    brute::write(&folder, &[(Some(3), None, None)], SaveMode::Append).await;
    fs::remove_file(folder.join(file)).unwrap();
    let error = audit::diff(&lake.workspace().await, &options(0, 2)).await.err().unwrap();
    assert!(error.message().contains("the oldest readable is 1"), "{error}");
    assert_eq!(diff(&lake, &options(2, 1)).await.0, ["delete 3|NULL|NULL"]);
    let zone = stedi_delta::travel::Zone::default();
    let described = audit::describe(&lake.workspace().await, "things", &zone).await.unwrap();
    assert_eq!((described.oldest.version, described.newest.version), (1, 2));
}
