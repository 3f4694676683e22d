//! Joins, semi joins and outer joins.

use super::{EXISTS, JOIN, NOT_EXISTS, OTHER, SELF, holds, row, table};
use crate::evaluate::Limits;
use crate::evaluate::tests::support::{TestTable, World, law, program, session};
use crate::incremental::ChangeKind;

#[tokio::test]
async fn pg_trickle_409_both_sides_of_a_join_change_at_once() {
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
async fn existence_begins_or_ends_while_the_row_itself_changes() {
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
async fn diamond_reads_the_same_change_twice() {
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
async fn insert_only_change_stays_one() {
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
        let ctx = session();
        let (_, program) = program(&world, sql);
        let change = crate::evaluate::run(&program, &ctx, &world).await.expect("change");
        assert!(change.insert_only, "{sql}");
        law(&world, sql, Limits::default()).await.expect(sql);
    }
}

#[tokio::test]
async fn pg_trickle_409_three_and_four_inputs_change_at_once() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 2), 1), (row(Some(2), "a", 1), 2)];
    let b = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "b", 2), 1)];
    holds(
        (a, vec![(row(Some(1), "a", 1), -1), (row(Some(2), "a", 1), -1), (row(Some(1), "c", 2), 1)]),
        (b, vec![(row(Some(1), "a", 1), -1), (row(Some(1), "b", 2), 2), (row(Some(2), "a", 1), 1)]),
        &[
            "select x.k, y.s, z.v from a x join b y on x.k = y.k join a z on y.v = z.v",
            "select x.k, y.s, z.v, w.s as t from a x, b y, b z, a w where x.k = y.k and y.k = z.k and z.k = w.k",
            "select x.k, y.v from a x cross join b y",
        ],
    )
    .await;
}

#[tokio::test]
async fn self_join_has_the_change_on_both_sides() {
    let a = vec![(row(Some(1), "a", 1), 2), (row(Some(2), "b", 1), 1), (row(None, "c", 1), 1)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(2), "b", 1), -1), (row(Some(1), "d", 1), 1)];
    holds(
        (a, change),
        (vec![], vec![]),
        &[
            SELF,
            "select x.k, y.k as l from a x join a y on x.v = y.v and x.s < y.s",
            "select x.k, y.k as l from a x left join a y on x.k = y.v and x.s <> y.s",
            "select x.k from a x where exists (select 1 from a y where y.v = x.v and y.s <> x.s)",
        ],
    )
    .await;
}

/// Ids made by hashing ids of the inputs depend on the nesting of joins, and on where one value ends.
#[tokio::test]
async fn hash_of_hash_pg_trickle_463_a_row_is_its_values() {
    let a = vec![(row(Some(1), "a", 12), 1), (row(Some(11), "ab", 2), 1), (row(Some(1), "", 1), 1)];
    let b = vec![(row(Some(1), "bc", 1), 1), (row(Some(11), "c", 1), 1), (row(Some(1), "abc", 1), 1)];
    holds(
        (a, vec![(row(Some(1), "a", 12), -1), (row(Some(1), "ab", 12), 1)]),
        (b, vec![(row(Some(1), "bc", 1), -1), (row(Some(1), "c", 1), 1)]),
        &[
            "select x.s, y.s as t from a x join b y on x.k = y.k",
            "select distinct x.s, y.s as t from a x join b y on x.k = y.k",
            "select x.s, y.s as t, z.s as u from (a x join b y on x.k = y.k) join a z on y.k = z.k",
            "select x.s, y.s as t, z.s as u from a x join (b y join a z on y.k = z.k) on x.k = y.k",
            "select k, v, count(*) as n from a group by k, v",
        ],
    )
    .await;
}

