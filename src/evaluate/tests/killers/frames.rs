//! Frames that are bounded on both sides: which rows a change reaches, and which rows those need.

use std::collections::BTreeMap;

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use futures::TryStreamExt;

use super::super::support::{Bag, TestTable, Value, World, counted, law, session};
use crate::evaluate::{Limits, full};

fn row(k: i64, d: Option<i64>, v: i64) -> (Vec<Value>, i64) {
    (vec![Value::Int(Some(k)), Value::Int(d), Value::Int(Some(v))], 1)
}

fn gone((row, weight): (Vec<Value>, i64)) -> (Vec<Value>, i64) {
    (row, -weight)
}

async fn holds(of: DataType, old: Bag, change: Bag, queries: &[&str]) {
    let columns = [("k", DataType::Int64), ("d", of), ("v", DataType::Int64)];
    let world = World { tables: vec![TestTable::new("t", &columns, old, change)], before: false };
    for sql in queries {
        for limits in [Limits::default(), Limits { bytes: 0 }] {
            if let Err(e) = law(&world, sql, limits).await {
                panic!("{sql}\n{e}");
            }
        }
    }
}

/// Keys 0 to 19, of which the tenth changes.
fn days() -> (Bag, Bag) {
    let old = (0..20).map(|d| row(1, Some(d), d)).chain([row(2, Some(10), 7)]).collect();
    (old, vec![gone(row(1, Some(10), 10)), row(1, Some(10), 100)])
}

#[tokio::test]
async fn a_frame_reaches_as_far_as_its_bounds_in_both_directions() {
    let (old, change) = days();
    let over = "over (partition by k order by d";
    let queries = [
        format!("select k, d, sum(v) {over} range between 3 preceding and current row) as x from t"),
        format!("select k, d, sum(v) {over} range between current row and 3 following) as x from t"),
        format!("select k, d, sum(v) {over} range between 2 preceding and 4 following) as x from t"),
        format!("select k, d, sum(v) {over} desc range between 3 preceding and current row) as x from t"),
        format!("select k, d, sum(v) {over} desc range between 1 following and 4 following) as x from t"),
        format!("select k, d, sum(v) {over} range between 5 preceding and 3 preceding) as x from t"),
        // The result does not show the order key; the frames of two functions differ.
        format!("select k, v, sum(v) {over} range between 3 preceding and 1 following) as x from t"),
        format!(
            "select k, d, sum(v) {over} range between 1 preceding and current row) as x, \
             max(v) {over} range between current row and 6 following) as y from t"
        ),
        format!(
            "select k, d, sum(v) {over} range between current row and 1 following) as x, \
             max(v) {over} range between 4 preceding and current row) as y from t"
        ),
        // A frame over a frame.
        format!(
            "select k, d, sum(x) {over} range between 2 preceding and 2 following) as y from \
             (select k, d, max(v) {over} range between 3 preceding and 3 following) as x from t)"
        ),
        // Not every function reads its frame, and not every frame is bounded.
        format!("select k, d, rank() {over} range between 1 preceding and current row) as x from t"),
        format!(
            "select k, d, rank() over (partition by k order by v) as x, sum(v) {over} range between 1 preceding and \
             current row) as y from t"
        ),
        format!(
            "select k, d, sum(v) {over} range between 1 preceding and current row) as x, \
             sum(v) {over} range between unbounded preceding and 1 following) as y from t"
        ),
    ];
    let queries = queries.each_ref().map(String::as_str);
    holds(DataType::Int64, old.clone(), change, &queries).await;
    // One row more moves the ranks of all rows behind it.
    holds(DataType::Int64, old, vec![row(1, Some(10), 100)], &queries).await;
}

#[tokio::test]
async fn keys_that_are_null_are_peers_and_the_ends_of_a_type_are_ends() {
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let old: Bag = ends.iter().map(|d| row(1, Some(*d), d % 7)).chain((0..3).map(|v| row(1, None, v))).collect();
    let queries = ["", " desc", " nulls first", " desc nulls last"].map(|order| {
        format!(
            "select k, d, v, sum(v) over (partition by k order by d{order} range between 2 preceding and 1 following) as x from t"
        )
    });
    let queries = queries.each_ref().map(String::as_str);
    for change in [
        vec![gone(row(1, None, 1))],
        vec![row(1, None, 5), row(1, Some(0), 6)],
        vec![row(1, Some(i64::MAX), 5)],
        vec![gone(row(1, Some(i64::MIN), i64::MIN % 7))],
    ] {
        holds(DataType::Int64, old.clone(), change, &queries).await;
    }
}

