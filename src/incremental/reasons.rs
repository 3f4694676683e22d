//! Why a query is not maintained incrementally, in the words of its author.
//!
//! What its tables do not determine is refused before, where keys are known: here an `order by` is taken to be total.

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, Join, JoinType, LogicalPlan, Volatility, WindowFunctionDefinition,
};

use super::WEIGHT;
use super::affected::common_partition;
use crate::determined::{Code, Reason, is_approximate};

/// Reasons that show in the analysed query. Normalising would hide some of them.
pub fn of_query(plan: &LogicalPlan) -> Vec<Reason> {
    let mut reasons = Reasons::default();
    let walked = plan.apply_with_subqueries(|node| {
        reasons.operator(node);
        for expr in node.expressions() {
            reasons.expression(&expr)?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    reasons.finish(walked)
}

/// Reasons that show after normalising: what could not be rewritten into an operator that has a rule.
pub fn of_normalised(plan: &LogicalPlan) -> Vec<Reason> {
    let mut reasons = Reasons::default();
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(join) => reasons.join(join)?,
            LogicalPlan::Window(window) if common_partition(window).is_empty() => {
                reasons.add(
                    Code::WindowWithoutPartitionBy,
                    "a window function without `partition by` depends on every row of its input",
                );
            }
            _ => {}
        }
        for expr in node.expressions() {
            expr.apply(|e| {
                match e {
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                        reasons.add(
                            Code::SubqueryNotAJoin,
                            "a subquery that cannot be written as a join is not maintained incrementally",
                        );
                    }
                    Expr::ScalarSubquery(_) => reasons.add(Code::ScalarSubquery, SCALAR_SUBQUERY),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    reasons.finish(walked)
}

const SCALAR_SUBQUERY: &str =
    "a scalar subquery is not maintained incrementally: when its value changes, any row can change";

#[derive(Default)]
struct Reasons(Vec<Reason>);

impl Reasons {
    fn add(&mut self, code: Code, text: impl Into<String>) {
        let reason = Reason::new(code, text);
        if !self.0.contains(&reason) {
            self.0.push(reason);
        }
    }

    fn finish(mut self, walked: Result<TreeNodeRecursion>) -> Vec<Reason> {
        if let Err(e) = walked {
            self.add(Code::NotRewritten, format!("the query cannot be read: {e}"));
        }
        self.0
    }

    fn operator(&mut self, node: &LogicalPlan) {
        if node.schema().fields().iter().any(|f| f.name() == WEIGHT) {
            self.add(Code::ReservedColumn, format!("the column name `{WEIGHT}` is reserved"));
        }
        match node {
            LogicalPlan::Limit(_) => {
                self.add(Code::Limit, "`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
                self.add(Code::Limit, "`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::TableScan(scan) if scan.fetch.is_some() => {
                self.add(Code::Limit, "`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::Aggregate(a) if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                self.add(Code::GroupingSets, "`grouping sets`, `rollup` and `cube` are not maintained incrementally");
            }
            LogicalPlan::RecursiveQuery(_) => {
                self.add(Code::Recursion, "a recursive query is not maintained incrementally")
            }
            LogicalPlan::Unnest(_) => self.add(Code::Unnest, "`unnest` is not maintained incrementally"),
            LogicalPlan::Extension(extension) => {
                self.add(
                    Code::OperatorWithoutRule,
                    format!("operator `{}` is not maintained incrementally", extension.node.name()),
                );
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_) => {}
            other => self.add(Code::OperatorWithoutRule, format!("`{}` is not a query", other.display())),
        }
    }

    fn expression(&mut self, expr: &Expr) -> Result<()> {
        expr.apply(|e| {
            match e {
                Expr::ScalarSubquery(_) => self.add(Code::ScalarSubquery, SCALAR_SUBQUERY),
                Expr::ScalarFunction(f) => self.function(f.func.name(), f.func.signature().volatility),
                Expr::AggregateFunction(f) => self.aggregate(f.func.name(), f.func.signature().volatility),
                Expr::WindowFunction(f) => match &f.fun {
                    WindowFunctionDefinition::AggregateUDF(f) => self.aggregate(f.name(), f.signature().volatility),
                    WindowFunctionDefinition::WindowUDF(f) => self.function(f.name(), f.signature().volatility),
                },
                Expr::Placeholder(_) => {
                    self.add(Code::Parameter, "a query with parameters is not maintained incrementally")
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    fn function(&mut self, name: &str, volatility: Volatility) {
        if volatility != Volatility::Immutable {
            self.add(Code::VolatileFunction, format!("`{name}()` gives another value at every refresh"));
        }
    }

    fn aggregate(&mut self, name: &str, volatility: Volatility) {
        self.function(name, volatility);
        if is_approximate(name) {
            let text = format!("`{name}()` is an approximation and not maintained incrementally");
            self.add(Code::ApproximateAggregate, text);
        }
    }

    fn join(&mut self, join: &Join) -> Result<()> {
        let name = match join.join_type {
            JoinType::Inner => return Ok(()),
            JoinType::LeftSemi | JoinType::LeftAnti => return self.existence(join),
            JoinType::Left => "left join",
            JoinType::Right => "right join",
            JoinType::Full => "full join",
            JoinType::LeftMark | JoinType::RightMark => {
                self.add(
                    Code::SubqueryInExpression,
                    "`exists` or `in` inside `or`, `case` or the select list is not maintained incrementally",
                );
                return Ok(());
            }
            JoinType::RightSemi | JoinType::RightAnti => {
                let text = format!("`{}` is not maintained incrementally", join.join_type);
                self.add(Code::OperatorWithoutRule, text);
                return Ok(());
            }
        };
        self.add(Code::OuterJoin, format!("`{name}` is not maintained incrementally"));
        Ok(())
    }

    fn existence(&mut self, join: &Join) -> Result<()> {
        if join.null_aware {
            self.add(
                Code::NotIn,
                "`not in (select ...)` is not maintained incrementally, one NULL empties its result: use `not exists`",
            );
        } else if join.on.is_empty() {
            self.add(
                Code::ExistsWithoutEquality,
                "`exists` is maintained incrementally only if an equality ties the subquery to the query",
            );
        }
        for (left, right) in &join.on {
            let types = [left.get_type(join.left.schema().as_ref())?, right.get_type(join.right.schema().as_ref())?];
            if types.iter().any(|t| t.is_floating() || t.is_nested()) {
                self.add(
                    Code::ExistsByInexactValues,
                    "`exists` and `in` on floating point numbers or nested values are not maintained incrementally",
                );
            }
        }
        Ok(())
    }
}
