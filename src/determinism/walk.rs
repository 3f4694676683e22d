//! A traversal from the result of a query to its tables: which columns are used, and what depends on an order with
//! ties.

use deltalake::datafusion::common::DFSchema;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::expr::{AggregateFunction, Sort as SortExpr};
use deltalake::datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Join, JoinType, LogicalPlan, Volatility, Window, WindowFunctionDefinition,
};

use super::columns::{Columns, Scope, shifted, spans, subquery_of};
use super::facts::Facts;
use super::functions::{Reach, is_approximate, is_order_free, reach};
use super::operators::{Known, number};
use super::orders::{Unfollowed, unfollowed};
use super::{Clue, Code, Finding, Undetermined};
use crate::node::window_function;

/// A traversal of a plan.
pub(super) struct Walk<'a> {
    known: Known<'a>,
    /// The findings.
    pub found: Vec<Undetermined>,
}

impl<'a> Walk<'a> {
    /// A traversal without findings.
    pub(super) fn new(known: Known<'a>) -> Self {
        Self { known, found: Vec::new() }
    }

    fn add(&mut self, code: Code, finding: impl Into<Finding>, way_out: impl Into<String>, place: Clue) {
        let found = Undetermined { code, finding: finding.into(), way_out: way_out.into(), place };
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    /// A plan whose whole output is used.
    pub(super) fn result(&mut self, plan: &LogicalPlan) {
        let all = Columns::first(plan.schema().fields().len());
        self.visit(plan, &all, false);
    }

    /// Visits a plan of which these columns are used. `is_ordered`: the order of its rows matters.
    fn visit(&mut self, plan: &LogicalPlan, used: &Columns, is_ordered: bool) {
        self.expressions(plan);
        match plan {
            LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {}
            LogicalPlan::SubqueryAlias(alias) => self.visit(&alias.input, used, false),
            LogicalPlan::Subquery(subquery) => self.visit(&subquery.subquery, used, false),
            LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| self.visit(input, used, false)),
            LogicalPlan::Projection(projection) => {
                let used = picked(&projection.expr, used, &Scope::of(&projection.input));
                self.visit(&projection.input, &used, is_ordered);
            }
            LogicalPlan::Filter(filter) => {
                let used = used | &Scope::of(&filter.input).columns(&filter.predicate);
                self.visit(&filter.input, &used, false);
            }
            LogicalPlan::Sort(sort) => {
                if sort.fetch.is_some() {
                    self.limit(plan, used, sort.fetch.and_then(|n| i64::try_from(n).ok()));
                }
                // Without a limit above, sorting has no effect.
                let by = Scope::of(&sort.input).all(sort.expr.iter().map(|s| &s.expr));
                let used = if is_ordered || sort.fetch.is_some() { used | &by } else { used.clone() };
                self.visit(&sort.input, &used, false);
            }
            LogicalPlan::Limit(limit) => {
                let given = limit.fetch.as_deref().or(limit.skip.as_deref());
                self.limit(&limit.input, used, given.and_then(number));
                self.visit(&limit.input, used, true);
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.result(input),
            LogicalPlan::Distinct(Distinct::On(on)) => self.distinct_on(on, used),
            LogicalPlan::Aggregate(aggregate) => self.aggregates(aggregate, used),
            LogicalPlan::Window(window) => self.windows(window, used),
            LogicalPlan::Join(join) => self.join(join, used),
            other => other.inputs().into_iter().for_each(|input| self.result(input)),
        }
    }

    fn join(&mut self, join: &Join, used: &Columns) {
        let scope = Scope::of_both(&join.left, &join.right);
        let on = join.on.iter().flat_map(|(l, r)| [l, r]);
        let by = join.left.schema().fields().len();
        let conditions = scope.all(on.chain(join.filter.iter()));
        // The output of some joins is one side only.
        let used = match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => shifted(used, by),
            JoinType::LeftMark => used.iter().filter(|c| *c < by).collect(),
            _ => used.clone(),
        };
        let used = &used | &conditions;
        let left: Columns = used.iter().filter(|c| *c < by).collect();
        self.visit(&join.left, &left, false);
        let width = join.right.schema().fields().len();
        let right = used.iter().filter_map(|c| c.checked_sub(by)).filter(|c| *c < width).collect();
        self.visit(&join.right, &right, false);
    }

    /// Checks functions that are nondeterministic everywhere, and subqueries.
    fn expressions(&mut self, plan: &LogicalPlan) {
        let _ = plan.apply_expressions(|expr| {
            expr.apply(|e| {
                self.expression(e);
                Ok(TreeNodeRecursion::Continue)
            })
        });
    }

