//! Why a query is not maintained incrementally, in the words of its author.

use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::{
    Distinct, Expr, Join, JoinType, LogicalPlan, Volatility, WindowFunctionDefinition,
};

use super::WEIGHT;
use super::affected::common_partition;

/// Aggregates whose result does not depend on the order of the rows.
const ORDER_FREE: &[&str] = &[
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "grouping",
    "max",
    "mean",
    "median",
    "min",
    "percentile_cont",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "var",
    "var_pop",
    "var_samp",
    "var_sample",
];

/// Reasons that show in the analysed query. Normalising would hide some of them.
pub fn of_query(plan: &LogicalPlan) -> Vec<String> {
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
pub fn of_normalised(plan: &LogicalPlan) -> Vec<String> {
    let mut reasons = Reasons::default();
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(join) => reasons.join(join),
            LogicalPlan::Window(window) if common_partition(window).is_empty() => {
                reasons.add("a window function without `partition by` depends on every row of its input");
            }
            _ => {}
        }
        for expr in node.expressions() {
            expr.apply(|e| {
                match e {
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_) => {
                        reasons.add("a subquery that cannot be written as a join is not maintained incrementally");
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

#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn add(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.0.contains(&reason) {
            self.0.push(reason);
        }
    }

    fn finish(mut self, walked: Result<TreeNodeRecursion>) -> Vec<String> {
        if let Err(e) = walked {
            self.add(format!("the query cannot be read: {e}"));
        }
        self.0
    }

    fn operator(&mut self, node: &LogicalPlan) {
        if node.schema().fields().iter().any(|f| f.name() == WEIGHT) {
            self.add(format!("the column name `{WEIGHT}` is reserved"));
        }
        match node {
            LogicalPlan::Limit(_) => {
                self.add("`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
                self.add("`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::TableScan(scan) if scan.fetch.is_some() => {
                self.add("`limit` is not maintained incrementally: one row more can displace any other");
            }
            LogicalPlan::Distinct(Distinct::On(_)) => {
                self.add("`distinct on` keeps an arbitrary row: use `row_number()` with a total order");
            }
            LogicalPlan::Aggregate(a) if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                self.add("`grouping sets`, `rollup` and `cube` are not maintained incrementally");
            }
            LogicalPlan::RecursiveQuery(_) => self.add("a recursive query is not maintained incrementally"),
            LogicalPlan::Extension(extension) => {
                self.add(format!("operator `{}` is not maintained incrementally", extension.node.name()));
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
            | LogicalPlan::Distinct(Distinct::All(_)) => {}
            other => self.add(format!("`{}` is not a query", other.display())),
        }
    }

    fn expression(&mut self, expr: &Expr) -> Result<()> {
        expr.apply(|e| {
            match e {
                Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
                    self.add(format!("`{}()` gives another value at every refresh", f.func.name()));
                }
                Expr::AggregateFunction(f) => {
                    self.aggregate(f.func.name(), f.func.signature().volatility);
                }
                Expr::WindowFunction(f) => {
                    let name = f.fun.name().to_lowercase();
                    let ordered = !f.params.order_by.is_empty();
                    match &f.fun {
                        WindowFunctionDefinition::AggregateUDF(_) if ordered && !name.starts_with("approx") => {}
                        WindowFunctionDefinition::AggregateUDF(udf) => {
                            self.aggregate(udf.name(), udf.signature().volatility);
                        }
                        WindowFunctionDefinition::WindowUDF(_) if !ordered => {
                            self.add(format!(
                                "`{name}()` without `order by` depends on the order in which rows are read"
                            ));
                        }
                        WindowFunctionDefinition::WindowUDF(_) => {}
                    }
                }
                Expr::Placeholder(_) => self.add("a query with parameters is not maintained incrementally"),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    fn aggregate(&mut self, name: &str, volatility: Volatility) {
        let lower = name.to_lowercase();
        if volatility != Volatility::Immutable {
            self.add(format!("`{lower}()` gives another value at every refresh"));
        } else if lower.starts_with("approx") {
            self.add(format!("`{lower}()` is an approximation and not maintained incrementally"));
        } else if !ORDER_FREE.contains(&lower.as_str()) {
            self.add(format!("`{lower}()` can depend on the order in which rows are read"));
        }
    }

    fn join(&mut self, join: &Join) {
        if matches!(join.join_type, JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark)
            || join.null_aware
        {
            self.add(format!("`{} join` is not maintained incrementally", join.join_type.to_string().to_lowercase()));
        }
    }
}
