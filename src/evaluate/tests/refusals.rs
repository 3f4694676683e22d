//! Reasons, as shown to the author of a query.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};

use super::support::{TestTable, World};
use crate::determinism::{Code, Reason};
use crate::incremental::{Tops, differentiate};
use crate::sql::normalise;

fn reasons(sql: &str) -> Vec<Reason> {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let plan = world.plan(sql);
    differentiate(&plan).err().map(|e| e.reasons).unwrap_or_default()
}

#[test]
fn every_refusal_says_why() {
    for (sql, code, word) in [
        ("select k from a order by k limit 3", Code::Limit, "`limit`"),
        ("select k, row_number() over (order by v) as n from a", Code::WindowWithoutPartitionBy, "`partition by`"),
        ("select k from a where v = (select v from b)", Code::ScalarSubquery, "several rows"),
        ("select k, approx_distinct(v) as vs from a group by k", Code::ApproximateAggregate, "approximation"),
        ("select k, now() as t from a", Code::VolatileFunction, "`now()`"),
        ("select k, count(*) as n from a group by rollup(k)", Code::GroupingSets, "`rollup`"),
        ("select v as _w from a", Code::ReservedColumn, "`_w`"),
        (
            "with recursive r as (select k from a union all select k + 1 from r where k < 3) select k from r",
            Code::Recursion,
            "recursive",
        ),
    ] {
        let reasons = reasons(sql);
        assert!(reasons.iter().any(|r| r.code == code && r.text.contains(word)), "{sql}: {reasons:?}");
    }
}

#[test]
fn several_reasons_are_named_together_each_with_its_code() {
    let columns = [("k", DataType::Int64), ("v", DataType::Int64)];
    let world = World { tables: vec![TestTable::new("a", &columns, vec![], vec![])], before: false };
    let sql =
        "select k, unnest(make_array(v)) as t from (select k, v from a group by rollup(k, v)) order by k, v limit 1";
    let why = differentiate(&world.plan(sql)).expect_err("no derivative");
    assert_eq!(why.reasons.len(), 2, "{why}");
    for code in ["[LIMIT]; ", "incrementally [GROUPING_SETS]"] {
        assert!(why.to_string().contains(code), "{why}");
    }
}

#[test]
fn what_an_order_makes_certain_is_maintained() {
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
        assert_eq!(reasons(sql), [], "{sql}");
    }
}

#[test]
fn sorting_a_result_is_no_obstacle_and_an_outer_join_that_is_none_neither() {
    assert_eq!(reasons("select k from a order by k"), []);
    assert_eq!(reasons("select a.k from a left join b on a.k = b.k where b.v = 1"), []);
}

#[test]
fn a_normalised_query_has_keys_for_its_joins_and_one_name_for_one_column() {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let sql = "select distinct a.k from a, b where a.k = b.k and exists (select 1 from b c where c.s = a.s) order by 1";
    let plan = normalise(&world.plan(sql)).expect("plan");
    let text = plan.display_indent().to_string();
    assert!(!text.contains("Cross") && !text.contains("Sort") && !text.contains("EXISTS"), "{text}");
    plan.apply(|node| {
        let names: Vec<_> = node.schema().fields().iter().map(|f| f.name()).collect();
        let once: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(names.len(), once.len(), "{text}");
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("walk");
}

/// The planner makes a union of a union of three inputs.
#[test]
fn every_input_of_a_union_is_maintained_by_its_constant() {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let one = |name: &str| format!("select '{name}' as name, count(*) as n from a");
    for names in [vec!["x", "y"], vec!["x", "y", "z"], vec!["u", "v", "x", "y", "z"]] {
        let sql = names.iter().map(|name| one(name)).collect::<Vec<_>>().join(" union all ");
        let plan = normalise(&world.plan(&sql)).expect("plan");
        assert_eq!(Tops::of(&plan).count(), names.len(), "{sql}");
    }
    let sql = ["x", "y", "x"].map(one).join(" union all ");
    assert_eq!(Tops::of(&normalise(&world.plan(&sql)).expect("plan")).count(), 0, "one constant twice");
}

/// Its own names beside those of a query.
#[test]
fn names_of_columns_are_no_reason() {
    let distinct = "(select distinct k as \"rows\", s as values0, 1 as value0 from a)";
    assert_eq!(reasons(&format!("select count(*) as n from {distinct}")), []);
    assert_eq!(reasons("select c0, count(*) as c1 from (select distinct k as c0, s as c1 from a) group by c0"), []);
}

/// Which zero a group of 0.0 and -0.0 shows depends on what is read: it is not computed from two readings.
#[test]
fn groups_over_a_zero_are_not_taken_from_two_readings() {
    let columns = [("k", DataType::Int64), ("f", DataType::Float64)];
    let world = World { tables: vec![TestTable::new("a", &columns, vec![], vec![])], before: false };
    for (below, expected) in [
        ("select distinct k from a", true),
        ("select distinct cast(f as string) as k from a", true),
        ("select distinct f from a", false),
        ("select distinct cast(f as string) as k from (select distinct f from a)", false),
    ] {
        let sql = format!("select count(*) as n from ({below})");
        let operators = differentiate(&world.plan(&sql)).expect("a program").explain(&|table| table.to_owned());
        let found = operators.iter().any(|operator| operator.rule.contains("minus the change"));
        assert_eq!(found, expected, "{sql}: {operators:?}");
    }
}
