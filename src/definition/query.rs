//! One derived table's query: planned, with output names and types; its faults have places in its own text.

use deltalake::arrow::datatypes::FieldRef;
use deltalake::datafusion::common::{Column as PlanColumn, DataFusionError};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use deltalake::datafusion::sql::sqlparser::ast::Query;

use super::model::ColumnType;
use crate::name::{self};
use crate::source::Place;
use crate::source::faults::Faults;
use crate::sql::planner::{Tables, plan_query};
use crate::sql::refuse::limits;
use crate::sql::refuse::report::report;
use crate::sql::refuse::undetermined::{Keys, determined};
use crate::sql::text::Sql;

/// A planned query whose output a table can hold.
#[derive(Debug)]
pub(super) struct Planned {
    /// The analysed plan, its output cast to exactly the Arrow types of `columns`.
    pub plan: LogicalPlan,
    /// Output columns with the place of their expression.
    pub columns: Vec<(String, ColumnType, Place)>,
}

/// Plans a query and checks its output, or reports faults.
pub(super) fn plan(sql: &Sql, query: &Query, tables: &Tables, keys: &Keys, faults: &mut Faults) -> Option<Planned> {
    let before = faults.len();
    if sql.duplicates(query, faults) {
        return None;
    }
    let plan = match plan_query(query.clone(), tables) {
        Ok(plan) => plan,
        Err(error) => {
            report(&error, sql, faults);
            return None;
        }
    };
    determined(&plan, keys, sql, faults);
    limits::nested(&plan, sql, faults);
    if faults.len() > before {
        return None;
    }
    if plan.schema().fields().is_empty() {
        faults.add(sql.start(), "this query has no columns", "write `select *`, or list them");
        return None;
    }
    let mut columns: Vec<(String, ColumnType, Place)> = Vec::new();
    for (index, field) in plan.schema().fields().iter().enumerate() {
        let place = sql.item(query, index).unwrap_or_else(|| sql.start());
        let column_type = output(field, &place, faults);
        if columns.iter().any(|(name, ..)| name == field.name()) {
            let label = "add `as` and another name, or list the columns";
            faults.add(place, format!("two columns are called `{}`", field.name()), label);
        } else if let Some(column_type) = column_type {
            columns.push((field.name().clone(), column_type, place));
        }
    }
    if faults.len() > before {
        return None;
    }
    let types: Vec<_> = columns.iter().map(|(name, t, _)| (name.as_str(), t)).collect();
    match store(plan, &types) {
        Ok(plan) => Some(Planned { plan, columns }),
        Err(error) => {
            report(&error, sql, faults);
            None
        }
    }
}

/// Casts the output of a plan to the stored types, if they differ: string views, other units of time. Times are
/// truncated to microseconds.
pub(super) fn store(plan: LogicalPlan, columns: &[(&str, &ColumnType)]) -> Result<LogicalPlan, DataFusionError> {
    let same = plan.schema().fields().iter().zip(columns).all(|(f, (_, t))| *f.data_type() == t.arrow());
    if same {
        return Ok(plan);
    }
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(columns)
        .map(|((qualifier, field), (name, column_type))| {
            let column = Expr::Column(PlanColumn::from((qualifier, field)));
            if *field.data_type() == column_type.arrow() {
                column
            } else {
                cast(column, column_type.arrow()).alias(*name)
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// The stored type of an output column, or a fault about its name or type.
fn output(field: &FieldRef, place: &Place, faults: &mut Faults) -> Option<ColumnType> {
    let name = field.name();
    if !output_name(name, place, faults) {
        return None;
    }
    match ColumnType::stored(field.data_type()) {
        Ok(column_type) => Some(column_type),
        Err((found, way_out)) => {
            let message = format!("column `{name}` is {found}, which a table cannot hold");
            faults.add(place.clone(), message, way_out);
            None
        }
    }
}

/// Checks that an output column has a valid name for a table.
pub(super) fn output_name(name: &str, place: &Place, faults: &mut Faults) -> bool {
    let reason = name::check(name).err();
    if let Some(reason) = &reason {
        let message = format!("`{name}` cannot be a column");
        faults.add_with_help(place.clone(), message, reason, "add `as name`");
    }
    reason.is_none()
}
