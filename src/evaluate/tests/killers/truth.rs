//! The meaning of `in`, `not in`, `exists` and scalar subqueries, compared with rows written by hand: the full
//! evaluation shares its rewriting with the incremental one, so their agreement alone would prove nothing.

use deltalake::arrow::array::RecordBatch;
use futures::TryStreamExt;

use super::{row, table};
use crate::evaluate::Limits;
use crate::evaluate::full;
use crate::evaluate::tests::support::{Bag, World, counted, law, session};

/// The states of `b`: empty; 1; NULL; 1 and NULL.
fn states() -> [Bag; 4] {
    let (one, null) = ((row(Some(1), "x", 5), 1), (row(None, "x", 5), 1));
    [vec![], vec![one.clone()], vec![null.clone()], vec![one, null]]
}

async fn means(a: &Bag, queries: &[(&str, [&str; 4])]) {
    means_over(a, &states(), queries).await;
}

/// The rows of a query at each state of `b`, as `1:x 2:x ∅:x`; and the change from each state to each other one.
pub(super) async fn means_over<const N: usize>(a: &Bag, states: &[Bag; N], queries: &[(&str, [&str; N])]) {
    for (sql, expected) in queries {
        for (from, rows) in states.iter().enumerate() {
            let at =
                World { tables: vec![table("a", a.clone(), vec![]), table("b", rows.clone(), vec![])], before: false };
            let ctx = session();
            let plan = at.plan(sql);
            let stream = full(&plan, &ctx, &at).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let mut found = Vec::new();
            for (row, n) in counted(&batches, false) {
                found.extend((0..n).map(|_| row.join(":")));
            }
            let mut wanted: Vec<&str> = expected[from].split_whitespace().collect();
            wanted.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, wanted, "{sql} over {rows:?}");
            for to in states {
                let mut change: Bag = rows.iter().map(|(r, n)| (r.clone(), -n)).collect();
                change.extend(to.clone());
                let world = World {
                    tables: vec![table("a", a.clone(), vec![]), table("b", rows.clone(), change)],
                    before: false,
                };
                if let Err(e) = law(&world, sql, Limits::default()).await {
                    panic!("{sql}\n{e}");
                }
            }
        }
    }
}

/// 1, 2 and NULL.
fn three() -> Bag {
    vec![(row(Some(1), "x", 1), 1), (row(Some(2), "x", 1), 1), (row(None, "x", 1), 1)]
}

/// The same, and 1 and NULL with values of `y` that `b` never contains.
fn five() -> Bag {
    let mut rows = three();
    rows.extend([(row(Some(1), "y", 1), 1), (row(None, "y", 1), 1)]);
    rows
}

