//! Versions and times of tables, and cuts of the whole lake, in `query` and `history`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use stedi_delta::inspect::{self, HistoryOptions, QueryOptions};
use stedi_delta::travel::{AsOf, Point, Zone};

use crate::support::shop::{orders, shop};
use crate::support::{Lake, foreign_delete};

fn commit(lake: &Lake, table: &str, version: u64) -> PathBuf {
    lake.warehouse().join(table).join(format!("_delta_log/{version:020}.json"))
}

/// Rewrites the `commitInfo` of a commit.
fn inform(lake: &Lake, table: &str, version: u64, change: impl Fn(&mut Value)) {
    let file = commit(lake, table, version);
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        if let Some(info) = action.get_mut("commitInfo") {
            change(info);
        }
        action.to_string() + "\n"
    });
    let lines: String = lines.collect();
    fs::write(&file, lines).unwrap();
}

fn ms(time: &str) -> i64 {
    let Point::Time { ms, .. } = Point::parse(time, &Zone::default()).unwrap() else { panic!("{time}") };
    ms
}

/// A lake whose orders have three versions with 2, 4 and 6 rows.
async fn three() -> Lake {
    let lake = shop("auto");
    for (file, ids) in [("a", 0..2), ("b", 2..4), ("c", 4..6)] {
        lake.land(&format!("orders/{file}.json"), orders(ids));
        lake.sync().await;
    }
    lake
}

async fn ask(lake: &Lake, sql: &str, at: &QueryOptions) -> Result<(Vec<String>, Vec<String>), String> {
    use futures::TryStreamExt;
    let answer = inspect::answer(&lake.workspace().await, sql, at).await.map_err(|error| error.to_string())?;
    let batches: Vec<_> = answer.batches.try_collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let texts = batch
                .columns()
                .iter()
                .map(|column| deltalake::arrow::util::display::array_value_to_string(column, row).unwrap());
            rows.push(texts.collect::<Vec<_>>().join("|"));
        }
    }
    Ok((rows, answer.notes))
}

/// The number of orders.
async fn counted(lake: &Lake, table: &str) -> Result<String, String> {
    let (rows, _) = ask(lake, &format!("select count(*) from {table}"), &QueryOptions::default()).await?;
    Ok(rows[0].clone())
}

async fn at(lake: &Lake, sql: &str, by: AsOf) -> Result<String, String> {
    let (rows, _) = ask(lake, sql, &QueryOptions { cut: Some(by), zone: Zone::default() }).await?;
    Ok(rows.join(" "))
}

