//! `optimize`, and a sync's share of it: files are merged, and nothing else changes.

mod aged;
mod beside;
mod sorted;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stedi_delta::internals::changes::{Changes, Way, since};
use stedi_delta::optimize::{self, Options};
use stedi_delta::outcome::{Mode, OptimizeOutcome, OptimizedTable};
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::sync;

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::shop::{ORDERS, orders, shop};
use crate::support::{Lake, assert_ok, of};

/// The shop without a share of syncs.
pub(crate) fn unshared(refresh: &str) -> Lake {
    let lake = shop(refresh);
    lake.define(
        "stedi-delta.toml",
        "name = \"shop\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n[defaults]\nauto_optimize = false\n\
         [targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n",
    );
    lake
}

/// One file of one order, synced.
pub(crate) async fn order(lake: &Lake, id: i64) {
    lake.land(&format!("orders/{id:04}.json"), orders(id..id + 1));
    lake.sync().await;
}

/// Several, each in a sync of its own.
pub(crate) async fn ordered(lake: &Lake, ids: std::ops::Range<i64>) {
    for id in ids {
        order(lake, id).await;
    }
}

/// The result of a command.
pub(crate) async fn optimized(lake: &Lake, options: &Options) -> OptimizeOutcome {
    let outcome = optimize::optimize(&lake.workspace().await, options, "run", &Silent).await.unwrap();
    for table in &outcome.tables {
        assert!(table.problem.is_none(), "{table:?}");
    }
    outcome
}

pub(crate) fn table<'o>(outcome: &'o OptimizeOutcome, name: &str) -> &'o OptimizedTable {
    outcome.tables.iter().find(|table| table.table == name).unwrap_or_else(|| panic!("{name}: {outcome:?}"))
}

/// Data files of a table.
async fn live(lake: &Lake, path: &str) -> u64 {
    lake.table(path).await.size().0
}

