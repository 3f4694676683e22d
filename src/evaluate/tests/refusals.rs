//! Reasons, as the author of a query reads them.

use deltalake::arrow::datatypes::DataType;

use super::support::{TestTable, World, session};
use crate::determined::{Code, Reason};
use crate::incremental::{differentiate, normalise};

async fn reasons(sql: &str) -> Vec<Reason> {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let plan = world.plan(&session(), sql).await;
    differentiate(&plan).err().map(|e| e.reasons).unwrap_or_default()
}

#[tokio::test]
async fn every_refusal_says_why() {
    for (sql, code, word) in [
        ("select a.k from a left join b on a.k = b.k", Code::OuterJoin, "`left join`"),
        ("select b.k from a right join b on a.k = b.k", Code::OuterJoin, "`right join`"),
        ("select a.k from a full join b on a.k = b.k", Code::OuterJoin, "`full join`"),
        ("select k from a order by k limit 3", Code::Limit, "`limit`"),
        ("select k, row_number() over (order by v) as n from a", Code::WindowWithoutPartitionBy, "`partition by`"),
        ("select k from a where v = (select max(v) from b)", Code::ScalarSubquery, "scalar subquery"),
        ("select k, (select max(v) from b where b.k = a.k) as m from a", Code::ScalarSubquery, "scalar subquery"),
        ("select k from a where k not in (select k from b)", Code::NotIn, "`not exists`"),
        ("select k from a where exists (select 1 from b)", Code::ExistsWithoutEquality, "equality"),
        ("select k from a where exists (select 1 from b where b.v > a.v)", Code::ExistsWithoutEquality, "equality"),
        (
            "select k from a where v = 1 or exists (select 1 from b where b.k = a.k)",
            Code::SubqueryInExpression,
            "inside `or`",
        ),
        ("select k, approx_distinct(v) as vs from a group by k", Code::ApproximateAggregate, "approximation"),
        ("select k, now() as t from a", Code::VolatileFunction, "`now()`"),
        ("select k, count(*) as n from a group by rollup(k)", Code::GroupingSets, "`rollup`"),
        ("select v as _w from a", Code::ReservedColumn, "`_w`"),
        (
            "select k from a where exists (select 1 from b where b.v + 0.5 = a.v + 0.5)",
            Code::ExistsByInexactValues,
            "floating point",
        ),
        (
            "with recursive r as (select k from a union all select k + 1 from r where k < 3) select k from r",
            Code::Recursion,
            "recursive",
        ),
        ("select unnest(make_array(k, v)) as u from a", Code::Unnest, "`unnest`"),
    ] {
        let reasons = reasons(sql).await;
        assert!(reasons.iter().any(|r| r.code == code && r.text.contains(word)), "{sql}: {reasons:?}");
        assert!(reasons.iter().all(|r| r.code != Code::NotRewritten), "{sql}: {reasons:?}");
    }
}

#[tokio::test]
async fn several_reasons_are_named_together_each_with_its_code() {
    let columns = [("k", DataType::Int64), ("v", DataType::Int64)];
    let world = World { tables: vec![TestTable::new("a", &columns, vec![], vec![])], before: false };
    let sql =
        "select k, unnest(make_array(v)) as t from (select k, v from a group by rollup(k, v)) order by k, v limit 1";
    let why = differentiate(&world.plan(&session(), sql).await).expect_err("no derivative");
    assert_eq!(why.reasons.len(), 3, "{why}");
    for code in ["[LIMIT]; ", "[UNNEST]; ", "incrementally [GROUPING_SETS]"] {
        assert!(why.to_string().contains(code), "{why}");
    }
}

#[tokio::test]
async fn what_an_order_makes_certain_is_maintained() {
    for sql in [
        "select k, first_value(v order by v, s) as f from a group by k",
        "select k, string_agg(s, ',' order by s) as f from a group by k",
        "select k, array_length(array_agg(v order by v)) as f from a group by k",
        "select k, nth_value(v, 2 order by v) as f from a group by k",
        "select k, regr_slope(v, k) as f from a group by k",
        "select distinct on (k) k, v, s from a order by k, v, s",
        "select k, v, sum(v) over (partition by k order by v rows 1 preceding) as f from a",
        "select k, lag(v) over (partition by k order by v) as f from a",
        "select k, rank() over (partition by k) as f from a",
    ] {
        assert_eq!(reasons(sql).await, [], "{sql}");
    }
}

#[tokio::test]
async fn sorting_a_result_is_no_obstacle_and_an_outer_join_that_is_none_neither() {
    assert_eq!(reasons("select k from a order by k").await, []);
    assert_eq!(reasons("select a.k from a left join b on a.k = b.k where b.v = 1").await, []);
}

#[tokio::test]
async fn normalising_twice_is_normalising_once() {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let sql = "select distinct a.k from a, b where a.k = b.k and exists (select 1 from b c where c.s = a.s) order by 1";
    let once = normalise(&world.plan(&session(), sql).await).expect("plan");
    let twice = normalise(&once).expect("plan");
    assert_eq!(once.display_indent().to_string(), twice.display_indent().to_string());
    assert!(!once.display_indent().to_string().contains("Cross"), "{}", once.display_indent());
}
