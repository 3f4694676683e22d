//! Operations on nested values, and frames, that the query engine does not support, reported when the project is checked
//! rather than when rows are read.

use deltalake::arrow::compute::can_cast_types;
use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::DFSchema;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, JoinConstraint, JoinType, LogicalPlan, Operator};

use crate::determinism::{Code, Reason};
use crate::source::faults::Faults;
use crate::sql::refuse::{constants, frames};
use crate::sql::text::Sql;
use crate::types::ColumnType;

/// Reports expressions that are planned but cannot run, or whose result depends on the order of rows.
pub(crate) fn nested(plan: &LogicalPlan, sql: &Sql, faults: &mut Faults) {
    let mut found: Vec<(String, String, &str)> = Vec::new();
    // The visitors below never return an error.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Subquery(lateral) = node
            && !lateral.outer_ref_columns.is_empty()
            && lateral.subquery.exists(|p| Ok(matches!(p, LogicalPlan::Unnest(_)))).unwrap_or(false)
        {
            let message = "`unnest` of a column cannot stand here".to_owned();
            let label = "write `cross join unnest(tags) as t(tag)` after the table that has the column";
            found.push(("unnest".into(), message, label));
        }
        if let LogicalPlan::Join(join) = node
            && join.join_constraint == JoinConstraint::Using
            && matches!(join.join_type, JoinType::Right | JoinType::Full)
        {
            let text = "`using` in a right or full join takes its column from the left side, even if that has no row";
            let message = Reason::new(Code::UsingOfOuterJoin, text).to_string();
            found.push(("using".into(), message, "write `on`, and `coalesce(l.k, r.k)` for the column of both"));
        }
        let schema = inputs(node);
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found.extend(limit(expr, &schema));
                found.extend(constants::fails(expr, &schema).map(|(word, why)| {
                    (word.clone(), format!("`{word}` fails for every row: {why}"), "give it other constants")
                }));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found.dedup();
    for (word, message, label) in found {
        faults.add(sql.find(&[word]).unwrap_or_else(|| sql.start()), message, label);
    }
}

/// The columns that the expressions of a node can use.
fn inputs(node: &LogicalPlan) -> DFSchema {
    let mut all = DFSchema::empty();
    node.inputs().iter().for_each(|input| all.merge(input.schema()));
    all
}

/// The word to point at, the problem, and the replacement.
fn limit(expr: &Expr, schema: &DFSchema) -> Option<(String, String, &'static str)> {
    if let Expr::WindowFunction(call) = expr
        && let Some((what, label)) = frames::misread(call, schema)
    {
        let name = call.fun.name();
        let reason = Reason::new(Code::ClauseMisread, format!("`{name}` has {what}, which the query engine miscounts"));
        return Some((name.to_owned(), reason.to_string(), label));
    }
    let (name, args) = match expr {
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args),
        Expr::WindowFunction(call) => (call.fun.name(), &call.params.args),
        Expr::Cast(cast) => return text(&cast.expr, cast.field.data_type(), "cast", schema),
        Expr::TryCast(cast) => return text(&cast.expr, cast.field.data_type(), "try_cast", schema),
        Expr::BinaryExpr(of) if matches!(of.op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) => {
            let of_type = of.left.get_type(schema).ok().filter(|of_type| !is_ordered(of_type))?;
            let message = format!("`{}` between values of {} has no answer", of.op, ColumnType::name_of(&of_type));
            return Some((
                of.op.to_string(),
                message,
                "they have no order that covers NULL inside: compare their parts",
            ));
        }
        _ => return None,
    };
    let of_type = args.first()?.get_type(schema).ok()?;
    if !matches!(name, "min" | "max") || is_ordered(&of_type) {
        return None;
    }
    let message = format!("`{name}` of {} has no answer", ColumnType::name_of(&of_type));
    Some((name.to_owned(), message, "such values have no order that covers NULL inside: use a part of them"))
}

/// A cast of a nested value to a plain one.
fn text(expr: &Expr, to: &DataType, word: &str, schema: &DFSchema) -> Option<(String, String, &'static str)> {
    let from = expr.get_type(schema).ok()?;
    if !from.is_nested() || to.is_nested() || can_cast_types(&from, to) {
        return None;
    }
    let (from, to) = (ColumnType::name_of(&from), ColumnType::name_of(to));
    Some((word.to_owned(), format!("{from} cannot be cast to {to}"), "select its parts"))
}

/// Plain values, and arrays of them.
fn is_ordered(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) => !element.data_type().is_nested(),
        other => !other.is_nested(),
    }
}
