//! Groups, partitions and filters.

use super::super::support::{Bag, Value};
use super::{EXISTS, GROUP, JOIN, LATEST, NOT_EXISTS, SELF, holds, int, row};

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
async fn last_row_of_a_group_goes_and_a_key_moves() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "b", 2), 1)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(2), "b", 2), -1), (row(Some(3), "b", 2), 1)];
    holds((a, change), (vec![], vec![]), &[GROUP, LATEST, "select distinct k from a", "select count(*) as n from a"])
        .await;
}

#[tokio::test]
async fn update_to_the_duplicate_of_another_row() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 1), 1)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(1), "b", 1), 1)];
    holds((a, change), (vec![], vec![]), &["select k, s, v from a", "select distinct k, s from a", GROUP, SELF]).await;
}

#[tokio::test]
async fn row_crosses_the_filter_and_a_no_op_update() {
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
async fn empty_source_that_is_or_becomes_so() {
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
async fn partition_holds_a_key_on_one_side_only() {
    // 2 gains an old record with `d`, its latest stays `e`; 3 appears with `d`. Of `e`, nothing changed.
    let change = vec![(row(Some(3), "d", 1), 1), (row(Some(2), "d", 1), 1)];
    let count = format!("select s, count(*) as n from ({LATEST}) x group by s");
    // In one order, and so in one operator.
    let two =
        "select k, s, count(*) over (partition by k, s) as n, rank() over (partition by k order by s) as r from a";
    let three =
        "select k, s, rank() over (partition by k order by s) as r, count(*) over (partition by k, s) as n from a";
    let claimed =
        format!("select k, s, v from b where s in (select s from ({LATEST}) x group by s having count(*) = 1)");
    let b = vec![(row(Some(1), "d", 1), 1), (row(Some(1), "e", 1), 1)];
    holds((vec![(row(Some(2), "e", 5), 1)], change), (b, vec![]), &[&count, &claimed, two, three]).await;
}

#[tokio::test]
async fn keys_of_two_inputs_are_pairs() {
    // (1, p) and (2, q) change; (1, q) does not, although each half of it is in one of them.
    let a = vec![(row(Some(1), "x", 1), 1), (row(Some(2), "x", 2), 1), (row(Some(1), "x", 2), 1)];
    let change = vec![(row(Some(1), "y", 1), 1), (row(Some(2), "y", 2), 1)];
    let b = vec![(row(None, "p", 1), 1), (row(None, "q", 2), 1)];
    let query = "select a.k, b.s, count(distinct a.s) as n from a join b on a.v = b.v group by a.k, b.s";
    holds((a, change), (b, vec![]), &[query]).await;
}

#[tokio::test]
async fn keys_hold_more_than_the_partition_of_a_window() {
    // The new row is the fourth of its partition, and the only one with its key.
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 2), 1), (row(Some(1), "c", 3), 1)];
    let change = vec![(row(Some(1), "d", 4), 1)];
    let ranks = "(select k, s, rank() over (partition by k order by v) as n from a)";
    let queries = [
        format!("select k, s, count(distinct n) as c, max(n) as n from {ranks} t group by k, s"),
        format!("select distinct k, s, n from {ranks} t"),
        format!(
            "select t.k, t.s, t.n from {ranks} t join (select k, s, sum(v) as v from a group by k, s) u on u.k = t.k and u.s = t.s"
        ),
    ];
    holds((a, change), (vec![], vec![]), &queries.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn pg_trickle_331_an_update_without_a_key_keeps_its_delete() {
    // Three equal rows, of which one changes: two stay.
    let a = vec![(row(Some(1), "a", 1), 3)];
    let change = vec![(row(Some(1), "a", 1), -1), (row(Some(1), "a", 2), 1)];
    let queries = ["select s, v from a", "select s, v from a union all select s, k from a", GROUP, SELF, LATEST];
    holds((a, change), (vec![], vec![]), &queries).await;
}

#[tokio::test]
async fn pk_move_takes_the_place_of_another_key() {
    // 1 becomes 2, 2 becomes 3, 3 goes: each key is deleted and inserted in one change.
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "b", 2), 1), (row(Some(3), "c", 3), 1)];
    let change = vec![
        (row(Some(1), "a", 1), -1),
        (row(Some(2), "b", 2), -1),
        (row(Some(3), "c", 3), -1),
        (row(Some(2), "a", 1), 1),
        (row(Some(3), "b", 2), 1),
    ];
    let b = vec![(row(Some(3), "x", 1), 1)];
    holds((a, change), (b, vec![]), &["select k, s, v from a", GROUP, LATEST, JOIN, EXISTS, NOT_EXISTS]).await;
}

