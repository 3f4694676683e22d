//! Folders restored from a backup, copied or deleted: the logs then assign version numbers a second time.

use std::fs;
use std::path::{Path, PathBuf};

use stedi_delta::cli::exit;
use stedi_delta::outcome::{Action, Mode, Problem, SyncOutcome};
use stedi_delta::{inspect, sync};

use crate::support::shop::{derived, orders, shop};
use crate::support::{Lake, assert_ok, foreign_delete, of};

/// Derived from a derived table.
const TALLY: &str = "select c.item, count(*) as n, sum(c.price) as total from cheap c group by c.item";

async fn built(refresh: &str) -> Lake {
    let lake = shop(refresh);
    lake.define("tables/curated/tally.toml", &derived(refresh));
    lake.define("tables/curated/tally.sql", TALLY);
    lake.land_first_orders();
    lake.sync().await;
    lake
}

/// Copies a folder of the warehouse; restores it on request.
struct Backup(tempfile::TempDir, PathBuf);

impl Backup {
    fn of(lake: &Lake, folder: &str) -> Self {
        let (aside, folder) = (tempfile::tempdir().unwrap(), lake.warehouse().join(folder));
        copy(&folder, &aside.path().join("copy"));
        Self(aside, folder)
    }

    fn put_back(&self) {
        self.put_at(&self.1);
    }

