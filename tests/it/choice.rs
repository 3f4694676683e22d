//! What refreshes tell of their work in `commitInfo`, and the choice that reads it back.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use stedi_delta::outcome::{Action, Mode};
use stedi_delta::{inspect, sync};

use crate::support::shop::{ITEMS, derived, shop};
use crate::support::{Lake, assert_ok, of, plan_of};

/// The newest commit of a table.
fn newest(lake: &Lake, table: &str) -> PathBuf {
    let log = fs::read_dir(lake.warehouse().join(table).join("_delta_log")).unwrap();
    let commits = log.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    commits.max().unwrap()
}

/// What that commit says in `stediDelta`.
fn told(lake: &Lake, table: &str) -> Value {
    let text = fs::read_to_string(newest(lake, table)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["commitInfo"]["stediDelta"].clone()).find(Value::is_object).unwrap()
}

/// Makes that commit say something else of recent refreshes.
fn forge(lake: &Lake, table: &str, history: &Value) {
    let path = newest(lake, table);
    let text = fs::read_to_string(&path).unwrap();
    let forged = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["commitInfo"]["stediDelta"].is_object() {
            line["commitInfo"]["stediDelta"]["history"] = history.clone();
        }
        format!("{line}\n")
    });
    fs::write(&path, forged.collect::<String>()).unwrap();
}

fn entries(told: &Value) -> Vec<&str> {
    told["history"].as_array().unwrap().iter().map(|entry| entry["mode"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_tells_its_work_and_later_commits_repeat_it() {
    let lake = shop("auto");
    lake.land_first_orders();
    lake.sync().await;
    let first = told(&lake, "curated/items");
    assert_eq!(entries(&first), ["full"]);
    for figure in ["computeMs", "writeMs", "checkMs", "rowsRead", "bytesRead", "bytesWritten"] {
        assert!(first["work"][figure].is_u64(), "{figure}: {first}");
    }
    assert_eq!(first["work"]["rowsRead"], 10);
    assert!(first["history"][0]["expectedMs"].as_u64().unwrap() > 0);
    lake.land_more_orders();
    lake.sync().await;
    let second = told(&lake, "curated/items");
    assert_eq!((second["mode"].as_str(), entries(&second)), (Some("incremental"), vec!["incremental", "full"]));
    assert_eq!(second["history"][1], first["history"][0]);
    // A commit that is no refresh.
    lake.define("tables/curated/items.toml", &derived("auto").replace("Derived", "Other words"));
    lake.sync().await;
    let third = told(&lake, "curated/items");
    assert_eq!((&third["mode"], &third["history"]), (&json!("metadata"), &second["history"]));
    assert!(third["work"].is_null());
    // Another query has a history of its own.
    lake.define("tables/curated/items.sql", &ITEMS.replace("count(*)", "count(*) + 1"));
    lake.sync().await;
    assert_eq!(entries(&told(&lake, "curated/items")), ["full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_definition_decides_there_is_no_history() {
    for refresh in ["incremental", "full"] {
        let lake = shop(refresh);
        lake.land_first_orders();
        lake.sync().await;
        lake.land_more_orders();
        lake.sync().await;
        let told = told(&lake, "curated/items");
        assert!(told["work"]["computeMs"].is_u64() && told["history"].is_null(), "{told}");
    }
}

/// Histories that are none or wrong, and the mode if it follows from them.
fn histories() -> Vec<(Value, Option<Mode>)> {
    let of = |mode: &str, ms: Value, expected: Value| json!({ "mode": mode, "ms": ms, "expectedMs": expected });
    let absurd = [json!(-1), json!(u64::MAX), json!(1.0e300), json!("NaN"), json!(null), json!([1]), json!(true)];
    let absurd = absurd.into_iter().flat_map(|figure| {
        [
            of("full", figure.clone(), json!(100)),
            of("incremental", json!(100), figure.clone()),
            of("", figure.clone(), figure),
        ]
    });
    let both = |incremental: u64, full: u64| {
        json!([of("incremental", json!(incremental), json!(1_000)), of("full", json!(full), json!(1_000))])
    };
    vec![
        (json!("history"), None),
        (absurd.collect(), Some(Mode::Incremental)),
        (both(86_400_000, 0), Some(Mode::Full)),
        (both(0, 86_400_000), Some(Mode::Incremental)),
        (Value::Array(vec![of("full", json!(7_000), json!(1_000)); 10_000]), None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_figures_change_time_and_never_rows() {
    let lake = Lake::project(&[
        (
            "tables/landing/readings.toml",
            "description = \"x\"\n[source]\npath = \"readings/*.json\"\nformat = \"json\"\n[columns]\nk = \"long\"\nv = \"long\"\n",
        ),
        ("tables/trusted/sums.toml", &derived("auto")),
        (
            "tables/trusted/sums.sql",
            "select r.k, r.v, sum(r.v) over (partition by r.k order by r.v, r.source_file, r.source_offset) as s \
             from readings r",
        ),
    ]);
    let file = |rows: std::ops::Range<u64>| -> String {
        rows.map(|n| format!("{{\"k\":{},\"v\":{}}}\n", n % 1_000, n * 7_919 % 10_007)).collect()
    };
    lake.land("readings/a.json", file(0..100_000));
    lake.sync().await;
    for (round, (history, turned)) in histories().into_iter().enumerate() {
        let at = 200_000 + 20_000 * round as u64;
        forge(&lake, "trusted/sums", &history);
        lake.land(&format!("readings/{round}.json"), file(at..at + 3_000));
        // After landing, so that the plan knows the change.
        let landing = sync::Options { select: vec!["readings".into()], ..sync::Options::default() };
        assert_ok(&lake.try_sync_with(landing).await);
        let plan = inspect::explain(&lake.workspace().await, &[]).await.unwrap();
        let planned = plan_of(&plan, "sums");
        let outcome = lake.sync().await;
        let sums = of(&outcome, "sums");
        assert_eq!(Action::Do(sums.mode), planned.action, "{history}: {}", planned.reason);
        assert!(turned.is_none_or(|mode| mode == sums.mode), "{history}: {:?} {}", planned.explanation, sums.reason);
        assert!(entries(&told(&lake, "trusted/sums")).len() <= 8);
    }
    lake.assert_recomputed().await;
}
