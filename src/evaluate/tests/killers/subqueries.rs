//! Subqueries as expressions: they change while the outer rows do not.

use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::Expr;

use super::{holds, row, table};
use crate::evaluate::tests::support::World;
use crate::incremental::differentiate;
use crate::sql::normalise;

#[tokio::test]
async fn pg_trickle_474_a_scalar_subquery_in_where_is_retracted() {
    let a = vec![(row(Some(1), "a", 5), 1), (row(Some(2), "a", 7), 2), (row(None, "b", 7), 1)];
    let queries = [
        "select k, s from a where v = (select max(v) from b)",
        "select k, s from a where v >= (select max(b.v) from b where b.s = a.s)",
        "select k, s from a where v > (select count(*) from b)",
        "select k, (select max(v) from b) as m from a",
        "select s, sum(v) as t from a group by s having sum(v) > (select min(v) from b)",
    ];
    // The maximum is deleted; a greater one is inserted; the last row is deleted; the first one is inserted.
    for (old, change) in [
        (vec![(5, 1), (7, 1)], vec![(7, -1)]),
        (vec![(5, 1)], vec![(7, 1)]),
        (vec![(7, 1)], vec![(7, -1)]),
        (vec![], vec![(7, 2)]),
    ] {
        let rows = |of: Vec<(i64, i64)>| of.into_iter().map(|(v, n)| (row(Some(v), "a", v), n)).collect::<Vec<_>>();
        holds((a.clone(), vec![]), (rows(old.clone()), rows(change.clone())), &queries).await;
        let moved = vec![(row(Some(2), "a", 7), -1), (row(Some(3), "b", 7), 1)];
        holds((a.clone(), moved), (rows(old), rows(change)), &queries).await;
    }
}

#[tokio::test]
async fn scalar_subquery_flips_and_flips_nothing() {
    // Another row holds the same maximum: the subquery's rows change, its value does not.
    let a = vec![(row(Some(1), "a", 7), 1), (row(Some(2), "a", 5), 1)];
    let b = vec![(row(Some(1), "b", 7), 1)];
    let change = vec![(row(Some(1), "b", 7), -1), (row(Some(9), "z", 7), 1)];
    holds((a, vec![]), (b, change), &["select k from a where v = (select max(v) from b)"]).await;
}

#[test]
fn f9_no_subquery_is_left_inside_an_expression() {
    let world = World { tables: vec![table("a", vec![], vec![]), table("b", vec![], vec![])], before: false };
    for sql in [
        "select k, (select max(v) from b) as m from a",
        "select k from a where v = (select max(v) from b)",
        "select k from a where v = (select max(v) from b where b.k = a.k) or s = 'a'",
        "select k from a where k not in (select k from b)",
        "select k from a where k not in (select v from b where b.s = a.s) or v = 1",
        "select k, case when k in (select k from b) then 1 else 2 end as m from a",
        "select k, exists (select 1 from b where b.k = a.k) as e from a",
        "select k from a where not exists (select 1 from b)",
        "select k, sum(v) as v from a group by k having sum(v) > (select min(v) from b)",
    ] {
        let plan = normalise(&world.plan(sql)).expect(sql);
        plan.apply_with_subqueries(|node| {
            for expr in node.expressions() {
                let left =
                    expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_))))?;
                assert!(!left, "{sql}\n{}", plan.display_indent());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("walk");
    }
}

#[test]
fn pg_trickle_549_now_and_random_are_refused_wherever_they_stand() {
    let world = World { tables: vec![table("a", vec![], vec![]), table("b", vec![], vec![])], before: false };
    for (sql, function) in [
        ("select k from a where now() > to_timestamp(v)", "`now()`"),
        ("select k from a where random() < 0.5", "`random()`"),
        ("select k from a join b on a.k = b.k and random() < 0.5", "`random()`"),
        ("select k, count(*) filter (where now() > to_timestamp(v)) as n from a group by k", "`now()`"),
        ("select k from a where k in (select v from b where random() < 0.5)", "`random()`"),
        ("with x as (select k, random() as r from a) select k from x where r > 0.5", "`random()`"),
    ] {
        let sql = sql.replace("select k from a join", "select a.k from a join");
        let refused = differentiate(&world.plan(&sql)).expect_err(&sql);
        assert!(refused.reasons.iter().any(|r| r.text.contains(function)), "{sql}: {refused}");
    }
}

/// The second opinion of `--verify` works: queries of every kind have a plain plan.
#[tokio::test]
async fn queries_can_be_planned_as_they_are_written() {
    let world = World { tables: vec![table("a", vec![], vec![]), table("b", vec![], vec![])], before: false };
    for sql in [
        super::JOIN,
        super::SELF,
        super::EXISTS,
        super::NOT_EXISTS,
        super::OTHER,
        super::GROUP,
        super::LATEST,
        "select a.k, b.v from a, b where a.k = b.k and a.v > 1",
        "select a.k, b.v from a left join b on a.k = b.k and b.v > 0 where coalesce(b.v, 1) = 1",
        "select k from a where k not in (select k from b)",
        "select k, (select max(v) from b where b.k = a.k) as m from a",
        "select k from a where v > (select min(v) from b)",
        "select k from a where exists (select 1 from b where b.k is not distinct from a.k having count(*) > 1)",
        "select distinct k, s from a union select k, s from b",
        "select k, s from a except select k, s from b",
        "select distinct on (k) k, s from a order by k, v desc, s",
        "select k, sum(v) filter (where v > 0) as n, count(distinct s) as d from a group by rollup (k)",
        "select k, s from a order by k, s limit 3",
    ] {
        let plan = world.plan(sql);
        let plain = crate::incremental::plainly_over_new(&plan).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let old = std::sync::Arc::new(deltalake::datafusion::datasource::empty::EmptyTable::new(std::sync::Arc::new(
            plan.schema().as_arrow().clone(),
        )));
        let session = crate::evaluate::tests::support::plain_session();
        let difference = crate::evaluate::plain_difference(&plan, old, &session, &world).await;
        let rows = match difference {
            Ok(change) => change.collect().await,
            Err(error) => panic!("{sql}: {error}\n{}", plain.display_indent()),
        };
        assert!(rows.is_ok(), "{sql}: {rows:?}");
    }
}
