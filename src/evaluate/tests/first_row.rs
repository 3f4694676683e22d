//! The first row of each partition: random orders, rows and changes, and what they read.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use deltalake::arrow::datatypes::DataType;

use super::support::{Bag, TestTable, Value, World, block_on, cases, law};
use crate::evaluate::Limits;
use crate::incremental::ChangeKind;

const COLUMNS: [&str; 4] = ["k", "d", "s", "v"];

fn table(old: Bag, change: Bag, kind: ChangeKind) -> TestTable {
    let [k, d, s, v] = COLUMNS;
    let columns = [(k, DataType::Int64), (d, DataType::Int64), (s, DataType::Utf8), (v, DataType::Int64)];
    TestTable { kind, ..TestTable::new("t", &columns, old, change) }
}

/// A quarter of the values is NULL.
fn row() -> impl Strategy<Value = Vec<Value>> {
    let int = || (0..4_i64).prop_map(|v| Value::Int((v > 0).then_some(v)));
    let text = (0..3_usize).prop_map(|i| Value::Text(["a", "b"].get(i).map(|s| (*s).to_owned())));
    (int(), int(), text, int()).prop_map(|(k, d, s, v)| vec![k, d, s, v])
}

/// Old rows, some of which go, and rows that come.
fn rows() -> impl Strategy<Value = World> {
    let old = prop::collection::vec((row(), 1..3_i64, 0..4_i64), 0..12);
    let come = prop::collection::vec((row(), 1..3_i64), 0..4);
    (old, come, any::<bool>()).prop_map(|(old, come, appends)| {
        let mut copies: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
        let mut change: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
        for (row, n, gone) in old {
            *copies.entry(row.clone()).or_default() += n;
            if !appends {
                *change.entry(row).or_default() -= (gone - 1).clamp(0, n);
            }
        }
        for (row, n) in come {
            *change.entry(row).or_default() += n;
        }
        change.retain(|_, n| *n != 0);
        let kind = if appends { ChangeKind::InsertOnly } else { ChangeKind::Mutating };
        World { tables: vec![table(copies.into_iter().collect(), change.into_iter().collect(), kind)], before: false }
    })
}

/// Orders of all columns, so that they are total, of which the result shows some.
fn query() -> impl Strategy<Value = String> {
    let direction = || select(vec!["", " desc", " nulls first", " desc nulls last"]);
    let order = (Just(vec!["d", "s", "v"]).prop_shuffle(), [direction(), direction(), direction()]);
    let partition = select(vec!["k", "k, s", "s"]);
    let shown = select(vec!["k, d, s, v", "k, s, d", "v, s, k", "s, k, d + 0 as d", "k, s, v as d, d as v"]);
    let number = select(vec!["n = 1", "1 = n", "n <= 1", "n < 2", "2 > n", "cast(n as bigint) = 1", "n <= 2", "n = 2"]);
    let further = select(vec!["", "", "", " and v is not null", " and d > 1", " and n < 9 and s <> 'b'"]);
    let from = select(vec![
        "t",
        "t",
        "(select k, d, s, max(v) as v from t group by k, d, s)",
        "(select * from t where v > 1)",
    ]);
    (order, partition, shown, number, further, from).prop_map(|(order, partition, shown, number, further, from)| {
        let keys: Vec<String> = order.0.iter().zip(order.1).map(|(key, by)| format!("{key}{by}")).collect();
        let window = format!("row_number() over (partition by {partition} order by {}, k)", keys.join(", "));
        format!("select {shown} from (select k, d, s, v, {window} as n from {from}) where {number}{further}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..cases(64) })]

    #[test]
    fn a_row_that_comes_first_replaces_the_one_that_was(
        world in rows(), sql in query(), limit in select(vec![usize::MAX, usize::MAX, 0, 500]),
    ) {
        let holds = block_on(law(&world, &sql, Limits { bytes: limit }));
        prop_assert!(holds.is_ok(), "{}\n{:?}\n{}", sql, world.tables[0], holds.unwrap_err());
    }
}