#[tokio::test]
async fn pg_trickle_938_left_joins_in_a_chain_under_min_and_max() {
    let chain = "select x.k, min(y.s) as least, max(z.v) as most, count(z.v) as n from a x \
                 left join b y on x.k = y.k left join a z on y.v = z.v group by x.k";
    let a = vec![(row(Some(1), "a", 5), 1), (row(Some(2), "a", 6), 1), (row(Some(3), "a", 7), 1)];
    let b = vec![(row(Some(1), "b", 5), 1), (row(Some(1), "c", 6), 1), (row(Some(2), "b", 9), 1)];
    // The minimum is deleted, the match of 2 moves, 3 gains its first match, and the maximum of 1 is deleted with its
    // row.
    holds(
        (a, vec![(row(Some(2), "a", 6), -1)]),
        (b, vec![(row(Some(1), "b", 5), -1), (row(Some(2), "b", 9), -1), (row(Some(3), "z", 7), 1)]),
        &[chain, "select y.k, x.k as l, z.k as m from b y right join a x on x.k = y.k full join a z on z.v = y.v"],
    )
    .await;
}

#[tokio::test]
async fn pg_ivm_1_14_null_keys_and_cross_joins_in_outer_joins() {
    let a = vec![(row(None, "a", 1), 2), (row(Some(1), "a", 1), 1)];
    let b = vec![(row(None, "b", 1), 1), (row(Some(1), "b", 1), 1)];
    let (a_change, b_change) = (
        vec![(row(None, "a", 1), -1), (row(Some(1), "a", 1), -1), (row(None, "c", 1), 1)],
        vec![(row(None, "b", 1), -1), (row(Some(1), "b", 1), -1), (row(None, "d", 1), 2)],
    );
    let queries = [
        "select a.k, a.s, b.s as t from a left join b on a.k = b.k",
        "select a.k, a.s, b.s as t from a full join b on a.k = b.k",
        "select a.k, a.s, b.s as t from a right join b on a.k is not distinct from b.k",
        "select x.s, y.s as t, z.s as u from a x cross join b y left join b z on z.k = x.k",
        "select x.s, y.s as t from a x left join (select p.s, q.k from b p cross join b q) y on x.k = y.k",
        "select a.s, b.s as t from a left join b on 1 = 1",
    ];
    holds((a.clone(), a_change.clone()), (b.clone(), vec![]), &queries).await;
    holds((a.clone(), vec![]), (b.clone(), b_change.clone()), &queries).await;
    holds((a, a_change), (b, b_change), &queries).await;
}

/// The engine turns null-safe conditions into keys of a hash join only where there is no plain one.
#[tokio::test]
async fn f8_null_safe_and_plain_keys_in_one_join() {
    let none = |k| vec![super::int(k), super::Value::Text(None), super::int(Some(1))];
    let a = vec![(none(Some(1)), 1), (none(None), 1), (row(Some(1), "a", 1), 1)];
    let b = vec![(none(Some(1)), 1), (row(Some(1), "a", 2), 1)];
    holds(
        (a, vec![(none(Some(1)), -1), (none(None), 1), (row(Some(2), "a", 1), 1)]),
        (b, vec![(none(Some(1)), 1), (row(Some(1), "a", 2), -1), (none(None), 2)]),
        &[
            "select a.k, a.s, b.v from a join b on a.k = b.k and a.s is not distinct from b.s",
            "select a.k, a.s, b.v from a left join b on (a.k is not distinct from b.k) and a.s = b.s",
            "select a.k, a.s, b.v from a full join b on a.k = b.k and a.s is not distinct from b.s",
            "select k, s from a where exists (select 1 from b where b.k = a.k and b.s is not distinct from a.s)",
            "select k, s from a where not exists (select 1 from b where (b.k is not distinct from a.k) and b.s = a.s)",
        ],
    )
    .await;
}

#[tokio::test]
async fn rows_that_only_come_on_the_right_take_rows_away() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "a", 2), 1)];
    let b = vec![(row(Some(1), "b", 9), 1)];
    let world = World {
        tables: vec![
            TestTable { kind: ChangeKind::None, ..table("a", a, vec![]) },
            TestTable { kind: ChangeKind::InsertOnly, ..table("b", vec![], b) },
        ],
        before: false,
    };
    for sql in [
        NOT_EXISTS,
        "select k from a where k not in (select k from b)",
        "select a.k, b.v from a left join b on a.k = b.k",
        "select a.k, b.v from a full join b on a.k = b.k",
        "select k, (select max(v) from b) as m from a",
    ] {
        law(&world, sql, Limits::default()).await.unwrap_or_else(|e| panic!("{sql}\n{e}"));
    }
}

