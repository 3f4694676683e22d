//! Decimals beside doubles become doubles, before the engine looks for a common type.
//!
//! DataFusion 55 takes decimal(30,15) for both (decimal(14,7) beside a float) where they are compared or united: a
//! double of 1e300 then fails the query whenever it comes, and one of 1e-16 is 0. Arithmetic is left alone, it is in
//! doubles already. So are literals: `price > 0.1` compares decimals, as it reads.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::{InSubquery, SetComparison};
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::expr_schema::cast_subquery;
use deltalake::datafusion::logical_expr::utils::merge_schema;
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Union};
use deltalake::datafusion::optimizer::AnalyzerRule;

/// Functions whose arguments get one type.
const OF_ONE_TYPE: [&str; 8] = ["coalesce", "nullif", "nvl", "ifnull", "nvl2", "greatest", "least", "make_array"];

/// The rule; runs before the engine's own coercion.
#[derive(Debug)]
pub(super) struct Doubles;

impl AnalyzerRule for Doubles {
    fn name(&self) -> &'static str {
        "doubles"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(in_node).map(|rewritten| rewritten.data)
    }
}

fn in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = &node {
        schema.merge(&scan.projected_schema);
    }
    let names = NamePreserver::new(&node);
    let rewritten = node.map_expressions(|expr| {
        // The names of what is in a grouping set cannot be kept.
        let name = (!matches!(expr, Expr::GroupingSet(_))).then(|| names.save(&expr));
        let rewritten = expr.transform_up(|expr| in_expr(expr, &schema))?;
        Ok(rewritten.update_data(|expr| match name {
            Some(name) => name.restore(expr),
            None => expr,
        }))
    })?;
    let rewritten = rewritten.transform_data(|node| match node {
        LogicalPlan::Union(union) => in_union(union),
        LogicalPlan::Join(mut join) => {
            let (left, right) = (join.left.schema().clone(), join.right.schema().clone());
            let mut changed = false;
            for (l, r) in &mut join.on {
                if let Some(to) = common([(&*l, left.as_ref()), (&*r, right.as_ref())])? {
                    *l = as_double(l.clone(), &to, &left)?;
                    *r = as_double(r.clone(), &to, &right)?;
                    changed = true;
                }
            }
            let join = LogicalPlan::Join(join);
            Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
        }
        other => Ok(Transformed::no(other)),
    })?;
    // A column that was a decimal may be a double now, here or below.
    rewritten.map_data(LogicalPlan::recompute_schema)
}

/// Casts what has to have one type: the operands of a comparison, the results of a `case`, the arguments of a function.
fn in_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let cast = |operands: Vec<&mut Expr>| -> Result<bool> {
        let Some(to) = common(operands.iter().map(|e| (&**e, schema)))? else { return Ok(false) };
        for operand in operands {
            *operand = as_double(std::mem::take(operand), &to, schema)?;
        }
        Ok(true)
    };
    let mut expr = expr;
    let changed = match &mut expr {
        Expr::BinaryExpr(of) if compares(of.op) => cast(vec![&mut of.left, &mut of.right])?,
        Expr::Between(of) => cast(vec![&mut of.expr, &mut of.low, &mut of.high])?,
        Expr::InList(of) => cast(std::iter::once(&mut *of.expr).chain(&mut of.list).collect())?,
        Expr::Case(of) => {
            let (whens, mut thens): (Vec<_>, Vec<_>) =
                of.when_then_expr.iter_mut().map(|(when, then)| (&mut **when, &mut **then)).unzip();
            thens.extend(of.else_expr.as_deref_mut());
            let asked = match &mut of.expr {
                Some(of) => cast(std::iter::once(&mut **of).chain(whens).collect())?,
                None => false,
            };
            cast(thens)? || asked
        }
        Expr::ScalarFunction(of) if OF_ONE_TYPE.contains(&of.name()) => {
            // The first argument of `nvl2` is only asked whether it is NULL.
            let asked = usize::from(of.name() == "nvl2");
            cast(of.args.iter_mut().skip(asked).collect())?
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let (mine, theirs) = (expr.get_type(schema)?, subquery.subquery.schema().field(0).data_type().clone());
            match common_type([mine, theirs].iter()) {
                Some(to) => {
                    **expr = as_double(std::mem::take(&mut **expr), &to, schema)?;
                    *subquery = cast_subquery(subquery.clone(), &to)?;
                    true
                }
                None => false,
            }
        }
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn in_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let mut columns = Vec::new();
    for i in 0..union.schema.fields().len() {
        let counts = union.inputs.iter().filter(|input| !is_literal_column(input, i));
        let types: Vec<_> = counts.map(|input| input.schema().field(i).data_type().clone()).collect();
        columns.push(common_type(types.iter()));
    }
    if columns.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in union.inputs {
        let casts = input.schema().iter().zip(&columns).map(|((relation, field), to)| {
            let column = Expr::from((relation, field));
            Ok(match to {
                Some(to) => as_double(column, to, input.schema())?.alias_qualified(relation.cloned(), field.name()),
                None => column,
            })
        });
        let casts = casts.collect::<Result<Vec<_>>>()?;
        inputs.push(LogicalPlanBuilder::from(input).project(casts)?.build()?.into());
    }
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// Whether a column of a union's input is a number that a decimal holds.
fn is_literal_column(input: &LogicalPlan, i: usize) -> bool {
    match input {
        LogicalPlan::Projection(p) => p.expr.get(i).is_some_and(is_literal),
        LogicalPlan::Values(v) => v.values.iter().all(|row| row.get(i).is_some_and(is_literal)),
        _ => false,
    }
}

/// The double that the operands are compared as, if there is a decimal and a double that is no literal.
fn common<'e>(operands: impl IntoIterator<Item = (&'e Expr, &'e DFSchema)>) -> Result<Option<DataType>> {
    let counts = operands.into_iter().filter(|(expr, _)| !is_literal(expr));
    let types = counts.map(|(expr, schema)| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    Ok(common_type(types.iter()))
}

fn common_type<'t>(types: impl Iterator<Item = &'t DataType> + Clone) -> Option<DataType> {
    let has = |t: &DataType| types.clone().any(|found| found == t);
    let double = [DataType::Float64, DataType::Float32].into_iter().find(has)?;
    types.clone().any(DataType::is_decimal).then_some(double)
}

/// A number as it is written in a query, in the digits that the engine gives a decimal beside it.
fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(v)), _) => {
            v.abs() < 1e15 && v.to_string().split_once('.').is_none_or(|(_, digits)| digits.len() <= 15)
        }
        Expr::Alias(alias) => is_literal(&alias.expr),
        Expr::Negative(inner) => is_literal(inner),
        _ => false,
    }
}

fn as_double(expr: Expr, to: &DataType, schema: &DFSchema) -> Result<Expr> {
    if expr.get_type(schema)?.is_decimal() { expr.cast_to(to, schema) } else { Ok(expr) }
}
