//! Values that compare in surprising ways, and rows that are wide.

use deltalake::arrow::datatypes::{DataType, TimeUnit};

use super::{holds, int, row, table};
use crate::evaluate::Limits;
use crate::evaluate::tests::support::{Bag, TestTable, World, law, law_in, session_of};
use crate::lake::Joins;

#[tokio::test]
async fn f14_negative_zero_and_nan_in_keys_and_values() {
    let (zero, negative, nan) = (row(Some(1), "0.0", 1), row(Some(1), "-0.0", 1), row(Some(1), "NaN", 1));
    let queries = [
        "select k, cast(s as double) as f from a",
        "select distinct cast(s as double) as f from a",
        "select cast(s as double) as f, count(*) as n from a group by cast(s as double)",
        "select k, cast(s as double) as f, count(*) as n from a group by k, cast(s as double)",
        "select max(cast(s as double)) as f, k from a group by k",
        "select x.k, y.s from a x join b y on cast(x.s as double) = cast(y.s as double)",
        "select k from a where exists (select 1 from b where cast(b.s as double) = cast(a.s as double))",
        "select k from a where cast(s as double) not in (select cast(s as double) from b)",
        "select k, row_number() over (partition by cast(s as double) order by s, v) as n from a",
    ];
    for (old, change) in [
        (vec![(negative.clone(), 1)], vec![(negative.clone(), -1), (zero.clone(), 1)]),
        (vec![(zero.clone(), 2), (nan.clone(), 1)], vec![(zero.clone(), -1), (negative.clone(), 1)]),
        (vec![(nan.clone(), 2), (negative.clone(), 1)], vec![(nan.clone(), -1), (zero.clone(), 1)]),
        (vec![(nan.clone(), 1)], vec![(nan.clone(), -1)]),
        // A zero is inserted into the group of the other one.
        (vec![(zero.clone(), 2)], vec![(negative.clone(), 1)]),
    ] {
        let b = vec![(zero.clone(), 1), (nan.clone(), 1)];
        holds((old.clone(), change.clone()), (b.clone(), vec![(nan.clone(), -1), (negative.clone(), 1)]), &queries)
            .await;
        holds((b, vec![(zero.clone(), -1), (negative.clone(), 1)]), (old, change), &queries).await;
    }
}

#[tokio::test]
async fn doubles_and_arrays_tell_groups_apart() {
    // Under one k, a group that must be recomputed (its maximum is deleted) and one with an inserted row.
    let a = vec![(row(Some(1), "1.5", 9), 1), (row(Some(1), "1.5", 3), 1), (row(Some(1), "0.0", 1), 1)];
    let change = vec![(row(Some(1), "1.5", 9), -1), (row(Some(1), "0.0", 2), 1)];
    let queries = [
        "select k, [s] as f, count(*) as n, max(v) as most from a group by k, [s]",
        "select [s] as f, k, count(*) as n, max(v) as most from a group by [s], k",
        "select k, f, count(*) as n, max(v) as most from (select k, v, cast(s as double) as f from a) t group by k, f",
        "select f, k, count(*) as n, max(v) as most from (select k, v, cast(s as double) as f from a) t group by f, k",
    ];
    holds((a, change), (vec![], vec![]), &queries).await;
}

#[tokio::test]
async fn doubles_are_keys_of_merge_joins_too() {
    let a = vec![(row(Some(1), "1.5", 9), 1), (row(Some(1), "NaN", 3), 1), (row(Some(2), "0.0", 1), 1)];
    let change = vec![(row(Some(1), "NaN", 3), -1), (row(Some(1), "NaN", 2), 1), (row(Some(2), "-0.0", 2), 1)];
    let world = World { tables: vec![table("a", a, change)], before: false };
    let doubles = "(select k, v, cast(s as double) as f from a)";
    for sql in [
        format!("select f, count(*) as n, max(v) as most, count(distinct k) as ks from {doubles} t group by f"),
        format!("select k, f, rank() over (partition by f order by v) as n from {doubles} t"),
        format!("select distinct f from {doubles} t"),
    ] {
        for limits in [Limits::default(), Limits { bytes: 0 }] {
            law_in(&session_of(Joins::SortMerge), &world, &sql, limits).await.expect(&sql);
        }
    }
}

