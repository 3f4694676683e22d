//! Windows that read some rows around their own: which rows a change reaches, and which rows those need.

use std::collections::BTreeSet;

use deltalake::arrow::datatypes::DataType;

use super::super::support::{Bag, TestTable, Value, World, law};
use crate::evaluate::Limits;

type Row = (Vec<Value>, i64);

fn row(k: i64, d: Option<i64>, v: i64) -> Row {
    (vec![Value::Int(Some(k)), Value::Int(d), Value::Int(Some(v))], 1)
}

fn gone((row, weight): Row) -> Row {
    (row, -weight)
}

const ORDERS: [&str; 4] = ["d", "d desc", "d nulls first", "d desc nulls last"];

/// Functions of each direction and reach over `t`, each with one of the orders, in a query that shows its order key or
/// does not; `turn` tells which.
fn queries(turn: usize) -> Vec<String> {
    let functions = [
        "lag(v) over ()",
        "lead(v) over ()",
        "lag(v, 3) over ()",
        "lead(v, 2, -1) over ()",
        "lag(v, -2) over ()",
        "lag(v, 0) over ()",
        "sum(v) over (rows between 2 preceding and current row)",
        "sum(v) over (rows between current row and 2 following)",
        "sum(v) over (rows between 1 preceding and 3 following)",
        "count(*) over (rows between 4 preceding and 2 preceding)",
        "max(v) over (rows between 2 following and 3 following)",
        "first_value(v) over (rows between 2 preceding and 1 following)",
        "sum(v) over (groups between 1 preceding and 2 following)",
        // What reads more than some rows.
        "lag(case when v % 3 = 0 then v end) ignore nulls over ()",
        "row_number() over ()",
        "sum(v) over (rows between unbounded preceding and 1 following)",
    ];
    let over = |at: usize| format!("over (partition by k order by {}, v ", ORDERS[(turn + at) % ORDERS.len()]);
    let one = |(at, function): (usize, &&str)| {
        let function = function.replace("over (", &over(at));
        match (turn + at / ORDERS.len()) % 3 {
            0 => format!("select k, d, v, {function} as x from t"),
            1 => format!("select k, v, {function} as x from t"),
            _ => format!("select k, sum(x) as x from (select k, {function} as x from t) group by k"),
        }
    };
    let mut all: Vec<String> = functions.iter().enumerate().map(one).collect();
    let over = over(turn / ORDERS.len());
    all.push(format!("select k, d, v, lag(v) {over}) as x, lead(v, 2) {over}) as y from t"));
    let inner = format!("select k, d, lag(v) {over}) as x from t");
    all.push(format!("select k, d, x, lead(x) over (partition by k order by d, x) as y from ({inner})"));
    all
}

/// Queries of which one function counts rows within other partitions, or by another order. Rows that are equal have a
/// place in both, and which one in which is arbitrary.
fn queries_of_two(turn: usize) -> Vec<String> {
    let over = |partition: &str, order: &str| format!("over (partition by {partition} order by {order})");
    let first = over("k", &format!("{}, v", ORDERS[turn % ORDERS.len()]));
    let others = [over("k, v % 2", "d, v"), over("k", "v, d")];
    others.map(|other| format!("select k, d, v, lag(v) {first} as x, lag(d) {other} as y from t")).into()
}

async fn all_hold(old: &Bag, changes: &[&[Row]]) {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    for (turn, change) in changes.iter().enumerate() {
        let world = World { tables: vec![TestTable::new("t", &columns, old.clone(), change.to_vec())], before: false };
        let mut queries = queries(turn);
        let rows: BTreeSet<String> = old.iter().chain(*change).map(|(row, _)| format!("{row:?}")).collect();
        let gone = change.iter().filter(|(_, weight)| *weight < 0).count();
        if rows.len() == old.len() + change.len() - gone {
            queries.extend(queries_of_two(turn));
        }
        let limits = [Limits::default(), Limits { bytes: 0 }];
        for (sql, limits) in queries.iter().flat_map(|sql| limits.iter().take(2 - turn % 2).map(move |of| (sql, of))) {
            if let Err(e) = law(&world, sql, *limits).await {
                panic!("{sql}\n{limits:?}\n{e}");
            }
        }
    }
}

