//! The origin of output columns: a plain column of a source passes on its description, and every value computed from
//! personal data stays personal data.

use std::collections::HashMap;

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::utils::grouping_set_to_exprlist;
use deltalake::datafusion::logical_expr::{Distinct, Expr, ExprSchemable, JoinType, LogicalPlan};

use super::model::Column;

/// Aggregates whose result counts rows and contains no values.
const COUNTS: [&str; 3] = ["count", "approx_distinct", "regr_count"];

/// The properties that an output column inherits from its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// Description of the source column, if it is a plain one.
    pub description: String,
    /// Whether it is or is computed from a column classified `pii`. Conditions and counts are not.
    pub pii: bool,
    /// Of a struct that is, the paths to fields that are not.
    pub public: Vec<Vec<String>>,
}

/// The origin of the output column `index` of a plan over tables with these columns.
pub(super) fn origin(plan: &LogicalPlan, index: usize, tables: &HashMap<String, Vec<Column>>) -> Origin {
    let below = |input: &LogicalPlan, index| origin(input, index, tables);
    match plan {
        LogicalPlan::TableScan(scan) => {
            // By name: not every column of a table is planned with.
            let name = scan.projected_schema.fields().get(index).map(|field| field.name());
            let columns = tables.get(scan.table_name.table());
            let column = columns.zip(name).and_then(|(columns, name)| columns.iter().find(|c| c.name == *name));
            let origin =
                |c: &Column| Origin { description: c.description.clone(), pii: c.pii, public: c.public.clone() };
            column.map(origin).unwrap_or_default()
        }
        LogicalPlan::Projection(p) => of_nth(p.expr.get(index), &p.input, tables),
        LogicalPlan::Aggregate(a) => {
            let keys = grouping_set_to_exprlist(&a.group_expr).unwrap_or_default();
            // Beside the keys of grouping sets stands the id of the set, which is computed from no value.
            let id = usize::from(matches!(a.group_expr.as_slice(), [Expr::GroupingSet(_)]));
            match index.checked_sub(keys.len()) {
                None => of_nth(keys.get(index).copied(), &a.input, tables),
                Some(0) if id == 1 => Origin::default(),
                Some(at) => of_nth(a.aggr_expr.get(at - id), &a.input, tables),
            }
        }
        LogicalPlan::Unnest(unnest) => match unnest.dependency_indices.get(index) {
            Some(at) => Origin { public: Vec::new(), ..below(&unnest.input, *at) },
            None => any_of(&unnest.input, tables),
        },
        LogicalPlan::Distinct(Distinct::On(d)) => of_nth(d.select_expr.get(index), &d.input, tables),
        LogicalPlan::Window(w) => match index.checked_sub(w.input.schema().fields().len()) {
            Some(at) => of_nth(w.window_expr.get(at), &w.input, tables),
            None => below(&w.input, index),
        },
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => below(&join.right, index),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => below(&join.left, index),
            _ => match index.checked_sub(join.left.schema().fields().len()) {
                Some(at) => below(&join.right, at),
                None => below(&join.left, index),
            },
        },
        LogicalPlan::Union(union) => {
            let mut origins = union.inputs.iter().map(|input| below(input, index));
            let first = origins.next().unwrap_or_default();
            origins.fold(first, |first, next| {
                let public = if first.public == next.public { first.public } else { Vec::new() };
                Origin { pii: first.pii || next.pii, public, ..first }
            })
        }
        // Each round may put values of any column into any other.
        LogicalPlan::RecursiveQuery(query) => {
            let terms = [&query.static_term, &query.recursive_term];
            let any =
                terms.iter().flat_map(|term| (0..term.schema().fields().len()).map(|i| below(term, i))).any(|o| o.pii);
            Origin { pii: any, public: Vec::new(), ..below(&query.static_term, index) }
        }
        // Filters, sorts, limits, aliases: the columns of their only input.
        other => match other.inputs().as_slice() {
            [input] if input.schema().fields().len() == other.schema().fields().len() => below(input, index),
            inputs => Origin { pii: inputs.iter().any(|input| any_of(input, tables).pii), ..Origin::default() },
        },
    }
}

/// The origin of a value that may come from any column of a plan.
fn any_of(plan: &LogicalPlan, tables: &HashMap<String, Vec<Column>>) -> Origin {
    let pii = (0..plan.schema().fields().len()).any(|index| origin(plan, index, tables).pii);
    Origin { pii, ..Origin::default() }
}

fn of_nth(expr: Option<&Expr>, input: &LogicalPlan, tables: &HashMap<String, Vec<Column>>) -> Origin {
    expr.map_or_else(|| any_of(input, tables), |e| of(e, input, tables))
}

fn of(expr: &Expr, input: &LogicalPlan, tables: &HashMap<String, Vec<Column>>) -> Origin {
    let any = |args: &[Expr]| Origin { pii: args.iter().any(|a| of(a, input, tables).pii), ..Origin::default() };
    match expr {
        Expr::Alias(alias) => of(&alias.expr, input, tables),
        Expr::Cast(cast) => Origin { public: Vec::new(), ..of(&cast.expr, input, tables) },
        Expr::Column(column) => match input.schema().maybe_index_of_column(column) {
            Some(index) => origin(input, index, tables),
            None => any_of(input, tables),
        },
        // Of a query around this one, whose columns are not known here.
        Expr::OuterReferenceColumn(..) => Origin { pii: true, ..Origin::default() },
        Expr::ScalarSubquery(query) => Origin { description: String::new(), ..origin(&query.subquery, 0, tables) },
        Expr::AggregateFunction(call) if COUNTS.contains(&call.func.name()) => Origin::default(),
        Expr::AggregateFunction(call) => any(&call.params.args),
        Expr::WindowFunction(call) if COUNTS.contains(&call.fun.name()) => Origin::default(),
        Expr::WindowFunction(call) => any(&call.params.args),
        other if matches!(other.get_type(input.schema()), Ok(DataType::Boolean)) => Origin::default(),
        Expr::ScalarFunction(call) if call.func.name() == "get_field" => match call.args.split_first() {
            Some((whole, names)) => field(of(whole, input, tables), names),
            None => Origin::default(),
        },
        other => {
            let mut pii = false;
            // The visitor never returns an error.
            let _ = other.apply_children(|child| {
                pii |= of(child, input, tables).pii;
                Ok(TreeNodeRecursion::Continue)
            });
            Origin { pii, ..Origin::default() }
        }
    }
}

/// The field of a struct that names lead to.
fn field(whole: Origin, names: &[Expr]) -> Origin {
    let name = |name: &Expr| match name {
        Expr::Literal(name, _) => name.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    let Some(path) = names.iter().map(name).collect::<Option<Vec<String>>>() else {
        return Origin { pii: whole.pii, ..Origin::default() };
    };
    let is_public = whole.public.iter().any(|public| path.starts_with(public));
    let inside = whole.public.iter().filter_map(|public| public.strip_prefix(path.as_slice()));
    Origin {
        description: String::new(),
        pii: whole.pii && !is_public,
        public: inside.map(<[String]>::to_vec).collect(),
    }
}
