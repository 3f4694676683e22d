//! Orders that decide which rows count, and how many.

use std::collections::BTreeMap;

use futures::TryStreamExt;

use super::super::support::{Bag, World, counted, session};
use super::{holds, row, table};
use crate::evaluate::full;

/// Queries without a derivative are rewritten like the others: their meaning must not change.
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
        let plan = world.plan(sql);
        let rows: Vec<_> = full(&plan, &ctx, &world).await.expect(sql).try_collect().await.expect(sql);
        let expected: BTreeMap<_, _> = expected.iter().map(|k| (vec![k.to_string()], 1)).collect();
        assert_eq!(counted(&rows, false), expected, "{sql}");
    }
}

/// Windows and groups find their partitions by the order below an `unnest`, which shares its texts with views.
#[tokio::test]
async fn an_order_below_an_unnest_is_known_above_it() {
    let a = (1..6).map(|k| (row(Some(k), ["a", "b"][k as usize % 2], k), 1)).collect::<Bag>();
    let world = World { tables: vec![table("a", a.clone(), vec![]), table("b", a, vec![])], before: false };
    let ctx = session();
    for sql in [
        "select s, sum(v) over (partition by s) as v from {x}",
        "select s, count(*) over (partition by s order by v) as v from {x}",
        "select s, max(v) as v from {x} group by s",
        "select distinct s, 1 as v from {x} order by s",
    ] {
        let below = "(select s, unnest(make_array(k, v)) as v from (select * from a order by s, k limit 5))";
        let plain = "(select s, k as v from a union all select s, v from a)";
        let mut rows = Vec::new();
        for x in [below, plain] {
            let plan = world.plan(&sql.replace("{x}", x));
            let batches: Vec<_> = full(&plan, &ctx, &world).await.expect(sql).try_collect().await.expect(sql);
            rows.push(counted(&batches, false));
        }
        assert_eq!(rows[0], rows[1], "{sql}");
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
        "select k, array_agg(v order by v, s) as x, array_agg(s order by s desc) as y, last_value(v order by v) as z, \
         string_agg(s, ',' order by s) as t, nth_value(v, 1 order by s, v) as n from a group by k",
        "select distinct on (k) k, v, s from a order by k, v, s",
        "select distinct on (k) a.v + 1 as v from a order by k, v desc nulls last",
        "select x.k, x.s from (select distinct on (k) k, s from a order by k, s desc) x join b on b.k = x.k",
        "select k, v, s, sum(v) over (partition by k order by v, s rows 1 preceding) as n from a",
        "select k, v, lag(v) over (partition by k order by v) as l, ntile(2) over (partition by k order by v) as n from a",
        "select k, v, first_value(s) over (partition by k order by v, s) as f from a",
        "select k, v, s, rank() over (partition by k order by v) as r, count(*) over (partition by k) as n from a",
        "select k, v, string_agg(s, '') over (partition by k order by s, v) as t from a",
        // Columns of `partition by` order nothing, in either direction; a frame uses the remaining order.
        "select k, v, s, row_number() over (partition by k order by k desc, v, s) as n from a",
        "select k, v, rank() over (partition by k order by k desc) as n, sum(v) over (partition by k order by k desc) as t from a",
        "select k, v, s, rank() over (partition by v, s order by s desc, k nulls first, v desc) as n from a",
        "select rank() over (partition by k order by k desc, v) as a, rank() over (partition by k order by v) as b, s from a",
        "select k, s, count(*) over (partition by k order by k desc nulls last range between 1 preceding and current row) as n from a",
        "select k, s, count(*) over (partition by k, s order by s groups between current row and unbounded following) as n from a",
        "select k from (select k, row_number() over (partition by k, v, s order by k desc, s) as n from a) x where n = 1",
    ];
    holds((a, change), (vec![(row(Some(1), "x", 1), 1)], vec![]), &queries).await;
}