#[tokio::test]
async fn timestamps_are_keys_of_merge_joins_too() {
    let of = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [("k", DataType::Int64), ("at", of)];
    let row = |k: i64, at: Option<i64>| (vec![int(Some(k)), int(at)], 1);
    let old: Bag = (0..30).map(|k| row(k, (k % 5 > 0).then_some(k % 7 * 1_000_000))).collect();
    let change = vec![row(40, Some(0)), row(41, None), (old[3].0.clone(), -1), (old[5].0.clone(), -1)];
    let tables = [("a", old.clone(), change), ("b", old[..9].to_vec(), vec![row(50, Some(3_000_000))])];
    let tables = tables.map(|(name, old, change)| TestTable::new(name, &columns, old, change));
    let world = World { tables: tables.into(), before: false };
    for sql in [
        "select a.k, b.k as j from a join b on a.at = b.at",
        "select a.k, b.k as j from a left join b on a.at = b.at and a.k > b.k",
        "select a.k, b.k as j from a full join b on a.at = b.at",
        "select a.k, b.k as j from a join b on a.at is not distinct from b.at",
        "select k from a where at in (select at from b)",
        "select k from a where not exists (select 1 from b where b.at = a.at)",
        "select at, count(*) as n from a group by at",
        "select k, max(k) over (partition by at) as m from a",
        "select at from a intersect select at from b",
    ] {
        for limits in [Limits::default(), Limits { bytes: 0 }] {
            law_in(&session_of(Joins::SortMerge), &world, sql, limits).await.expect(sql);
        }
    }
}

/// The change restricts keys by `k = 1`: the engine treated that and `1 = k` as a contradiction.
#[tokio::test]
async fn constants_stand_on_either_side() {
    let a = vec![(row(Some(1), "a", 1), 1), (row(Some(2), "a", 2), 1)];
    let change = vec![(row(Some(1), "a", 3), 1)];
    let queries = [
        "select k, v, rank() over (partition by k order by v) as n from a where 1 + 0 = k",
        "select v, sum(v) over (partition by k) as n from (select 1 as c, k, v from a) t where c = k",
        "select v from (select v, k, 2 - 1 as c from a) t where c = k and v = (select max(v) from a b where b.k = t.k)",
        "select x.v, y.v as w from a x left join a y on x.k = y.k and abs(-1) = y.k",
        "select s, v, rank() over (partition by s order by v) as n from a where lower('A') = s",
        "select distinct k from a where cast('1' as bigint) = k",
    ];
    holds((a, change), (vec![], vec![]), &queries).await;
}

#[tokio::test]
async fn keys_are_not_computed_for_rows_that_a_filter_leaves_out() {
    let a = vec![(row(Some(1), "x", 1), 1), (row(Some(2), "y", 2), 1), (row(Some(12), "12", 0), 1)];
    let b = vec![(row(Some(1), "1", 5), 1), (row(Some(2), "12", 5), 1)];
    let numbers = "(select cast(s as bigint) as n, k, v from b where s <> 'none')";
    let queries = [
        "select a.k, t.n from a join {t} t on t.n = a.k",
        "select k from a where k in (select n from {t} t)",
        "select cast(s as bigint) as n, count(*) as c, avg(k) as v from b where s <> 'none' group by cast(s as bigint)",
        "select n, count(distinct k) as c from {t} t group by n having count(*) > 0",
        "select a.k, t.n from a left join {t} t on t.n = a.k",
        "select n, k, max(k) over (partition by n) as m from {t} t",
        "select a.k, (select count(*) from b where s <> 'none' and cast(s as bigint) = a.k) as n from a",
        "select distinct n from {t} t",
        "select n from {t} t except select k from a",
        "select t.n, count(distinct a.v) as v from {t} t join a on a.k = t.n group by t.n",
        "select a.k from a where not exists (select 1 from b where s <> 'none' and cast(s as bigint) = a.k)",
        "select k, v from a where v in (select 100 / v from b where v <> 0)",
        "select k from a where v > 0 and exists (select 1 from b where b.k = 100 / a.v)",
    ];
    let queries = queries.map(|sql| sql.replace("{t}", numbers));
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let came = vec![(row(Some(3), "none", 0), 1), (row(Some(3), "1", 8), 1), (row(Some(3), "2", 50), 1)];
    let went = vec![(row(Some(1), "1", 5), -1), (row(Some(3), "none", 0), 1)];
    let also = vec![(row(Some(3), "none", 0), 1), (row(Some(1), "x", 1), 1)];
    for change in [came, went] {
        holds((a.clone(), vec![]), (b.clone(), change.clone()), &queries).await;
        holds((a.clone(), also.clone()), (b.clone(), change), &queries).await;
    }
}