/// The group of NULL consists of unmatched rows: a matched row whose group is unchanged does not belong to it.
#[tokio::test]
async fn rows_without_partner_are_those_that_have_none_whatever_the_keys() {
    let a = vec![(row(Some(1), "p", 1), 1), (row(Some(2), "p", 2), 1)];
    let b = vec![(row(Some(1), "x", 7), 1)];
    let queries = [
        "select b.s, count(distinct a.v) as n from a left join b on a.k = b.k group by b.s",
        "select b.s, a.k, row_number() over (partition by b.s order by a.v, a.k) as n from a left join b on a.k = b.k",
        "select b.s, max(a.v) as most from a left join b on a.k = b.k group by b.s having count(distinct a.v) > 0",
    ];
    holds((a, vec![(row(Some(3), "p", 3), 1)]), (b, vec![]), &queries).await;
}

/// A row deleted from one side of a join is paired with new rows of the other side until the terms are consolidated.
#[tokio::test]
async fn pairs_that_never_were_are_asked_nothing() {
    let a = vec![(row(Some(1), "number", 10), 1), (row(Some(2), "number", 20), 1)];
    let b = vec![(row(Some(1), "12", 5), 1), (row(Some(2), "3", 4), 1)];
    let from_a = vec![(row(Some(1), "number", 10), -1), (row(Some(3), "text", 7), 1)];
    let from_b = vec![
        (row(Some(1), "12", 5), -1),
        (row(Some(1), "twelve", 0), 1),
        // It was inserted and deleted between two syncs.
        (row(Some(2), "none", 0), 1),
        (row(Some(2), "none", 0), -1),
    ];
    let queries = [
        "select a.k, a.v / b.v as q from a join b on a.k = b.k",
        "select a.k, a.v / b.v as q from a left join b on a.k = b.k",
        "select a.k, a.v / b.v as q from a full join b on a.k = b.k",
        "select a.k, b.v from a join b on a.k = b.k and a.v / b.v > 1",
        "select a.k, b.v from a left join b on a.k = b.k and a.v / b.v > 1",
        "select a.k, b.v from a full join b on a.k = b.k and a.v / b.v > 1",
        "select a.k, b.v from a join b on a.k = b.k where a.v / b.v > 1",
        "select a.k from a where exists (select 1 from b where b.k = a.k and a.v / b.v > 1)",
        "select a.k from a where not exists (select 1 from b where b.k = a.k and a.v / b.v > 1)",
        "select a.k, exists (select 1 from b where b.k = a.k and a.v / b.v > 1) as e from a",
        "select a.k, a.v / (select sum(b.v) from b where b.k = a.k) as q from a",
        "select x.k, x.v / y.v as q from (select k, sum(v) as v from a group by k) x \
         join (select k, sum(v) as v from b group by k) y on x.k = y.k",
        "select a.k, cast(b.s as bigint) as n from a join b on a.k = b.k where a.s = 'number'",
        "select a.k, case when a.s = 'number' then cast(b.s as bigint) end as n from a join b on a.k = b.k",
        "select a.k, sum(a.v / b.v) as q, count(*) as n from a join b on a.k = b.k group by a.k",
        "select a.v / b.v as q, count(*) as n from a join b on a.k = b.k group by a.v / b.v",
        "select a.k, rank() over (partition by a.v / b.v order by a.k) as n from a join b on a.k = b.k",
        "select distinct a.v / b.v as q from a join b on a.k = b.k union all select 100 / v from a",
        "select a.k, c.v / b.v as q from a join b on a.k = b.k join a c on c.v > b.v",
    ];
    holds((a.clone(), from_a.clone()), (b.clone(), from_b), &queries).await;
    // The other way round: the terms are asymmetric.
    let queries =
        queries.map(|sql| sql.replace("a.v / b.v", "b.v / (a.v - 7)").replace("x.v / y.v", "y.v / (x.v - 7)"));
    let from_a = vec![(row(Some(1), "number", 10), -1), (row(Some(1), "text", 7), 1)];
    let from_b = vec![(row(Some(1), "12", 5), -1)];
    holds((a, from_a), (b, from_b), &queries.each_ref().map(String::as_str)).await;
}
