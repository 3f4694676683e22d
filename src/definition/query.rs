//! One derived table's query: planned, its output named and typed, everything wrong with it said in its own text.

use deltalake::arrow::datatypes::FieldRef;
use deltalake::datafusion::common::{Column as PlanColumn, DataFusionError, SchemaError};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use deltalake::datafusion::sql::sqlparser::ast::Query;

use super::elsewhere;
use super::faults::{Faults, one_of};
use super::limits;
use super::model::ColumnType;
use super::planner::{Tables, function_names, plan_query};
use super::sql::{Sql, lower_first};
use super::undetermined::{Keys, determined};
use crate::name::{self, nearest};
use crate::source::Place;

/// A planned query whose output a table can hold.
#[derive(Debug)]
pub(super) struct Planned {
    /// The analysed plan, its output cast to exactly the Arrow types of `columns`.
    pub plan: LogicalPlan,
    /// Output columns with the place of their expression.
    pub columns: Vec<(String, ColumnType, Place)>,
}

/// Plans a query and checks its output, or says what is wrong.
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

/// Casts the output of a plan to the types that are stored, where they differ: string views, other units of time.
/// Times lose what is finer than a microsecond.
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

/// Whether an output column has a name that a table can have; else that is a fault.
pub(super) fn output_name(name: &str, place: &Place, faults: &mut Faults) -> bool {
    let reason = name::check(name).err();
    if let Some(reason) = &reason {
        let message = format!("`{name}` cannot be a column");
        faults.add_with_help(place.clone(), message, reason, "add `as name`");
    }
    reason.is_none()
}

/// Turns what the planner says into faults with places and ways out.
pub(super) fn report(error: &DataFusionError, sql: &Sql, faults: &mut Faults) {
    match error {
        DataFusionError::Collection(errors) => errors.iter().for_each(|e| report(e, sql, faults)),
        DataFusionError::Shared(inner) => report(inner, sql, faults),
        DataFusionError::Context(_, inner) => report(inner, sql, faults),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let note = || diagnostic.notes.iter().find_map(|n| n.span);
            let place = diagnostic.span.or_else(note).map(|span| sql.place(span));
            if let DataFusionError::SchemaError(schema, _) = inner.find_root() {
                return schema_fault(schema, place, sql, faults);
            }
            if let Some(name) = diagnostic.message.strip_prefix("Invalid function '") {
                let name = name.trim_end_matches('\'');
                let near = || nearest(name, function_names()).map(|near| format!("did you mean `{near}`?"));
                let label = elsewhere::hint(name).or_else(near);
                let label = label.unwrap_or_else(|| "no function has this name".to_owned());
                return faults.add(place.unwrap_or_else(|| sql.start()), format!("unknown function `{name}`"), label);
            }
            let label: Vec<_> = diagnostic
                .helps
                .iter()
                .map(|h| h.message.as_str())
                .chain(diagnostic.notes.iter().map(|n| n.message.as_str()))
                .map(lower_first)
                .collect();
            let place = place.unwrap_or_else(|| sql.start());
            faults.add(place, ticks(&lower_first(&diagnostic.message)), ticks(&label.join("; ")));
        }
        DataFusionError::SchemaError(schema, _) => schema_fault(schema, None, sql, faults),
        other => {
            let text = other.message().into_owned();
            let first_line = text.lines().next().unwrap_or_default();
            if first_line.starts_with("Dot access not supported") {
                let label = "after `[...]` and `(...)` write `['name']`";
                return faults.add(sql.start(), "a `.` cannot stand before a field here", label);
            }
            faults.add(sql.start(), ticks(&lower_first(first_line)), "");
        }
    }
}

/// Our quotes instead of the planner's; an apostrophe within a word stays.
fn ticks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let inside = |at: usize| is_letter(at.checked_sub(1)) && is_letter(Some(at + 1));
    chars.iter().enumerate().map(|(at, c)| if *c == '\'' && !inside(at) { '`' } else { *c }).collect()
}

fn schema_fault(error: &SchemaError, place: Option<Place>, sql: &Sql, faults: &mut Faults) {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name.as_str();
            let place = place.or_else(|| sql.find(&[name.to_owned()])).unwrap_or_else(|| sql.start());
            let of_relation = |c: &&PlanColumn| field.relation.is_none() || c.relation == field.relation;
            let names: Vec<&str> = valid_fields.iter().filter(of_relation).map(|c| c.name.as_str()).collect();
            let (message, label) = match &field.relation {
                Some(relation) if names.is_empty() => {
                    let mut known: Vec<_> =
                        valid_fields.iter().filter_map(|c| c.relation.as_ref()).map(|r| r.table()).collect();
                    known.dedup();
                    let message = format!("`{relation}` is not a table of this query");
                    let label = match nearest(relation.table(), known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}.{name}`?"),
                        None if known.is_empty() => "no table is in reach here".into(),
                        None => format!("one of {}", one_of(known.iter().copied())),
                    };
                    (message, label)
                }
                relation => {
                    let message = match relation {
                        Some(relation) => format!("column `{name}` is not in `{relation}`"),
                        None => format!("column `{name}` is {}", sql.scope),
                    };
                    let label = match nearest(name, names.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if names.is_empty() => "no column is in reach here".into(),
                        None => format!("one of {}", one_of(names.iter().copied())),
                    };
                    (message, label)
                }
            };
            faults.add(place, message, label);
        }
        SchemaError::AmbiguousReference { field } => {
            let name = field.name.clone();
            let place = place.or_else(|| sql.find(std::slice::from_ref(&name))).unwrap_or_else(|| sql.start());
            let message = format!("column `{name}` is in several tables of this query");
            faults.add(place, message, format!("write `<table>.{name}`"));
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            let place = place.unwrap_or_else(|| sql.start());
            faults.add(place, format!("two columns are called `{name}`"), "add `as` and another name");
        }
    }
}
