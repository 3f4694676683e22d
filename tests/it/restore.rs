//! `restore`: a derived table as it was, and forward again.

use std::fs;

use stedi_delta::inspect::{self, HistoryOptions};
use stedi_delta::outcome::Mode;
use stedi_delta::progress::Silent;
use stedi_delta::restore;
use stedi_delta::travel::{Point, Zone};

use crate::cli::person;
use crate::cli::shell::Shell;
use crate::nested::assert_duckdb_reads_the_same;
use crate::support::shop::{orders, shop};
use crate::support::{DERIVED, Lake, accelerometer, assert_no_full, customer, foreign_delete, of, steps};

async fn restore(lake: &Lake, table: &str, to: &str) -> Result<stedi_delta::outcome::RestoreOutcome, String> {
    let workspace = lake.workspace().await;
    let point = Point::parse(to, &Zone::default()).unwrap();
    let restoration = restore::prepare(&workspace, table, &point).await.map_err(|error| error.to_string())?;
    restoration.carry_out("a run", &Silent).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_what_it_was_until_the_next_sync_brings_it_forward() {
    let lake = Lake::stedi();
    let person = |name: &str, serial: &str| customer(&format!("{name}@x"), serial, 100, 1);
    lake.land_customers("0", person("ann", "A") + &person("ben", "B"));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.build().await;
    lake.land_customers("1", customer("ann@x", "A", 101, None));
    lake.advance().await;
    lake.land_accelerometer("1", accelerometer("ben@x", 3..5));
    lake.advance().await;
    let table = "trusted/accelerometer_trusted";
    let before = lake.table(table).await.version();
    let then = lake.rows("select * from accelerometer_trusted@v0").await;

    let outcome = restore(&lake, "accelerometer_trusted", "v0").await.unwrap();
    assert_eq!((outcome.version_after, outcome.withdrawn), (Some(before + 1), Some(1)));
    assert_eq!(lake.rows("select * from accelerometer_trusted").await, then);
    let shown = HistoryOptions { limit: 100, since: None };
    let entries = inspect::history(&lake.workspace().await, "accelerometer_trusted", &shown).await.unwrap().entries;
    let (newest, first) = (entries.first().unwrap(), entries.last().unwrap());
    assert_eq!((newest.operation.as_str(), &newest.sources), ("RESTORE", &first.sources));
    assert_eq!(first.sources["customer_landing"], 0);
    assert_duckdb_reads_the_same(&lake).await;
    let history = lake.rows("select count(*) from accelerometer_trusted version as of 0").await;
    assert_eq!(history, ["6"]);
    // Restored once more, it is as it was before the restore.
    let again = restore(&lake, "accelerometer_trusted", &format!("v{before}")).await.unwrap();
    assert_eq!((again.version_after, again.withdrawn), (Some(before + 2), Some(0)));
    assert_eq!(lake.count("select count(*) from accelerometer_trusted").await, 5);
    restore(&lake, "accelerometer_trusted", "v0").await.unwrap();

    // The next sync goes on from the versions that v0 had consumed.
    let outcome = lake.sync().await;
    let done = of(&outcome, "accelerometer_trusted");
    assert_eq!((done.mode, done.rows.deleted, done.rows.inserted), (Mode::Incremental, 3, 2));
    assert_no_full(&outcome);
    lake.assert_recomputed().await;
    assert_eq!(lake.sizes().await, [1, 5, 1, 3, 3]);
    for table in DERIVED {
        assert!(matches!(of(&outcome, table).mode, Mode::Incremental | Mode::None), "{table}");
    }
    assert_duckdb_reads_the_same(&lake).await;
    // Nothing to do.
    let newest = lake.table(table).await.version();
    let none = restore(&lake, "accelerometer_trusted", &format!("v{newest}")).await.unwrap();
    assert_eq!(none.version_after, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_columns_come_back_and_go_again() {
    let lake = shop("auto");
    lake.land_first_orders();
    lake.sync().await;
    lake.define("tables/trusted/cheap.sql", "select o.id, o.price * 2 as twice from orders o where o.price < 5");
    lake.sync().await;
    let two = lake.rows("select * from cheap").await;
    restore(&lake, "cheap", "v0").await.unwrap();
    assert_eq!(lake.rows("select c.item from cheap c where c.id = 1").await, ["nail"]);
    lake.land_more_orders();
    let outcome = lake.sync().await;
    assert!(of(&outcome, "cheap").reason.contains("the definition changed"), "{:?}", of(&outcome, "cheap"));
    lake.assert_recomputed().await;
    assert_ne!(lake.rows("select * from cheap").await, two);
    assert_duckdb_reads_the_same(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_is_refused_and_nothing_changes() {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4) + "{\"id\":}\n");
    lake.sync().await;
    lake.land("orders/b.json", orders(4..8));
    lake.sync().await;
    foreign_delete(&lake, "trusted/cheap", "id = 0").await;
    let files = lake.files();
    for (table, to, said) in [
        ("orders", "v0", "orders is a landing table"),
        ("orders_quarantine", "v0", "orders_quarantine is the quarantine of a landing table"),
        ("runs", "v0", "runs is a system table"),
        ("cheap", "v9", "cheap has no version 9"),
        ("cheap", "v2", "version 2 of cheap is not what its query gave"),
        ("cheap", "2001-01-01", "cheap has no version of 2001-01-01"),
        ("cheep", "v0", "table `cheep` is not in this project"),
    ] {
        let refused = restore(&lake, table, to).await.unwrap_err();
        assert!(refused.starts_with(said), "{table} {to}: {refused}");
    }
    assert_eq!(lake.files(), files);
    for file in lake.warehouse().join("trusted/cheap").read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "parquet") {
            fs::remove_file(file).unwrap();
        }
    }
    let refused = restore(&lake, "cheap", "v0").await.unwrap_err();
    assert!(refused.starts_with("version 0 of cheap was vacuumed"), "{refused}");
}

#[test]
fn without_a_terminal_it_needs_yes_and_says_who_has_withdrawn() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    assert_eq!(shell.run(&["sync"]).code, 0);
    let refused = shell.run(&["restore", "members", "--to", "v0"]);
    assert_eq!((refused.code, refused.out.as_str()), (64, ""));
    assert_eq!(
        refused.err,
        "error: a restore needs `--yes` where nobody can be asked\n  \
         would      restore members from v1 to v0, 2 rows\n  \
         but        1 person with rows in v0 has no consent today\n  \
         next       stedi-delta restore members --to v0 --yes\n"
    );
    let done = shell.run(&["restore", "members", "--to", "v0", "--yes"]);
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (
            0,
            "members  v1 -> v2  as of v0, 2 rows\n\
             It holds rows of 1 person who has no consent today, until the next sync.\n",
            "Next: stedi-delta sync   (brings members forward again)\n"
        )
    );
    let status = shell.run(&["status"]);
    let behind = "people is at v1, consumed v0\n\n1 of 3 tables is behind.\n";
    assert!(status.out.ends_with(behind), "{}", status.out);
    let sync = shell.run(&["sync"]);
    assert!(sync.code == 0 && sync.out.contains("-1"), "{}{}", sync.out, sync.err);
    assert_eq!(shell.run(&["query", "select count(*) as n from members", "--format", "csv"]).out, "n\n1\n");
    let document = shell.run(&["restore", "members", "--to", "v0", "--yes", "--format", "json"]).json();
    assert_eq!((&document["report"], &document["withdrawn"]), (&"restore/1".into(), &1.into()));
}
