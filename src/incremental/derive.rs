//! From a normalised plan to the plans that compute its change, bottom-up.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::TreeNode;
use deltalake::datafusion::common::{DataFusionError, NullEquality, Result, ScalarValue};
use deltalake::datafusion::functions_aggregate::expr_fn::{max, min};
use deltalake::datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, Filter, LogicalPlan, lit, when};

use super::branches::Part;
use super::build::{
    add, column, columns, conform, consolidate, data_columns, distinct, over, positional, project, scan_side,
    scan_step, weight, without_last,
};
use super::consolidated::consolidated_before_eval;
use super::frame::Frame;
use super::range::{Range, shifted};
use super::restrict::{Key, Keys, On, gated};
use super::{ChangeKind, ChangeSize, OldResult, Side, Stages, Step};
use crate::sql::can_fail;

/// The change of one plan.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The plan's columns under the plan's names, then the weight.
    pub plan: LogicalPlan,
    /// All weights are positive.
    pub insert_only: bool,
    /// A linear image of an insert-only change, to be streamed and never materialised: it can have millions of rows.
    pub stream: bool,
    /// Already a scan of a step.
    pub held: bool,
}

impl Change {
    /// A change of any weights that is neither streamed nor materialised.
    pub(super) fn computed(plan: LogicalPlan) -> Self {
        Self { plan, insert_only: false, stream: false, held: false }
    }
}

/// The traversal of the plan.
pub(super) struct Deriver<'a> {
    kind: &'a dyn Fn(&str) -> ChangeKind,
    steps: Vec<Step>,
    /// Some expression may raise an error: evaluate it only on rows of the old or the new snapshot.
    settles: bool,
    /// The part of the maintained table whose change is derived, if it is not all of it.
    pub(super) part: Option<Part>,
    /// The change is large: no rule may require that a step is held.
    pub(super) large: bool,
}

/// The stages of a normalised plan.
pub(super) fn stages(
    plan: &LogicalPlan,
    kind: &dyn Fn(&str) -> ChangeKind,
    old: OldResult,
    size: ChangeSize,
) -> Result<Stages> {
    let large = size == ChangeSize::Large;
    let mut deriver = Deriver { kind, steps: Vec::new(), settles: can_fail(plan)?, part: None, large };
    let at_root = match old {
        OldResult::Maintained => deriver.at_root(plan)?,
        OldResult::Computed => None,
    };
    let change = match at_root {
        Some(change) => change,
        None => deriver.change(plan)?,
    };
    let Some(change) = change else {
        return Ok(Stages { steps: Vec::new(), result: None, insert_only: true });
    };
    // The names of a table's columns have no qualifier.
    let names = plan.schema().as_ref().clone().strip_qualifiers();
    let result = conform(change.plan, &names)?;
    Ok(Stages { steps: deriver.steps, result: Some(result), insert_only: change.insert_only })
}

