//! Applies a statement to rows, a batch at a time.

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray};
use deltalake::arrow::compute::{CastOptions, cast_with_options};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::physical_expr::PhysicalExpr;

use super::shape::Columns;
use super::statement::{Action, Part, Statement};
use crate::error::{Context, Error, Result};
use crate::source::faults::Faults;
use crate::source::{Fault, Text};
use crate::sql::physical::filter_ordering::compiled;
use crate::sql::plan_condition;
use crate::sql::planner::Tables;
use crate::sql::refuse::report::report;
use crate::sql::refuse::undetermined::repeatable;
use crate::sql::text::Sql;
use crate::sql::{condition_of, is_row_wise};

/// A statement over rows of known columns.
#[derive(Debug)]
pub(crate) struct Reshape {
    parts: Vec<Part>,
    step: Step,
    schema: SchemaRef,
}

#[derive(Debug)]
enum Step {
    /// Values stay, under the names of the new schema.
    Names,
    /// Removes the value at the path.
    Drop,
    /// Values get the type of the new schema, which holds them.
    Cast,
    /// Values are computed anew.
    Compute(Arc<dyn PhysicalExpr>),
}

/// Rows that a statement does not allow.
#[derive(Debug)]
pub(crate) struct Violation {
    /// How many of the batch.
    pub rows: u64,
    /// The first of them.
    pub first: usize,
    /// Why its value cannot be computed; `None` = it is NULL where it cannot be.
    pub because: Option<Error>,
}

impl Reshape {
    /// Compiles a statement over rows of `before`, which make rows of `after`.
    ///
    /// # Errors
    /// The faults of its expression.
    pub(crate) fn new(
        statement: &Statement,
        before: &Columns,
        after: &Columns,
    ) -> std::result::Result<Self, Vec<Fault>> {
        let step = match &statement.action {
            Action::Drop { .. } => Step::Drop,
            Action::SetType { using: None, .. } => Step::Cast,
            Action::SetType { using: Some(text), of, .. } => {
                Step::Compute(computed(text, &statement.table.value, before, &of.arrow())?)
            }
            _ => Step::Names,
        };
        let parts = statement.action.path().map(|path| path.parts.clone()).unwrap_or_default();
        Ok(Self { parts, step, schema: after.schema() })
    }

    /// The schema of the rows that it makes.
    #[must_use]
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether some rows may not be allowed, or an expression may fail on one; `holds`: columns that have no NULL.
    #[must_use]
    pub(crate) fn can_fail(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        let is_new = |name: &str| matches!(self.step, Step::Names) && self.parts.len() == 1 && !holds(name);
        matches!(self.step, Step::Compute(_))
            || self.schema.fields().iter().any(|field| !field.is_nullable() && is_new(field.name()))
    }

    /// The rows as they are afterwards, or how many of them are not allowed or cannot be computed.
    ///
    /// # Errors
    /// Those rows.
    pub(crate) fn checked(&self, batch: &RecordBatch) -> std::result::Result<RecordBatch, Violation> {
        match self.apply(batch) {
            Ok(applied) => applied,
            Err(error) => {
                let (mut rows, mut first) = (Vec::new(), None);
                self.failing(batch, 0, &mut rows, &mut first);
                let at = rows.first().copied().unwrap_or_default();
                Err(Violation { rows: rows.len().max(1) as u64, first: at, because: Some(first.unwrap_or(error)) })
            }
        }
    }

    /// The rows of which no value can be computed, and the error of the first one.
    fn failing(&self, batch: &RecordBatch, offset: usize, rows: &mut Vec<usize>, first: &mut Option<Error>) {
        let Err(error) = self.apply(batch) else { return };
        let half = batch.num_rows() / 2;
        if half == 0 {
            rows.push(offset);
            first.get_or_insert(error);
            return;
        }
        self.failing(&batch.slice(0, half), offset, rows, first);
        self.failing(&batch.slice(half, batch.num_rows() - half), offset + half, rows, first);
    }

