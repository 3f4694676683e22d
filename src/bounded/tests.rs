use deltalake::datafusion::execution::session_state::SessionStateBuilder;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

/// A session in which functions may produce a megabyte per batch.
fn session() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().extensions.insert(OutputLimit { bytes: 1 << 20 });
    let state = SessionStateBuilder::new().with_default_features().with_config(config).build();
    let context = SessionContext::new_with_state(state);
    context.add_analyzer_rule(Arc::new(BoundedFunctions));
    context
}

async fn ran(sql: &str) -> Result<String, DataFusionError> {
    let batches = session().sql(sql).await?.collect().await?;
    Ok(deltalake::arrow::util::pretty::pretty_format_batches(&batches)?.to_string())
}

/// `n` rows of a text `s`, a number `i` and a list `a`.
fn rows(n: usize) -> String {
    format!("(select 'aé' || i as s, i, make_array(i, i + 1) as a from (select unnest(range(0, {n})) as i) as r) as t")
}

#[tokio::test]
async fn what_would_be_too_large_is_an_error_at_once() {
    for (what, call) in [
        ("repeat", "repeat(s, 1000000000)"),
        ("repeat", "repeat('x', i * 1000000)"),
        ("array_repeat", "array_repeat(i, 1000000000)"),
        ("array_repeat", "array_repeat(a, 1000000)"),
        ("lpad", "lpad(s, 2000000)"),
        ("rpad", "rpad(s, 300000, 'é')"),
        ("range", "range(0, 1000000000 + i)"),
        ("range", "range(1000000000 + i)"),
        ("generate_series", "generate_series(i, -1000000000, -3)"),
        ("generate_series", "generate_series(date '2000-01-01', date '9999-01-01' , interval '1 day')"),
        ("array_resize", "array_resize(a, 1000000000, i)"),
        ("replace", "replace(repeat('a', 100000 + i), 'a', 'aaaaaaaaaaaa')"),
        ("replace", "replace(repeat('a', 100000 + i), '', 'aaaaaaaaaaaa')"),
        ("regexp_replace", "regexp_replace(repeat('a', 100000 + i), 'a', 'aaaaaaaaaaaa', 'g')"),
        ("array_to_string", "array_to_string(range(0, 1000 + i), repeat('x', 10000))"),
        ("array_replace_all", "array_replace_all(array_repeat('x', 1000 + i), 'x', repeat('y', 10000))"),
        ("concat", "concat(repeat(s, 60000), repeat(s, 80000), s)"),
        ("concat_ws", "concat_ws(repeat('x', 150000 + i), s, s, s, s)"),
        ("make_array", "make_array(repeat(s, 60000), repeat(s, 80000))"),
        ("||", "repeat(s, 60000) || repeat(s, 80000)"),
    ] {
        let sql = format!("select {call} as r from {}", rows(3));
        let error = ran(&sql).await.expect_err(&sql);
        let text = error.to_string();
        assert!(text.contains(&format!("a result of `{what}` would take ")), "{sql}: {text}");
        assert!(text.contains(" MB at once, the limit is 1 MB"), "{sql}: {text}");
        let ours = Error::within(&error).expect("an error of ours");
        assert!(ours.next().is_some_and(|help| help.contains("memory_limit")), "{sql}");
    }
}

#[tokio::test]
async fn constants_are_bounded_too_and_the_copies_that_rows_get_of_them() {
    for sql in [
        "select length(repeat('x', 2000000000))",
        "select cardinality(array_repeat(1, 1000000000))",
        "select repeat('x', 1000 * 1000) as x from (select unnest(range(0, 1000)) as i) as t",
        "select i, case when i > 5 then repeat('x', 100000) end as x from (select unnest(range(0, 1000)) as i) as t",
        "select string_agg(repeat('x', 100000), ',') from (select unnest(range(0, 1000)) as i) as t",
        "select upper(rpad('x', 10000)) as x from (select unnest(range(0, 1000)) as i) as t",
    ] {
        let error = ran(sql).await.expect_err(sql).to_string();
        assert!(error.contains("the limit is 1 MB"), "{sql}: {error}");
    }
    let sql = "select length(repeat('x', 1000000)) as n, lpad('7', 3, '0') as p from (values (1), (2)) as t where '007' = lpad('7', 3, '0')";
    assert!(ran(sql).await.expect_err(sql).to_string().contains("2 MB"));
    assert!(ran(&sql.replace(", (2)", "")).await.expect("one row").contains("| 1000000 | 007 |"));
}

