//! Expectations apply to every row: to those in quarantine, in every selection, and to those older than the
//! expectation.

use std::fs;

use stedi_delta::cli::exit;
use stedi_delta::error::Kind;
use stedi_delta::inspect;
use stedi_delta::internals::plan;
use stedi_delta::outcome::{Mode, Problem, SyncOutcome, TableOutcome};
use stedi_delta::sync::{Options, Reload};

use crate::support::shop::{ORDERS, derived, orders, shop};
use crate::support::{Lake, assert_still, of, verify};

fn expect(check: &str, action: &str) -> String {
    format!("[[expectations]]\nname = \"small\"\ncheck = \"{check}\"\naction = \"{action}\"\n")
}

fn define_cheap(lake: &Lake, refresh: &str, expectations: &str) {
    lake.define("tables/trusted/cheap.toml", &(derived(refresh) + expectations));
}

fn define_orders(lake: &Lake, expectations: &str) {
    lake.define("tables/landing/orders.toml", &(ORDERS.to_owned() + expectations));
}

fn selected(table: &str) -> Options {
    Options { select: vec![table.into()], ..Options::default() }
}

fn failed(outcome: &SyncOutcome, table: &str) -> String {
    match &of(outcome, table).problem {
        Some(Problem::Failed(error)) => {
            assert_eq!((error.kind(), exit::of_sync(outcome)), (Kind::Evidence, 3));
            format!("{error} {:?}", error.next())
        }
        other => panic!("{table} did not fail: {other:?}"),
    }
}

fn warned(done: &TableOutcome) -> Vec<&str> {
    done.warnings.iter().map(|w| w.message.as_str()).collect()
}

