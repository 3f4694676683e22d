//! Doubles: what is computed again over fewer rows, in another order, has the same bits.

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

const QUERIES: [&str; 8] = [
    "select k, sum(v) as total, avg(v) as middle, count(*) as n from t group by k",
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
            for limits in [Limits::default(), Limits { change_bytes: 0, key_bytes: 0 }] {
                if let Err(e) = law(&world, sql, limits).await {
                    panic!("{sql}\n{e}");
                }
            }
        }
    }
}
