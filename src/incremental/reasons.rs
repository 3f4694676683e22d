//! Why a query is not maintained incrementally, in terms that its author knows.
//!
//! Nondeterministic queries are refused earlier, where keys are known: here an `order by` is assumed to be total.

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Volatility, WindowFunctionDefinition};

use super::WEIGHT;
use super::affected::common_partition;
use crate::determinism::{Code, Reason, is_approximate};
use crate::sql::decorrelate::subqueries::one_row;

/// Reasons visible in the analysed query. Normalising would hide some of them.
pub(super) fn of_query(plan: &LogicalPlan) -> Vec<Reason> {
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

/// Reasons visible after normalising: parts that could not be rewritten into an operator with a rule.
pub(super) fn of_normalised(plan: &LogicalPlan) -> Vec<Reason> {
    let mut reasons = Reasons::default();
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(join) => reasons.join(join),
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
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_) => {
                        reasons.add(
                            Code::SubqueryNotAJoin,
                            "a subquery that cannot be written as a join is not maintained incrementally",
                        );
                    }
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
    "a scalar subquery that may give several rows is not maintained incrementally: use an aggregate or `limit 1`";

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
                self.add(Code::Recursion, "a recursive query is not maintained incrementally");
            }
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
            | LogicalPlan::Unnest(_)
            | LogicalPlan::Distinct(_) => {}
            other => self.add(Code::OperatorWithoutRule, format!("`{}` is not a query", other.display())),
        }
    }

    fn expression(&mut self, expr: &Expr) -> Result<()> {
        expr.apply(|e| {
            match e {
                Expr::ScalarSubquery(q) if q.outer_ref_columns.is_empty() && !one_row(&q.subquery) => {
                    self.add(Code::ScalarSubquery, SCALAR_SUBQUERY);
                }
                Expr::ScalarFunction(f) => self.function(f.func.name(), f.func.signature().volatility),
                Expr::AggregateFunction(f) => self.aggregate(f.func.name(), f.func.signature().volatility),
                Expr::WindowFunction(f) => match &f.fun {
                    WindowFunctionDefinition::AggregateUDF(f) => self.aggregate(f.name(), f.signature().volatility),
                    WindowFunctionDefinition::WindowUDF(f) => self.function(f.name(), f.signature().volatility),
                },
                Expr::Placeholder(_) => {
                    self.add(Code::Parameter, "a query with parameters is not maintained incrementally");
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    fn function(&mut self, name: &str, volatility: Volatility) {
        if volatility != Volatility::Immutable {
            self.add(Code::VolatileFunction, format!("`{name}()` gives a different value at every refresh"));
        }
    }

    fn aggregate(&mut self, name: &str, volatility: Volatility) {
        self.function(name, volatility);
        if is_approximate(name) {
            let text = format!("`{name}()` is an approximation and not maintained incrementally");
            self.add(Code::ApproximateAggregate, text);
        }
    }

    fn join(&mut self, join: &Join) {
        let rewritten = matches!(
            join.join_type,
            JoinType::Inner
                | JoinType::Left
                | JoinType::Full
                | JoinType::LeftSemi
                | JoinType::LeftAnti
                | JoinType::LeftMark
        );
        if !rewritten || join.null_aware {
            let text = format!("`{} join` is not maintained incrementally", join.join_type.to_string().to_lowercase());
            self.add(Code::OperatorWithoutRule, text);
        }
    }
}
