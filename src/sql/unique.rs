//! Unique column names: after this pass no operator has two columns of the same name, and no column has a qualifier.
//!
//! The engine identifies columns by qualifier in logical plans and by name alone in some physical rules (projections
//! pushed into a join of two tables that both have a `k`), which then confuse them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, Result};
use deltalake::datafusion::logical_expr::builder::unnest_with_options;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, JoinType, Limit, LogicalPlan, Sort, SortExpr, Union, Unnest, Window,
};

use crate::sql::shapes::{column, columns, project};

/// The same plan with unique column names inside, and its own names, without qualifiers, at the top.
///
/// # Errors
/// An unknown operator.
pub(super) fn named_uniquely(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let names: Vec<String> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
    // A mark join names its own column `mark`, regardless of its inputs.
    let inner = Names { taken: HashSet::from(["mark".to_owned()]) }.renamed(plan)?;
    let exprs = columns(inner.schema()).into_iter().zip(names).map(|(c, name)| c.alias(name)).collect();
    project(inner, exprs)
}

struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// A name that no other column has. Names of steps (`c0`) are reserved.
    fn fresh(&mut self, wanted: &str) -> String {
        let positional =
            wanted.strip_prefix('c').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if !positional && self.taken.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let mut n = self.taken.len();
        loop {
            let name = format!("{wanted}#{n}");
            if self.taken.insert(name.clone()) {
                return name;
            }
            n += 1;
        }
    }

    /// The plan with its output columns in the same order under unique names.
    fn renamed(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                self.aliased(plan.clone(), plan.schema())
            }
            LogicalPlan::SubqueryAlias(alias) => self.renamed(&alias.input),
            LogicalPlan::Filter(filter) => {
                let input = self.renamed(&filter.input)?;
                let predicate = Map::over(filter.input.schema(), &input)?.expr(&filter.predicate)?;
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?))
            }
            LogicalPlan::Projection(projection) => {
                let input = self.renamed(&projection.input)?;
                let map = Map::over(projection.input.schema(), &input)?;
                let mut seen = HashSet::new();
                let mut exprs = Vec::with_capacity(projection.expr.len());
                for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
                    let expr = map.expr(expr)?.unalias();
                    exprs.push(match expr {
                        Expr::Column(column) if seen.insert(column.name.clone()) => Expr::Column(column),
                        other => other.alias(self.fresh(field.name())),
                    });
                }
                project(input, exprs)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.renamed(&aggregate.input)?;
                let map = Map::over(aggregate.input.schema(), &input)?;
                let groups = map.exprs(&aggregate.group_expr)?;
                let aggregates = map.exprs(&aggregate.aggr_expr)?;
                let node = Aggregate::try_new(Arc::new(input), groups, aggregates)?;
                self.aliased(LogicalPlan::Aggregate(node), &aggregate.schema)
            }
            LogicalPlan::Window(window) => {
                let input = self.renamed(&window.input)?;
                let map = Map::over(window.input.schema(), &input)?;
                let node = Window::try_new(map.exprs(&window.window_expr)?, Arc::new(input))?;
                self.aliased(LogicalPlan::Window(node), &window.schema)
            }
            LogicalPlan::Union(union) => {
                let mut inputs = Vec::with_capacity(union.inputs.len());
                let names: Vec<String> = union.schema.fields().iter().map(|f| self.fresh(f.name())).collect();
                for input in &union.inputs {
                    let input = self.renamed(input)?;
                    let exprs = columns(input.schema()).into_iter().zip(&names).map(|(c, n)| c.alias(n)).collect();
                    inputs.push(Arc::new(project(input, exprs)?));
                }
                Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
            }
            LogicalPlan::Sort(sort) => {
                let input = self.renamed(&sort.input)?;
                let map = Map::over(sort.input.schema(), &input)?;
                let moved = |by: &SortExpr| Ok(SortExpr { expr: map.expr(&by.expr)?, ..by.clone() });
                let expr = sort.expr.iter().map(moved).collect::<Result<Vec<_>>>()?;
                Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: sort.fetch }))
            }
            LogicalPlan::Limit(limit) => {
                let input = Arc::new(self.renamed(&limit.input)?);
                Ok(LogicalPlan::Limit(Limit { input, ..limit.clone() }))
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            other => Err(DataFusionError::NotImplemented(format!("{} has no derivative", other.display()))),
        }
    }

    fn join(&mut self, node: &Join) -> Result<LogicalPlan> {
        let (left, right) = (self.renamed(&node.left)?, self.renamed(&node.right)?);
        let (l, r) = (Map::over(node.left.schema(), &left)?, Map::over(node.right.schema(), &right)?);
        let on = node.on.iter().map(|(a, b)| Ok((l.expr(a)?, r.expr(b)?))).collect::<Result<Vec<_>>>()?;
        let filter = match &node.filter {
            Some(filter) => Some(l.and(r).expr(filter)?),
            None => None,
        };
        let plain = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            filter,
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        )?;
        let plan = LogicalPlan::Join(plain);
        // The mark is a column of neither side.
        if matches!(node.join_type, JoinType::LeftMark | JoinType::RightMark) {
            let mut exprs = columns(plan.schema());
            if let Some(mark) = exprs.pop() {
                exprs.push(mark.alias(self.fresh("mark")));
            }
            return project(plan, exprs);
        }
        Ok(plan)
    }

    fn unnest(&mut self, node: &Unnest) -> Result<LogicalPlan> {
        let input = self.renamed(&node.input)?;
        let map = Map::over(node.input.schema(), &input)?;
        let mut of = Vec::with_capacity(node.exec_columns.len());
        for column in &node.exec_columns {
            of.push(map.column(column)?);
        }
        let mut options = node.options.clone();
        for recursion in &mut options.recursions {
            recursion.input_column = map.column(&recursion.input_column)?;
        }
        let plan = unnest_with_options(input, of, options)?;
        self.aliased(plan, &node.schema)
    }

    /// Fresh names on top of a plan, after those of `like`.
    fn aliased(&mut self, plan: LogicalPlan, like: &DFSchema) -> Result<LogicalPlan> {
        let exprs = like
            .fields()
            .iter()
            .enumerate()
            .map(|(i, field)| column(plan.schema(), i).alias(self.fresh(field.name())))
            .collect();
        project(plan, exprs)
    }
}

