//! The type of an expression in the middle of a query: planned over the tables visible there.

use deltalake::arrow::datatypes::FieldRef;
use deltalake::datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use deltalake::datafusion::sql::sqlparser::ast::{
    Cte, Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, TableWithJoins, With,
};
use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::parser::Parser;

use crate::sql::planner::{Tables, plan_query};

/// One query around the current expression.
#[derive(Default)]
struct Frame {
    with: Vec<Cte>,
    /// How many queries of `with` are visible from the current position.
    visible: usize,
    /// How many queries of `with` were traversed or are being traversed.
    walked: usize,
    /// The current or the last select.
    select: Option<Select>,
}

/// The queries around the current expression, outermost first.
pub(super) struct Scope<'a> {
    tables: &'a Tables,
    frames: Vec<Frame>,
    /// A query into which expressions are inserted.
    probe: Option<Query>,
}

impl<'a> Scope<'a> {
    /// Outside of every query.
    pub(super) fn new(tables: &'a Tables) -> Self {
        let probe = Parser::new(&GenericDialect {}).try_with_sql("select 1").and_then(|mut p| p.parse_query());
        Self { tables, frames: Vec::new(), probe: probe.ok().map(|query| *query) }
    }

    /// The traversal enters a query.
    pub(super) fn enter(&mut self, query: &Query) {
        if let Some(parent) = self.frames.last_mut()
            && parent.select.is_none()
            && parent.walked < parent.with.len()
        {
            // A name of `with` sees those before it.
            parent.visible = parent.walked;
            parent.walked += 1;
        }
        let tables = query.with.as_ref().map(|w| w.cte_tables.clone()).unwrap_or_default();
        self.frames.push(Frame { with: tables, ..Frame::default() });
    }

    /// The traversal leaves a query.
    pub(super) fn leave(&mut self) {
        self.frames.pop();
        if let Some(parent) = self.frames.last_mut() {
            parent.visible = parent.walked;
        }
    }

    /// The traversal enters a select of the query.
    pub(super) fn select(&mut self, select: &Select) {
        if let Some(frame) = self.frames.last_mut() {
            frame.visible = frame.with.len();
            frame.select = Some(select.clone());
        }
    }

    /// Whether a name in `from` is a table that has this column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        let is_named = self.frames.iter().flat_map(|frame| &frame.with).any(|cte| cte.alias.name.value == table);
        !is_named && self.tables.columns_of(table).is_some_and(|columns| columns.iter().any(|name| name == column))
    }

    /// The innermost select.
    pub(super) fn innermost(&self) -> Option<&Select> {
        self.frames.last()?.select.as_ref()
    }

    /// Types and nullability of expressions of the innermost select; `None` if they cannot be determined.
    pub(super) fn fields(&self, exprs: &[&Expr]) -> Option<Vec<FieldRef>> {
        let select = self.innermost()?;
        let ungrouped = GroupByExpr::Expressions(Vec::new(), Vec::new());
        self.plan(exprs, select, select.from.clone(), ungrouped.clone())
            .or_else(|| self.plan(exprs, select, select.from.clone(), select.group_by.clone()))
            // Correlated: outer tables are visible too.
            .or_else(|| self.plan(exprs, select, self.all_tables(), ungrouped))
    }

    /// The type of one expression.
    pub(super) fn field(&self, expr: &Expr) -> Option<FieldRef> {
        self.fields(&[expr])?.pop()
    }

    /// The expression of an output column's alias or number in `order by` and `group by`.
    pub(super) fn output(&self, expr: &Expr) -> Option<Expr> {
        let select = self.innermost()?;
        let item = match expr {
            Expr::Identifier(name) => select.projection.iter().find(|item| alias(item) == Some(&name.value))?,
            Expr::Value(value) => {
                let number: usize = value.value.to_string().parse().ok()?;
                select.projection.get(number.checked_sub(1)?)?
            }
            _ => return None,
        };
        match item {
            SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => Some(expr.clone()),
            _ => None,
        }
    }

    fn all_tables(&self) -> Vec<TableWithJoins> {
        self.frames.iter().rev().filter_map(|f| f.select.as_ref()).flat_map(|s| s.from.clone()).collect()
    }

    fn plan(
        &self,
        exprs: &[&Expr],
        select: &Select,
        from: Vec<TableWithJoins>,
        group_by: GroupByExpr,
    ) -> Option<Vec<FieldRef>> {
        let mut query = self.probe.clone()?;
        query.with = self.with();
        let SetExpr::Select(probe) = query.body.as_mut() else { return None };
        let projection = exprs.iter().enumerate().map(|(at, expr)| SelectItem::ExprWithAlias {
            expr: (*expr).clone(),
            alias: Ident::new(format!("column_{at}")),
        });
        probe.projection = projection.collect();
        probe.from = from;
        probe.group_by = group_by;
        probe.named_window.clone_from(&select.named_window);
        let plan = plan_query(query, self.tables).ok()?;
        Some(plan.schema().fields().iter().cloned().collect())
    }

    /// The visible names of `with`; inner ones hide outer ones of the same name.
    fn with(&self) -> Option<With> {
        let mut tables: Vec<Cte> = Vec::new();
        for frame in &self.frames {
            for table in frame.with.iter().take(frame.visible) {
                tables.retain(|t| t.alias.name.value != table.alias.name.value);
                tables.push(table.clone());
            }
        }
        let with_token = AttachedToken::empty();
        (!tables.is_empty()).then_some(With { with_token, recursive: false, cte_tables: tables })
    }
}

/// The alias of an output column.
pub(super) fn alias(item: &SelectItem) -> Option<&String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        _ => None,
    }
}
