//! Long chains of operators: the same results, names and messages as nested calls, in a bounded number of levels.

use std::sync::Arc;

use deltalake::arrow::array::{Int32Array, Int64Array, RecordBatch, RecordBatchOptions};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::arrow::util::pretty::pretty_format_batches;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan};
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

use super::CheckedArithmetic;
use crate::error::OutOfRange;

/// A table of longs `a` and `b`, an integer `i` and a decimal `d`.
fn session() -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    ctx.add_analyzer_rule(Arc::new(CheckedArithmetic));
    let fields = [("a", DataType::Int64), ("b", DataType::Int64), ("i", DataType::Int32)];
    let schema = Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec()));
    let columns: Vec<deltalake::arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(3), Some(-7), None, Some(1 << 40)])),
        Arc::new(Int64Array::from(vec![Some(2), Some(5), Some(1), Some(9)])),
        Arc::new(Int32Array::from(vec![Some(1), Some(0), Some(8), Some(-4)])),
    ];
    let rows = RecordBatch::try_new_with_options(schema.clone(), columns, &RecordBatchOptions::new()).expect("rows");
    ctx.register_table("t", Arc::new(MemTable::try_new(schema, vec![vec![rows]]).expect("a table")))
        .expect("registered");
    ctx
}

async fn ran(sql: &str) -> Result<String, DataFusionError> {
    Ok(pretty_format_batches(&session().sql(sql).await?.collect().await?)?.to_string())
}

/// The analysed expression of the only column.
async fn analysed(sql: &str) -> (Expr, String) {
    let ctx = session();
    let plan = ctx.sql(sql).await.expect(sql).into_unoptimized_plan();
    let name = plan.schema().field(0).name().clone();
    let state = ctx.state();
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).expect(sql);
    assert_eq!(*plan.schema().field(0).name(), name);
    let LogicalPlan::Projection(projection) = &plan else { panic!("{}", plan.display_indent()) };
    (projection.expr[0].clone(), name)
}

fn depth(expr: &Expr) -> usize {
    let mut below = 0;
    let _ = expr.apply_children(|child| {
        below = below.max(depth(child));
        Ok(TreeNodeRecursion::Continue)
    });
    below + 1
}

/// The operators of a chain of these terms in turn, each with its right operand.
fn steps<'t>(terms: &'t [&'t str], operators: usize) -> impl Iterator<Item = String> {
    (1..=operators).map(|at| format!(" {} {}", if at % 3 == 0 { "-" } else { "+" }, terms[at % terms.len()]))
}

fn chain(terms: &[&str], operators: usize) -> String {
    steps(terms, operators).fold(terms[0].to_owned(), |chain, step| chain + &step)
}

/// The same in subqueries, none of which has a long chain.
fn staged(terms: &[&str], operators: usize) -> String {
    let steps: Vec<String> = steps(terms, operators).collect();
    let first = format!("select a, b, i, {} as x from t", terms[0]);
    let stage =
        |below: String, steps: &[String]| format!("select a, b, i, x{} as x from ({below}) as s", steps.concat());
    format!("select x from ({}) as s", steps.chunks(20).fold(first, stage))
}

#[tokio::test]
async fn a_long_chain_has_the_values_of_a_nested_one() {
    for terms in [
        ["a", "b", "i", "a * 2"].as_slice(),
        &["b", "cast(b as decimal(10, 2))", "1.25"],
        &["cast(a as decimal(20, 3))", "b", "cast(i as double) * 0.5"],
        &["i", "i / 2", "-b", "case when i > 0 then a + b else 7 end"],
    ] {
        for operators in [33, 66] {
            let sql = format!("select {} as x from t", chain(terms, operators));
            let long = ran(&sql).await.expect(&sql);
            assert_eq!(long, ran(&staged(terms, operators)).await.expect(&sql), "{terms:?} {operators}");
        }
    }
    let sum = ran(&format!("select {} as x from t where b = 2", chain(&["a", "b"], 99))).await.expect("a sum");
    assert_eq!(sum.lines().nth(3), Some("| 86 |"), "{sum}");
}

#[tokio::test]
async fn the_levels_and_the_name_of_a_long_chain_are_bounded() {
    for (operators, most) in [(20, 21), (33, 5), (200, 10)] {
        let sql = chain(&["a", "b"], operators);
        let (expr, name) = analysed(&format!("select {sql} from t")).await;
        assert!(depth(&expr) <= most + 1, "{operators}: {}", depth(&expr));
        assert_eq!(expr.schema_name().to_string(), name);
        assert_eq!(name.len(), operators * 6 + 3, "t.a + t.b - ...");
    }
}

#[tokio::test]
async fn an_overflow_in_a_long_chain_names_its_operands_as_in_a_short_one() {
    let message = async |sql: String| {
        let error = ran(&sql).await.expect_err(&sql);
        let found = OutOfRange::within(&error).expect("out of range");
        format!("{found}; {}", found.way_out)
    };
    let max = "9223372036854775807";
    // The sum overflows at the same operator, followed by few others or by many.
    let start = format!("a + b - i + a + {max}");
    let more = " + b".repeat(100);
    let short = message(format!("select {start} + b as x from t where b = 2")).await;
    let long = message(format!("select {start}{more} as x from t where b = 2")).await;
    assert_eq!(long, short);
    assert!(short.contains(&format!(" + {max}` has a value beyond bigint")), "{short}");
    let error = message(format!("select a{more} + {max} as x from t where b = 2")).await;
    assert!(error.contains(&format!(" + {max}` has a value beyond bigint")), "{error}");
}
