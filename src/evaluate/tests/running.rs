//! Running aggregates: random orders, functions, rows and changes.

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

/// An eighth of the order keys and a quarter of the other values is NULL.
fn row(days: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Value>> {
    let int = || (0..4_i64).prop_map(|v| Value::Int((v > 0).then_some(v - 2)));
    let text = (0..3_usize).prop_map(|i| Value::Text(["a", "b"].get(i).map(|s| (*s).to_owned())));
    let day = (days, 0..8_u8).prop_map(|(day, n)| Value::Int((n > 0).then_some(day)));
    (int(), day, text, int()).prop_map(|(k, d, s, v)| vec![k, d, s, v])
}

/// Old rows, some of which go, and rows that come: anywhere, or behind the old ones.
fn rows() -> impl Strategy<Value = World> {
    let old = prop::collection::vec((row(0..12), 1..3_i64, 0..12_i64), 0..16);
    let come = prop_oneof![
        prop::collection::vec((row(0..14), 1..3_i64), 0..4),
        prop::collection::vec((row(12..14), 1..3_i64), 1..4),
    ];
    (old, come, any::<bool>()).prop_map(|(old, come, appends)| {
        let mut copies: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
        let mut change: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
        for (row, n, gone) in old {
            *copies.entry(row.clone()).or_default() += n;
            if !appends {
                *change.entry(row).or_default() -= (gone - 9).clamp(0, n);
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

/// Functions that give tied rows the same value, and others.
const OF_PEERS: [&str; 11] = [
    "count(distinct v)",
    "sum(v)",
    "sum(cast(v as decimal(12, 2)))",
    "count(*)",
    "count(v)",
    "min(v)",
    "max(s)",
    "min(v) filter (where s = 'a')",
    "sum(v) filter (where v > 0)",
    "dense_rank()",
    "max(v)",
];
const OF_ROWS: [&str; 6] = [
    "row_number()",
    "first_value(v)",
    "last_value(v) ignore nulls",
    "first_value(s)",
    "last_value(s) ignore nulls",
    "avg(v)",
];

fn window() -> impl Strategy<Value = String> {
    let direction = || select(vec!["", "", " desc", " nulls first", " desc nulls last"]);
    let order = (Just(vec!["d", "s", "v"]).prop_shuffle(), [direction(), direction(), direction()]);
    let partition = select(vec!["k", "k", "k, s", "s"]);
    let first = select(vec![true, true, true, false]);
    (order, partition, first).prop_map(|((mut keys, by), partition, day_first)| {
        if day_first {
            keys.sort_unstable();
        }
        let keys: Vec<String> = keys.iter().zip(by).map(|(key, by)| format!("{key}{by}")).collect();
        format!("partition by {partition} order by {}, k", keys.join(", "))
    })
}

/// Orders of all columns, so that they are total, or of one whose peers have the same value.
fn query() -> impl Strategy<Value = String> {
    let frames = || {
        select(vec![
            "",
            "rows between unbounded preceding and current row",
            "rows between unbounded preceding and current row",
            "range between unbounded preceding and current row",
            "groups between unbounded preceding and current row",
            "rows between unbounded preceding and 1 preceding",
        ])
    };
    let total = (window(), any::<[prop::sample::Index; 2]>(), frames(), frames()).prop_map(|(window, of, f, g)| {
        let all: Vec<&str> = OF_PEERS.iter().chain(&OF_ROWS).copied().collect();
        [(of[0], f), (of[1], g)].map(|(of, frame)| format!("{} over ({window} {frame})", of.get(&all)))
    });
    let direction = select(vec!["", " desc", " nulls first", " desc nulls last"]);
    let peers = (select(vec!["d", "d", "v"]), direction, any::<[prop::sample::Index; 2]>()).prop_map(
        |(order, direction, of)| {
            of.map(|of| format!("{} over (partition by k order by {order}{direction})", of.get(&OF_PEERS)))
        },
    );
    let shown = select(vec![
        "k, s, d, v, {x} as x",
        "k, s, d, v, {x} as x, {y} as y",
        "{y} as y, v, k, s, {x} as x, d",
        "k, s, d, {x} as x",
        "k, s, v, {x} as x",
        "d, v, {x} as x",
        "k, s, d, v, x + 0 as x from (select k, s, d, v, {x} as x",
        "k, s, d, v, y as d2 from (select k, s, d, v, {x} as x, {y} as y",
    ]);
    let from = select(vec![
        "t",
        "t",
        "t",
        "(select k, d, s, max(v) as v from t group by k, d, s)",
        "(select * from t where v > -1)",
        "(select * from t union all select k, d + 1, s, v from t where v > 0)",
    ]);
    let around =
        select(vec!["{q}", "{q}", "{q}", "select 'a' as w, * from ({q}) union all select 'b' as w, * from ({q})"]);
    (prop_oneof![3 => total.boxed(), 1 => peers.boxed()], shown, from, around).prop_map(
        |([x, y], shown, from, around)| {
            let close = if shown.contains("from (") { ")" } else { "" };
            let x = if shown.contains("x + 0") && x.contains("(s)") { x.replace("(s)", "(v)") } else { x };
            let query = format!("select {} from {from}{close}", shown.replace("{x}", &x).replace("{y}", &y));
            around.replace("{q}", &query)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3000, ..cases(64) })]

    #[test]
    fn a_running_aggregate_continues_from_the_row_before_the_change(
        world in rows(), sql in query(), limit in select(vec![usize::MAX, usize::MAX, usize::MAX, 0, 2000]),
    ) {
        let holds = block_on(law(&world, &sql, Limits { bytes: limit }));
        prop_assert!(holds.is_ok(), "{}\n{:?}\n{}", sql, world.tables[0], holds.unwrap_err());
    }
}