    /// The rows as they are afterwards, or how many of them are not allowed.
    ///
    /// # Errors
    /// When a value cannot be computed.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<std::result::Result<RecordBatch, Violation>> {
        let doing = || "the rows cannot be changed".to_owned();
        let rows: ArrayRef = Arc::new(StructArray::from(batch.clone()));
        let to = DataType::Struct(self.schema.fields().clone());
        let mut columns = match &self.step {
            Step::Compute(expr) => {
                let values = expr.evaluate(batch).and_then(|values| values.into_array(batch.num_rows()));
                let name = match self.parts.first() {
                    Some(Part::Field(name)) => name,
                    _ => "",
                };
                let values =
                    values.context(|| format!("the expression after `using` for `{name}` cannot be computed"))?;
                let mut columns = batch.columns().to_vec();
                let at = batch.schema_ref().index_of(name).ok();
                if let Some(column) = at.and_then(|at| columns.get_mut(at)) {
                    *column = values;
                }
                columns
            }
            _ => self.reshaped(&rows, &self.parts, &to).context(doing)?.as_struct().columns().to_vec(),
        };
        for (column, field) in columns.iter_mut().zip(self.schema.fields()) {
            if column.data_type() != field.data_type() {
                *column = widened(column, field.data_type()).context(doing)?;
            }
            if !field.is_nullable() && column.null_count() > 0 {
                let nulls = (0..column.len()).filter(|row| column.is_null(*row));
                let first = nulls.clone().next().unwrap_or_default();
                return Ok(Err(Violation { rows: nulls.count() as u64, first, because: None }));
            }
        }
        RecordBatch::try_new(self.schema.clone(), columns).context(doing).map(Ok)
    }

    /// Values in the type `to`, which differs from theirs at the end of a path.
    fn reshaped(&self, array: &ArrayRef, parts: &[Part], to: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
        let Some((part, rest)) = parts.split_first() else {
            return match self.step {
                Step::Cast => widened(array, to),
                _ => Ok(Arc::clone(array)),
            };
        };
        match (part, array.data_type(), to) {
            (Part::Field(name), DataType::Struct(fields), DataType::Struct(wanted)) => {
                let values = array.as_struct();
                let mut columns = Vec::with_capacity(wanted.len());
                for (field, column) in fields.iter().zip(values.columns()) {
                    let is_it = field.name() == name;
                    if is_it && rest.is_empty() && matches!(self.step, Step::Drop) {
                        continue;
                    }
                    let Some(to) = wanted.get(columns.len()) else { break };
                    columns.push(if is_it { self.reshaped(column, rest, to.data_type())? } else { Arc::clone(column) });
                }
                // Whether a column may be NULL is asked afterwards.
                let nullable = |field: &Arc<deltalake::arrow::datatypes::Field>| {
                    Arc::new(field.as_ref().clone().with_nullable(true))
                };
                let fields = wanted.iter().map(nullable).collect();
                Ok(Arc::new(StructArray::try_new(fields, columns, values.nulls().cloned())?))
            }
            (Part::Element, DataType::List(_), DataType::List(element)) => {
                let list = array.as_list::<i32>();
                let values = self.reshaped(list.values(), rest, element.data_type())?;
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
            }
            (Part::Value, DataType::Map(..), DataType::Map(entries, sorted)) => {
                let map = array.as_map();
                let DataType::Struct(fields) = entries.data_type() else { return Ok(Arc::clone(array)) };
                let value = fields.get(1).map_or(&DataType::Null, |field| field.data_type());
                let columns = vec![Arc::clone(map.keys()), self.reshaped(map.values(), rest, value)?];
                let held = StructArray::try_new(fields.clone(), columns, map.entries().nulls().cloned())?;
                let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
                Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, held, nulls, *sorted)?))
            }
            _ => Ok(Arc::clone(array)),
        }
    }
}

/// Values in another type, none of which may be lost.
fn widened(array: &ArrayRef, to: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// What it is, in messages.
const UNIT: &str = "an expression after `using`";

/// Checks the syntax of an expression after `using`: its columns are not known.
pub(super) fn well_formed(text: &Text) -> std::result::Result<(), Fault> {
    let (mut faults, mut sql) = (Faults::default(), Sql::value(text));
    sql.unit = UNIT;
    sql.condition(&mut faults);
    faults.into_sorted().into_iter().next().map_or(Ok(()), Err)
}

/// The expression after `using`, planned over the columns that its table has before.
fn computed(
    text: &Text,
    table: &str,
    columns: &Columns,
    to: &DataType,
) -> std::result::Result<Arc<dyn PhysicalExpr>, Vec<Fault>> {
    let (mut faults, schema) = (Faults::default(), columns.schema());
    let mut sql = Sql::value(text);
    sql.unit = UNIT;
    let Some(expr) = sql.condition(&mut faults) else { return Err(faults.into_sorted()) };
    sql.unsupported(&mut faults);
    let tables = Tables::new([(table.to_owned(), schema.clone())]);
    match plan_condition(expr, table, &tables) {
        Ok(plan) => {
            let given = plan.schema().field(0).data_type();
            if !is_row_wise(&plan) {
                faults.add(
                    sql.start(),
                    format!("{UNIT} looks at one row of its table"),
                    "remove aggregates and windows",
                );
            } else if given != to {
                let found = crate::definition::ColumnType::name_of(given);
                let wanted = crate::definition::ColumnType::name_of(to);
                // Types of queries name no fields.
                let cast = match to.is_nested() {
                    true => super::arrow_cast("...", to),
                    false => "cast(... as ...)".to_owned(),
                };
                let label = format!("expected {wanted}: write `{cast}` around it");
                faults.add(text.place.clone(), format!("this expression is {found}"), label);
            }
            repeatable(&plan, &sql, &mut faults);
            if faults.len() == 0 {
                let compiled = condition_of(&plan).and_then(|expr| compiled(expr, &schema));
                return compiled.map_err(|error| vec![unplanned(text, &Error::failed("").because(error))]);
            }
        }
        Err(error) => report(&error, &sql, &mut faults),
    }
    Err(faults.into_sorted())
}

fn unplanned(text: &Text, error: &Error) -> Fault {
    Fault::at(&text.place, "this expression cannot be computed", error.causes().join(": "))
}
