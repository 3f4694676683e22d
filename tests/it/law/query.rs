//! Random queries. Each is deterministic: orders are total (over every column of the relation), and exactly compared
//! values do not depend on the order of additions.

use super::world::{Column, Rng, Type};

/// A query: its text has `{0}`, `{1}`, ... in place of its subqueries, so that a failing one can be decomposed.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub text: String,
    pub inner: Vec<Node>,
    pub columns: Vec<Column>,
    /// A table's name rather than a query.
    pub table: bool,
    /// About how many rows it has.
    pub rows: f64,
}

impl Node {
    /// A table to read.
    pub(crate) fn table(name: &str, columns: &[Column], rows: f64) -> Self {
        Self { text: name.to_owned(), inner: Vec::new(), columns: columns.to_vec(), table: true, rows }
    }

    /// The SQL.
    pub(crate) fn render(&self) -> String {
        let mut text = self.text.clone();
        for (number, inner) in self.inner.iter().enumerate() {
            let sql = if inner.table { inner.text.clone() } else { format!("({})", inner.render()) };
            text = text.replace(&format!("{{{number}}}"), &sql);
        }
        text
    }
}

/// Makes queries over some tables.
pub(crate) struct Generator<'a> {
    pub rng: &'a mut Rng,
    tables: &'a [Node],
    aliases: usize,
    /// Whether it has the same meaning in the other engine.
    pub portable: bool,
    /// Whether the plain engine plans it, and correctly.
    pub plain: bool,
}

/// Sets of columns under an alias.
pub(crate) type Scope = Vec<Column>;

impl<'a> Generator<'a> {
    pub(crate) fn new(rng: &'a mut Rng, tables: &'a [Node]) -> Self {
        Self { rng, tables, aliases: 0, portable: true, plain: true }
    }

    /// A query for a derived table.
    pub(crate) fn derived(&mut self) -> Node {
        if self.rng.chance(10) {
            return self.undivided();
        }
        let depth = 1 + self.rng.below(4);
        self.query(depth)
    }

    pub(crate) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    pub(crate) fn leaf(&mut self) -> Node {
        let mut leaf = self.rng.one(self.tables).clone();
        if leaf.rows > 400.0 {
            leaf = self.tables[0].clone();
        }
        leaf
    }

    pub(crate) fn relation(&mut self, depth: usize) -> Node {
        if depth == 0 || self.rng.chance(20) { self.leaf() } else { self.query(depth) }
    }

    pub(crate) fn scope(alias: &str, of: &Node) -> Scope {
        let named = |c: &Column| Column { name: format!("{alias}.{}", c.name), ..c.clone() };
        of.columns.iter().map(named).collect()
    }

    /// Any column, as an expression.
    pub(crate) fn any(&mut self, scope: &Scope) -> Column {
        self.rng.one(scope).clone()
    }

    pub(crate) fn of_type(&mut self, scope: &Scope, kind: Type) -> Option<String> {
        let fitting: Vec<&Column> = scope.iter().filter(|c| c.kind == kind).collect();
        (!fitting.is_empty()).then(|| self.rng.one(&fitting).name.clone())
    }

    pub(crate) fn literal(&mut self, kind: Type) -> String {
        let value = *self.rng.one(kind.domain());
        kind.literal(value)
    }

    /// Two columns of one type, one of each scope, fit to be compared for equality.
    pub(crate) fn pair(&mut self, left: &Scope, right: &Scope) -> Option<(String, String)> {
        let mut pairs = Vec::new();
        for l in left {
            pairs.extend(right.iter().filter(|r| r.kind == l.kind).map(|r| (l.name.clone(), r.name.clone())));
        }
        (!pairs.is_empty()).then(|| self.rng.one(&pairs).clone())
    }

    /// An expression that is not just a column, with its type.
    pub(crate) fn expression(&mut self, scope: &Scope) -> (String, Type) {
        let column = self.any(scope);
        let (c, kind) = (column.name, column.kind);
        let other = self.of_type(scope, kind).unwrap_or_else(|| c.clone());
        let text = match (self.rng.below(9), kind) {
            (0 | 1, k) if k != Type::Time => format!("coalesce({c}, {})", self.literal(k)),
            (2, _) => format!("coalesce({c}, {other})"),
            (3, _) => format!("case when {} then {c} else {other} end", self.condition(scope)),
            (4, _) => format!("case when {} then {c} end", self.condition(scope)),
            (5, Type::Big) => format!("{c} + 1"),
            (5, Type::Int) => format!("cast({c} + 1 as int)"),
            (5, Type::Text) => format!("upper({c})"),
            (6, Type::Big) => format!("{c} % 2"),
            (6, Type::Text) => format!("{c} || 'x'"),
            (7, Type::Bool) => format!("not {c}"),
            (7, k) if !matches!(k, Type::Time | Type::Double | Type::Float) => {
                format!("nullif({c}, {})", self.literal(k))
            }
            _ => c,
        };
        (text, kind)
    }

