//! Cases on which other systems went wrong, each by name.

use std::collections::BTreeMap;

use deltalake::arrow::datatypes::DataType;
use futures::TryStreamExt;

use super::support::{Bag, TestTable, Value, World, counted, law, session};
use crate::evaluate::{Limits, full};
use crate::incremental::ChangeKind;

fn row(k: Option<i64>, s: &str, v: i64) -> Vec<Value> {
    vec![Value::Int(k), Value::Text(Some(s.to_owned())), Value::Int(Some(v))]
}

fn table(name: &str, old: Bag, change: Bag) -> TestTable {
    TestTable::new(name, &[("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)], old, change)
}

async fn holds(a: (Bag, Bag), b: (Bag, Bag), queries: &[&str]) {
    let world = World { tables: vec![table("a", a.0, a.1), table("b", b.0, b.1)], before: false };
    for sql in queries {
        for limits in [Limits::default(), Limits { change_rows: 0, key_rows: 0 }] {
            if let Err(e) = law(&world, sql, limits).await {
                panic!("{sql}\n{e}");
            }
        }
    }
}

const JOIN: &str = "select a.k, a.s, b.v from a join b on a.k = b.k";
const SELF: &str = "select x.k, x.v, y.v as w from a x join a y on x.k = y.k";
const EXISTS: &str = "select k, s, v from a where exists (select 1 from b where b.k = a.k)";
const NOT_EXISTS: &str = "select k, s, v from a where not exists (select 1 from b where b.k = a.k)";
const OTHER: &str = "select k, s, v from a where exists (select 1 from b where b.k = a.k and b.v <> a.v)";
const GROUP: &str = "select k, count(*) as n, sum(v) as total, min(s) as least from a group by k";
const LATEST: &str =
    "select k, s from (select *, row_number() over (partition by k order by v desc, s) as n from a) where n = 1";

#[tokio::test]
async fn both_sides_of_a_join_change_at_once() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "a", 1), 1)];
    let b = vec![(row(Some(1), "b", 5), 1)];
    holds(
        (a, vec![(row(Some(1), "a", 1), -1), (row(Some(1), "c", 1), 2)]),
        (b, vec![(row(Some(1), "b", 5), -1), (row(Some(2), "b", 6), 1), (row(Some(1), "b", 7), 1)]),
        &[JOIN, SELF, EXISTS, NOT_EXISTS, OTHER],
    )
    .await;
}

#[tokio::test]
async fn a_match_begins_or_ends_while_the_row_itself_changes() {
    let a = vec![(row(Some(1), "a", 1), 2), (row(Some(2), "a", 1), 1)];
    let b = vec![(row(Some(1), "b", 1), 1)];
    holds(
        (a, vec![(row(Some(1), "a", 1), -1), (row(Some(2), "a", 1), -1), (row(Some(2), "a", 2), 1)]),
        (b, vec![(row(Some(1), "b", 1), -1), (row(Some(2), "b", 1), 3)]),
        &[EXISTS, NOT_EXISTS, OTHER],
    )
    .await;
}

#[tokio::test]
async fn null_keys_group_but_do_not_join() {
    let a = vec![(row(None, "a", 1), 2), (row(Some(1), "a", 1), 1)];
    let b = vec![(row(None, "b", 1), 1)];
    holds(
        (a, vec![(row(None, "a", 1), -1), (row(None, "z", 9), 1)]),
        (b, vec![(row(None, "b", 1), -1), (row(None, "c", 2), 2)]),
        &[
            JOIN,
            EXISTS,
            NOT_EXISTS,
            GROUP,
            LATEST,
            "select a.k, b.v from a join b on a.k is not distinct from b.k",
            "select k, s, v from a intersect select k, s, v from b",
            "select k from a except select k from b",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_last_row_of_a_group_goes_and_a_key_moves() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "b", 2), 1)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(2), "b", 2), -1), (row(Some(3), "b", 2), 1)];
    holds((a, change), (vec![], vec![]), &[GROUP, LATEST, "select distinct k from a", "select count(*) as n from a"])
        .await;
}

#[tokio::test]
async fn an_update_makes_a_row_equal_to_another_one() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 1), 1)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(1), "b", 1), 1)];
    holds((a, change), (vec![], vec![]), &["select k, s, v from a", "select distinct k, s from a", GROUP, SELF]).await;
}

#[tokio::test]
async fn a_row_crosses_the_filter_and_an_update_changes_nothing() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "a", 5), 1), (row(Some(3), "a", 7), 1)];
    let change = vec![
        (row(Some(1), "a", 1), -1),
        (row(Some(1), "a", 9), 1),
        (row(Some(2), "a", 5), -1),
        (row(Some(2), "a", 0), 1),
        (row(Some(3), "a", 7), -1),
        (row(Some(3), "a", 7), 1),
    ];
    holds((a, change), (vec![], vec![]), &["select k, v from a where v > 3", "select s, k from a where v > 3"]).await;
}

#[tokio::test]
async fn tables_that_are_or_become_empty() {
    let a = vec![(row(Some(1), "a", 1), 1)];
    holds((vec![], a.clone()), (vec![], vec![]), &[GROUP, "select max(k) as m from a", SELF, NOT_EXISTS]).await;
    holds(
        (a.clone(), vec![(row(Some(1), "a", 1), -1)]),
        (vec![], vec![]),
        &[GROUP, "select max(k) as m from a", NOT_EXISTS],
    )
    .await;
}