#[tokio::test]
async fn averages_do_not_drift_openivm() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(1), "b", 2), 1), (row(Some(1), "c", 2), 1)];
    let change = vec![(row(Some(1), "b", 2), -1), (row(Some(1), "d", 9), 1)];
    let query = "select k, avg(v) as mean, stddev(v) as spread, avg(distinct v) as of_each from a group by k";
    holds((a, change), (vec![], vec![]), &[query, "select avg(v) as mean from a"]).await;
}

#[tokio::test]
async fn deletes_and_inserts_in_one_version_cancel_or_count() {
    let a = vec![(row(Some(1), "a", 1), 2)];
    let change = vec![
        (row(Some(1), "a", 1), -2),
        (row(Some(1), "a", 1), 1),
        (row(Some(1), "a", 1), 2),
        (row(Some(2), "n", 1), 1),
        (row(Some(2), "n", 1), -1),
    ];
    holds((a, change), (vec![], vec![]), &["select k, s from a", "select distinct k from a", GROUP, LATEST]).await;
}

/// The new row is combined from the table's and the change: the lesser of two minima, unless the minimum itself is
/// deleted.
#[tokio::test]
async fn least_and_greatest_of_a_group_are_combined_with_what_comes_and_goes() {
    let at = |k: i64, v: Option<i64>| vec![int(Some(k)), Value::Text(Some("a".into())), int(v)];
    let a = [
        (1, 5),
        (1, 7),
        (2, 5),
        (2, 7),
        (3, 5),
        (3, 7),
        (4, 5),
        (4, 7),
        (5, 5),
        (6, 5),
        (7, 5),
        (7, 5),
        (7, 8),
        (10, 5),
        (10, 7),
        (10, 9),
        (11, 5),
    ];
    let mut old: Bag = a.map(|(k, v)| (at(k, Some(v)), 1)).into();
    old.extend([(at(8, None), 1), (at(11, None), 1)]);
    let change = vec![
        (at(1, Some(3)), 1),  // a new least
        (at(1, Some(9)), 1),  // and a new greatest
        (at(2, Some(6)), 1),  // between both
        (at(3, Some(5)), -1), // the least goes
        (at(4, Some(7)), -1), // the greatest goes
        (at(5, Some(5)), -1), // the group goes
        (at(6, Some(5)), -1), // all rows go and another comes
        (at(6, Some(4)), 2),
        (at(7, Some(5)), -1),  // one of two leasts goes
        (at(8, Some(1)), 1),   // NULL was both
        (at(9, None), 1),      // a group of NULL comes
        (at(10, Some(5)), -1), // both ends go at once
        (at(10, Some(9)), -1),
        (at(11, Some(5)), -1), // NULL is left
    ];
    let queries = [
        "select k, min(v) as least, max(v) as greatest, count(*) as n, sum(v) as total, count(v) as values from a group by k",
        "select k, min(v) as least, count(*) as n from a group by k",
        "select k, max(v) as greatest, count(*) as n from a group by k",
        "select k, min(v) as least from a group by k",
        "select k, sum(v) as total, count(*) as n from a group by k",
        "select k, count(v) as n from a group by k",
        "select k, count(v) as n, sum(coalesce(v, 0)) as total from a group by k",
        "select k, count(*) as n from a group by k having count(*) > 1",
        "select k, count(*) as n, min(v) as least from a group by k having min(v) < 6",
        "select k, sum(coalesce(v, 0)) as total, count(*) as n from a group by k",
        "select k, sum(coalesce(v, 0)) as total, min(coalesce(v, 0)) as least, count(coalesce(v, 0)) as n from a group by k",
        "select min(v) as least, max(v) as greatest, count(*) as n from a",
    ];
    holds((old.clone(), change), (vec![], vec![]), &queries).await;
    let comes = vec![(at(1, Some(3)), 1), (at(2, Some(9)), 1), (at(3, Some(6)), 1), (at(8, None), 1)];
    holds((old, comes), (vec![], vec![]), &queries).await;
}