/// 20 days of two partitions, and one day of a third.
fn days() -> Bag {
    let days = (0..20).flat_map(|d| [row(1, Some(d * 10), d % 7), row(2, Some(d * 10 + 5), d % 5)]);
    days.chain([row(3, Some(70), 1)]).collect()
}

#[tokio::test]
async fn a_change_reaches_as_many_rows_as_a_window_reads() {
    let old = days();
    all_hold(
        &old,
        &[
            &[gone(row(1, Some(100), 3)), row(1, Some(100), 50)],
            // Between old rows.
            &[row(1, Some(95), 50), gone(row(2, Some(105), 0))],
            &[row(1, Some(200), 50), row(2, Some(210), 51)],
            &[row(1, Some(-10), 50)],
            // A partition that begins, and one that ends.
            &[row(4, Some(3), 50), gone(row(3, Some(70), 1))],
            &[row(3, Some(71), 50), row(1, Some(135), 7), row(2, Some(5), 3)],
        ],
    )
    .await;
}

/// The look finds them near the change in one partition, and far from it in another, on either side.
#[tokio::test]
async fn neighbours_are_found_wherever_they_are() {
    let far = [-1_000_000, -900_000, -800_000, 0, 1, 2, 3, 800_000, 900_000, 1_000_000];
    let old: Bag = far.iter().map(|d| row(2, Some(*d), d % 11)).chain(days()).collect();
    let changes: [&[Row]; 4] = [
        &[row(1, Some(200), 50), row(1, Some(220), 50), row(2, Some(2), 51)],
        &[gone(row(2, Some(0), 0)), gone(row(2, Some(3), 3)), row(1, Some(20), 4)],
        &[row(2, Some(2_000_000), 5), row(2, Some(-2_000_000), 5)],
        &[row(1, Some(51), 5), row(2, Some(-850_000), 5)],
    ];
    all_hold(&old, &changes).await;
}

#[tokio::test]
async fn peers_stay_together() {
    let old: Bag = (0..12).flat_map(|d| [row(1, Some(d), 1), row(1, Some(d), 2), row(1, Some(d), 2)]).collect();
    let changes: [&[Row]; 3] = [
        &[gone(row(1, Some(6), 2)), row(1, Some(6), 9)],
        &[row(1, Some(6), 0), row(1, Some(6), 1)],
        &[gone(row(1, Some(5), 1)), gone(row(1, Some(5), 2)), gone(row(1, Some(5), 2))],
    ];
    all_hold(&old, &changes).await;
}

#[tokio::test]
async fn a_partition_with_a_null_key_is_recomputed() {
    let nulls = (0..3).map(|v| row(1, None, v));
    let old: Bag = days().into_iter().chain(nulls).collect();
    let changes: [&[Row]; 5] = [
        &[row(1, None, 9), row(2, Some(40), 9)],
        &[gone(row(1, None, 1))],
        // Of a partition with such a row, another one changes: at the ends of the others, and in the middle.
        &[row(1, Some(-5), 9)],
        &[row(1, Some(101), 9)],
        &[row(1, Some(250), 9)],
    ];
    all_hold(&old, &changes).await;
    let old = vec![row(1, None, 1), row(1, Some(5), 2)];
    let changes: [&[Row]; 2] = [&[gone(row(1, Some(5), 2)), row(1, Some(6), 3)], &[gone(row(1, None, 1))]];
    all_hold(&old, &changes).await;
}

#[tokio::test]
async fn the_ends_of_a_type_are_ends() {
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let old: Bag = ends.iter().map(|d| row(1, Some(*d), d % 7)).collect();
    let at = |at: i64| [gone(row(1, Some(at), at % 7)), row(1, Some(at), 8)];
    let both = [row(1, Some(i64::MIN), 8), row(1, Some(i64::MAX), 8)];
    all_hold(&old, &[&at(i64::MIN), &at(i64::MAX), &at(0), &at(i64::MIN + 1), &at(i64::MAX - 1), &both]).await;
}
