//! Unions at the top of a query whose inputs are told apart by a column of constants, such as
//! `select 'orders' as name, count(*) as n from orders union all select 'items', count(*) from items`.
//!
//! The constants differ, so the rows of the result with one of them are the result of one input: each input is maintained
//! as a query of its own, over its part of the table.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{DFSchemaRef, Result, ScalarValue};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Union, lit};

use super::build::{add, column, conform, data_columns, positional, weight};
use super::combine::filter;
use super::derive::{Change, Deriver};
use super::root::{reuse, scan_maintained};

/// The part of the maintained table that holds the rows of one input of a union.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The columns of the table.
    schema: DFSchemaRef,
    /// The column of constants, and the constant.
    tag: (usize, ScalarValue),
}

impl Part {
    /// The rows, under the names of the input.
    pub(super) fn scan(&self, input: &LogicalPlan) -> Result<LogicalPlan> {
        let all = scan_maintained(&self.schema)?;
        let (at, tag) = &self.tag;
        let of_input = column(all.schema(), *at).eq(lit(tag.clone()));
        conform(filter(all, of_input)?, &input.schema().as_ref().clone().strip_qualifiers())
    }
}

impl Deriver<'_> {
    /// The change of such a union: `None` if it is no such union, `Some(None)` if nothing changes.
    pub(super) fn at_branches(&mut self, plan: &LogicalPlan) -> Result<Option<Option<Change>>> {
        let parts = parts(plan).filter(|parts| parts.iter().any(|(input, _)| reuse(input).is_some()));
        let Some(parts) = parts.filter(|_| self.part.is_none()) else { return Ok(None) };
        let mut terms = Vec::with_capacity(parts.len());
        for (input, part) in parts {
            self.part = Some(part);
            let change = self.at_root(input);
            self.part = None;
            let change = match change? {
                Some(change) => change,
                None => self.change(input)?,
            };
            if let Some(change) = change {
                let data = data_columns(&change.plan);
                terms.push(positional(change.plan, data, Some(weight()))?);
            }
        }
        if terms.is_empty() {
            return Ok(Some(None));
        }
        Ok(Some(Some(Change::computed(conform(add(terms)?, plan.schema())?))))
    }
}

/// The inputs of such a union, and their parts of the table.
pub(super) fn parts(plan: &LogicalPlan) -> Option<Vec<(&LogicalPlan, Part)>> {
    let union = union_of(plan)?;
    let inputs = inputs(union);
    let tags = (0..union.schema.fields().len()).find_map(|at| Some((at, constants(union, &inputs, at)?)));
    let (at, tags) = tags?;
    let part = |tag| Part { schema: plan.schema().clone(), tag: (at, tag) };
    Some(inputs.into_iter().zip(tags).map(|(input, tag)| (input, part(tag))).collect())
}

/// The inputs of a union and of the unions among them: `a union all b union all c` is a union of a union.
fn inputs(union: &Union) -> Vec<&LogicalPlan> {
    let mut found = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        match union_of(input) {
            Some(union) => found.extend(inputs(union)),
            None => found.push(input.as_ref()),
        }
    }
    found
}

/// A union at the top of a plan, below projections that only rename its columns.
fn union_of(plan: &LogicalPlan) -> Option<&Union> {
    match plan {
        LogicalPlan::Union(union) => Some(union),
        LogicalPlan::Projection(p) if p.expr.len() == p.input.schema().fields().len() => {
            let is_own = |(at, expr): (usize, &Expr)| match expr.clone().unalias_nested().data {
                Expr::Column(column) => p.input.schema().maybe_index_of_column(&column) == Some(at),
                _ => false,
            };
            p.expr.iter().enumerate().all(is_own).then(|| union_of(&p.input)).flatten()
        }
        _ => None,
    }
}

/// The constants of a column of a union, if all inputs have one and no two have the same.
fn constants(union: &Union, inputs: &[&LogicalPlan], at: usize) -> Option<Vec<ScalarValue>> {
    let of_type = union.schema.field(at).data_type();
    let comparable = of_type.is_integer() || of_type.is_string() || *of_type == DataType::Boolean;
    let mut tags: Vec<ScalarValue> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let tag = constant(input, at).filter(|tag| comparable && !tag.is_null() && tag.data_type() == *of_type)?;
        if tags.contains(&tag) {
            return None;
        }
        tags.push(tag);
    }
    Some(tags)
}

fn constant(plan: &LogicalPlan, at: usize) -> Option<ScalarValue> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    match projection.expr.get(at)?.clone().unalias_nested().data {
        Expr::Literal(value, _) => Some(value),
        Expr::Column(column) => constant(&projection.input, projection.input.schema().maybe_index_of_column(&column)?),
        _ => None,
    }
}
