//! A normalised plan, rewritten so that its rows carry the row of one of its scans.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, FieldRef, Schema};
use deltalake::datafusion::common::{Column, DataFusionError, NullEquality, Result, ScalarValue};
use deltalake::datafusion::functions::core::expr_fn::named_struct;
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, Filter, Join, JoinType, LogicalPlan, TableScan, TableScanBuilder, Union, Window, ident, lit,
};

use super::scans::count;
use crate::sql::shapes::{Columns, columns, join, project, with_inputs};

/// The column that identifies a row of the scan.
pub(in crate::audit) const ORIGIN: &str = "_origin";

/// The plan with [`ORIGIN`] for one of its scans.
///
/// # Errors
/// An operator has no rule.
pub(super) fn traced(plan: &LogicalPlan, scan: usize, carried: &[String]) -> Result<LogicalPlan> {
    Ok(Tracer { carried, joins: 0 }.trace(plan, scan)?.plan)
}

/// A plan with the columns of the original one, then [`ORIGIN`].
pub(super) struct Traced {
    pub plan: LogicalPlan,
    /// It has exactly the rows of the original one. Otherwise a row may stand there several times.
    pub is_exact: bool,
}

pub(super) struct Tracer<'c> {
    carried: &'c [String],
    joins: usize,
}

pub(super) fn origin() -> Expr {
    ident(ORIGIN)
}

/// The columns of the original plan, then the origin.
fn in_order(plan: LogicalPlan, original: &LogicalPlan) -> Result<LogicalPlan> {
    let mut all = columns(original.schema());
    all.push(origin());
    project(plan, all)
}

pub(super) fn no_rule(plan: &LogicalPlan) -> DataFusionError {
    DataFusionError::NotImplemented(format!("operator `{}` has no rule", plan.display()))
}

