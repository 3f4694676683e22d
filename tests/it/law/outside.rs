//! Patterns with which external generators found wrong rows: two kinds of equality in one join, constants on either
//! side, duplicate keys, guards, numbers and dates at their limits.

use super::query::{Generator, Node, Scope};
use super::world::{Column, Type};

fn column(number: usize, kind: Type) -> Column {
    Column { name: format!("c{number}"), kind, approximate: false }
}

impl Generator<'_> {
    /// One of them.
    pub(crate) fn found_outside(&mut self, depth: usize) -> Node {
        match self.rng.below(8) {
            0 => self.two_equalities(depth),
            1 => self.using(depth),
            2 => self.correlated_having(depth),
            3 => self.two_levels(depth),
            4 => self.constants(depth),
            5 => self.repeated_keys(depth),
            6 => self.guarded(depth),
            _ => self.at_the_ends(depth),
        }
    }

    /// A null-safe key of a join, and `=` in a condition above it.
    fn two_equalities(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let pairs = (self.pair(&left, &right), self.pair(&left, &right));
        let (Some((a, b)), Some((c, d))) = pairs else { return self.filtered(0) };
        if x.rows * y.rows > 6000.0 {
            return self.filtered(0);
        }
        self.plain = false;
        let kind = *self.rng.one(&["join", "left join", "right join", "full join", ", "]);
        let rows = x.rows * y.rows / 3.0;
        let both: Scope = left.into_iter().chain(right).collect();
        let (list, columns) = self.list(&both, true);
        let also = if self.rng.chance(30) { format!(" and {}", self.condition(&both)) } else { String::new() };
        let same = "is not distinct from";
        let (c, d) = if self.rng.chance(50) { (d, c) } else { (c, d) };
        let text = match kind {
            ", " => format!("select {list} from {{0}} {l}, {{1}} {r} where ({a} {same} {b}) and {d} = {c}{also}"),
            join if self.rng.chance(30) => {
                format!("select {list} from {{0}} {l} {join} {{1}} {r} on ({a} {same} {b}) and {c} = {d}")
            }
            join => {
                format!("select {list} from {{0}} {l} {join} {{1}} {r} on ({a} {same} {b}) where {c} = {d}{also}")
            }
        };
        Self::node(text, vec![x, y], columns, rows)
    }

    /// A join by the names of its keys, and `=` in a condition above it.
    fn using(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let pairs = (self.pair(&left, &right), self.pair(&left, &right));
        let (Some((a, b)), Some((c, d))) = pairs else { return self.filtered(0) };
        let kind_of = |name: &String| left.iter().find(|of| of.name == *name).map(|of| of.kind);
        let (Some(key), Some(value)) = (kind_of(&a), kind_of(&c)) else { return self.filtered(0) };
        if x.rows * y.rows > 6000.0 {
            return self.filtered(0);
        }
        self.plain = false;
        let (join, rows) = (*self.rng.one(&["join", "left join", "full join"]), x.rows * y.rows / 3.0);
        let (p, q) = (
            format!("(select {a} as u, {c} as v from {{0}} {l})"),
            format!("(select {b} as u, {d} as w from {{1}} {r})"),
        );
        let condition = *self.rng.one(&["v = w", "w = v", "u = u", "v = w and u is not null"]);
        let (also, how) = if self.rng.chance(30) { (", v", "using (u, v)") } else { ("", "using (u)") };
        let q = if also.is_empty() { q } else { q.replace(" as w ", " as v ") };
        let (w, condition) = if also.is_empty() { ("w", condition) } else { ("v", "u = u") };
        let columns = vec![column(0, key), column(1, value), column(2, value)];
        let text = format!("select u as c0, v as c1, {w} as c2 from {p} p {join} {q} q {how} where {condition}");
        Self::node(text, vec![x, y], columns, rows)
    }

    /// A value that a subquery with `having` computes, compared with `=`.
    fn correlated_having(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(0));
        let pairs = (self.pair(&left, &right), self.pair(&left, &right));
        let (Some((a, b)), Some((c, d))) = pairs else { return self.filtered(0) };
        if left.iter().any(|of| of.name == c && of.kind == Type::Bool) || x.rows * y.rows > 1000.0 {
            return self.filtered(0);
        }
        self.plain = false;
        let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
        let on = if self.rng.chance(50) { format!("{b} = {a}") } else { format!("({b} is not distinct from {a})") };
        let adds_up = left.iter().any(|of| of.name == c && of.kind == Type::Big);
        let functions: &[&str] = if adds_up { &["max", "min", "sum", "sum"] } else { &["max", "min"] };
        let (function, least) = (*self.rng.one(functions), self.rng.below(3));
        let having = if self.rng.chance(60) { format!(" having count(*) > {least}") } else { String::new() };
        let text = format!(
            "select {list} from {{0}} {l} where {c} = (select {function}({d}) from {{1}} {r} where {on}{having})"
        );
        Self::node(text, vec![x, y], columns, rows)
    }

    /// A subquery within a subquery, both of which refer to the outermost row.
    fn two_levels(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right), (z, s, third)) = (self.source(depth), self.second(0), self.second(0));
        let (Some((a, b)), Some((c, d)), Some((e, f))) =
            (self.pair(&left, &right), self.pair(&right, &third), self.pair(&left, &third))
        else {
            return self.filtered(0);
        };
        if x.rows * y.rows * z.rows > 4000.0 {
            return self.filtered(0);
        }
        self.plain = false;
        let (not, inner) = (*self.rng.one(&["", "not "]), *self.rng.one(&["", "not "]));
        let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
        let within = match self.rng.below(5) {
            0 => format!("{c} {inner}in (select {d} from {{2}} {s} where {f} = {e})"),
            1 => format!("{inner}exists (select 1 from {{2}} {s} where {d} = {c} and {f} = {e})"),
            2 => format!("{c} = (select max({d}) from {{2}} {s} where ({f} is not distinct from {e}))"),
            3 => format!("{c} in (select min({d}) from {{2}} {s} where {f} = {e} group by {f} having count(*) > 1)"),
            _ => format!("{c} in (select max({d}) over (partition by {f}) from {{2}} {s} where {f} = {e})"),
        };
        let text = format!(
            "select {list} from {{0}} {l} where {not}exists (select 1 from {{1}} {r} where {b} = {a} and {within})"
        );
        Self::node(text, vec![x, y, z], columns, rows)
    }

    /// Constants on the left of a comparison, and beside columns in a join's condition.
    fn constants(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let Some((a, b)) = self.pair(&left, &right) else { return self.filtered(0) };
        if x.rows * y.rows > 6000.0 {
            return self.filtered(0);
        }
        let c = self.any(&right);
        if c.kind == Type::Time {
            return self.filtered(0);
        }
        let (literal, rows) = (self.literal(c.kind), x.rows * y.rows / 6.0);
        let both: Scope = left.into_iter().chain(right).collect();
        let (list, columns) = self.list(&both, true);
        let (join, name) = (*self.rng.one(&["join", "left join"]), &c.name);
        let text = match self.rng.below(3) {
            0 => format!("select {list} from {{0}} {l} {join} {{1}} {r} on {b} = {a} and {literal} = {name}"),
            1 => format!("select {list} from {{0}} {l} {join} {{1}} {r} on {a} = {b} where {literal} = {name}"),
            _ => format!(
                "select {list} from {{0}} {l} {join} {{1}} {r} on {a} = {b} where {name} = {literal} and \
                 {literal} = coalesce({name}, {literal})"
            ),
        };
        Self::node(text, vec![x, y], columns, rows)
    }

    /// Duplicate keys of a group, of a partition or of an order.
    fn repeated_keys(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let (k, j) = (self.any(&scope), self.any(&scope));
        let (one, two) = (&k.name, &j.name);
        if self.rng.chance(50) {
            let columns = vec![column(0, k.kind), column(1, j.kind), column(2, Type::Big)];
            let keys = *self.rng.one(&["{k}, {j}, {k}", "{j}, {k}, {j}", "{k}, {k}, {j}"]);
            let keys = keys.replace("{k}", one).replace("{j}", two);
            let text = format!("select {one} as c0, {two} as c1, count(*) as c2 from {{0}} {t} group by {keys}");
            return Self::node(text, vec![x], columns, 8.0);
        }
        let order = self.total_order(&scope);
        let (columns, rows) = (vec![column(0, k.kind), column(1, Type::Big)], x.rows);
        let text = format!(
            "select {one} as c0, cast(row_number() over (partition by {two}, {one}, {two} order by {order}, {one}) \
             as bigint) as c1 from {{0}} {t}"
        );
        Self::node(text, vec![x], columns, rows)
    }

    /// A division behind its guard, on either side of `and`, in a `case` or in a filter.
    fn guarded(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let Some(n) = self.of_type(&scope, Type::Big) else { return self.filtered(0) };
        self.plain = false;
        // Its `/` of whole numbers is of doubles.
        self.portable = false;
        let ((list, mut columns), rows) = (self.list(&scope, true), x.rows / 2.0);
        let text = match self.rng.below(4) {
            0 => format!("select {list} from {{0}} {t} where {n} <> 0 and 6 / {n} > 2"),
            1 => format!("select {list} from {{0}} {t} where 6 / {n} > 2 and {n} <> 0"),
            2 => format!("select {list} from {{0}} {t} where case when {n} <> 0 then 6 / {n} > 2 else true end"),
            _ => {
                columns = vec![column(0, Type::Big), column(1, Type::Big)];
                format!("select {n} as c0, sum(6 / {n}) filter (where {n} <> 0) as c1 from {{0}} {t} group by {n}")
            }
        };
        Self::node(text, vec![x], columns, rows)
    }

    /// The maximum and minimum numbers and dates, in expressions that do not overflow.
    fn at_the_ends(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let c = self.any(&scope);
        let (n, rows) = (&c.name, x.rows);
        // A session without our functions computes with times in nanoseconds.
        self.plain &= !matches!(c.kind, Type::Date | Type::Time);
        let (value, kind) = match c.kind {
            Type::Huge => match self.rng.below(3) {
                0 => (format!("cast({n} as decimal(38,0)) + {n}"), Type::Whole),
                1 => (format!("case when {n} < 0 then {n} + 1 else {n} - 1 end"), Type::Huge),
                _ => (format!("greatest({n}, 0)"), Type::Huge),
            },
            Type::Whole => (format!("case when {n} < 0 then -{n} else {n} end"), Type::Whole),
            Type::Date => match self.rng.below(3) {
                0 => (format!("cast(date_trunc('month', {n}) as date)"), Type::Date),
                1 => (format!("cast(date_part('year', {n}) as bigint)"), Type::Big),
                _ => (format!("{n} - date '2000-01-01'"), Type::Big),
            },
            Type::Time => match self.rng.below(2) {
                0 => (format!("date_trunc('day', {n})"), Type::Time),
                _ => (format!("cast(date_part('year', {n}) as bigint)"), Type::Big),
            },
            _ => return self.filtered(0),
        };
        let columns = vec![column(0, c.kind), column(1, kind)];
        if self.rng.chance(40) && c.kind == Type::Huge {
            let text =
                format!("select count(*) as c0, sum(cast({n} as decimal(38,0))) as c1 from {{0}} {t} group by {n} > 0");
            return Self::node(text, vec![x], vec![column(0, Type::Big), column(1, Type::Whole)], 3.0);
        }
        Self::node(format!("select {n} as c0, {value} as c1 from {{0}} {t}"), vec![x], columns, rows)
    }
}