    fn expression(&mut self, expr: &Expr) {
        if let Some(subquery) = subquery_of(expr) {
            match expr {
                // Only whether there are rows is used, and no column.
                Expr::Exists(_) => self.visit(&subquery.subquery, &Columns::new(), false),
                _ => self.result(&subquery.subquery),
            }
        }
        let (name, aliases, volatility) = match expr {
            Expr::ScalarFunction(f) => (f.func.name(), f.func.aliases(), f.func.signature().volatility),
            Expr::AggregateFunction(f) => (f.func.name(), f.func.aliases(), f.func.signature().volatility),
            Expr::WindowFunction(f) => match &f.fun {
                WindowFunctionDefinition::AggregateUDF(f) => (f.name(), f.aliases(), f.signature().volatility),
                WindowFunctionDefinition::WindowUDF(f) => (f.name(), f.aliases(), f.signature().volatility),
            },
            _ => return,
        };
        let place = call(name, aliases, expr);
        if volatility != Volatility::Immutable {
            let text = Finding::of_call("", name, " has a different value in every run");
            let way_out = "a query has the same result whenever it runs: use a column instead";
            self.add(Code::VolatileFunction, text, way_out, place);
        } else if is_approximate(name) && !matches!(expr, Expr::ScalarFunction(_)) {
            let exact = match name {
                "approx_distinct" => "write `count(distinct ...)`",
                "approx_median" => "write `median(...)`",
                _ => "write `percentile_cont(...)`",
            };
            let text = Finding::of_call("", name, " only estimates its result");
            self.add(Code::ApproximateAggregate, text, exact, place);
        }
    }

    /// Checks the order in which some of a plan's rows are kept.
    fn limit(&mut self, plan: &LogicalPlan, used: &Columns, number: Option<i64>) {
        let mut wanted = used.clone();
        let mut at = plan;
        // Sort columns that are not in the output are projected away above the sort.
        while let LogicalPlan::Projection(projection) = at {
            wanted = picked(&projection.expr, &wanted, &Scope::of(&projection.input));
            at = &projection.input;
        }
        let (order, input): (&[SortExpr], _) = match at {
            LogicalPlan::Sort(sort) => (&sort.expr, sort.input.as_ref()),
            _ => (&[], at),
        };
        let exprs: Vec<&Expr> = order.iter().map(|s| &s.expr).collect();
        let facts = self.known.facts(input);
        let ordered = facts.closure(&Scope::of(input).plain_among(exprs.iter().copied()));
        if wanted.is_subset(&ordered) {
            return;
        }
        let text = match order {
            [] => "`limit` without `order by` keeps arbitrary rows",
            _ => "`limit` keeps arbitrary rows: some tie in its `order by`",
        };
        let columns = exprs.iter().flat_map(|e| spans(e)).collect();
        let way_out = appended(&facts, &ordered, &wanted, input.schema(), "`order by`");
        self.add(Code::LimitWithoutTotalOrder, text, way_out, Clue::Limit { number, columns });
    }

    fn repeated(&mut self, name: &str, place: Clue) {
        let after = " names a column twice, at which the query engine stops";
        let text = Finding::of_call("the `order by` of ", name, after);
        self.add(Code::OrderByRepeated, text, "name it once", place);
    }

    fn distinct_on(&mut self, on: &DistinctOn, used: &Columns) {
        let scope = Scope::of(&on.input);
        let order: Vec<&Expr> = on.sort_expr.iter().flatten().map(|s| &s.expr).collect();
        let by: Vec<&Expr> = on.on_expr.iter().chain(order.iter().copied()).collect();
        let wanted = picked(&on.select_expr, used, &scope);
        if is_repeated(on.sort_expr.iter().flatten()) {
            let columns = on.on_expr.iter().flat_map(spans).collect();
            self.repeated("distinct on", Clue::DistinctOn { columns });
        }
        let facts = self.known.facts(&on.input);
        let ordered = facts.closure(&scope.plain_among(by.iter().copied()));
        if !wanted.is_subset(&ordered) {
            let text = match order.as_slice() {
                [] => "`distinct on` without `order by` keeps arbitrary rows",
                _ => "`distinct on` keeps arbitrary rows: some tie in the `order by`",
            };
            let columns = on.on_expr.iter().flat_map(spans).collect();
            let way_out = appended(&facts, &ordered, &wanted, on.input.schema(), "`order by`");
            self.add(Code::DistinctOnWithoutTotalOrder, text, way_out, Clue::DistinctOn { columns });
        }
        let used = &wanted | &scope.all(by);
        self.visit(&on.input, &used, false);
    }

