//! The choice, by sizes and by history.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::datafusion::datasource::empty::EmptyTable;
use deltalake::datafusion::optimizer::Analyzer;
use deltalake::datafusion::prelude::SessionContext;

use super::*;
use crate::plan::history::Took;
use crate::sql::normalise::normalise;

const MB: u64 = 1 << 20;

const LINEAR: &str = "select k, v from orders where v > 3";
const SUMS: &str = "select o.k, count(*) as n, sum(i.v) as v from orders o join items i on i.k = o.k group by o.k";
const JOINS: &str = "select o.k, i.v from orders o join items i on i.k = o.k";
const LEFT: &str = "select o.k, i.v from orders o left join items i on i.k = o.k";
const EXTREMES: &str = "select k, max(v) as v, avg(v) as a from orders group by k";
const NESTED: &str = "select n, count(*) as groups from (select k, count(*) as n from orders group by k) x group by n";
const WINDOW: &str = "select k, v, sum(v) over (partition by k order by v, at) as s from orders";
const ALL: [&str; 7] = [LINEAR, SUMS, JOINS, LEFT, EXTREMES, NESTED, WINDOW];

#[expect(clippy::disallowed_methods, reason = "it only plans")]
async fn plan(sql: &str) -> LogicalPlan {
    let context = SessionContext::new();
    for table in ["orders", "items"] {
        let columns = ["k", "v", "at"].map(|name| Field::new(name, DataType::Int64, false));
        let table_of = EmptyTable::new(Arc::new(Schema::new(columns.to_vec())));
        context.register_table(table, Arc::new(table_of)).expect("a table");
    }
    let plan = context.state().create_logical_plan(sql).await.expect("a plan");
    let plan = Analyzer::new().execute_and_check(plan, context.copied_config().options(), |_, _| {});
    normalise(&plan.expect("an analysed plan")).expect("a normal form")
}

fn size(bytes: u64, files: u64, rows: u64) -> Size {
    Size { bytes, files, rows: Some(rows) }
}

/// A source of 100 MB in four files, with this many of its million rows changed.
fn source(name: &str, rows: u64) -> SourceSize {
    let change = Size { bytes: rows * 105, files: u64::from(rows > 0), rows: Some(rows) };
    SourceSize { name: name.into(), whole: size(100 * MB, 4, 1_000_000), change, only_adds: rows == 0 }
}

fn both(orders: u64, items: u64) -> [SourceSize; 2] {
    [source("orders", orders), source("items", items)]
}

fn costs_of(sources: &[SourceSize], table: Size, plan: &LogicalPlan, history: &History) -> Costs {
    costs(&Sizes { sources, table, exists: true, held: 256 * MB }, plan, history)
}

fn chosen(sources: &[SourceSize], table: Size, plan: &LogicalPlan) -> (bool, String) {
    match choose(&costs_of(sources, table, plan, &History::default()), sources) {
        Decision::Incremental(why) => (true, why),
        Decision::Full(why) => (false, why),
        other => panic!("neither of both modes: {other:?}"),
    }
}

fn took(mode: Mode, ms: u64, expected: u64) -> History {
    History::default().and(Took { mode, ms, expected })
}

#[tokio::test]
async fn small_changes_are_computed() {
    for sql in ALL {
        let (incremental, why) = chosen(&both(1000, 0), size(20 * MB, 2, 200_000), &plan(sql).await);
        assert!(incremental, "{sql}: {why}");
        assert_eq!(why, "auto: 102.5 KB of 200.0 MB changed");
    }
}

#[tokio::test]
async fn the_choice_turns_at_most_once_as_the_change_grows() {
    for sql in ALL {
        let plan = plan(sql).await;
        let of = |percent: u64| chosen(&both(percent * 20_000, 0), size(20 * MB, 2, 200_000), &plan).0;
        let all: Vec<bool> = (0..=100).map(of).collect();
        let turns = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(all[0] && turns <= 1, "{sql}: {all:?}");
    }
}

