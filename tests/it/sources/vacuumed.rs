//! Versions that can no longer be read, and logs with gaps.

use std::fs;

use stedi_delta::outcome::{Mode, Problem};
use stedi_delta::{inspect, sync};

use super::{append, built, delete, folder, lake, open, switch_feed, vacuum};
use crate::support::shop::{derived, orders, shop};
use crate::support::{Lake, assert_ok, of, verify};

async fn refused(lake: &Lake, sql: &str) -> String {
    inspect::query(&lake.workspace().await, sql).await.unwrap_err().message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_vacuumed_answers_nothing_and_the_oldest_readable_is_named() {
    let lake = built("auto").await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    delete(&lake, "id < 2").await;
    append(&lake, &[(21, "nut", 1.0)]).await;
    assert_eq!(lake.count("select count(*) from \"orders@v1\"").await, 11);
    vacuum(&lake).await;
    let newest = open(&lake).await.version().unwrap();
    for sql in
        ["select count(*) from \"orders@vN\"", "select max(id) from \"orders@vN\"", "select * from \"orders@vN\""]
    {
        for (version, is_there) in [(0, false), (1, false), (2, true), (3, true), (newest, true)] {
            let sql = sql.replace('N', &version.to_string());
            if is_there {
                inspect::query(&lake.workspace().await, &sql).await.unwrap();
            } else {
                let message = format!("version {version} of orders was vacuumed, the oldest readable is 2");
                assert_eq!(refused(&lake, &sql).await, message, "{sql}");
            }
        }
    }
    // A table is not verified over it either.
    let outcome = lake.try_sync_with(verify()).await;
    crate::support::assert_ok(&outcome);
    // If only the newest version is left.
    lake.land("orders/a.json", orders(1..2));
    lake.land("orders/b.json", orders(2..3));
    lake.sync().await;
    vacuum(&lake).await;
    let message = refused(&lake, "select count(*) from \"orders@v2\"").await;
    assert!(message.starts_with("version 2 of orders was vacuumed, the oldest readable is "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_hole_says_which_commit_is_missing() {
    let lake = built("auto").await;
    for id in 20..24 {
        append(&lake, &[(id, "nut", 1.0)]).await;
    }
    let log = folder(&lake).join("_delta_log");
    fs::remove_file(log.join("00000000000000000002.json")).unwrap();
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "orders").problem else { panic!("{outcome:?}") };
    assert!(error.to_string().ends_with("landing/orders cannot be opened: commit 2 is missing in its log"), "{error}");
    assert!(error.next().unwrap().contains("move the table's folder away and sync"), "{error}");
    fs::remove_file(log.join("00000000000000000003.json")).unwrap();
    let message = refused(&lake, "select 1 from orders").await;
    assert!(message.ends_with("commits 2 to 3 are missing in its log"), "{message}");
    fs::rename(folder(&lake), lake.warehouse().join("away")).unwrap();
    lake.sync().await;
    lake.assert_recomputed().await;
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
}

/// The selectors of a hint to refresh in full.
fn full_refresh(hint: &str) -> sync::Options {
    let words: Vec<&str> = hint.split_whitespace().collect();
    assert!(words.starts_with(&["stedi-delta", "sync", "-s"]) && words[4] == "--full-refresh", "{hint}");
    sync::Options { select: vec![words[3].to_owned()], full_refresh: true, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_heals_all_tables_that_a_vacuum_cut_off() {
    let lake = lake("incremental");
    let expectation = "[[expectations]]\nname = \"small\"\ncheck = \"price < 3\"\naction = \"quarantine\"\n";
    lake.define("tables/curated/cheap.toml", &(derived("incremental") + expectation));
    lake.land_first_orders();
    lake.sync().await;
    switch_feed(&lake, false).await;
    lake.sync().await;
    delete(&lake, "id = 1 or id = 4").await;
    vacuum(&lake).await;
    let outcome = lake.try_sync().await;
    let mut stopped = 0;
    for table in &outcome.tables {
        let Some(Problem::Failed(error)) = &table.problem else { continue };
        assert!(error.message().contains("files of v1 are gone (orders)"), "{error}");
        assert_eq!(error.next(), Some("stedi-delta sync -s orders+ --full-refresh   (every table below orders)"));
        stopped += 1;
    }
    assert!(stopped >= 3, "{outcome:?}");
    let Some(Problem::Failed(error)) = &of(&outcome, "cheap").problem else { panic!("{outcome:?}") };
    assert_ok(&lake.try_sync_with(full_refresh(error.next().unwrap())).await);
    lake.assert_recomputed().await;
    assert_eq!(lake.count("select count(*) from cheap_quarantine").await, 1);
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    // Without other tables below, the hint names that table alone.
    let lake = shop("incremental");
    fs::remove_file(lake.root().join("tables/curated/items.toml")).unwrap();
    fs::remove_file(lake.root().join("tables/curated/items.sql")).unwrap();
    lake.land_first_orders();
    lake.sync().await;
    switch_feed(&lake, false).await;
    lake.sync().await;
    delete(&lake, "id = 1").await;
    vacuum(&lake).await;
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "cheap").problem else { panic!("{outcome:?}") };
    assert_eq!(error.next(), Some("stedi-delta sync -s cheap --full-refresh"));
    assert_ok(&lake.try_sync_with(full_refresh(error.next().unwrap())).await);
    lake.assert_recomputed().await;
}
