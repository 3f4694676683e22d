//! Landing files end to end: landed and refused records, and a second sync over the same files.

mod damaged;
mod lost;
mod named;
mod open;
mod told;
mod unload;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use stedi_delta::cli::exit;
use stedi_delta::internals::ingest;
use stedi_delta::outcome::{Mode, SyncOutcome};
use stedi_delta::sync::{Options, Reload};

use crate::support::{Lake, assert_ok, assert_still, of};

const COLUMNS: &str = "id = { type = \"long\" }\nitem = { type = \"string\" }\n";

/// The landing table `orders`: further keys of `[source]`, its columns, and what comes after.
fn orders(source: &str, columns: &str, more: &str) -> String {
    format!(
        "description = \"Orders\"\n[source]\npath = \"orders/**/*.json*\"\nformat = \"json\"\n{source}\n\
         [columns]\n{columns}\n{more}\n"
    )
}

/// A shop with `orders` and `sold`, the orders with an item, which must stay incremental.
fn shop(orders: &str) -> Lake {
    Lake::project(&[
        ("tables/landing/orders.toml", orders),
        ("tables/curated/sold.toml", "description = \"Orders with an item\"\nrefresh = \"incremental\"\n"),
        ("tables/curated/sold.sql", "select o.id, o.item from orders o where o.item is not null"),
    ])
}

fn plain() -> Lake {
    shop(&orders("", COLUMNS, ""))
}