fn change(done: &TableOutcome) -> (Mode, u64, u64, u64) {
    let versions = done.version_after.unwrap() - done.version_before.unwrap();
    (done.mode, done.rows.inserted, done.rows.deleted, versions)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_leaves_a_table_is_in_its_quarantine_whatever_is_selected() {
    let lake = shop("incremental");
    lake.land_first_orders();
    lake.sync().await;
    for (select, check) in [("cheap", "price < 3"), ("cheap_quarantine", "price < 2"), ("trusted.*", "price < 4")] {
        define_cheap(&lake, "incremental", &expect(check, "quarantine"));
        assert!(lake.try_sync_with(selected(select)).await.tables.iter().all(|t| t.problem.is_none()));
        let kept = lake.rows("select id from cheap union all select id from cheap_quarantine").await;
        assert_eq!(kept, ["0", "1", "2", "3", "4"], "{select}");
        lake.assert_recomputed().await;
    }
    // Also if another table reads it.
    lake.define("tables/curated/few.toml", &derived("incremental"));
    lake.define("tables/curated/few.sql", "select id from cheap where id < 2");
    define_cheap(&lake, "incremental", &expect("price < 3", "quarantine"));
    lake.try_sync_with(selected("few")).await;
    lake.assert_recomputed().await;
    // One command repairs both.
    let options = Options { full_refresh: true, ..selected("cheap") };
    let modes: Vec<Mode> = lake.try_sync_with(options).await.tables.iter().map(|t| t.mode).collect();
    assert_eq!(modes, [Mode::None, Mode::Full]);
    let shown = inspect::HistoryOptions { limit: 1, since: None };
    let history = inspect::history(&lake.workspace().await, "cheap_quarantine", &shown).await.unwrap().entries;
    assert_eq!(history[0].reason.as_deref(), Some("--full-refresh"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_expectation_is_checked_on_every_row_and_rebuilds_nothing() {
    for refresh in ["incremental", "auto", "full"] {
        let lake = shop(refresh);
        lake.land_first_orders();
        lake.sync().await;
        define_cheap(&lake, refresh, &expect("price < 3", "warn"));
        let workspace = lake.workspace().await;
        let status = inspect::status(&workspace).await.unwrap();
        let cheap = status.tables.iter().find(|t| t.table.as_str() == "cheap").unwrap();
        assert_eq!(cheap.pending, ["check: changed expectations"]);
        let planned = inspect::plan(&workspace, &[]).await.unwrap();
        assert!(exit::is_pending(&planned) && format!("{planned:?}").contains("action: Do(Check)"), "{planned:?}");
        let outcome = lake.sync().await;
        let done = of(&outcome, "cheap");
        assert_eq!(change(done), (Mode::Check, 0, 0, 1), "{refresh}");
        assert_eq!(warned(done), ["expectation `small` of cheap is not met by 2 rows"]);
        assert_still(&lake.sync().await);
        // Together with a change: kept rows and inserted ones.
        define_cheap(&lake, refresh, &expect("id < 1", "warn"));
        lake.land_more_orders();
        let outcome = lake.sync().await;
        let done = of(&outcome, "cheap");
        assert_eq!(change(done), (if refresh == "full" { Mode::Full } else { Mode::Incremental }, 0, 1, 1));
        assert_eq!(warned(done), ["expectation `small` of cheap is not met by 3 rows"]);
        assert_still(&lake.sync().await);
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_expectation_stops_a_table_that_already_violates_it() {
    let lake = shop("incremental");
    lake.land_first_orders();
    let below =
        [("tables/curated/few.toml", derived("auto")), ("tables/curated/few.sql", "select id from cheap".into())];
    below.iter().for_each(|(path, text)| lake.define(path, text));
    lake.sync().await;
    define_cheap(&lake, "incremental", &expect("price < 3", "fail"));
    let before = lake.files();
    let full = Options { full_refresh: true, ..Options::default() };
    for options in [Options::default(), Options::default(), full, verify()] {
        let outcome = lake.try_sync_with(options.clone()).await;
        let said = failed(&outcome, "cheap");
        assert!(said.contains("expectation `small` of cheap is not met by 2 rows"), "{options:?}: {said}");
        assert!(matches!(of(&outcome, "few").problem, Some(Problem::Skipped(_))));
    }
    assert_eq!(lake.rows("select id from cheap").await, ["0", "1", "2", "3", "4"]);
    let cheap = |files: &[(std::path::PathBuf, u64)]| {
        files.iter().filter(|(path, _)| path.to_str().unwrap().contains("/cheap/_delta_log/")).count()
    };
    assert_eq!(cheap(&lake.files()), cheap(&before));
    // A partial correction is not sufficient.
    lake.land("orders/a.json", orders(0..4));
    let said = failed(&lake.try_sync().await, "cheap");
    assert!(said.contains("is not met by 1 row"), "{said}");
    lake.land("orders/a.json", orders(0..3));
    let outcome = lake.sync().await;
    assert_eq!(change(of(&outcome, "cheap")), (Mode::Incremental, 0, 2, 1));
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_came_while_an_expectation_was_gone_are_checked_once_it_is_back() {
    let lake = shop("auto");
    let small = |action: &str| expect("price < 3", action);
    define_cheap(&lake, "auto", &small("fail"));
    define_orders(&lake, &expect("price < 90", "fail"));
    lake.land("orders/a.json", orders(0..3));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").version_after, of(&outcome, "orders").version_after), (Some(0), Some(0)));
    assert_still(&lake.sync().await);
    define_cheap(&lake, "auto", "");
    define_orders(&lake, "");
    lake.land("orders/b.json", orders(4..5) + &orders(95..96));
    lake.sync().await;
    define_cheap(&lake, "auto", &small("fail"));
    assert!(failed(&lake.try_sync().await, "cheap").contains("by 1 row"));
    define_cheap(&lake, "auto", "");
    define_orders(&lake, &expect("price < 90", "fail"));
    assert!(failed(&lake.try_sync().await, "orders").contains("by 1 row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_expectations_of_a_landing_table_are_checked_on_what_has_landed() {
    let lake = shop("incremental");
    lake.land_first_orders();
    lake.sync().await;
    define_orders(&lake, &expect("price < 8", "warn"));
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((change(done), done.reason.as_str()), ((Mode::Check, 0, 0, 1), "changed expectations"));
    assert_eq!(warned(done), ["expectation `small` of orders is not met by 2 rows"]);
    assert_still(&lake.sync().await);

    define_orders(&lake, &expect("price < 8", "fail"));
    for _ in 0..2 {
        let (outcome, said) = lake.sync_failing("orders", &["cheap", "items"]).await;
        assert!(said.contains("not met by 2 rows") && said.contains("sync --reload orders"), "{said}");
        assert_eq!(exit::of_sync(&outcome), 3);
    }

    define_orders(&lake, &expect("price < 8", "quarantine"));
    lake.land("orders/c.json", orders(20..22));
    let outcome = lake.sync().await;
    let done = of(&outcome, "orders");
    assert_eq!((done.rows.inserted, done.rows.quarantined), (0, 2));
    assert!(warned(done).contains(&"expectation `small` of orders is not met by 2 rows"), "{:?}", done.warnings);
    let help = done.warnings.last().unwrap().help.as_deref();
    assert_eq!(help, Some("move them to quarantine: stedi-delta sync --reload orders"));
    assert_eq!(lake.count("select count(*) from orders where price >= 8").await, 2);
    assert_still(&lake.sync().await);
    let reload = Options { reload: vec![Reload::parse("orders")], ..Options::default() };
    lake.try_sync_with(reload).await;
    assert_eq!(lake.count("select count(*) from orders where price >= 8").await, 0);
    assert_eq!(lake.count("select count(*) from orders_quarantine").await, 5);
    lake.assert_recomputed().await;
    assert_still(&lake.sync().await);
}

/// A commit that claims that every row was checked, which no sync of ours wrote.
#[tokio::test(flavor = "multi_thread")]
async fn verify_checks_expectations_whatever_the_log_says() {
    let lake = shop("incremental");
    lake.land_first_orders();
    lake.sync().await;
    define_cheap(&lake, "incremental", &expect("price < 3", "fail"));
    let workspace = lake.workspace().await;
    let cheap = workspace.table("cheap").unwrap();
    let commit = lake.warehouse().join("trusted/cheap/_delta_log/00000000000000000000.json");
    let txn =
        format!("{{\"txn\":{{\"appId\":\"stedi-delta/expectations\",\"version\":{}}}}}\n", plan::expectations(cheap));
    fs::write(&commit, fs::read_to_string(&commit).unwrap() + &txn).unwrap();
    lake.sync().await;
    let said = failed(&lake.try_sync_with(verify()).await, "cheap");
    assert!(said.contains("not met by 2 rows"), "{said}");
}
