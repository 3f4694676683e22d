//! Deterministic and nondeterministic queries.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::datafusion::datasource::empty::EmptyTable;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::optimizer::Analyzer;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

use super::operators::Known;
use super::{Clue, undetermined};

/// `p` and `q` have the key `id` and columns `k`, `s`, `v`, `w`, `f`; `a` is the same without a key, `d` has two keys.
async fn plan(sql: &str) -> LogicalPlan {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.collect_spans = true;
    let context = SessionContext::new_with_config(config);
    let field = |name: &str, t: DataType| Field::new(name, t, name != "id");
    for table in ["p", "q", "a", "d"] {
        let schema = Schema::new(vec![
            field("id", DataType::Int64),
            field("k", DataType::Int64),
            field("s", DataType::Utf8),
            field("v", DataType::Int64),
            field("w", DataType::Int32),
            field("f", DataType::Float64),
        ]);
        context.register_table(table, Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
    }
    let plan = context.state().create_logical_plan(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let analyzed = Analyzer::new().execute_and_check(plan, context.copied_config().options(), |_, _| {});
    analyzed.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn keys(table: &str) -> Vec<Vec<String>> {
    let key = |columns: &[&str]| columns.iter().map(|c| (*c).to_owned()).collect();
    match table {
        "p" | "q" => vec![key(&["id"])],
        "d" => vec![key(&["k", "s"]), key(&["v", "w"]), key(&["no", "such"]), Vec::new()],
        _ => Vec::new(),
    }
}

async fn codes(sql: &str) -> Vec<&'static str> {
    let plan = plan(sql).await;
    undetermined(&plan, &keys).iter().map(|u| u.code.as_str()).collect()
}

async fn all_are(code: &str, queries: &[&str]) {
    let mut wrong = Vec::new();
    for sql in queries {
        let found = codes(sql).await;
        let expected: &[&str] = if code.is_empty() { &[] } else { &[code] };
        if found != expected {
            wrong.push(format!("{sql}\n  {found:?}\n{}", plan(sql).await.display_indent()));
        }
    }
    assert!(wrong.is_empty(), "expected [{code}]:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn volatile_functions() {
    all_are(
        "VOLATILE_FUNCTION",
        &[
            "select now() as t from a",
            "select current_date as t from a",
            "select k from a where random() < 0.5",
            "select k from a where v in (select v from q where uuid() <> s)",
            "select k, (select max(random()) from q) as r from a",
            "select k from a where exists (select 1 from q where q.k = a.k and now() > to_timestamp('2020-01-01T00:00:00Z'))",
            "select k, sum(random()) over (partition by k) as r from a",
            "select k from a order by random()",
            "select p.k from p join q on p.id = q.id and random() > 0.1",
            "select k, count(*) as n from a group by k having random() > 0.1",
            "with x as (select uuid() as u, k from a) select k from x",
            "values (random())",
        ],
    )
    .await;
}

#[tokio::test]
async fn limits() {
    all_are(
        "LIMIT_WITHOUT_TOTAL_ORDER",
        &[
            "select k from a limit 3",
            "select k, v from a order by k limit 3",
            "select k, v from a order by k offset 3",
            "select k, v, w from a order by v, k limit 3 offset 1",
            "select * from p order by k limit 2",
            "select k from a where v in (select v from q order by k limit 2)",
            "select k, (select v from q order by k limit 1) as v from a",
            "select x.k from (select k, v from a order by v limit 2) x",
            // The order of a subquery has no effect.
            "select x.k from (select k from a order by k) x limit 2",
            "select k from (select k, v from a order by k, v limit 5) x limit 2",
            // `upper(s)` is not `s`.
            "select s from a order by upper(s) limit 2",
            "select f from a order by cast(f as int) limit 2",
            // A key that an outer join or a union does not preserve.
            "select p.id, q.v from p left join q on p.k = q.k order by p.id limit 2",
            "select id, v from p union all select id, v from q order by id limit 2",
            "select q.id, a.v from q right join a on q.k = a.k order by q.id limit 3",
            "select d.k, d.v, d.f from d order by d.k, d.v limit 3",
            "with recursive p as (select 1 as id, 2 as v union all select id + 1, v from p where id < 3) \
             select * from p order by id limit 2",
        ],
    )
    .await;
    all_are(
        "",
        &[
            "select k from a order by k limit 3",
            "select k, v from a order by v desc nulls last, k limit 3",
            "select k as x, v + 1 as y, v from a order by x, v limit 3",
            "select * from p order by id limit 3",
            "select * from p order by k, id offset 3",
            "select v, s from p order by k, id limit 3",
            "select count(*) as n from (select v from a limit 3)",
            "select k from a where exists (select 1 from q where q.k = a.k limit 1)",
            "select max(v) as m from a limit 1",
            "select k, count(*) as n from a group by k order by k limit 3",
            "select k, count(*) as n, max(v) as m from a group by k order by n, k limit 3",
            "select distinct k, v from a order by v, k limit 3",
            "select p.id, q.v from p join q on p.k = q.id order by p.id limit 2",
            "select p.id, q.v from p left join q on p.k = q.id order by p.id limit 2",
            "select p.id, q.v from q right join p on p.k = q.id order by p.id limit 2",
            "select p.id, q.id as r, q.v from p join q on p.k = q.k order by p.id, r limit 2",
            "select p.id, q.id as r, q.v from p full join q on p.k = q.k order by p.id, r limit 2",
            "select p.id, p.v from p where k in (select k from q) order by id limit 2",
            "select p.id, p.v, q.k from p, q where p.id = q.id order by q.id limit 2",
            "select p.k, p.v, p.id from p where p.id = 7 order by p.k limit 2",
            "select p.id, q.v from p join (select k, max(v) as v from q group by k) q on p.k = q.k order by p.id limit 2",
            "select id, v from p union select id, v from q order by id, v limit 2",
            "select d.* from d order by d.s, d.k limit 3",
            "select d.* from d order by d.v, d.w limit 3",
            "select k, (select v from q where q.id = a.k order by v limit 1) as v from a",
            "select cast(id as bigint) as i, v from p order by i limit 2",
            "select id * 2 as twice, v, id from p order by id limit 2",
            "select v from (select id, v from p order by v limit 3) x",
            "select 1 as one limit 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn windows() {
    all_are(
        "WINDOW_WITHOUT_TOTAL_ORDER",
        &[
            "select k, v, row_number() over (partition by k) as n from a",
            "select k, v, w, row_number() over (partition by k order by v) as n from a",
            "select k, v, w from (select *, row_number() over (partition by k order by v) as n from a) where n = 1",
            "select k, v from (select *, row_number() over (partition by k order by v) as n from a) where n = 1 and w > 0",
            "select k, v, w from a qualify row_number() over (partition by k order by v) = 1",
            "select k, v, w, row_number() over x as n from a window x as (partition by k order by v)",
            "select k, v, row_number() over (partition by k order by v) as n, lag(v) over (order by v) as p from a",
            "select k, lag(v) over (partition by k order by w) as n from a",
            "select k, v, w, lead(v) over (order by v) as n from a",
            "select k, v, ntile(4) over (order by k) as n from a",
            "select k, sum(v) over (partition by k order by w rows 1 preceding) as n from a",
            "select k, first_value(v) over (partition by k order by w) as n from a",
            "select k, last_value(v) over (partition by k order by w) as n from a",
            "select k, nth_value(v, 2) over (partition by k order by w) as n from a",
            "select k, array_agg(v) over (partition by k) as n from a",
            "select k, string_agg(s, ',') over (partition by k order by v) as n from a",
            "select s, row_number() over (order by upper(s)) as n from a",
            "select k, v, w, row_number() over (order by k, v) as n from a",
            "select id, v, row_number() over (partition by v order by rank) as n from \
             (select p.id, p.v, rank() over (partition by k order by v) as rank from p)",
            "select k from a where v in (select v from (select v, w, row_number() over (order by w) as n from q) where n = 1)",
        ],
    )
    .await;
    all_are(
        "",
        &[
            "select row_number() over () as n from a",
            "select k, row_number() over (partition by k) as n from a",
            "select k, v, row_number() over (partition by k order by v) as n from a",
            "select k, v, row_number() over w as n, lag(v) over w as p from a window w as (partition by k order by v)",
            "select k, v from (select *, row_number() over (partition by k order by v desc) as n from a) where n = 1",
            "select k, v, w from (select *, row_number() over (partition by k order by v, id) as n from p) where n = 1",
            "select k, v from a qualify row_number() over (partition by k order by v) = 1",
            "select *, row_number() over x as n from p window x as (partition by k order by v, id)",
            "select *, rank() over (partition by k order by v) as n from a",
            "select *, dense_rank() over (order by v) as n, percent_rank() over (order by w) as m from a",
            "select *, cume_dist() over (partition by k order by v) as n from a",
            "select *, sum(v) over (partition by k order by w) as n, count(*) over (partition by k) as m from a",
            "select *, avg(v) over (order by w range between 1 preceding and 1 following) as n from a",
            "select *, max(v) over (order by w groups 1 preceding) as n from a",
            "select *, sum(v) over (order by w rows between unbounded preceding and unbounded following) as n from a",
            "select *, first_value(v) over (partition by k order by w, v) as n from a",
            "select *, last_value(v) over (partition by k order by w, id) as n from p",
            "select *, first_value(upper(s)) over (partition by k order by w, upper(s)) as n from a",
            "select *, lag(v) over (partition by k order by w, id) as n from p",
            "select *, sum(v) over (order by id rows 1 preceding) as n from p",
            // The column is not used.
            "select k from (select k, row_number() over (order by v) as n from a)",
            // The output of one window determines the order of another.
            "select k, v, m, row_number() over (partition by k order by v) as n from \
             (select k, v, max(w) over (partition by k) as m from a)",
            // The newest row per key has its partition as a key.
            "select k, v, s from (select * from (select *, row_number() over (partition by k order by v, id) as n from p) \
             where n = 1) order by k limit 3",
            "select k, v, w, f, row_number() over (order by k) as m from \
             (select k, v, w, f from (select *, row_number() over (partition by k order by id) as n from p) where n = 1)",
            "select k from a where exists (select 1 from (select s, row_number() over (order by w) as n from q) x)",
        ],
    )
    .await;
}

#[tokio::test]
async fn aggregates() {
    all_are(
        "AGGREGATE_WITHOUT_TOTAL_ORDER",
        &[
            "select k, array_agg(v) as x from a group by k",
            "select k, array_agg(distinct v) as x from a group by k",
            "select k, array_agg(v order by w) as x from a group by k",
            "select k, string_agg(s, ',') as x from a group by k",
            "select k, string_agg(s, ',' order by v) as x from a group by k",
            "select k, first_value(v) as x from a group by k",
            "select k, first_value(v order by w) as x from a group by k",
            "select k, last_value(s order by upper(s)) as x from a group by k",
            "select k, nth_value(v, 2 order by w) as x from a group by k",
            "select any_value(v) as x from a",
            "select k, any_value(v) as x from a group by rollup(k)",
            "select k, count(*) as n from a group by k having first_value(v) > 1",
            "select k, array_length(array_agg(v)) as n from a group by k",
            "select p.id, array_agg(q.v order by p.k) as x from p join q on p.k = q.k group by p.id",
        ],
    )
    .await;
    all_are(
        "APPROXIMATE_AGGREGATE",
        &[
            "select k, approx_distinct(v) as x from a group by k",
            "select approx_median(v) as x from a",
            "select approx_percentile_cont(v, 0.5) as x from a",
            "select k, approx_distinct(v) over (partition by k) as x from a",
        ],
    )
    .await;
    all_are(
        "",
        &[
            "select k, array_agg(v order by v) as x, array_agg(distinct s order by s) as y from a group by k",
            "select k, array_agg(v order by w, id) as x from p group by k",
            "select k, string_agg(s, ',' order by s) as x from a group by k",
            "select k, first_value(v order by w, v) as x, last_value(upper(s) order by upper(s)) as y from a group by k",
            "select id, any_value(v) as x, first_value(s) as y from p group by id",
            "select p.id, any_value(p.v) as x, count(*) as n from p join q on p.k = q.k group by p.id",
            "select k, any_value(k) as x from a group by k",
            "select k, sum(f) as a, avg(f) as b, stddev(f) as c, var_pop(f) as d, corr(f, v) as e, median(v) as g, \
             percentile_cont(f, 0.5) as h, bool_or(v > 1) as i, bit_xor(v) as j, count(distinct s) as l, min(s) as m, \
             covar_samp(f, v) as n, var_samp(f) as o, stddev_pop(f) as q, regr_slope(f, v) as r, mean(f) as t, \
             covar(f, v) as u, var_sample(f) as w, regr_count(f, v) as x, bool_and(v > 1) as y, bit_or(v) as z from a group by k",
            "select k, v, grouping(k) as g from a group by grouping sets ((k, v), (k))",
            "select k, n from (select k, array_agg(v) as x, count(*) as n from a group by k)",
        ],
    )
    .await;
}

#[tokio::test]
async fn distinct_on() {
    all_are(
        "DISTINCT_ON_WITHOUT_TOTAL_ORDER",
        &[
            "select distinct on (k) k, v from a",
            "select distinct on (k) k, v from a order by k",
            "select distinct on (k) k, v, w from a order by k, v",
            "select distinct on (upper(s)) s from a order by upper(s)",
        ],
    )
    .await;
    all_are(
        "",
        &[
            "select distinct on (k) k from a",
            "select distinct on (k) k, v from a order by k, v",
            "select distinct on (k) k, v, w from p order by k, v, id",
            "select * from (select distinct on (k) k, v, w from p order by k, v, id) x order by k limit 2",
        ],
    )
    .await;
}

#[tokio::test]
async fn orders_that_the_engine_does_not_follow() {
    all_are(
        "ORDER_NOT_FOLLOWED",
        &[
            "select k, string_agg(s, ',' order by s) as x, nth_value(v, 2 order by v) as y from a group by k",
            "select k, array_agg(distinct s) over (partition by k order by id) as x from p",
            "select k, nth_value(v, 2 order by v) as x, nth_value(w, 2 order by w) as y from a group by k",
            "select k, nth_value(v, 2 order by v, s) as x, nth_value(v, 2 order by v, w) as y from a group by k",
            "select k, nth_value(v, 2 order by v desc) as x, nth_value(v, 2 order by v, w) as y from a group by k",
            "select k, nth_value(v, 2 order by v) as x, nth_value(v, 2 order by v nulls first) as y from a group by k",
            "select k, nth_value(v, 2 order by v desc) as x, array_agg(s order by v, s) as y from a group by k",
            "select k, array_agg(distinct s order by v, id) as x from p group by k",
            "select k, array_agg(distinct s order by s, id) as x from p group by k",
            "select k, string_agg(distinct s, ',' order by v, id) as x from p group by k",
        ],
    )
    .await;
    all_are(
        "",
        &[
            "select k, nth_value(v, 2 order by v) as x, nth_value(v, 3 order by v, w) as y from a group by k",
            "select k, nth_value(v, 2 order by v, w) as x, nth_value(v, 3 order by v desc) as y from a group by k",
            "select k, nth_value(v, 2 order by k, v) as x, nth_value(v, 3 order by k desc, v) as y from a group by k",
            "select k, array_agg(v order by v) as x, array_agg(s order by s desc) as y, first_value(w order by w) as z, \
             string_agg(s, ',' order by s) as t, array_agg(distinct s order by s desc) as u from a group by k",
        ],
    )
    .await;
}

#[tokio::test]
async fn orders_at_which_the_engine_stops() {
    all_are(
        "ORDER_BY_REPEATED",
        &[
            "select k, first_value(v order by v, v desc) as x from a group by k",
            "select distinct on (k) k, v from a order by k, v, k",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_determined_though_it_has_no_derivative_passes() {
    all_are(
        "",
        &[
            "select k from a where k not in (select k from q)",
            "select k, v from a except select k, v from q",
            "select k, v from a intersect select k, v from q",
            "select k, unnest(make_array(v, w)) as u from a",
            "with recursive r as (select k from a union all select k + 1 from r where k < 3) select k from r",
            "select * from (select k, v from a order by v) x",
            "select k from a where v > all (select v from q)",
            "select k, case when exists (select 1 from q where q.k = a.k) then 1 else 0 end as e from a",
            "select a.k, b.v from a join a b on a.k = b.k and a.v < b.v",
            "select k, v from (values (1, 2), (1, 3)) as t(k, v)",
        ],
    )
    .await;
}

#[tokio::test]
async fn several_are_found_together_and_each_once() {
    let sql = "with x as (select k, uuid() as u from a) \
               select l.k, array_agg(r.k order by r.u) as us from x l join x r on l.u = r.u group by l.k limit 2";
    assert_eq!(codes(sql).await, ["LIMIT_WITHOUT_TOTAL_ORDER", "AGGREGATE_WITHOUT_TOTAL_ORDER", "VOLATILE_FUNCTION"]);
}

#[tokio::test]
async fn the_way_out_names_the_columns_that_are_missing() {
    for (sql, expected) in [
        ("select k, v, w from a order by k limit 3", "append `v`, `w` to `order by`"),
        ("select * from p order by k limit 3", "append `id` to `order by`"),
        (
            "select v, k, w from (select *, row_number() over (partition by k order by v) n from a) where n = 1",
            "append `w` to its `order by`",
        ),
        ("select *, row_number() over (partition by k order by v) as n from p", "append `id` to its `order by`"),
        ("select k, first_value(v order by w) as x from p group by k", "append `id` to its `order by`"),
        ("select any_value(v) as x from a", "write `min(...)` or `max(...)`"),
        ("select approx_distinct(v) as x from a", "write `count(distinct ...)`"),
    ] {
        let found = undetermined(&plan(sql).await, &keys);
        assert_eq!(found.iter().map(|u| u.way_out.as_str()).collect::<Vec<_>>(), [expected], "{sql}");
    }
    let found = undetermined(&plan("select k from a where v > (select v from q limit 7)").await, &keys);
    assert!(matches!(found[0].place, Clue::Limit { number: Some(7), .. }), "{found:?}");
}

#[tokio::test]
async fn keys_of_plans() {
    for (sql, expected) in [
        ("select * from p", vec![vec!["id"]]),
        ("select v, id as x from p where k > 1", vec![vec!["x"]]),
        ("select v from p", vec![]),
        ("select * from a", vec![]),
        ("select k, s, v from d", vec![vec!["k", "s"]]),
        ("select * from d where s = 'x'", vec![vec!["k"], vec!["v", "w"]]),
        ("select v, w from a group by v, w", vec![vec!["v", "w"]]),
        ("select id, k, count(*) as n from p group by id, k", vec![vec!["id"]]),
        ("select distinct v, w from a", vec![vec!["v", "w"]]),
        ("select max(v) as m from a", vec![vec![]]),
        ("select v from a order by v limit 1", vec![vec![]]),
        ("select p.id, q.id as r from p join q on p.k = q.k", vec![vec!["id", "r"]]),
        ("select p.id, q.id as r from p join q on p.k = q.id", vec![vec!["id"]]),
        ("select p.v, q.id as r from p join q on p.id = q.id", vec![vec!["r"]]),
        ("select p.id, q.v from p left join q on q.id = p.k", vec![vec!["id"]]),
        ("select p.id, q.id as r from p left join q on q.k = p.k", vec![vec!["id", "r"]]),
        ("select p.id, p.v from p where exists (select 1 from q where q.v = p.v)", vec![vec!["id"]]),
        ("select id, v from p union all select id, v from q", vec![]),
        (
            "select k, v, n from (select *, row_number() over (partition by k order by id) as n from p)",
            vec![vec!["k", "n"]],
        ),
        (
            "select k, v from (select *, row_number() over (partition by k order by id) as n from p) where n = 1",
            vec![vec!["k"]],
        ),
        (
            "select s, v from (select *, row_number() over (partition by upper(s) order by id) as n from p) where 1 = n",
            vec![vec!["s"]],
        ),
        ("select id + 0 as id from p", vec![]),
    ] {
        let plan = plan(sql).await;
        let facts = Known::new(&keys, Vec::new()).facts(&plan);
        let names = |key: &super::columns::Columns| {
            key.iter().map(|c| plan.schema().field(c).name().clone()).collect::<Vec<_>>()
        };
        let found: Vec<Vec<String>> = facts.keys.iter().map(names).collect();
        assert_eq!(found, expected, "{sql}\n{}", plan.display_indent());
        assert_eq!(facts.width, plan.schema().fields().len());
    }
}