    /// A condition over a scope.
    pub(crate) fn condition(&mut self, scope: &Scope) -> String {
        let column = self.any(scope);
        let (c, kind) = (&column.name, column.kind);
        match self.rng.below(9) {
            0 => format!("{c} is null"),
            1 => format!("{c} is not null"),
            2 => {
                let other = self.of_type(scope, kind).unwrap_or_else(|| c.clone());
                let operator = *self.rng.one(&["=", "<>", "<=", "is distinct from", "is not distinct from"]);
                // In brackets: the plain engine's parser takes what follows for part of the right side.
                format!("({c} {operator} {other})")
            }
            3 => format!("({} or {})", self.simple(&column), self.condition(scope)),
            4 => format!("({} and {})", self.simple(&column), self.condition(scope)),
            5 => format!("not ({})", self.condition(scope)),
            _ => self.simple(&column),
        }
    }

    fn simple(&mut self, column: &Column) -> String {
        let (c, kind) = (&column.name, column.kind);
        match kind {
            Type::Time => format!("{c} is not null"),
            Type::Bool => (*self.rng.one(&["{c}", "not {c}", "{c} is true"])).replace("{c}", c),
            Type::Text if self.rng.chance(30) => format!("{c} like 'a%'"),
            _ => {
                let operator = *self.rng.one(&["=", "<>", "<", ">=", "="]);
                let literal = self.literal(kind);
                if self.rng.chance(20) {
                    let second = self.literal(kind);
                    let list =
                        *self.rng.one(&["in ({})", "in ({})", "not in ({})", "not in ({}, null)", "in ({}, null)"]);
                    return format!("{c} {}", list.replace("{}", &format!("{literal}, {second}")));
                }
                format!("{c} {operator} {literal}")
            }
        }
    }

    /// A condition between two relations: an equality, often with something beside it.
    pub(crate) fn on(&mut self, left: &Scope, right: &Scope) -> String {
        let Some((l, r)) = self.pair(left, right) else {
            let one = self.condition(left);
            return format!("{one} and {}", self.condition(right));
        };
        let both: Scope = left.iter().chain(right).cloned().collect();
        match self.rng.below(10) {
            0 => format!("{l} = {r} and {}", self.condition(&both)),
            1 => format!("{l} = {r} and {}", self.condition(left)),
            2 => format!("{l} = {r} and {}", self.condition(right)),
            3 => format!("{l} < {r}"),
            4 => format!("({l} is not distinct from {r})"),
            5 | 6 => match self.pair(left, right) {
                Some((l2, r2)) => format!("{l} = {r} and {l2} = {r2}"),
                None => format!("{l} = {r}"),
            },
            _ => format!("{l} = {r}"),
        }
    }

    /// `expression as c0, ...` over a scope: at most four columns.
    pub(crate) fn list(&mut self, scope: &Scope, plain: bool) -> (String, Vec<Column>) {
        let count = (1 + self.rng.below(4)).max(2);
        let mut columns = Vec::new();
        let mut texts = Vec::new();
        for number in 0..count {
            let (text, kind) = if plain || self.rng.chance(70) {
                // The first columns first: keys are among them.
                let column = scope.get(number).filter(|_| scope.len() <= 4).cloned();
                let column = column.unwrap_or_else(|| self.rng.one(scope).clone());
                (column.name, column.kind)
            } else {
                self.expression(scope)
            };
            texts.push(format!("{text} as c{number}"));
            columns.push(Column { name: format!("c{number}"), kind, approximate: false });
        }
        (texts.join(", "), columns)
    }

    /// Every column of a scope, in an order that may differ from theirs in direction and NULLs.
    pub(crate) fn total_order(&mut self, scope: &Scope) -> String {
        let mut columns: Vec<String> = scope.iter().map(|c| c.name.clone()).collect();
        let start = self.rng.below(columns.len());
        columns.rotate_left(start);
        let order = |c: String, rng: &mut Rng| {
            format!("{c} {}", rng.one(&["asc nulls first", "asc nulls last", "desc nulls first", "desc nulls last"]))
        };
        columns.into_iter().map(|c| order(c, self.rng)).collect::<Vec<_>>().join(", ")
    }

    /// A query with `{0}`, ... over the relations.
    pub(crate) fn node(text: String, inner: Vec<Node>, columns: Vec<Column>, rows: f64) -> Node {
        Node { text, inner, columns, table: false, rows: rows.max(1.0) }
    }
}