impl Tracer<'_> {
    /// `scan` counts from the first scan of this plan.
    pub(super) fn trace(&mut self, plan: &LogicalPlan, scan: usize) -> Result<Traced> {
        match plan {
            LogicalPlan::TableScan(table) => Ok(Traced { plan: self.scan(table)?, is_exact: true }),
            LogicalPlan::Projection(projection) => {
                let Traced { plan, is_exact } = self.trace(&projection.input, scan)?;
                let exprs = projection.expr.iter().cloned().chain([origin()]).collect();
                Ok(Traced { plan: project(plan, exprs)?, is_exact })
            }
            LogicalPlan::Filter(filter) => {
                let Traced { plan, is_exact } = self.trace(&filter.input, scan)?;
                let plan = Filter::try_new(filter.predicate.clone(), Arc::new(plan))?;
                Ok(Traced { plan: LogicalPlan::Filter(plan), is_exact })
            }
            LogicalPlan::Unnest(unnest) => {
                let Traced { plan: below, is_exact } = self.trace(&unnest.input, scan)?;
                let unnested = plan.with_new_exprs(Vec::new(), vec![below])?;
                Ok(Traced { plan: in_order(unnested, plan)?, is_exact })
            }
            LogicalPlan::Union(union) => self.union(union, scan),
            LogicalPlan::Join(node) => self.join(node, scan),
            LogicalPlan::Aggregate(aggregate) => {
                if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
                    return self.grouping_sets(plan, aggregate, scan);
                }
                let groups = aggregate.group_expr.len();
                if aggregate.schema.fields().len() != groups + aggregate.aggr_expr.len() {
                    return Err(no_rule(plan));
                }
                let traced = self.trace(&aggregate.input, scan)?.plan;
                let keys = columns(&aggregate.schema).into_iter().take(groups).collect();
                self.attach(plan, keys, traced, aggregate.group_expr.clone())
            }
            LogicalPlan::Window(window) => {
                let Traced { plan: below, is_exact } = self.trace(&window.input, scan)?;
                if is_exact {
                    let node = Window::try_new(window.window_expr.clone(), Arc::new(below))?;
                    return Ok(Traced { plan: in_order(LogicalPlan::Window(node), plan)?, is_exact });
                }
                self.attach_rows(plan, &window.input, below)
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.trace(&sort.input, scan),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let [input] = plan.inputs()[..] else { return Err(no_rule(plan)) };
                let Traced { plan: below, is_exact } = self.trace(input, scan)?;
                if is_exact {
                    return Ok(Traced { plan: with_inputs(plan, vec![below])?, is_exact });
                }
                self.attach_rows(plan, input, below)
            }
            other => Err(no_rule(other)),
        }
    }

    fn scan(&self, scan: &TableScan) -> Result<LogicalPlan> {
        let needed = |field: &&FieldRef| {
            let name = field.name();
            self.carried.contains(name) || scan.projected_schema.has_column_with_unqualified_name(name)
        };
        let all = scan.source.schema();
        let schema = Schema::new(all.fields().iter().filter(needed).cloned().collect::<Vec<_>>());
        let source = Arc::new(Columns::new(Arc::new(schema)));
        let mut plan = LogicalPlan::TableScan(TableScanBuilder::new(scan.table_name.clone(), source).build()?);
        for filter in &scan.filters {
            plan = LogicalPlan::Filter(Filter::try_new(filter.clone(), Arc::new(plan))?);
        }
        let column = |name: &String| Expr::Column(Column::new(Some(scan.table_name.clone()), name));
        let parts = self.carried.iter().flat_map(|name| [lit(name.as_str()), column(name)]).collect();
        let exprs = columns(&scan.projected_schema).into_iter().chain([named_struct(parts).alias(ORIGIN)]).collect();
        project(plan, exprs)
    }

    fn union(&mut self, union: &Union, scan: usize) -> Result<Traced> {
        let (mut at, mut found) = (scan, None);
        for (index, input) in union.inputs.iter().enumerate() {
            match at.checked_sub(count(input)) {
                Some(rest) => at = rest,
                None => {
                    found = Some((index, self.trace(input, at)?));
                    break;
                }
            }
        }
        let Some((index, Traced { plan, is_exact })) = found else {
            return Err(DataFusionError::Internal("a union lacks a scan".into()));
        };
        let nothing = ScalarValue::try_from(plan.schema().field_with_unqualified_name(ORIGIN)?.data_type())?;
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for (other, input) in union.inputs.iter().enumerate() {
            inputs.push(Arc::new(if other == index {
                plan.clone()
            } else {
                let exprs = columns(input.schema()).into_iter().chain([lit(nothing.clone()).alias(ORIGIN)]).collect();
                project(input.as_ref().clone(), exprs)?
            }));
        }
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        Ok(Traced { plan: in_order(plan, &LogicalPlan::Union(union.clone()))?, is_exact })
    }

    fn join(&mut self, node: &Join, scan: usize) -> Result<Traced> {
        let original = LogicalPlan::Join(node.clone());
        let right = scan.checked_sub(count(&node.left));
        let traced = match right {
            None => self.trace(&node.left, scan)?,
            Some(at) => self.trace(&node.right, at)?,
        };
        match (node.join_type, right) {
            (
                JoinType::Inner
                | JoinType::Left
                | JoinType::Full
                | JoinType::LeftSemi
                | JoinType::LeftAnti
                | JoinType::LeftMark,
                None,
            ) => {
                let joined = with_inputs(&original, vec![traced.plan, node.right.as_ref().clone()])?;
                Ok(Traced { plan: in_order(joined, &original)?, is_exact: traced.is_exact })
            }
            (JoinType::Inner | JoinType::Left | JoinType::Full, Some(_)) => {
                let joined = with_inputs(&original, vec![node.left.as_ref().clone(), traced.plan])?;
                Ok(Traced { plan: in_order(joined, &original)?, is_exact: traced.is_exact })
            }
            // A left row once per row that matches.
            (JoinType::LeftSemi | JoinType::LeftMark, Some(_)) => {
                let (left, kind) = match node.join_type {
                    JoinType::LeftMark => (original.clone(), JoinType::Left),
                    _ => (node.left.as_ref().clone(), JoinType::Inner),
                };
                let joined = join(left, traced.plan, node.on.clone(), node.filter.clone(), kind, node.null_equality)?;
                Ok(Traced { plan: in_order(joined, &original)?, is_exact: false })
            }
            _ => Err(no_rule(&original)),
        }
    }

    /// A plan with the origins of the rows of its input that are equal to its own in all columns of that.
    fn attach_rows(&mut self, plan: &LogicalPlan, input: &LogicalPlan, traced: LogicalPlan) -> Result<Traced> {
        let values = columns(input.schema());
        let keys = columns(plan.schema()).into_iter().take(values.len()).collect();
        self.attach(plan, keys, traced, values)
    }

    /// A plan with the origins of the rows of `traced` whose `values` are its `keys`. Each of its rows has at least one such
    /// row, unless there are no keys.
    pub(super) fn attach(
        &mut self,
        plan: &LogicalPlan,
        keys: Vec<Expr>,
        traced: LogicalPlan,
        values: Vec<Expr>,
    ) -> Result<Traced> {
        self.joins += 1;
        let (mut on, mut exprs) = (Vec::new(), Vec::new());
        for (at, (key, value)) in keys.into_iter().zip(values).enumerate() {
            let data_type = key.get_type(plan.schema().as_ref())?;
            if data_type == DataType::Null {
                continue;
            }
            if data_type.is_nested() {
                return Err(DataFusionError::NotImplemented("it compares values of a nested type".into()));
            }
            let name = format!("_k{}_{at}", self.joins);
            exprs.push(value.unalias().alias(&name));
            on.push((key, ident(name)));
        }
        exprs.push(origin());
        let (kind, filter) = if on.is_empty() { (JoinType::Left, Some(lit(true))) } else { (JoinType::Inner, None) };
        let right = project(traced, exprs)?;
        let joined = join(plan.clone(), right, on, filter, kind, NullEquality::NullEqualsNull)?;
        Ok(Traced { plan: in_order(joined, plan)?, is_exact: false })
    }
}
