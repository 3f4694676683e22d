//! What a sync with nothing to do asks of tables with thousands of commits.

use std::fs;

use super::{order, ordered, requests, unshared};
use crate::support::Lake;

/// Commits in each table (`AGED_COMMITS=10000` takes a minute).
fn commits() -> u64 {
    std::env::var("AGED_COMMITS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

/// Commits that change no row, up to a version: copies of the newest one without its files.
fn aged(lake: &Lake, table: &str, to: u64) {
    let log = lake.warehouse().join(table).join("_delta_log");
    let path = |version: u64| log.join(format!("{version:020}.json"));
    let newest = (0..).take_while(|version| path(*version).exists()).last().unwrap();
    let text = fs::read_to_string(path(newest)).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<_> = lines.into_iter().filter(|l| l.get("txn").is_some() || l.get("commitInfo").is_some()).collect();
    for version in newest + 1..=to {
        let of_version = |mut line: serde_json::Value| {
            if line["txn"]["appId"] == "stedi-delta/head" {
                line["txn"]["version"] = version.into();
            }
            format!("{line}\n")
        };
        fs::write(path(version), kept.iter().cloned().map(of_version).collect::<String>()).unwrap();
    }
}

/// A lake whose tables have so many commits, one after their newest checkpoint, and six files of orders.
async fn of_age(commits: u64) -> Lake {
    let lake = unshared("incremental");
    ordered(&lake, 0..3).await;
    // The next commit of each has a checkpoint.
    for (table, id) in [("landing/orders", 3), ("trusted/cheap", 4)] {
        aged(&lake, table, commits + 18);
        order(&lake, id).await;
        assert_eq!(lake.table(table).await.version(), commits + 19, "{table}");
    }
    order(&lake, 5).await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_with_nothing_to_do_asks_for_the_same_after_thousands_of_commits() {
    let (young, old) = (of_age(0).await, of_age(commits()).await);
    assert_eq!(requests(&old).await, requests(&young).await);
    old.assert_recomputed().await;
}