/// Columns of an old schema -> columns of a new plan, by position.
struct Map(HashMap<Column, Column>);

impl Map {
    fn over(old: &DFSchema, new: &LogicalPlan) -> Result<Self> {
        let mut map = HashMap::new();
        for (i, of) in old.columns().into_iter().enumerate() {
            if let Expr::Column(to) = column(new.schema(), i) {
                if let Ok(unqualified) = old.index_of_column(&Column::new_unqualified(of.name.clone()))
                    && unqualified == i
                {
                    map.insert(Column::new_unqualified(of.name.clone()), to.clone());
                }
                map.insert(of, to);
            }
        }
        Ok(Self(map))
    }

    fn and(mut self, other: Self) -> Self {
        for (from, to) in other.0 {
            self.0.entry(from).or_insert(to);
        }
        self
    }

    fn column(&self, column: &Column) -> Result<Column> {
        let bare = Column { spans: Default::default(), ..column.clone() };
        self.0.get(&bare).cloned().ok_or_else(|| DataFusionError::Internal(format!("column {column} is not in reach")))
    }

    fn expr(&self, expr: &Expr) -> Result<Expr> {
        let mapped = expr.clone().transform_down(|e| match e {
            Expr::Column(column) => {
                Ok(Transformed::new(Expr::Column(self.column(&column)?), true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(mapped.data)
    }

    fn exprs(&self, exprs: &[Expr]) -> Result<Vec<Expr>> {
        exprs.iter().map(|e| self.expr(e)).collect()
    }
}