#[tokio::test]
async fn groups_below_the_top_come_go_and_become_null() {
    let null = |k: i64| vec![Value::Int(Some(k)), Value::Text(Some("a".into())), Value::Int(None)];
    // 1 loses one of three copies, 2 goes, 3 loses its last value but not its last row, 4 comes, 5 gets a NULL, 6 gets its
    // first value.
    let a = vec![
        (row(Some(1), "a", 3), 3),
        (row(Some(2), "a", 5), 1),
        (row(Some(3), "a", 5), 1),
        (null(3), 2),
        (row(Some(5), "a", 7), 1),
        (row(None, "a", 1), 1),
        (null(6), 1),
    ];
    let change = vec![
        (row(Some(6), "a", 2), 1),
        (null(5), 1),
        (row(Some(1), "a", 3), -1),
        (row(Some(2), "a", 5), -1),
        (row(Some(3), "a", 5), -1),
        (null(4), 2),
        (row(Some(5), "a", 7), -1),
        (row(Some(5), "b", 7), 1),
        (row(None, "a", 1), -1),
    ];
    let queries = [
        "select count(*) as n from (select distinct k from a)",
        "select s, count(*) as n from (select distinct k, s from a) group by s",
        "select n, count(*) as c from (select k, count(*) as n from a group by k) group by n",
        "select x, count(*) as c from (select k, sum(v) as x from a group by k) group by x",
        "select x, n, count(*) as c from (select k, count(v) as n, sum(cast(v as decimal(9, 2))) as x from a group by k) group by x, n",
        "select t.k, t.x, b.v from (select k, sum(v) as x, count(*) as n from a group by k) t join b on b.k = t.k",
        "select k, x from (select k, sum(v) as x from a group by k) union all select k, v from b",
        "select count(*) as n from (select k from a union select k from b)",
    ];
    holds((a, change), (vec![(row(Some(1), "x", 1), 1)], vec![(row(Some(4), "y", 1), 1)]), &queries).await;
}

#[tokio::test]
async fn one_aggregate_keeps_its_row_when_everything_goes() {
    let queries = [
        "select count(*) as n, sum(v) as x, min(v) as l, max(s) as g from a",
        "select count(*) as n, sum(coalesce(v, 0)) as x from a",
        "select sum(v) as x from a where k > 0",
        "select count(v) as n from a having count(*) > 1",
        "select 1 + count(*) as n from a",
    ];
    let a = vec![(row(Some(1), "a", 3), 2), (row(Some(2), "b", 4), 1)];
    let change = vec![(row(Some(1), "a", 3), -2), (row(Some(2), "b", 4), -1)];
    holds((a.clone(), change.clone()), (vec![], vec![]), &queries).await;
    holds((vec![], a.clone()), (vec![], vec![]), &queries).await;
    holds((a.clone(), vec![(row(Some(3), "c", 9), 2)]), (vec![], vec![]), &queries).await;
    holds((a, vec![change[1].clone(), (row(Some(3), "c", 9), 1)]), (vec![], vec![]), &queries).await;
}

#[tokio::test]
async fn counts_side_by_side_keep_to_their_own_rows() {
    let a = vec![(row(Some(1), "a", 3), 2), (row(Some(2), "b", 4), 1)];
    let b = vec![(row(Some(1), "x", 1), 1)];
    let queries = [
        "select 'a' as t, count(*) as n from a union all select 'b', count(*) from b",
        "select count(*) as n, 1 as t from a union all select count(*), 1 from b",
        "select k, 'sum' as t, sum(v) as x from a group by k union all select k, 'count', count(*) from b group by k",
        "select 'a' as t, k from a union all select 'n', count(*) from b",
        "select 'a' as t, count(*) as n from a union all select t, n from (select 'b' as t, count(*) as n from a union all select 'c', max(v) from b)",
    ];
    holds((a, vec![(row(Some(2), "b", 4), -1)]), (b, vec![(row(Some(2), "x", 6), 1)]), &queries).await;
}
