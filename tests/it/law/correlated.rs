//! Correlated subqueries that the plain engine cannot plan, or plans wrongly: DuckDB gives the expected rows.

use super::query::{Generator, Node, Scope};
use super::world::{Column, Type};

impl Generator<'_> {
    /// A subquery with a group, a union, a window, values or a join over outer columns.
    pub(crate) fn correlated(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(0));
        let Some((a, b)) = self.pair(&left, &right).filter(|_| x.rows * y.rows < 1000.0) else {
            return self.filtered(0);
        };
        self.plain = false;
        let not = *self.rng.one(&["", "not "]);
        let (on, s) = (self.on(&left, &right), self.alias());
        let both: Scope = left.iter().chain(&right).cloned().collect();
        let value = match self.rng.below(9) {
            0 | 1 => {
                let (group, least) = (self.any(&right).name, 1 + self.rng.below(2));
                let group = format!("select 1 from {{1}} {r} where {on} group by {group} having count(*) >= {least}");
                return self.such(x, y, &l, &left, &format!("{not}exists ({group})"));
            }
            2 => {
                let (order, part) = (self.total_order(&right), self.any(&right).name);
                let numbers = format!("row_number() over (partition by {part} order by {order})");
                let newest = format!("select {b} as x, {numbers} as n from {{1}} {r} where {on}");
                let newest = format!("select {s}.x from ({newest}) {s} where {s}.n = 1");
                return self.such(x, y, &l, &left, &format!("{a} {not}in ({newest})"));
            }
            3 => {
                let condition = self.condition(&both);
                let other = b.replacen(&format!("{r}."), &format!("{s}."), 1);
                let union = *self.rng.one(&["union all", "union"]);
                let union = format!(
                    "select {b} from {{1}} {r} where {on} {union} select {other} from {{1}} {s} where {}",
                    condition.replace(&format!("{r}."), &format!("{s}."))
                );
                return self.such(x, y, &l, &left, &format!("{a} {not}in ({union})"));
            }
            4 => {
                let c = left.iter().find(|c| c.name == a).filter(|c| c.kind != Type::Time).cloned();
                let Some(c) = c else { return self.filtered(0) };
                let (one, two, also) = (self.literal(c.kind), self.literal(c.kind), self.condition(&left));
                let listed = format!("select 1 from (values ({one}), ({two})) as {s}(x) where {s}.x = {a} and {also}");
                return self.such(x, y, &l, &left, &format!("{not}exists ({listed})"));
            }
            5 => format!("(select count(*) + 1 from {{1}} {r} where {})", self.condition(&both)),
            6 => format!("(select count({b}) from {{1}} {r} where ({b} is not distinct from {a}))"),
            7 => format!("(select count(*) from {{1}} {r} where {})", self.condition(&left)),
            _ => {
                let inner = self.on(&right, &Self::scope(&s, &y).into_iter().filter(|c| !c.approximate).collect());
                format!("(select count({b}) from {{1}} {r} left join {{1}} {s} on {inner} and {on})")
            }
        };
        let ((list, mut columns), rows) = (self.list(&left, true), x.rows);
        let at = columns.len();
        columns.push(Column { name: format!("c{at}"), kind: Type::Big, approximate: false });
        Self::node(format!("select {list}, {value} as c{at} from {{0}} {l}"), vec![x, y], columns, rows)
    }

    /// Rows for which something holds, or something else does.
    fn such(&mut self, x: Node, y: Node, l: &str, left: &Scope, holds: &str) -> Node {
        let ((list, columns), rows) = (self.list(left, true), x.rows / 2.0);
        let or = if self.rng.chance(20) { format!(" or {}", self.condition(left)) } else { String::new() };
        Self::node(format!("select {list} from {{0}} {l} where {holds}{or}"), vec![x, y], columns, rows)
    }
}