#[tokio::test]
async fn a_replaced_snapshot_is_computed_whole_and_tiny_ones_are_not() {
    for sql in [LEFT, EXTREMES, NESTED, WINDOW] {
        let plan = plan(sql).await;
        let replaced = |rows: u64| SourceSize {
            whole: size(rows * 40, 1, rows),
            change: size(rows * 80, 2, rows * 2),
            ..source("orders", 1)
        };
        let (incremental, why) = chosen(&[replaced(100_000), source("items", 0)], size(MB, 1, 100_000), &plan);
        assert!(!incremental && why == "auto: full is cheaper: 100 % of orders changed", "{sql}: {why}");
        let few = SourceSize { whole: size(4000, 1, 100), ..source("items", 0) };
        let (incremental, why) = chosen(&[replaced(50), few], size(2000, 1, 50), &plan);
        assert!(incremental, "{sql}: {why}");
    }
}

#[tokio::test]
async fn sums_of_many_new_rows_are_combined() {
    let [orders, items] = both(0, 400_000);
    let sources = [orders, SourceSize { only_adds: true, ..items }];
    let (incremental, why) = chosen(&sources, size(20 * MB, 1, 200_000), &plan(SUMS).await);
    assert!(incremental, "{why}");
}

#[tokio::test]
async fn groups_over_groups_cost_more_than_groups() {
    let sources = both(20_000, 0);
    let cost = async |sql| {
        let costs = costs_of(&sources, size(MB, 1, 10_000), &plan(sql).await, &History::default());
        costs.incremental.expected
    };
    let once = cost("select k, count(*) as n from orders group by k").await;
    assert!(cost(NESTED).await > 2 * once);
}

#[tokio::test]
async fn history_corrects_both_modes() {
    let plan = plan(WINDOW).await;
    let table = size(20 * MB, 2, 1_000_000);
    let of = |percent: u64, history: &History| costs_of(&both(percent * 20_000, 0), table, &plan, history);
    let none = History::default();
    let last = (1..=100).rev().find(|percent| !of(*percent, &none).prefer_full()).expect("a share");
    let alone = of(last, &none);
    assert!(last < 100 && alone.incremental.expected == alone.incremental.corrected, "{last}: {alone:?}");
    let full = Took { mode: Mode::Full, ms: 5_000, expected: 5_000 };
    let slow = of(last, &took(Mode::Incremental, 40_000, 5_000).and(full));
    assert!(slow.prefer_full() && slow.incremental.history == (1, 40_000), "{slow:?}");
    let fast = of(last + 5, &took(Mode::Incremental, 1_000, 5_000).and(full));
    assert!(!fast.prefer_full(), "{fast:?}");
    // A machine that is slow in the only known mode is expected to be slow in the other one.
    let machine = of(last, &took(Mode::Full, 30_000, 5_000));
    assert!(machine.incremental.corrected > 5 * machine.incremental.expected, "{machine:?}");
}

#[tokio::test]
async fn what_a_slow_machine_took_does_not_choose_for_a_few_rows() {
    let plan = plan(LINEAR).await;
    let sources = [SourceSize { whole: size(4000, 1, 100), change: size(40, 1, 1), ..source("orders", 1) }];
    let told = costs_of(&sources, size(2000, 1, 50), &plan, &took(Mode::Incremental, 80_000, 5));
    assert!(told.incremental.corrected > told.incremental.expected, "{told:?}");
    assert!(!told.prefer_full());
}

#[tokio::test]
async fn unknown_rows_count_by_their_bytes_and_nothing_overflows() {
    let most = Size { bytes: u64::MAX, files: u64::MAX, rows: None };
    let unknown = |name: &str| SourceSize { whole: most, change: most, ..source(name, 1) };
    for sql in ALL {
        let plan = plan(sql).await;
        for whole in [most, Size { bytes: u64::MAX, files: 0, rows: Some(u64::MAX) }, Size::default()] {
            let costs = costs_of(&[unknown("orders"), unknown("items")], whole, &plan, &took(Mode::Full, 1, 1));
            assert!(costs.full.expected > 0 && costs.incremental.expected > 0);
        }
        assert!(chosen(&[], Size::default(), &plan).0, "{sql}: nothing is known to change");
    }
}
