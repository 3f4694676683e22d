//! The few plan shapes that all rules are made of.
//!
//! Names are the hard part: after joins, two columns may differ by their qualifier only. So everything that crosses a
//! union or a step has its columns named by position (`c0`, `c1`, ...) and gets its names back afterwards.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, NullEquality, Result, TableReference};
use deltalake::datafusion::datasource::source_as_provider;
use deltalake::datafusion::functions_aggregate::expr_fn::sum;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, JoinConstraint, JoinType, LogicalPlan, Projection, SubqueryAlias, TableScan,
    TableScanBuilder, TableSource, Union, lit,
};

use super::bits::{from_bits, to_bits};
use super::{ChangeKind, Side, WEIGHT, scan_name};

/// A table of which only the columns are known. It takes no filter over, so that filters stay visible in the plan.
#[derive(Debug)]
pub struct Columns(SchemaRef);

impl Columns {
    /// A table with these columns.
    pub fn new(schema: SchemaRef) -> Self {
        Self(schema)
    }
}

impl TableSource for Columns {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }
}

/// The weight as an expression.
pub fn weight() -> Expr {
    Expr::Column(Column::new_unqualified(WEIGHT))
}

/// The name of a column by position.
pub fn nth(i: usize) -> String {
    format!("c{i}")
}

/// The i-th column of a schema as an expression.
pub fn column(schema: &DFSchema, i: usize) -> Expr {
    let (relation, field) = schema.qualified_field(i);
    Expr::Column(Column::new(relation.cloned(), field.name()))
}

/// All columns of a schema as expressions.
pub fn columns(schema: &DFSchema) -> Vec<Expr> {
    (0..schema.fields().len()).map(|i| column(schema, i)).collect()
}

/// All columns of a change but the weight.
pub fn data_columns(change: &LogicalPlan) -> Vec<Expr> {
    let mut all = columns(change.schema());
    all.pop();
    all
}

/// A projection.
pub fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Distinct rows.
pub fn distinct(input: LogicalPlan) -> Result<LogicalPlan> {
    let all = columns(input.schema());
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), all, vec![])?))
}

/// A join.
pub fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    join_type: JoinType,
    nulls: NullEquality,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    Ok(LogicalPlan::Join(Join::try_new(left, right, on, filter, join_type, JoinConstraint::On, nulls, false)?))
}

/// The same operator over other inputs.
pub fn with_inputs(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    plan.with_new_exprs(plan.expressions(), inputs)
}

/// Expressions as columns `c0, c1, ...` of a new projection, then the weight, if one is given.
pub fn positional(input: LogicalPlan, exprs: Vec<Expr>, weight: Option<Expr>) -> Result<LogicalPlan> {
    let mut named: Vec<Expr> = exprs.into_iter().enumerate().map(|(i, e)| e.unalias().alias(nth(i))).collect();
    named.extend(weight.map(|w| w.alias(WEIGHT)));
    project(input, named)
}

/// Gives the first columns of `input` the names of `schema`, by position; further columns become the weight.
pub fn conform(input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let mut named = Vec::with_capacity(schema.fields().len() + 1);
    for (i, (relation, field)) in schema.iter().enumerate() {
        named.push(column(input.schema(), i).alias_qualified(relation.cloned(), field.name()));
    }
    if input.schema().fields().len() > schema.fields().len() {
        named.push(column(input.schema(), schema.fields().len()).alias(WEIGHT));
    }
    project(input, named)
}

/// The schema of a change without the weight.
pub fn without_last(schema: &DFSchema) -> Result<DFSchema> {
    let fields = schema.iter().map(|(relation, field)| (relation.cloned(), Arc::clone(field)));
    let kept = fields.take(schema.fields().len().saturating_sub(1)).collect();
    DFSchema::new_with_metadata(kept, HashMap::new())
}

/// Gives a change the names of another change's schema.
pub fn renamed(input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let named = schema
        .iter()
        .enumerate()
        .map(|(i, (relation, field))| column(input.schema(), i).alias_qualified(relation.cloned(), field.name()));
    let named = named.collect();
    project(input, named)
}

/// Adds changes whose columns are named by position.
pub fn add(mut terms: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    match terms.len() {
        1 => Ok(terms.remove(0)),
        0 => Err(DataFusionError::Internal("a sum without terms".into())),
        _ => {
            let inputs = terms.into_iter().map(Arc::new).collect();
            Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
        }
    }
}

/// `new` with weight +1 and `old` with weight -1, columns by position.
pub fn difference(new: LogicalPlan, old: LogicalPlan) -> Result<LogicalPlan> {
    let (plus, minus) = (columns(new.schema()), columns(old.schema()));
    if plus.len() != minus.len() {
        return Err(DataFusionError::Plan("the two sides have different columns".into()));
    }
    add(vec![positional(new, plus, Some(lit(1_i64)))?, positional(old, minus, Some(lit(-1_i64)))?])
}

/// Adds up the weights of equal rows and drops what cancels; columns by position.
pub fn consolidate(change: LogicalPlan) -> Result<LogicalPlan> {
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
pub fn scan_step(name: &str, schema: &DFSchema) -> Result<LogicalPlan> {
    // Nullable throughout: the engine may find a column nullable that the planner did not.
    let fields: Vec<_> = schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    let source = Arc::new(Columns::new(Arc::new(Schema::new(fields))));
    Ok(LogicalPlan::TableScan(TableScanBuilder::new(TableReference::bare(name), source).build()?))
}

/// A scan of one side of a table, under the names of the original scan; for [`Side::Change`] the weight comes last.
pub fn scan_side(scan: &TableScan, side: Side) -> Result<LogicalPlan> {
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

/// The query over one side of its tables. A table that did not change is read at its new side always.
pub fn over(plan: &LogicalPlan, side: Side, kind: &dyn Fn(&str) -> ChangeKind) -> Result<LogicalPlan> {
    let swapped = plan.clone().transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) if !is_rows_so_far(scan) => {
            let unchanged = kind(scan.table_name.table()) == ChangeKind::None;
            Ok(Transformed::yes(scan_side(scan, if unchanged { Side::New } else { side })?))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(swapped.data)
}

/// Whether a scan of an analysed query is no table's: the rows so far of a recursive query, which the engine holds.
fn is_rows_so_far(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok()
}

/// Names of the tables that a query reads.
pub fn tables(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
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
