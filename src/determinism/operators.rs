//! Facts about the rows of each operator, derived from those of its inputs.

use std::cell::RefCell;
use std::collections::HashMap;

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::utils::split_conjunction;
use deltalake::datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator, TableScan, Window,
};

use super::columns::{Columns, Scope, shifted};
use super::facts::Facts;
use super::functions::{Reach, reach};
use crate::node::window_function;

/// Keys of tables by name: each a list of columns.
pub(super) struct Known<'a> {
    keys: &'a dyn Fn(&str) -> Vec<Vec<String>>,
    /// Names of recursive queries, which are not tables.
    hidden: Vec<String>,
    /// The facts found so far, by the address of the plan: every window, grouping and limit asks for those of its input,
    /// and would compute those of everything below again.
    found: RefCell<HashMap<*const LogicalPlan, Facts>>,
}

impl<'a> Known<'a> {
    /// The known facts about the tables of a query.
    pub(super) fn new(keys: &'a dyn Fn(&str) -> Vec<Vec<String>>, hidden: Vec<String>) -> Self {
        Self { keys, hidden, found: RefCell::default() }
    }

    /// The facts about the rows of a plan, which stands where it is as long as this lives.
    pub(super) fn facts(&self, plan: &LogicalPlan) -> Facts {
        let at = std::ptr::from_ref(plan);
        if let Some(known) = self.found.borrow().get(&at) {
            return known.clone();
        }
        let facts = self.derived(plan);
        self.found.borrow_mut().insert(at, facts.clone());
        facts
    }

