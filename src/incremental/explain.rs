//! The strategy of a program, operator by operator, for people.

use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Window};

use super::Program;
use super::affected::common_partition;
use super::reach::Reach;
use super::root::{ResultReuse, Tops};
use super::subtract::is_subtracted;
use crate::outcome::Operator;

/// Maximum number of expressions named individually.
const SHOWN: usize = 6;

impl Program {
    /// The normalised query as a tree, outermost operator first, each with its delta rule. `scan` describes the change
    /// of a table.
    #[must_use]
    pub fn explain(&self, scan: &dyn Fn(&str) -> String) -> Vec<Operator> {
        let mut walk = Walk { scan, tops: Tops::of(self.plan()), operators: Vec::new() };
        walk.over(self.plan(), 0);
        walk.operators
    }
}

struct Walk<'a> {
    scan: &'a dyn Fn(&str) -> String,
    tops: Tops<'a>,
    operators: Vec<Operator>,
}

impl Walk<'_> {
    fn over(&mut self, plan: &LogicalPlan, depth: usize) {
        let (operator, rule) = match plan {
            // Only renames.
            LogicalPlan::SubqueryAlias(alias) => return self.over(&alias.input, depth),
            LogicalPlan::Projection(p) if depth > 0 && p.expr.iter().all(is_column) => {
                return self.over(&p.input, depth);
            }
            LogicalPlan::TableScan(table) => {
                let name = table.table_name.table();
                (format!("scan {name}"), (self.scan)(name))
            }
            LogicalPlan::Filter(filter) => (format!("filter: {}", filter.predicate), LINEAR.to_owned()),
            LogicalPlan::Projection(projection) => (format!("select: {}", list(&projection.expr)), LINEAR.to_owned()),
            LogicalPlan::Union(_) => ("union all".to_owned(), LINEAR.to_owned()),
            LogicalPlan::Join(join) => (joined(join), rule_of(join).to_owned()),
            LogicalPlan::Aggregate(aggregate) => {
                let keys = list(&aggregate.group_expr);
                match aggregate.group_expr.is_empty() {
                    true => (format!("aggregate: {}", list(&aggregate.aggr_expr)), self.whole(plan).to_owned()),
                    false => {
                        let of = list(&aggregate.aggr_expr);
                        let of = if of.is_empty() { of } else { format!(" -> {of}") };
                        let rule = match self.tops.reuse(plan) {
                            None if is_subtracted(aggregate) => {
                                format!("recompute affected groups of {keys}; the old ones are those minus the change")
                            }
                            _ => self.affected(plan, "groups", &keys),
                        };
                        (format!("group by {keys}{of}"), rule)
                    }
                }
            }
            LogicalPlan::Window(window) => {
                (format!("window: {}", list(&window.window_expr)), self.partitions(plan, window))
            }
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => ("values".to_owned(), "never change".to_owned()),
            other => {
                let text = other.display().to_string();
                (text.split(':').next().unwrap_or_default().to_lowercase(), "by its own rule".to_owned())
            }
        };
        self.operators.push(Operator { depth, operator: plain(&operator), rule: plain(&rule) });
        for input in plan.inputs() {
            self.over(input, depth + 1);
        }
    }

    fn partitions(&self, plan: &LogicalPlan, window: &Window) -> String {
        match common_partition(window) {
            keys if keys.is_empty() => "recompute it, before and after".to_owned(),
            keys => match Reach::of(window) {
                Some(reach) => {
                    let ranges = format!("ranges of {} in partitions", list(&[reach.order().clone()]));
                    self.affected(plan, &ranges, &list(&keys))
                }
                None => self.affected(plan, "partitions", &list(&keys)),
            },
        }
    }

    /// The rule of an aggregate without keys.
    fn whole(&self, plan: &LogicalPlan) -> &'static str {
        match self.tops.reuse(plan) {
            None
            | Some(ResultReuse::Before | ResultReuse::FirstRow | ResultReuse::FirstRowOfKnown | ResultReuse::Running) => {
                "recompute it, before and after"
            }
            Some(ResultReuse::AllOfAppends) => {
                "recompute it, unless the change is insert-only: then it is combined with the table's row"
            }
            Some(ResultReuse::All) => "the change combined with the table's row",
        }
    }

    /// The rule of a grouping or window by keys.
    fn affected(&self, plan: &LogicalPlan, what: &str, keys: &str) -> String {
        let recompute = format!("recompute affected {what} of {keys}");
        match self.tops.reuse(plan) {
            None => format!("{recompute}, before and after"),
            Some(ResultReuse::Before) => format!("{recompute}; the table has the old rows"),
            Some(ResultReuse::AllOfAppends) => {
                format!(
                    "{recompute}, old and new, unless the change is insert-only: then it is combined with the table's rows"
                )
            }
            Some(ResultReuse::FirstRow | ResultReuse::FirstRowOfKnown) => {
                format!("changed rows compared with the table's row; {recompute} where the order keys shown tie")
            }
            Some(ResultReuse::Running) => {
                format!("continued from the table's rows before the change; {recompute} where their last ones tie")
            }
            Some(ResultReuse::All) => "the change combined with the table's rows".to_owned(),
        }
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_column(&alias.expr),
        other => matches!(other, Expr::Column(_)),
    }
}

/// The name without the number that makes a column unique.
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

/// `L`, `R` are the inputs; `'` the new state, `°` the old state, `d` the change.
fn rule_of(join: &Join) -> &'static str {
    match join.join_type {
        JoinType::Inner => "dL ⋈ R' + L° ⋈ dR",
        JoinType::LeftSemi | JoinType::RightSemi => "dL ⋉ R' + rows of L° whose match began or ended",
        JoinType::LeftAnti | JoinType::RightAnti => "dL ▷ R' - rows of L° whose match began or ended",
        JoinType::LeftMark | JoinType::RightMark => "dL with its mark + rows of L° whose mark changed",
        JoinType::Left | JoinType::Right | JoinType::Full => {
            "dL ⋈ R' + L° ⋈ dR, and rows of which the match began or ended"
        }
    }
}