fn order(id: i64) -> String {
    format!("{{\"id\":{id},\"item\":\"i{id}\"}}\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every record of every file is in the table or in its quarantine, and the ledger counts it there.
async fn assert_accounted(lake: &Lake) -> (i64, i64, i64) {
    let sums = "select cast(coalesce(sum(records), 0) as bigint), cast(coalesce(sum(landed), 0) as bigint), \
                cast(coalesce(sum(quarantined), 0) as bigint) from (select *, row_number() over \
                (partition by landing_table, table_uuid, path order by batch desc) as n from files \
                where path is not null) where n = 1";
    let sums = lake.rows(sums).await;
    let numbers: Vec<i64> = sums[0].split('|').map(|n| n.parse().unwrap()).collect();
    let (records, landed, quarantined) = (numbers[0], numbers[1], numbers[2]);
    assert_eq!(records, landed + quarantined);
    assert_eq!(lake.count("select count(*) from orders").await, landed);
    let has_quarantine = lake.warehouse().join("landing/orders_quarantine").is_dir();
    let held = if has_quarantine { lake.count("select count(*) from orders_quarantine").await } else { 0 };
    assert_eq!(held, quarantined);
    lake.assert_recomputed().await;
    (records, landed, quarantined)
}

async fn ids(lake: &Lake) -> Vec<String> {
    lake.rows("select id from orders").await
}

async fn reload(lake: &Lake, what: &str) -> SyncOutcome {
    let outcome = lake.try_sync_with(Options { reload: vec![Reload::parse(what)], ..Options::default() }).await;
    assert_ok(&outcome);
    outcome
}

fn touch(lake: &Lake, path: &str, age: Duration) {
    let file = fs::File::options().write(true).open(lake.landing().join(path)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// Files of tables, ledger and catalog: a sync that failed is a run, too.
fn without_runs(files: &[(PathBuf, u64)]) -> Vec<(PathBuf, u64)> {
    files.iter().filter(|(path, _)| !path.to_string_lossy().contains("system/runs")).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layout_of_json_lands_and_every_record_is_accounted_for() {
    let lake = plain();
    lake.land("orders/lines.json", order(1) + &order(2));
    lake.land("orders/no-last-newline.jsonl", order(3).trim_end());
    lake.land("orders/concatenated.json", "{\"id\":4}{\"id\":5} {\"id\":6}");
    lake.land("orders/pretty.json", "{\n  \"id\": 7,\n  \"item\": \"a\\nb\"\n}\n{\n  \"id\": 8\n}\n");
    lake.land("orders/array.json", "[{\"id\":9},\n {\"id\":10, \"item\":null}]\n");
    lake.land("orders/zipped.json.gz", gzip(order(11).as_bytes()));
    lake.land("orders/crlf.json", "{\"id\":12}\r\n{\"id\":13}\r\n\r\n");
    lake.land("orders/bom.json", "\u{feff}{\"id\":14}\n");
    lake.land("orders/empty.json", "");
    lake.land("orders/blank.json", " \n\n");
    lake.land("orders/empty-array.json", "[]");
    lake.land("orders/year=2024/deep/er.json", "{\"ID\":15,\"Item\":\"case does not matter\"}");
    lake.land("orders/not-json.csv", "id\n1\n");
    lake.land("elsewhere/other.json", order(99));
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((done.mode, done.rows.inserted, done.reason.as_str()), (Mode::Ingest, 15, "12 new files"));
    assert!(done.warnings.is_empty(), "{:?}", done.warnings);
    assert_eq!(assert_accounted(&lake).await, (15, 15, 0));
    assert_eq!(lake.count("select count(distinct id) from orders where id between 1 and 15").await, 15);
    assert_eq!(lake.count("select count(*) from (select distinct source_file, source_offset from orders)").await, 15);
    assert_eq!(lake.rows("select source_offset from orders where id in (5, 14)").await, ["3", "8"]);
    assert_eq!(lake.rows("select item from orders where id = 7").await, ["a\nb"]);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_land_is_in_quarantine_with_its_place_its_bytes_and_the_reason() {
    let columns = format!("{COLUMNS}at = {{ type = \"long\", nullable = false }}\n");
    let lake = shop(&orders("", &columns, ""));
    let records = [
        "{\"id\":1,\"at\":1}\n",
        "{\"id\":\"two\",\"at\":1}\n",
        "{\"id\":3}\n",
        "{\"id\":4,\"at\":null}\n",
        "{\"id\":5,\"ID\":6,\"at\":1}\n",
        "{\"id\":1.5,\"at\":1}\n",
        "17\n",
        "{\"id\":8,\"at\":\n",
        "{\"id\":9,\"at\":9}\n",
    ];
    lake.land("orders/a.json", records.concat());
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((done.rows.inserted, done.rows.quarantined), (2, 7));
    assert_eq!((exit::of_sync(&outcome), done.warnings.len()), (0, 1));
    assert_eq!(done.warnings[0].message, "7 records could not land");
    assert_eq!(assert_accounted(&lake).await, (9, 2, 7));
    let workspace = lake.workspace().await;
    let place = workspace.place(workspace.table("orders").unwrap(), "test").unwrap();
    let listed = ingest::list_quarantined(&place, &workspace.session().unwrap(), 100).await.unwrap();
    assert_eq!(listed.iter().map(|b| b.num_rows()).sum::<usize>(), 7);
    assert_eq!(ingest::count_quarantined(&place).await.unwrap(), 7);
    let mut offset = 0;
    for record in records {
        let held = format!("select length, cast(raw as varchar) from orders_quarantine where source_offset = {offset}");
        let held = lake.rows(&held).await;
        if record.contains("\"at\":1}") && record.contains("\"id\":1,") || record.contains("\"id\":9") {
            assert!(held.is_empty(), "{record}: {held:?}");
        } else {
            assert_eq!(
                held.len(),
                1,
                "{record} at {offset}: {:?}",
                lake.rows("select source_offset, length, reason from orders_quarantine").await
            );
            let (length, raw) = held[0].split_once('|').unwrap();
            assert_eq!(raw.len(), length.parse::<usize>().unwrap(), "{record}");
            assert_eq!(raw.trim_end(), record.trim_end());
        }
        offset += record.len();
    }
    let reason = |offset: usize| format!("select reason from orders_quarantine where source_offset = {offset}");
    let at = |n: usize| records[..n].iter().map(|r| r.len()).sum::<usize>();
    for (record, word) in [(1, "id"), (2, "at"), (3, "at"), (4, "id")] {
        let reason = lake.rows(&reason(at(record))).await;
        assert!(reason[0].contains(&format!("`{word}`")), "{reason:?}");
        assert!(!reason[0].contains("two"), "a reason quotes no value: {reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_dropped_with_a_warning_and_comes_once_it_is_declared_and_reloaded() {
    let lake = plain();
    lake.land("orders/a.json", "{\"id\":1,\"item\":\"a\",\"price\":5}\n{\"id\":2,\"item\":\"b\",\"price\":6}\n");
    lake.land("orders/b.json", "{\"id\":3,\"item\":\"c\"}\n");
    let outcome = lake.sync().await;
    let warning = &of(&outcome, "orders").warnings[0];
    assert_eq!(warning.details, ["`price` in 2 records"]);
    assert!(warning.help.as_ref().unwrap().contains("--reload orders"), "{warning:?}");
    lake.define("tables/landing/orders.toml", &orders("", &format!("{COLUMNS}price = {{ type = \"long\" }}\n"), ""));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "orders").reason, "new column `price`");
    assert!(matches!(of(&outcome, "sold").mode, Mode::Incremental | Mode::None));
    assert_eq!(lake.rows("select id, price from orders").await, ["1|NULL", "2|NULL", "3|NULL"]);
    assert_still(&lake.sync().await);
    let outcome = reload(&lake, "orders:orders/a.json").await;
    let done = of(&outcome, "orders");
    assert_eq!((done.rows.inserted, done.rows.deleted, done.reason.as_str()), (2, 2, "1 replaced file"));
    assert_eq!(lake.rows("select id, price from orders").await, ["1|5", "2|6", "3|NULL"]);
    let sold = of(&outcome, "sold");
    assert_eq!((sold.rows.inserted, sold.rows.deleted), (0, 0), "what it reads did not change");
    reload(&lake, "orders").await;
    assert_eq!(assert_accounted(&lake).await, (3, 3, 0));
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_only_looks_changed_lands_nothing_and_is_looked_at_once() {
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    touch(&lake, "orders/a.json", Duration::from_secs(30));
    let rows = "select count(*) from files where path is not null";
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "orders").mode, of(&outcome, "orders").rows.inserted), (Mode::None, 0));
    assert_eq!(lake.count(rows).await, 2);
    let before = lake.files();
    assert_still(&lake.sync().await);
    assert_eq!(lake.files(), before);
    assert_eq!(assert_accounted(&lake).await, (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_swaps_its_rows_in_one_version_and_what_is_derived_follows() {
    let lake = shop(&orders("on_overwrite = \"replace\"", COLUMNS, ""));
    lake.land("orders/a.json", order(1) + &order(2));
    lake.land("orders/b.json", order(3));
    lake.sync().await;
    lake.land("orders/a.json", order(2) + &order(4) + "{\"id\":\"x\"}\n");
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((done.version_before, done.version_after), (Some(0), Some(1)));
    assert_eq!((done.rows.inserted, done.rows.deleted, done.rows.quarantined), (2, 2, 1));
    let sold = of(&outcome, "sold");
    assert_eq!((sold.mode, sold.rows.inserted, sold.rows.deleted), (Mode::Incremental, 1, 1));
    assert_eq!(ids(&lake).await, ["2", "3", "4"]);
    assert_eq!(assert_accounted(&lake).await, (4, 3, 1));
    // An emptied file loses its rows, in the table and in quarantine.
    lake.land("orders/a.json", "");
    lake.sync().await;
    assert_eq!(ids(&lake).await, ["3"]);
    assert_eq!(assert_accounted(&lake).await, (1, 1, 0));
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_is_told_by_the_change_feed_unless_the_data_files_are_less() {
    let lake = shop(&orders("on_overwrite = \"replace\"", COLUMNS, ""));
    lake.land("orders/a.json", order(1) + &order(2));
    lake.land("orders/b.json", (10..30).map(order).collect::<String>());
    lake.sync().await;
    let version = |n: u32| {
        let commit = lake.warehouse().join(format!("landing/orders/_delta_log/{n:020}.json"));
        fs::read_to_string(commit).unwrap()
    };
    // All rows are in one data file: its 20 other rows need not be read again.
    lake.land("orders/a.json", order(2) + &order(4));
    let outcome = lake.sync().await;
    assert_eq!(version(1).matches("\"cdc\"").count(), 2, "{}", version(1));
    let sold = of(&outcome, "sold");
    assert_eq!((sold.mode, sold.rows.inserted, sold.rows.deleted), (Mode::Incremental, 1, 1));
    assert_eq!((sold.io.files_read, sold.io.rows_read), (2, 4));
    lake.assert_recomputed().await;
    lake.land("orders/b.json", (11..31).map(order).collect::<String>());
    let outcome = lake.sync().await;
    assert!(!version(2).contains("\"cdc\""), "{}", version(2));
    let sold = of(&outcome, "sold");
    assert_eq!(sold.reason, "orders v1 -> v2 (file diff: v2 moved most rows of its files)");
    assert_eq!((sold.mode, sold.rows.inserted, sold.rows.deleted), (Mode::Incremental, 1, 1));
    lake.assert_recomputed().await;
    // A new column and a replaced file in one commit: rows of two schemas do not fit into one feed.
    lake.define(
        "tables/landing/orders.toml",
        &orders("on_overwrite = \"replace\"", &format!("{COLUMNS}n = {{ type = \"long\" }}\n"), ""),
    );
    lake.land("orders/a.json", "{\"id\":2,\"item\":\"i2\",\"n\":7}\n");
    lake.sync().await;
    assert!(!version(3).contains("\"cdc\""), "{}", version(3));
    assert_eq!(lake.rows("select id from orders where n = 7").await, ["2"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_landing_file_keeps_its_rows() {
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    fs::remove_file(lake.landing().join("orders/a.json")).unwrap();
    assert_still(&lake.sync().await);
    // Even a landing table whose files were all deleted keeps its rows, and does not land them twice when they return.
    fs::remove_dir_all(lake.landing().join("orders")).unwrap();
    assert_still(&lake.sync().await);
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_a_moment_ago_is_waited_for_where_no_age_is_declared() {
    let lake = shop(&orders("", COLUMNS, ""));
    lake.land("orders/new.json", order(1));
    touch(&lake, "orders/new.json", Duration::ZERO);
    let outcome = lake.sync().await;
    assert!(of(&outcome, "orders").waiting.is_empty());
    assert_eq!(ids(&lake).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_file_waits_and_is_named_and_lands_when_it_is_old_enough() {
    let lake = shop(&orders("min_age = \"1h\"", COLUMNS, ""));
    lake.land("orders/old.json", order(1));
    touch(&lake, "orders/old.json", Duration::from_secs(7200));
    lake.land("orders/young.json", order(2));
    let outcome = lake.sync().await;
    assert_eq!(
        (of(&outcome, "orders").waiting.as_slice(), exit::of_sync(&outcome)),
        (&["orders/young.json".to_owned()][..], 0)
    );
    assert_eq!(ids(&lake).await, ["1"]);
    let before = lake.files();
    let outcome = lake.sync().await;
    assert_still(&outcome);
    assert_eq!((of(&outcome, "orders").waiting.len(), lake.files()), (1, before));
    touch(&lake, "orders/young.json", Duration::from_secs(7200));
    assert!(of(&lake.sync().await, "orders").waiting.is_empty());
    assert_eq!(ids(&lake).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_whose_type_changed_stops_the_sync_before_anything_is_written() {
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    let sound = orders("", COLUMNS, "");
    for (columns, word) in [
        ("id = { type = \"string\" }\nitem = { type = \"string\" }\n", "`id`"),
        (
            "id = { type = \"long\" }\nitem = { type = \"string\" }\nwas = { type = \"long\", nullable = false }\n",
            "`was`",
        ),
        ("id = { type = \"long\" }\nitem = { type = \"string\", nullable = false }\n", "`item`"),
    ] {
        lake.define("tables/landing/orders.toml", &orders("", columns, ""));
        let landed = format!("orders/{}.json", word.trim_matches('`'));
        lake.land(&landed, "{\"id\":\"2\"}\n");
        let before = lake.files();
        let outcome = lake.try_sync().await;
        let text = format!("{:?} {:?}", outcome.problem, of(&outcome, "orders").problem);
        assert!(text.contains(word.trim_matches('`')), "{text}");
        assert_eq!(exit::of_sync(&outcome), 1);
        assert_eq!(without_runs(&lake.files()), without_runs(&before), "{word}");
        fs::remove_file(lake.landing().join(landed)).unwrap();
    }
    // When it is restored, syncs continue as before.
    lake.define("tables/landing/orders.toml", &sound);
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_may_be_null_from_now_on_takes_null_and_queries_see_it() {
    let strict = "id = { type = \"long\" }\nitem = { type = \"string\", nullable = false }\n";
    let lake = shop(&orders("", strict, ""));
    lake.land("orders/a.json", order(1) + "{\"id\":2}\n");
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (2, 1, 1));
    lake.define("tables/landing/orders.toml", &orders("", COLUMNS, ""));
    lake.land("orders/b.json", order(3) + "{\"id\":4}\n");
    let outcome = lake.sync().await;
    assert!(matches!(of(&outcome, "sold").mode, Mode::Incremental), "{}", of(&outcome, "sold").reason);
    assert_eq!(assert_accounted(&lake).await, (4, 3, 1));
    assert_eq!(lake.rows("select id from orders where item is null").await, ["4"]);
    assert_eq!(stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap().rows.inserted, 1);
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 4, 0));
    assert_eq!(lake.rows("select id from sold").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_definition_lands_records_from_quarantine_once() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "{\"id\":2,\"item\":7}\n{\"id\":2.5,\"item\":\"x\"}\nbroken\n");
    lake.land("orders/b.json", "{\"id\":9223372036854775808}\n");
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (5, 1, 4));
    let none = stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap();
    assert_eq!((none.mode, none.rows.inserted), (Mode::None, 0));
    assert_eq!(assert_accounted(&lake).await, (5, 1, 4));
    // Quarantine holds the records that an expectation refused, until the expectation is removed.
    let strict = "[[expectations]]\nname = \"small\"\ncheck = \"id < 10\"\naction = \"quarantine\"\n";
    lake.define("tables/landing/orders.toml", &orders("", COLUMNS, strict));
    lake.land("orders/c.json", order(11) + &order(3) + &order(12));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "orders").rows.inserted, of(&outcome, "orders").rows.quarantined), (1, 2));
    assert_eq!(assert_accounted(&lake).await, (8, 2, 6));
    lake.define("tables/landing/orders.toml", &orders("", COLUMNS, ""));
    let done = stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap();
    assert_eq!((done.mode, done.rows.inserted), (Mode::Ingest, 2));
    let before = lake.files();
    let again = stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap();
    assert_eq!((again.mode, again.rows.inserted), (Mode::None, 0));
    assert_eq!(lake.files(), before);
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "orders").mode, of(&outcome, "sold").mode), (Mode::None, Mode::Incremental));
    assert_eq!(assert_accounted(&lake).await, (8, 4, 4));
    assert_eq!(ids(&lake).await, ["1", "11", "12", "3"]);
    assert_eq!(lake.rows("select source_file, source_offset from orders where id = 11").await, ["orders/c.json|0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_landing_root_is_an_error_and_a_missing_folder_in_it_is_an_empty_table() {
    let lake = plain();
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from orders").await, 0);
    assert_still(&lake.sync().await);
    lake.land("orders/a.json", order(1));
    lake.sync().await;
    fs::remove_dir_all(lake.landing()).unwrap();
    let before = lake.files();
    let outcome = lake.try_sync().await;
    assert_eq!(lake.files(), before);
    let error = outcome.problem.as_ref().expect("a sync without its landing root");
    assert!(error.message().contains("the landing folder") && error.next().is_some(), "{error}");
    assert_eq!(exit::of_sync(&outcome), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_small_files_land_in_one_sync_and_the_next_one_reads_none_of_them() {
    let lake = plain();
    for n in 0..2000 {
        lake.land(&format!("orders/{:02}/{n}.json", n % 20), order(n));
    }
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((done.io.files_read, done.rows.inserted, done.version_after), (2000, 2000, Some(0)));
    assert!(done.io.files_added <= 4, "{} data files", done.io.files_added);
    assert_eq!(assert_accounted(&lake).await, (2000, 2000, 0));
    let before = lake.files();
    let outcome = lake.sync().await;
    assert_still(&outcome);
    for table in ["orders", "sold"] {
        assert_eq!((of(&outcome, table).io.files_read, of(&outcome, table).io.bytes_read), (0, 0), "{table}");
    }
    assert_eq!(lake.files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn expectations_of_a_landing_table_warn_quarantine_or_stop() {
    let expect =
        |action: &str| format!("[[expectations]]\nname = \"positive\"\ncheck = \"id > 0\"\naction = \"{action}\"\n");
    let records = order(1) + &order(-2) + &order(3) + "{\"item\":\"no id\"}\n";
    let lake = shop(&orders("", COLUMNS, &expect("warn")));
    lake.land("orders/a.json", &records);
    let outcome = lake.sync().await;
    let message = "expectation `positive` of orders is not met by 2 rows";
    assert_eq!(of(&outcome, "orders").warnings[0].message, message);
    assert_eq!(assert_accounted(&lake).await, (4, 4, 0));

    let lake = shop(&orders("", COLUMNS, &expect("quarantine")));
    lake.land("orders/a.json", &records);
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 2, 2));
    let held = lake.rows("select reason, cast(raw as varchar) from orders_quarantine").await;
    assert!(held[0].starts_with("expectation `positive` is not met|{\"id\":-2"), "{held:?}");

    let lake = shop(&orders("", COLUMNS, &expect("fail")));
    lake.land("orders/a.json", &records);
    let (outcome, text) = lake.sync_failing("orders", &["sold"]).await;
    assert_eq!((exit::of_sync(&outcome), of(&outcome, "orders").version_after), (3, None));
    assert!(text.contains("2 records fail the expectation `positive`"), "{text}");
    lake.define("tables/landing/orders.toml", &orders("", COLUMNS, &expect("quarantine")));
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_three_mebibytes_lands_and_a_broken_one_is_in_quarantine_by_its_first_mebibyte() {
    let lake = plain();
    let long = "x".repeat(3 << 20);
    lake.land("orders/long.json", format!("{{\"id\":1,\"item\":\"{long}\"}}\n{}", order(2)));
    let broken = format!("{{\"id\":\"no number\",\"item\":\"{long}\"}}");
    lake.land("orders/broken.json", format!("{broken}\n{}", order(3)));
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 3, 1));
    assert_eq!(lake.rows("select length(item) from orders where id = 1").await, [(3_usize << 20).to_string()]);
    let held = lake.rows("select length, length(cast(raw as varchar)) from orders_quarantine").await;
    assert_eq!(held, [format!("{}|{}", broken.len(), 1 << 20)]);
    // The rest of it is read from its file again.
    let text = "id = { type = \"long\" }\nitem = { type = \"string\" }\n";
    lake.define("tables/landing/orders.toml", &orders("", text, ""));
    let stays = stedi_delta::replay::replay(&lake.workspace().await, "orders").await.unwrap();
    assert_eq!((stays.rows.inserted, stays.mode), (0, Mode::None));
}
