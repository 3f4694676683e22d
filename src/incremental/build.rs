//! Building blocks of changes: plans whose rows have a weight, and scans of one side of a table.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, Result, TableReference};
use deltalake::datafusion::datasource::source_as_provider;
use deltalake::datafusion::functions_aggregate::expr_fn::sum;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, Filter, LogicalPlan, SubqueryAlias, TableScan, TableScanBuilder, lit,
};

use super::bits::{from_bits, to_bits};
use super::{ChangeKind, Side, WEIGHT, scan_name};
pub(super) use crate::sql::shapes::{
    Columns, add, column, columns, distinct, join, named_by_position, named_like, nth, project, renamed, with_inputs,
};

/// The weight as an expression.
pub(super) fn weight() -> Expr {
    Expr::Column(Column::new_unqualified(WEIGHT))
}

/// All columns of a change except the weight.
pub(super) fn data_columns(change: &LogicalPlan) -> Vec<Expr> {
    let mut all = columns(change.schema());
    all.pop();
    all
}

/// Expressions as columns `c0, c1, ...` of a new projection, followed by the weight if one is given.
pub(super) fn positional(input: LogicalPlan, exprs: Vec<Expr>, weight: Option<Expr>) -> Result<LogicalPlan> {
    project(input, named_by_position(exprs).chain(weight.map(|w| w.alias(WEIGHT))).collect())
}

/// Gives the first columns of `input` the names of `schema`, by position; further columns become the weight.
pub(super) fn conform(input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let data = schema.fields().len();
    let weight = (input.schema().fields().len() > data).then(|| column(input.schema(), data).alias(WEIGHT));
    let named = named_like(&input, schema).chain(weight).collect();
    project(input, named)
}

/// The schema of a change without the weight.
pub(super) fn without_last(schema: &DFSchema) -> Result<DFSchema> {
    let fields = schema.iter().map(|(relation, field)| (relation.cloned(), Arc::clone(field)));
    let kept = fields.take(schema.fields().len().saturating_sub(1)).collect();
    DFSchema::new_with_metadata(kept, HashMap::new())
}

/// `new` with weight +1 and `old` with weight -1, columns by position.
pub(super) fn difference(new: LogicalPlan, old: LogicalPlan) -> Result<LogicalPlan> {
    let (plus, minus) = (columns(new.schema()), columns(old.schema()));
    if plus.len() != minus.len() {
        return Err(DataFusionError::Plan("the two sides have different columns".into()));
    }
    add(vec![positional(new, plus, Some(lit(1_i64)))?, positional(old, minus, Some(lit(-1_i64)))?])
}

/// Sums the weights of equal rows and drops rows with weight 0; columns by position.
pub(super) fn consolidate(change: LogicalPlan) -> Result<LogicalPlan> {
    let types: Vec<DataType> = change.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    let data: Vec<Expr> = data_columns(&change).into_iter().zip(&types).map(|(e, t)| to_bits(e, t)).collect();
    let arity = data.len();
    let by_position = positional(change, data, Some(weight()))?;
    let groups = data_columns(&by_position);
    let summed = Aggregate::try_new(Arc::new(by_position), groups, vec![sum(weight())])?;
    let summed = LogicalPlan::Aggregate(summed);
    let (names, total) = (columns(summed.schema()), column(summed.schema(), arity));
    let kept = LogicalPlan::Filter(Filter::try_new(total.clone().not_eq(lit(0_i64)), Arc::new(summed))?);
    let values = names.into_iter().take(arity).zip(&types).map(|(e, t)| from_bits(e, t)).collect();
    positional(kept, values, Some(total))
}

/// A scan of an earlier step; `schema` is the step's.
pub(super) fn scan_step(name: &str, schema: &DFSchema) -> Result<LogicalPlan> {
    // All nullable: the engine may find a column nullable that the planner did not.
    let fields: Vec<_> = schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    let source = Arc::new(Columns::new(Arc::new(Schema::new(fields))));
    Ok(LogicalPlan::TableScan(TableScanBuilder::new(TableReference::bare(name), source).build()?))
}

/// A scan of one side of a table, under the names of the original scan; for [`Side::Change`] the weight comes last.
pub(super) fn scan_side(scan: &TableScan, side: Side) -> Result<LogicalPlan> {
    let mut fields: Vec<_> = scan.projected_schema.fields().iter().map(|f| f.as_ref().clone()).collect();
    if side == Side::Change {
        fields.push(Field::new(WEIGHT, DataType::Int64, false));
    }
    let name = TableReference::bare(scan_name(scan.table_name.table(), side));
    let source = Arc::new(Columns::new(Arc::new(Schema::new(fields))));
    let plan = LogicalPlan::TableScan(TableScanBuilder::new(name, source).build()?);
    let mut plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(plan), scan.table_name.clone())?);
    for filter in &scan.filters {
        plan = LogicalPlan::Filter(Filter::try_new(filter.clone(), Arc::new(plan))?);
    }
    if side == Side::Change {
        let mut all = columns(plan.schema());
        if let Some(last) = all.pop() {
            all.push(last.alias(WEIGHT));
        }
        plan = project(plan, all)?;
    }
    Ok(plan)
}

/// The query over one side of its tables. A table that did not change is always read at its new side.
pub(super) fn over(plan: &LogicalPlan, side: Side, kind: &dyn Fn(&str) -> ChangeKind) -> Result<LogicalPlan> {
    let swapped = plan.clone().transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) if !is_rows_so_far(scan) => {
            let unchanged = kind(scan.table_name.table()) == ChangeKind::None;
            Ok(Transformed::yes(scan_side(scan, if unchanged { Side::New } else { side })?))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(swapped.data)
}

/// Whether a scan of an analysed query is the working table of a recursive query, which the engine holds.
fn is_rows_so_far(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok()
}

/// Names of the tables that a query reads.
pub(super) fn tables(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && !is_rows_so_far(scan)
        {
            names.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}
