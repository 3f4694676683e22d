//! `cross join unnest(tags) as t(tag)`: the elements of a list joined with the row that has it, in Athena's syntax.
//!
//! DataFusion 55 plans this as a join with a lateral subquery, which cannot run if it contains `unnest`. Here the
//! subquery is decorrelated: its expressions are computed over the rows of the other side, whose columns are kept. A
//! NULL or empty list gives no row, as in Athena, Spark, DuckDB and PostgreSQL; after `left join unnest(...) on true`
//! it gives one of NULLs.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{
    Column, DFSchema, DataFusionError, JoinType, Result, UnnestOptions, plan_datafusion_err, plan_err,
};
use deltalake::datafusion::logical_expr::builder::unnest_with_options;
use deltalake::datafusion::logical_expr::expr::{Exists, InSubquery};
use deltalake::datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, Filter, Join, LogicalPlan, LogicalPlanBuilder, Subquery, cast, ident, lit, when,
};
use deltalake::datafusion::sql::sqlparser::ast::TableFactor;

use crate::sql::functions::scalar;
use crate::sql::rewrite::function_aliases::arrays_as_calls;
use crate::types::ColumnType;

/// Plans `unnest(...)` in `from`: a column for each array, two for a map, and one for each field of an array's structs.
#[derive(Debug)]
pub(crate) struct UnnestRelation;

impl RelationPlanner for UnnestRelation {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (alias, mut array_exprs, with_ordinality) = match relation {
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_offset_alias: None,
                with_ordinality,
            } => (alias, array_exprs, with_ordinality),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        array_exprs.iter_mut().for_each(arrays_as_calls);
        let none = DFSchema::empty();
        let args = array_exprs.into_iter().map(|arg| context.sql_expr_to_logical_expr(arg, &none));
        let args = args.collect::<Result<Vec<_>>>()?;
        let named = alias.as_ref().map_or(0, |alias| alias.columns.len());
        let plan = unnested(args, with_ordinality, named)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// `named`: the number of column names in the alias. Structs are split into their fields unless there is exactly one
/// name per struct.
fn unnested(args: Vec<Expr>, with_ordinality: bool, named: usize) -> Result<LogicalPlan> {
    let call = |name: &str, args: Vec<Expr>| Ok::<_, DataFusionError>(scalar(name)?.call(args));
    let none = DFSchema::empty();
    // Each list with the name of its column and the fields of its elements.
    let mut lists: Vec<(Expr, String, Vec<String>)> = Vec::new();
    for arg in args {
        match arg.get_type(&none)? {
            DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => {
                let fields = match of.data_type() {
                    DataType::Struct(fields) => fields.iter().map(|field| field.name().clone()).collect(),
                    _ => Vec::new(),
                };
                let name = format!("unnest({})", arg.schema_name());
                lists.push((arg, name, fields));
            }
            DataType::Map(..) => {
                for (of, name) in [("map_keys", "key"), ("map_values", "value")] {
                    lists.push((call(of, vec![arg.clone()])?, name.to_owned(), Vec::new()));
                }
            }
            other => {
                let found = ColumnType::name_of(&other);
                return plan_err!("`unnest` takes arrays and maps, and `{}` is {found}", arg.schema_name());
            }
        }
    }
    if lists.is_empty() {
        return plan_err!("`unnest` takes at least one array or map");
    }
    let whole = lists.len() + usize::from(with_ordinality);
    let apart = lists.iter().map(|(_, _, fields)| fields.len().max(1)).sum::<usize>() + usize::from(with_ordinality);
    let comes_apart = named == 0 || named == apart || named != whole;
    if with_ordinality {
        let length = |list: &Expr| {
            let length = cast(call("array_length", vec![list.clone()])?, DataType::Int64);
            call("coalesce", vec![length, lit(0_i64)])
        };
        let lengths = lists.iter().map(|(list, ..)| length(list)).collect::<Result<Vec<_>>>()?;
        let longest = if lengths.len() == 1 { lengths } else { vec![call("greatest", lengths)?] };
        let end = longest.into_iter().fold(lit(1_i64), |end, length| end + length);
        lists.push((call("range", vec![lit(1_i64), end])?, "ordinality".to_owned(), Vec::new()));
    }
    let column = |at: usize| format!("__list_{at}");
    let below = lists.iter().enumerate().map(|(at, (list, ..))| list.clone().alias(column(at)));
    let below = LogicalPlanBuilder::empty(true).project(below.collect::<Vec<_>>())?.build()?;
    let columns = (0..lists.len()).map(|at| Column::new_unqualified(column(at))).collect();
    let rows = unnest_with_options(below, columns, UnnestOptions::new().with_preserve_nulls(false))?;
    let mut output = Vec::new();
    for (at, (_, name, fields)) in lists.into_iter().enumerate() {
        if fields.is_empty() || !comes_apart {
            output.push(ident(column(at)).alias(name));
            continue;
        }
        for field in fields {
            output.push(call("get_field", vec![ident(column(at)), lit(field.as_str())])?.alias(field));
        }
    }
    LogicalPlanBuilder::from(rows).project(output)?.build()
}

/// Decorrelates joins with a lateral `unnest` anywhere in a plan.
pub(crate) fn without_lateral_unnest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let taken = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if join.on.is_empty() => match taken_apart(&join)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    if !taken.transformed {
        return Ok(taken.data);
    }
    // In a subquery around a join, columns of the join's own side were marked as outer columns.
    let outer = |expr: Expr| {
        let again = |query: Subquery| Subquery { outer_ref_columns: query.subquery.all_out_ref_exprs(), ..query };
        Ok(match expr {
            Expr::Exists(exists) => {
                Transformed::yes(Expr::Exists(Exists { subquery: again(exists.subquery), ..exists }))
            }
            Expr::InSubquery(of) => {
                Transformed::yes(Expr::InSubquery(InSubquery { subquery: again(of.subquery), ..of }))
            }
            Expr::ScalarSubquery(query) => Transformed::yes(Expr::ScalarSubquery(again(query))),
            other => Transformed::no(other),
        })
    };
    taken.data.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(outer))).data()
}

