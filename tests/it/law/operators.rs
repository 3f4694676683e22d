//! The operators that random queries are drawn from.

use super::query::{Generator, Node, Scope};
use super::world::{Column, Type};

fn column(number: usize, kind: Type) -> Column {
    Column { name: format!("c{number}"), kind, approximate: false }
}

impl Generator<'_> {
    /// A query of at most this depth.
    pub(crate) fn query(&mut self, depth: usize) -> Node {
        let below = depth.saturating_sub(1);
        match self.rng.below(36) {
            0 | 1 => self.filtered(below),
            2 => self.nested(below),
            3..=5 => self.sets(below),
            6..=8 => self.joined(below),
            9 => self.crossed(),
            10..=12 => self.outer(below),
            13 | 14 => self.existing(below),
            15 | 16 => self.within(below),
            17 => self.scalar_selected(below),
            18 => self.scalar_compared(below),
            19 => self.existing_or(below),
            20..=22 => self.grouped(below),
            23 => self.global(below),
            24 => self.distinct(below),
            25 | 26 => self.windowed(below),
            27 | 28 => self.latest(below),
            29 => self.correlated(below),
            30..=34 => self.found_outside(below),
            _ => self.twice(below),
        }
    }

    /// A relation, its alias and its scope.
    pub(crate) fn source(&mut self, depth: usize) -> (Node, String, Scope) {
        let (node, alias) = (self.relation(depth), self.alias());
        let node = if node.columns.iter().any(|c| !c.approximate) { node } else { self.leaf() };
        let scope = Self::scope(&alias, &node).into_iter().filter(|c| !c.approximate).collect();
        (node, alias, scope)
    }

    /// A second relation: shallow, so that sizes stay small.
    pub(crate) fn second(&mut self, depth: usize) -> (Node, String, Scope) {
        let depth = self.rng.below(depth + 1);
        self.source(depth)
    }

    pub(crate) fn filtered(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let (list, columns) = self.list(&scope, false);
        let (condition, rows) = (self.condition(&scope), x.rows / 2.0);
        Self::node(format!("select {list} from {{0}} {t} where {condition}"), vec![x], columns, rows)
    }

    fn nested(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let ((list, columns), rows) = (self.list(&scope, false), x.rows);
        Self::node(format!("select {list} from {{0}} {t}"), vec![x], columns, rows)
    }

    fn sets(&mut self, depth: usize) -> Node {
        let (x, l, left) = self.source(depth);
        let (y, r, right) = self.second(depth);
        let operator = *self.rng.one(&["union all", "union all", "union", "intersect", "except"]);
        let (mut one, mut two, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for c in left.iter().take(4) {
            let other = match self.of_type(&right, c.kind) {
                Some(name) => name,
                None if c.kind == Type::Time => continue,
                None => format!("cast(null as {})", c.kind.sql()),
            };
            one.push(format!("{} as c{}", c.name, columns.len()));
            two.push(format!("{other} as c{}", columns.len()));
            columns.push(column(columns.len(), c.kind));
        }
        if columns.is_empty() {
            return self.filtered(0);
        }
        let rows = x.rows + y.rows;
        let text =
            format!("select {} from {{0}} {l} {operator} select {} from {{1}} {r}", one.join(", "), two.join(", "));
        Self::node(text, vec![x, y], columns, rows)
    }

    fn joined(&mut self, depth: usize) -> Node {
        let (x, l, left) = self.source(depth);
        let (mut y, r, mut right) = self.second(depth);
        if self.rng.chance(15) {
            // A self-join of any relation.
            y = x.clone();
            right = Self::scope(&r, &y).into_iter().filter(|c| !c.approximate).collect();
        }
        if x.rows * y.rows > 6000.0 {
            return self.grouped_over(x, &l, &left);
        }
        let rows = x.rows * y.rows / 3.0;
        let on = self.on(&left, &right);
        let mut both: Scope = left.into_iter().chain(right).collect();
        if self.rng.chance(30) && rows < 300.0 {
            let (z, u, third) = self.source(0);
            let also = self.on(&both, &third);
            let rows = rows * z.rows / 4.0;
            both.extend(third);
            let (list, columns) = self.list(&both, true);
            let text = if self.rng.chance(50) {
                format!("select {list} from {{0}} {l} join {{1}} {r} on {on} join {{2}} {u} on {also}")
            } else {
                format!("select {list} from {{0}} {l}, {{1}} {r}, {{2}} {u} where {on} and {also}")
            };
            return Self::node(text, vec![x, y, z], columns, rows);
        }
        let (list, columns) = self.list(&both, true);
        Self::node(format!("select {list} from {{0}} {l} join {{1}} {r} on {on}"), vec![x, y], columns, rows)
    }

    fn crossed(&mut self) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(0), self.source(0));
        if x.rows * y.rows > 1000.0 {
            return self.grouped_over(x, &l, &left);
        }
        let rows = x.rows * y.rows;
        let (list, columns) = self.list(&left.into_iter().chain(right).collect(), true);
        Self::node(format!("select {list} from {{0}} {l} cross join {{1}} {r}"), vec![x, y], columns, rows)
    }

    fn outer(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        if x.rows * y.rows > 6000.0 {
            return self.grouped_over(x, &l, &left);
        }
        let rows = x.rows * y.rows / 3.0 + x.rows + y.rows;
        let kind = *self.rng.one(&["left", "left", "right", "full"]);
        let on = self.on(&left, &right);
        let both: Scope = left.into_iter().chain(right).collect();
        let (list, columns) = self.list(&both, false);
        let filter = if self.rng.chance(20) { format!(" where {}", self.condition(&both)) } else { String::new() };
        let text = format!("select {list} from {{0}} {l} {kind} join {{1}} {r} on {on}{filter}");
        Self::node(text, vec![x, y], columns, rows)
    }

    fn existing(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let not = *self.rng.one(&["", "not "]);
        let on = if self.rng.chance(10) { self.condition(&right) } else { self.on(&left, &right) };
        let also = if self.rng.chance(25) { format!(" and {}", self.condition(&left)) } else { String::new() };
        let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
        let text = format!("select {list} from {{0}} {l} where {not}exists (select 1 from {{1}} {r} where {on}){also}");
        Self::node(text, vec![x, y], columns, rows)
    }

    fn within(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let Some((a, b)) = self.pair(&left, &right) else { return self.filtered(0) };
        let not = *self.rng.one(&["", "not "]);
        let filter = if self.rng.chance(40) { format!(" where {}", self.condition(&right)) } else { String::new() };
        let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
        let text = format!("select {list} from {{0}} {l} where {a} {not}in (select {b} from {{1}} {r}{filter})");
        Self::node(text, vec![x, y], columns, rows)
    }

    /// An aggregate that gives the type of its column, or a count.
    fn value(&mut self, scope: &Scope) -> (String, Type) {
        let c = self.any(scope);
        match (self.rng.below(3), c.kind) {
            (0, _) | (_, Type::Bool) => ("count(*)".into(), Type::Big),
            (1, kind) => (format!("max({})", c.name), kind),
            (_, kind) => (format!("min({})", c.name), kind),
        }
    }

    fn scalar_selected(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let (value, kind) = self.value(&right);
        let filter = match self.pair(&left, &right).filter(|_| self.rng.chance(70)) {
            Some((a, b)) => format!(" where {b} = {a}"),
            None => String::new(),
        };
        let ((list, mut columns), rows) = (self.list(&left, true), x.rows);
        let at = columns.len();
        columns.push(column(at, kind));
        let text = format!("select {list}, (select {value} from {{1}} {r}{filter}) as c{at} from {{0}} {l}");
        Self::node(text, vec![x, y], columns, rows)
    }

    fn scalar_compared(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let Some((a, b)) = self.pair(&left, &right).filter(|(a, _)| !a.is_empty()) else { return self.filtered(0) };
        if left.iter().any(|c| c.name == a && c.kind == Type::Bool) {
            return self.existing(0);
        }
        let (function, operator) = (*self.rng.one(&["max", "min"]), *self.rng.one(&["=", "<", ">="]));
        let filter = match self.pair(&left, &right).filter(|_| self.rng.chance(60)) {
            Some((k, m)) => format!(" where {m} = {k}"),
            None => String::new(),
        };
        let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
        let text = format!(
            "select {list} from {{0}} {l} where {a} {operator} (select {function}({b}) from {{1}} {r}{filter})"
        );
        Self::node(text, vec![x, y], columns, rows)
    }

    fn existing_or(&mut self, depth: usize) -> Node {
        let ((x, l, left), (y, r, right)) = (self.source(depth), self.second(depth));
        let Some((a, b)) = self.pair(&left, &right) else { return self.filtered(0) };
        let (condition, rows) = (self.condition(&left), x.rows);
        let exists = match self.rng.below(3) {
            0 => format!("exists (select 1 from {{1}} {r} where {b} = {a})"),
            1 => format!("not exists (select 1 from {{1}} {r} where {b} = {a})"),
            _ => format!("{a} in (select {b} from {{1}} {r})"),
        };
        if self.rng.chance(50) {
            let (list, columns) = self.list(&left, true);
            let text = format!("select {list} from {{0}} {l} where {condition} or {exists}");
            return Self::node(text, vec![x, y], columns, rows);
        }
        let (list, mut columns) = self.list(&left, true);
        let at = columns.len();
        columns.push(column(at, Type::Big));
        let text = format!("select {list}, case when {exists} then 1 else 0 end as c{at} from {{0}} {l}");
        Self::node(text, vec![x, y], columns, rows)
    }

    /// An aggregate over a column, its type, and whether it is exact.
    fn aggregate(&mut self, scope: &Scope) -> (String, Type, bool) {
        let c = self.any(scope);
        let (n, kind) = (&c.name, c.kind);
        let whole = matches!(kind, Type::Big | Type::Int);
        match self.rng.below(10) {
            0 | 1 => ("count(*)".into(), Type::Big, true),
            2 => (format!("count(distinct {n})"), Type::Big, true),
            3 => (format!("count(*) filter (where {})", self.condition(scope)), Type::Big, true),
            4 if kind == Type::Bool => (format!("bool_and({n})"), kind, true),
            4 if whole => (format!("cast(sum({n}) as bigint)"), Type::Big, true),
            // At the top of a query these are combined with the table's values.
            5 if whole => (format!("sum({n})"), Type::Big, true),
            6 if whole && self.rng.chance(70) => (format!("sum(coalesce({n}, 1))"), Type::Big, true),
            4 | 5 if kind == Type::Decimal => (format!("cast(sum({n}) as decimal(10,2))"), kind, true),
            4 | 5 if matches!(kind, Type::Double | Type::Float) => (format!("sum({n})"), Type::Double, false),
            6 if matches!(kind, Type::Double | Type::Float) => (format!("avg({n})"), Type::Double, false),
            6 if whole => (format!("avg({n})"), Type::Double, false),
            7 if whole => (format!("stddev({n})"), Type::Double, false),
            8 if whole => {
                self.portable = false;
                (format!("median({n})"), Type::Double, true)
            }
            9 if kind != Type::Bool => (format!("max({n})"), kind, true),
            _ if kind != Type::Bool => (format!("min({n})"), kind, true),
            _ => (format!("count({n})"), Type::Big, true),
        }
    }

    fn aggregates(&mut self, scope: &Scope, columns: &mut Vec<Column>) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..1 + self.rng.below(2) {
            let (text, kind, exact) = self.aggregate(scope);
            texts.push(format!("{text} as c{}", columns.len()));
            columns.push(Column { approximate: !exact, ..column(columns.len(), kind) });
        }
        texts
    }

    fn grouped(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        self.grouped_over(x, &t, &scope)
    }

    fn grouped_over(&mut self, x: Node, t: &str, scope: &Scope) -> Node {
        let (mut keys, mut columns, mut list) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..1 + self.rng.below(2) {
            let c = self.any(scope);
            let key = if c.kind == Type::Big && self.rng.chance(20) { format!("{} % 2", c.name) } else { c.name };
            if !keys.contains(&key) {
                list.push(format!("{key} as c{}", columns.len()));
                columns.push(column(columns.len(), c.kind));
                keys.push(key);
            }
        }
        list.extend(self.aggregates(scope, &mut columns));
        let having = match self.rng.below(6) {
            0 => " having count(*) > 1".to_owned(),
            1 => " having count(*) = 1".to_owned(),
            2 => format!(" having count({}) > 0", self.any(scope).name),
            _ => String::new(),
        };
        let filter = if self.rng.chance(25) { format!(" where {}", self.condition(scope)) } else { String::new() };
        let text = format!("select {} from {{0}} {t}{filter} group by {}{having}", list.join(", "), keys.join(", "));
        Self::node(text, vec![x], columns, 8.0)
    }

    fn global(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let mut columns = Vec::new();
        let mut list = self.aggregates(&scope, &mut columns);
        list.push(format!("count(*) as c{}", columns.len()));
        columns.push(column(columns.len(), Type::Big));
        Self::node(format!("select {} from {{0}} {t}", list.join(", ")), vec![x], columns, 1.0)
    }

    fn distinct(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let ((list, columns), rows) = (self.list(&scope, false), x.rows / 2.0);
        Self::node(format!("select distinct {list} from {{0}} {t}"), vec![x], columns, rows)
    }

    fn windowed(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let (part, value) = (self.any(&scope).name, self.any(&scope));
        let partition = if self.rng.chance(20) { format!("{part}, {}", value.name) } else { part };
        let (order, loose) = (self.total_order(&scope), self.any(&scope).name);
        let whole = matches!(value.kind, Type::Big | Type::Int);
        let v = &value.name;
        let (window, kind) = match self.rng.below(7) {
            0 => (format!("cast(row_number() over (partition by {partition} order by {order}) as bigint)"), Type::Big),
            1 => (
                format!("cast(rank() over (partition by {partition} order by {loose} nulls last) as bigint)"),
                Type::Big,
            ),
            2 => (
                format!("cast(dense_rank() over (partition by {partition} order by {loose} nulls first) as bigint)"),
                Type::Big,
            ),
            3 => (format!("lag({v}) over (partition by {partition} order by {order})"), value.kind),
            4 if whole => (format!("cast(sum({v}) over (partition by {partition}) as bigint)"), Type::Big),
            5 if whole => (
                format!(
                    "cast(sum({v}) over (partition by {partition} order by {order} \
                     rows between unbounded preceding and current row) as bigint)"
                ),
                Type::Big,
            ),
            _ => (format!("count({v}) over (partition by {partition})"), Type::Big),
        };
        let all: Vec<String> = scope.iter().enumerate().map(|(n, c)| format!("{} as c{n}", c.name)).collect();
        let mut columns: Vec<Column> = scope.iter().enumerate().map(|(n, c)| column(n, c.kind)).collect();
        let at = columns.len();
        columns.push(column(at, kind));
        let rows = x.rows;
        let text = format!("select {}, {window} as c{at} from {{0}} {t}", all.join(", "));
        Self::node(text, vec![x], columns, rows)
    }

    fn latest(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let (partition, order) = (self.any(&scope).name, self.total_order(&scope));
        let u = self.alias();
        let all: Vec<String> = scope.iter().map(|c| c.name.clone()).collect();
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for c in scope.iter().take(4) {
            let bare = c.name.rsplit('.').next().unwrap_or(&c.name);
            list.push(format!("{u}.{bare} as c{}", columns.len()));
            columns.push(column(columns.len(), c.kind));
        }
        let most = *self.rng.one(&["= 1", "= 1", "<= 2"]);
        let text = format!(
            "select {} from (select {}, row_number() over (partition by {partition} order by {order}) as rn \
             from {{0}} {t}) {u} where {u}.rn {most}",
            list.join(", "),
            all.join(", ")
        );
        Self::node(text, vec![x], columns, 6.0)
    }

    fn twice(&mut self, depth: usize) -> Node {
        let (x, t, scope) = self.source(depth);
        let (list, columns) = self.list(&scope, false);
        let (w, l, r) = (self.alias(), self.alias(), self.alias());
        let shape = Self::node(String::new(), Vec::new(), columns, x.rows);
        let (left, right) = (Self::scope(&l, &shape), Self::scope(&r, &shape));
        let Some((a, b)) = self.pair(&left, &right) else { return self.filtered(0) };
        let with = format!("with {w} as (select {list} from {{0}} {t})");
        if self.rng.chance(50) || x.rows > 60.0 {
            let ((list, columns), rows) = (self.list(&left, true), x.rows / 2.0);
            let group = format!("select {b} from {w} {r} group by {b} having count(*) = 1");
            let text = format!("{with} select {list} from {w} {l} where {a} in ({group})");
            return Self::node(text, vec![x], columns, rows);
        }
        let rows = x.rows * x.rows / 3.0;
        let (list, columns) = self.list(&left.into_iter().chain(right).collect(), true);
        let text = format!("{with} select {list} from {w} {l} join {w} {r} on {a} = {b}");
        Self::node(text, vec![x], columns, rows)
    }

    /// Deterministic, without a derivative: over all rows at once.
    pub(crate) fn undivided(&mut self) -> Node {
        let (x, t, scope) = self.source(1);
        let (order, rows) = (self.total_order(&scope), x.rows);
        let key = self.any(&scope);
        let all: Vec<String> = scope.iter().enumerate().map(|(n, c)| format!("{} as c{n}", c.name)).collect();
        let mut columns: Vec<Column> = scope.iter().enumerate().map(|(n, c)| column(n, c.kind)).collect();
        let at = columns.len();
        let text = match self.rng.below(3) {
            0 => {
                columns.push(column(at, Type::Big));
                let number = format!("cast(row_number() over (order by {order}) as bigint)");
                format!("select {}, {number} as c{at} from {{0}} {t}", all.join(", "))
            }
            1 => format!("select {} from {{0}} {t} order by {order} limit 3", all.join(", ")),
            _ => {
                columns = vec![column(0, key.kind), column(1, Type::Big)];
                format!("select {k} as c0, count(*) as c1 from {{0}} {t} group by rollup({k})", k = key.name)
            }
        };
        Self::node(text, vec![x], columns, rows)
    }
}