    fn windows(&mut self, window: &Window, used: &Columns) {
        let scope = Scope::of(&window.input);
        let first = window.input.schema().fields().len();
        let mut needed: Columns = used.iter().filter(|c| *c < first).collect();
        let (mut facts, mut open): (Option<Facts>, Vec<Tied<'_>>) = (None, Vec::new());
        for (at, expr) in window.window_expr.iter().enumerate() {
            let output = first + at;
            let Some(f) = window_function(expr).filter(|f| used.contains(output) && !is_approximate(f.fun.name()))
            else {
                continue;
            };
            needed.add_all(&scope.columns(expr));
            let name = f.fun.name();
            let aliases = match &f.fun {
                WindowFunctionDefinition::AggregateUDF(f) => f.aliases(),
                WindowFunctionDefinition::WindowUDF(f) => f.aliases(),
            };
            if f.params.distinct && !is_order_free(name) {
                let before = "the query engine does not order the distinct values of ";
                let text = Finding::of_call(before, name, " in a window");
                let way_out = "compute them by `group by` in a subquery, and join it".to_owned();
                self.add(Code::OrderNotFollowed, text, way_out, call(name, aliases, expr));
                continue;
            }
            let order: Vec<&Expr> =
                f.params.partition_by.iter().chain(f.params.order_by.iter().map(|s| &s.expr)).collect();
            let reach = reach(f);
            if reach == Reach::Peers {
                continue;
            }
            let ordered = facts
                .get_or_insert_with(|| self.known.window(window))
                .closure(&scope.plain_among(order.iter().copied()));
            let same = |other: usize| {
                window.window_expr.get(other - first).and_then(window_function).is_some_and(|other| {
                    other.params.partition_by == f.params.partition_by && other.params.order_by == f.params.order_by
                })
            };
            let mut wanted = match reach {
                Reach::Peers | Reach::Values => Columns::new(),
                // Functions of one window see tied rows in the same order.
                Reach::Rows => used.iter().filter(|c| *c < first || !same(*c)).collect(),
            };
            let arguments = f.params.args.iter().chain(f.params.filter.as_deref());
            let uncovered = arguments.filter(|e| !is_covered(e, &order, &ordered, &scope));
            wanted.add_all(&scope.all(uncovered));
            if wanted.is_subset(&ordered) {
                continue;
            }
            match open.iter_mut().find(|tied| same(tied.at)) {
                Some(tied) => tied.also(name, &wanted),
                None => {
                    open.push(Tied {
                        at: output,
                        names: vec![name],
                        ordered,
                        wanted,
                        place: call(name, aliases, expr),
                    });
                }
            }
        }
        let facts = facts.unwrap_or_default();
        for tied in open {
            let is_unordered = window
                .window_expr
                .get(tied.at - first)
                .and_then(window_function)
                .is_some_and(|f| f.params.order_by.is_empty());
            let way_out = appended(&facts, &tied.ordered, &tied.wanted, &window.schema, "its `order by`");
            self.add(Code::WindowWithoutTotalOrder, tied.finding(is_unordered), way_out, tied.place);
        }
        self.visit(&window.input, &needed, false);
    }

    fn aggregates(&mut self, aggregate: &Aggregate, used: &Columns) {
        let scope = Scope::of(&aggregate.input);
        let groups = aggregate.schema.fields().len().saturating_sub(aggregate.aggr_expr.len());
        let is_plain = !aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
        let grouped: Vec<&Expr> = if is_plain { aggregate.group_expr.iter().collect() } else { Vec::new() };
        let mut needed = scope.all(&aggregate.group_expr);
        let calls: Vec<_> = aggregate.aggr_expr.iter().map(aggregated).collect();
        for Unfollowed { at, problem, way_out } in unfollowed(&calls, &grouped) {
            if let (Some(f), Some(expr)) = (calls[at], aggregate.aggr_expr.get(at)) {
                self.add(Code::OrderNotFollowed, problem, way_out, call(f.func.name(), f.func.aliases(), expr));
            }
        }
        for (at, expr) in aggregate.aggr_expr.iter().enumerate() {
            let Some(f) = aggregated(expr).filter(|_| used.contains(groups + at)) else { continue };
            needed.add_all(&scope.columns(expr));
            let name = f.func.name();
            if is_order_free(name) || is_approximate(name) {
                continue;
            }
            if is_repeated(&f.params.order_by) {
                self.repeated(name, call(name, f.func.aliases(), expr));
            }
            let order: Vec<&Expr> = f.params.order_by.iter().map(|s| &s.expr).chain(grouped.iter().copied()).collect();
            let facts = self.known.facts(&aggregate.input);
            let ordered = facts.closure(&scope.plain_among(order.iter().copied()));
            let open: Vec<&Expr> = f.params.args.iter().filter(|e| !is_covered(e, &order, &ordered, &scope)).collect();
            let wanted = scope.all(open.iter().copied());
            if open.is_empty() {
                continue;
            }
            let text = match f.params.order_by.as_slice() {
                [] => " without `order by` depends on the order in which rows are read",
                _ => " is arbitrary where rows tie in its `order by`",
            };
            let text = Finding::of_call("", name, text);
            let way_out = match (name, f.params.order_by.as_slice()) {
                ("any_value", _) => "write `min(...)` or `max(...)`".to_owned(),
                (_, []) => format!("write `{name}(... order by ...)`, and order by what it is given, or by a key"),
                _ => appended(&facts, &ordered, &wanted, aggregate.input.schema(), "its `order by`"),
            };
            self.add(Code::AggregateWithoutTotalOrder, text, way_out, call(name, f.func.aliases(), expr));
        }
        self.visit(&aggregate.input, &needed, false);
    }
}

/// Functions of one window that depend on the order of tied rows: one fault for all of them.
struct Tied<'e> {
    /// The column of the first one.
    at: usize,
    names: Vec<&'e str>,
    ordered: Columns,
    wanted: Columns,
    place: Clue,
}