fn time(text: &str) -> AsOf {
    AsOf::Time(Point::parse(text, &Zone::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_the_newest_version_that_was_committed_by_then() {
    let lake = three().await;
    let times = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", "2026-01-02T09:00:00Z"];
    for (version, time) in (0..).zip(times) {
        inform(&lake, "landing/orders", version, |info| info["timestamp"] = ms(time).into());
    }
    let count = async |table: &str| counted(&lake, table).await;
    for (table, rows) in [
        ("orders@v0", "2"),
        ("ORDERS@V1 o", "4"),
        ("orders@2026-01-01", "2"),
        ("orders@2026-01-01T10:00:00Z", "2"),
        ("orders@2026-01-02T09:59:59.999Z", "2"),
        // The clock went backwards: the last commit counts a millisecond after the one before.
        ("orders@2026-01-02T10:00:00Z", "4"),
        ("orders@2026-01-02T10:00:00.001Z", "6"),
        ("orders@2026-01-02T11:00:00+01:00", "4"),
        ("orders@2099-01-01", "6"),
        ("\"orders@2026-01-01\"", "2"),
        ("orders version as of 1", "4"),
        ("orders for version as of '1' as o", "4"),
        ("orders timestamp as of '2026-01-02 09:30:00'", "2"),
        ("orders for timestamp as of timestamp '2026-01-01'", "2"),
        ("runs@v0", "1"),
    ] {
        assert_eq!(count(table).await.as_deref(), Ok(rows), "{table}");
    }
    let joined = "select count(*) from orders@v2 n left join orders@v0 o on n.id = o.id where o.id is null";
    assert_eq!(lake.rows(joined).await, ["4"]);
    assert_eq!(lake.rows("select orders.id from orders@v0 where orders.id > 0").await, ["1"]);
    let refused = count("orders@2025-12-31").await.unwrap_err();
    assert!(refused.starts_with("orders has no version of 2025-12-31"), "{refused}");
    assert!(count("orders@v7").await.unwrap_err().contains("no version 7"));
    assert!(count("orders@yesterday").await.unwrap_err().contains("`yesterday` is neither a version nor a time"));

    // Without a time in the log, the object's; `inCommitTimestamp` goes before `timestamp`.
    inform(&lake, "landing/orders", 2, |info| drop(info.as_object_mut().unwrap().remove("timestamp")));
    assert_eq!(count("orders@2026-01-03").await.as_deref(), Ok("4"));
    inform(&lake, "landing/orders", 2, |info| info["inCommitTimestamp"] = ms("2026-01-03T00:00:00Z").into());
    assert_eq!(count("orders@2026-01-03").await.as_deref(), Ok("6"));
    let zone = Zone::parse("Asia/Tokyo").unwrap();
    let (rows, _) =
        ask(&lake, "select count(*) from orders@2026-01-03", &QueryOptions { cut: None, zone }).await.unwrap();
    assert_eq!(rows, ["6"]);
    let zone = Zone::parse("-12:00").unwrap();
    let (rows, _) =
        ask(&lake, "select count(*) from orders@2026-01-02", &QueryOptions { cut: None, zone }).await.unwrap();
    assert_eq!(rows, ["6"], "noon of the next day in UTC");

    // The log begins later.
    deltalake::checkpoints::create_checkpoint(
        &deltalake::open_table(url::Url::from_directory_path(lake.warehouse().join("landing/orders")).unwrap())
            .await
            .unwrap(),
        None,
    )
    .await
    .unwrap();
    for version in 0..2 {
        fs::remove_file(commit(&lake, "landing/orders", version)).unwrap();
    }
    assert_eq!(count("orders@2026-01-03").await.as_deref(), Ok("6"));
    let refused = count("orders@2026-01-02").await.unwrap_err();
    assert!(refused.starts_with("orders has no version of 2026-01-02"), "{refused}");
    let shown = HistoryOptions { limit: 9, since: None };
    let history = inspect::history(&lake.workspace().await, "orders", &shown).await.unwrap();
    assert_eq!((history.entries.len(), history.begins), (1, Some(2)));
}

/// The id of the n-th run.
async fn run(lake: &Lake, nth: usize) -> String {
    let (rows, _) = ask(lake, "select run from runs order by ended_at", &QueryOptions::default()).await.unwrap();
    rows[nth].clone()
}

const BOTH: &str =
    "select (select count(*) from orders) as o, (select sum(n) from items) as i, (select count(*) from cheap) as c";

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_what_one_sync_left() {
    let lake = three().await;
    for (nth, rows) in [(0, "2|2|2"), (1, "4|4|4"), (2, "6|6|5")] {
        let id = run(&lake, nth).await;
        assert_eq!(at(&lake, BOTH, AsOf::Run(id)).await.as_deref(), Ok(rows), "{nth}");
        let (rows_then, _) =
            ask(&lake, "select cast(ended_at as varchar) from runs order by ended_at", &QueryOptions::default())
                .await
                .unwrap();
        assert_eq!(
            at(&lake, BOTH, time(&format!("{}Z", rows_then[nth].trim_end_matches('Z')))).await.as_deref(),
            Ok(rows)
        );
    }
    // What another writer did since is in no cut; a version in the query goes before it.
    foreign_delete(&lake, "landing/orders", "id = 0").await;
    assert_eq!(at(&lake, BOTH, time("2099-01-01")).await.as_deref(), Ok("6|6|5"));
    assert_eq!(at(&lake, "select count(*) from orders@v0", time("2099-01-01")).await.as_deref(), Ok("2"));
    assert_eq!(lake.rows("select count(*) from orders").await, ["5"]);
    let refused = at(&lake, BOTH, AsOf::Run("nothing".into())).await.unwrap_err();
    assert!(refused.starts_with("there is no run `nothing`"), "{refused}");
    let refused = at(&lake, BOTH, time("v3")).await.unwrap_err();
    assert!(refused.starts_with("`v3` is the version of one table"), "{refused}");
    let refused = at(&lake, BOTH, time("2020-01-01")).await.unwrap_err();
    assert!(refused.contains("has no version of 2020-01-01"), "{refused}");

    // A table that is added later did not exist then.
    lake.define("tables/curated/dear.toml", "description = \"Dear\"\n");
    lake.define("tables/curated/dear.sql", "select o.id from orders o where o.price > 4");
    lake.sync().await;
    let third = run(&lake, 2).await;
    let refused = at(&lake, "select count(*) from dear", AsOf::Run(third)).await.unwrap_err();
    assert!(refused.starts_with("dear did not exist then"), "{refused}");

    // A run that failed left no cut.
    lake.define("tables/curated/dear.sql", "select o.id / (o.id - 6) as id from orders o where o.price > 4");
    lake.land("orders/d.json", orders(6..8));
    let outcome = lake.try_sync().await;
    assert!(outcome.tables.iter().any(|table| table.problem.is_some()), "{outcome:?}");
    let failed = run(&lake, 4).await;
    for by in [AsOf::Run(failed.clone()), time("2099-01-01")] {
        let refused = at(&lake, BOTH, by).await.unwrap_err();
        assert!(refused.starts_with(&format!("run {failed} failed: it left no cut")), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_runs_the_logs_tell_and_a_sync_at_work_is_left_out() {
    let lake = three().await;
    // The third sync committed to orders before noon, and to the others after it.
    for (table, early) in [("landing/orders", "11:59:59"), ("trusted/cheap", "12:00:01"), ("curated/items", "12:00:02")]
    {
        for version in 0..3 {
            let time = if version < 2 {
                format!("2026-01-0{}T00:00:00Z", version + 1)
            } else {
                format!("2026-01-03T{early}Z")
            };
            inform(&lake, table, version, |info| info["timestamp"] = ms(&time).into());
        }
    }
    fs::remove_dir_all(lake.warehouse().join("system/runs")).unwrap();
    for (asked, rows) in [("2026-01-01", "2|2|2"), ("2026-01-03T12:00:00Z", "4|4|4"), ("2026-01-03", "6|6|5")] {
        assert_eq!(at(&lake, BOTH, time(asked)).await.as_deref(), Ok(rows), "{asked}");
    }
    assert_eq!(counted(&lake, "orders@2026-01-03T12:00:00Z").await.as_deref(), Ok("6"), "one table alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_by_names_that_they_had() {
    let lake = three().await;
    let first = run(&lake, 0).await;
    fs::rename(lake.root().join("tables/trusted/cheap.toml"), lake.root().join("tables/trusted/bargains.toml"))
        .unwrap();
    fs::rename(lake.root().join("tables/trusted/cheap.sql"), lake.root().join("tables/trusted/bargains.sql")).unwrap();
    fs::remove_file(lake.root().join("tables/curated/items.toml")).unwrap();
    fs::remove_file(lake.root().join("tables/curated/items.sql")).unwrap();
    lake.define("migrations/0001_names.sql", "alter table cheap rename to bargains;\ndrop table items;\n");
    lake.sync().await;
    let at_v0 = QueryOptions::default();
    let (rows, notes) = ask(&lake, "select count(*) from cheap@v0", &at_v0).await.unwrap();
    assert_eq!((rows, notes), (vec!["2".to_owned()], vec!["`cheap` is called `bargains` today".to_owned()]));
    let (rows, notes) = ask(&lake, "select sum(n) from items@v1", &at_v0).await.unwrap();
    assert_eq!(rows, ["4"]);
    assert_eq!(notes, ["`items` was dropped: it has the rows that it had then"]);
    let then = "select (select count(*) from bargains) as b, (select sum(n) from items) as i";
    assert_eq!(at(&lake, then, AsOf::Run(first)).await.as_deref(), Ok("2|2"));
    let shown = HistoryOptions { limit: 9, since: Some(Point::Version(1)) };
    let history = inspect::history(&lake.workspace().await, "items", &shown).await.unwrap();
    assert_eq!(history.entries.iter().map(|entry| entry.version).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_counts_what_changed_and_reaches_back_through_what_did_not() {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..2));
    lake.sync().await;
    // Orders that are not cheap: the table follows its source without a change.
    for n in 0..40 {
        lake.land(&format!("orders/n{n}.json"), orders(100 + n..101 + n));
        lake.sync().await;
    }
    let history =
        async |limit, since| inspect::history(&lake.workspace().await, "cheap", &HistoryOptions { limit, since }).await;
    let all = history(2, None).await.unwrap().entries;
    let quiet = all.iter().filter(|entry| entry.is_quiet).count();
    assert_eq!((all.len() - quiet, all.last().unwrap().version), (1, 0), "{all:?}");
    let newest = all[0].version;
    let some = history(2, Some(Point::Version(newest - 1))).await.unwrap().entries;
    assert_eq!(some.iter().map(|entry| entry.version).collect::<Vec<_>>(), [newest, newest - 1]);
}