#[tokio::test]
async fn ns_timestamps_that_are_equal_as_microseconds() {
    let a = vec![(row(Some(1), "a", 1_000), 1), (row(Some(1), "b", 1_001), 1), (row(Some(1), "c", 2_000), 1)];
    let change = vec![(row(Some(1), "a", 1_000), -1), (row(Some(1), "d", 1_002), 1)];
    holds(
        (a, change),
        (vec![(row(Some(1), "a", 1_001), 1)], vec![(row(Some(1), "a", 1_001), -1), (row(Some(1), "a", 1_002), 1)]),
        &[
            "select k, arrow_cast(v, 'Timestamp(Nanosecond, None)') as t from a",
            "select arrow_cast(v, 'Timestamp(Nanosecond, None)') as t, count(*) as n from a group by 1",
            "select arrow_cast(arrow_cast(v, 'Timestamp(Nanosecond, None)'), 'Timestamp(Microsecond, None)') as t, \
             count(*) as n from a group by 1",
            "select x.s from a x join b y on arrow_cast(x.v, 'Timestamp(Nanosecond, None)') = \
             arrow_cast(y.v, 'Timestamp(Nanosecond, None)')",
        ],
    )
    .await;
}

#[tokio::test]
async fn f7_values_are_never_parsed() {
    let nasty = ["a' or 'a' = 'a", "\" -- ", "null", "$1", "\\'", "a\nb", ""];
    let old = nasty.iter().map(|s| (row(Some(1), s, 1), 1)).collect::<Vec<_>>();
    for s in nasty {
        let change = vec![(row(Some(1), s, 1), -1), (row(Some(2), s, 2), 1)];
        holds(
            (old.clone(), change.clone()),
            (old.clone(), vec![(row(Some(1), s, 1), -1)]),
            &[
                "select s, count(*) as n, max(v) as m from a group by s",
                "select a.s, b.v from a join b on a.s = b.s",
                "select s, v from a where not exists (select 1 from b where b.s = a.s)",
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn hundred_column_rows() {
    let names: Vec<String> = (0..100).map(|i| format!("x{i}")).collect();
    let columns: Vec<(&str, DataType)> = names.iter().map(|n| (n.as_str(), DataType::Int64)).collect();
    let wide = |first: i64, last: Option<i64>| {
        (0..100).map(|i| int(if i == 99 { last } else { Some(first + i % 3) })).collect::<Vec<_>>()
    };
    // Rows that differ in the last column only.
    let old = vec![(wide(1, Some(1)), 2), (wide(1, None), 1), (wide(2, Some(1)), 1)];
    let change = vec![(wide(1, Some(1)), -1), (wide(1, None), -1), (wide(1, Some(2)), 1)];
    let b = TestTable::new("b", &columns, vec![(wide(1, Some(1)), 1)], vec![(wide(1, Some(2)), 1)]);
    let world = World { tables: vec![TestTable::new("a", &columns, old, change), b], before: false };
    for sql in [
        "select * from a",
        "select distinct * from a",
        "select * from a intersect select * from b",
        "select * from a where exists (select 1 from b where b.x99 = a.x99)",
        "select x0, count(*) as n from a group by x0",
        "select * from (select *, row_number() over (partition by x0 order by x99 desc nulls last) as n from a) t \
         where n = 1",
    ] {
        for limits in [Limits::default(), Limits { bytes: 0 }] {
            if let Err(e) = law(&world, sql, limits).await {
                panic!("{sql}\n{e}");
            }
        }
    }
}