/// The greatest distance stands for all that are greater, also where a frame over a frame doubles it.
#[tokio::test]
async fn distances_beyond_the_type_have_no_end() {
    let over = "over (partition by k order by d range between 9223372036854775807 preceding and current row)";
    let query = format!("select k, d, sum(x) {over} as y from (select k, d, max(v) {over} as x from t)");
    let at = |d: i64, v: i64| row(1, Some(d * 1_000_000_000_000_000_000), v);
    let old = vec![at(-9, 100), at(-4, 1), at(5, 1)];
    holds(DataType::Int64, old, vec![gone(at(5, 1)), at(5, 2)], &[&query]).await;
    // In nanoseconds 300 years are no number.
    let year = 31_556_952_000_000_000_i64;
    let over = "over (partition by k order by arrow_cast(d, 'Timestamp(ns)') range between interval '300 years' preceding \
                and current row)";
    let query = format!("select k, d, sum(v) {over} as x from t");
    let moment = |years: i64, v: i64| row(1, Some(years * year / 1000), v);
    let old = vec![moment(-5, 1), moment(291, 7)];
    let of = DataType::Timestamp(TimeUnit::Microsecond, None);
    holds(of, old, vec![gone(moment(-5, 1)), moment(-5, 3)], &[&query]).await;
}

#[tokio::test]
async fn a_month_reaches_over_its_longest_days() {
    // 2020-01-29 to 2020-03-31, of which 2020-02-29 changes.
    let day = |d: i64| row(1, Some(18_290 + d), d % 5);
    let old: Bag = (0..63).map(day).collect();
    let change = vec![gone(day(31)), row(1, Some(18_290 + 31), 50)];
    let queries = [
        "select k, d, sum(v) over (partition by k order by d range between interval '1 month' preceding and current row) as x from t",
        "select k, d, sum(v) over (partition by k order by d desc range between interval '1 month' preceding and interval '1 day' following) as x from t",
    ];
    holds(DataType::Date32, old.clone(), change.clone(), &queries).await;
    let micros = |bag: Bag| -> Bag {
        let moment = |d: &Value| match d {
            Value::Int(Some(d)) => Value::Int(Some(d * 86_400_000_000 + 3_600_000_000)),
            other => other.clone(),
        };
        bag.into_iter().map(|(row, w)| (vec![row[0].clone(), moment(&row[1]), row[2].clone()], w)).collect()
    };
    let of = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    holds(of, micros(old), micros(change), &queries).await;
}

/// Rows whose key is NULL are peers, in whatever batches they come: a frame that ends before its row ends with all of
/// them.
#[tokio::test]
async fn a_frame_that_ends_before_its_row_waits_for_the_peers_of_null() {
    let nulls = (0..40).map(|v| row(1, None, v));
    let old: Bag = nulls.chain((0..5).map(|d| row(1, Some(d), 100))).collect();
    let columns = ["k", "d", "v"].map(|name| (name, DataType::Int64));
    let world = World { tables: vec![TestTable::new("t", &columns, old.clone(), vec![])], before: false };
    for (order, frame, expected) in [
        ("d", "3 preceding and 1 preceding", 40),
        ("d desc", "3 preceding and 1 preceding", 40),
        ("d nulls first", "unbounded preceding and 1 preceding", 40),
        ("d nulls last", "unbounded preceding and 1 preceding", 45),
    ] {
        let over = format!("over (partition by k order by {order} range between {frame})");
        let sql = format!("select distinct n from (select d, count(*) {over} as n from t) where d is null");
        // In batches of 7 rows.
        let batches = full(&world.plan(&sql), &session(), &world).await.expect(&sql);
        let batches: Vec<_> = batches.try_collect().await.expect(&sql);
        assert_eq!(counted(&batches, false), BTreeMap::from([(vec![expected.to_string()], 1)]), "{sql}");
        let sql = format!("select k, d, v, count(*) {over} as n, max(v) {over} as m from t");
        let change = vec![row(1, None, 50), gone(row(1, Some(2), 100))];
        holds(DataType::Int64, old.clone(), change, &[&sql]).await;
    }
}

/// The keys of the change are few: the engine knows the partition of `k % 2` and the value of `x`, and plans a grouping in
/// an order that it then does not find.
#[tokio::test]
async fn a_grouping_over_a_window_is_planned_where_keys_are_constants() {
    let old: Bag = (0..16).map(|n| row(n % 2, Some(n * 11), n % 4)).collect();
    let over = "over (partition by k % 2 order by d desc range between current row and current row)";
    let sql = format!("select distinct k, d, x from (select k, d, v, count(*) {over} as x from t)");
    for change in [vec![row(0, None, 1)], vec![gone(row(1, Some(11), 1)), row(1, Some(143), 3)]] {
        holds(DataType::Date32, old.clone(), change, &[&sql]).await;
    }
}