    fn derived(&self, plan: &LogicalPlan) -> Facts {
        let width = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.facts(&alias.input),
            LogicalPlan::Subquery(subquery) => self.facts(&subquery.subquery),
            LogicalPlan::Sort(sort) => self.facts(&sort.input),
            LogicalPlan::Repartition(repartition) => self.facts(&repartition.input),
            LogicalPlan::Filter(filter) => {
                let mut facts = self.facts(&filter.input);
                equalities(split_conjunction(&filter.predicate), &Scope::of(&filter.input), &mut facts);
                facts
            }
            LogicalPlan::Projection(projection) => {
                self.facts(&projection.input).projected(&projection.expr, &Scope::of(&projection.input))
            }
            LogicalPlan::Limit(limit) => {
                let mut facts = self.facts(&limit.input);
                if limit.fetch.as_deref().and_then(number).is_some_and(|n| n <= 1) {
                    facts.add_key(Columns::new());
                }
                facts
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let mut facts = self.facts(input);
                facts.add_key(facts.all());
                facts
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let scope = Scope::of(&on.input);
                let mut input = self.facts(&on.input);
                input.add_key(scope.all(&on.on_expr));
                input.projected(&on.select_expr, &scope)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let groups = width.saturating_sub(aggregate.aggr_expr.len());
                let is_plain = !aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
                let mut facts = Facts::nothing(groups);
                if is_plain {
                    let input = self.facts(&aggregate.input);
                    let grouped = input.projected(&aggregate.group_expr, &Scope::of(&aggregate.input));
                    grouped.determinants().into_iter().for_each(|(from, to)| facts.add(from, to));
                }
                facts.add_key((0..groups).collect());
                facts.widened(aggregate.aggr_expr.len())
            }
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::EmptyRelation(_) => single(width),
            LogicalPlan::Values(values) if values.values.len() <= 1 => single(width),
            _ => Facts::nothing(width),
        }
    }

    fn scan(&self, scan: &TableScan) -> Facts {
        let fields = scan.projected_schema.fields();
        let mut facts = Facts::nothing(fields.len());
        let name = scan.table_name.table();
        if self.hidden.iter().any(|hidden| hidden == name) {
            return facts;
        }
        for key in (self.keys)(name) {
            let positions: Vec<_> = key.iter().filter_map(|c| fields.iter().position(|f| f.name() == c)).collect();
            if !key.is_empty() && positions.len() == key.len() {
                facts.add_key(positions.into_iter().collect());
            }
        }
        facts
    }

    /// The facts about the rows of a window.
    pub(super) fn window(&self, window: &Window) -> Facts {
        let input = self.facts(&window.input);
        let scope = Scope::of(&window.input);
        let first = input.width;
        let mut facts = input.widened(window.window_expr.len());
        for (at, expr) in window.window_expr.iter().enumerate() {
            let Some(call) = window_function(expr) else { continue };
            let output = Columns::from_iter([first + at]);
            let partition = scope.all(&call.params.partition_by);
            let order = scope.all(call.params.order_by.iter().map(|s| &s.expr));
            match reach(call) {
                Reach::Peers | Reach::Values => facts.add(&partition | &order, output),
                Reach::Rows if call.fun.name() == "row_number" => facts.add_key(&partition | &output),
                Reach::Rows => {}
            }
        }
        facts
    }

    fn join(&self, join: &Join) -> Facts {
        let (left, right) = (self.facts(&join.left), self.facts(&join.right));
        let scope = Scope::of_both(&join.left, &join.right);
        let equal: Vec<Expr> = join
            .on
            .iter()
            .map(|(l, r)| Expr::BinaryExpr(BinaryExpr::new(Box::new(l.clone()), Operator::Eq, Box::new(r.clone()))))
            .collect();
        let conditions = equal.iter().chain(join.filter.iter().flat_map(|f| split_conjunction(f)));
        let conditions: Vec<&Expr> = conditions.collect();
        // Facts about pairs of rows that match.
        let mut matching = Facts::beside(&left, &right);
        equalities(conditions.iter().copied(), &scope, &mut matching);
        let by = left.width;
        let lefts: Columns = left.all();
        let rights: Columns = shifted(&right.all(), by);
        let used = scope.all(conditions.iter().copied());
        let (used_left, used_right) = (&used & &lefts, &used & &rights);
        let has = |from: &Columns, keys: &[Columns], by: usize| {
            let closure = matching.closure(from);
            keys.iter().any(|key| shifted(key, by).is_subset(&closure))
        };
        // Each row has at most one match.
        let one_right = has(&lefts, &right.keys, by);
        let one_left = has(&rights, &left.keys, 0);
        let pairs = |facts: &mut Facts, is_usable: &dyn Fn(&Columns) -> bool| {
            for l in &left.keys {
                for r in &right.keys {
                    let r = shifted(r, by);
                    if is_usable(l) && is_usable(&r) {
                        facts.add_key(l | &r);
                    }
                }
            }
        };
        // A row without a match has NULL on the other side: its dependencies still hold if a determinant is never NULL.
        let schemas = [join.left.schema(), join.right.schema()];
        let never_null = |columns: &Columns| {
            columns.iter().any(|c| {
                let (schema, at) = if c < by { (schemas[0], c) } else { (schemas[1], c - by) };
                schema.fields().get(at).is_some_and(|f| !f.is_nullable())
            })
        };
        let padded = |facts: &mut Facts, side: &Facts, by: usize| {
            for (from, to) in side.determinants() {
                let (from, to) = (shifted(&from, by), shifted(&to, by));
                if never_null(&from) {
                    facts.add(from, to);
                }
            }
        };
        let kept = |facts: &mut Facts, side: &Facts, by: usize| {
            for (from, to) in side.determinants() {
                facts.add(shifted(&from, by), shifted(&to, by));
            }
        };
        match join.join_type {
            JoinType::Inner => {
                let mut facts = matching.clone();
                pairs(&mut facts, &|_| true);
                facts
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark => marked(left, &used_left),
            JoinType::RightMark => {
                let used: Columns = used_right.iter().map(|c| c - by).collect();
                marked(right, &used)
            }
            JoinType::Left => {
                let mut facts = Facts::nothing(by + right.width);
                kept(&mut facts, &left, 0);
                padded(&mut facts, &right, by);
                if one_right {
                    left.keys.iter().for_each(|key| facts.add_key(key.clone()));
                }
                if has(&used_left, &right.keys, by) {
                    facts.add(used_left, rights);
                }
                pairs(&mut facts, &|_| true);
                facts
            }
            JoinType::Right => {
                let mut facts = Facts::nothing(by + right.width);
                padded(&mut facts, &left, 0);
                kept(&mut facts, &right, by);
                if one_left {
                    right.keys.iter().for_each(|key| facts.add_key(shifted(key, by)));
                }
                if has(&used_right, &left.keys, 0) {
                    facts.add(used_right, lefts);
                }
                pairs(&mut facts, &|_| true);
                facts
            }
            JoinType::Full => {
                let mut facts = Facts::nothing(by + right.width);
                padded(&mut facts, &left, 0);
                padded(&mut facts, &right, by);
                pairs(&mut facts, &never_null);
                facts
            }
        }
    }
}

/// One row, or none.
fn single(width: usize) -> Facts {
    let mut facts = Facts::nothing(width);
    facts.add_key(Columns::new());
    facts
}

/// Rows with a mark, which the columns of the condition determine.
fn marked(rows: Facts, used: &Columns) -> Facts {
    let mark = Columns::from_iter([rows.width]);
    let mut facts = rows.widened(1);
    facts.add(used.clone(), mark);
    facts
}

/// The integer value of a literal.
pub(super) fn number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(n), _) => *n,
        Expr::Literal(ScalarValue::UInt64(Some(n)), _) => i64::try_from(*n).ok(),
        Expr::Cast(cast) => number(&cast.expr),
        _ => None,
    }
}

/// The equalities that follow from a conjunction: equal columns, and columns computed from others.
fn equalities<'e>(conditions: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>, facts: &mut Facts) {
    for condition in conditions {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::IsNotDistinctFrom, right }) => {
                for (a, b) in [(left, right), (right, left)] {
                    if let Some(column) = scope.plain(a) {
                        facts.add(scope.columns(b), Columns::from_iter([column]));
                    }
                }
            }
            Expr::IsNull(column) => {
                if let Some(column) = scope.plain(column) {
                    facts.add(Columns::new(), Columns::from_iter([column]));
                }
            }
            _ => {}
        }
    }
}