/// Names of files below the warehouse.
fn names(lake: &Lake) -> Vec<PathBuf> {
    lake.files().into_iter().map(|(path, _)| path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one_and_no_row_changes() {
    let lake = unshared("incremental");
    lake.land("orders/broken.json", "{\"id\":}\n");
    ordered(&lake, 0..6).await;
    let (everything, files) = (lake.everything().await, names(&lake));
    let ledger = lake.rows("select * from files").await;
    let runs = lake.rows("select * from runs").await;
    let old = lake.rows("select * from \"orders@v3\"").await;
    let dry = optimized(&lake, &Options { dry_run: true, ..Options::default() }).await;
    assert_eq!((table(&dry, "orders").files_merged, table(&dry, "orders").files_written), (6, 1));
    assert_eq!(names(&lake), files, "a dry run writes nothing");
    let outcome = optimized(&lake, &Options::default()).await;
    for (name, merged) in [("orders", 6), ("cheap", 5), ("files", 6), ("runs", 6)] {
        let done = table(&outcome, name);
        assert_eq!((done.files_merged, done.files_written, done.commits), (merged, 1, 1), "{done:?}");
        assert_eq!(done.version_after, done.version_before.map(|version| version + 1));
        assert_eq!(done.files_after, done.files_before + 1 - merged);
    }
    assert_eq!(table(&outcome, "orders_quarantine").commits, 0, "it has one file");
    assert_eq!(live(&lake, "landing/orders").await, 1);
    assert_eq!(lake.everything().await, everything);
    assert_eq!(lake.rows("select * from files").await, ledger);
    assert_eq!(lake.rows("select * from runs").await, runs);
    assert_eq!(lake.rows("select * from \"orders@v3\"").await, old, "a version before it");
    assert_eq!(lake.rows("select * from \"orders@v6\"").await, lake.rows("select * from orders").await);
    assert_duckdb_reads_the_same(&lake).await;
    let files = names(&lake);
    let again = optimized(&lake, &Options::default()).await;
    assert!(again.tables.iter().all(|table| table.commits == 0 && table.skipped.is_none()), "{again:?}");
    assert_eq!(names(&lake), files, "there is nothing to gain any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_below_pass_over_it_and_compute_what_comes_after_it() {
    for refresh in ["incremental", "auto", "full"] {
        let lake = unshared(refresh);
        ordered(&lake, 0..5).await;
        let consumed = lake.table("landing/orders").await.version();
        optimized(&lake, &Options::default()).await;
        let files = names(&lake);
        let outcome = lake.sync().await;
        let still = outcome.tables.iter().all(|t| t.mode == Mode::None && t.version_before == t.version_after);
        assert!(still, "{outcome:?}");
        // The versions of the run's row are others.
        let beyond = |path: &&PathBuf| !files.contains(path) && !path.to_string_lossy().contains("system/runs");
        assert_eq!(names(&lake).iter().filter(beyond).count(), 0);
        let files = names(&lake);
        lake.sync().await;
        assert_eq!(names(&lake), files);
        // One more order, its optimization, and another one.
        lake.land("orders/next.json", orders(1..2));
        let select = ["orders".to_owned()];
        let only = sync::Options { select: select.to_vec(), ..Default::default() };
        assert_ok(&lake.try_sync_with(only.clone()).await);
        optimized(&lake, &Options { tables: select.to_vec(), ..Options::default() }).await;
        lake.land("orders/last.json", orders(2..4));
        assert_ok(&lake.try_sync_with(only).await);
        let landing = lake.table("landing/orders").await;
        let Changes::Known(change) = since(&landing, consumed).await.unwrap() else { panic!() };
        assert_eq!((change.way(), change.files()), (Way::Appends, 2));
        let outcome = lake.sync().await;
        let mode = if refresh == "full" { Mode::Full } else { Mode::Incremental };
        assert!(of(&outcome, "cheap").mode == mode || refresh == "auto", "{outcome:?}");
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_file_can_be_replaced_and_the_change_is_exact() {
    let lake = unshared("incremental");
    ordered(&lake, 0..6).await;
    optimized(&lake, &Options::default()).await;
    lake.land("orders/0003.json", orders(1..3));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "orders").rows.inserted, of(&outcome, "orders").rows.deleted), (2, 1));
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
    optimized(&lake, &Options { full: true, ..Options::default() }).await;
    lake.assert_recomputed().await;
    let verified = lake.try_sync_with(crate::support::verify()).await;
    assert_ok(&verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_merges_when_there_are_many_and_never_for_its_own_sake() {
    let (lake, plain) = (shop("incremental"), unshared("incremental"));
    let mut most = 0;
    let mut told = 0;
    for id in 0..40 {
        lake.land(&format!("orders/{id:04}.json"), orders(id % 9..id % 9 + 1));
        plain.land(&format!("orders/{id:04}.json"), orders(id % 9..id % 9 + 1));
        let outcome = lake.sync().await;
        told += outcome.optimized.iter().filter(|table| table.table == "orders").count();
        assert!(
            outcome.optimized.iter().all(|table| table.problem.is_none() && table.skipped.is_none()),
            "{outcome:?}"
        );
        most = most.max(live(&lake, "landing/orders").await);
        if id % 10 == 9 {
            for _ in 0..2 {
                let files = names(&lake);
                assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
                assert_eq!(names(&lake), files, "a sync with nothing to do commits");
            }
        }
    }
    plain.sync().await;
    assert!(most < 16, "{most} files");
    assert_eq!(told, 2, "40 files, and every sixteenth merges them");
    for path in ["trusted/cheap", "system/files", "system/runs"] {
        assert!(live(&lake, path).await < 16, "{path}");
    }
    assert_eq!(lake.contents().await, plain.contents().await);
    lake.assert_recomputed().await;
    assert_eq!(lake.count("select count(*) from files where path is not null").await, 40);
    // Said of one table.
    lake.define("tables/landing/orders.toml", &format!("auto_optimize = false\n{ORDERS}"));
    for id in 40..60 {
        order(&lake, id).await;
    }
    assert!(live(&lake, "landing/orders").await > 16);
}

/// Copies a folder over another one.
fn put_back(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            put_back(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_complete_wherever_it_dies() {
    let lake = unshared("incremental");
    lake.land("orders/broken.json", "{\"id\":}\n");
    ordered(&lake, 0..3).await;
    let before = lake.everything().await;
    let kept = tempfile::tempdir().unwrap();
    put_back(&lake.warehouse(), kept.path());
    let options = Options { tables: vec!["orders".into(), "files".into()], ..Options::default() };
    let counting = Plan::counting();
    let workspace = lake.site_through(counting.storage()).await;
    optimize::optimize(&workspace, &options, "run", &Silent).await.unwrap();
    let (calls, writes) = (counting.calls(), counting.writes());
    let all = (1..=calls).map(|at| (at, When::Before, Fault::Dead));
    let after = writes.iter().flat_map(|at| [(*at, When::After, Fault::Dead), (*at, When::After, Fault::Fails)]);
    for (number, (at, when, fault)) in all.chain(after).enumerate() {
        put_back(kept.path(), &lake.warehouse());
        let plan = Plan::new(at, fault, when);
        let workspace = lake.site_through(plan.storage()).await;
        let _ = optimize::optimize(&workspace, &options, "run", &Silent).await;
        assert_eq!(lake.everything().await, before, "{fault:?} {when:?} operation {at}");
        if number % 4 == 0 {
            optimized(&lake, &options).await;
            assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
            lake.land("orders/0001.json", orders(2..4));
            lake.sync().await;
            lake.assert_recomputed().await;
            assert_eq!(lake.count("select count(*) from orders").await, 4, "{fault:?} {when:?} operation {at}");
            lake.land("orders/0001.json", orders(1..2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_it_did() {
    let lake = unshared("incremental");
    ordered(&lake, 0..3).await;
    let dry = lake.program(&["optimize", "--dry-run", "orders"]).fine();
    assert!(dry.out.starts_with("landing   orders   v2   3 files into about 1"), "{}", dry.out);
    assert!(dry.out.contains("\n3 files would be merged into 1 in "), "{}", dry.out);
    let done = lake.program(&["optimize", "orders", "--format", "json"]).fine().json();
    assert_eq!((&done["report"], &done["exit_code"]), (&"optimize/1".into(), &0.into()));
    let orders = &done["tables"][0];
    assert_eq!((&orders["files_merged"], &orders["files_written"], &orders["rows"]), (&3.into(), &1.into(), &3.into()));
    let nothing = lake.program(&["optimize", "orders"]).fine();
    assert_eq!(nothing.out, "Nothing to gain in 1 table.\n");
    let history = lake.program(&["history", "orders", "-n", "1"]).fine();
    assert!(history.out.contains("OPTIMIZE") && history.out.contains("optimize: 3 files into 1"), "{}", history.out);
    let unknown = lake.program(&["optimize", "ordres"]);
    assert_eq!((unknown.code, unknown.err.contains("did you mean `orders`?")), (64, true), "{}", unknown.err);
    let log = lake.warehouse().join("landing/orders/_delta_log/00000000000000000003.json");
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains("\"dataChange\":true") && log.contains("stedi-delta/optimized"), "{log}");
}

/// Requests of a sync with nothing to do.
async fn requests(lake: &Lake) -> usize {
    let plan = Plan::counting();
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let outcome = sync::sync(&lake.site_through(plan.storage()).await, &sync::Options::default(), &progress).await;
    assert_ok(&outcome);
    assert!(outcome.tables.iter().all(|t| t.mode == Mode::None));
    plan.calls()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_with_nothing_to_do_asks_for_the_same_after_many_others() {
    let lake = shop("incremental");
    ordered(&lake, 0..13).await;
    let first = requests(&lake).await;
    // With as many files of the ledger; there are fewer commits since the last checkpoint.
    ordered(&lake, 13..43).await;
    let last = requests(&lake).await;
    assert!(last * 10 <= first * 13, "{first} requests after 13 syncs, {last} after 43");
}
