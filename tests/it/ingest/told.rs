//! Warnings of a sync in which nothing failed.

use super::*;
use crate::support::customer;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_is_left_out_and_the_others_land() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "broken\n");
    lake.land("orders/b.json", order(2));
    lake.sync().await;
    lake.land("orders/a.json", order(3) + &order(4));
    lake.land("orders/c.json", order(5));
    for _ in 0..2 {
        let outcome = lake.try_sync().await;
        assert_eq!(exit::of_sync(&outcome), 1);
        let [left_out] = of(&outcome, "orders").left_out.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(left_out.message(), "1 file of orders changed after being ingested");
        assert!(left_out.next().unwrap().contains("stedi-delta sync --reload orders:orders/a.json"));
        assert!(of(&outcome, "sold").problem.is_none());
        assert_eq!(ids(&lake).await, ["1", "2", "5"]);
        lake.assert_recomputed().await;
    }
    let outcome = reload(&lake, "orders:orders/a.json").await;
    let done = of(&outcome, "orders");
    assert_eq!((done.rows.inserted, done.rows.deleted, done.reason.as_str()), (2, 1, "1 replaced file"));
    assert_eq!(of(&outcome, "sold").mode, Mode::Incremental);
    assert_eq!(ids(&lake).await, ["2", "3", "4", "5"]);
    assert_eq!(assert_accounted(&lake).await, (4, 4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_which_nothing_lands_is_named() {
    let lake = plain();
    lake.land("orders/a.json", order(1) + "{\"id\":\"x\"}\n");
    lake.land("orders/b.json", "{\"id\":\"x\"}\n{\"id\":\"y\"}\n");
    let outcome = lake.sync().await;
    let warning = of(&outcome, "orders").warnings.iter().find(|w| w.message.starts_with("no record")).unwrap();
    assert_eq!(warning.message, "no record of 1 file of orders could land");
    assert_eq!(warning.details, ["orders/b.json: 2 records"]);
    assert_eq!(exit::of_sync(&outcome), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_without_a_file_and_an_empty_root_are_named_and_tables_are_made() {
    let lake = plain();
    let warned = |outcome: &SyncOutcome| -> Vec<String> {
        of(outcome, "orders").warnings.iter().map(|w| w.message.clone()).collect()
    };
    let outcome = lake.sync().await;
    let root = lake.landing().display().to_string();
    assert_eq!(warned(&outcome), [format!("there is nothing under the landing root `{root}`")]);
    assert_eq!(lake.count("select count(*) from orders").await, 0);
    lake.land("order/a.json", order(1));
    let mistyped = format!("no file of orders is there: none under `{root}` fits `orders/**/*.json*`");
    assert_eq!(warned(&lake.sync().await), std::slice::from_ref(&mistyped));
    lake.land("orders/a.json", order(2));
    assert!(warned(&lake.sync().await).is_empty());
    // Files that landed and were deleted since count as existing once.
    fs::remove_file(lake.landing().join("orders/a.json")).unwrap();
    assert!(warned(&lake.sync().await).is_empty());
    let other = orders("", COLUMNS, "").replace("orders/**", "oders/**");
    lake.define("tables/landing/orders.toml", &other);
    assert_eq!(warned(&lake.sync().await), [mistyped.replace("fits `orders", "fits `oders")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_max_quarantined_nothing_of_the_table_lands() {
    let bad = "{\"id\":\"x\"}\n";
    for (limit, lands) in [("\"50 %\"", true), ("\"49.9 %\"", false), ("2", true), ("1", false)] {
        let lake = shop(&orders(&format!("max_quarantined = {limit}"), COLUMNS, ""));
        lake.land("orders/a.json", order(1) + bad + bad);
        lake.land("orders/b.json", order(2));
        let outcome = lake.try_sync().await;
        if lands {
            assert_ok(&outcome);
            assert_eq!(assert_accounted(&lake).await, (4, 2, 2));
            continue;
        }
        assert_eq!(exit::of_sync(&outcome), 3, "{limit}");
        let problem = format!("{:?}", of(&outcome, "orders").problem);
        assert!(problem.contains("2 of 4 records") && problem.contains("orders/a.json at byte"), "{problem}");
        assert!(!lake.warehouse().join("landing/orders/_delta_log").exists(), "{limit}");
        fs::remove_file(lake.landing().join("orders/a.json")).unwrap();
        lake.sync().await;
        assert_eq!(ids(&lake).await, ["2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_goes_to_quarantine_is_said_first() {
    let lake = Lake::stedi();
    lake.land_customers("a", customer("ann@x", "s1", 1, 1));
    lake.build().await;
    lake.land_customers("b", "{\"email\":\"ann@x\",\"serialNumber\":\"s1\",\"lastUpdateDate\":\"2\"}\n");
    let outcome = lake.sync().await;
    let [warning, ..] = of(&outcome, "customer_landing").warnings.as_slice() else { panic!("{outcome:?}") };
    let message = "1 record of the record of consent could not land: a withdrawal among them has not taken effect";
    assert_eq!(warning.message, message);
    assert!(warning.comes_first());
}