impl<'e> Tied<'e> {
    fn also(&mut self, name: &'e str, wanted: &Columns) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        self.wanted.add_all(wanted);
    }

    fn finding(&self, is_unordered: bool) -> Finding {
        /// More would hide the error.
        const SHOWN: usize = 3;
        let (first, others) = self.names.split_first().map_or(("", [].as_slice()), |(first, others)| (*first, others));
        let shown: Vec<String> = others.iter().take(SHOWN - 1).map(|name| format!("`{name}`")).collect();
        let listed = |names: &[String]| names.iter().map(|name| format!(", {name}")).collect::<String>();
        let beside = match (shown.as_slice(), others.len().saturating_sub(SHOWN - 1)) {
            ([], _) => String::new(),
            ([rest @ .., last], 0) => format!("{} and {last} of one window", listed(rest)),
            (shown, more) => format!("{} and {more} more of one window", listed(shown)),
        };
        let what = match (is_unordered, others.is_empty()) {
            (true, true) => "without `order by` depends on the order in which rows are read",
            (true, false) => "without `order by` depend on the order in which rows are read",
            (false, true) => "is arbitrary where rows tie in its `order by`",
            (false, false) => "are arbitrary where rows tie in its `order by`",
        };
        Finding::of_call("", first, format!("{beside} {what}"))
    }
}

fn is_repeated<'e>(order: impl IntoIterator<Item = &'e SortExpr>) -> bool {
    let mut seen: Vec<&Expr> = Vec::new();
    order.into_iter().any(|s| {
        let is_seen = seen.contains(&&s.expr);
        seen.push(&s.expr);
        is_seen
    })
}

/// The columns that the used expressions depend on.
fn picked(exprs: &[Expr], used: &Columns, scope: &Scope<'_>) -> Columns {
    scope.all(used.iter().filter_map(|c| exprs.get(c)))
}

/// Whether tied rows agree in an expression: the order contains it, or the columns that it depends on.
fn is_covered(expr: &Expr, order: &[&Expr], ordered: &Columns, scope: &Scope<'_>) -> bool {
    order.iter().any(|o| bare(o) == bare(expr)) || scope.columns(expr).is_subset(ordered)
}

/// An expression without its alias.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}

/// The aggregate of an expression of a grouping.
fn aggregated(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => aggregated(&alias.expr),
        Expr::AggregateFunction(f) => Some(f),
        _ => None,
    }
}

fn call(name: &str, aliases: &[String], expr: &Expr) -> Clue {
    let names = aliases.iter().cloned().chain([name.to_owned()]).collect();
    Clue::Call { names, columns: spans(expr) }
}

/// The columns that make an order total: those of a key, or those in which tied rows may differ.
fn appended(facts: &Facts, ordered: &Columns, wanted: &Columns, schema: &DFSchema, to: &str) -> String {
    let names = |columns: &Columns| -> Option<String> {
        let name = |at: usize| schema.fields().get(at).map(|f| f.name().clone());
        let is_word = |name: &String| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let names: Option<Vec<String>> = columns.iter().map(|at| name(at).filter(is_word)).collect();
        let names: Vec<String> = names?.into_iter().map(|n| format!("`{n}`")).collect();
        (!names.is_empty() && names.len() <= 4).then(|| names.join(", "))
    };
    let missing: Columns = wanted - ordered;
    let keys = facts.keys.iter().map(|key| key - ordered);
    let shortest = keys.chain([missing]).filter_map(|set| Some((set.len(), names(&set)?))).min_by_key(|(n, _)| *n);
    match shortest {
        Some((_, names)) => format!("append {names} to {to}"),
        None => format!("append a key to {to}, or every column that is used"),
    }
}
