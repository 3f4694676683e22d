//! Grouping, distinct and windows at the top of a query whose keys are columns of the result: the old rows of the
//! touched groups need not be computed, since the maintained table holds them.
//!
//! `dP = P(X' ⋉ K) - result ⋉ K`: half of the reads, and deleted rows are bit-identical to the table's. Some changes need
//! no rows of the tables below at all ([`super::combine`], [`super::first_row`]).

use std::sync::Arc;

use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::datafusion::common::{DFSchema, NullEquality, Result, TableReference};
use deltalake::datafusion::logical_expr::{Expr, JoinType, LogicalPlan, TableScanBuilder};

use super::affected::common_partition;
use super::branches::parts;
use super::build::{Columns, column, columns, conform, difference, join, scan_step, with_inputs};
use super::derive::{Change, Deriver, KeysOf, sum_of};
use super::reach::Reach;
use super::{Side, scan_name};

/// The reads that the maintained table saves for a grouping or window at the top of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultReuse {
    /// The old rows of the touched groups.
    Before,
    /// Also the new rows, if the change is insert-only.
    AllOfAppends,
    /// Also the new rows, where the first row of a partition is the table's or an inserted one.
    FirstRow,
    /// The same, but of partitions of which the table has no row the new rows are read.
    FirstRowOfKnown,
    /// Also the new rows before the first changed one.
    Running,
    /// Also the new rows.
    All,
}

/// The groupings and windows of a normalised query whose old rows are the table's, and the reads that this saves: the
/// topmost one; of a union with different constants that of each input.
#[derive(Debug)]
pub(crate) struct Tops<'a>(Vec<(&'a LogicalPlan, ResultReuse)>);

impl<'a> Tops<'a> {
    /// Those of a query.
    #[must_use]
    pub(crate) fn of(plan: &'a LogicalPlan) -> Self {
        Self(match parts(plan) {
            Some(parts) => parts.into_iter().filter_map(|(input, _)| reuse(input)).collect(),
            None => reuse(plan).into_iter().collect(),
        })
    }

    /// What is saved of a node, if it is one of them.
    #[must_use]
    pub(crate) fn reuse(&self, node: &LogicalPlan) -> Option<ResultReuse> {
        self.0.iter().find(|(top, _)| std::ptr::eq(*top, node)).map(|(_, reuse)| *reuse)
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

pub(super) fn reuse(plan: &LogicalPlan) -> Option<(&LogicalPlan, ResultReuse)> {
    let Root { node, .. } = Root::of(plan, false).ok()??;
    let reuse = super::combine::result_reuse(plan, node)
        .or_else(|| super::first_row::result_reuse(plan, node))
        .or_else(|| super::running::result_reuse(plan, node));
    Some((node, reuse.unwrap_or(ResultReuse::Before)))
}

/// A query whose rows are identified by the keys of its topmost grouping or window.
struct Root<'a> {
    node: &'a LogicalPlan,
    /// The keys, over the node's input.
    exprs: Vec<Expr>,
    /// The columns of the result that show them.
    shown: Vec<Expr>,
    /// Of a window that reaches not over whole partitions. Its order key is the last one of the keys.
    reach: Option<Reach>,
}

impl<'a> Root<'a> {
    fn of(plan: &'a LogicalPlan, large: bool) -> Result<Option<Self>> {
        let Some((node, mut exprs)) = keyed(plan) else { return Ok(None) };
        let partition = exprs.len();
        let reach = match node {
            LogicalPlan::Window(window) => Reach::of(window).filter(|reach| !(large && reach.needs_a_held_step())),
            _ => None,
        };
        exprs.extend(reach.iter().map(|reach| reach.order().clone()));
        // If a key is not shown, or no key compares exactly, rows of the result cannot be identified by keys.
        let mut shown = Vec::with_capacity(exprs.len());
        for key in &exprs {
            match output_of(plan, node, key) {
                Some(index) => shown.push(column(&plan.schema().as_ref().clone().strip_qualifiers(), index)),
                None => return Ok(None),
            }
        }
        if super::derive::usable(node.inputs()[0], &exprs)?.len() != exprs.len() {
            return Ok(None);
        }
        // The one group of an aggregate without keys is worth it only if its old row need not be computed anew.
        if partition == 0 && super::combine::result_reuse(plan, node).is_none() {
            return Ok(None);
        }
        Ok(Some(Self { node, exprs, shown, reach }))
    }
}

/// What the rules for a grouping or window at the top of a query start from.
pub(super) struct Top<'a> {
    /// The query.
    pub plan: &'a LogicalPlan,
    /// Its grouping or window.
    pub node: &'a LogicalPlan,
    /// The change of the node's input.
    pub change: &'a LogicalPlan,
    /// The node's keys in that change, if there are any.
    pub keys: Option<&'a KeysOf>,
    /// The columns of the result that show the keys.
    pub shown_keys: &'a [Expr],
}