impl Deriver<'_> {
    /// The change of a plan; `None` if there is none.
    pub(super) fn change(&mut self, plan: &LogicalPlan) -> Result<Option<Change>> {
        let unsettled = match plan {
            LogicalPlan::TableScan(_) => self.settles,
            LogicalPlan::Join(join) => self.settles && self.changes(&join.left)? && self.changes(&join.right)?,
            _ => false,
        };
        match self.derived(plan)? {
            Some(change) if unsettled && !change.insert_only => {
                Ok(Some(Change { plan: consolidated_before_eval(change.plan)?, held: false, ..change }))
            }
            other => Ok(other),
        }
    }

    /// Whether a table of a plan changed.
    pub(super) fn changes(&self, plan: &LogicalPlan) -> Result<bool> {
        plan.exists(|node| {
            Ok(matches!(node, LogicalPlan::TableScan(scan) if (self.kind)(scan.table_name.table()) != ChangeKind::None))
        })
    }

    fn derived(&mut self, plan: &LogicalPlan) -> Result<Option<Change>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let insert_only = match (self.kind)(scan.table_name.table()) {
                    ChangeKind::None => return Ok(None),
                    ChangeKind::InsertOnly => true,
                    ChangeKind::Mutating => false,
                };
                let plan = scan_side(scan, Side::Change)?;
                Ok(Some(Change { plan, insert_only, stream: insert_only, held: false }))
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(None),
            LogicalPlan::Filter(filter) => self.linear(&filter.input, |input| {
                Ok(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), input.into())?))
            }),
            LogicalPlan::Projection(projection) => self.linear(&projection.input, |input| {
                let mut exprs = projection.expr.clone();
                exprs.push(weight());
                project(input, exprs)
            }),
            LogicalPlan::Unnest(unnest) => self.linear(&unnest.input, |input| {
                let unnested = plan.with_new_exprs(Vec::new(), vec![input])?;
                conform(unnested, &unnest.schema)
            }),
            LogicalPlan::SubqueryAlias(alias) => self.linear(&alias.input, |input| conform(input, &alias.schema)),
            LogicalPlan::Union(union) => {
                let (mut terms, mut insert_only, mut stream) = (Vec::new(), true, true);
                for input in &union.inputs {
                    if let Some(change) = self.change(input)? {
                        insert_only &= change.insert_only;
                        stream &= change.stream;
                        let data = data_columns(&change.plan);
                        terms.push(positional(change.plan, data, Some(weight()))?);
                    }
                }
                if terms.is_empty() {
                    return Ok(None);
                }
                let plan = conform(add(terms)?, &union.schema)?;
                Ok(Some(Change { plan, insert_only, stream, held: false }))
            }
            LogicalPlan::Join(join) => self.join_change(join),
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => self.affected_change(plan),
            other => Err(DataFusionError::NotImplemented(format!("{} has no derivative", other.display()))),
        }
    }

    fn linear(
        &mut self,
        input: &LogicalPlan,
        operator: impl FnOnce(LogicalPlan) -> Result<LogicalPlan>,
    ) -> Result<Option<Change>> {
        let Some(change) = self.change(input)? else { return Ok(None) };
        Ok(Some(Change { plan: operator(change.plan)?, held: false, ..change }))
    }

    /// A plan over one side of its tables.
    pub(super) fn side(&self, plan: &LogicalPlan, side: Side) -> Result<LogicalPlan> {
        over(plan, side, self.kind)
    }

    /// Makes a change cheap to read repeatedly: consolidated in a step, unless it is a stream.
    pub(super) fn held(&mut self, change: Change) -> Result<Change> {
        if change.stream || change.held {
            return Ok(change);
        }
        let names = without_last(change.plan.schema())?;
        let plan = if change.insert_only {
            // Insert-only: nothing can cancel.
            let data = data_columns(&change.plan);
            positional(change.plan, data, Some(weight()))?
        } else {
            consolidate(change.plan)?
        };
        let scan = self.step(plan)?;
        Ok(Change { plan: conform(scan, &names)?, insert_only: change.insert_only, stream: false, held: true })
    }

    /// Adds a step and returns the scan of it.
    pub(super) fn step(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.add_step(plan, false)
    }

    /// A step that must be held.
    pub(super) fn held_step(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.add_step(plan, true)
    }

    fn add_step(&mut self, plan: LogicalPlan, must_be_held: bool) -> Result<LogicalPlan> {
        let name = format!("step_{}", self.steps.len() + 1);
        let scan = scan_step(&name, plan.schema())?;
        self.steps.push(Step { name, plan, must_be_held });
        Ok(scan)
    }

    /// A step with the distinct values of expressions over a plan. `None` if none of them can be a key.
    pub(super) fn keys(&mut self, plan: &LogicalPlan, exprs: &[Expr], nulls: NullEquality) -> Result<Option<KeysOf>> {
        let usable = usable(plan, exprs)?;
        if usable.is_empty() {
            return Ok(None);
        }
        let values = usable.iter().map(|&i| exprs[i].clone()).collect();
        let plan = distinct(positional(plan.clone(), values, None)?)?;
        let plan = positional(plan.clone(), columns(plan.schema()), None)?;
        self.key_step(plan, usable, nulls).map(Some)
    }

    /// Keys; or, if no expression can be one, a gate: a step that is empty if there is no change.
    pub(super) fn keys_or_gate(&mut self, plan: &LogicalPlan, exprs: &[Expr], nulls: NullEquality) -> Result<KeysOf> {
        if let Some(keys) = self.keys(plan, exprs, nulls)? {
            return Ok(keys);
        }
        let any = distinct(positional(plan.clone(), vec![lit(1_i64)], None)?)?;
        self.key_step(any, Vec::new(), nulls)
    }

    /// A step that holds keys.
    pub(super) fn key_step(&mut self, plan: LogicalPlan, usable: Vec<usize>, nulls: NullEquality) -> Result<KeysOf> {
        let schema = plan.schema().clone();
        let name = format!("step_{}", self.steps.len() + 1);
        self.step(plan)?;
        Ok(KeysOf { keys: Keys { step: name, schema, nulls }, usable, range: None, needed: None })
    }

    /// Keys that must be held, NULL among them.
    pub(super) fn held_keys(&mut self, plan: LogicalPlan) -> Result<Keys> {
        let schema = plan.schema().clone();
        let step = format!("step_{}", self.steps.len() + 1);
        self.held_step(plan)?;
        Ok(Keys { step, schema, nulls: NullEquality::NullEqualsNull })
    }

    /// A step with the keys of a change, and for each the range of the order keys that the change affects. The order key
    /// is the last one of the expressions. `None` if none of the others can be a key.
    pub(super) fn framed_keys(&mut self, plan: &LogicalPlan, exprs: &[Expr], frame: &Frame) -> Result<Option<KeysOf>> {
        let Some((order, keys)) = exprs.split_last() else { return Ok(None) };
        let usable = usable(plan, keys)?;
        if usable.is_empty() {
            return Ok(None);
        }
        let mut values: Vec<Expr> = usable.iter().map(|&i| keys[i].clone()).collect();
        values.push(order.clone());
        let changed = positional(plan.clone(), values, None)?;
        let mut groups = columns(changed.schema());
        let Some(order) = groups.pop() else { return Ok(None) };
        let of_order = order.get_type(changed.schema().as_ref())?;
        let (Some(first), Some(last)) = (ScalarValue::min(&of_order), ScalarValue::max(&of_order)) else {
            return Ok(None);
        };
        let is_null = when(order.clone().is_null(), lit(1_i64)).otherwise(lit(0_i64))?;
        let ends = vec![min(order.clone()), max(order), max(is_null)];
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(changed.into(), groups, ends)?);
        let mut all = columns(grouped.schema());
        let (Some(has_null), Some(greatest), Some(least)) = (all.pop(), all.pop(), all.pop()) else { return Ok(None) };
        // A changed row whose key is NULL counts as everywhere.
        let end =
            |key: Expr, everywhere: ScalarValue| when(has_null.clone().eq(lit(1_i64)), lit(everywhere)).otherwise(key);
        let range = Range { least: all.len(), greatest: all.len() + 1, below: 0, above: 0 };
        all.push(end(shifted(least, frame.above.saturating_neg()), first)?);
        all.push(end(shifted(greatest, frame.below), last)?);
        let of = self.key_step(positional(grouped, all, None)?, usable, NullEquality::NullEqualsNull)?;
        Ok(Some(KeysOf { range: Some(range), ..of }))
    }

    /// Restricts a plan to the rows whose expressions are among the keys; no keys, no restriction.
    pub(super) fn restrict_to(
        &mut self,
        plan: LogicalPlan,
        keys: Option<&KeysOf>,
        exprs: &[Expr],
    ) -> Result<LogicalPlan> {
        let Some(of) = keys else { return Ok(plan) };
        if of.usable.is_empty() {
            return gated(plan, &of.keys);
        }
        self.restrict(plan, &of.keys, of.on(exprs, of.range))
    }
}