fn taken_apart(join: &Join) -> Result<Option<LogicalPlan>> {
    let lateral = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        other => other,
    };
    let LogicalPlan::Subquery(lateral) = lateral else { return Ok(None) };
    if !lateral.subquery.exists(|node| Ok(matches!(node, LogicalPlan::Unnest(_))))? {
        return Ok(None);
    }
    let keeps_all = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if join.filter.as_ref().is_none_or(|on| *on == lit(true)) => true,
        _ => return Ok(None),
    };
    let mut beside = LateralUnnest { left: &join.left, keeps_all, fresh: 0 };
    let Some((plan, found)) = beside.rows(&lateral.subquery)? else { return Ok(None) };
    let left = beside.left.schema().columns().into_iter().map(Expr::Column);
    let right = join.right.schema().iter().zip(found).map(|((qualifier, field), column)| match qualifier {
        Some(qualifier) => Expr::Column(column).alias_qualified(Some(qualifier.clone()), field.name()),
        None => Expr::Column(column).alias(field.name()),
    });
    let mut rows = LogicalPlanBuilder::from(plan).project(left.chain(right).collect::<Vec<_>>())?.build()?;
    if let Some(condition) = join.filter.as_ref().filter(|_| !keeps_all) {
        rows = LogicalPlan::Filter(Filter::try_new(condition.clone(), rows.into())?);
    }
    Ok(Some(rows))
}

/// A lateral subquery, computed over the rows that it refers to.
struct LateralUnnest<'a> {
    left: &'a LogicalPlan,
    /// Whether a row without elements stays.
    keeps_all: bool,
    fresh: usize,
}

impl LateralUnnest<'_> {
    /// The plan over the rows of the left side, whose columns come first, and the columns of the subquery in it. `None`
    /// if the subquery contains anything else than unnested lists.
    fn rows(&mut self, node: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<Column>)>> {
        Ok(Some(match node {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => (self.left.clone(), Vec::new()),
            LogicalPlan::SubqueryAlias(alias) => return self.rows(&alias.input),
            LogicalPlan::Subquery(lateral) => return self.rows(&lateral.subquery),
            LogicalPlan::Filter(_) if self.keeps_all => return Ok(None),
            LogicalPlan::Filter(filter) => {
                let Some((input, found)) = self.rows(&filter.input)? else { return Ok(None) };
                let condition = self.over(filter.predicate.clone(), filter.input.schema(), &found)?;
                (LogicalPlan::Filter(Filter::try_new(condition, input.into())?), found)
            }
            LogicalPlan::Projection(projection) => {
                let Some((input, found)) = self.rows(&projection.input)? else { return Ok(None) };
                let mut exprs: Vec<Expr> = self.left.schema().columns().into_iter().map(Expr::Column).collect();
                let mut named = Vec::new();
                for expr in &projection.expr {
                    self.fresh += 1;
                    // Not a name of the left side.
                    let name = format!("__lateral_{}", self.fresh);
                    exprs.push(self.over(expr.clone().unalias(), projection.input.schema(), &found)?.alias(&name));
                    named.push(Column::new_unqualified(name));
                }
                (LogicalPlanBuilder::from(input).project(exprs)?.build()?, named)
            }
            LogicalPlan::Unnest(unnest) => {
                let Some((mut input, found)) = self.rows(&unnest.input)? else { return Ok(None) };
                if self.keeps_all {
                    input = self.without_empty(input)?;
                }
                let of = |column: &Column| {
                    let at = unnest.input.schema().index_of_column(column)?;
                    found.get(at).cloned().ok_or_else(|| plan_datafusion_err!("`{column}` is no list of this `unnest`"))
                };
                let lists = unnest.exec_columns.iter().map(of).collect::<Result<Vec<_>>>()?;
                let mut options = unnest.options.clone().with_preserve_nulls(self.keeps_all);
                for recursion in &mut options.recursions {
                    recursion.input_column = of(&recursion.input_column)?;
                }
                let plan = unnest_with_options(input, lists, options)?;
                let found = plan.schema().columns().split_off(self.left.schema().fields().len());
                (plan, found)
            }
            _ => return Ok(None),
        }))
    }

    /// Replaces empty lists by NULL: the engine makes a row only for NULL.
    fn without_empty(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let first = self.left.schema().fields().len();
        let exprs = rows.schema().columns().into_iter().enumerate().map(|(at, column)| {
            let name = column.name.clone();
            let column = Expr::Column(column);
            if at < first {
                return Ok(column);
            }
            let length = scalar("array_length")?.call(vec![column.clone()]);
            Ok(when(cast(length, DataType::Int64).gt(lit(0_i64)), column).end()?.alias(name))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(rows).project(exprs)?.build()
    }

    /// An expression of the subquery over the plan whose columns are `found`.
    fn over(&self, expr: Expr, schema: &DFSchema, found: &[Column]) -> Result<Expr> {
        expr.transform(|e| match e {
            Expr::Column(column) => {
                let at = schema.index_of_column(&column)?;
                let of = found.get(at).cloned();
                Ok(Transformed::yes(Expr::Column(of.ok_or_else(|| plan_datafusion_err!("`{column}` is not there"))?)))
            }
            // A column of a query further out is unchanged.
            Expr::OuterReferenceColumn(_, column) if self.left.schema().has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    }
}