impl Deriver<'_> {
    /// The change of a whole query of that shape: `None` if it is another one, `Some(None)` if nothing changes.
    pub(super) fn at_root(&mut self, plan: &LogicalPlan) -> Result<Option<Option<Change>>> {
        if let Some(change) = self.at_branches(plan)? {
            return Ok(Some(change));
        }
        let Some(Root { node, exprs, shown, reach }) = Root::of(plan, self.large)? else { return Ok(None) };
        let input = node.inputs()[0];
        let Some(change) = self.change(input)? else { return Ok(Some(None)) };
        let change = self.held(change)?;
        let top = Top { plan, node, change: &change.plan, keys: None, shown_keys: &shown };
        let continued = match node {
            LogicalPlan::Window(window) => self.running(&top, window)?,
            _ => None,
        };
        let (combined, keys) = match continued {
            Some((change, anew)) => (Some(change), anew),
            None => {
                let keys = match &reach {
                    Some(reach) => self.reached(input, &change.plan, &exprs, reach)?,
                    None => self.keys(&change.plan, &exprs, NullEquality::NullEqualsNull)?,
                };
                let top = Top { keys: keys.as_ref(), ..top };
                let combined = match node {
                    LogicalPlan::Aggregate(aggregate) => self.combined(&top, aggregate)?,
                    LogicalPlan::Window(window) => self.first_row(&top, window)?,
                    _ => None,
                };
                match (combined, keys) {
                    (Some((change, anew)), _) => (Some(change), anew),
                    (None, Some(keys)) => (None, keys),
                    (None, None) => return Ok(None),
                }
            }
        };
        let rows = self.side(input, Side::New)?;
        let new = self.of_keys(node, rows, &keys, &exprs)?;
        let new = over_node(plan, node, new)?;
        let old = self.rows_of_result(plan, Some(&keys), &shown)?;
        let names = plan.schema().as_ref().clone().strip_qualifiers();
        let mut anew = conform(difference(new, old)?, &names)?;
        let mut terms = Vec::with_capacity(2);
        if let Some(combined) = combined {
            // Here the keys are required for correctness: the combined groups must be excluded.
            let scan = scan_step(&keys.keys.step, &keys.keys.schema)?;
            let on = shown.into_iter().zip(columns(scan.schema())).collect();
            anew = join(anew, scan, on, None, JoinType::LeftSemi, NullEquality::NullEqualsNull)?;
            terms.push(combined);
        }
        terms.push(anew);
        Ok(Some(Some(Change::computed(sum_of(terms, plan.schema())?))))
    }

    /// The rows of the maintained table with some keys.
    pub(super) fn rows_of_result(
        &mut self,
        plan: &LogicalPlan,
        keys: Option<&KeysOf>,
        shown_keys: &[Expr],
    ) -> Result<LogicalPlan> {
        self.restrict_to(self.scan_result(plan)?, keys, shown_keys)
    }

    /// A scan of the rows of the maintained table that a plan gave.
    pub(super) fn scan_result(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        match &self.part {
            Some(part) => part.scan(plan),
            None => scan_maintained(plan.schema()),
        }
    }
}

/// The grouping or window below projections and filters at the top of a plan, and its keys.
fn keyed(plan: &LogicalPlan) -> Option<(&LogicalPlan, Vec<Expr>)> {
    match plan {
        LogicalPlan::Projection(p) => keyed(&p.input),
        LogicalPlan::Filter(f) => keyed(&f.input),
        LogicalPlan::Aggregate(a) => Some((plan, a.group_expr.clone())),
        LogicalPlan::Window(w) => Some((plan, common_partition(w))),
        _ => None,
    }
}

/// The output column of `plan` that shows a key of `node`.
fn output_of(plan: &LogicalPlan, node: &LogicalPlan, key: &Expr) -> Option<usize> {
    let own = match node {
        LogicalPlan::Aggregate(a) => a.group_expr.iter().position(|e| e == key)?,
        LogicalPlan::Window(w) => match key {
            Expr::Column(c) => w.schema.maybe_index_of_column(c)?,
            _ => return None,
        },
        _ => return None,
    };
    shown(plan, node, own)
}

/// The output column of `plan` that shows column `at` of `node`.
pub(super) fn shown(plan: &LogicalPlan, node: &LogicalPlan, at: usize) -> Option<usize> {
    if std::ptr::eq(plan, node) {
        return Some(at);
    }
    match plan {
        LogicalPlan::Filter(f) => shown(&f.input, node, at),
        LogicalPlan::Projection(p) => {
            let below = shown(&p.input, node, at)?;
            p.expr.iter().position(|e| match e.clone().unalias_nested().data {
                Expr::Column(c) => p.input.schema().maybe_index_of_column(&c) == Some(below),
                _ => false,
            })
        }
        _ => None,
    }
}

/// `plan` with `replaced` in the place of `node`.
pub(super) fn over_node(plan: &LogicalPlan, node: &LogicalPlan, replaced: LogicalPlan) -> Result<LogicalPlan> {
    if std::ptr::eq(plan, node) {
        return Ok(replaced);
    }
    let input = over_node(plan.inputs()[0], node, replaced)?;
    with_inputs(plan, vec![input])
}

/// A scan of the maintained table, which has the columns of a query.
pub(super) fn scan_maintained(schema: &DFSchema) -> Result<LogicalPlan> {
    let fields = schema.fields().iter();
    let fields: Vec<_> = fields.map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    let source = Arc::new(Columns::new(Arc::new(Schema::new(fields))));
    let name = TableReference::bare(scan_name("", Side::Maintained));
    Ok(LogicalPlan::TableScan(TableScanBuilder::new(name, source).build()?))
}