#[tokio::test]
async fn a_diamond_reads_the_same_change_twice() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 2), 1), (row(Some(2), "a", 2), 1)];
    let change = vec![(row(Some(1), "b", 2), -1), (row(Some(2), "c", 3), 1)];
    holds(
        (a, change),
        (vec![], vec![]),
        &["with x as (select k, max(v) as m from a group by k), y as (select k, count(*) as n from a where v > 1 group by k)
           select x.k, m, n from x join y on x.k = y.k where exists (select 1 from a where a.v = m)"],
    )
    .await;
}

#[tokio::test]
async fn a_partition_holds_a_key_on_one_side_only() {
    // 2 gains an old record with `d`, its latest stays `e`; 3 appears with `d`. Of `e`, nothing changed.
    let change = vec![(row(Some(3), "d", 1), 1), (row(Some(2), "d", 1), 1)];
    let count = format!("select s, count(*) as n from ({LATEST}) x group by s");
    let claimed =
        format!("select k, s, v from b where s in (select s from ({LATEST}) x group by s having count(*) = 1)");
    let b = vec![(row(Some(1), "d", 1), 1), (row(Some(1), "e", 1), 1)];
    holds((vec![(row(Some(2), "e", 5), 1)], change), (b, vec![]), &[&count, &claimed]).await;
}

#[tokio::test]
async fn an_insert_only_change_stays_one() {
    let mut world = World {
        tables: vec![
            table("a", vec![(row(Some(1), "a", 1), 1)], vec![(row(Some(1), "b", 2), 2)]),
            table("b", vec![(row(Some(2), "b", 1), 1)], vec![(row(Some(1), "b", 1), 1)]),
        ],
        before: false,
    };
    for t in &mut world.tables {
        t.kind = ChangeKind::InsertOnly;
    }
    for sql in [JOIN, SELF, EXISTS, "select k from a union all select v from b"] {
        let ctx = super::support::session();
        let (_, program) = super::support::program(&world, &ctx, sql).await;
        let change = crate::evaluate::run(&program, &ctx, &world).await.expect("change");
        assert!(change.insert_only, "{sql}");
        law(&world, sql, Limits::default()).await.expect(sql);
    }
}

/// Queries without a derivative are rewritten like the others: what they mean must not change by it.
#[tokio::test]
async fn a_limit_keeps_its_order_when_the_query_is_normalised() {
    let a = (1..6).map(|v| (row(Some(v), "a", 10 - v), 1)).collect::<Bag>();
    let world = World { tables: vec![table("a", a.clone(), vec![]), table("b", a, vec![])], before: false };
    let ctx = session();
    for (sql, expected) in [
        ("select k from a order by v, k limit 2", vec![4, 5]),
        ("select k from a order by k desc limit 2 offset 1", vec![3, 4]),
        ("select t.k from (select k from a order by v limit 3) t join b on b.k = t.k where b.v < 7", vec![4, 5]),
        ("select k from a where v = (select v from b order by v desc, k limit 1)", vec![1]),
    ] {
        let plan = world.plan(&ctx, sql).await;
        let rows: Vec<_> = full(&plan, &ctx, &world).await.expect(sql).try_collect().await.expect(sql);
        let expected: BTreeMap<_, _> = expected.iter().map(|k| (vec![k.to_string()], 1)).collect();
        assert_eq!(counted(&rows, false), expected, "{sql}");
    }
}

#[tokio::test]
async fn an_order_decides_and_the_row_that_it_chose_goes() {
    let a = vec![
        (row(Some(1), "a", 1), 2),
        (row(Some(1), "b", 1), 1),
        (row(Some(1), "b", 3), 1),
        (row(None, "c", 2), 1),
        (row(Some(2), "a", 9), 1),
    ];
    let change = vec![
        (row(Some(1), "a", 1), -2),
        (row(Some(1), "c", 0), 1),
        (row(None, "b", 2), 1),
        (row(Some(2), "a", 9), -1),
        (row(Some(3), "a", 9), 1),
    ];
    let queries = [
        "select k, first_value(s order by v, s) as f, last_value(v order by s, v) as l from a group by k",
        "select k, string_agg(s, ',' order by s) as f, nth_value(v, 2 order by s, v) as n from a group by k",
        "select k, array_length(array_agg(v order by v)) as n from a group by k",
        "select distinct on (k) k, v, s from a order by k, v, s",
        "select distinct on (k) a.v + 1 as v from a order by k, v desc nulls last",
        "select x.k, x.s from (select distinct on (k) k, s from a order by k, s desc) x join b on b.k = x.k",
        "select k, v, s, sum(v) over (partition by k order by v, s rows 1 preceding) as n from a",
        "select k, v, lag(v) over (partition by k order by v) as l, ntile(2) over (partition by k order by v) as n from a",
        "select k, v, first_value(s) over (partition by k order by v, s) as f from a",
        "select k, v, s, rank() over (partition by k order by v) as r, count(*) over (partition by k) as n from a",
        "select k, v, string_agg(s, '') over (partition by k order by s, v) as t from a",
    ];
    holds((a, change), (vec![(row(Some(1), "x", 1), 1)], vec![]), &queries).await;
}
