//! A long chain of `union all` as one union. The planner nests it as deeply as it has queries, and each rule of the
//! engine and of ours walks, copies and renames the columns of every level.

use std::sync::Arc;

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult};
use deltalake::datafusion::logical_expr::{LogicalPlan, Union};

/// Up to this many queries a chain stays as it is.
const LONG: usize = 16;

/// The same plan with every long chain as one union. It is analysed: the queries of a chain have the same types, or there
/// is a cast between them.
///
/// # Errors
/// Those of the traversal: none.
pub(super) fn flattened(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Union(union) = node else { return Ok(Transformed::no(node)) };
        let mut inputs = Vec::new();
        // From the last query to the first.
        let mut waiting: Vec<&Arc<LogicalPlan>> = union.inputs.iter().collect();
        while let Some(input) = waiting.pop() {
            match input.as_ref() {
                LogicalPlan::Union(inner) => waiting.extend(&inner.inputs),
                _ => inputs.push(Arc::clone(input)),
            }
        }
        if inputs.len() <= LONG || inputs.len() == union.inputs.len() {
            return Ok(Transformed::no(LogicalPlan::Union(union)));
        }
        inputs.reverse();
        Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema: union.schema })))
    })
    .data()
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::sql::plan_sql;

    fn unions(plan: &LogicalPlan) -> Vec<usize> {
        let own = if let LogicalPlan::Union(union) = plan { vec![union.inputs.len()] } else { Vec::new() };
        own.into_iter().chain(plan.inputs().into_iter().flat_map(unions)).collect()
    }

    #[test]
    fn a_long_chain_is_one_union_in_the_order_of_the_text() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let plan = |queries: usize| {
            let sql: Vec<String> = (0..queries).map(|i| format!("select a, {i} as n from t{i}")).collect();
            let tables: Vec<_> = (0..queries).map(|i| (format!("t{i}"), Arc::clone(&schema))).collect();
            plan_sql(&sql.join(" union all "), &tables).expect("a plan")
        };
        assert_eq!(unions(&plan(LONG)), vec![2; LONG - 1]);
        let long = plan(300);
        assert_eq!(unions(&long), [300]);
        let text = long.display_indent().to_string();
        let places: Vec<usize> =
            (0..300).map(|i| text.find(&format!("TableScan: t{i}\n")).unwrap_or(text.len())).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn a_cast_between_two_levels_stays() {
        let fields = ["i", "d"]
            .map(|name| Field::new(name, if name == "i" { DataType::Int64 } else { DataType::Float64 }, true));
        let tables = [("t".to_owned(), Arc::new(Schema::new(fields.to_vec())))];
        let part = |column: &str, n: usize| vec![format!("select {column} as x from t"); n].join(" union all ");
        let long = plan_sql(&format!("{} union all {}", part("i", 40), part("d", 40)), &tables).expect("a plan");
        assert_eq!(long.schema().field(0).data_type(), &DataType::Float64);
        let scans = long.display_indent().to_string().matches("TableScan: t").count();
        assert_eq!(scans, 80);
    }
}