#[tokio::test]
async fn truth_of_in_and_not_in_as_a_condition() {
    means(
        &three(),
        &[
            ("select k from a where k in (select k from b)", ["", "1", "", "1"]),
            ("select k from a where k not in (select k from b)", ["1 2 ∅", "2", "", ""]),
            ("select k from a where not (k in (select k from b))", ["1 2 ∅", "2", "", ""]),
            ("select k from a where not (k not in (select k from b))", ["", "1", "", "1"]),
            ("select k from a where 2 not in (select k from b)", ["1 2 ∅", "1 2 ∅", "", ""]),
            ("select k from a where 1 in (select k from b)", ["", "1 2 ∅", "", "1 2 ∅"]),
            ("select k from a where null not in (select k from b)", ["1 2 ∅", "", "", ""]),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_in_and_not_in_inside_an_expression() {
    means(
        &three(),
        &[
            ("select k from a where (k in (select k from b)) is null", ["", "∅", "1 2 ∅", "2 ∅"]),
            ("select k from a where (k not in (select k from b)) is null", ["", "∅", "1 2 ∅", "2 ∅"]),
            ("select k from a where (k in (select k from b)) is not true", ["1 2 ∅", "2 ∅", "1 2 ∅", "2 ∅"]),
            ("select k from a where k in (select k from b) or k = 2", ["2", "1 2", "2", "1 2"]),
            ("select k from a where k not in (select k from b) or k = 2", ["1 2 ∅", "2", "2", "2"]),
            ("select k from a where not (k in (select k from b) or k = 2)", ["1", "", "", ""]),
            ("select k from a where not (k in (select k from b) and k = 1)", ["1 2 ∅", "2", "2", "2"]),
            ("select k from a where coalesce(k in (select k from b), true)", ["", "1 ∅", "1 2 ∅", "1 2 ∅"]),
            (
                "select k, k in (select k from b) as m from a",
                ["1:false 2:false ∅:false", "1:true 2:false ∅:∅", "1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅"],
            ),
            (
                "select k, k not in (select k from b) as m from a",
                ["1:true 2:true ∅:true", "1:false 2:true ∅:∅", "1:∅ 2:∅ ∅:∅", "1:false 2:∅ ∅:∅"],
            ),
            (
                "select k, case when k in (select k from b) then 'in' when k not in (select k from b) then 'out' \
                 else 'unknown' end as m from a",
                [
                    "1:out 2:out ∅:out",
                    "1:in 2:out ∅:unknown",
                    "1:unknown 2:unknown ∅:unknown",
                    "1:in 2:unknown ∅:unknown",
                ],
            ),
        ],
    )
    .await;
}

/// The same for every state of `b`.
fn always(rows: &str) -> [&str; 4] {
    [rows; 4]
}

#[tokio::test]
async fn truth_of_rows_of_several_columns() {
    let left = ["1:x 2:x ∅:x 1:y ∅:y", "2:x 1:y ∅:y", "1:y ∅:y", "1:y ∅:y"];
    means(
        &five(),
        &[
            ("select k, s from a where (k, s) in (select k, s from b)", ["", "1:x", "", "1:x"]),
            ("select k, s from a where not (k, s) not in (select k, s from b)", ["", "1:x", "", "1:x"]),
            ("select k, s from a where (k, s) not in (select k, s from b)", left),
            ("select k, s from a where not ((k, s) in (select k, s from b))", left),
            ("select k, s from a where (k, v) in (select b.k, 1 from b where b.s = a.s)", ["", "1:x", "", "1:x"]),
            ("select k, s from a where (k, v) not in (select b.k, 1 from b where b.s = a.s)", left),
            (
                "select k, s, (k, s) in (select k, s from b) as m from a",
                [
                    "1:x:false 2:x:false ∅:x:false 1:y:false ∅:y:false",
                    "1:x:true 2:x:false ∅:x:∅ 1:y:false ∅:y:false",
                    "1:x:∅ 2:x:∅ ∅:x:∅ 1:y:false ∅:y:false",
                    "1:x:true 2:x:∅ ∅:x:∅ 1:y:false ∅:y:false",
                ],
            ),
            (
                "select k, s from a where s = 'y' or (k, s) in (select k, s from b)",
                ["1:y ∅:y", "1:x 1:y ∅:y", "1:y ∅:y", "1:x 1:y ∅:y"],
            ),
            ("select k, s from a where (k, s) in ((1, 'x'), (2, 'z'))", always("1:x")),
            ("select k, s from a where (k, s) not in ((1, 'x'), (2, 'z'))", always("2:x 1:y ∅:y")),
            ("select k, s from a where not ((k, s) = (1, 'x'))", always("2:x 1:y ∅:y")),
            ("select k, s from a where (k, s) <> (1, 'x')", always("2:x 1:y ∅:y")),
            ("select k, s from a where (k, s) is distinct from (1, 'x')", always("2:x ∅:x 1:y ∅:y")),
            ("select k, s from a where (k, s) is not distinct from (null, 'x')", always("∅:x")),
            ("select k, s from a where (k, s) < (1, 'y')", always("1:x")),
            ("select k, s from a where (k, s) >= (1, 'y')", always("2:x 1:y")),
            ("select k, s from a where (k, s) between (1, 'x') and (1, 'y')", always("1:x 1:y")),
            ("select k, s from a where (k, s) not between (1, 'x') and (1, 'y')", always("2:x")),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_subqueries_in_the_condition_of_a_join() {
    let on = |join: &str, part: &str| format!("select x.k, y.k as m from a x {join} join a y on x.k = y.k and {part}");
    let (none, one) = ("1:∅ 2:∅ ∅:∅", "1:1 2:∅ ∅:∅");
    let left = [none, one, none, one];
    let right = ["∅:1 ∅:2 ∅:∅", "1:1 ∅:2 ∅:∅", "∅:1 ∅:2 ∅:∅", "1:1 ∅:2 ∅:∅"];
    let nobody = "1:∅ 2:∅ ∅:∅ ∅:1 ∅:2 ∅:∅";
    let full = ["1:1 2:2 ∅:∅ ∅:∅", "1:∅ ∅:1 2:2 ∅:∅ ∅:∅", nobody, nobody];
    let queries = [
        (on("left", "x.k in (select k from b)"), left),
        (on("left", "y.k in (select k from b)"), left),
        (on("left", "y.v < (select max(b.v) from b where b.k = y.k)"), left),
        (on("left", "(exists (select 1 from b where b.k = x.k) or x.k = 7)"), left),
        (on("right", "x.k in (select k from b)"), right),
        (on("right", "y.k in (select k from b)"), right),
        (on("full", "x.k not in (select k from b)"), full),
        (on("full", "y.k not in (select k from b)"), full),
        (on("", "exists (select 1 from b where b.k = x.k and b.v > y.v)"), ["", "1:1", "", "1:1"]),
        (on("", "x.k = (select max(k) from b)"), ["", "1:1", "", "1:1"]),
        (
            "select x.k, y.k as m from a x join a y on y.k = (select max(k) from b where b.s = x.s)".into(),
            ["", "1:1 2:1 ∅:1", "", "1:1 2:1 ∅:1"],
        ),
    ];
    let queries: Vec<_> = queries.iter().map(|(sql, rows)| (sql.as_str(), *rows)).collect();
    means(&three(), &queries).await;
}

#[tokio::test]
async fn truth_of_conditions_whose_parts_can_fail() {
    means(
        &three(),
        &[
            ("select k from a where k <> 2 and 1 / (k - 2) = -1", always("1")),
            ("select k from a where 1 / (k - 2) = -1 and k <> 2", always("1")),
            ("select k from a where k = 2 or 1 / (k - 2) = -1", always("1 2")),
            ("select k from a where case when k <> 2 then 1 / (k - 2) = -1 else true end", always("1 2 ∅")),
            ("select k from (select k from a where k <> 2) t where 1 / (k - 2) = -1", always("1")),
            // The engine treats `1 = k` and `k = 1` as a contradiction.
            ("select k from (select k, 1 as c from a where k = 1) t where c = k", always("1")),
            ("select k from (select k from a where k = 1) t where 2 - 1 = k", always("1")),
            ("select k, k <> 2 and 1 / (k - 2) = -1 as m from a", always("1:true 2:false ∅:∅")),
            ("select k, k = 2 or 1 / (k - 2) = 5 as m from a", always("1:false 2:true ∅:∅")),
            ("select k, not (k <> 2 and 1 / (k - 2) = -1) as m from a", always("1:false 2:true ∅:∅")),
            ("select k, nullif(k, 1) <> 2 and 1 / (k - 2) = 5 as m from a", always("1:false 2:false ∅:∅")),
            ("select k, nullif(k, 1) = 2 or 1 / (k - 2) = -1 as m from a", always("1:true 2:true ∅:∅")),
            (
                "select k from a where k <> 2 and cast(cast(k as varchar) as bigint) > 0 and 1 / (k - 2) = -1",
                always("1"),
            ),
            ("select v, sum(1 / (k - 2)) filter (where k <> 2) as m from a group by v", always("1:-1")),
            ("select sum(1 / (k - 2)) filter (where k <> 2) as m from a", always("-1")),
            ("select x.k from a x join a y on x.k = y.k and y.k <> 2 and 1 / (y.k - 2) = -1", always("1")),
            (
                "select x.k, y.k as m from a x left join a y on x.k = y.k and y.k <> 2 and 1 / (x.k - 2) = -1",
                always("1:1 2:∅ ∅:∅"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_in_and_not_in_that_look_outside() {
    let of = "(select b.k from b where b.s = a.s)";
    let query = |text: &str| text.replace("{S}", of);
    means(
        &five(),
        &[
            (&query("select k, s from a where k in {S}"), ["", "1:x", "", "1:x"]),
            (
                &query("select k, s from a where k not in {S}"),
                ["1:x 2:x ∅:x 1:y ∅:y", "2:x 1:y ∅:y", "1:y ∅:y", "1:y ∅:y"],
            ),
            (&query("select k, s from a where (k in {S}) is null"), ["", "∅:x", "1:x 2:x ∅:x", "2:x ∅:x"]),
            (
                &query("select k, s from a where k in {S} or s = 'y'"),
                ["1:y ∅:y", "1:x 1:y ∅:y", "1:y ∅:y", "1:x 1:y ∅:y"],
            ),
            (&query("select k, s from a where not (k in {S} or k = 2)"), ["1:x 1:y", "1:y", "1:y", "1:y"]),
            (
                &query("select k, s, k in {S} as m from a where k is not null"),
                [
                    "1:x:false 2:x:false 1:y:false",
                    "1:x:true 2:x:false 1:y:false",
                    "1:x:∅ 2:x:∅ 1:y:false",
                    "1:x:true 2:x:∅ 1:y:false",
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_exists() {
    means(
        &three(),
        &[
            ("select k from a where exists (select 1 from b)", ["", "1 2 ∅", "1 2 ∅", "1 2 ∅"]),
            ("select k from a where not exists (select k from b)", ["1 2 ∅", "", "", ""]),
            ("select k from a where exists (select 1 from b where b.k = a.k)", ["", "1", "", "1"]),
            ("select k from a where not exists (select 1 from b where b.k = a.k)", ["1 2 ∅", "2 ∅", "1 2 ∅", "2 ∅"]),
            ("select k from a where exists (select null from b where b.k = a.k) or k = 2", ["2", "1 2", "2", "1 2"]),
            (
                "select k from a where exists (select 1 from b where b.k is not distinct from a.k)",
                ["", "1", "∅", "1 ∅"],
            ),
            (
                "select k, exists (select 1 from b where b.k = a.k) as e from a",
                [
                    "1:false 2:false ∅:false",
                    "1:true 2:false ∅:false",
                    "1:false 2:false ∅:false",
                    "1:true 2:false ∅:false",
                ],
            ),
            (
                "select k, not exists (select 1 from b) as e from a where k = 1",
                ["1:true", "1:false", "1:false", "1:false"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_scalar_subqueries_over_nothing_and_the_count_bug() {
    means(
        &three(),
        &[
            (
                "select k, (select max(k) from b) as m from a",
                ["1:∅ 2:∅ ∅:∅", "1:1 2:1 ∅:1", "1:∅ 2:∅ ∅:∅", "1:1 2:1 ∅:1"],
            ),
            (
                "select k, (select count(*) from b) as n from a",
                ["1:0 2:0 ∅:0", "1:1 2:1 ∅:1", "1:1 2:1 ∅:1", "1:2 2:2 ∅:2"],
            ),
            (
                "select k, (select count(k) from b) as n from a",
                ["1:0 2:0 ∅:0", "1:1 2:1 ∅:1", "1:0 2:0 ∅:0", "1:1 2:1 ∅:1"],
            ),
            (
                "select k, (select count(*) from b where b.k = a.k) as n from a",
                ["1:0 2:0 ∅:0", "1:1 2:0 ∅:0", "1:0 2:0 ∅:0", "1:1 2:0 ∅:0"],
            ),
            (
                "select k, (select count(*) + 10 from b where b.k = a.k) as n from a",
                ["1:10 2:10 ∅:10", "1:11 2:10 ∅:10", "1:10 2:10 ∅:10", "1:11 2:10 ∅:10"],
            ),
            (
                "select k, (select max(b.v) from b where b.k = a.k) as m from a",
                ["1:∅ 2:∅ ∅:∅", "1:5 2:∅ ∅:∅", "1:∅ 2:∅ ∅:∅", "1:5 2:∅ ∅:∅"],
            ),
            (
                "select k, coalesce((select sum(b.v) from b where b.k = a.k), -1) as m from a",
                ["1:-1 2:-1 ∅:-1", "1:5 2:-1 ∅:-1", "1:-1 2:-1 ∅:-1", "1:5 2:-1 ∅:-1"],
            ),
            ("select k from a where (select count(*) from b where b.k = a.k) = 0", ["1 2 ∅", "2 ∅", "1 2 ∅", "2 ∅"]),
            ("select k from a where (select max(k) from b) is null", ["1 2 ∅", "", "1 2 ∅", ""]),
            ("select k from a where not (k < (select max(b.v) from b where b.k = a.k))", ["", "", "", ""]),
        ],
    )
    .await;
}

/// A subquery over the outer table, under the same name.
#[tokio::test]
async fn truth_of_in_and_not_in_over_the_same_table() {
    let same = |rows| [rows; 4];
    let a = vec![(row(Some(1), "x", 1), 1), (row(Some(2), "y", 2), 1), (row(None, "x", 1), 1)];
    means(
        &a,
        &[
            ("select k from a where k in (select k from a where v = 2)", same("2")),
            ("select k from a where k not in (select k from a where v = 2)", same("1")),
            ("select k from a where not (k in (select k from a where v = 2))", same("1")),
            ("select k from a where k in (select k from a where v = 2) or k = 7", same("2")),
            ("select k, k in (select k from a where v = 2) as j from a", same("1:false 2:true ∅:∅")),
            (
                "select k, k in (select a.k from b a where a.v = 5) as j from a",
                ["1:false 2:false ∅:false", "1:true 2:false ∅:∅", "1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅"],
            ),
            (
                "select k from a where s not in (select s from a where k not in (select k from a where v = 2))",
                same("2"),
            ),
            (
                "select k from a where v in (select v from a where k in (select k from a where v = 2) or k is null)",
                same("1 2 ∅"),
            ),
            ("select s, count(*) as n from a group by s having s not in (select s from a where v = 2)", same("x:2")),
        ],
    )
    .await;
}

/// `min` and `count` without a group give a row even if nothing matches: the engine preserves that only for scalar
/// subqueries.
#[tokio::test]
async fn truth_of_subqueries_on_the_left_of_in() {
    let most = "(select max(b.k) from b where b.k = a.k)";
    let query = |text: &str| text.replace("{x}", most);
    let one = ["", "1", "", "1"];
    means(
        &three(),
        &[
            (&query("select k from a where {x} in (select k from a)"), one),
            (&query("select k from a where {x} + 0 in (select z.k from a z where z.k >= a.k)"), one),
            (&query("select k from a where {x} * 5 not in (select k from a where k is not null)"), one),
            (&query("select k from a where not ({x} * 5 in (select k from a where k is not null))"), one),
            (&query("select k from a where case s when 'x' then {x} end in (select k from a)"), one),
            (&query("select k from a where {x} = any (select k from a)"), one),
            (&query("select k from a where (k in (select k from b)) in (select k = 1 from a where k = 1)"), one),
            (
                &query("select k, {x} in (select k from a where k is not null) as m from a"),
                ["1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅", "1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn truth_of_subqueries_in_groupings_aggregates_and_windows() {
    means(
        &five(),
        &[
            (
                "select k in (select k from b) as m, count(*) as n from a group by k in (select k from b)",
                ["false:5", "true:2 false:1 ∅:2", "∅:5", "true:2 ∅:3"],
            ),
            (
                "select s, sum(case when exists (select 1 from b where b.k = a.k) then 1 else 0 end) as n from a group by s",
                ["x:0 y:0", "x:1 y:1", "x:0 y:0", "x:1 y:1"],
            ),
            (
                "select s, count(*) filter (where k not in (select k from b where k is not null)) as n from a group by s",
                ["x:3 y:2", "x:1 y:0", "x:3 y:2", "x:1 y:0"],
            ),
            (
                "select s, k, count(*) over (partition by s, k in (select k from b)) as n from a where k is not null",
                ["x:1:2 x:2:2 y:1:1", "x:1:1 x:2:1 y:1:1", "x:1:2 x:2:2 y:1:1", "x:1:1 x:2:1 y:1:1"],
            ),
        ],
    )
    .await;
}

/// Every subquery is evaluated on the original rows: otherwise the plan of each would contain all previous ones, twice.
#[tokio::test]
async fn truth_of_several_subqueries_that_look_outside() {
    let within = "k in (select b.k from b where b.v > a.v)";
    let both = format!("select k, {within} as one, {within} as two, {within} as three from a where k is not null");
    let no = "1:false:false:false 2:false:false:false";
    let null = "1:∅:∅:∅ 2:∅:∅:∅";
    let (one, with_null) = ("1:true:true:true 2:false:false:false", "1:true:true:true 2:∅:∅:∅");
    means(&three(), &[(&both, [no, one, null, with_null])]).await;
}

#[tokio::test]
async fn truth_of_subqueries_with_an_aggregate_of_nothing() {
    means(
        &three(),
        &[
            ("select k from a where 'y' not in (select min(s) from b where b.k = a.k)", ["", "1", "", "1"]),
            ("select k from a where 'x' in (select min(s) from b where b.k = a.k)", ["", "1", "", "1"]),
            ("select k from a where not ('y' in (select min(s) from b where b.k = a.k))", ["", "1", "", "1"]),
            ("select k from a where exists (select min(s) from b where b.k = a.k)", ["1 2 ∅"; 4]),
            ("select k from a where not exists (select count(*) from b where b.k = a.k)", [""; 4]),
            (
                "select k from a where 0 in (select count(*) from b where b.k = a.k)",
                ["1 2 ∅", "2 ∅", "1 2 ∅", "2 ∅"],
            ),
            (
                "select k from a where exists (select count(*) from b where b.k = a.k having count(*) = 0)",
                ["1 2 ∅", "2 ∅", "1 2 ∅", "2 ∅"],
            ),
            (
                "select k, 'y' not in (select min(s) from b where b.k = a.k) as n from a",
                ["1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅", "1:∅ 2:∅ ∅:∅", "1:true 2:∅ ∅:∅"],
            ),
            (
                "select k, (select max(n) from (select count(*) as n from b where b.k = a.k) x) as m from a",
                ["1:0 2:0 ∅:0", "1:1 2:0 ∅:0", "1:0 2:0 ∅:0", "1:1 2:0 ∅:0"],
            ),
            (
                "select k, (select count(*) from b where b.k = a.k having count(*) = 0) as n from a",
                ["1:0 2:0 ∅:0", "1:∅ 2:0 ∅:0", "1:0 2:0 ∅:0", "1:∅ 2:0 ∅:0"],
            ),
            (
                "select k from a where k in (select 1 from b where b.k = a.k union all select count(*) from b where b.k = a.k)",
                ["", "1", "", "1"],
            ),
        ],
    )
    .await;
}

/// Lists of values, two of them about one value: DataFusion merges them as if NULL and columns were values.
#[tokio::test]
async fn truth_of_lists_with_null_with_columns_and_of_two_lists() {
    let same = |rows| [rows; 4];
    means(
        &three(),
        &[
            ("select k from a where k in (1, null) and k not in (2, null)", same("")),
            ("select k from a where k in (1, 3, null) and k not in (2)", same("1")),
            ("select k from a where k not in (1, null)", same("")),
            ("select k from a where not (k in (2, null))", same("")),
            ("select k from a where not (k not in (2, null))", same("2")),
            ("select k from a where k not in (1) or k not in (2)", same("1 2")),
            ("select k from a where k not in (1, 3) or k not in (2, 4)", same("1 2")),
            ("select k from a where not (k in (1, 3) and k in (2, 4))", same("1 2")),
            ("select k from a where not (k in (1, 3) and k not in (1, 3, 4))", same("1 2")),
            ("select k from a where (k in (1, 3) and k in (2, 4)) is null", same("∅")),
            ("select k from a where (k in (1, 2) and k not in (1, 2, 3)) is null", same("∅")),
            ("select k from a where (k not in (1, 2) or k not in (3, 4)) is null", same("∅")),
            ("select k from a where k in (v, 3) and k in (1, 2)", same("1")),
            ("select k from a where k in (v, 3) and k not in (v)", same("")),
            ("select k from a where k in (k, 3) and k in (1, v, 2)", same("1 2")),
            ("select k from a where k not in (v) or k not in (2)", same("1 2")),
            ("select k from a where (k in (1, 2, 3) and v = 1) and k in (2, 3, 4)", same("2")),
            ("select k from a where k in (1, 2) and v in (1, 7) and not (k = 2 or k = 3)", same("1")),
            ("select k from a where (k = 1 or k = 3) and (k = 2 or k = 4) is null", same("")),
            ("select k, k in (1, null) and k in (2, null) as both from a", same("1:∅ 2:∅ ∅:∅")),
            ("select k, k in (1, 3) and k in (2, 3) as both from a", same("1:false 2:false ∅:∅")),
            ("select k, k not in (1, 3) or k not in (2, 4) as either from a", same("1:true 2:true ∅:∅")),
            ("select k, k not in (1, 3) or k in (1, 4) as either from a", same("1:true 2:true ∅:∅")),
        ],
    )
    .await;
}
