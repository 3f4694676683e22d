//! Columns by their position, and the columns that an expression depends on.

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, Span};
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

pub(super) use super::column_set::Columns;

/// The columns that expressions of a node may name: those of its inputs, in sequence.
pub(crate) struct Scope<'a>(Vec<&'a DFSchema>);

impl<'a> Scope<'a> {
    /// The columns of one plan.
    pub(crate) fn of(plan: &'a LogicalPlan) -> Self {
        Self(vec![plan.schema().as_ref()])
    }

    /// The columns of two plans, those of the first one first.
    pub(crate) fn of_both(left: &'a LogicalPlan, right: &'a LogicalPlan) -> Self {
        Self(vec![left.schema().as_ref(), right.schema().as_ref()])
    }

    /// The columns of the inputs of any node.
    pub(crate) fn of_inputs(inputs: &[&'a LogicalPlan]) -> Self {
        Self(inputs.iter().map(|input| input.schema().as_ref()).collect())
    }

    /// The columns of a relation.
    pub(crate) fn of_schema(schema: &'a DFSchema) -> Self {
        Self(vec![schema])
    }

    /// The position of a column.
    pub(crate) fn index(&self, column: &Column) -> Option<usize> {
        let mut before = 0;
        for schema in &self.0 {
            if let Some(at) = schema.maybe_index_of_column(column) {
                return Some(before + at);
            }
            before += schema.fields().len();
        }
        None
    }

    fn data_type(&self, mut index: usize) -> Option<&DataType> {
        for schema in &self.0 {
            match schema.fields().get(index) {
                Some(field) => return Some(field.data_type()),
                None => index -= schema.fields().len(),
            }
        }
        None
    }

    /// Every column that an expression depends on, including those of its correlated subqueries.
    pub(crate) fn columns(&self, expr: &Expr) -> Columns {
        let mut found = Columns::new();
        // The visitor never returns an error.
        let _ = expr.apply(|e| {
            match e {
                Expr::Column(column) => found.extend(self.index(column)),
                e => {
                    if let Some(subquery) = subquery_of(e) {
                        found.add_all(&self.outer(&subquery.subquery));
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        found
    }

    /// Columns that several expressions depend on.
    pub(crate) fn all<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Columns {
        let mut all = Columns::new();
        exprs.into_iter().for_each(|e| all.add_all(&self.columns(e)));
        all
    }

    /// The columns of this scope to which a plan refers as those of an outer query.
    pub(crate) fn outer(&self, subquery: &LogicalPlan) -> Columns {
        let mut found = Columns::new();
        // The visitors never return an error.
        let _ = subquery.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    if let Expr::OuterReferenceColumn(_, column) = e {
                        found.extend(self.index(column));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        found
    }

    /// The column that an expression is, apart from its alias and injective casts.
    pub(crate) fn plain(&self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Column(column) => self.index(column),
            Expr::Alias(alias) => self.plain(&alias.expr),
            Expr::Cast(cast) => {
                let index = self.plain(&cast.expr)?;
                let from = match cast.expr.as_ref() {
                    Expr::Cast(inner) => inner.field.data_type(),
                    _ => self.data_type(index)?,
                };
                is_lossless(from, cast.field.data_type()).then_some(index)
            }
            _ => None,
        }
    }

    /// The plain columns among expressions.
    pub(crate) fn plain_among<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Columns {
        exprs.into_iter().filter_map(|e| self.plain(e)).collect()
    }
}

/// The subquery that an expression is.
pub(crate) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}

/// The spans of an expression's columns in the text of the query, if the planner kept them.
pub(super) fn spans(expr: &Expr) -> Vec<Span> {
    let mut found = Vec::new();
    let _ = expr.apply(|e| {
        if let Expr::Column(column) = e {
            found.extend(column.spans.iter().copied());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Columns of the right input, counted from the left.
pub(super) fn shifted(columns: &Columns, by: usize) -> Columns {
    columns.iter().map(|c| c + by).collect()
}

/// Whether a cast that succeeds is injective.
fn is_lossless(from: &DataType, to: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_utc = |zone: &Option<std::sync::Arc<str>>| zone.as_deref().is_none_or(|z| z == "UTC" || z == "+00:00");
    let fineness = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    match (from, to) {
        (a, b) if a == b => true,
        (a, b) if is_text(a) && is_text(b) => true,
        // A number that does not fit is an error.
        (a, b) if a.is_integer() && b.is_integer() => true,
        (a, DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)) if a.is_integer() => *scale >= 0,
        (
            DataType::Decimal128(_, a) | DataType::Decimal256(_, a),
            DataType::Decimal128(_, b) | DataType::Decimal256(_, b),
        ) => a <= b,
        (DataType::Float32, DataType::Float64) => true,
        (DataType::Date32, DataType::Timestamp(_, zone)) => is_utc(zone),
        (DataType::Timestamp(a, x), DataType::Timestamp(b, y)) => fineness(a) <= fineness(b) && is_utc(x) && is_utc(y),
        (DataType::Dictionary(_, values), b) => is_lossless(values, b),
        _ => false,
    }
}
