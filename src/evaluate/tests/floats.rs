//! Doubles and floats: results recomputed over fewer rows, in another order, are bit-identical; and their behaviour as
//! keys, where zeros have a sign and NaN equals itself.

use deltalake::arrow::datatypes::DataType;

use super::support::{Bag, TestTable, Value, World, law};
use crate::evaluate::Limits;

const VALUES: [f64; 7] = [0.1, 0.2, 0.3, 1e300, -1e300, 1.0 / 3.0, 1e-300];

fn row(k: i64, v: f64) -> Vec<Value> {
    vec![Value::Int(Some(k)), Value::Float(Some(v.to_bits()))]
}

/// Five groups of all values, `turn` shifting where each starts.
fn rows(turn: usize) -> Bag {
    let of = |k: usize| (0..VALUES.len()).map(move |i| VALUES[(i * 3 + k + turn) % VALUES.len()]);
    (0..5).flat_map(|k| of(k).map(move |v| (row(i64::try_from(k).unwrap(), v), 1))).collect()
}

const QUERIES: [&str; 10] = [
    "select k, sum(v) as total, avg(v) as middle, count(*) as n from t group by k",
    "select k, sum(v) as total, count(*) as n from t group by k",
    "select k, sum(coalesce(v, 0)) as total, count(*) as n from t group by k",
    "select k, stddev(v) as s, var_pop(v) as p from t where v < 1 group by k",
    "select k, sum(v) as total from t group by k having sum(v) > 0.3",
    "select k, sum(v) as total from t where v < 1 and v > -1 group by k having sum(v) > 0.6",
    "select k, sum(distinct v) as total from t group by k",
    "select k, v, sum(v) over (partition by k) as total from t",
    "select t.k, sum(t.v * u.v) as total from t join t u on t.k = u.k where t.v < 1 and u.v < 1 group by t.k",
    "select n.k, n.total from (select k, sum(v) as total from t group by k) n where n.total > 0.5",
];

#[tokio::test]
async fn sums_of_doubles_are_maintained_to_the_last_bit() {
    for (turn, value) in VALUES.into_iter().enumerate() {
        let change = vec![
            (row(0, value), -1),
            (row(1, value), 1),
            (row(2, 1e300), -1),
            (row(2, 0.1), 2),
            (row(3, -1e300), -1),
            (row(3, -1e300), 1),
            (row(9, 0.3), 1),
        ];
        let columns = [("k", DataType::Int64), ("v", DataType::Float64)];
        let world = World { tables: vec![TestTable::new("t", &columns, rows(turn), change)], before: false };
        for sql in QUERIES {
            for limits in [Limits::default(), Limits { bytes: 0 }] {
                if let Err(e) = law(&world, sql, limits).await {
                    panic!("{sql}\n{e}");
                }
            }
        }
    }
}

/// Values of `float` and `double` columns: two zeros, NaN, NULL, and values that round differently.
const NARROW: [Option<f64>; 9] = [
    Some(0.0),
    Some(-0.0),
    Some(f64::NAN),
    None,
    Some(0.1),
    Some(0.2),
    Some(16_777_217.0),
    Some(f64::NEG_INFINITY),
    Some(1e-40),
];

const OVER_FLOATS: [&str; 24] = [
    "select k, sum(v) as total, avg(v) as middle, count(v) as n from t group by k",
    "select k, min(v) as least, max(v) as most, count(*) as n from t group by k",
    "select k, min(v) as least from t group by k",
    "select sum(v) as total, max(v) as most, min(v) as least from t",
    "select k, max(v) filter (where v < 1) as low, min(v) filter (where k = 7) as seven from t group by k",
    "select k, v, min(v) over (partition by k order by v nulls last rows between 1 preceding and current row) as least from t",
    "select v, count(*) as n from t group by v",
    "select v, sum(k) as total, count(*) as n from t group by v having count(*) > 1",
    "select distinct v from t",
    "select distinct k, v from t",
    "select count(distinct v) as n, k from t group by k",
    "select t.k, u.v from t join u on t.v = u.v",
    "select t.k, t.v, u.k as other from t left join u on t.v = u.v",
    "select t.v, u.v as other from t full join u on t.v = u.v",
    "select t.k, u.v from t join u on t.v is not distinct from u.v",
    "select k, v from t where exists (select 1 from u where u.v = t.v)",
    "select k, v from t where not exists (select 1 from u where u.v = t.v and u.k > t.k)",
    "select k, v from t where v not in (select v from u where v is not null)",
    "select k, v from t where v = (select max(v) from u)",
    "select k, v, sum(v) over (partition by k) as total from t",
    "select k, v, count(*) over (partition by v) as n from t",
    "select k, v from (select k, v, row_number() over (partition by k order by v desc nulls last) as n from t) where n = 1",
    "select k, v from t union select k, v from u",
    "select k, cast(v as double) as wide, v + 1 as more from t where v < 1",
];

#[tokio::test]
async fn floats_and_doubles_are_values_keys_and_sums() {
    let row =
        |k: usize, v: Option<f64>| vec![Value::Int(Some(i64::try_from(k).unwrap())), Value::Float(v.map(f64::to_bits))];
    let old = |shift: usize| -> Bag {
        let at = |i: usize| (row(i % 3, NARROW[(i + shift) % NARROW.len()]), 1);
        (0..2 * NARROW.len()).map(at).collect()
    };
    for data_type in [DataType::Float32, DataType::Float64] {
        for (turn, value) in NARROW.into_iter().enumerate() {
            // Existing rows of the two tables are deleted and inserted, and new ones are inserted.
            let gone = |shift: usize, i: usize| (row(i % 3, NARROW[(i + shift) % NARROW.len()]), -1);
            let t = vec![gone(0, turn), gone(0, turn + 4), (row(1, value), 1), (row(7, value), 2)];
            let u = vec![gone(2, turn + 1), (row(0, NARROW[(turn + 5) % NARROW.len()]), 1)];
            let columns = [("k", DataType::Int64), ("v", data_type.clone())];
            let tables = vec![TestTable::new("t", &columns, old(0), t), TestTable::new("u", &columns, old(2), u)];
            let world = World { tables, before: false };
            for sql in OVER_FLOATS {
                for limits in [Limits::default(), Limits { bytes: 0 }] {
                    if let Err(e) = law(&world, sql, limits).await {
                        panic!("{data_type} turn {turn}: {sql}\n{e}");
                    }
                }
            }
        }
    }
}
