//! Running aggregates: where they continue, and where they cannot.

use deltalake::arrow::datatypes::DataType;

use super::super::support::{Bag, TestTable, Value, World, law};
use crate::evaluate::Limits;

type Row = (Vec<Value>, i64);

fn row(k: i64, d: Option<i64>, v: Option<i64>) -> Row {
    (vec![Value::Int(Some(k)), Value::Int(d), Value::Int(v)], 1)
}

fn at(k: i64, d: i64, v: i64) -> Row {
    row(k, Some(d), Some(v))
}

fn gone((row, weight): Row) -> Row {
    (row, -weight)
}

const FUNCTIONS: [&str; 13] = [
    "count(distinct v)",
    "sum(v)",
    "sum(cast(v as decimal(20, 2)))",
    "count(*)",
    "count(v)",
    "min(v)",
    "max(v)",
    "row_number()",
    "dense_rank()",
    "first_value(v)",
    "last_value(v) ignore nulls",
    "sum(v) filter (where v > 3)",
    "min(v) filter (where v < 0)",
];

const FRAMES: [&str; 3] = [
    "rows between unbounded preceding and current row",
    "range between unbounded preceding and current row",
    // Not continued: it does not end with the row.
    "rows between unbounded preceding and 1 following",
];

async fn all_hold(old: &Bag, changes: &[&[Row]]) {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let orders = ["d, v", "d desc, v", "d nulls first, v desc", "d desc nulls last, v nulls first"];
    for (turn, change) in changes.iter().enumerate() {
        let world = World { tables: vec![TestTable::new("t", &columns, old.clone(), change.to_vec())], before: false };
        for (i, function) in FUNCTIONS.iter().enumerate() {
            let order = orders[(turn + i) % orders.len()];
            let over = format!("{function} over (partition by k order by {order} {})", FRAMES[(turn + i / 2) % 3]);
            let sql = match (turn + i / 3) % 4 {
                0 => format!("select k, d, {over} as x from t"),
                1 => {
                    format!("select v, {over} as x, d, k, count(*) over (partition by k order by {order}) as n from t")
                }
                _ => format!("select k, d, v, {over} as x from t"),
            };
            if let Err(e) = law(&world, &sql, Limits::default()).await {
                panic!("{sql}\n{change:?}\n{e}");
            }
        }
    }
}

fn days() -> Bag {
    let value = |d: i64| (d % 4 != 0).then_some(d % 7 - 2);
    let days = (0..20).flat_map(|d| [row(1, Some(d), value(d)), row(2, Some(d), value(d + 3))]);
    days.chain([at(3, -50, 4)]).collect()
}

#[tokio::test]
async fn values_continue_those_before_the_change() {
    let changes: [&[Row]; 7] = [
        // Behind all rows, of partitions whose last row is near, far, and not there.
        &[at(1, 20, 5), at(1, 21, -9), at(2, 22, 8)],
        &[at(1, 20, 5), at(3, 20, 6), at(4, 20, 7)],
        // In the middle, and before all rows.
        &[at(1, 7, 50), at(2, 15, -50)],
        &[at(1, -1, 50), at(2, 19, -50)],
        &[gone(at(1, 9, 0)), at(1, 9, 30), gone(at(2, 19, -1))],
        &[gone(at(3, -50, 4))],
        &[row(1, Some(20), None), row(2, Some(21), None)],
    ];
    all_hold(&days(), &changes).await;
}

#[tokio::test]
async fn where_rows_tie_for_the_last_place_the_partition_is_recomputed() {
    // The same row twice, and rows that differ where no order key that is shown differs.
    let twice = |k: i64, d: i64, v: i64| (at(k, d, v).0, 2);
    let old =
        vec![at(1, 1, 2), twice(1, 5, 3), at(2, 5, 1), at(2, 5, 7), at(2, 5, -4), row(3, Some(5), None), at(3, 5, 2)];
    let changes: [&[Row]; 3] = [
        &[at(1, 6, 1), at(2, 6, 1), at(3, 6, 1)],
        &[at(1, 6, 1), at(1, 7, -100), at(2, 7, 1)],
        &[gone(at(1, 5, 3)), at(3, 6, 1)],
    ];
    all_hold(&old, &changes).await;
}

#[tokio::test]
async fn a_change_without_an_order_key_recomputes_its_partition() {
    let old: Bag =
        days().into_iter().chain([row(1, None, Some(6)), row(1, None, Some(7)), row(5, None, Some(7))]).collect();
    let changes: [&[Row]; 5] = [
        &[row(1, None, Some(9)), at(2, 20, 9)],
        &[gone(row(1, None, Some(6)))],
        &[row(1, None, Some(9)), at(1, 10, 9)],
        // Rows without an order key stand before all others, or behind them.
        &[at(1, 20, 9), at(5, 20, 8)],
        &[at(1, -5, 9), at(5, 3, 8), row(6, None, Some(1))],
    ];
    all_hold(&old, &changes).await;
}

#[tokio::test]
async fn the_ends_of_a_type_are_ends() {
    let (least, greatest) = (i64::MIN, i64::MAX);
    let old: Bag = vec![at(1, least, 4), at(1, greatest, 5), at(2, 0, 3)];
    let changes: [&[Row]; 4] = [
        &[at(2, least, 1)],
        &[at(2, greatest, 1)],
        &[gone(at(1, least, 4)), at(2, 1, 1)],
        &[gone(at(1, greatest, 5)), at(1, greatest, 6), at(2, -1, 7)],
    ];
    all_hold(&old, &changes).await;
}

/// The sum of the changed rows alone is too great for its type; that of all rows is not.
#[tokio::test]
async fn a_sum_may_pass_what_its_rows_alone_may_not() {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let old = vec![at(1, 1, i64::MIN + 5), at(2, 1, 7)];
    let change = vec![at(1, 2, i64::MAX), at(1, 3, 900), at(2, 2, 1)];
    let world = World { tables: vec![TestTable::new("t", &columns, old, change)], before: false };
    for of in ["v", "cast(v as decimal(38, 19))"] {
        let sql = format!("select k, d, v, sum({of}) over (partition by k order by d) as x from t");
        law(&world, &sql, Limits::default()).await.expect("the law");
    }
}
