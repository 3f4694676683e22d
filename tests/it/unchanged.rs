//! A sync that finds the inputs of one that had nothing to do: it does, and says, what it would without a cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use stedi_delta::outcome::{Io, Mode, SyncOutcome};
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::sync;

use crate::support::faulty::Plan;
use crate::support::shop::{CHEAP, ORDERS, derived, orders, shop};
use crate::support::{Lake, assert_ok, foreign_delete};

fn cache(lake: &Lake) -> PathBuf {
    lake.caches().join("own")
}

/// The only file of a lake's cache.
fn file(lake: &Lake) -> PathBuf {
    let files = fs::read_dir(cache(lake).join("unchanged")).unwrap();
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn options(lake: &Lake) -> sync::Options {
    sync::Options { cache: Some(cache(lake)), ..sync::Options::default() }
}

async fn sync(lake: &Lake) -> SyncOutcome {
    let outcome = lake.try_sync_with(options(lake)).await;
    assert_ok(&outcome);
    outcome
}

/// Whether the cached inputs are confirmed; `None` if there are none.
fn is_confirmed(lake: &Lake) -> Option<bool> {
    let cached: serde_json::Value = serde_json::from_slice(&fs::read(file(lake)).unwrap()).ok()?;
    cached["is_confirmed"].as_bool()
}

/// The next sync makes a cache anew.
fn forget(lake: &Lake) {
    fs::remove_dir_all(cache(lake)).unwrap();
}

/// A lake whose next sync has nothing to do and knows that.
async fn still() -> Lake {
    let lake = shop("incremental");
    lake.land("orders/a.json", orders(0..10));
    for _ in 0..3 {
        sync(&lake).await;
    }
    assert_eq!(is_confirmed(&lake), Some(true));
    lake
}

async fn synced(lake: &Lake, plan: &Arc<Plan>) -> SyncOutcome {
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    sync::sync(&lake.site_through(plan.storage()).await, &options(lake), &progress).await
}

/// What is told of a sync, without times.
fn told(outcome: &SyncOutcome) -> String {
    let mut text = format!("{:?} {} {:?}\n", outcome.problem, outcome.registered, outcome.left);
    for t in &outcome.tables {
        let versions = (t.version_before, t.version_after);
        text += &format!("{} {} {} {versions:?} {:?} {:?} {:?}", t.table, t.zone, t.location, t.mode, t.reason, t.rows);
        // No report tells the files that an unchanged table had.
        let io = Io { files_before: 0, ..t.io };
        text += &format!(" {io:?} {:?} {:?} {:?}\n", t.waiting, t.warnings, t.problem);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_sync_with_nothing_to_do_opens_no_table_and_says_the_same() {
    let lake = shop("incremental");
    lake.land("orders/a.json", orders(0..10));
    sync(&lake).await;
    assert_eq!(is_confirmed(&lake), None, "there was something to do");
    let mut seen = Vec::new();
    for confirmed in [false, true, true, true] {
        let plan = Plan::counting();
        let outcome = synced(&lake, &plan).await;
        assert_ok(&outcome);
        assert_eq!(is_confirmed(&lake), Some(confirmed));
        seen.push((told(&outcome), plan));
    }
    let [(first, all), (second, _), (third, few), (fourth, _)] = &seen[..] else { unreachable!() };
    assert!(first == second && second == third && third == fourth, "{seen:?}");
    assert!(few.writes().is_empty());
    // Listings, and the entries of the local catalog.
    let read = few.paths().into_iter().filter(|path| !path.contains("/_catalog/") && !path.ends_with("_delta_log"));
    let read: Vec<String> = read.filter(|path| !path.ends_with("landing/orders")).collect();
    assert!(read.is_empty(), "{read:?}");
    assert!(few.calls() < all.calls(), "{} of {} requests", few.calls(), all.calls());
}

/// Finds an input that is missing in the cache: a sync with nothing to do reads nothing but the listed
/// logs and folders, and the data files of the ledger, which docs/state.md excepts.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_sync_reads_is_among_its_inputs() {
    let lake = still().await;
    let text = fs::read(file(&lake)).unwrap();
    forget(&lake);
    let plan = Plan::counting();
    assert_ok(&synced(&lake, &plan).await);
    let cached: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let logs = cached["inputs"]["logs"].as_object().unwrap();
    assert_eq!(logs.len(), 3 + 1 + 5, "tables, a quarantine and the tool's own");
    let named = |path: PathBuf| path.to_string_lossy().trim_start_matches('/').to_owned();
    let mut known: Vec<String> = logs.keys().map(|url| url.replacen("file:///", "", 1) + "_delta_log").collect();
    known.push(named(lake.warehouse().join("system/files/part-")));
    known.push(named(lake.landing().join("orders")));
    known.push(named(lake.warehouse().join("_catalog")));
    let is_known = |path: &String| known.iter().any(|known| path.starts_with(known.as_str()));
    let unknown: Vec<String> = plan.paths().into_iter().filter(|path| !is_known(path)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_renamed_is_where_it_was() {
    let lake = still().await;
    lake.define("migrations/0001_bargains.sql", "alter table cheap rename to bargains;");
    for end in ["toml", "sql"] {
        let from = lake.root().join(format!("tables/trusted/cheap.{end}"));
        fs::rename(&from, lake.root().join(format!("tables/trusted/bargains.{end}"))).unwrap();
    }
    let mut said = BTreeSet::new();
    sync(&lake).await;
    for _ in 0..4 {
        said.insert(told(&sync(&lake).await));
    }
    assert_eq!(is_confirmed(&lake), Some(true));
    assert!(said.len() == 1 && said.first().unwrap().contains("warehouse/trusted/cheap "), "{said:?}");
}

/// Nothing is listed for a cache that does not last, as in a container, or cannot be written.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_lasting_cache_a_sync_asks_for_nothing_more() {
    let lake = shop("incremental");
    lake.land("orders/a.json", orders(0..10));
    sync(&lake).await;
    let calls = async |cache: Option<PathBuf>| {
        let (plan, progress) = (Plan::counting(), Arc::new(Silent) as Arc<dyn Progress>);
        let options = sync::Options { cache, ..sync::Options::default() };
        assert_ok(&sync::sync(&lake.site_through(plan.storage()).await, &options, &progress).await);
        plan.calls()
    };
    let none = calls(None).await;
    for turn in 0..2 {
        assert_eq!(calls(Some(lake.caches().join(format!("new-{turn}")))).await, none, "it is new");
        assert_eq!(calls(Some(lake.landing().join("orders/a.json"))).await, none, "it is a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_cache_are_bounded() {
    let lake = still().await;
    let folder = file(&lake).parent().unwrap().to_owned();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for n in 0..300 {
        let path = folder.join(format!("{n}.json"));
        fs::write(&path, "{}").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    }
    lake.land("orders/b.json", orders(10..12));
    for _ in 0..4 {
        sync(&lake).await;
    }
    let kept = fs::read_dir(&folder).unwrap().count();
    assert!(kept == 256, "{kept}");
    let plan = Plan::counting();
    synced(&lake, &plan).await;
    assert!(plan.paths().iter().all(|path| !path.ends_with(".parquet")), "its own is not among the removed ones");
}

/// What is changed, and whether a sync has something to do then.
type Change = (&'static str, bool, fn(&Lake));

fn changes() -> Vec<Change> {
    vec![
        ("a new file", true, |lake| lake.land("orders/b.json", orders(10..12))),
        ("a file in a new folder that does not match", false, |lake| lake.land("orders/b/b.json", orders(10..12))),
        ("a file that is replaced", true, |lake| lake.land("orders/a.json", orders(3..4))),
        ("a file that is touched", false, |lake| lake.land("orders/a.json", orders(0..10))),
        ("a broken file", true, |lake| lake.land("orders/c.json", "{")),
        ("another query", true, |lake| lake.define("tables/trusted/cheap.sql", &CHEAP.replace("< 5", "< 7"))),
        ("a description", true, |lake| {
            lake.define("tables/landing/orders.toml", &ORDERS.replace("\"Orders\"", "\"All orders\""));
        }),
        ("a new table", true, |lake| {
            lake.define("tables/trusted/dear.toml", &derived("full"));
            lake.define("tables/trusted/dear.sql", "select o.id from orders o where o.price > 5");
        }),
        ("a comment", false, |lake| lake.define("tables/trusted/cheap.sql", &format!("-- cheap\n{CHEAP}"))),
        ("an entry of the catalog is gone", true, |lake| {
            let catalog = lake.warehouse().join("_catalog");
            let database = fs::read_dir(catalog).unwrap().next().unwrap().unwrap().path();
            fs::remove_file(database.join("cheap.json")).unwrap();
        }),
        ("an entry of the catalog is another one", true, |lake| {
            let catalog = lake.warehouse().join("_catalog");
            let entry = fs::read_dir(catalog).unwrap().next().unwrap().unwrap().path().join("cheap.json");
            let text = fs::read_to_string(&entry).unwrap();
            fs::write(entry, text.replace("trusted/cheap", "elsewhere/cheap")).unwrap();
        }),
        ("a derived table is gone", true, |lake| fs::remove_dir_all(lake.warehouse().join("curated/items")).unwrap()),
        ("the runs are gone", true, |lake| fs::remove_dir_all(lake.warehouse().join("system/runs")).unwrap()),
        ("the newest commit is gone", true, |lake| {
            let log = lake.warehouse().join("trusted/cheap/_delta_log");
            let mut commits: Vec<PathBuf> = fs::read_dir(log).unwrap().map(|e| e.unwrap().path()).collect();
            commits.retain(|path| path.extension().is_some_and(|e| e == "json"));
            commits.sort();
            if commits.len() > 1 {
                fs::remove_file(commits.pop().unwrap()).unwrap();
            } else {
                fs::remove_dir_all(lake.warehouse().join("trusted/cheap")).unwrap();
            }
        }),
        ("a broken cache", false, |lake| fs::write(file(lake), "{\"inputs\":").unwrap()),
        ("a file of others", false, |lake| fs::write(file(lake), "[1]").unwrap()),
        ("no cache", false, forget),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_seen_and_what_it_asks_for_is_done_at_once() {
    for (what, has_work, change) in changes() {
        let lake = still().await;
        change(&lake);
        let first = sync(&lake).await;
        let did = first.registered > 0 || first.tables.iter().any(|t| t.version_before != t.version_after);
        let rows = lake.contents().await;
        let recorded = lake.rows("select count(*) from runs").await;
        // All of it was done: without a cache there is nothing left.
        forget(&lake);
        let second = sync(&lake).await;
        assert!(second.registered == 0 && second.tables.iter().all(|t| t.mode == Mode::None), "{what}");
        assert_eq!((lake.contents().await, lake.rows("select count(*) from runs").await), (rows, recorded), "{what}");
        assert!(did == has_work || what == "the runs are gone", "{what}: {did}");
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_writer_is_seen() {
    let lake = still().await;
    foreign_delete(&lake, "landing/orders", "id = 3").await;
    let outcome = sync(&lake).await;
    assert!(outcome.tables.iter().any(|t| t.mode != Mode::None), "{}", told(&outcome));
    lake.assert_recomputed().await;
}

/// A file that comes at any moment of a sync with nothing to do is landed by that sync or by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_at_any_moment_is_landed_by_the_next_sync() {
    let lake = shop("incremental");
    lake.land("orders/a.json", orders(0..10));
    sync(&lake).await;
    let plan = Plan::counting();
    assert_ok(&synced(&lake, &plan).await);
    let mut id = 100;
    // In the sync that caches the inputs, in the one that confirms them, and in one that compares them.
    for quiet in 0..3 {
        for at in (1 + quiet..=plan.calls() + 20).step_by(3) {
            // Nothing to do, as often as it takes.
            sync(&lake).await;
            forget(&lake);
            for _ in 0..=quiet {
                sync(&lake).await;
            }
            id += 1;
            let (path, text) = (lake.landing().join("orders").join(format!("{id}.json")), orders(id..id + 1));
            let acting = Plan::acting(at, move || {
                let new = path.with_extension("new");
                fs::write(&new, text).unwrap();
                let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
                fs::File::options().write(true).open(&new).unwrap().set_modified(old).unwrap();
                fs::rename(new, path).unwrap();
            });
            assert_ok(&synced(&lake, &acting).await);
            if !acting.reached() {
                break;
            }
            sync(&lake).await;
            let landed = lake.count(&format!("select count(*) from orders where id = {id}")).await;
            assert_eq!(landed, 1, "a file before operation {at}, after {quiet} quiet syncs");
        }
    }
}
