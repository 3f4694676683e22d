//! The strategy of a program, operator by operator, for people.

use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Window};

use super::Program;
use super::affected::common_partition;
use super::root::{Spared, spared};
use crate::outcome::Operator;

/// Expressions named before the rest is only counted.
const SHOWN: usize = 6;

impl Program {
    /// The normalised query as a tree, outermost operator first, each with the rule by which its change is computed.
    /// `scan` tells what changed in a table.
    #[must_use]
    pub fn explain(&self, scan: &dyn Fn(&str) -> String) -> Vec<Operator> {
        let mut operators = Vec::new();
        walk(self.plan(), 0, scan, &mut operators);
        // Columns alone are no line of their own, so the first grouping or window is the topmost one.
        let is_top = |o: &&mut Operator| o.rule.starts_with("recompute affected");
        if let (Some((_, spared)), Some(top)) = (spared(self.plan()), operators.iter_mut().find(is_top)) {
            top.rule = match spared {
                Spared::Before => top.rule.replace(", before and after", "; the table has what they were"),
                Spared::AllOfAppends => format!("{}, unless rows only come: they combine with the table's", top.rule),
                Spared::All => "the change combined with the table's rows".to_owned(),
            };
        }
        operators
    }
}

fn walk(plan: &LogicalPlan, depth: usize, scan: &dyn Fn(&str) -> String, operators: &mut Vec<Operator>) {
    let (operator, rule) = match plan {
        // A name and nothing else.
        LogicalPlan::SubqueryAlias(alias) => return walk(&alias.input, depth, scan, operators),
        LogicalPlan::Projection(p) if depth > 0 && p.expr.iter().all(is_column) => {
            return walk(&p.input, depth, scan, operators);
        }
        LogicalPlan::TableScan(table) => {
            let name = table.table_name.table();
            (format!("scan {name}"), scan(name))
        }
        LogicalPlan::Filter(filter) => (format!("filter: {}", filter.predicate), LINEAR.to_owned()),
        LogicalPlan::Projection(projection) => (format!("select: {}", list(&projection.expr)), LINEAR.to_owned()),
        LogicalPlan::Union(_) => ("union all".to_owned(), LINEAR.to_owned()),
        LogicalPlan::Join(join) => (joined(join), rule_of(join).to_owned()),
        LogicalPlan::Aggregate(aggregate) => {
            let keys = list(&aggregate.group_expr);
            match aggregate.group_expr.is_empty() {
                true => {
                    (format!("aggregate: {}", list(&aggregate.aggr_expr)), "recompute it, before and after".to_owned())
                }
                false => {
                    let of = list(&aggregate.aggr_expr);
                    let of = if of.is_empty() { of } else { format!(" -> {of}") };
                    (format!("group by {keys}{of}"), format!("recompute affected groups of {keys}, before and after"))
                }
            }
        }
        LogicalPlan::Window(window) => (format!("window: {}", list(&window.window_expr)), partitions(window)),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => ("values".to_owned(), "never change".to_owned()),
        other => {
            let text = other.display().to_string();
            (text.split(':').next().unwrap_or_default().to_lowercase(), "by its own rule".to_owned())
        }
    };
    operators.push(Operator { depth, operator: plain(&operator), rule: plain(&rule) });
    for input in plan.inputs() {
        walk(input, depth + 1, scan, operators);
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_column(&alias.expr),
        other => matches!(other, Expr::Column(_)),
    }
}

/// Without the numbers that tell columns of one name apart.
fn plain(text: &str) -> String {
    let mut parts = text.split('#');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

const LINEAR: &str = "applied to the change";

fn list(exprs: &[Expr]) -> String {
    let mut names: Vec<String> = exprs.iter().take(SHOWN).map(|e| e.human_display().to_string()).collect();
    if exprs.len() > SHOWN {
        names.push(format!("{} more", exprs.len() - SHOWN));
    }
    names.join(", ")
}

fn partitions(window: &Window) -> String {
    match common_partition(window) {
        keys if keys.is_empty() => "recompute it, before and after".to_owned(),
        keys => format!("recompute affected partitions of {}, before and after", list(&keys)),
    }
}

fn joined(join: &Join) -> String {
    let kind = match join.join_type {
        JoinType::Inner if join.on.is_empty() && join.filter.is_none() => "cross join",
        JoinType::Inner => "join",
        JoinType::Left => "left join",
        JoinType::Right => "right join",
        JoinType::Full => "full join",
        JoinType::LeftSemi | JoinType::RightSemi => "exists",
        JoinType::LeftAnti | JoinType::RightAnti => "not exists",
        JoinType::LeftMark | JoinType::RightMark => "exists, as a value",
    };
    let on = join.on.iter().map(|(left, right)| format!("{left} = {right}"));
    let on: Vec<String> = on.chain(join.filter.as_ref().map(ToString::to_string)).collect();
    if on.is_empty() { kind.to_owned() } else { format!("{kind} on {}", on.join(" and ")) }
}

/// `L`, `R` the inputs; `'` as they are, `°` as they were, `d` the change.
fn rule_of(join: &Join) -> &'static str {
    match join.join_type {
        JoinType::Inner => "dL ⋈ R' + L° ⋈ dR",
        JoinType::LeftSemi | JoinType::RightSemi => "dL ⋉ R' + rows of L° whose match came or went",
        JoinType::LeftAnti | JoinType::RightAnti => "dL ▷ R' - rows of L° whose match came or went",
        JoinType::LeftMark | JoinType::RightMark => "dL with its mark + rows of L° whose mark changed",
        JoinType::Left | JoinType::Right | JoinType::Full => {
            "dL ⋈ R' + L° ⋈ dR, and rows without a match that found or lost one"
        }
    }
}