/// Positions of the expressions that can be keys. Joins and groupings agree on the equality of floating-point numbers:
/// both zeros are equal, and NaN of one sign.
pub(super) fn usable(plan: &LogicalPlan, exprs: &[Expr]) -> Result<Vec<usize>> {
    let mut usable = Vec::new();
    for (i, expr) in exprs.iter().enumerate() {
        let of_type = expr.get_type(plan.schema().as_ref())?;
        if !of_type.is_nested() && of_type != DataType::Null {
            usable.push(i);
        }
    }
    Ok(usable)
}

/// Whether groupings, joins, sorts and comparisons agree on which values of a type are equal, and on their order.
pub(super) fn compares_exactly(of: &DataType) -> bool {
    !of.is_nested() && !of.is_floating() && *of != DataType::Null
}

/// Keys, and the expressions that they hold.
#[derive(Clone, Debug)]
pub(super) struct KeysOf {
    /// The keys.
    pub keys: Keys,
    /// Position of each key among the expressions.
    pub usable: Vec<usize>,
    /// The range of the last expression, if it has one: of the affected rows.
    pub range: Option<Range>,
    /// The range of the rows that the affected ones need, unless that is told by the frames of the window.
    pub needed: Option<Range>,
}

impl KeysOf {
    /// What a restriction wants of the expressions, of which the last one is in a range if there is one.
    pub(super) fn on(&self, exprs: &[Expr], range: Option<Range>) -> On {
        let equal = self.usable.iter().enumerate().map(|(key, &i)| (exprs[i].clone(), Key::Equals(key)));
        let within = range.zip(exprs.last()).map(|(range, order)| (order.clone(), Key::Within(range)));
        equal.chain(within).collect()
    }
}

/// The change as plan, with its columns in the order of `schema`: used after joins that put the weight in the middle.
pub(super) fn reorder(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    let mut exprs = exprs;
    exprs.push(weight());
    project(plan, exprs)
}

/// The sum of terms that have the same columns under the same names.
pub(super) fn sum_of(
    mut terms: Vec<LogicalPlan>,
    names: &deltalake::datafusion::common::DFSchema,
) -> Result<LogicalPlan> {
    if terms.len() == 1 {
        return Ok(terms.remove(0));
    }
    let mut by_position = Vec::with_capacity(terms.len());
    for term in terms {
        let data = data_columns(&term);
        let last = column(term.schema(), data.len());
        by_position.push(positional(term, data, Some(last))?);
    }
    conform(add(by_position)?, names)
}