#[tokio::test]
async fn what_a_window_makes_for_each_of_its_rows_is_bounded() {
    for (size, call) in [("length", "string_agg(s, ',')"), ("cardinality", "array_agg(s)")] {
        for over in
            ["order by i", "", "order by i desc", "order by i rows between unbounded preceding and unbounded following"]
        {
            let sql = format!("select {size}({call} over ({over})) as n from {}", rows(2_000));
            let error = ran(&sql).await.expect_err(&sql).to_string();
            assert!(error.contains("over a window would take"), "{sql}: {error}");
        }
    }
    let rows = rows(1_000);
    for (over, n) in [("partition by i", 1_000), ("partition by i % 200 order by i", 3_000)] {
        let sql =
            format!("select sum(cardinality(w)) as n from (select array_agg(i) over ({over}) as w from {rows}) as x");
        assert!(ran(&sql).await.expect("small lists").contains(&n.to_string()), "{sql}");
    }
    let over = "order by i rows between 2 preceding and current row";
    let sql = format!("select sum(cardinality(w)) as n from (select array_agg(i) over ({over}) as w from {rows}) as x");
    assert!(ran(&sql).await.expect("small lists").contains("2997"));
}

#[tokio::test]
async fn the_same_comes_out_where_it_fits() {
    let calls = "repeat(s, i), lpad(s, i * 10, 'é'), rpad(s, i), replace(s, 'a', 'bbb'), replace(s, '', '-'), \
        regexp_replace(s, '(é)', '[\\1]', 'g'), concat(s, i, null), concat_ws(',', s, null, s), s || s, s || null, 'x' || s, \
        array_repeat(i, 2), range(0, i), generate_series(i, 0, -1), array_resize(a, 3, 7), array_to_string(a, '-'), \
        array_replace_all(a, i, 9), array_append(a, i), array_concat(a, a), named_struct('a', i), \
        array_agg(i) over (order by i), string_agg(s, '-') over (order by i desc), \
        generate_series(date '2024-01-01', date '2024-03-01', interval '1 month'), overlay(s placing 'x' from 2), \
        lpad(null, 3), repeat(s, null), repeat(s, -1), range(3, null), translate(s, 'a', 'b')";
    for sql in [format!("select {calls} from {}", rows(3)), format!("select {calls} from {} where i > 5", rows(3))] {
        let plain = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        plain.sql("set datafusion.sql_parser.map_string_types_to_utf8view = false").await.expect("a setting");
        let batches = plain.sql(&sql).await.expect("planned").collect().await.expect("ran");
        let expected = deltalake::arrow::util::pretty::pretty_format_batches(&batches).expect("shown").to_string();
        assert_eq!(ran(&sql).await.expect("within the limit"), expected);
    }
}

#[tokio::test]
async fn a_batch_that_may_be_too_large_is_computed_in_parts() {
    let sql = |by: &str| {
        format!(
            "select count(*), sum(length(r)) from (select regexp_replace(repeat('ab', 100 + i % 2), '{by}', '1234567890', \
             'g') as r from (select unnest(range(0, 4000)) as i) as t) as u"
        )
    };
    assert!(ran(&sql("c")).await.expect("nothing grows").contains("804000"));
    let error = ran(&sql("a")).await.expect_err("all of it grows").to_string();
    assert!(error.contains("`regexp_replace` would take"), "{error}");
}

#[tokio::test]
async fn a_long_chain_of_texts_is_a_few_calls_with_the_same_limit() {
    let texts: Vec<&str> = (0..200).map(|i| if i % 3 == 0 { "s" } else { "'x'" }).collect();
    let from = rows(3);
    let chain = ran(&format!("select {} as r from {from}", texts.join(" || "))).await.expect("texts");
    assert_eq!(chain, ran(&format!("select concat({}) as r from {from}", texts.join(", "))).await.expect("texts"));

    let plan = session().sql(&format!("select {} as r from {from}", texts.join(" || "))).await.expect("a query");
    let plan = session().state().optimize(plan.logical_plan()).expect("a plan");
    let mut calls = 0;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                calls += usize::from(matches!(e, Expr::ScalarFunction(call) if call.name() == JOINED));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    assert!(walked.is_ok() && (1..=8).contains(&calls), "{calls} calls\n{}", plan.display_indent());

    let long = format!("repeat(s, 60000) || repeat(s, 80000){}", " || 'x'".repeat(60));
    let error = ran(&format!("select {long} as r from {from}")).await.expect_err("too large").to_string();
    assert!(error.contains("a result of `||` would take ") && error.contains("the limit is 1 MB"), "{error}");
    let null = ran(&format!("select s || cast(null as varchar){} as r from {from}", " || 'x'".repeat(60))).await;
    assert!(null.expect("NULL").lines().nth(3).is_some_and(|row| !row.contains('x')));
}