    fn put_at(&self, folder: &Path) {
        fs::remove_dir_all(folder).unwrap();
        copy(&self.0.path().join("copy"), folder);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn commit_file(lake: &Lake, table: &str, version: u64) -> PathBuf {
    lake.warehouse().join(table).join("_delta_log").join(format!("{version:020}.json"))
}

fn reload(what: &str) -> sync::Options {
    sync::Options { reload: vec![sync::Reload::parse(what)], ..sync::Options::default() }
}

fn failure(outcome: &SyncOutcome, table: &str) -> String {
    match &of(outcome, table).problem {
        Some(Problem::Failed(error)) => format!("{error} {:?} {:?}", error.facts(), error.next()),
        other => panic!("{table} did not fail: {other:?}"),
    }
}

/// Changes to the folders of a built lake before a sync.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Reloaded,
    OtherDelete,
    NewFile,
    LogDeleted,
    Undone,
    Overtaken,
}

/// Leaves `landing/orders` at another version 1 than the consumed one, or beyond it.
async fn play(lake: &Lake, scene: Scene) -> sync::Options {
    let backup = Backup::of(lake, "landing/orders");
    if matches!(scene, Scene::Reloaded) {
        lake.land("orders/c.json", orders(1..3));
    } else {
        foreign_delete(lake, "landing/orders", "id = 1").await;
    }
    lake.sync().await;
    match scene {
        Scene::LogDeleted => fs::remove_dir_all(lake.warehouse().join("landing/orders/_delta_log")).unwrap(),
        Scene::Undone => fs::remove_file(commit_file(lake, "landing/orders", 1)).unwrap(),
        _ => backup.put_back(),
    }
    match scene {
        Scene::OtherDelete | Scene::Undone => foreign_delete(lake, "landing/orders", "id = 2").await,
        Scene::NewFile | Scene::LogDeleted => lake.land("orders/d.json", orders(3..5)),
        Scene::Reloaded => {
            lake.land("orders/d.json", orders(3..5));
            let outcome = lake.try_sync().await;
            assert!(failure(&outcome, "orders").contains("--reload orders"));
            return reload("orders");
        }
        Scene::Overtaken => {
            foreign_delete(lake, "landing/orders", "id = 2").await;
            lake.land("orders/d.json", orders(3..5));
        }
    }
    sync::Options::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_at_the_consumed_number_with_another_commit_is_noticed() {
    use Scene::{LogDeleted, NewFile, OtherDelete, Overtaken, Reloaded, Undone};
    for scene in [Reloaded, OtherDelete, NewFile, LogDeleted, Undone, Overtaken] {
        let lake = built("auto").await;
        let outcome = lake.try_sync_with(play(&lake, scene).await).await;
        assert_ok(&outcome);
        let done = of(&outcome, "cheap");
        assert_eq!(done.mode, Mode::Full, "{scene:?}");
        assert!(done.reason.contains("orders v1 is another commit"), "{scene:?}: {}", done.reason);
        assert!(done.warnings.iter().any(|w| w.message.contains("had drifted")), "{scene:?}");
        lake.assert_recomputed().await;
        let again = lake.sync().await;
        assert!(again.tables.iter().all(|t| t.mode == Mode::None), "{scene:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_recomputed_stops_where_its_source_was_put_back() {
    let lake = built("incremental").await;
    let options = play(&lake, Scene::OtherDelete).await;
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let of_cheap = planned.tables.iter().find(|t| t.table.as_str() == "cheap").unwrap();
    assert_eq!(of_cheap.action, Action::Stop);
    let outcome = lake.try_sync_with(options).await;
    assert_eq!(exit::of_sync(&outcome), 1);
    let text = failure(&outcome, "cheap");
    assert!(text.contains("restored or replaced") && text.contains("--full-refresh"), "{text}");
    assert_ok(&lake.try_sync_with(sync::Options { full_refresh: true, ..sync::Options::default() }).await);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_table_that_was_put_back_or_rewritten_is_noticed_by_who_reads_it() {
    let lake = built("auto").await;
    let backup = Backup::of(&lake, "trusted/cheap");
    lake.land("orders/c.json", orders(1..3));
    lake.sync().await;
    backup.put_back();
    lake.land("orders/d.json", orders(3..5));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").version_after, of(&outcome, "cheap").mode), (Some(1), Mode::Incremental));
    assert!(of(&outcome, "tally").reason.contains("cheap v1 is another commit"), "{}", of(&outcome, "tally").reason);
    lake.assert_recomputed().await;
    // The same commit without one of its rows.
    let newest = commit_file(&lake, "trusted/cheap", 1);
    let text = fs::read_to_string(&newest).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"add\"")).collect();
    fs::write(&newest, kept.join("\n")).unwrap();
    assert!(of(&lake.try_sync().await, "tally").reason.contains("another commit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_from_before_commits_were_recorded_are_believed() {
    let lake = built("incremental").await;
    for table in ["trusted/cheap", "curated/items", "curated/tally"] {
        let file = commit_file(&lake, table, 0);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("stedi-delta/commit/"));
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("stedi-delta/commit/")).collect();
        fs::write(&file, kept.join("\n")).unwrap();
    }
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    lake.land_more_orders();
    assert_eq!(of(&lake.sync().await, "tally").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tables_with_one_id_are_refused() {
    let lake = built("auto").await;
    lake.define("tables/trusted/dear.toml", &derived("auto"));
    lake.define("tables/trusted/dear.sql", "select o.id, o.item, o.price from orders o where o.price > 5");
    lake.sync().await;
    Backup::of(&lake, "trusted/dear").put_at(&lake.warehouse().join("trusted/cheap"));
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert!(planned.tables.iter().any(|t| t.action == Action::Stop));
    let outcome = lake.try_sync().await;
    assert_eq!(exit::of_sync(&outcome), 1);
    for (table, other) in [("cheap", "dear"), ("dear", "cheap")] {
        let text = failure(&outcome, table);
        assert!(text.contains(&format!("{table} and {other} have one Delta id")), "{text}");
        assert!(text.contains("trusted/cheap") && text.contains("trusted/dear"), "{text}");
    }
    assert!(matches!(of(&outcome, "tally").problem, Some(Problem::Skipped(_))));
    assert!(of(&outcome, "items").problem.is_none());
    fs::remove_dir_all(lake.warehouse().join("trusted/cheap")).unwrap();
    lake.sync().await;
    lake.assert_recomputed().await;
}
