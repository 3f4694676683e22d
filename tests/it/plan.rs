//! `plan` predicts a sync and writes nothing; `sync --verify` compares tables with their queries; the choice between
//! incremental and full; drift.

use std::fs;
use std::path::PathBuf;

use deltalake::DeltaTableBuilder;
use stedi_delta::cli::exit;
use stedi_delta::inspect;
use stedi_delta::outcome::{Action, Mode, PlanOutcome, Problem, Verified};
use stedi_delta::sync;
use url::Url;

use crate::support::shop::{derived, orders, shop};
use crate::support::{Lake, assert_ok, foreign_delete, of, plan_of, verify};

async fn planned(lake: &Lake) -> PlanOutcome {
    let before = lake.files();
    let plan = inspect::explain(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!(lake.files(), before, "a plan writes nothing");
    plan
}

fn actions(plan: &PlanOutcome) -> Vec<(&str, Action)> {
    plan.tables.iter().map(|t| (t.table.as_str(), t.action)).collect()
}

/// Another writer deletes a row of a table at v0 and forges the log so that the commit looks like ours.
async fn forged_delete(lake: &Lake, table: &str) {
    foreign_delete(lake, table, "id = 1").await;
    forge(lake, table);
}

/// Makes another writer's commit on a table at v0 look like ours.
fn forge(lake: &Lake, table: &str) {
    let log = lake.warehouse().join(table).join("_delta_log");
    let ours = fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
    let txns: String = ours.lines().filter(|l| l.starts_with("{\"txn\"")).map(|l| format!("{l}\n")).collect();
    let txns =
        txns.replace("\"appId\":\"stedi-delta/head\",\"version\":0", "\"appId\":\"stedi-delta/head\",\"version\":1");
    let forged = fs::read_to_string(log.join("00000000000000000001.json")).unwrap();
    fs::write(log.join("00000000000000000001.json"), forged.trim_end().to_owned() + "\n" + &txns).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_the_sync_then_does() {
    let lake = shop("auto");
    lake.land_first_orders();
    let first = planned(&lake).await;
    assert_eq!(
        actions(&first),
        [("orders", Action::Do(Mode::Ingest)), ("cheap", Action::Do(Mode::Full)), ("items", Action::Do(Mode::Full))],
        "{first:?}"
    );
    assert!(!lake.warehouse().exists(), "not even a folder");
    assert_eq!(plan_of(&first, "orders").reason, "2 new files");
    assert_eq!(plan_of(&first, "cheap").reason, "first build");
    lake.sync().await;
    let even = planned(&lake).await;
    assert!(even.tables.iter().all(|t| t.action == Action::Do(Mode::None)), "{even:?}");
    assert!(!exit::is_pending(&even));

    lake.land("orders/d.json", orders(20..22));
    let ahead = planned(&lake).await;
    let cheap = plan_of(&ahead, "cheap");
    assert_eq!((cheap.action, cheap.after_ingest), (Action::Do(Mode::Incremental), true));
    assert_eq!(plan_of(&ahead, "orders").estimate.unwrap().bytes, cheap.estimate.unwrap().bytes);
    assert!(exit::is_pending(&ahead) && exit::of_plan(&ahead, false) == 0);
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").mode, of(&outcome, "items").mode), (Mode::Incremental, Mode::Incremental));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_knows_the_rows_of_a_source_that_moved_and_explains_the_rules() {
    let lake = shop("incremental");
    lake.define("tables/curated/late.toml", &derived("incremental"));
    lake.define("tables/curated/late.sql", "select c.item, count(*) as n from cheap c group by c.item");
    lake.land_first_orders();
    lake.sync().await;
    lake.land("orders/d.json", orders(3..5));
    let only = |table: &str| sync::Options { select: vec![table.into()], ..sync::Options::default() };
    assert_ok(&lake.try_sync_with(only("items")).await);
    let plan = planned(&lake).await;
    let cheap = plan_of(&plan, "cheap");
    assert_eq!((cheap.action, cheap.reason.as_str()), (Action::Do(Mode::Incremental), "orders v0 -> v1"));
    assert_eq!((cheap.estimate.unwrap().rows, cheap.estimate.unwrap().at_most), (Some(2), false));
    let operators = &cheap.explanation.as_ref().unwrap().operators;
    assert!(operators.iter().any(|o| o.operator == "scan orders" && o.rule.starts_with("data files v0 -> v1, 2 rows")));
    assert!(operators.iter().any(|o| o.operator.starts_with("filter: ") && o.rule == "applied to the change"));
    let late = plan_of(&plan, "late");
    assert_eq!(late.after.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["cheap"]);
    assert_eq!((late.estimate.unwrap().rows, late.estimate.unwrap().at_most), (Some(2), true));
    let group = &late.explanation.as_ref().unwrap().operators;
    assert!(group.iter().any(|o| o.rule == "the change combined with the table's rows"), "{group:?}");
    assert_eq!(plan_of(&plan, "items").action, Action::Do(Mode::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_a_change_by_the_files_that_the_sync_then_reads() {
    let lake = shop("incremental");
    lake.define("tables/curated/late.toml", &derived("incremental"));
    lake.define("tables/curated/late.sql", "select c.id from cheap c");
    lake.land_first_orders();
    lake.sync().await;
    lake.land("orders/a.json", orders(2..4));
    assert_ok(&lake.try_sync_with(sync::Options { select: vec!["cheap".into()], ..sync::Options::default() }).await);
    let scan = async || {
        let plan = planned(&lake).await;
        let late = plan_of(&plan, "late");
        let operators = &late.explanation.as_ref().unwrap().operators;
        let rule = &operators.iter().find(|o| o.operator == "scan cheap").unwrap().rule;
        (late.estimate.unwrap().rows, rule.rsplit_once(", ").unwrap().0.to_owned())
    };
    // Orders 0, 1 and 4 were deleted.
    assert_eq!(scan().await, (Some(3), "change feed v0 -> v1, 3 rows".to_owned()));
    // Without the feed a file of five rows is compared with one of two.
    fs::remove_dir_all(lake.warehouse().join("trusted/cheap/_change_data")).unwrap();
    assert_eq!(scan().await, (Some(7), "data files v0 -> v1, 7 rows".to_owned()));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "late").mode, of(&outcome, "late").rows.deleted), (Mode::Incremental, 3));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_stops_leaves_those_below_behind() {
    let lake = shop("incremental");
    lake.land_first_orders();
    lake.define("tables/curated/late.toml", &derived("auto"));
    lake.define("tables/curated/late.sql", "select c.id from cheap c");
    lake.sync().await;
    foreign_delete(&lake, "trusted/cheap", "id = 1").await;
    let plan = planned(&lake).await;
    assert_eq!(plan_of(&plan, "cheap").action, Action::Stop);
    assert!(plan_of(&plan, "cheap").problem.as_ref().unwrap().message().contains("committed by another writer"));
    assert_eq!((plan_of(&plan, "late").action, plan_of(&plan, "late").reason.as_str()), (Action::Skip, "cheap stops"));
    assert_eq!(exit::of_plan(&plan, false), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_planned_repaired_and_said() {
    let lake = shop("auto");
    lake.land_first_orders();
    lake.sync().await;
    foreign_delete(&lake, "trusted/cheap", "id = 1").await;
    let plan = planned(&lake).await;
    assert_eq!(plan_of(&plan, "cheap").action, Action::Do(Mode::Full));
    assert!(
        plan_of(&plan, "cheap").warnings[0]
            .message
            .starts_with("cheap has drifted and will be rebuilt: version 1 (DELETE)")
    );
    let outcome = lake.sync().await;
    let cheap = of(&outcome, "cheap");
    assert_eq!((cheap.mode, cheap.rows.inserted), (Mode::Full, 1));
    assert!(cheap.warnings[0].message.starts_with("cheap had drifted and was rebuilt: version 1 (DELETE)"));
    assert_eq!(cheap.warnings[0].details, ["1 row came"]);
    lake.assert_recomputed().await;
    assert!(of(&lake.sync().await, "cheap").warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_only_the_change_meets_is_repaired_in_the_same_sync_or_stops() {
    let reason = "1 row that must go is not in it";
    for refresh in ["auto", "incremental"] {
        let lake = shop(refresh);
        lake.land_first_orders();
        lake.sync().await;
        forged_delete(&lake, "trusted/cheap").await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None), "nothing in the log says so");
        // The first file's orders are deleted, including the missing one.
        lake.land("orders/a.json", orders(2..4));
        let files = |lake: &Lake| -> Vec<_> {
            let data = |file: &(PathBuf, u64)| {
                file.0.extension().is_some_and(|e| e == "parquet") && file.0.to_str().unwrap().contains("trusted/cheap")
            };
            lake.files().into_iter().filter(data).collect()
        };
        let before = files(&lake);
        let outcome = lake.try_sync().await;
        let cheap = of(&outcome, "cheap");
        if refresh == "auto" {
            assert_ok(&outcome);
            assert_eq!((cheap.mode, cheap.reason.as_str()), (Mode::Full, reason));
            let warning = &cheap.warnings[0];
            assert_eq!(warning.message, format!("cheap had drifted and was rebuilt: {reason}"));
            assert_eq!(warning.details, ["2 rows went"]);
        } else {
            let Some(Problem::Failed(error)) = &cheap.problem else { panic!("{outcome:?}") };
            assert_eq!(error.message(), format!("cheap cannot be refreshed incrementally: {reason}"));
            assert_eq!(error.next(), Some("stedi-delta sync -s cheap --full-refresh"));
            assert_eq!(files(&lake), before, "what was written for it is deleted");
            let all = sync::Options { full_refresh: true, ..sync::Options::default() };
            assert_ok(&lake.try_sync_with(all).await);
        }
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None && t.warnings.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zero_goes_under_either_sign() {
    // Which zero represents a group of both is undefined in the engine, and so is the one in a change.
    let lake = shop("incremental");
    lake.land_first_orders();
    lake.sync().await;
    let url = Url::from_directory_path(lake.warehouse().join("trusted/cheap")).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    table.update().with_predicate("id = 0").with_update("price", "-0.0").await.unwrap();
    forge(&lake, "trusted/cheap");
    assert_eq!(lake.rows("select price from cheap where id = 0").await, ["-0.0"]);
    lake.land("orders/a.json", orders(2..4));
    let outcome = lake.sync().await;
    let cheap = of(&outcome, "cheap");
    assert_eq!((cheap.mode, cheap.rows.deleted, cheap.warnings.len()), (Mode::Incremental, 3, 0));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_of_a_large_table_is_computed_whole_and_a_small_one_is_not() {
    let lake = Lake::project(&[
        (
            "tables/landing/blobs.toml",
            "description = \"x\"\n[source]\npath = \"blobs/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
             [columns]\nk = \"long\"\nblob = \"string\"\n",
        ),
        ("tables/trusted/counted.toml", &derived("auto")),
        (
            "tables/trusted/counted.sql",
            "select x.n, max(x.b) as b from (select k, count(*) as n, max(blob) as b from blobs group by k) x group by x.n",
        ),
        // Its small change is far cheaper, however slow the machine is, whose times correct what is expected.
        ("tables/trusted/keyed.toml", &derived("auto")),
        ("tables/trusted/keyed.sql", "select k, count(*) as n, max(blob) as b from blobs group by k"),
    ]);
    let blob = |seed: u64| -> String {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..3000)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                char::from(b'0' + u8::try_from(x % 75).unwrap() % 75).to_string().replace(['\\', '"'], "_")
            })
            .collect()
    };
    let file = |seeds: std::ops::Range<u64>| -> String {
        seeds.map(|s| format!("{{\"k\":{s},\"blob\":\"{}\"}}\n", blob(s))).collect()
    };
    lake.land("blobs/a.json", file(1..2000));
    lake.sync().await;
    lake.land("blobs/b.json", file(3000..3003));
    let small = lake.sync().await;
    let done = of(&small, "keyed");
    assert_eq!(done.mode, Mode::Incremental, "{}", done.reason);
    assert!(done.reason.starts_with("blobs v0 -> v1; auto: ") && done.reason.ends_with(" changed"), "{}", done.reason);
    lake.land("blobs/a.json", file(5000..7000));
    let large = lake.sync().await;
    let done = of(&large, "counted");
    assert_eq!(done.mode, Mode::Full, "{}", done.reason);
    assert!(done.reason.starts_with("auto: full is cheaper: "), "{}", done.reason);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_verified_and_a_forged_one_is_evidence() {
    let lake = shop("auto");
    lake.land_first_orders();
    let outcome = lake.try_sync_with(verify()).await;
    assert_ok(&outcome);
    assert_eq!(outcome.tables.iter().filter(|t| t.verified.is_some_and(Verified::is_equal)).count(), 2);
    let idle = lake.try_sync_with(verify()).await;
    assert_eq!((of(&idle, "cheap").mode, of(&idle, "cheap").verified.unwrap().is_equal()), (Mode::None, true));
    assert!(of(&idle, "orders").verified.is_none());
    forged_delete(&lake, "trusted/cheap").await;
    let found = lake.try_sync_with(verify()).await;
    assert_eq!(exit::of_sync(&found), 3);
    let Some(Problem::Failed(error)) = &of(&found, "cheap").problem else { panic!("{found:?}") };
    assert_eq!(error.message(), "cheap does not hold what its query gives");
    assert_eq!(error.next(), Some("stedi-delta sync -s cheap --full-refresh"));
    let verified = of(&found, "cheap").verified.unwrap();
    assert_eq!((verified.rows_missing, verified.rows_extra), (1, 0));
    assert!(of(&found, "items").verified.unwrap().is_equal());
    let options = sync::Options { full_refresh: true, ..verify() };
    assert_ok(&lake.try_sync_with(options).await);
}
