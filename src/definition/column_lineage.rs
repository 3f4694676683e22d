//! Column lineage: the columns of tables from which the values of a column of a query are computed. Columns that only
//! decide which rows there are (in `where`, `on`, `group by` of others) are not among them.

use std::collections::BTreeMap;

use crate::shape::document;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::utils::grouping_set_to_exprlist;
use deltalake::datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

document! {
/// How a value comes from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnUse {
    /// It is the same.
    Identity,
    /// It is computed from it.
    Transformation,
    /// It is computed from those of several rows.
    Aggregation,
}
}

/// Table and column -> how values come from it; the closest way counts.
pub(crate) type Inputs = BTreeMap<(String, String), ColumnUse>;

/// The inputs of the output column `index` of a plan.
#[must_use]
pub(crate) fn inputs(plan: &LogicalPlan, index: usize) -> Inputs {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let field = scan.projected_schema.fields().get(index);
            let column = |name: &String| (scan.table_name.table().to_owned(), name.clone());
            field.map(|field| (column(field.name()), ColumnUse::Identity)).into_iter().collect()
        }
        LogicalPlan::Projection(projection) => of_nth(projection.expr.get(index), &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let keys = grouping_set_to_exprlist(&aggregate.group_expr).unwrap_or_default();
            // Beside the keys of grouping sets stands the id of the set, which is computed from no value.
            let id = usize::from(matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]));
            match index.checked_sub(keys.len()) {
                None => of_nth(keys.get(index).copied(), &aggregate.input),
                Some(at) if at < id => Inputs::new(),
                Some(at) => of_nth(aggregate.aggr_expr.get(at - id), &aggregate.input),
            }
        }
        LogicalPlan::Unnest(unnest) => match unnest.dependency_indices.get(index) {
            Some(at) => computed(inputs(&unnest.input, *at), ColumnUse::Transformation),
            None => Inputs::new(),
        },
        LogicalPlan::Distinct(Distinct::On(on)) => of_nth(on.select_expr.get(index), &on.input),
        LogicalPlan::Window(window) => match index.checked_sub(window.input.schema().fields().len()) {
            Some(at) => of_nth(window.window_expr.get(at), &window.input),
            None => inputs(&window.input, index),
        },
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => inputs(&join.right, index),
            JoinType::LeftSemi | JoinType::LeftAnti => inputs(&join.left, index),
            _ => match index.checked_sub(join.left.schema().fields().len()) {
                None => inputs(&join.left, index),
                Some(_) if join.join_type == JoinType::LeftMark => Inputs::new(),
                Some(at) => inputs(&join.right, at),
            },
        },
        LogicalPlan::Union(union) => {
            union.inputs.iter().fold(Inputs::new(), |all, input| both(all, inputs(input, index)))
        }
        LogicalPlan::RecursiveQuery(query) => {
            both(inputs(&query.static_term, index), inputs(&query.recursive_term, index))
        }
        // Filters, sorts, limits, aliases: the columns of their only input.
        other => match other.inputs().as_slice() {
            [input] if input.schema().fields().len() == other.schema().fields().len() => inputs(input, index),
            inputs => inputs.iter().flat_map(|input| all_of(input)).collect(),
        },
    }
}

/// The inputs of all columns of a plan.
fn all_of(plan: &LogicalPlan) -> Inputs {
    let columns = 0..plan.schema().fields().len();
    columns.fold(Inputs::new(), |all, index| both(all, computed(inputs(plan, index), ColumnUse::Transformation)))
}

fn of_nth(expr: Option<&Expr>, input: &LogicalPlan) -> Inputs {
    expr.map(|expr| of(expr, input)).unwrap_or_default()
}

fn of(expr: &Expr, input: &LogicalPlan) -> Inputs {
    match expr {
        Expr::Alias(alias) => of(&alias.expr, input),
        Expr::Column(column) => {
            input.schema().maybe_index_of_column(column).map(|index| inputs(input, index)).unwrap_or_default()
        }
        Expr::ScalarSubquery(query) => computed(inputs(&query.subquery, 0), ColumnUse::Transformation),
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) => below(expr, input, ColumnUse::Aggregation),
        // Of an `exists` or `in`: only whether there is a row.
        Expr::Exists(_) => Inputs::new(),
        other => below(other, input, ColumnUse::Transformation),
    }
}

/// The inputs of an expression's parts.
fn below(expr: &Expr, input: &LogicalPlan, by: ColumnUse) -> Inputs {
    let mut found = Inputs::new();
    // The visitor never returns an error.
    let _ = expr.apply_children(|child| {
        found = both(std::mem::take(&mut found), computed(of(child, input), by));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn computed(mut inputs: Inputs, by: ColumnUse) -> Inputs {
    inputs.values_mut().for_each(|used| *used = (*used).max(by));
    inputs
}

fn both(mut one: Inputs, other: Inputs) -> Inputs {
    for (column, used) in other {
        one.entry(column).and_modify(|known| *known = (*known).min(used)).or_insert(used);
    }
    one
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::sql::plan_sql;

    #[test]
    fn a_column_comes_from_columns() {
        let columns = ["a", "b", "c"].map(|name| Field::new(name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(columns.to_vec()));
        let tables = [("t".to_owned(), schema.clone()), ("u".to_owned(), schema)];
        for (sql, index, expected) in [
            ("select a, b from t where c > 1", 0, "t.a Identity"),
            ("select x.b + x.a as s from t as x", 0, "t.a Transformation, t.b Transformation"),
            ("select a, sum(b) as s, count(*) as n from t group by a", 1, "t.b Aggregation"),
            ("select a, sum(b) as s, count(*) as n from t group by a", 2, ""),
            ("select t.a, u.b from t join u on u.c = t.c", 1, "u.b Identity"),
            ("select a from t union all select b + 1 from u", 0, "t.a Identity, u.b Transformation"),
            (
                "select a, row_number() over (partition by b order by c) as n from t",
                1,
                "t.b Aggregation, t.c Aggregation",
            ),
            ("select a, (select max(u.b) from u where u.a = t.a) as m from t", 1, "u.b Aggregation"),
            ("select s.d, a from (select a, b * 2 as d from t) as s", 0, "t.b Transformation"),
            ("select coalesce(a, b, a) as x from t", 0, "t.a Transformation, t.b Transformation"),
            ("select 1 as one from t", 0, ""),
        ] {
            let plan = plan_sql(sql, &tables).expect(sql);
            let found = inputs(&plan, index);
            let text: Vec<String> = found.iter().map(|((t, c), used)| format!("{t}.{c} {used:?}")).collect();
            assert_eq!(text.join(", "), expected, "{sql}");
        }
    }
}
