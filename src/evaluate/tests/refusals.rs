//! Reasons, as the author of a query reads them.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};

use super::support::{TestTable, World, session};
use crate::incremental::{differentiate, normalise};

async fn reasons(sql: &str) -> Vec<String> {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let plan = world.plan(&session(), sql).await;
    differentiate(&plan).err().map(|e| e.reasons).unwrap_or_default()
}

#[tokio::test]
async fn every_refusal_says_why() {
    for (sql, word) in [
        ("select k from a order by k limit 3", "`limit`"),
        ("select k from a limit 3", "`limit`"),
        ("select k, row_number() over (order by v) as n from a", "`partition by`"),
        ("select k, row_number() over (partition by k) as n from a", "`order by`"),
        ("select k from a where v = (select v from b)", "several rows"),
        ("select k, array_agg(v) as vs from a group by k", "`array_agg()`"),
        ("select k, first_value(v) as vs from a group by k", "`first_value()`"),
        ("select k, approx_distinct(v) as vs from a group by k", "approximation"),
        ("select k, now() as t from a", "`now()`"),
        ("select k, random() as r from a", "`random()`"),
        ("select k, count(*) as n from a group by rollup(k)", "`rollup`"),
        ("select distinct on (k) k, v from a", "`distinct on`"),
        ("select v as _w from a", "`_w`"),
        (
            "with recursive r as (select k from a union all select k + 1 from r where k < 3) select k from r",
            "recursive",
        ),
    ] {
        let reasons = reasons(sql).await;
        assert!(reasons.iter().any(|r| r.contains(word)), "{sql}: {reasons:?}");
    }
}

#[tokio::test]
async fn several_reasons_are_named_together() {
    let reasons = reasons("select k, array_agg(v) as vs, now() as t from a group by k limit 1").await;
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

#[tokio::test]
async fn sorting_a_result_is_no_obstacle_and_an_outer_join_that_is_none_neither() {
    assert_eq!(reasons("select k from a order by k").await, Vec::<String>::new());
    assert_eq!(reasons("select a.k from a left join b on a.k = b.k where b.v = 1").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_normalised_query_has_keys_for_its_joins_and_one_name_for_one_column() {
    let columns = [("k", DataType::Int64), ("s", DataType::Utf8)];
    let world = World { tables: ["a", "b"].map(|n| TestTable::new(n, &columns, vec![], vec![])).into(), before: false };
    let sql = "select distinct a.k from a, b where a.k = b.k and exists (select 1 from b c where c.s = a.s) order by 1";
    let plan = normalise(&world.plan(&session(), sql).await).expect("plan");
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
