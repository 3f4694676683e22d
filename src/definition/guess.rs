//! Checks tables below a faulty one: the columns of the faulty one as far as they are known, and faults of a query over
//! such columns that do not depend on the unknown ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::common::{DataFusionError, SchemaError};
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::sql::sqlparser::ast::Query;

use super::model::{Column, ColumnType, OnNewField, RESCUED, SOURCE_FILE, SOURCE_OFFSET};
use super::query::output_name;
use super::spec::Spec;
use crate::source::faults::Faults;
use crate::sql::planner::{Tables, plan_query};
use crate::sql::refuse::report::report;
use crate::sql::refuse::undetermined::{Keys, determined};
use crate::sql::text::Sql;

/// The columns of a table, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    /// Names in their order, each with its type if known.
    pub columns: Vec<(String, Option<ColumnType>)>,
    /// Whether there may be further ones.
    pub is_open: bool,
}

impl Guess {
    /// A table with unknown columns.
    pub(super) fn nothing() -> Self {
        Self { columns: Vec::new(), is_open: true }
    }

    /// A landing table with a faulty column.
    pub(super) fn landing(spec: &Spec) -> Self {
        let appended = [(SOURCE_FILE, ColumnType::String), (SOURCE_OFFSET, ColumnType::Long)];
        let appended = appended.map(|(name, column_type)| (name.to_owned(), Some(column_type)));
        let ours = [SOURCE_FILE, SOURCE_OFFSET, RESCUED];
        let named = spec.column_names.iter().filter(|name| !ours.contains(&name.as_str()));
        let is_rescued = spec.source.as_ref().is_some_and(|source| source.on_new_field == OnNewField::Rescue);
        let rescued = is_rescued.then(|| (RESCUED.to_owned(), Some(ColumnType::String)));
        let columns = named.map(|name| (name.clone(), None)).chain(rescued).chain(appended).collect();
        Self { columns, is_open: spec.column_names.is_empty() }
    }

    /// A derived table whose query cannot be planned.
    fn unplanned(spec: &Spec, sql: &Sql, query: Option<&Query>) -> Self {
        let declared: Vec<_> = spec.columns.iter().flatten().map(|d| &d.column).collect();
        let of = |name: &str| declared.iter().find(|c| c.name == name).map(|c| c.column_type.clone());
        match query.and_then(|query| sql.names(query)) {
            Some(names) => {
                let columns = names.into_iter().map(|name| (name.clone(), of(&name))).collect();
                Self { columns, is_open: false }
            }
            None => {
                let columns = declared.iter().map(|c| (c.name.clone(), Some(c.column_type.clone()))).collect();
                Self { columns, is_open: true }
            }
        }
    }

    /// Whether anything is unknown.
    pub(super) fn is_vague(&self) -> bool {
        self.is_open || self.columns.iter().any(|(_, column_type)| column_type.is_none())
    }

    /// A column of unknown type has the type NULL, which coerces to every other type.
    pub(super) fn schema(&self) -> SchemaRef {
        let of = |column_type: &Option<ColumnType>| column_type.as_ref().map_or(DataType::Null, ColumnType::arrow);
        let fields = self.columns.iter().map(|(name, column_type)| Field::new(name, of(column_type), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The columns for checks of names: those of an unknown type are text.
    pub(super) fn named(&self) -> Vec<Column> {
        let column = |(name, column_type): &(String, Option<ColumnType>)| {
            Column::new(name, column_type.clone().unwrap_or(ColumnType::String))
        };
        self.columns.iter().map(column).collect()
    }
}

/// Plans a query over tables of which some have faults; `open` are those that may have further columns. Reports faults
/// that do not depend on these, and returns the columns of its result.
pub(super) fn below(
    spec: &Spec,
    (sql, query): (&Sql, Option<&Query>),
    tables: &Tables,
    open: &BTreeSet<String>,
    keys: &Keys,
    faults: &mut Faults,
) -> Guess {
    let unplanned = || Guess::unplanned(spec, sql, query);
    let Some(query) = query else { return unplanned() };
    if sql.duplicates(query, faults) {
        return unplanned();
    }
    let Some(plan) = planned(sql, query, tables, open, faults) else { return unplanned() };
    determined(&plan, keys, sql, faults);
    let mut columns: Vec<(String, Option<ColumnType>)> = Vec::new();
    for (index, field) in plan.schema().fields().iter().enumerate() {
        let place = sql.item(query, index).unwrap_or_else(|| sql.start());
        let is_new = columns.iter().all(|(name, _)| name != field.name());
        if output_name(field.name(), &place, faults) && is_new {
            columns.push((field.name().clone(), ColumnType::stored(field.data_type()).ok()));
        }
    }
    // `*` over a table that may have further columns includes them, too.
    let is_open = sql.names(query).is_none() && reads(&plan, open);
    let guess = Guess { columns, is_open };
    for d in spec.columns.iter().flatten().filter(|_| !guess.is_open) {
        if guess.columns.iter().all(|(name, _)| *name != d.column.name) {
            faults.add(d.place.clone(), format!("the query has no column `{}`", d.column.name), "it is declared here");
        }
    }
    guess
}

/// Plans a query; an unknown column is attributed to an open table.
fn planned(
    sql: &Sql,
    query: &Query,
    tables: &Tables,
    open: &BTreeSet<String>,
    faults: &mut Faults,
) -> Option<LogicalPlan> {
    let mut tables = tables.clone();
    let mut given = BTreeSet::new();
    loop {
        let error = match plan_query(query.clone(), &tables) {
            Ok(plan) => return Some(plan),
            Err(error) => error,
        };
        let mut wanted = Vec::new();
        missing(&error, &mut wanted);
        wanted.retain(|name| !open.is_empty() && given.insert(name.clone()));
        if wanted.is_empty() {
            certain(&error, sql, faults);
            return None;
        }
        open.iter().for_each(|table| tables.widen(table, &wanted));
    }
}

/// Columns that the planner did not find.
fn missing(error: &DataFusionError, found: &mut Vec<String>) {
    match error {
        DataFusionError::Collection(errors) => errors.iter().for_each(|e| missing(e, found)),
        DataFusionError::Shared(inner) => missing(inner, found),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => missing(inner, found),
        DataFusionError::SchemaError(schema, _) => {
            if let SchemaError::FieldNotFound { field, .. } = schema.as_ref() {
                found.push(field.name.clone());
            }
        }
        _ => {}
    }
}

/// Reports errors that do not depend on the types of the columns: unknown names.
pub(super) fn certain(error: &DataFusionError, sql: &Sql, faults: &mut Faults) {
    match error {
        DataFusionError::Collection(errors) => errors.iter().for_each(|e| certain(e, sql, faults)),
        DataFusionError::Shared(inner) => certain(inner, sql, faults),
        DataFusionError::Context(_, inner) => certain(inner, sql, faults),
        other => {
            let mut names = Vec::new();
            missing(other, &mut names);
            let is_unknown_function = matches!(other, DataFusionError::Diagnostic(diagnostic, _)
                if diagnostic.message.starts_with("Invalid function"));
            if !names.is_empty() || is_unknown_function {
                report(other, sql, faults);
            }
        }
    }
}

/// Whether a plan reads one of these tables.
fn reads(plan: &LogicalPlan, tables: &BTreeSet<String>) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if tables.contains(scan.table_name.table()));
        Ok(deltalake::datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    found
}
